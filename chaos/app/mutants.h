// The parts of `roulette mutants` that only a build with planted bugs has.
//
// Invariant: a row of the table decides what has to fail; nothing here adds to it. The simulator's
// hunt stands in mutants.cpp, real processes in mutants_live.cpp.
#pragma once

#include <vector>

#include "chaos/app/commands.h"
#include "common/base/mutants.h"

namespace roulette::chaos {

// Each of them that has a live cell, one experiment after the other; the exit code.
[[nodiscard]] int hunt_live(const MutantOptions& options,
                            const std::vector<const mutants::Mutant*>& wanted);

}  // namespace roulette::chaos
