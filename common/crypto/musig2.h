// MuSig2 (BIP 327) by libsecp256k1's module, as values of this project: keys, nonces, sessions,
// shares.
//
// Invariant: a secret nonce makes at most one share: sign() takes it away before the first thing
// that can fail, and it is erased on every path. No arithmetic of ours: the module's answers are
// passed on. Messages have 32 bytes, as the module wants them; a sighash has.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/entropy.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/crypto/frost.h"
#include "common/crypto/schnorr.h"

namespace roulette::crypto::musig2 {

inline constexpr std::size_t kMaxParticipants = 128;

using PubNonce = ByteArray<66>;    // R1 || R2, compressed
using AggNonce = ByteArray<66>;    // sums; an identity is 33 zero bytes
using PartialSig = ByteArray<32>;  // scalar, big endian
using frost::TweakMode;

// Whose bytes are to blame, by position in the list handed in.
struct InvalidContribution {
  std::size_t index = 0;
};

// The aggregate of a list of keys, in the order of the list, with the tweaks applied so far.
class KeyAgg {
 public:
  // Refuses an empty list and more than 128 keys; names the first key that is no point.
  [[nodiscard]] static Result<std::variant<KeyAgg, InvalidContribution>> create(
      std::span<const PubKey33> keys);
  // Refuses a tweak >= order and a key tweaked to infinity.
  [[nodiscard]] Status tweak(const ByteArray<32>& value, TweakMode mode);

  [[nodiscard]] PubKey33 key() const;  // after all tweaks
  [[nodiscard]] XOnly output_key() const { return xonly(key()); }
  [[nodiscard]] const std::vector<PubKey33>& keys() const { return keys_; }

 private:
  friend struct Access;
  KeyAgg() = default;
  std::vector<PubKey33> keys_;
  ByteArray<197> cache_{};  // secp256k1_musig_keyagg_cache
};

// Move-only; used or moved from, it is empty and zero.
class SecNonce {
 public:
  SecNonce() = default;
  SecNonce(SecNonce&& other) noexcept;
  SecNonce& operator=(SecNonce&& other) noexcept;
  ~SecNonce() = default;

  // k1 || k2 || public key, for official vectors: the module has no way in. Relies on its memory
  // format, which the vectors then check.
  [[nodiscard]] static SecNonce from_bytes(const Secret<64>& scalars, const PubKey33& key);

  [[nodiscard]] const PubNonce& public_nonce() const { return public_; }
  [[nodiscard]] const PubKey33& key() const { return key_; }  // it was made for
  [[nodiscard]] bool used() const { return !live_; }

 private:
  friend struct Access;
  Secret<132> bytes_;  // secp256k1_musig_secnonce
  PubNonce public_{};
  PubKey33 key_{};
  bool live_ = false;
};

// `random`: 32 fresh bytes, consumed. `extra`: 32 bytes that name the pool instead of the session.
[[nodiscard]] Result<SecNonce> nonce_gen(Secret<32> random, const Secret<32>* secret,
                                         const PubKey33& key,
                                         const std::optional<ByteArray<32>>& extra);
[[nodiscard]] std::variant<AggNonce, InvalidContribution> nonce_agg(
    std::span<const PubNonce> nonces);

// One message under one aggregate nonce.
class Session {
 public:
  // Refuses an aggregate nonce that is not two points or identities.
  [[nodiscard]] static Result<Session> open(KeyAgg keys, const AggNonce& nonce,
                                            const Hash32& message);
  [[nodiscard]] const KeyAgg& keys() const { return keys_; }
  [[nodiscard]] const Hash32& message() const { return message_; }

 private:
  friend struct Access;
  explicit Session(KeyAgg keys) : keys_(std::move(keys)) {}
  KeyAgg keys_;
  Hash32 message_{};
  ByteArray<133> opaque_{};  // secp256k1_musig_session
};

// Takes the nonce. Refuses a used one, a secret key out of range, one that is not among the
// session's keys, and one that the nonce was not made for.
[[nodiscard]] Result<PartialSig> sign(SecNonce&& nonce, const Secret<32>& secret,
                                      const Session& session);
// False also for bytes that are no scalar, point or nonce, and a key outside the session.
[[nodiscard]] bool verify_share(const Session& session, const PubKey33& key, const PubNonce& nonce,
                                const PartialSig& share);
// Adds; whether the sum verifies is the caller's question. Names a share that is no scalar.
[[nodiscard]] std::variant<Signature, InvalidContribution> aggregate(
    const Session& session, std::span<const PartialSig> shares);

}  // namespace roulette::crypto::musig2
