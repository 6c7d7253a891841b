// Independent pieces of work, numbered 0, 1, ..., spread over child processes.
//
// Invariant: a piece runs in one child that shares no mutable state with any other but the counter
// that hands out numbers, so results do not depend on how many children there are. When it ends
// early the pieces that ran are 0..n-1 without a gap. A piece that ends its child (a failed assert)
// or that gives no answer in time is reported with its number and does not end the rest.
// It does not order results: `done` is called in the order in which they come.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.h"

namespace roulette::chaos {

struct FanOutPlan {
  std::uint64_t pieces = 1;
  unsigned jobs = 1;
  double answer_within_s = 120;  // a piece without an answer is killed and reported
};

struct FanOutHooks {
  std::function<std::string(std::uint64_t piece)> work;  // in a child; the result as bytes
  std::function<void(std::uint64_t piece, std::string result)> done;
  std::function<void(std::uint64_t piece, const std::string& why)> broke;
  std::function<bool()> go_on;  // ten times a second; false: no further piece is begun
};

// How many pieces ran. Must be called while the process has one thread.
[[nodiscard]] Result<std::uint64_t> fan_out(const FanOutPlan& plan, const FanOutHooks& hooks);

// One piece in a child of its own: its result, or how it broke.
struct Isolated {
  std::string result;
  std::string broke;  // empty: it did not
};
[[nodiscard]] Result<Isolated> isolated(const std::function<std::string()>& work,
                                        double answer_within_s = 120);

// True once SIGINT or SIGTERM came; the handlers are set by the first call and stay.
[[nodiscard]] bool interrupted();
[[nodiscard]] unsigned usable_cores();

}  // namespace roulette::chaos
