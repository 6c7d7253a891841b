// Is a planted bug found? One drawn story after another with the bug on, until the judge objects.
//
// Invariant: a seed decides, so a find can be repeated. Only builds with planted bugs have this
// file. A failed assertion ends the process: who hunts for bugs that break one uses children.
#pragma once

#include <string>
#include <vector>

#include "chaos/sim/story.h"
#include "common/base/mutants.h"

namespace roulette::sim {

// The judge's verdict on one story.
[[nodiscard]] std::vector<Violation> violations_of(const StoryOptions& options);

// The distinct ids, in the order of their first violation.
[[nodiscard]] std::vector<std::string> ids_of(const std::vector<Violation>& violations);
// One of the ids that the table names is among them.
[[nodiscard]] bool as_expected(const mutants::Mutant& mutant, const std::vector<std::string>& ids);

struct Hunted {
  std::uint64_t schedules = 0;  // run, the last one found it as its row says
  std::uint64_t reached = 0;    // how often the bug's place was: a control's green is of these
  std::vector<Violation> violations;
};
// The row's scheme; `otherwise` where it names none.
[[nodiscard]] SimScheme hunted_under(const mutants::Mutant& mutant, SimScheme otherwise);
// Seeds first, first + 1, ... at most `most` of them, under the row's scheme if it names one; stops
// at the first violation of an invariant that the row names (of a control: at any). Without one:
// the first of another invariant.
[[nodiscard]] Hunted hunt(const mutants::Mutant& mutant, std::uint64_t first, std::uint64_t most,
                          SimScheme scheme = SimScheme::Frost);

}  // namespace roulette::sim
