// How long something is left to itself before it gets help, by what it usually takes.
//
// Invariant: between `least` and `most`, and four times the moving median of what was observed.
// Each observation moves the median by one stride, however large it is, so neither one that is slow
// among quick ones nor a burst of those that waited for one buys time.
#pragma once

#include <algorithm>

#include "common/base/time.h"

namespace roulette::coordinator {

// However steadily its answers drip, a session gets company after this.
inline constexpr Duration kSessionDripsMost = seconds(1);
// A live owner's withdrawal gets help between limits::kOwnerPatience and this.
inline constexpr Duration kOwnerPatienceMost = seconds(4);
// What a node lost is sent again by one coordinator for so long, while that makes progress.
inline constexpr Duration kResendPatienceMost = seconds(15);

class Patience {
 public:
  constexpr Patience(Duration least, Duration most)
      : least_(least), least_usual_{least.us / kFactor / 2}, most_usual_{most.us / kFactor},
        usual_(least_usual_) {}

  void took(Duration span) {
    const Duration stride{usual_.us / kStrides};
    usual_ = span > usual_ ? usual_ + stride : usual_ - stride;
    // Above, nothing would change now, and be unlearnt slowly; at half of the least a few that are
    // late are not felt, and it is left soon when all are.
    usual_ = std::clamp(usual_, least_usual_, most_usual_);
  }
  [[nodiscard]] Duration now() const { return std::max(least_, usual_ * kFactor); }

 private:
  // Of sessions under load, whose answers take 64 ms in the median, nine in ten end within it.
  static constexpr std::int64_t kFactor = 4;
  static constexpr std::int64_t kStrides = 16;

  Duration least_;
  Duration least_usual_, most_usual_;
  Duration usual_;
};

}  // namespace roulette::coordinator
