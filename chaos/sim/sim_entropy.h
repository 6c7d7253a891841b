// A machine's randomness in a simulation: drawn from the run's seed, so that a run can be repeated.
//
// Invariant: one source per process and run, never rewound: a restarted process draws other bytes.
// For the simulator only; daemons never link it (a seeded nonce is a stolen key).
#pragma once

#include "chaos/plan/prng.h"
#include "common/base/entropy.h"

namespace roulette::sim {

class SimEntropy final : public EntropySource {
 public:
  explicit SimEntropy(std::uint64_t seed) : prng_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(prng_.next() >> 24);
  }

 private:
  chaos::Prng prng_;
};

}  // namespace roulette::sim
