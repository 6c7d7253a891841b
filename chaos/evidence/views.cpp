// Which views a bundle has: see views.h.
#include "chaos/evidence/views.h"

namespace roulette::evidence {

std::vector<View> views_of(const Facts& facts) {
  return {{"junit.xml", junit_xml(facts)}, {"operations.csv", operations_csv(facts)}};
}

}  // namespace roulette::evidence
