// How long a signing session is left alone before another quorum is asked beside it.
//
// Invariant: between kSignerOverdue and kSessionPatienceMost, and four times the moving median of
// what an answer took. Each answer moves the median by one stride, however late it came, so neither
// a signer that is slow among quick ones nor a burst of answers that waited for one buys time.
#pragma once

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::coordinator {

class Patience {
 public:
  void answered(Duration after) {
    const Duration stride{std::max(usual_.us / kStrides, kLeastStride.us)};
    usual_ = after > usual_ ? usual_ + stride : usual_ - stride;
    // More would change nothing now, and be unlearnt slowly when the answers are quick again.
    usual_ = std::clamp(usual_, Duration{}, kMostUsual);
  }
  [[nodiscard]] Duration now() const { return std::max(limits::kSignerOverdue, usual_ * kFactor); }

 private:
  // Of sessions under load, whose answers take 64 ms in the median, nine in ten end within it.
  static constexpr std::int64_t kFactor = 4;
  static constexpr std::int64_t kStrides = 16;
  static constexpr Duration kLeastStride = microseconds(100);
  static constexpr Duration kMostUsual{limits::kSessionPatienceMost.us / kFactor};

  Duration usual_{};
};

}  // namespace roulette::coordinator
