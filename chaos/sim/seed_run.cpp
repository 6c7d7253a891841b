// Records as one JSON object between processes, and their sum.
//
// Invariant: decode_record(encode_record(r)) is r.
#include "chaos/sim/seed_run.h"

#include <nlohmann/json.hpp>

#include "chaos/sim/required_probes.h"

namespace roulette::sim {

using nlohmann::json;

namespace {

constexpr std::uint64_t kFloorFrom = 100;  // schedules
constexpr std::uint64_t kWithdrawalsEach = 3;
constexpr std::uint64_t kFaultsEach = 2;

}  // namespace

void compare_runs(SeedRecord& record, const SeedRecord& again) {
  if (record.same_run(again)) return;
  record.violations.push_back({kDeterminism, "the same seed ran differently"});
}

SeedRecord record_of(const Schedule& schedule, const Outcome& outcome) {
  SeedRecord record;
  record.seed = schedule.world.seed;
  record.withdrawals = outcome.records.keys.size();
  const World::Counts& counts = outcome.counts;
  record.faults_fired = counts.faults();
  record.events = outcome.events;
  record.trace_hash = outcome.trace_hash;
  record.unseed = outcome.unseed;
  for (std::size_t i = 0; i < kProbes; ++i) {
    const auto probe = static_cast<Probe>(i);
    record.probes[probe_name(probe)] = outcome.probes.hits(probe);
  }
  record.violations = outcome.violations;
  return record;
}

std::string encode_record(const SeedRecord& record) {
  json violations = json::array();
  for (const Violation& violation : record.violations) {
    violations.push_back({violation.id, violation.text});
  }
  return json{{"seed", record.seed},
              {"withdrawals", record.withdrawals},
              {"faults", record.faults_fired},
              {"events", record.events},
              {"hash", record.trace_hash},
              {"unseed", record.unseed},
              {"probes", record.probes},
              {"violations", std::move(violations)}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<SeedRecord> decode_record(const std::string& text) {
  try {
    const json from = json::parse(text);
    SeedRecord record;
    record.seed = from.at("seed").get<std::uint64_t>();
    record.withdrawals = from.at("withdrawals").get<std::uint64_t>();
    record.faults_fired = from.at("faults").get<std::uint64_t>();
    record.events = from.at("events").get<std::uint64_t>();
    record.trace_hash = from.at("hash").get<std::uint64_t>();
    record.unseed = from.at("unseed").get<std::uint64_t>();
    record.probes = from.at("probes").get<std::map<std::string, std::uint64_t>>();
    for (const json& violation : from.at("violations")) {
      record.violations.push_back(
          {violation.at(0).get<std::string>(), violation.at(1).get<std::string>()});
    }
    return record;
  } catch (const json::exception& error) {
    return Error{ErrorKind::Corrupt, std::string("a seed's record: ") + error.what()};
  }
}

void Tally::add(const SeedRecord& record) {
  ++schedules;
  if (!record.violations.empty()) failed.push_back({record.seed, record.violations});
  withdrawals += record.withdrawals;
  faults_fired += record.faults_fired;
  events += record.events;
  for (const auto& [probe, count] : record.probes) probes[probe] += count;
  waiting_[record.seed] = {record.trace_hash, record.unseed};
  for (auto next = waiting_.find(next_); next != waiting_.end(); next = waiting_.find(next_)) {
    trace_hash_ = (trace_hash_ ^ next->second.first) * 0x100000001b3;
    unseed_ = (unseed_ ^ next->second.second) * 0x100000001b3;
    waiting_.erase(next);
    ++next_;
  }
}

void Tally::broke(std::uint64_t seed, Violation how) {
  ++broken;
  failed.push_back({seed, {std::move(how)}});
}

SweepVerdict judge_sweep(const Tally& tally, std::optional<std::uint64_t> wanted,
                         bool interrupted, SimScheme scheme) {
  using Word = SweepVerdict::Word;
  SweepVerdict verdict;
  std::vector<std::string>& reasons = verdict.reasons;
  const std::uint64_t ran = tally.schedules;
  const std::uint64_t begun = ran + tally.broken;
  if (!tally.failed.empty()) {
    reasons.push_back(std::to_string(tally.failed.size()) + " of " + std::to_string(begun) +
                      " schedules violate an invariant");
    verdict.word = Word::Fail;
    return verdict;
  }
  if (interrupted) reasons.emplace_back("interrupted by a signal");
  if (ran == 0) reasons.emplace_back("no schedule ran");
  if (wanted && ran < *wanted && !interrupted) {
    reasons.push_back("only " + std::to_string(ran) + " of " + std::to_string(*wanted) +
                      " schedules ran");
  }
  if (!tally.gapless()) reasons.emplace_back("a seed is missing among those that ran");
  if (ran >= kFloorFrom && tally.faults_fired < kFaultsEach * ran) {
    reasons.push_back("fewer than " + std::to_string(kFaultsEach) + " faults a schedule fired");
  }
  if (ran >= kFloorFrom && tally.withdrawals < kWithdrawalsEach * ran) {
    reasons.push_back("fewer than " + std::to_string(kWithdrawalsEach) +
                      " withdrawals a schedule");
  }
  for (const Probe probe : kRequiredProbes) {
    const auto hits = tally.probes.find(probe_name(probe));
    if (!required_of(probe, scheme)) continue;
    if (ran < kRequiredFrom || (hits != tally.probes.end() && hits->second > 0)) continue;
    reasons.push_back(std::string("never reached: ") + probe_name(probe));
  }
  verdict.word = reasons.empty() ? Word::Pass : Word::Inconclusive;
  return verdict;
}

}  // namespace roulette::sim
