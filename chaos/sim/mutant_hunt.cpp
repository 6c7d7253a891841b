// Stories with a planted bug: see mutant_hunt.h.
//
// Invariant: select() is left at "none" when hunt() returns.
#include "chaos/sim/mutant_hunt.h"

#include <algorithm>

#include "common/base/assert.h"

namespace roulette::sim {

std::vector<Violation> violations_of(const StoryOptions& options) {
  return run_story(options).violations;
}

std::vector<std::string> ids_of(const std::vector<Violation>& violations) {
  std::vector<std::string> ids;
  for (const Violation& violation : violations) {
    if (std::find(ids.begin(), ids.end(), violation.id) == ids.end()) ids.push_back(violation.id);
  }
  return ids;
}

bool as_expected(const mutants::Mutant& mutant, const std::vector<std::string>& ids) {
  const std::string expected = " " + std::string(mutant.must_fail) + " ";
  return std::any_of(ids.begin(), ids.end(), [&](const std::string& id) {
    return expected.find(" " + id + " ") != std::string::npos;
  });
}

SimScheme hunted_under(const mutants::Mutant& mutant, SimScheme otherwise) {
  if (mutant.scheme.empty()) return otherwise;
  const auto named = scheme_named(mutant.scheme);
  ROULETTE_ASSERT(named.has_value());
  return *named;
}

Hunted hunt(const mutants::Mutant& mutant, std::uint64_t first, std::uint64_t most,
            SimScheme otherwise) {
  ROULETTE_ASSERT(mutant.simulated());
  ROULETTE_ASSERT(mutants::select(mutant.name));
  const SimScheme scheme = hunted_under(mutant, otherwise);
  Hunted hunted;
  for (bool over = false; hunted.schedules < most && !over;) {
    auto violations = violations_of(draw_story(first + hunted.schedules++, scheme));
    if (violations.empty()) continue;
    over = mutant.must_fail.empty() || as_expected(mutant, ids_of(violations));
    if (over || hunted.violations.empty()) hunted.violations = std::move(violations);
  }
  hunted.reached = mutants::reached();
  ROULETTE_ASSERT(mutants::select(""));
  return hunted;
}

}  // namespace roulette::sim
