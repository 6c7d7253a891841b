// The choice of the node that is asked: breakers, holds, and nodes that lag.
//
// Invariant tested: while one node answers and does not lag, such a one is asked; no node is left
// for a block that the other was told a moment ago.
#include <catch2/catch.hpp>

#include "coordinator/core/node_choice.h"

using namespace roulette;
using namespace roulette::coordinator;

namespace {

Instant at_ms(std::int64_t ms) {
  return Instant{} + milliseconds(ms);
}

// Both nodes say this height; true when the choice moved.
bool both_say(NodeChoice& choice, std::int64_t height, std::int64_t ms) {
  const bool first = choice.seen(0, height, at_ms(ms)).has_value();
  return choice.seen(1, height, at_ms(ms)).has_value() || first;
}

// Answered probes of node 0 until it is asked again, in milliseconds; 0 when it never is.
std::int64_t comes_back(NodeChoice& choice, std::int64_t from_ms) {
  for (std::int64_t ms = from_ms; ms < from_ms + 60'000; ms += 100) {
    if (both_say(choice, 7, ms)) return ms;
  }
  return 0;
}

}  // namespace

TEST_CASE("the first node is asked until a call of it has no answer") {
  NodeChoice choice(2);
  CHECK(choice.asked() == 0);
  CHECK_FALSE(both_say(choice, 7, 0));
  const auto change = choice.failed(0, at_ms(100));
  REQUIRE(change.has_value());
  CHECK(change->to == 1);
  CHECK(std::string(change->why) == "no-answer");
  CHECK(choice.asked() == 1);
  CHECK_FALSE(choice.failed(0, at_ms(200)).has_value());
}

TEST_CASE("a node is asked again after its hold and two answers, and not after one") {
  NodeChoice choice(2);
  both_say(choice, 7, 0);
  (void)choice.failed(0, at_ms(100));
  CHECK_FALSE(choice.seen(0, 7, at_ms(5000)).has_value());
  const auto change = choice.seen(0, 7, at_ms(5001));
  REQUIRE(change.has_value());
  CHECK(change->to == 0);
  CHECK(std::string(change->why) == "preferred-again");
}

TEST_CASE("a failure between two answers counts them anew") {
  NodeChoice choice(2);
  (void)choice.failed(0, at_ms(0));
  (void)choice.seen(0, 7, at_ms(4000));
  (void)choice.failed(0, at_ms(4001));
  CHECK_FALSE(choice.seen(0, 7, at_ms(8000)).has_value());
  CHECK(choice.seen(0, 7, at_ms(8001)).has_value());
}

TEST_CASE("a node that fails again and again is held longer each time, to a bound") {
  NodeChoice choice(2);
  both_say(choice, 7, 0);
  std::int64_t ms = 100, last = 0;
  for (int i = 0; i < 8; ++i) {
    (void)choice.failed(0, at_ms(ms));
    const std::int64_t back = comes_back(choice, ms + 100);
    REQUIRE(back != 0);
    CHECK(back - ms >= last);
    CHECK(back - ms <= kNodeMostHold.us / 1000 + 200);
    last = back - ms;
    ms = back + 100;
  }
  CHECK(last >= kNodeMostHold.us / 1000);
  // After good service the next failure costs a short hold again.
  ms += kNodeGoodService.us / 1000;
  (void)choice.failed(0, at_ms(ms));
  CHECK(comes_back(choice, ms + 100) - ms <= kNodeHold.us / 1000 + 200);
}

TEST_CASE("a node that lags is left when its patience is over, and asked again when it caught up") {
  NodeChoice choice(2);
  both_say(choice, 7, 0);
  (void)choice.seen(1, 8, at_ms(100));
  CHECK_FALSE(choice.seen(0, 7, at_ms(200)).has_value());  // a block travels
  CHECK_FALSE(choice.seen(0, 7, at_ms(2000)).has_value());
  const auto change = choice.seen(0, 7, at_ms(2100));
  REQUIRE(change.has_value());
  CHECK(change->to == 1);
  CHECK(std::string(change->why) == "lags");
  (void)choice.seen(1, 9, at_ms(2200));
  CHECK(choice.seen(0, 9, at_ms(2300)).has_value());
  CHECK(choice.asked() == 0);
}

TEST_CASE("a node that lags is better than one that does not answer") {
  NodeChoice choice(2);
  (void)choice.seen(0, 9, at_ms(0));
  (void)choice.seen(1, 5, at_ms(0));
  (void)choice.seen(1, 5, at_ms(3000));
  CHECK(choice.lags(1));
  const auto change = choice.failed(0, at_ms(3100));
  REQUIRE(change.has_value());
  CHECK(change->to == 1);
  CHECK(std::string(change->why) == "least-bad");
}

TEST_CASE("where no node answers the last one stays, and the first to answer is asked") {
  NodeChoice choice(2);
  (void)choice.failed(0, at_ms(0));
  CHECK_FALSE(choice.failed(1, at_ms(1)).has_value());
  CHECK(choice.asked() == 1);
  (void)choice.seen(0, 7, at_ms(2000));
  CHECK(choice.seen(0, 7, at_ms(2500)).has_value());
  CHECK(choice.asked() == 0);
}

TEST_CASE("a height is missing on every node only when all of them answer and say so") {
  NodeChoice choice(2);
  CHECK_FALSE(choice.all_below(9));  // nobody spoke yet
  (void)choice.seen(0, 8, at_ms(0));
  CHECK_FALSE(choice.all_below(9));
  (void)choice.seen(1, 9, at_ms(0));
  CHECK_FALSE(choice.all_below(9));
  (void)choice.failed(1, at_ms(10));
  CHECK_FALSE(choice.all_below(9));
  CHECK_FALSE(choice.all_below(10));  // the one that is away may have it
  (void)choice.seen(1, 5, at_ms(5000));
  (void)choice.seen(1, 5, at_ms(5500));
  CHECK(choice.all_below(9));
}

TEST_CASE("a single node is asked whatever it does") {
  NodeChoice choice(1);
  CHECK_FALSE(choice.failed(0, at_ms(0)).has_value());
  CHECK(choice.asked() == 0);
}
