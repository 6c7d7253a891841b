// Internal to common/crypto: what a Quorum keeps, and the door to a Session's fields for the free
// functions.
//
// Invariant: immutable after create; everything in it is public.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "common/crypto/frost.h"
#include "common/crypto/scalar.h"

namespace roulette::crypto::frost {

struct Quorum::Data {
  TweakContext key;
  std::vector<SignerId> ids;           // ascending
  std::vector<PubShare33> shares;      // by position in ids
  std::vector<Point> points;           // the same, parsed
  std::vector<std::uint32_t> xs;       // the same ids as evaluation points
  Scalar aggregate_tweak{};            // g * tacc
  Bytes binding_prefix;                // u || ids, as the nonce coefficient's hash wants them
  XOnly output_key{};

  // g * gacc * lambda_i of ids[index]: what multiplies e and the share.
  [[nodiscard]] Scalar coefficient(std::size_t index) const;
};

struct SessionAccess {
  static const Quorum::Data& data(const Session& s) { return *s.quorum_.data_; }
  static const Quorum::Data& data(const Quorum& q) { return *q.data_; }
  static const std::vector<Point>& nonce_points(const Session& s) { return s.nonce_points_; }
  static const XOnly& r_x(const Session& s) { return s.r_x_; }
  static bool r_odd(const Session& s) { return s.r_odd_; }
  static const Scalar& b(const Session& s) { return s.b_; }
  static const Scalar& e(const Session& s) { return s.e_; }
};

// R1 and R2 of a public nonce; nothing where either is not a point.
[[nodiscard]] std::optional<std::pair<Point, Point>> parse_nonce(const PubNonce& nonce);
// e = H("BIP0340/challenge", x(R) || x(Q) || m), as a scalar.
[[nodiscard]] Scalar challenge(const XOnly& r, const XOnly& q, ByteSpan message);
// Before a signer makes a share: that its nonce is fresh and in range, that it is the signer and
// the public share that the quorum lists, and that `listed` (none: not known) is its nonce. Gives
// its position. The nonce is the callee's already.
[[nodiscard]] Result<std::size_t> check_signer(const SecNonce& taken, const SecretShare& share,
                                               const Quorum& quorum,
                                               std::span<const PubNonce> listed);
// The encoding of an aggregate: an identity is 33 zero bytes.
[[nodiscard]] AggNonce encode_aggregate(const std::optional<Point>& r1,
                                        const std::optional<Point>& r2);

}  // namespace roulette::crypto::frost
