// The calls into libsecp256k1's musig module: see musig2.h.
//
// Invariant: opaque structs of the module live in byte arrays of ours of the same size (asserted at
// compile time) and are never looked into, but for SecNonce::from_bytes.
#include "common/crypto/musig2.h"

#include <secp256k1_extrakeys.h>
#include <secp256k1_musig.h>

#include <algorithm>
#include <utility>

#include <string.h>

#include "common/base/assert.h"
#include "common/crypto/declassify.h"
#include "common/crypto/secp.h"

namespace roulette::crypto::musig2 {

struct Access {
  static KeyAgg keys() { return KeyAgg(); }
  static auto* cache(KeyAgg& keys) {
    return reinterpret_cast<secp256k1_musig_keyagg_cache*>(keys.cache_.data());
  }
  static const auto* cache(const KeyAgg& keys) {
    return reinterpret_cast<const secp256k1_musig_keyagg_cache*>(keys.cache_.data());
  }
  static std::vector<PubKey33>& list(KeyAgg& keys) { return keys.keys_; }
  static auto* secret(SecNonce& nonce) {
    return reinterpret_cast<secp256k1_musig_secnonce*>(nonce.bytes_.data());
  }
  static void live(SecNonce& nonce, const PubNonce& told, const PubKey33& key) {
    nonce.public_ = told;
    nonce.key_ = key;
    nonce.live_ = true;
  }
  static Session session(KeyAgg keys, const Hash32& message) {
    Session out(std::move(keys));
    out.message_ = message;
    return out;
  }
  static auto* opaque(Session& session) {
    return reinterpret_cast<secp256k1_musig_session*>(session.opaque_.data());
  }
  static const auto* opaque(const Session& session) {
    return reinterpret_cast<const secp256k1_musig_session*>(session.opaque_.data());
  }
};

namespace {

static_assert(sizeof(secp256k1_musig_keyagg_cache) == 197);
static_assert(sizeof(secp256k1_musig_secnonce) == 132);
static_assert(sizeof(secp256k1_musig_session) == 133);

// k1 and k2 stand behind four bytes by which the module knows its struct, the key's 64 bytes after.
constexpr std::uint8_t kSecNonceMagic[] = {0x22, 0x0e, 0xdc, 0xf1};

Error refused(const char* why) { return Error{ErrorKind::Refused, why}; }

PubNonce serialize(const secp256k1_musig_pubnonce& nonce) {
  PubNonce out{};
  ROULETTE_ASSERT(secp256k1_musig_pubnonce_serialize(context(), out.data(), &nonce) == 1);
  return out;
}

// Erased when it goes.
struct KeyPair {
  secp256k1_keypair raw;
  KeyPair() = default;
  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;
  ~KeyPair() { explicit_bzero(&raw, sizeof raw); }
};

}  // namespace

// ---- keys ----

Result<std::variant<KeyAgg, InvalidContribution>> KeyAgg::create(std::span<const PubKey33> keys) {
  if (keys.empty() || keys.size() > kMaxParticipants)
    return refused("a key aggregate has 1 to 128 keys");
  std::vector<Point> points;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto point = Point::parse(keys[i]);
    if (!point) return std::variant<KeyAgg, InvalidContribution>(InvalidContribution{i});
    points.push_back(*point);
  }
  std::vector<const secp256k1_pubkey*> pointers;
  for (const Point& point : points) pointers.push_back(raw(point));
  KeyAgg out = Access::keys();
  Access::list(out).assign(keys.begin(), keys.end());
  if (secp256k1_musig_pubkey_agg(context(), nullptr, Access::cache(out), pointers.data(),
                                 pointers.size()) != 1)
    return refused("the keys add up to nothing");
  return std::variant<KeyAgg, InvalidContribution>(std::move(out));
}

Status KeyAgg::tweak(const ByteArray<32>& value, TweakMode mode) {
  const auto add = mode == TweakMode::XOnly ? secp256k1_musig_pubkey_xonly_tweak_add
                                            : secp256k1_musig_pubkey_ec_tweak_add;
  if (add(context(), nullptr, Access::cache(*this), value.data()) == 1) return {};
  return refused("the tweak is not below the order, or leaves no key");
}

PubKey33 KeyAgg::key() const {
  Point point;
  ROULETTE_ASSERT(secp256k1_musig_pubkey_get(context(), raw(point), Access::cache(*this)) == 1);
  return point.serialize();
}

// ---- nonces ----

SecNonce::SecNonce(SecNonce&& other) noexcept
    : bytes_(std::move(other.bytes_)),
      public_(other.public_),
      key_(other.key_),
      live_(std::exchange(other.live_, false)) {}

SecNonce& SecNonce::operator=(SecNonce&& other) noexcept {
  if (this == &other) return *this;
  bytes_ = std::move(other.bytes_);
  public_ = other.public_;
  key_ = other.key_;
  live_ = std::exchange(other.live_, false);
  return *this;
}

SecNonce SecNonce::from_bytes(const Secret<64>& scalars, const PubKey33& key) {
  SecNonce out;
  const auto point = Point::parse(key);
  ROULETTE_ASSERT(point.has_value());
  auto* bytes = out.bytes_.data();
  bytes = std::copy(std::begin(kSecNonceMagic), std::end(kSecNonceMagic), bytes);
  bytes = std::copy_n(scalars.data(), 64, bytes);
  std::copy(point->opaque.begin(), point->opaque.end(), bytes);
  PubNonce told{};
  Point r1, r2;
  if (secp256k1_ec_pubkey_create(context(), raw(r1), scalars.data()) == 1 &&
      secp256k1_ec_pubkey_create(context(), raw(r2), scalars.data() + 32) == 1) {
    const PubKey33 first = r1.serialize(), second = r2.serialize();
    std::copy(second.begin(), second.end(), std::copy(first.begin(), first.end(), told.begin()));
    Access::live(out, told, key);
  }
  return out;
}

Result<SecNonce> nonce_gen(Secret<32> random, const Secret<32>* secret, const PubKey33& key,
                           const std::optional<ByteArray<32>>& extra) {
  const auto point = Point::parse(key);
  if (!point) return refused("the public key is no point");
  SecNonce out;
  secp256k1_musig_pubnonce told;
  const int made = secp256k1_musig_nonce_gen(
      context(), Access::secret(out), &told, random.data(),
      secret == nullptr ? nullptr : secret->data(), raw(*point), nullptr, nullptr,
      extra ? extra->data() : nullptr);
  if (!declassify(made)) return refused("the nonce's random bytes are zero, or the key is none");
  Access::live(out, serialize(told), key);
  return out;
}

std::variant<AggNonce, InvalidContribution> nonce_agg(std::span<const PubNonce> nonces) {
  std::vector<secp256k1_musig_pubnonce> parsed(nonces.size());
  std::vector<const secp256k1_musig_pubnonce*> pointers;
  for (std::size_t i = 0; i < nonces.size(); ++i) {
    if (secp256k1_musig_pubnonce_parse(context(), &parsed[i], nonces[i].data()) != 1)
      return InvalidContribution{i};
    pointers.push_back(&parsed[i]);
  }
  secp256k1_musig_aggnonce sum;
  AggNonce out{};
  ROULETTE_ASSERT(!pointers.empty());
  ROULETTE_ASSERT(
      secp256k1_musig_nonce_agg(context(), &sum, pointers.data(), pointers.size()) == 1);
  ROULETTE_ASSERT(secp256k1_musig_aggnonce_serialize(context(), out.data(), &sum) == 1);
  return out;
}

// ---- sessions ----

Result<Session> Session::open(KeyAgg keys, const AggNonce& nonce, const Hash32& message) {
  secp256k1_musig_aggnonce parsed;
  if (secp256k1_musig_aggnonce_parse(context(), &parsed, nonce.data()) != 1)
    return refused("the aggregate nonce is not two points");
  Session out = Access::session(std::move(keys), message);
  if (secp256k1_musig_nonce_process(context(), Access::opaque(out), &parsed, message.data(),
                                    Access::cache(out.keys())) != 1)
    return refused("the module refuses the session");
  return out;
}

Result<PartialSig> sign(SecNonce&& nonce, const Secret<32>& secret, const Session& session) {
  SecNonce taken = std::move(nonce);
  if (taken.used()) return refused("the secret nonce was used already");
  KeyPair pair;
  if (!declassify(secp256k1_keypair_create(context(), &pair.raw, secret.data())))
    return refused("the secret key is out of range");
  Point own;
  ROULETTE_ASSERT(secp256k1_keypair_pub(context(), raw(own), &pair.raw) == 1);
  const auto& keys = session.keys().keys();
  if (std::find(keys.begin(), keys.end(), own.serialize()) == keys.end())
    return refused("the signer is outside the session");
  // The module ends the process when a nonce meets another key than its own.
  if (taken.key() != own.serialize()) return refused("the secret nonce was made for another key");
  secp256k1_musig_partial_sig share;
  if (!declassify(secp256k1_musig_partial_sign(context(), &share, Access::secret(taken), &pair.raw,
                                               Access::cache(session.keys()),
                                               Access::opaque(session))))
    return refused("the module refuses to sign");
  PartialSig out{};
  ROULETTE_ASSERT(secp256k1_musig_partial_sig_serialize(context(), out.data(), &share) == 1);
  return out;
}

bool verify_share(const Session& session, const PubKey33& key, const PubNonce& nonce,
                  const PartialSig& share) {
  const auto& keys = session.keys().keys();
  if (std::find(keys.begin(), keys.end(), key) == keys.end()) return false;
  const auto point = Point::parse(key);
  secp256k1_musig_pubnonce parsed;
  secp256k1_musig_partial_sig part;
  return point && secp256k1_musig_pubnonce_parse(context(), &parsed, nonce.data()) == 1 &&
         secp256k1_musig_partial_sig_parse(context(), &part, share.data()) == 1 &&
         secp256k1_musig_partial_sig_verify(context(), &part, &parsed, raw(*point),
                                            Access::cache(session.keys()),
                                            Access::opaque(session)) == 1;
}

std::variant<Signature, InvalidContribution> aggregate(const Session& session,
                                                       std::span<const PartialSig> shares) {
  std::vector<secp256k1_musig_partial_sig> parsed(shares.size());
  std::vector<const secp256k1_musig_partial_sig*> pointers;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (secp256k1_musig_partial_sig_parse(context(), &parsed[i], shares[i].data()) != 1)
      return InvalidContribution{i};
    pointers.push_back(&parsed[i]);
  }
  Signature out{};
  ROULETTE_ASSERT(!pointers.empty());
  ROULETTE_ASSERT(secp256k1_musig_partial_sig_agg(context(), out.data(), Access::opaque(session),
                                                  pointers.data(), pointers.size()) == 1);
  return out;
}

}  // namespace roulette::crypto::musig2
