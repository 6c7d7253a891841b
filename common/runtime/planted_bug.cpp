// Reading the one variable: see planted_bug.h.
//
// Invariant: nothing else of the environment is looked at.
#include "common/runtime/planted_bug.h"

#include <cstdlib>

#include "common/base/mutants.h"

namespace roulette::runtime {

std::string planted_bug_wanted() {
  const char* name = std::getenv(kPlantedBugVariable);
  return name == nullptr ? "" : name;
}

Status choose_planted_bug() {
  const std::string name = planted_bug_wanted();
  if (name.empty()) return {};
#ifdef ROULETTE_MUTANTS
  if (mutants::select(name)) return {};
  return Error{ErrorKind::Usage,
               std::string(kPlantedBugVariable) + ": no planted bug is called " + name};
#else
  return Error{ErrorKind::Usage, std::string(kPlantedBugVariable) +
                                     " is set, and this build has no planted bugs (tools/mutants "
                                     "makes one that has)"};
#endif
}

}  // namespace roulette::runtime
