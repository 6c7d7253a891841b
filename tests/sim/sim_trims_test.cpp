// The log's beginning goes while processes are down or stand still.
#include <iostream>

#include "tests/sim/sim_check.h"

namespace roulette::sim {
namespace {

constexpr std::uint16_t kReplicas = 3;
constexpr ProcessName kFirst{Role::Ledger, 0};
constexpr ProcessName kLast{Role::Ledger, 2};

StoryOptions busy_story(std::uint64_t seed) {
  StoryOptions options;
  options.world.seed = seed;
  options.world.block_interval = milliseconds(250);
  options.payments = 12;
  options.think = {milliseconds(5), milliseconds(60)};
  return options;
}

Fault strike_at(Duration at, ProcessName victim, Blow blow, Duration down) {
  Fault fault;
  fault.at = at;
  fault.a = victim;
  fault.blow = blow;
  fault.down = down;
  return fault;
}

TEST_CASE("a replica that is down while the log is trimmed starts from a snapshot") {
  std::size_t loaded = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    StoryOptions options = busy_story(seed);
    options.faults = {strike_at(milliseconds(60), kLast, Blow::Kill, milliseconds(1500))};
    const Outcome outcome = require_green(options);
    CHECK(outcome.counts.trims > 0);
    loaded += outcome.counts.snapshots_loaded;
  }
  CHECK(loaded >= 10);
}

TEST_CASE("all replicas down at once start from the snapshot, with nothing but the log's store") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    StoryOptions options = busy_story(seed);
    options.world.over_budget = true;
    for (std::uint16_t i = 0; i < kReplicas; ++i) {
      options.faults.push_back(
          strike_at(milliseconds(1200), {Role::Ledger, i}, Blow::Kill, milliseconds(100)));
    }
    const Outcome outcome = require_green(options);
    CHECK(outcome.counts.snapshots_loaded >= kReplicas);
  }
}

TEST_CASE("a proposer that stood still while its index was trimmed writes nothing") {
  std::size_t stale = 0;
  std::size_t stories = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    StoryOptions options = busy_story(seed);
    // The preferred proposer, in the middle of whatever it does.
    const Duration at = milliseconds(40) + microseconds(static_cast<std::int64_t>(seed) * 1'700);
    options.faults = {strike_at(at, kFirst, Blow::Pause, milliseconds(1500))};
    const Outcome outcome = require_green(options);
    stale += outcome.counts.stale_behind_trim;
    ++stories;
  }
  std::cout << stories << " stories: " << stale << " proposals for an index that was trimmed\n";
  CHECK(stale > 0);
}

TEST_CASE("without snapshots nothing is trimmed and nothing loaded") {
  StoryOptions options = busy_story(1);
  options.world.snapshot_interval = 0;
  const Outcome outcome = require_green(options);
  CHECK(outcome.counts.snapshots == 0);
  CHECK(outcome.counts.trims == 0);
}

}  // namespace
}  // namespace roulette::sim
