// Which planted bug a daemon has on: ROULETTE_MUTANT of its environment (common/base/mutants.h).
//
// Invariant: a build without planted bugs refuses to start with the variable set, and one with them
// refuses an unknown name: nobody takes a clean run for one that saw a bug.
#pragma once

#include <string>

#include "common/base/result.h"

namespace roulette::runtime {

inline constexpr const char* kPlantedBugVariable = "ROULETTE_MUTANT";

// At the start of main, before threads. Changes nothing when the variable is absent.
[[nodiscard]] Status choose_planted_bug();
// The variable's value; empty when it is not set.
[[nodiscard]] std::string planted_bug_wanted();

}  // namespace roulette::runtime
