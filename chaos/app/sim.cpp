// `roulette sim`: many seeds through the simulated cluster, and what they add up to.
//
// Invariant: `pass` needs schedules that ran, faults that fired and, in a sweep large enough to
// expect them, every required probe; the sums do not depend on --jobs. What one seed means stands
// in chaos/sim, how a failed one is made smaller in shrunk.h.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <set>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chaos/app/carry.h"
#include "chaos/app/commands.h"
#include "chaos/app/fan_out.h"
#include "chaos/app/shrunk.h"
#include "chaos/sim/seed_run.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr std::size_t kShownViolations = 10;
constexpr std::size_t kShrunkKinds = 3;

double now_s() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

std::string hex64(std::uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, number);
  return text;
}

sim::Schedule drawn(const SimOptions& options, std::uint64_t seed) {
  return sim::draw_schedule(seed, *sim::scheme_named(options.scheme));
}

class SimSweep {
 public:
  explicit SimSweep(const SimOptions& options)
      : options_(options), tally_(options.seed), terminal_(isatty(STDERR_FILENO) == 1) {}

  Status run() {
    began_s_ = now_s();
    FanOutHooks hooks;
    hooks.work = [this](std::uint64_t piece) { return work(options_.seed + piece); };
    hooks.done = [this](std::uint64_t piece, const std::string& text) { done(piece, text); };
    hooks.broke = [this](std::uint64_t piece, const std::string& why) {
      tally_.broke(options_.seed + piece, {kProcessEnded, why});
      tell_failed();
    };
    hooks.go_on = [this] {
      show();
      return !interrupted() && !out_of_time();
    };
    (void)interrupted();
    const auto ran = fan_out({pieces(), jobs(), 120}, hooks);
    took_s_ = now_s() - began_s_;
    if (terminal_) std::fprintf(stderr, "\r\033[K");
    if (!ran) return ran.error();
    if (!bad_record_.empty()) return Error{ErrorKind::Internal, bad_record_};
    return {};
  }

  // The first schedule of each kind of violation, made small.
  Status shrink_failures() {
    std::set<std::string> kinds;
    for (const sim::Tally::Failed& failed : tally_.failed) {
      const std::string& id = failed.violations.front().id;
      if (id == sim::kDeterminism || kinds.size() >= kShrunkKinds) continue;
      if (!kinds.insert(id).second) continue;
      const auto shrunk = shrink_to_file(drawn(options_, failed.seed), options_.scheme, id,
                                         options_.out_dir, {});
      if (!shrunk) return shrunk.error();
      if (!shrunk->fails_again) {
        std::fprintf(stderr, "seed %" PRIu64 ": does not fail again by itself, so not shrunk\n",
                     failed.seed);
        continue;
      }
      std::fprintf(stderr, "seed %" PRIu64 ": %zu faults shrunk to %zu in %zu runs%s: %s\n",
                   failed.seed, shrunk->faults_before, shrunk->file.schedule.faults.size(),
                   shrunk->runs, shrunk->minimal ? "" : " (not minimal: out of time)",
                   shrunk->path.c_str());
      if (replay_.empty()) replay_ = "roulette replay " + shrunk->path;
    }
    return {};
  }

  [[nodiscard]] int conclude() {
    std::vector<std::string> reasons;
    const int code = judge(reasons);
    print(code, reasons);
    if (options_.json) std::cout << as_json(code, reasons).dump() << std::endl;
    return code;
  }

 private:
  [[nodiscard]] unsigned jobs() const {
    return options_.jobs == 0 ? usable_cores() : options_.jobs;
  }
  [[nodiscard]] std::uint64_t pieces() const {
    // With a time limit alone the limit decides.
    if (options_.schedules) return *options_.schedules;
    return options_.minutes ? UINT64_MAX / 2 : kDefaultSchedules;
  }
  [[nodiscard]] bool out_of_time() const {
    return options_.minutes && now_s() - began_s_ > *options_.minutes * 60;
  }

  [[nodiscard]] std::string work(std::uint64_t seed) const {
    const sim::Schedule schedule = drawn(options_, seed);
    sim::SeedRecord record = sim::record_of(schedule, sim::run_schedule(schedule));
    if (options_.check_determinism) {
      const sim::Schedule again = drawn(options_, seed);
      sim::compare_runs(record, sim::record_of(again, sim::run_schedule(again)));
    }
    return sim::encode_record(record);
  }

  void done(std::uint64_t piece, const std::string& text) {
    const auto record = sim::decode_record(text);
    if (!record || record->seed != options_.seed + piece) {
      bad_record_ = record ? "a record of another seed" : record.error().message;
      return;
    }
    tally_.add(*record);
    tell_failed();
  }

  void tell_failed() {
    for (; told_ < std::min(tally_.failed.size(), kShownViolations); ++told_) {
      const sim::Tally::Failed& seed = tally_.failed[told_];
      for (const sim::Violation& violation : seed.violations) {
        std::fprintf(stderr, "%sseed %" PRIu64 ": %s: %s\n", terminal_ ? "\r\033[K" : "",
                     seed.seed, violation.id.c_str(), violation.text.c_str());
      }
    }
  }

  void show() {
    const double elapsed = now_s() - began_s_;
    if (elapsed - shown_s_ < 1.0) return;
    shown_s_ = elapsed;
    const double rate = static_cast<double>(tally_.schedules) / elapsed;
    std::string left;
    if (options_.minutes) {
      left = std::to_string(static_cast<int>(*options_.minutes * 60 - elapsed)) + " s left";
    } else if (rate > 0) {
      left = std::to_string(static_cast<int>(
                 static_cast<double>(pieces() - tally_.schedules) / rate)) + " s left";
    }
    std::fprintf(stderr,
                 terminal_ ? "\r\033[K%6.1f s  %" PRIu64 " schedules (%.0f/s)  %" PRIu64
                             " faults  %" PRIu64 " withdrawals  %zu failed  %s"
                           : "%6.1f s  %" PRIu64 " schedules (%.0f/s)  %" PRIu64
                             " faults  %" PRIu64 " withdrawals  %zu failed  %s\n",
                 elapsed, tally_.schedules, rate, tally_.faults_fired, tally_.withdrawals,
                 tally_.failed.size(), left.c_str());
    std::fflush(stderr);
  }

  int judge(std::vector<std::string>& reasons) const {
    std::optional<std::uint64_t> wanted;
    if (!options_.minutes) wanted = pieces();
    sim::SweepVerdict verdict = sim::judge_sweep(tally_, wanted, interrupted(),
                                                  *sim::scheme_named(options_.scheme));
    reasons = std::move(verdict.reasons);
    switch (verdict.word) {
      case sim::SweepVerdict::Word::Pass: return kExitPass;
      case sim::SweepVerdict::Word::Fail: return kExitFail;
      case sim::SweepVerdict::Word::Inconclusive: return kExitInconclusive;
    }
    return kExitInternal;
  }

  [[nodiscard]] static const char* verdict_word(int code) {
    return code == kExitPass ? "pass" : code == kExitFail ? "fail" : "inconclusive";
  }

  void print(int code, const std::vector<std::string>& reasons) const {
    for (const auto& [probe, count] : tally_.probes) {
      std::fprintf(stderr, "  %-44s %10" PRIu64 "\n", probe.c_str(), count);
    }
    std::fprintf(stderr,
                 "%" PRIu64 " schedules from seed %" PRIu64 " (%s), %" PRIu64 " withdrawals, %"
                 PRIu64 " faults, %" PRIu64 " events in %.1f s with %u jobs: %.0f schedules/s\n",
                 tally_.schedules, options_.seed, options_.scheme.c_str(), tally_.withdrawals,
                 tally_.faults_fired, tally_.events, took_s_, jobs(),
                 static_cast<double>(tally_.schedules) / std::max(took_s_, 1e-9));
    std::fprintf(stderr, "trace_hash %s  unseed %s\n", hex64(tally_.trace_hash()).c_str(),
                 hex64(tally_.unseed()).c_str());
    std::string why;
    for (const std::string& reason : reasons) why += (why.empty() ? ": " : "; ") + reason;
    std::string next = "roulette sim --seed " +
                       std::to_string(options_.seed + tally_.schedules) + " --schedules " +
                       std::to_string(std::max<std::uint64_t>(tally_.schedules, 1));
    if (!tally_.failed.empty()) {
      const std::string seed = "roulette replay --seed " +
                               std::to_string(tally_.failed.front().seed);
      next = replay_.empty() ? seed : replay_;
    }
    std::fprintf(stderr, "%s%s  next: %s\n", verdict_word(code), why.c_str(), next.c_str());
  }

  [[nodiscard]] json as_json(int code, const std::vector<std::string>& reasons) const {
    json violations = json::array();
    for (const sim::Tally::Failed& failed : tally_.failed) {
      for (const sim::Violation& violation : failed.violations) {
        violations.push_back(
            {{"seed", failed.seed}, {"id", violation.id}, {"text", violation.text}});
      }
    }
    return {{"verdict", verdict_word(code)},
            {"reasons", reasons},
            {"seed", options_.seed},
            {"scheme", options_.scheme},
            {"jobs", jobs()},
            {"schedules", tally_.schedules},
            {"withdrawals", tally_.withdrawals},
            {"faults_fired", tally_.faults_fired},
            {"probes", tally_.probes},
            {"violations", std::move(violations)},
            {"unseed", hex64(tally_.unseed())},
            {"trace_hash", hex64(tally_.trace_hash())},
            {"determinism_checked", options_.check_determinism},
            {"seconds", took_s_},
            {"schedules_per_s", static_cast<double>(tally_.schedules) / std::max(took_s_, 1e-9)}};
  }

  static constexpr std::uint64_t kDefaultSchedules = 1000;
  const SimOptions& options_;
  sim::Tally tally_;
  bool terminal_;
  double began_s_ = 0;
  double took_s_ = 0;
  double shown_s_ = 0;
  std::string bad_record_;
  std::size_t told_ = 0;  // of the failed ones
  std::string replay_;  // the command that shows the first shrunk schedule
};

// What fired in a live run, written as a schedule, and that schedule's verdict.
int replay_of_run(const SimOptions& options) {
  const auto carried = schedule_of_run(options.from_run);
  if (!carried) return report_error(carried.error());
  const std::string path =
      (std::filesystem::path(options.out_dir) / "carried.json").string();
  if (const Status made = runtime::create_folder_durably(options.out_dir); !made) {
    return report_error(made.error());
  }
  if (const Status written = write_schedule_file(path, carried->file); !written) {
    return report_error(written.error());
  }
  std::fprintf(stderr, "%zu faults carried to %s\n", carried->file.schedule.faults.size(),
               path.c_str());
  for (const std::string& left : carried->left) {
    std::fprintf(stderr, "not carried: %s\n", left.c_str());
  }
  ReplayOptions replay;
  replay.file = path;
  replay.json = options.json;
  return replay_command(replay);
}

}  // namespace

int sim_command(const SimOptions& options) {
  if (!options.from_run.empty()) return replay_of_run(options);
  if (!sim::scheme_named(options.scheme)) {
    return report_error(
        {ErrorKind::Usage, "--scheme " + options.scheme + ": unknown; " + sim::scheme_list()});
  }
  SimSweep sweep(options);
  if (options.schedules == 1) {
    std::fprintf(stderr, "%s", sim::to_text(drawn(options, options.seed)).c_str());
  }
  if (const Status ran = sweep.run(); !ran) return report_error(ran.error());
  if (!options.no_shrink) {
    // A file that cannot be written takes nothing from the verdict.
    if (const Status shrunk = sweep.shrink_failures(); !shrunk) (void)report_error(shrunk.error());
  }
  return sweep.conclude();
}

}  // namespace roulette::chaos
