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

// The newest snapshot is damaged, then a replica without tables starts behind the trim.
StoryOptions damaged_story(std::uint64_t seed, SnapshotDamage how) {
  StoryOptions options = busy_story(seed);
  options.world.snapshot_interval = 8;
  options.world.snapshot_chunk_bytes = 512;
  options.safety = milliseconds(2500);
  Fault damage;
  damage.kind = FaultKind::DamageSnapshot;
  damage.at = milliseconds(900);
  damage.amount = static_cast<std::uint32_t>(how);
  Fault wipe = strike_at(milliseconds(902), kLast, Blow::Kill, milliseconds(30));
  wipe.kind = FaultKind::Wipe;
  options.faults = {damage, wipe};
  return options;
}

TEST_CASE("a damaged snapshot is refused, and who is behind the trim starts from the other one") {
  for (const SnapshotDamage how :
       {SnapshotDamage::FlippedChunk, SnapshotDamage::MissingChunk,
        SnapshotDamage::FlippedManifest, SnapshotDamage::AnotherState}) {
    std::size_t damaged = 0;
    std::uint64_t refused = 0;
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      const Outcome outcome = require_green(damaged_story(seed, how));
      damaged += outcome.counts.damaged_snapshots;
      refused += outcome.probes.hits(Probe::DamagedSnapshotRefused);
    }
    INFO("damage " << static_cast<int>(how));
    CHECK(damaged >= 6);
    CHECK(refused >= 3);
  }
}

// Between the tables' commit and the log's word the tables hold what the log speaks against.
TEST_CASE("a replica that dies on a wrong snapshot starts from the right one") {
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    StoryOptions options = damaged_story(seed, SnapshotDamage::AnotherState);
    options.world.over_budget = true;
    Fault strike = strike_at_place(kLast, 0, true, milliseconds(20));
    strike.point = "restore.snapshot_loaded";
    options.faults.push_back(strike);
    const Outcome outcome = require_green(options);
    refused += outcome.probes.hits(Probe::DamagedSnapshotRefused);
  }
  CHECK(refused >= 3);
}

// Its own tables know better: it need not wait for the log's word.
TEST_CASE("a replica with tables refuses another state than theirs at once") {
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    StoryOptions options = damaged_story(seed, SnapshotDamage::AnotherState);
    options.faults.back().kind = FaultKind::Strike;
    const Outcome outcome = require_green(options);
    CHECK(outcome.counts.snapshots_loaded <= 1);
    refused += outcome.probes.hits(Probe::DamagedSnapshotRefused);
  }
  CHECK(refused >= 3);
}

// Shrunk from seed 1211: a store so slow that the next interval always came first.
TEST_CASE("a slow store gets whole snapshots, and the log is trimmed") {
  const Outcome outcome = require_green_text(
      "seed 1211\nscheme stand-in\nhop 96924..109318\nblock_interval 370000\n"
      "snapshot_interval 8\nsnapshot_chunk_bytes 512\npayments 19\nsafety 5548950\n"
      "fault strike at=3757950 a=ledger-0\n");
  CHECK(outcome.counts.snapshots > 3);
  CHECK(outcome.counts.trims > 2);
}

// Shrunk from seed 9346: the damage came while the answer was on its way.
TEST_CASE("a snapshot that is damaged behind its reading was whole") {
  const Outcome outcome = require_green_text(
      "seed 9346\nscheme stand-in\nhop 63694..76580\nnode 9341..9624\nblock_interval 416000\n"
      "snapshot_interval 8\nfault strike at=1025691 a=ledger-0 blow=stop\n"
      "fault power_loss at=2763216 down=450000 a=ledger-1\nfault damage_snapshot at=3422771\n");
  CHECK(outcome.counts.damaged_snapshots == 1);
}

TEST_CASE("a manifest whose chunks were trimmed is below what anybody starts from") {
  std::size_t damaged = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    damaged += require_green(damaged_story(seed, SnapshotDamage::StaleManifest))
                   .counts.damaged_snapshots;
  }
  CHECK(damaged >= 6);
}

TEST_CASE("the last whole snapshot that a trimmed log reaches to is never damaged") {
  StoryOptions options = damaged_story(1, SnapshotDamage::FlippedChunk);
  Fault trim;
  trim.kind = FaultKind::Trim;
  trim.at = milliseconds(899);
  options.faults.insert(options.faults.begin(), trim);
  const Outcome outcome = require_green(options);
  CHECK(outcome.counts.forced_trims == 1);
  CHECK(outcome.counts.damaged_snapshots == 0);
}

TEST_CASE("behind the last fault snapshots follow, and trims, and the judge asks for both") {
  StoryOptions options = busy_story(3);
  options.world.snapshot_interval = 8;
  options.safety = milliseconds(100);
  const Records good = require_green(options).records;
  REQUIRE(good.snapshots_due.size() >= 3);
  const auto tampered = [&](const char* id, auto&& tamper) {
    Records records = good;
    tamper(records);
    Outcome outcome;
    outcome.violations = judge(records);
    return reports(outcome, id);
  };
  const std::uint64_t last = good.snapshots_due.back();
  REQUIRE(good.trimmed == last - 8);
  CHECK(tampered("snapshots-follow", [](Records& r) { r.snapshots.pop_back(); }));
  CHECK(tampered("snapshots-follow", [](Records& r) { r.snapshots.clear(); }));
  CHECK(tampered("snapshots-follow", [](Records& r) { r.trimmed -= 8; }));
  CHECK(tampered("snapshots-follow", [](Records& r) { r.snapshots.back().fault = "torn"; }));
  CHECK_FALSE(tampered("snapshots-follow", [](Records& r) {
    r.snapshots.back().fault = "torn";
    r.snapshots.back().damaged = true;
  }));
  CHECK(tampered("ledger-replicas-agree", [](Records& r) {
    r.snapshots.back().replayed_digest = Hash32{1};
  }));
  const auto trim_of = [](Records& records) -> StoreOrder& {
    for (StoreOrder& order : records.store_orders) {
      if (order.up_to) return order;
    }
    FAIL("nobody trimmed");
    throw 0;
  };
  CHECK(tampered("ledger-replicas-agree", [](Records& r) {
    r.store_orders.front().spoken_for = false;
  }));
  CHECK(tampered("ledger-replicas-agree", [&](Records& r) { trim_of(r).spoken_for = false; }));
  CHECK(tampered("ledger-replicas-agree", [&](Records& r) { trim_of(r).read_again = false; }));
  CHECK(tampered("ledger-replicas-agree", [&](Records& r) {
    trim_of(r).up_to = trim_of(r).newest;
  }));
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
