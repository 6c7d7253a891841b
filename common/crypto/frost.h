// BIP 445 FROST signing for BIP 340 (draft 0.12): nonces, sessions, shares, aggregation, tweaks,
// blame.
//
// Invariant: a secret nonce makes at most one share: sign() takes it away before the first thing
// that can fail, and it is erased on every path. A share leaves sign() only for a session whose
// group, ids and public shares were checked. Does not know transactions, journals or connections,
// and keeps no nonce pool: the signer's core does.
//
//   Group (checked at load) -> TweakContext -> Quorum (per signer set, keep it)
//   -> Session (per message and nonces) -> sign, verify_share, aggregate
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/entropy.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/crypto/point.h"
#include "common/crypto/schnorr.h"

namespace roulette::crypto::frost {

// In the scheme's domain string and environment.json, for the draft may still move.
inline constexpr std::string_view kSchemeVersion = "BIP 445 draft 0.12";
inline constexpr std::uint16_t kMaxParticipants = 128;

using PubShare33 = PubKey33;
using PubNonce = ByteArray<66>;    // R1 || R2, compressed
using AggNonce = ByteArray<66>;    // sum of R1 || sum of R2; an identity is 33 zero bytes
using PartialSig = ByteArray<32>;  // scalar, big endian

// n participants with ids 0..n-1, any t of which sign; the polynomial's point of id i is i+1.
class Group {
 public:
  // Refuses t = 0, t > n, n > 128, a wrong number of shares, invalid points, and shares that do not
  // all lie on one polynomial of degree t-1 with Q at 0. Does not require 2t > n: that is
  // check_quorum_shape (dealer.h).
  [[nodiscard]] static Result<Group> create(std::uint16_t n, std::uint16_t t,
                                            const PubKey33& threshold_key,
                                            std::vector<PubShare33> public_shares);

  [[nodiscard]] std::uint16_t n() const { return n_; }
  [[nodiscard]] std::uint16_t t() const { return t_; }
  [[nodiscard]] const PubKey33& threshold_key() const { return threshold_key_; }
  [[nodiscard]] const std::vector<PubShare33>& public_shares() const { return public_shares_; }
  // Hash over scheme version, n, t, Q and all public shares: what a sealed share and a session are
  // bound to.
  [[nodiscard]] const Hash32& id() const { return id_; }

 private:
  friend class Quorum;
  std::uint16_t n_ = 0;
  std::uint16_t t_ = 0;
  PubKey33 threshold_key_{};
  std::vector<PubShare33> public_shares_;
  std::vector<Point> points_;
  Hash32 id_{};
};

// A participant's secret share with its id and public share. Move-only; erased when it goes.
class SecretShare {
 public:
  // Refuses a share outside 1..order-1.
  [[nodiscard]] static Result<SecretShare> create(SignerId id, Secret<32> share);

  [[nodiscard]] SignerId id() const { return id_; }
  [[nodiscard]] const PubShare33& public_share() const { return public_share_; }
  // The scalar, for sealing and signing only.
  [[nodiscard]] const Secret<32>& secret() const { return share_; }

 private:
  SecretShare() = default;
  SignerId id_{};
  Secret<32> share_;
  PubShare33 public_share_{};
};

// --- Tweaks (BIP 327's rules) --------------------------------------------------------------------

enum class TweakMode : std::uint8_t { Plain, XOnly };  // BIP 32 derivation; taproot

struct Tweak {
  ByteArray<32> value{};
  TweakMode mode = TweakMode::XOnly;
};

// For lists that come from outside: refuses another length than 32 bytes and lists of different
// length.
[[nodiscard]] Result<std::vector<Tweak>> make_tweaks(std::span<const Bytes> values,
                                                     std::span<const TweakMode> modes);

// The key that verifies, after all tweaks: Q, and the accumulated sign and tweak (gacc, tacc).
class TweakContext {
 public:
  // Refuses an invalid key, a tweak >= order and a key tweaked to infinity.
  [[nodiscard]] static Result<TweakContext> create(const PubKey33& threshold_key,
                                                   std::span<const Tweak> tweaks = {});
  // The BIP 86 wallet: one x-only tweak committing to an empty script tree.
  [[nodiscard]] static Result<TweakContext> key_path_only(const PubKey33& threshold_key);

  [[nodiscard]] Status apply(const Tweak& tweak);

  [[nodiscard]] const PubKey33& threshold_key() const { return untweaked_; }
  [[nodiscard]] PubKey33 key() const { return q_.serialize(); }
  [[nodiscard]] XOnly output_key() const { return q_.x(); }  // what signatures verify under
  [[nodiscard]] const Point& q() const { return q_; }
  [[nodiscard]] bool gacc_negative() const { return gacc_negative_; }
  [[nodiscard]] const ByteArray<32>& tacc() const { return tacc_; }

 private:
  TweakContext() = default;
  PubKey33 untweaked_{};
  Point q_;
  bool gacc_negative_ = false;  // gacc is -1
  ByteArray<32> tacc_{};        // a scalar; zero without tweaks
};

// --- Nonces --------------------------------------------------------------------------------------

// k1 || k2 with their points. Move-only; a moved-from or used nonce is zero, and sign() refuses it.
class SecNonce {
 public:
  SecNonce() = default;
  SecNonce(SecNonce&& other) noexcept;
  SecNonce& operator=(SecNonce&& other) noexcept;
  ~SecNonce() = default;

  // For official vectors and the constant-time check; a nonce out of range is refused by sign(),
  // not here.
  [[nodiscard]] static SecNonce from_bytes(Secret<64> bytes);

  // The same, where the points of these very bytes are known. Not checked: wrong ones make shares
  // that SelfCheck refuses.
  [[nodiscard]] static SecNonce from_known(Secret<64> bytes, const Point& r1, const Point& r2);

  // 66 zero bytes for a used or invalid nonce.
  [[nodiscard]] PubNonce public_nonce() const;
  [[nodiscard]] bool used() const { return !live_; }
  [[nodiscard]] bool valid() const { return valid_; }  // both halves are in 1..order-1
  [[nodiscard]] const Secret<64>& secret() const { return bytes_; }
  [[nodiscard]] const Point& r1() const { return r1_; }
  [[nodiscard]] const Point& r2() const { return r2_; }

 private:
  Secret<64> bytes_;
  Point r1_;
  Point r2_;
  bool live_ = false;
  bool valid_ = false;
};

// All optional. In a pool there is no session yet: put signer id, boot epoch and pool counter into
// `extra`.
struct NonceInput {
  const SecretShare* share = nullptr;  // mixed into the random bytes, in case those are weak
  std::optional<SignerId> signer;
  std::optional<PubShare33> public_share;
  std::optional<XOnly> threshold_key;
  std::optional<ByteSpan> message;  // empty and absent differ
  ByteSpan extra;
};

// `random`: 32 fresh bytes, consumed. Never derive them from session data. Fails only with
// probability 2^-255.
[[nodiscard]] Result<SecNonce> nonce_gen(Secret<32> random, const NonceInput& input);
[[nodiscard]] Result<SecNonce> nonce_gen(EntropySource& entropy, const NonceInput& input);

// Whose bytes are to blame, by position in the list handed in, with the bytes as proof.
struct InvalidPubNonce {
  std::size_t index = 0;
  PubNonce proof{};
};
[[nodiscard]] std::variant<AggNonce, InvalidPubNonce> nonce_agg(std::span<const PubNonce> nonces);

// --- Signer sets and sessions --------------------------------------------------------------------

// One signer set of one group under one key: parsed shares, checked once. A cheap
// handle (shared, immutable): keep one per signer set and copy it freely.
class Quorum {
 public:
  // Refuses fewer than t or more than n ids, duplicates and ids >= n. Any order; ids() is
  // ascending.
  [[nodiscard]] static Result<Quorum> create(const Group& group, const TweakContext& key,
                                             std::span<const SignerId> ids);
  // As BIP 445 states it, with the public shares of the signers only (shares[i] belongs to ids[i]):
  // also checks that they are points and interpolate to the threshold key. For peers without the
  // whole group, and the vectors.
  [[nodiscard]] static Result<Quorum> create_listed(std::uint16_t n, std::uint16_t t,
                                                    const TweakContext& key,
                                                    std::span<const SignerId> ids,
                                                    std::span<const PubShare33> shares);

  [[nodiscard]] const std::vector<SignerId>& ids() const;  // ascending
  [[nodiscard]] const TweakContext& key() const;
  [[nodiscard]] std::optional<std::size_t> index_of(SignerId id) const;

  struct Data;  // frost.cpp's

 private:
  friend class Session;
  friend struct SessionAccess;
  [[nodiscard]] static Quorum assemble(const TweakContext& key, std::vector<SignerId> ids,
                                       std::vector<PubShare33> shares, std::vector<Point> points);
  std::shared_ptr<const Data> data_;
};

// The session's aggregate nonce was not two points (or identities): the coordinator's doing.
struct InvalidAggNonce {
  AggNonce proof{};
};

// One message, one set of nonces, one quorum: b, R and e of BIP 445. Nothing in it is secret.
class Session {
 public:
  // nonces[i] belongs to quorum.ids()[i] (ascending ids): the form signers and coordinators use,
  // for it computes the aggregate itself and keeps the nonces to check shares with.
  // InvalidPubNonce.index is the position in ids(). A number of nonces that differs from the number
  // of ids is an Error.
  [[nodiscard]] static Result<std::variant<Session, InvalidPubNonce>> open(
      const Quorum& quorum, std::span<const PubNonce> nonces, ByteSpan message);
  // From somebody else's aggregate: can sign and aggregate, but neither check shares nor name a bad
  // nonce.
  [[nodiscard]] static std::variant<Session, InvalidAggNonce> open_aggregated(
      const Quorum& quorum, const AggNonce& nonce, ByteSpan message);

  [[nodiscard]] const Quorum& quorum() const { return quorum_; }
  [[nodiscard]] const AggNonce& aggnonce() const { return aggnonce_; }
  [[nodiscard]] const Bytes& message() const { return message_; }
  // The nonces handed to open(); empty after open_aggregated().
  [[nodiscard]] const std::vector<PubNonce>& nonces() const { return nonces_; }

 private:
  friend struct SessionAccess;
  Session() = default;
  void bind(const std::optional<Point>& sum1, const std::optional<Point>& sum2);
  Quorum quorum_;
  AggNonce aggnonce_{};
  Bytes message_;
  std::vector<PubNonce> nonces_;
  std::vector<Point> nonce_points_;  // R1, R2 of each signer in turn
  XOnly r_x_{};
  bool r_odd_ = false;
  ByteArray<32> b_{};
  ByteArray<32> e_{};
};

// --- Shares and signatures -----------------------------------------------------------------------

// Checking the own share before release guards against computation faults (BIP 327, BIP 445); it
// needs the session's nonces or the secret nonce's points, and costs about as much as the signing.
enum class SelfCheck : std::uint8_t { On, Off };

// Takes the nonce: it is zero afterwards whatever happened. Refuses a used nonce, a signer outside
// the quorum, a share that is not the listed one's, and a session that lists another nonce for this
// signer.
[[nodiscard]] Result<PartialSig> sign(SecNonce&& nonce, const SecretShare& share,
                                      const Session& session, SelfCheck check = SelfCheck::On);

// False for a wrong share, one out of range, and an id outside the quorum. The session must come
// from open().
[[nodiscard]] bool verify_share(const Session& session, SignerId signer, const PartialSig& share);

// What convicts a signer: its nonce and share under this session.
struct BadShare {
  SignerId signer{};
  PubNonce nonce{};  // zero when the session came from open_aggregated()
  PartialSig share{};
};
// No valid signature came out. `blamed` may be empty only after open_aggregated(), where honest
// shares cannot be told.
struct BadShares {
  std::vector<BadShare> blamed;
};

// shares[i] belongs to quorum.ids()[i]. Adds, verifies the signature once, and only on failure
// checks each share. Another number of shares than ids is an Error.
[[nodiscard]] Result<std::variant<Signature, BadShares>> aggregate(
    const Session& session, std::span<const PartialSig> shares);

}  // namespace roulette::crypto::frost
