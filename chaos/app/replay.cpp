// `roulette replay`: one schedule, from a seed or a file, told line by line, and its verdict.
//
// Invariant: what is printed depends on the schedule alone; a file that names a violation says
// whether it is still there. The trace goes to stdout as it happens, so a machine that ends the
// process has shown what led there.
#include <cinttypes>
#include <cstdio>
#include <iostream>

#include <nlohmann/json.hpp>

#include "chaos/app/carry.h"
#include "chaos/app/commands.h"
#include "chaos/app/shrunk.h"
#include "chaos/sim/narrate.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

Result<sim::ScheduleFile> wanted(const ReplayOptions& options) {
  if (options.seed.has_value() == !options.file.empty()) {
    return Error{ErrorKind::Usage, "replay needs --seed or a FILE, one of them"};
  }
  if (!options.file.empty()) return read_schedule_file(options.file);
  sim::ScheduleFile file;
  const auto scheme = sim::scheme_named(options.scheme);
  if (!scheme) {
    return Error{ErrorKind::Usage, "--scheme " + options.scheme + ": unknown; " +
                                       sim::scheme_list()};
  }
  file.scheme = options.scheme;
  file.schedule = sim::draw_schedule(*options.seed, *scheme);
  return file;
}

void print_json(const sim::SeedRecord& record, const char* verdict) {
  json violations = json::array();
  for (const sim::Violation& violation : record.violations) {
    violations.push_back({{"id", violation.id}, {"text", violation.text}});
  }
  char hash[17];
  char unseed[17];
  std::snprintf(hash, sizeof hash, "%016" PRIx64, record.trace_hash);
  std::snprintf(unseed, sizeof unseed, "%016" PRIx64, record.unseed);
  std::cout << json{{"verdict", verdict},
                    {"seed", record.seed},
                    {"withdrawals", record.withdrawals},
                    {"faults_fired", record.faults_fired},
                    {"probes", record.probes},
                    {"violations", std::move(violations)},
                    {"trace_hash", hash},
                    {"unseed", unseed}}
                   .dump(-1, ' ', false, json::error_handler_t::replace)
            << std::endl;
}

void print_verdict(const sim::ScheduleFile& file, const sim::SeedRecord& record) {
  for (const sim::Violation& violation : record.violations) {
    std::printf("%s: %s\n", violation.id.c_str(), violation.text.c_str());
  }
  std::printf("trace_hash %016" PRIx64 "  unseed %016" PRIx64 "  %" PRIu64 " faults fired\n",
              record.trace_hash, record.unseed, record.faults_fired);
  if (!record.violations.empty()) {
    std::printf("fail: %zu violations\n", record.violations.size());
    return;
  }
  std::printf("pass: %s\n", file.violates.empty()
                                ? "every payment settled once, and the records agree"
                                : "the violation that the file names is gone");
}

Status shrink_it(const sim::ScheduleFile& file, const sim::SeedRecord& record,
                 const std::string& folder) {
  const auto shrunk = shrink_to_file(file.schedule, file.scheme, record.violations.front().id,
                                     folder, {});
  if (!shrunk) return shrunk.error();
  if (!shrunk->fails_again) {
    std::fprintf(stderr, "it does not fail again: nothing shrunk\n");
    return {};
  }
  std::fprintf(stderr, "%zu faults shrunk to %zu in %zu runs%s\nnext: roulette replay %s\n",
               shrunk->faults_before, shrunk->file.schedule.faults.size(), shrunk->runs,
               shrunk->minimal ? "" : " (not minimal: out of time)", shrunk->path.c_str());
  return {};
}

int print_experiment(const sim::ScheduleFile& file) {
  const auto experiment = experiment_of(file);
  if (!experiment) return report_error(experiment.error());
  std::printf("%s", experiment->yaml.c_str());
  std::fprintf(stderr, "%zu faults carried, %zu not (named in the file)\n", experiment->carried,
               experiment->left.size());
  return kExitPass;
}

}  // namespace

int replay_command(const ReplayOptions& options) {
  auto file = wanted(options);
  if (!file) return report_error(file.error());
  if (options.as_experiment) return print_experiment(*file);
  if (!options.json) {
    std::printf("%s\n", sim::to_text(file->schedule).c_str());
    // A line is out before the next one happens.
    (void)std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  }
  sim::Trace::Listener tell;
  if (!options.json) {
    tell = [all = options.all](const sim::TraceLine& line) {
      if (all || sim::worth_telling(line)) std::printf("%s\n", sim::narrate(line).c_str());
    };
  }
  (void)std::fflush(stdout);
  const auto record = run_apart(file->schedule, tell);
  if (!record) return report_error(record.error());
  const bool clean = record->violations.empty();
  if (options.json) print_json(*record, clean ? "pass" : "fail");
  else print_verdict(*file, *record);
  (void)std::fflush(stdout);
  if (options.shrink && clean) std::fprintf(stderr, "it does not fail: nothing to shrink\n");
  if (options.shrink && !clean) {
    if (const Status done = shrink_it(*file, *record, options.out_dir); !done) {
      return report_error(done.error());
    }
  }
  return clean ? kExitPass : kExitFail;
}

}  // namespace roulette::chaos
