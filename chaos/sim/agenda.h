// Virtual time: what happens next, in one thread, ordered by (instant, number of the order).
//
// Invariant: equal runs order equal actions equally; time never runs backwards. It knows nothing
// about what the actions do. A heap of small entries; the actions stay where they were put, in
// slots that are used again, and what they hold stands in the slot itself: a run orders thousands,
// and an allocation each would be most of its cost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace roulette::sim {

// A closure that is called once, where it stands. Neither copied nor moved; empty or full.
class Action {
 public:
  Action() = default;
  Action(const Action&) = delete;
  Action& operator=(const Action&) = delete;
  ~Action() { clear(); }

  template <class F>
  void put(F&& action) {
    using Held = std::decay_t<F>;
    if constexpr (sizeof(Held) <= kRoom && alignof(Held) <= alignof(std::max_align_t)) {
      new (room_) Held(std::forward<F>(action));
      end_ = [](void* room, bool call) {
        Held* held = std::launder(static_cast<Held*>(room));
        if (call) (*held)();
        else held->~Held();
      };
    } else {
      put([held = std::make_unique<Held>(std::forward<F>(action))] { (*held)(); });
    }
  }
  void call() { end_(room_, true); }
  void clear() {
    if (auto* const end = std::exchange(end_, nullptr)) end(room_, false);
  }

 private:
  static constexpr std::size_t kRoom = 104;
  alignas(std::max_align_t) std::byte room_[kRoom];
  void (*end_)(void*, bool) = nullptr;
};

class Agenda {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t done() const { return done_; }
  template <class F>
  void at(Instant when, F&& action) {
    const std::uint32_t slot = free_slot();
    actions_[slot].put(std::forward<F>(action));
    heap_.push_back({std::max(when, now_), ++ordered_, slot});
    std::push_heap(heap_.begin(), heap_.end(), Later());
  }
  template <class F>
  void after(Duration delay, F&& action) {
    at(now_ + delay, std::forward<F>(action));
  }
  // The next action, unless nothing is left.
  bool run_one() {
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), Later());
    const Entry next = heap_.back();
    heap_.pop_back();
    now_ = next.when;
    ++done_;
    Action& action = actions_[next.slot];
    action.call();  // may order more: slots never move
    action.clear();
    free_.push_back(next.slot);
    return true;
  }

 private:
  struct Entry {
    Instant when;
    std::uint64_t order = 0;
    std::uint32_t slot = 0;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.when.us != b.when.us ? b.when.us < a.when.us : b.order < a.order;
    }
  };
  std::uint32_t free_slot() {
    if (free_.empty()) {
      actions_.emplace_back();
      return static_cast<std::uint32_t>(actions_.size() - 1);
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }

  Instant now_{1'000'000};
  std::uint64_t ordered_ = 0;
  std::uint64_t done_ = 0;
  std::vector<Entry> heap_;
  std::deque<Action> actions_;
  std::vector<std::uint32_t> free_;
};

}  // namespace roulette::sim
