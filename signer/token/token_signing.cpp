// The key of `hsm` in its token: made, found, tried, signed with. See token.h.
//
// Invariant: a public key is told only of a pair that is whole, was made in the token, cannot leave
// it and signed a trial that verified; so nothing half-made ever becomes a wallet. Halves that a
// kill left are passed over and not destroyed: coins may lie behind any private key.
#include <algorithm>
#include <iterator>
#include <vector>

#include "signer/token/worker.h"

namespace roulette::signer {
namespace {

using crypto::CompactEcdsa;
using crypto::PubKey33;

constexpr char kKeyLabel[] = "quorum-roulette signing key";
constexpr std::size_t kIdBytes = 16;
// DER of the curve's object identifier, 1.3.132.0.10 (SEC 2).
constexpr std::uint8_t kSecp256k1[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a};

struct Pair {
  CK_OBJECT_HANDLE secret = CK_INVALID_HANDLE;
  PubKey33 key{};
};

// CKA_EC_POINT is DER: an octet string of 65 bytes, 04 || x || y (PROTOCOL 6).
std::optional<PubKey33> point_of(const Bytes& der) {
  if (der.size() != 67 || der[0] != 0x04 || der[1] != 0x41 || der[2] != 0x04) return std::nullopt;
  PubKey33 key{};
  key[0] = static_cast<std::uint8_t>(der.back() % 2 == 0 ? 0x02 : 0x03);
  std::copy_n(der.begin() + 3, 32, key.begin() + 1);
  return crypto::is_point(key) ? std::optional(key) : std::nullopt;
}

CK_RV halves(Module& m, CK_OBJECT_CLASS kind, const Bytes* id,
             std::vector<CK_OBJECT_HANDLE>& out) {
  std::string label = kKeyLabel;
  Bytes wanted_id = id == nullptr ? Bytes() : *id;
  std::vector<CK_ATTRIBUTE> wanted = {{CKA_CLASS, &kind, sizeof kind},
                                      {CKA_LABEL, label.data(), label.size()}};
  if (id != nullptr) wanted.push_back({CKA_ID, wanted_id.data(), wanted_id.size()});
  return m.find(std::move(wanted), out);
}

// A public half with the private one of the same id. A private half that was not made in the token
// is none of ours: somebody's import, or what a kill left before the module said that it was made
// (SoftHSM writes CKA_LOCAL together with the key itself).
Result<std::vector<Pair>> whole_pairs(Module& m) {
  std::vector<CK_OBJECT_HANDLE> found, secrets;
  if (const CK_RV code = halves(m, CKO_PUBLIC_KEY, nullptr, found); code != CKR_OK)
    return m.refused("its keys cannot be listed", code);
  std::vector<Pair> pairs;
  for (const CK_OBJECT_HANDLE half : found) {
    Bytes id, point;
    CK_RV code = m.read(half, CKA_ID, id);
    if (code == CKR_OK) code = m.read(half, CKA_EC_POINT, point);
    if (code == CKR_OK) code = halves(m, CKO_PRIVATE_KEY, &id, secrets);
    if (code != CKR_OK) return m.refused("its signing key does not say what it is", code);
    const auto key = point_of(point);
    if (secrets.size() != 1 || !key) continue;
    Bytes local;
    code = m.read(secrets.front(), CKA_LOCAL, local, sizeof(CK_BBOOL));
    if (code != CKR_OK) return m.refused("its signing key does not say where it came from", code);
    if (local == Bytes{CK_TRUE}) pairs.push_back({secrets.front(), *key});
  }
  return pairs;
}

CK_RV sign_with(Module& m, CK_OBJECT_HANDLE key, const Hash32& digest, CompactEcdsa& out) {
  CK_MECHANISM how{CKM_ECDSA, nullptr, 0};
  Hash32 message = digest;  // PKCS#11 takes no const
  CK_ULONG size = out.size();
  CK_RV code = m.f->C_SignInit(m.session, &how, key);
  if (code == CKR_OK)
    code = m.f->C_Sign(m.session, message.data(), message.size(), out.data(), &size);
  return code == CKR_OK && size != out.size() ? CKR_DATA_LEN_RANGE : code;
}

Status stays_in(Module& m, CK_OBJECT_HANDLE key) {
  Bytes extractable;
  const CK_RV code = m.read(key, CKA_EXTRACTABLE, extractable, sizeof(CK_BBOOL));
  if (code != CKR_OK) return m.refused("its signing key does not say whether it may leave", code);
  if (extractable != Bytes{CK_FALSE})
    return Error{ErrorKind::Refused,
                 "token '" + m.place.label + "': its signing key may leave it"};
  return {};
}

// `digest` differs each time, so that a module cannot answer from memory.
Status try_pair(Module& m, const Pair& pair, const Hash32& digest) {
  if (const Status stays = stays_in(m, pair.secret); !stays) return stays;
  CompactEcdsa made{};
  if (const CK_RV code = sign_with(m, pair.secret, digest, made); code != CKR_OK)
    return m.refused("its signing key does not sign", code);
  const auto low = crypto::with_low_s(made);
  const auto der = low ? crypto::der_of(*low) : std::nullopt;
  if (!der || !crypto::ecdsa_verify(pair.key, digest, *der))
    return Error{ErrorKind::Refused, "token '" + m.place.label +
                                         "': the halves of its signing key do not fit each other"};
  return {};
}

Result<Pair> only_pair(Module& m, const Hash32& digest) {
  auto pairs = whole_pairs(m);
  if (!pairs) return pairs.error();
  if (pairs->size() == 1) {
    if (const Status works = try_pair(m, pairs->front(), digest); !works) return works.error();
    return pairs->front();
  }
  return Error{ErrorKind::Refused, "token '" + m.place.label + "': it holds " +
                                       (pairs->empty() ? "no" : "more than one") +
                                       " signing key"};
}

Status make_pair(Module& m, const ByteArray<kIdBytes>& pair_id) {
  Bytes id(pair_id.begin(), pair_id.end());
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  std::string label = kKeyLabel;
  Bytes curve(std::begin(kSecp256k1), std::end(kSecp256k1));
  CK_ATTRIBUTE open[] = {{CKA_TOKEN, &yes, sizeof yes},
                         {CKA_VERIFY, &yes, sizeof yes},
                         {CKA_EC_PARAMS, curve.data(), curve.size()},
                         {CKA_LABEL, label.data(), label.size()},
                         {CKA_ID, id.data(), id.size()}};
  CK_ATTRIBUTE secret[] = {{CKA_TOKEN, &yes, sizeof yes},
                           {CKA_PRIVATE, &yes, sizeof yes},
                           {CKA_SENSITIVE, &yes, sizeof yes},
                           {CKA_EXTRACTABLE, &no, sizeof no},
                           {CKA_SIGN, &yes, sizeof yes},
                           {CKA_LABEL, label.data(), label.size()},
                           {CKA_ID, id.data(), id.size()}};
  CK_MECHANISM make{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
  CK_OBJECT_HANDLE made_open = CK_INVALID_HANDLE, made_secret = CK_INVALID_HANDLE;
  const CK_RV code =
      m.f->C_GenerateKeyPair(m.session, &make, open, std::size(open), secret, std::size(secret),
                             &made_open, &made_secret);
  return code == CKR_OK ? Status() : Status(m.refused("no key was made", code));
}

Result<PubKey33> tell_key(Module& m, const Hash32& digest) {
  const auto pair = only_pair(m, digest);
  if (!pair) return pair.error();
  m.signs = pair->secret;
  return pair->key;
}

// A handle is good as long as its session; the key is found again behind a new login.
Result<CompactEcdsa> sign_or_return(Module& m, const Hash32& digest) {
  CK_RV code = CKR_OK;
  for (int tries = 0; tries < 2; ++tries) {
    if (m.session == CK_INVALID_HANDLE)
      if (const Status again = m.login(); !again) return again.error();
    if (m.signs == CK_INVALID_HANDLE) {
      const auto pairs = whole_pairs(m);
      if (!pairs) return pairs.error();
      if (pairs->size() != 1) return m.missing("its signing key is gone");
      m.signs = pairs->front().secret;
    }
    CompactEcdsa made{};
    code = sign_with(m, m.signs, digest, made);
    if (code == CKR_OK) return made;
    if (!session_lost(code) && code != CKR_KEY_HANDLE_INVALID &&
        code != CKR_OBJECT_HANDLE_INVALID)
      break;
    m.session = CK_INVALID_HANDLE;
  }
  return m.refused("it does not sign", code);
}

}  // namespace

Result<PubKey33> Token::signing_key(EntropySource& entropy) {
  Hash32 digest{};
  entropy.fill(digest);
  return worker_->ask<PubKey33>([digest](Module& m) { return tell_key(m, digest); });
}

Result<PubKey33> Token::ensure_signing_key(EntropySource& entropy) {
  Hash32 digest{};
  ByteArray<kIdBytes> id{};
  entropy.fill(digest);
  entropy.fill(id);
  return worker_->ask<PubKey33>([digest, id](Module& m) -> Result<PubKey33> {
    const auto pairs = whole_pairs(m);
    if (!pairs) return pairs.error();
    if (pairs->empty())
      if (const Status made = make_pair(m, id); !made) return made.error();
    return tell_key(m, digest);
  });
}

Result<CompactEcdsa> Token::sign(const Hash32& digest) {
  return worker_->ask<CompactEcdsa>(
      [digest](Module& m) -> Result<CompactEcdsa> { return sign_or_return(m, digest); });
}

}  // namespace roulette::signer
