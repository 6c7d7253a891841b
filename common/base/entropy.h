// Where a machine's random bytes come from. Live: the kernel (runtime). Simulated: the run's seed
// (chaos/sim only).
#pragma once

#include <cstdint>
#include <span>

namespace roulette {

class EntropySource {
 public:
  virtual ~EntropySource() = default;
  // Fills `out` entirely. A live source that cannot ends the process.
  virtual void fill(std::span<std::uint8_t> out) = 0;
};

}  // namespace roulette
