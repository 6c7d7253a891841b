// `stand-in`: a threshold scheme with FROST's algebra over a small field instead of a curve, for
// breadth in simulation: a signature costs nanoseconds, and everything else takes the real path.
//
// Invariant: by its algebra what FROST refuses is refused: fewer than t shares, a share under
// another nonce, session or key, a signature of another message; a bad share convicts its signer.
// Worth nothing as a signature: "k * G" is a product modulo 2^61 - 1, which anybody divides. Never
// linked by a daemon (tools/lint, tests/lint/daemon_symbols_test.py).
#pragma once

#include <vector>

#include "common/base/entropy.h"
#include "common/crypto/scheme.h"

namespace roulette::sim {

[[nodiscard]] const crypto::Scheme& stand_in_scheme();

struct StandInWallet {
  crypto::SigningGroupPtr group;
  std::vector<crypto::KeySharePtr> shares;  // by signer id
};
// Shamir's scheme, point id + 1. Any t from 1 to n: check_quorums_meet() has the last word.
[[nodiscard]] StandInWallet deal_stand_in(std::uint16_t n, std::uint16_t t,
                                          EntropySource& entropy);
// The same key, shared anew, as crypto::refresh does for FROST: `key` is the entropy of the first
// dealing from its beginning, `entropy` that of the new share epoch. t >= 2, or nothing changes.
[[nodiscard]] StandInWallet refresh_stand_in(std::uint16_t n, std::uint16_t t, EntropySource& key,
                                             EntropySource& entropy);

}  // namespace roulette::sim
