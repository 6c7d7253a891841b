// From records to a verdict: loads a run's folder, runs the fifteen checkers, weighs coverage, says
// pass or not.
//
// Invariant: a missing source, a fault without proof, an unmet floor or an unchecked required
// invariant can never become `pass` (DESIGN 9). Reads files of docs/RECORDS.md only; knows no
// machine and no process.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "chaos/plan/experiment.h"
#include "chaos/plan/schedule.h"
#include "common/base/result.h"

namespace roulette::check {

enum class InvariantStatus : std::uint8_t { Pass, Fail, Inconclusive, NotExercised };
[[nodiscard]] const char* status_name(
    InvariantStatus status);  // "pass", "fail", "inconclusive", "not-exercised"

struct InvariantResult {
  std::string id;  // of DESIGN 9
  InvariantStatus status = InvariantStatus::Inconclusive;
  std::uint64_t checked = 0;            // how many things were compared
  std::vector<std::string> violations;  // each names the record (file:line) and what is wrong;
                                        // capped, with the rest counted
  std::string note;                     // why inconclusive or not exercised
};

enum class VerdictKind : std::uint8_t { Pass, Fail, Inconclusive };
[[nodiscard]] const char* verdict_name(VerdictKind verdict);
[[nodiscard]] int verdict_exit_code(VerdictKind verdict);  // 0, 1, 2

struct Quantiles {
  std::uint64_t n = 0;
  double p50 = 0, p95 = 0, p99 = 0, max = 0;
};

struct Verdict {
  VerdictKind verdict = VerdictKind::Inconclusive;
  std::vector<std::string> reasons;  // every one, the gravest first
  std::uint64_t seed = 0;
  std::string schedule_hash;
  std::vector<InvariantResult> invariants;  // all fifteen, in DESIGN 9's order
  std::uint64_t faults_requested = 0, faults_fired = 0, faults_proven = 0;
  std::map<std::string, std::uint64_t> faults_by_point;
  std::uint64_t load_requested = 0, load_acknowledged = 0, load_settled = 0, load_rejected = 0,
                load_refused = 0, load_indeterminate = 0;
  Quantiles signing_undisturbed, signing_disturbed, withdrawal_undisturbed,
      withdrawal_disturbed;                      // ms
  std::map<std::string, Quantiles> recovery_ms;  // by role
  double availability = 0;  // answered by 2xx within 1 s / all intended new requests
  std::map<std::string, double> memory_mb;  // by role, the highest seen
  std::map<std::string, double>
      steady_state;  // metric of the file's hypothesis -> what was measured
};

// What the tool knows and no record says.
struct RunFacts {
  bool interrupted = false;
  std::string interruption;                // stop condition, signal, pre-flight
  std::vector<std::string> unasked_exits;  // each makes the verdict `fail` (DESIGN 5)
  std::vector<std::string>
      problems;  // steps of the end of the run that failed: at best `inconclusive`
  std::string schedule_hash;
  std::map<std::string, double> memory_mb;
  std::vector<chaos::FaultInstance> unscheduled;  // struck besides the schedule: a matrix's cells
};

// `run_dir` is a finished run folder. Fails only when the folder itself cannot be read.
[[nodiscard]] Result<Verdict> judge(const std::string& run_dir, const chaos::Experiment& experiment,
                                    const RunFacts& facts);
// The same with what it rests on (judged_run.h).
struct JudgedRun;
[[nodiscard]] Result<JudgedRun> judge_records(const std::string& run_dir,
                                              const chaos::Experiment& experiment,
                                              const RunFacts& facts);
[[nodiscard]] std::string verdict_json(const Verdict& verdict);  // verdict.json of DESIGN 10

}  // namespace roulette::check
