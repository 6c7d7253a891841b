// The trusted dealer: makes a group and its shares from one entropy source (Shamir's scheme, point
// id+1).
//
// Invariant: the dealt public shares interpolate to the threshold key for every quorum
// (Group::create checks it), and coefficients are erased. The dealer sees every share: provisioning
// for tests and the launcher, not a DKG.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/entropy.h"
#include "common/base/result.h"
#include "common/crypto/frost.h"

namespace roulette::crypto {

// Refuses t = 0, t > n, n > 128 and 2t <= n: with 2t > n any two quorums share a signer, whose
// journal then stops two transactions from spending one outpoint (DESIGN 6.3). ErrorKind::Usage.
[[nodiscard]] Status check_quorum_shape(std::uint16_t t, std::uint16_t n);

// A secret in 1..order-1.
[[nodiscard]] Result<Secret<32>> draw_scalar(EntropySource& entropy);

struct DealtGroup {
  frost::Group group;
  std::vector<frost::SecretShare> shares;  // by id
};

enum class QuorumShape : std::uint8_t {
  Intersecting,  // check_quorum_shape must hold
  AnyForVectors  // t <= n suffices: tests of shapes that no cluster may have
};

[[nodiscard]] Result<DealtGroup> deal(std::uint16_t n, std::uint16_t t, EntropySource& entropy,
                                      QuorumShape shape = QuorumShape::Intersecting);

// The same key, shared anew: adds a sharing of zero, so the threshold key stays, every share and
// public share changes, and shares from before and after never sign together. Wants all shares of
// the group; refuses one that is not the group's (Usage).
[[nodiscard]] Result<DealtGroup> refresh(const frost::Group& group,
                                         const std::vector<frost::SecretShare>& shares,
                                         EntropySource& entropy);

}  // namespace roulette::crypto
