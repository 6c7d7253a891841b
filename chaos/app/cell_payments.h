// The withdrawals of one cell of the matrix: a small closed load through both coordinators, and
// what its clients see of each withdrawal.
//
// Invariant: what is said about a withdrawal is what a coordinator answered to a client; nothing is
// read behind the coordinators' backs. It arms, kills and judges nothing.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "chaos/live/load.h"
#include "chaos/live/supervisor.h"
#include "common/runtime/event_loop.h"

namespace roulette::chaos {

class CellPayments {
 public:
  CellPayments(runtime::EventLoop& loop, Load& load, const Supervisor& supervisor,
               std::size_t coordinators);

  // Keeps so many under way, each sent when the one before it is signed, `most` in all.
  void feed(std::size_t at_once, std::size_t most);
  void stop_feeding();
  std::size_t request(std::size_t coordinator);

  [[nodiscard]] std::size_t made() const { return numbers_.size(); }
  [[nodiscard]] std::vector<std::size_t> unsigned_ones() const;
  [[nodiscard]] bool signed_all(const std::vector<std::size_t>& numbers) const;
  [[nodiscard]] bool all_signed() const { return unsigned_ones().empty(); }
  [[nodiscard]] bool all_broadcast() const;
  [[nodiscard]] std::vector<std::size_t> rejected() const;
  [[nodiscard]] WithdrawalSeen seen(std::size_t number) const { return load_.seen(number); }
  // From sending to the moment a client saw it signed; the slowest of this cell.
  [[nodiscard]] Duration slowest() const { return slowest_; }

 private:
  struct One {
    std::size_t number = 0;
    bool done = false;  // signed, as a client saw
    std::uint32_t polls = 0;
  };
  void tick();
  void refill();
  void ask();

  runtime::EventLoop& loop_;
  Load& load_;
  const Supervisor& supervisor_;
  std::size_t coordinators_;
  runtime::Timer timer_;
  std::vector<One> numbers_;
  std::size_t at_once_ = 0, most_ = 0;
  std::uint64_t ticks_ = 0;
  Duration slowest_{};
};

}  // namespace roulette::chaos
