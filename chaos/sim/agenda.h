// Virtual time: what happens next, in one thread, ordered by (instant, number of the order).
//
// Invariant: equal runs order equal actions equally; time never runs backwards. It knows nothing
// about what the actions do.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "common/base/time.h"

namespace roulette::sim {

class Agenda {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t done() const { return done_; }
  void at(Instant when, std::function<void()> action) {
    actions_.emplace(std::make_pair(std::max(when, now_), ++ordered_), std::move(action));
  }
  void after(Duration delay, std::function<void()> action) { at(now_ + delay, std::move(action)); }
  // The next action, unless nothing is left.
  bool run_one() {
    if (actions_.empty()) return false;
    const auto next = actions_.extract(actions_.begin());
    now_ = next.key().first;
    ++done_;
    next.mapped()();
    return true;
  }

 private:
  Instant now_{1'000'000};
  std::uint64_t ordered_ = 0;
  std::uint64_t done_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> actions_;
};

}  // namespace roulette::sim
