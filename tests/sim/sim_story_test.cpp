// The simulated cluster without faults, and the same run twice.
#include "tests/sim/sim_check.h"

namespace roulette::sim {

TEST_CASE("three withdrawals settle without faults") {
  const Outcome outcome = require_green({});
  CHECK(outcome.counts.kills == 0);
  CHECK(outcome.counts.encoded_messages > 50);
  for (const Answer& answer : outcome.records.answers) CHECK(answer.status / 100 == 2);
  CHECK(outcome.slowest_signing < milliseconds(20));
  // The third payment spends change of the first two.
  std::size_t children = 0;
  for (const wire::WithdrawalView& view : outcome.records.ledgers[0].withdrawals) {
    children += view.planned->prevouts.size() == 2 ? 1 : 0;
  }
  CHECK(children == 1);
}

TEST_CASE("the same seed gives the same run, another seed another") {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const StoryOptions options = draw_story(seed);
    const Outcome once = run_story(options);
    const Outcome again = run_story(draw_story(seed));
    INFO(to_text(options));
    CHECK(once.trace_hash == again.trace_hash);
    CHECK(once.events == again.events);
    hashes.insert(once.trace_hash);
  }
  CHECK(hashes.size() == 8);
}

}  // namespace roulette::sim
