// One seed, one schedule, one record: what a sweep keeps of each run and how it is added up.
//
// Invariant: a record depends on the seed and the scheme alone, and a Tally on the records alone,
// in the order of their seeds, so that the sum of a sweep does not depend on who ran what.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "chaos/sim/story.h"
#include "common/base/result.h"

namespace roulette::sim {

struct SeedRecord {
  std::uint64_t seed = 0;
  std::uint64_t withdrawals = 0;
  std::uint64_t faults_fired = 0;
  std::uint64_t events = 0;
  std::uint64_t trace_hash = 0;
  std::uint64_t unseed = 0;  // the last draw: equal runs drew equally often
  std::map<std::string, std::uint64_t> probes;
  std::vector<Violation> violations;

  // A run with the same record did the same.
  [[nodiscard]] bool same_run(const SeedRecord& other) const {
    return trace_hash == other.trace_hash && unseed == other.unseed && events == other.events;
  }
};

// Of the same schedule run again: a difference is a violation of `record` (`determinism`).
inline constexpr const char* kDeterminism = "determinism";
void compare_runs(SeedRecord& record, const SeedRecord& again);

[[nodiscard]] SeedRecord record_of(const Schedule& schedule, const Outcome& outcome);
[[nodiscard]] std::string encode_record(const SeedRecord& record);
[[nodiscard]] Result<SeedRecord> decode_record(const std::string& text);

// Adds records up; they may come in any order.
class Tally {
 public:
  explicit Tally(std::uint64_t first_seed) : next_(first_seed) {}
  void add(const SeedRecord& record);
  // The process of this seed ended without a record.
  void broke(std::uint64_t seed, Violation how);

  struct Failed {
    std::uint64_t seed = 0;
    std::vector<Violation> violations;
  };
  std::vector<Failed> failed;    // in the order in which they came
  std::uint64_t broken = 0;      // of them, those without a record
  std::uint64_t schedules = 0;   // with a record
  std::uint64_t withdrawals = 0;
  std::uint64_t faults_fired = 0;
  std::uint64_t events = 0;
  std::map<std::string, std::uint64_t> probes;
  // Over all seeds without a gap from the first, in their order.
  [[nodiscard]] std::uint64_t trace_hash() const { return trace_hash_; }
  [[nodiscard]] std::uint64_t unseed() const { return unseed_; }
  [[nodiscard]] bool gapless() const { return waiting_.empty(); }

 private:
  std::uint64_t next_;
  std::uint64_t trace_hash_ = 0xcbf29ce484222325;  // FNV-1a
  std::uint64_t unseed_ = 0xcbf29ce484222325;
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> waiting_;
};

// What a sweep has shown. Small sweeps may be tame or miss a probe by chance: each floor has a size
// from which it holds.
struct SweepVerdict {
  enum class Word { Pass, Fail, Inconclusive };
  Word word = Word::Inconclusive;
  std::vector<std::string> reasons;  // none of a pass
};
// `wanted`: how many schedules had to run; nothing where a time limit decided.
[[nodiscard]] SweepVerdict judge_sweep(const Tally& tally, std::optional<std::uint64_t> wanted,
                                       bool interrupted,
                                       SimScheme scheme = SimScheme::Frost);

}  // namespace roulette::sim
