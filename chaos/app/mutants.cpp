// `roulette mutants`: is every planted bug found, by the check that it must fail? See commands.h.
//
// Invariant: exit 0 only when each bug was found as the table says and each negative control stayed
// green over all its schedules, in which its place was reached; a bug that survives its cap, or
// that only another check saw, is 1.
// A build without planted bugs says how to get one with them. What the bugs are: mutants.h.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "chaos/app/commands.h"

#ifdef ROULETTE_MUTANTS
#include <algorithm>
#include <filesystem>
#include <sstream>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chaos/app/fan_out.h"
#include "chaos/app/mutants.h"
#include "chaos/app/shrunk.h"
#include "chaos/sim/mutant_hunt.h"

namespace roulette::chaos {
namespace {

using mutants::Mutant;
using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uint64_t kControlSchedules = 300;  // green, each of them
constexpr std::uint64_t kFrostCap = 5'000;
constexpr std::uint64_t kStandInCap = 20'000;
constexpr ShrinkLimits kShrinkLimits{150, 15};

double now_s() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

struct Row {
  const Mutant* mutant = nullptr;
  sim::SimScheme scheme = sim::SimScheme::Frost;
  std::uint64_t schedules = 0;
  std::uint64_t reached = 0;  // the bug's place, over the schedules that came to their end
  double seconds = 0;
  std::optional<std::uint64_t> seed;  // the smallest that found it
  std::vector<sim::Violation> violations;
  std::optional<std::string> smallest;  // a schedule file; nothing without a find
  std::size_t faults_before = 0;
  std::size_t faults = 0;
  bool cut_short = false;  // by a signal

  [[nodiscard]] bool control() const { return mutant->control(); }
  [[nodiscard]] const char* judged() const {
    if (cut_short) return "interrupted";
    if (control() && !violations.empty()) return "NOT GREEN";
    if (control()) return reached > 0 ? "green" : "NOT REACHED";
    if (violations.empty()) return "SURVIVED";
    return sim::as_expected(*mutant, sim::ids_of(violations)) ? "found" : "WRONG CHECK";
  }
  [[nodiscard]] bool good() const {
    const std::string word = judged();
    return word == "found" || word == "green";
  }
};

// In a child of its own: one story with the bug on; how often its place was reached, then id and
// text of each violation, a line each.
std::string story_with_bug(const sim::Schedule& schedule) {
  const std::uint64_t before = mutants::reached();
  const std::vector<sim::Violation> violations = sim::violations_of({schedule, {}});
  std::string text = std::to_string(mutants::reached() - before) + "\n";
  for (const sim::Violation& violation : violations)
    text += violation.id + "\t" + violation.text + "\n";
  return text;
}

std::vector<sim::Violation> parse_violations(const std::string& text) {
  std::vector<sim::Violation> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t tab = line.find('\t');
    out.push_back({line.substr(0, tab), tab == std::string::npos ? "" : line.substr(tab + 1)});
  }
  return out;
}

// The smallest schedule that still fails as the find did, as a file. With the bug on.
Status keep_smallest(Row& row, const MutantOptions& options) {
  std::string id = row.violations.front().id;
  for (const std::string& other : sim::ids_of(row.violations)) {
    if (sim::as_expected(*row.mutant, {other})) id = other;
  }
  const auto small =
      shrink_to_file(sim::draw_schedule(*row.seed, row.scheme), sim::scheme_name(row.scheme), id,
                     (fs::path(options.runs_dir) / row.mutant->name).string(), kShrinkLimits);
  if (!small) return small.error();
  if (!small->fails_again) return {};
  row.smallest = small->path;
  row.faults_before = small->faults_before;
  row.faults = small->file.schedule.faults.size();
  return {};
}

Result<Row> hunt(const Mutant& mutant, const MutantOptions& options) {
  Row row;
  row.mutant = &mutant;
  row.scheme = sim::hunted_under(mutant, *sim::scheme_named(options.scheme));
  const std::uint64_t own = row.scheme == sim::SimScheme::StandIn ? kStandInCap : kFrostCap;
  const std::uint64_t cap = row.control() ? kControlSchedules : options.schedules.value_or(own);
  const double began = now_s();
  if (!mutants::select(mutant.name)) return Error{ErrorKind::Internal, "a bug without a name"};
  std::optional<std::uint64_t> found;
  bool as_named = false;  // by an invariant of its row; until then the hunt goes on
  const auto finds = [&](std::uint64_t piece, std::vector<sim::Violation> violations) {
    if (violations.empty()) return;
    const bool named = row.control() || sim::as_expected(mutant, sim::ids_of(violations));
    if (found && (as_named > named || (as_named == named && *found < piece))) return;
    found = piece;
    as_named = named;
    row.violations = std::move(violations);
  };
  FanOutHooks hooks;
  hooks.work = [&](std::uint64_t piece) {
    return story_with_bug(sim::draw_schedule(options.seed + piece, row.scheme));
  };
  hooks.done = [&](std::uint64_t piece, const std::string& text) {
    const std::size_t line = text.find('\n') + 1;
    row.reached += std::strtoull(text.c_str(), nullptr, 10);
    finds(piece, parse_violations(text.substr(line)));
  };
  hooks.broke = [&](std::uint64_t piece, const std::string& why) {
    finds(piece, {{"process-ended", why}});
  };
  hooks.go_on = [&] { return !as_named && !interrupted(); };
  const unsigned jobs = options.jobs == 0 ? usable_cores() : options.jobs;
  const auto ran = fan_out({cap, jobs, 120}, hooks);
  if (!ran) return ran.error();
  row.seconds = now_s() - began;
  row.schedules = as_named ? *found + 1 : *ran;
  if (found) row.seed = options.seed + *found;
  row.cut_short = interrupted();
  const Status kept = found && !row.cut_short ? keep_smallest(row, options) : Status();
  (void)mutants::select("");
  if (!kept) return kept.error();
  return row;
}

// ---- the table ----

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text.empty() ? "nothing" : text;
}

void print(const Row& row, std::FILE* to) {
  const std::string smallest =
      row.smallest ? std::to_string(row.faults_before) + "->" + std::to_string(row.faults) : "";
  std::fprintf(to, "%-26s %-12s %9llu %8.1f %9s  %s\n", std::string(row.mutant->name).c_str(),
              row.judged(), static_cast<unsigned long long>(row.schedules), row.seconds,
              smallest.c_str(), joined(sim::ids_of(row.violations)).c_str());
  if (!row.good() && !row.control())
    std::fprintf(to, "    expected: %s\n", std::string(row.mutant->must_fail).c_str());
  if (!row.good()) {
    for (std::size_t i = 0; i < std::min<std::size_t>(row.violations.size(), 3); ++i) {
      const sim::Violation& violation = row.violations[i];
      std::fprintf(to, "    %s: %s\n", violation.id.c_str(), violation.text.c_str());
    }
  }
  std::fflush(to);
}

json as_json(const Row& row) {
  json out{{"mutant", row.mutant->name},
           {"wrong", row.mutant->wrong},
           {"exposed_by", row.mutant->exposed_by},
           {"must_fail", row.mutant->must_fail},
           {"scheme", sim::scheme_name(row.scheme)},
           {"control", row.control()},
           {"judged", row.judged()},
           {"found_by", sim::ids_of(row.violations)},
           {"schedules", row.schedules},
           {"reached", row.reached},
           {"seconds", row.seconds},
           {"smallest", row.smallest ? json(*row.smallest) : json(nullptr)},
           {"faults_before", row.faults_before},
           {"faults", row.faults},
           {"seed", row.seed ? json(*row.seed) : json(nullptr)}};
  return out;
}

Result<std::vector<const Mutant*>> chosen(const MutantOptions& options) {
  std::vector<const Mutant*> out;
  for (const std::string& name : options.only) {
    if (mutants::find(name) == nullptr)
      return Error{ErrorKind::Usage, "no planted bug is called " + name};
  }
  for (const Mutant& mutant : mutants::all()) {
    const bool wanted = std::count(options.only.begin(), options.only.end(), mutant.name) > 0;
    if (options.only.empty() || wanted) out.push_back(&mutant);
  }
  return out;
}

int conclude(const std::vector<Row>& rows, const MutantOptions& options, std::FILE* to) {
  std::vector<std::uint64_t> needed;
  std::size_t bugs = 0;
  std::size_t good = 0;
  double seconds = 0;
  for (const Row& row : rows) {
    good += row.good() ? 1 : 0;
    bugs += row.control() ? 0 : 1;
    seconds += row.seconds;
    if (!row.control() && row.seed) needed.push_back(row.schedules);
  }
  std::sort(needed.begin(), needed.end());
  const std::uint64_t median = needed.empty() ? 0 : needed[needed.size() / 2];
  const bool stopped = interrupted();
  const int code = stopped ? kExitInconclusive : good == rows.size() ? kExitPass : kExitFail;
  std::fprintf(to, "%zu bugs, %zu found; %zu controls; median %llu schedules; %.0f s: %s\n", bugs,
              needed.size(), rows.size() - bugs,
              static_cast<unsigned long long>(median), seconds,
              code == kExitPass ? "pass" : code == kExitFail ? "fail" : "inconclusive");
  if (options.json) {
    json list = json::array();
    for (const Row& row : rows) list.push_back(as_json(row));
    std::cout << json{{"mutants", list}, {"median_schedules", median}, {"pass", code == kExitPass}}
                     .dump()
              << std::endl;
  }
  return code;
}

}  // namespace

std::vector<std::string> planted_bugs() {
  std::vector<std::string> names;
  for (const Mutant& mutant : mutants::all()) names.emplace_back(mutant.name);
  return names;
}

int mutants_command(const MutantOptions& options) {
  if (!sim::scheme_named(options.scheme)) {
    return report_error(
        {ErrorKind::Usage, "--scheme " + options.scheme + ": unknown; " + sim::scheme_list()});
  }
  const auto wanted = chosen(options);
  if (!wanted) return report_error(wanted.error());
  if (options.list) {
    for (const Mutant* mutant : *wanted) {
      const std::string must(mutant->simulated() ? mutant->must_fail : mutant->live_must_fail);
      std::printf("%-26s %s%s; exposed by: %s; must fail: %s%s\n",
                  std::string(mutant->name).c_str(), std::string(mutant->wrong).c_str(),
                  (mutant->scheme.empty() ? "" : " (" + std::string(mutant->scheme) + ")").c_str(),
                  std::string(mutant->exposed_by).c_str(), must.empty() ? "nothing" : must.c_str(),
                  mutant->simulated() ? "" : " (live)");
    }
    return kExitPass;
  }
  if (options.live) return hunt_live(options, *wanted);
  for (const Mutant* mutant : *wanted) {
    if (!mutant->simulated() && !options.only.empty())
      return report_error({ErrorKind::Usage, std::string(mutant->name) +
                                                 " is of real processes alone: --live"});
  }
  std::FILE* const to = options.json ? stderr : stdout;
  (void)interrupted();
  std::fprintf(to, "%-26s %-12s %9s %8s %9s  %s\n", "planted bug", "judged", "schedules", "seconds",
              "faults", "what failed");
  std::fflush(to);  // or each child says it again
  std::vector<Row> rows;
  for (const Mutant* mutant : *wanted) {
    if (interrupted()) break;
    if (!mutant->simulated()) continue;
    auto row = hunt(*mutant, options);
    if (!row) return report_error(row.error());
    print(*row, to);
    rows.push_back(std::move(row).value());
  }
  return conclude(rows, options, to);
}

}  // namespace roulette::chaos

#else

namespace roulette::chaos {

std::vector<std::string> planted_bugs() { return {}; }

int mutants_command(const MutantOptions&) {
  return report_error({ErrorKind::Usage,
                       "this build has no planted bugs; `tools/mutants` makes one that has "
                       "(build/mutants/bin) and hunts them"});
}

}  // namespace roulette::chaos

#endif
