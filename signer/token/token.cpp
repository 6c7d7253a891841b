// A token as vault, and how it is opened and initialised: see token.h. Signing: token_signing.cpp.
//
// Invariant: every question is one function given to the worker, which owns what it touches.
// PROTOCOL 6: ulIvBits is set, and an altered blob may give any error, so all are refusals.
#include "signer/token/token.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "signer/token/worker.h"

namespace roulette::signer {
namespace {

constexpr std::size_t kCipherBytes = 32 + 16;  // the share and GCM's tag
constexpr std::size_t kLabelBytes = 32;
constexpr char kKeyLabel[] = "quorum-roulette share vault";

CK_GCM_PARAMS gcm(ByteArray<12>& nonce, Bytes& bound) {
  CK_GCM_PARAMS parameters{};
  parameters.pIv = nonce.data();
  parameters.ulIvLen = nonce.size();
  parameters.ulIvBits = nonce.size() * 8;
  parameters.pAAD = bound.data();
  parameters.ulAADLen = bound.size();
  parameters.ulTagBits = 128;
  return parameters;
}

CK_RV vault_keys(Module& m, std::vector<CK_OBJECT_HANDLE>& out) {
  CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
  std::string label = kKeyLabel;
  return m.find({{CKA_CLASS, &kind, sizeof kind}, {CKA_LABEL, label.data(), label.size()}}, out);
}

// Seals and opens 32 bytes; CKR_OK when it gives them back.
CK_RV trial(Module& m, CK_OBJECT_HANDLE key) {
  ByteArray<12> iv{};
  Bytes bound = {1}, plain(32, 7), cipher(kCipherBytes), again(kCipherBytes);
  CK_GCM_PARAMS parameters = gcm(iv, bound);
  CK_MECHANISM how{CKM_AES_GCM, &parameters, sizeof parameters};
  CK_ULONG size = cipher.size(), opened = again.size();
  CK_RV code = m.f->C_EncryptInit(m.session, &how, key);
  if (code == CKR_OK)
    code = m.f->C_Encrypt(m.session, plain.data(), plain.size(), cipher.data(), &size);
  if (code == CKR_OK) code = m.f->C_DecryptInit(m.session, &how, key);
  if (code == CKR_OK) code = m.f->C_Decrypt(m.session, cipher.data(), size, again.data(), &opened);
  if (code != CKR_OK) return code;
  again.resize(opened);
  return again == plain ? CKR_OK : CKR_GENERAL_ERROR;
}

// By its own attributes no AES-256 key that seals and opens: it never sealed a share of ours, and
// never will. What the module cannot say now, or a trial that fails, proves nothing: a token that
// is busy, removed or faulty answers like a broken key.
Result<bool> can_never_seal(Module& m, CK_OBJECT_HANDLE key) {
  const auto value = [&](CK_ATTRIBUTE_TYPE type, CK_ULONG& out) {
    Bytes bytes;
    const CK_RV code = m.read(key, type, bytes);
    out = 0;
    if (code == CKR_OK)
      std::copy_n(bytes.begin(), std::min(bytes.size(), sizeof out),
                  reinterpret_cast<std::uint8_t*>(&out));
    return code;
  };
  CK_ULONG type = 0, length = 0, seals = 0, opens = 0;
  for (const CK_RV code : {value(CKA_KEY_TYPE, type), value(CKA_VALUE_LEN, length),
                           value(CKA_ENCRYPT, seals), value(CKA_DECRYPT, opens)})
    if (code != CKR_OK) return m.refused("its vault key does not say what it is", code);
  return type != CKK_AES || length != 32 || seals == CK_FALSE || opens == CK_FALSE;
}

Status make_vault_key(Module& m) {
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ULONG bytes = 32;
  std::string label = kKeyLabel;
  CK_ATTRIBUTE key[] = {{CKA_TOKEN, &yes, sizeof yes},
                        {CKA_PRIVATE, &yes, sizeof yes},
                        {CKA_SENSITIVE, &yes, sizeof yes},
                        {CKA_EXTRACTABLE, &no, sizeof no},
                        {CKA_ENCRYPT, &yes, sizeof yes},
                        {CKA_DECRYPT, &yes, sizeof yes},
                        {CKA_VALUE_LEN, &bytes, sizeof bytes},
                        {CKA_LABEL, label.data(), label.size()}};
  CK_MECHANISM make{CKM_AES_KEY_GEN, nullptr, 0};
  CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
  CK_RV code = m.f->C_GenerateKey(m.session, &make, key, std::size(key), &made);
  if (code != CKR_OK) return m.refused("no key was made", code);
  code = trial(m, made);
  if (code != CKR_OK) return m.refused("the key it made does not work", code);
  return {};
}

Status ensure_vault_key(Module& m) {
  std::vector<CK_OBJECT_HANDLE> found;
  if (const CK_RV code = vault_keys(m, found); code != CKR_OK)
    return m.refused("its keys cannot be listed", code);
  for (const CK_OBJECT_HANDLE key : found) {
    const CK_RV code = trial(m, key);
    if (code == CKR_OK) return {};
    const auto useless = can_never_seal(m, key);
    if (!useless) return useless.error();
    if (!*useless)
      return m.refused("its vault key does not work now, and may be needed: left alone", code);
    if (const CK_RV gone = m.f->C_DestroyObject(m.session, key); gone != CKR_OK)
      return m.refused("what is no vault key cannot be taken away", gone);
  }
  return make_vault_key(m);
}

// `call(session, key)` gives a CK_RV; a lost session is opened again, once.
template <class Call>
Status with_vault_key(Module& m, const char* what, Call&& call) {
  CK_RV code = CKR_OK;
  for (int tries = 0; tries < 2; ++tries) {
    std::vector<CK_OBJECT_HANDLE> found;
    code = vault_keys(m, found);
    if (code == CKR_OK && found.size() != 1)
      return Error{ErrorKind::Refused, "token '" + m.place.label + "': it holds " +
                                           (found.empty() ? "no" : "more than one") +
                                           " share vault key"};
    if (code == CKR_OK) code = call(m.session, found.front());
    if (code == CKR_OK) return {};
    if (!session_lost(code)) break;
    if (const Status again = m.login(); !again) return again;
  }
  return m.refused(what, code);
}

Status initialize_token(Module& m, const std::filesystem::path& so_pin_file) {
  if (m.place.label.empty() || m.place.label.size() > kLabelBytes)
    return Error{ErrorKind::Usage, "a token's label has 1 to 32 bytes"};
  Pin so, user;
  if (const Status read = read_pin(m.place, so_pin_file, so); !read) return read;
  if (const Status read = read_pin(m.place, m.place.pin_file, user); !read) return read;
  auto at = m.find_slot();
  if (!at) return at.error();
  if (!*at) {
    std::vector<CK_SLOT_ID> slots(64);
    CK_ULONG count = slots.size();
    CK_RV code = m.f->C_GetSlotList(CK_TRUE, slots.data(), &count);
    std::optional<CK_SLOT_ID> free;
    for (CK_ULONG i = 0; code == CKR_OK && i < count; ++i) {
      CK_TOKEN_INFO info{};
      if (m.f->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
          (info.flags & CKF_TOKEN_INITIALIZED) == 0)
        free = slots[i];
    }
    if (!free) return m.missing("there is none, and no slot is free for one");
    ByteArray<kLabelBytes> label;
    label.fill(' ');
    std::copy(m.place.label.begin(), m.place.label.end(), label.begin());
    code = m.f->C_InitToken(*free, so.bytes.data(), so.length, label.data());
    if (code != CKR_OK) return m.refused("it cannot be initialised", code);
    at = m.find_slot();
    if (!at) return at.error();
    if (!*at) return m.missing("it was initialised and is not there");
  }
  CK_TOKEN_INFO info{};
  CK_RV code = m.f->C_GetTokenInfo(**at, &info);
  if (code != CKR_OK) return m.refused("it does not say how it is", code);
  if ((info.flags & CKF_USER_PIN_INITIALIZED) != 0) return {};
  code = m.f->C_OpenSession(**at, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                            &m.session);
  if (code == CKR_OK) code = m.f->C_Login(m.session, CKU_SO, so.bytes.data(), so.length);
  if (code == CKR_OK) code = m.f->C_InitPIN(m.session, user.bytes.data(), user.length);
  (void)m.f->C_CloseAllSessions(**at);
  return code == CKR_OK ? Status() : Status(m.refused("its user PIN cannot be set", code));
}

}  // namespace

Token::Token(std::unique_ptr<Worker> worker) : worker_(std::move(worker)) {}
Token::~Token() = default;

Result<std::unique_ptr<Token>> Token::open(const TokenPlace& place) {
  auto worker = std::make_unique<Worker>(place);
  const Status in = worker->tell([](Module& m) {
    const Status loaded = m.load();
    return loaded ? m.login() : loaded;
  });
  if (!in) return in.error();
  return std::unique_ptr<Token>(new Token(std::move(worker)));
}

Status Token::initialize(const TokenPlace& place, const std::filesystem::path& so_pin_file) {
  Worker worker(place);
  return worker.tell([so_pin_file](Module& m) {
    const Status loaded = m.load();
    return loaded ? initialize_token(m, so_pin_file) : loaded;
  });
}

bool Token::hangs() const { return worker_->calls.hangs(); }

Status Token::ensure_key() { return worker_->tell(&ensure_vault_key); }

Result<Bytes> Token::encrypt(const ByteArray<12>& nonce, ByteSpan bound, const Secret<32>& plain) {
  // PKCS#11 takes no const, and the worker owns what it touches.
  const auto copy = std::make_shared<Secret<32>>(plain.clone());
  const Bytes aad(bound.begin(), bound.end());
  return worker_->ask<Bytes>([nonce, aad, copy](Module& m) -> Result<Bytes> {
    ByteArray<12> iv = nonce;
    Bytes tied = aad, out(kCipherBytes);
    CK_GCM_PARAMS parameters = gcm(iv, tied);
    CK_MECHANISM how{CKM_AES_GCM, &parameters, sizeof parameters};
    CK_ULONG size = 0;
    const Status done =
        with_vault_key(m, "it does not seal", [&](CK_SESSION_HANDLE s, CK_OBJECT_HANDLE key) {
          size = out.size();
          const CK_RV code = m.f->C_EncryptInit(s, &how, key);
          if (code != CKR_OK) return code;
          return m.f->C_Encrypt(s, copy->data(), copy->size(), out.data(), &size);
        });
    if (!done) return done.error();
    if (size != kCipherBytes)
      return Error{ErrorKind::Internal, "the module seals with another size than GCM's"};
    return out;
  });
}

Result<Secret<32>> Token::decrypt(const ByteArray<12>& nonce, ByteSpan bound, ByteSpan cipher) {
  const Bytes aad(bound.begin(), bound.end()), blob(cipher.begin(), cipher.end());
  return worker_->ask<Secret<32>>([nonce, aad, blob](Module& m) -> Result<Secret<32>> {
    ByteArray<12> iv = nonce;
    Bytes tied = aad, in = blob;
    CK_GCM_PARAMS parameters = gcm(iv, tied);
    CK_MECHANISM how{CKM_AES_GCM, &parameters, sizeof parameters};
    Secret<kCipherBytes> plain;  // a module may want room for the tag
    CK_ULONG size = 0;
    const Status done = with_vault_key(
        m, "wrong key, or the file was altered", [&](CK_SESSION_HANDLE s, CK_OBJECT_HANDLE key) {
          size = plain.size();
          const CK_RV code = m.f->C_DecryptInit(s, &how, key);
          if (code != CKR_OK) return code;
          return m.f->C_Decrypt(s, in.data(), in.size(), plain.data(), &size);
        });
    if (!done) return done.error();
    if (size != 32) return Error{ErrorKind::Refused, "what the token opened is no share"};
    return Secret<32>(plain.span().first<32>());
  });
}

}  // namespace roulette::signer
