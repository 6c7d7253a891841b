// The seeded generator of schedules and loads (xoshiro256**, Blackman and Vigna 2018, seeded by
// SplitMix64).
//
// Invariant: the same seed gives the same draws on every machine; nothing here reads a clock or a
// device. For chaos only: daemons never link it (a lint rule and a test hold this), for a seeded
// nonce would be a stolen key.
#pragma once

#include <cstdint>

namespace roulette::chaos {

class Prng {
 public:
  explicit Prng(std::uint64_t seed) {
    for (auto& word : state_) {
      seed += 0x9e3779b97f4a7c15ULL;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      word = z ^ (z >> 31);
    }
  }

  [[nodiscard]] std::uint64_t next() {
    const std::uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate_left(state_[3], 45);
    return result;
  }

  // Uniform in 0..bound-1, without modulo bias; bound 0 gives 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) {
    if (bound == 0) return 0;
    const std::uint64_t threshold = (0 - bound) % bound;
    std::uint64_t draw = next();
    while (draw < threshold) draw = next();
    return draw % bound;
  }
  // Uniform in low..high, both included.
  [[nodiscard]] std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  // Uniform in [0, 1).
  [[nodiscard]] double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  [[nodiscard]] static std::uint64_t rotate_left(std::uint64_t x, int k) {
    return x << k | x >> (64 - k);
  }
  std::uint64_t state_[4]{};
};

}  // namespace roulette::chaos
