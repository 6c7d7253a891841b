// A queue that is mostly empty: what waits stands in one piece of memory, which is kept.
//
// Invariant: first in, first out. std::deque takes and gives back 512 bytes for every message that
// travels alone, as most do. Not for long queues: an element moves when the memory grows.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace roulette::sim {

template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const { return first_ == items_.size(); }
  [[nodiscard]] std::size_t size() const { return items_.size() - first_; }
  [[nodiscard]] T& front() { return items_[first_]; }
  void push_back(T item) {
    if (first_ > kSpent) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
    items_.push_back(std::move(item));
  }
  void pop_front() {
    if (++first_ == items_.size()) clear();
  }
  // The first `many` stay.
  void keep(std::size_t many) {
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(first_ + many), items_.end());
    if (many == 0) clear();
  }
  void clear() {
    items_.clear();
    first_ = 0;
  }

 private:
  static constexpr std::size_t kSpent = 32;  // elements in front that are over
  std::vector<T> items_;
  std::size_t first_ = 0;
};

}  // namespace roulette::sim
