// Virtual time: what happens next, in one thread, ordered by (instant, number of the order).
//
// Invariant: equal runs order equal actions equally; time never runs backwards. It knows nothing
// about what the actions do. A heap of small entries; the actions stay where they were put, in
// slots that are used again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace roulette::sim {

class Agenda {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t done() const { return done_; }
  void at(Instant when, std::function<void()> action) {
    heap_.push_back({std::max(when, now_), ++ordered_, slot_for(std::move(action))});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(Duration delay, std::function<void()> action) { at(now_ + delay, std::move(action)); }
  // The next action, unless nothing is left.
  bool run_one() {
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Entry next = heap_.back();
    heap_.pop_back();
    now_ = next.when;
    ++done_;
    const std::function<void()> action = std::exchange(actions_[next.slot], nullptr);
    free_.push_back(next.slot);
    action();
    return true;
  }

 private:
  struct Entry {
    Instant when;
    std::uint64_t order = 0;
    std::size_t slot = 0;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.when != b.when ? b.when < a.when : b.order < a.order;
  }
  std::size_t slot_for(std::function<void()> action) {
    if (free_.empty()) {
      actions_.push_back(std::move(action));
      return actions_.size() - 1;
    }
    const std::size_t slot = free_.back();
    free_.pop_back();
    actions_[slot] = std::move(action);
    return slot;
  }

  Instant now_{1'000'000};
  std::uint64_t ordered_ = 0;
  std::uint64_t done_ = 0;
  std::vector<Entry> heap_;
  std::vector<std::function<void()>> actions_;
  std::vector<std::size_t> free_;
};

}  // namespace roulette::sim
