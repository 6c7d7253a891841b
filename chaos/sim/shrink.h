// Delta debugging of a failing schedule (Zeller and Hildebrandt 2002: ddmin): fewer faults, then
// fewer payments, then options and fields of faults back at their defaults, until nothing more can
// go or the budget is used up.
//
// Invariant: what is returned fails as the schedule that came in did; `fails` saw exactly it. The
// seed never changes, for it decides every draw of the run. Works on the text form, so a new field
// of a schedule is simplified without a word here. Does not run anything itself.
#pragma once

#include <cstddef>
#include <functional>

#include "chaos/sim/schedule.h"

namespace roulette::sim {

struct ShrinkBudget {
  std::size_t runs = 500;
  std::function<bool()> go_on;  // false: stop with what is there; may be empty
};

struct Shrunk {
  Schedule schedule;
  std::size_t runs = 0;
  bool minimal = false;  // false: the budget ended it
};

// `fails`: whether this schedule shows the same violation.
[[nodiscard]] Shrunk shrink(const Schedule& failing,
                            const std::function<bool(const Schedule&)>& fails,
                            const ShrinkBudget& budget);

}  // namespace roulette::sim
