// The weighing: what a whole run makes of its invariants, faults, floors and interruptions.
#include <catch2/catch.hpp>

#include "check_run.h"

namespace roulette::check::test {
namespace {

std::string all_of(const Verdict& verdict) {
  std::string out;
  for (const std::string& reason : verdict.reasons) out += reason + "\n";
  for (const InvariantResult& r : verdict.invariants) {
    out +=
        r.id + " " + status_name(r.status) + " " + std::to_string(r.checked) + " " + r.note + "\n";
    for (const std::string& v : r.violations) out += "    " + v + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("a run whose records all agree passes with all fifteen invariants checked") {
  Run run;
  const Verdict verdict = run.judged();
  INFO(all_of(verdict));
  CHECK(verdict.verdict == VerdictKind::Pass);
  CHECK(verdict.reasons.empty());
  REQUIRE(verdict.invariants.size() == 15);
  for (const InvariantResult& result : verdict.invariants) {
    INFO(result.id << " " << result.note);
    CHECK(result.status == InvariantStatus::Pass);
    CHECK(result.checked > 0);
    CHECK(result.violations.empty());
  }
}

}  // namespace roulette::check::test
