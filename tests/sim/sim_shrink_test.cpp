// Shrinking, schedule files and the sums of a sweep: each as a function, without a cluster.
#include <catch2/catch.hpp>

#include <functional>

#include "chaos/sim/narrate.h"
#include "chaos/sim/required_probes.h"
#include "chaos/sim/schedule_file.h"
#include "chaos/sim/seed_run.h"
#include "chaos/sim/shrink.h"

namespace roulette::sim {
namespace {

Schedule crowded() {
  for (std::uint64_t seed = 1; seed < 1000; ++seed) {
    Schedule schedule = draw_schedule(seed);
    if (schedule.faults.size() >= 12 && schedule.payments > 3) return schedule;
  }
  FAIL("no seed draws many faults");
  return {};
}

bool has(const Schedule& schedule, FaultKind kind) {
  return std::any_of(schedule.faults.begin(), schedule.faults.end(),
                     [kind](const Fault& fault) { return fault.kind == kind; });
}

Fault timed(FaultKind kind) {
  Fault fault;
  fault.kind = kind;
  fault.at = milliseconds(1234);
  fault.down = milliseconds(77);
  return fault;
}

}  // namespace

TEST_CASE("a schedule shrinks to the two faults that fail only together") {
  Schedule schedule = crowded();
  std::erase_if(schedule.faults, [](const Fault& fault) {
    return fault.kind == FaultKind::KillNode || fault.kind == FaultKind::LoseLog;
  });
  const auto middle = static_cast<std::ptrdiff_t>(schedule.faults.size() / 2);
  schedule.faults.insert(schedule.faults.begin() + middle, timed(FaultKind::KillNode));
  schedule.faults.push_back(timed(FaultKind::LoseLog));
  std::size_t runs = 0;
  const auto fails = [&](const Schedule& candidate) {
    ++runs;
    return has(candidate, FaultKind::KillNode) && has(candidate, FaultKind::LoseLog);
  };
  const Shrunk shrunk = shrink(schedule, fails, {});
  CHECK(shrunk.minimal);
  CHECK(shrunk.runs == runs);
  REQUIRE(shrunk.schedule.faults.size() == 2);
  CHECK(shrunk.schedule.faults[0].at == Duration{});  // what does not matter is at its default
  CHECK(shrunk.schedule.world.seed == schedule.world.seed);
  CHECK(shrunk.schedule.payments == 1);
  Schedule plain;
  plain.world.seed = schedule.world.seed;
  CHECK(shrunk.schedule.world == plain.world);
}

// A file without its scheme would run another one, and is refused (seed 1306).
TEST_CASE("a shrunk schedule of the stand-in is one of the stand-in, also from its file") {
  ScheduleFile file;
  file.schedule = crowded();
  file.schedule.world.scheme = SimScheme::StandIn;
  file.schedule = shrink(file.schedule, [](const Schedule&) { return true; }, {}).schedule;
  CHECK(file.schedule.faults.empty());
  file.scheme = "stand-in";
  const auto read = decode_schedule_file(encode_schedule_file(file), "shrunk.json");
  REQUIRE(read.ok());
  CHECK(read->schedule.world.scheme == SimScheme::StandIn);
}

TEST_CASE("shrinking keeps what the failure needs") {
  const Schedule schedule = crowded();
  const auto fails = [&](const Schedule& candidate) {
    return candidate.world.hop == schedule.world.hop && candidate.payments >= 3 &&
           candidate.faults.size() >= 5;
  };
  const Shrunk shrunk = shrink(schedule, fails, {});
  CHECK(shrunk.minimal);
  CHECK(shrunk.schedule.faults.size() == 5);
  CHECK(shrunk.schedule.world.hop == schedule.world.hop);
  CHECK(shrunk.schedule.payments >= 3);
  CHECK(shrunk.schedule.payments < schedule.payments);
}

TEST_CASE("a shrink that ran out of its budget says so and still returns what fails") {
  const auto fails = [](const Schedule& candidate) { return candidate.faults.size() >= 2; };
  ShrinkBudget budget;
  budget.runs = 3;
  const Shrunk shrunk = shrink(crowded(), fails, budget);
  CHECK_FALSE(shrunk.minimal);
  CHECK(shrunk.runs == 3);
  CHECK(fails(shrunk.schedule));
}

TEST_CASE("a schedule file gives back what was written") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const ScheduleFile file{"frost", draw_schedule(seed), {"no-lost-withdrawal"}, "a \"note\""};
    const auto again = decode_schedule_file(encode_schedule_file(file), "here");
    REQUIRE(again.ok());
    CHECK(*again == file);
  }
}

TEST_CASE("a schedule file of another version or with an unknown word is refused by name") {
  Schedule schedule = draw_schedule(7);
  schedule.faults.push_back(strike_at_place({Role::Signer, 0}, 3, true, milliseconds(5)));
  const std::string good = encode_schedule_file({"frost", schedule, {}, ""});
  const auto refused = [&](const std::string& from, const std::string& to,
                           const std::string& words) {
    std::string text = good;
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    const auto file = decode_schedule_file(text, "here.json");
    REQUIRE_FALSE(file.ok());
    CHECK(file.error().kind == ErrorKind::Usage);
    CHECK_THAT(file.error().message, Catch::Matchers::StartsWith("here.json: "));
    CHECK_THAT(file.error().message, Catch::Matchers::Contains(words));
  };
  refused("\"version\": 1", "\"version\": 2", "version 2 of roulette-schedule");
  refused("roulette-schedule", "roulette-history", "no roulette-schedule file");
  refused("\"note\"", "\"nota\"", "unknown field 'nota'");
  refused("\"hop\"", "\"hoop\"", "hoop");
  refused("strike", "stroke", "faults[");
  refused("{", "[", "here.json");
  refused("\"seed\": \"7\"", "\"seed\": \"7\\nwait 9\"", "options.seed");
}

TEST_CASE("the sum of a sweep does not depend on the order in which its seeds came") {
  std::vector<SeedRecord> records;
  for (std::uint64_t seed = 5; seed < 9; ++seed) {
    SeedRecord record;
    record.seed = seed;
    record.withdrawals = seed;
    record.trace_hash = seed * 77;
    record.unseed = seed * 99;
    record.probes["quorum"] = seed;
    record.violations.push_back({"an-id", "a \xff text"});
    const auto decoded = decode_record(encode_record(record));
    REQUIRE(decoded.ok());
    CHECK(decoded->trace_hash == record.trace_hash);
    CHECK(decoded->violations.size() == 1);
    records.push_back(record);
  }
  Tally forward(5);
  Tally backward(5);
  for (const SeedRecord& record : records) forward.add(record);
  for (auto record = records.rbegin(); record != records.rend(); ++record) backward.add(*record);
  CHECK(forward.gapless());
  CHECK(forward.trace_hash() == backward.trace_hash());
  CHECK(forward.unseed() == backward.unseed());
  CHECK(backward.probes.at("quorum") == 5 + 6 + 7 + 8);
  Tally other(5);
  std::swap(records[0].trace_hash, records[1].trace_hash);
  for (const SeedRecord& record : records) other.add(record);
  CHECK(other.trace_hash() != forward.trace_hash());
}

namespace {

// A sweep in which nothing is wrong, large enough for every floor.
Tally good_sweep(std::uint64_t schedules, const std::function<void(SeedRecord&)>& change = {}) {
  Tally tally(1);
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    SeedRecord record;
    record.seed = seed;
    record.withdrawals = 3;
    record.faults_fired = 2;
    for (const Probe probe : kRequiredProbes) record.probes[probe_name(probe)] = 1;
    if (change) change(record);
    tally.add(record);
  }
  return tally;
}

using Word = SweepVerdict::Word;

void inconclusive(const Tally& tally, std::uint64_t wanted, const std::string& words) {
  const SweepVerdict verdict = judge_sweep(tally, wanted, false);
  CHECK(verdict.word == Word::Inconclusive);
  REQUIRE(verdict.reasons.size() == 1);
  CHECK_THAT(verdict.reasons.front(), Catch::Matchers::Contains(words));
}

}  // namespace

TEST_CASE("a sweep passes only when all ran, faults fired, and each required probe was reached") {
  CHECK(judge_sweep(good_sweep(kRequiredFrom), kRequiredFrom, false).word == Word::Pass);
  CHECK(judge_sweep(good_sweep(7), std::nullopt, false).word == Word::Pass);
  CHECK(judge_sweep(good_sweep(7), 7, true).word == Word::Inconclusive);
  CHECK(judge_sweep(good_sweep(0), std::nullopt, false).word == Word::Inconclusive);
  inconclusive(good_sweep(6), 7, "only 6 of 7 schedules ran");
  inconclusive(good_sweep(100, [](SeedRecord& r) { r.withdrawals = r.seed == 9 ? 2 : 3; }), 100,
               "fewer than 3 withdrawals");
  inconclusive(good_sweep(100, [](SeedRecord& r) { r.faults_fired = r.seed == 9 ? 1 : 2; }), 100,
               "fewer than 2 faults");
  inconclusive(good_sweep(7, [](SeedRecord& r) { r.seed += r.seed > 3 ? 1 : 0; }), 7,
               "a seed is missing");
  for (const Probe missed : kRequiredProbes) {
    const auto without = [&](SeedRecord& r) { r.probes[probe_name(missed)] = 0; };
    inconclusive(good_sweep(kRequiredFrom, without), kRequiredFrom, probe_name(missed));
    CHECK(judge_sweep(good_sweep(7, without), 7, false).word == Word::Pass);
    const auto musig2 = judge_sweep(good_sweep(kRequiredFrom, without), kRequiredFrom, false,
                                    SimScheme::Musig2);
    CHECK((musig2.word == Word::Pass) == !required_of(missed, SimScheme::Musig2));
  }
}

TEST_CASE("one violation, one ended process or one unlike second run fails a sweep") {
  const auto one = good_sweep(7, [](SeedRecord& r) {
    if (r.seed == 5) r.violations.push_back({"an-id", "a text"});
  });
  REQUIRE(one.failed.size() == 1);
  CHECK(one.failed.front().seed == 5);
  CHECK(judge_sweep(one, 7, false).word == Word::Fail);
  CHECK(judge_sweep(one, 7, true).word == Word::Fail);
  Tally ended = good_sweep(6);
  ended.broke(7, {"process-ended", "by a signal"});
  CHECK(judge_sweep(ended, 7, false).word == Word::Fail);
  SeedRecord record;
  compare_runs(record, record);
  CHECK(record.violations.empty());
  for (auto part : {&SeedRecord::trace_hash, &SeedRecord::unseed, &SeedRecord::events}) {
    SeedRecord first, again;
    again.*part = 1;
    compare_runs(first, again);
    REQUIRE(first.violations.size() == 1);
    CHECK(first.violations.front().id == kDeterminism);
  }
}

TEST_CASE("a told line has time, process and the mark of a fault") {
  const ProcessName signer{Role::Signer, 2};
  const TraceLine down{Instant{} + microseconds(1'234'567), signer, "down", "", 3};
  CHECK(narrate(down) == "  1234.567 ms  signer-2       ✖ down #3");
  CHECK(*fault_mark({{}, signer, "send", "partial_signature", 1}) == '\0');
  CHECK_FALSE(worth_telling({{}, {Role::Coordinator, 0}, "send", "coordinator_heartbeat", 1}));
}

}  // namespace roulette::sim
