// Which views a bundle has: see views.h.
#include "chaos/evidence/views.h"

#include "chaos/evidence/bundle_files.h"

namespace roulette::evidence {

std::vector<View> views_of(const Facts& facts) {
  return {{"junit.xml", junit_xml(facts)},
          {"operations.csv", operations_csv(facts)},
          {"chaos-toolkit/journal.json", chaos_toolkit_journal(facts)},
          {"oscal/assessment-plan.json", oscal_plan(facts)},
          {"oscal/assessment-results.json", oscal_results(facts)},
          {kReportModelFile, report_json(facts)}};
}

}  // namespace roulette::evidence
