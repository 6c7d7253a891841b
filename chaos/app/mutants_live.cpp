// `roulette mutants --live`: the daemons of this build with one bug on, run and judged as any run.
//
// Invariant: a bug is found when the run's verdict is `fail` and the invariant that its row names
// is among those that failed; a control is green when the verdict is `pass`. Each run has a process
// of its own, which is killed when it takes too long, and its children with it. The bug is on in
// the daemons alone: they get it through their environment (common/runtime/planted_bug.h), the tool
// and its checkers are clean. What fires is the row's cell, an experiment in `--cells`.
#include "chaos/app/mutants.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <nlohmann/json.hpp>

#include "chaos/app/fan_out.h"
#include "common/runtime/planted_bug.h"

namespace roulette::chaos {
namespace {

using mutants::Mutant;
using nlohmann::json;
namespace fs = std::filesystem;

constexpr double kAnswerWithinS = 150;       // a run that hangs ends here
constexpr std::uint32_t kHealSeconds = 10;   // what is lost then is lost: see kHealBound of run.cpp
constexpr std::size_t kShownViolations = 2;  // of each invariant

struct LiveRow {
  const Mutant* mutant = nullptr;
  json end;  // {verdict, seconds, run_dir, reasons[], failed[{id, violations[]}]} or {broke}

  [[nodiscard]] bool control() const { return mutant->control(); }
  [[nodiscard]] std::string verdict() const { return end.value("verdict", std::string("none")); }
  [[nodiscard]] std::vector<std::string> failed() const {
    std::vector<std::string> ids;
    for (const json& one : end.value("failed", json::array())) ids.push_back(one.at("id"));
    return ids;
  }
  // A signer that says why it never serves is found before it is asked for anything.
  [[nodiscard]] bool never_started() const {
    const std::string said = "(" + std::string(mutant->live_must_fail) + ")";
    return end.value("broke", std::string()).find(said) != std::string::npos;
  }
  [[nodiscard]] const char* judged() const {
    if (control()) return verdict() == "pass" ? "green" : "NOT GREEN";
    if (never_started()) return "found";
    if (verdict() != "fail") return "SURVIVED";
    const auto ids = failed();
    const bool named = std::find(ids.begin(), ids.end(), mutant->live_must_fail) != ids.end();
    return named ? "found" : "WRONG CHECK";
  }
  [[nodiscard]] bool good() const {
    const std::string word = judged();
    return word == "found" || word == "green";
  }
};

// In a child of its own.
std::string run_with_bug(const Mutant& mutant, const MutantOptions& options) {
  if (::setenv(runtime::kPlantedBugVariable, std::string(mutant.name).c_str(), 1) != 0)
    return json{{"broke", "the environment takes no bug"}}.dump();
  RunOptions run;
  run.runs_dir = (fs::path(options.runs_dir) / mutant.name).string();
  run.program = options.program;
  run.binaries = options.binaries;
  run.heal_s = kHealSeconds;
  const fs::path cell = fs::path(options.cells_dir) / (std::string(mutant.live_cell) + ".yaml");
  const auto began = std::chrono::steady_clock::now();
  const Result<RunEnd> end = run_experiment(cell.string(), run);
  if (!end) return json{{"broke", end.error().message}}.dump();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  json out{{"verdict", check::verdict_name(end->verdict.verdict)},
           {"seconds", took.count()},
           {"run_dir", end->run_dir},
           {"reasons", end->verdict.reasons},
           {"failed", json::array()}};
  for (const check::InvariantResult& invariant : end->verdict.invariants) {
    if (invariant.status == check::InvariantStatus::Fail)
      out["failed"].push_back({{"id", invariant.id}, {"violations", invariant.violations}});
  }
  return out.dump();
}

Result<LiveRow> hunt(const Mutant& mutant, const MutantOptions& options) {
  const auto ran =
      isolated([&] { return run_with_bug(mutant, options); }, kAnswerWithinS);
  if (!ran) return ran.error();
  LiveRow row;
  row.mutant = &mutant;
  row.end = ran->broke.empty() ? json::parse(ran->result, nullptr, false)
                               : json{{"broke", ran->broke}};
  if (!row.end.is_object()) row.end = json{{"broke", "no answer that can be read"}};
  return row;
}

void print(const LiveRow& row, std::FILE* to) {
  std::string ids;
  for (const std::string& id : row.failed()) ids += (ids.empty() ? "" : " ") + id;
  std::fprintf(to, "%-26s %-12s %8.1f  %-22s %s\n", std::string(row.mutant->name).c_str(),
               row.judged(), row.end.value("seconds", 0.0),
               std::string(row.mutant->live_cell).c_str(),
               !ids.empty()          ? ids.c_str()
               : row.never_started() ? "it never started, and says why"
                                     : "nothing");
  if (row.good()) return;
  if (!row.control())
    std::fprintf(to, "    expected: %s\n", std::string(row.mutant->live_must_fail).c_str());
  if (row.end.contains("broke"))
    std::fprintf(to, "    %s\n", row.end.at("broke").get<std::string>().c_str());
  std::size_t shown = 0;
  for (const json& reason : row.end.value("reasons", json::array())) {
    if (shown++ < kShownViolations) std::fprintf(to, "    %s\n", reason.get<std::string>().c_str());
  }
  if (row.end.contains("run_dir"))
    std::fprintf(to, "    records: %s\n", row.end.at("run_dir").get<std::string>().c_str());
}

json as_json(const LiveRow& row) {
  json out = row.end;
  out["mutant"] = row.mutant->name;
  out["cell"] = row.mutant->live_cell;
  out["must_fail"] = row.mutant->live_must_fail;
  out["control"] = row.control();
  out["judged"] = row.judged();
  return out;
}

}  // namespace

int hunt_live(const MutantOptions& options, const std::vector<const Mutant*>& wanted) {
  std::FILE* const to = options.json ? stderr : stdout;
  (void)interrupted();
  std::fprintf(to, "%-26s %-12s %8s  %-22s %s\n", "planted bug", "judged", "seconds", "cell",
               "what failed");
  std::fflush(to);
  std::vector<LiveRow> rows;
  for (const Mutant* mutant : wanted) {
    if (interrupted()) break;
    if (mutant->live_cell.empty()) continue;
    auto row = hunt(*mutant, options);
    if (!row) return report_error(row.error());
    print(*row, to);
    std::fflush(to);
    rows.push_back(std::move(row).value());
  }
  std::size_t bugs = 0, good = 0;
  json list = json::array();
  for (const LiveRow& row : rows) {
    bugs += row.control() ? 0 : 1;
    good += row.good() ? 1 : 0;
    list.push_back(as_json(row));
  }
  const int code = interrupted() || rows.empty() ? kExitInconclusive
                   : good == rows.size()         ? kExitPass
                                                 : kExitFail;
  const char* word = code == kExitPass ? "pass" : code == kExitFail ? "fail" : "inconclusive";
  std::fprintf(to, "%zu bugs and %zu controls on real processes, %zu as expected: %s\n", bugs,
               rows.size() - bugs, good, word);
  if (options.json)
    std::cout << json{{"mutants", list}, {"pass", code == kExitPass}}.dump() << std::endl;
  return code;
}

}  // namespace roulette::chaos
