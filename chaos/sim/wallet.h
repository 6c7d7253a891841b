// The wallet of a simulated cluster: a group and its key shares, by scheme and shape.
//
// Invariant: one scheme and shape is one wallet for all runs of a process: dealing is not what is
// tested, and costs more than a schedule. Machines see the interface of scheme.h only.
#pragma once

#include <vector>

#include "chaos/sim/schedule.h"
#include "common/crypto/scheme.h"

namespace roulette::sim {

struct Wallet {
  crypto::SigningGroupPtr group;
  std::vector<crypto::KeySharePtr> shares;  // by signer
  Bytes script;
};
// n and t must make a group whose quorums meet. Each share epoch, from 1, is another sharing of one
// key: the script stays, shares of two epochs never sign together. May be called by any thread.
[[nodiscard]] const Wallet& wallet_of(SimScheme scheme, std::uint16_t n, std::uint16_t t,
                                      std::uint32_t share_epoch = 1);

}  // namespace roulette::sim
