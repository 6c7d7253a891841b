// The simulated cluster without faults.
#include <catch2/catch.hpp>

#include "chaos/sim/story.h"

namespace roulette::sim {

TEST_CASE("three withdrawals settle without faults") {
  const Outcome outcome = run_story({});
  for (const Violation& violation : outcome.violations) {
    UNSCOPED_INFO(violation.id << ": " << violation.text);
  }
  INFO(outcome.trace);
  CHECK(outcome.violations.empty());
}

}  // namespace roulette::sim
