// What one run of a comparison measured, and what several of them say together: columns, intervals
// over the repeats, one sentence a variant.
//
// Invariant: every number is taken from a run's records (docs/RECORDS.md 4b defines each column);
// one that the records do not hold is null with its reason, never zero. A sentence states only what
// its numbers show, also where they show that a spare signer did not help.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "chaos/check/history.h"
#include "chaos/check/verdict.h"

namespace roulette::check {

struct Pair {  // milliseconds, of the phase before the first fault and of the one with faults
  std::optional<double> undisturbed, disturbed;
};

struct BlowStall {
  double ms = 0;
  bool to_the_end = false;  // not over when the load was
};

// One run.
struct RunFigures {
  std::string folder;
  VerdictKind verdict = VerdictKind::Inconclusive;
  std::string why;  // the gravest reason, where it is no pass
  std::string schedule_hash;
  std::uint64_t requested = 0, settled = 0, failed = 0, late = 0, refused = 0, rejected = 0;
  std::uint64_t faults_proven = 0, signatures = 0;
  double availability = 0;
  double longest_stall_ms = 0;
  bool stalled_to_the_end = false;  // that stall was not over when the load was
  std::map<std::string, BlowStall> stall_by_blow;  // "signer restart", "ledger wiped"
  Pair p50_ms, p99_ms;
  std::map<std::string, Quantiles> recovery_ms;
  std::optional<std::uint64_t> messages, bytes;
  std::string no_traffic;  // why not
  std::optional<double> cpu_us_per_signature;
  std::string no_cpu;
  std::vector<std::string> txids;  // of what was paid, as the chain shows it
  [[nodiscard]] std::optional<double> p99_ratio() const;  // disturbed / undisturbed
};

// Of a finished run's folder, judged already.
[[nodiscard]] Result<RunFigures> run_figures(const std::string& run_dir, const Verdict& verdict,
                                             std::uint32_t late_ms);
// Of the records alone, for tests.
void measure_figures(const History& history, std::uint32_t late_ms, RunFigures& out);

// The mean of n values with the interval that holds it with 95 % (Student's t, n - 1 degrees);
// nothing of no values, and no interval of one.
struct Interval95 {
  std::size_t n = 0;
  double mean = 0;
  std::optional<double> half_width;
  [[nodiscard]] double low() const { return mean - half_width.value_or(0); }
  [[nodiscard]] double high() const { return mean + half_width.value_or(0); }
};
[[nodiscard]] std::optional<Interval95> interval95(const std::vector<double>& values);
// The value that t does not exceed in 97.5 % of all cases.
[[nodiscard]] double student_t975(std::size_t degrees);
[[nodiscard]] std::optional<double> median(std::vector<double> values);

struct VariantFigures {
  std::string name, scheme, shape;
  std::vector<std::string> notes;
  std::vector<RunFigures> repeats;
};
struct UnrunVariant {
  std::string name, why;
};
struct Comparison {
  std::string title, experiment;  // the file's name
  std::uint64_t seed = 0;
  std::string schedule_hash;
  std::uint32_t late_ms = 0;
  std::string reference;  // a variant's name
  std::string machine_json;  // an object
  std::vector<VariantFigures> variants;
  std::vector<UnrunVariant> not_run;
};

[[nodiscard]] std::string comparison_json(const Comparison& comparison);
[[nodiscard]] std::string comparison_csv(const Comparison& comparison);
[[nodiscard]] std::string comparison_table(const Comparison& comparison);
[[nodiscard]] std::string sentence_of(const Comparison& comparison, const VariantFigures& variant);
// The gravest over all runs: fail, then inconclusive.
[[nodiscard]] VerdictKind comparison_verdict(const Comparison& comparison);

}  // namespace roulette::check
