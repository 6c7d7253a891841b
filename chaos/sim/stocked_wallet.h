// A wallet of real FROST for one run, which does not compute what this process computed before:
// nonce pairs come from a stock, and each signer set and session is opened once.
//
// Invariant: shares, aggregates and signatures are FROST's own, over these nonces; within one run
// other random bytes or another context is another pair, and the same ones are the same pair, as
// live: a nonce used twice is a machine's doing. Between runs the pairs are the same: nobody may
// link this but the simulator, for a known nonce is a stolen key. Half of a run was the making of
// nonces, much of the rest the opening of one session by each of its signers.
#pragma once

#include <memory>

#include "chaos/sim/wallet.h"

namespace roulette::sim {

inline constexpr std::size_t kStockedNonces = 4096;  // of one run; later ones are made as live

// Which pairs one run has drawn: one for all its share epochs, or they would use the same pairs.
class DrawnNonces;
[[nodiscard]] std::shared_ptr<DrawnNonces> no_nonces_drawn();

// `wallet` is of FROST and outlives what is returned.
[[nodiscard]] Wallet stocked(const Wallet& wallet, const std::shared_ptr<DrawnNonces>& drawn);

}  // namespace roulette::sim
