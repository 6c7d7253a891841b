// Was the run what its file asked for? Faults fired and proven, floors met, load answered, nothing
// died by itself.
//
// Invariant: whatever is missing becomes a reason; no reason is ever dropped because another one is
// graver.
#pragma once

#include <string>
#include <vector>

#include "chaos/check/history.h"
#include "chaos/check/verdict.h"

namespace roulette::check {

struct Reasons {
  std::vector<std::string> fail;
  std::vector<std::string> inconclusive;
};

// Why the recorded proof does not prove the fault (DESIGN 5); empty when it does. The record's own
// `proven` is not believed.
[[nodiscard]] std::string proof_defect(const FaultRecord& fault);
// Counts load and faults into `verdict` and adds a reason for everything that was not as the
// experiment asked.
void weigh_coverage(const History& history, const RunFacts& facts, Verdict& verdict,
                    Reasons& reasons);

}  // namespace roulette::check
