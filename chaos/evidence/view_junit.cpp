// JUnit XML: see views.h.
#include <algorithm>

#include "chaos/check/coverage.h"
#include "chaos/evidence/views.h"
#include "chaos/plan/xml_text.h"

namespace roulette::evidence {
namespace {

using chaos::xml_text;
using check::InvariantStatus;

enum class Result : std::uint8_t { Passed, Failed, Skipped };
struct Case {
  std::string class_name, name;
  Result result = Result::Passed;
  std::string message;
};

Case case_of(const check::InvariantResult& invariant) {
  Case out{"invariants", invariant.id, Result::Passed, {}};
  switch (invariant.status) {
    case InvariantStatus::Pass: break;
    case InvariantStatus::Fail:
      out.result = Result::Failed;
      for (const std::string& violation : invariant.violations) out.message += violation + "\n";
      break;
    case InvariantStatus::Inconclusive:
    case InvariantStatus::NotExercised:
      out.result = Result::Skipped;
      out.message = std::string(check::status_name(invariant.status)) + ": " + invariant.note;
  }
  return out;
}

Case case_of(const check::FaultRecord& fault) {
  Case out{"faults", "fault " + std::to_string(fault.fault_id) + ": " + fault.signal + " " +
                         fault.victim + " at " + fault.point,
           Result::Passed, {}};
  if (!fault.fired) {
    out.result = Result::Skipped;
    out.message = "did not fire: " + fault.why_not;
  } else if (const std::string defect = check::proof_defect(fault); !defect.empty()) {
    out.result = Result::Failed;
    out.message = "not proven: " + defect;
  }
  return out;
}

void write(std::string& out, const Case& one) {
  out += "    <testcase classname=\"" + xml_text(one.class_name) + "\" name=\"" +
         xml_text(one.name) + "\"";
  if (one.result == Result::Passed) {
    out += "/>\n";
    return;
  }
  const char* tag = one.result == Result::Failed ? "failure" : "skipped";
  out += std::string(">\n      <") + tag + " message=\"" + xml_text(one.message) + "\"" +
         (one.result == Result::Failed ? " type=\"violation\"" : "") + "/>\n    </testcase>\n";
}

std::string suite(const std::string& name, const std::vector<Case>& cases) {
  const auto count = [&](Result result) {
    return std::to_string(std::count_if(cases.begin(), cases.end(), [&](const Case& one) {
      return one.result == result;
    }));
  };
  std::string out = "  <testsuite name=\"" + xml_text(name) + "\" tests=\"" +
                    std::to_string(cases.size()) + "\" failures=\"" + count(Result::Failed) +
                    "\" errors=\"0\" skipped=\"" + count(Result::Skipped) + "\">\n";
  for (const Case& one : cases) write(out, one);
  return out + "  </testsuite>\n";
}

}  // namespace

std::string junit_xml(const Facts& facts) {
  std::vector<Case> verdict{{"verdict", "verdict", Result::Passed, {}}};
  if (facts.verdict.verdict != check::VerdictKind::Pass) {
    verdict[0].result = Result::Failed;  // inconclusive too: it is not green
    verdict[0].message = check::verdict_name(facts.verdict.verdict);
    for (const std::string& reason : facts.verdict.reasons) verdict[0].message += "\n" + reason;
  }
  std::vector<Case> invariants, faults;
  for (const auto& invariant : facts.verdict.invariants) invariants.push_back(case_of(invariant));
  for (const auto& fault : facts.history.faults) faults.push_back(case_of(fault));
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"" + xml_text(facts.run) +
         "\">\n" + suite("verdict", verdict) + suite("invariants", invariants) +
         suite("faults", faults) + "</testsuites>\n";
}

}  // namespace roulette::evidence
