// The weighing and verdict.json: see verdict.h.
#include "chaos/check/verdict.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "chaos/check/checkers.h"
#include "chaos/check/coverage.h"
#include "chaos/check/judged_run.h"
#include "chaos/check/latency.h"

namespace roulette::check {
namespace {

using Json = nlohmann::ordered_json;

void run_checkers(const History& history, Verdict& verdict) {
  for (const NamedChecker& named : all_checkers()) {
    InvariantResult result = named.check(history);
    // A pass is what is claimed to the outside: not even a checker's own slip may claim it over
    // nothing.
    if (result.status == InvariantStatus::Pass && result.checked == 0)
      result.status = InvariantStatus::Inconclusive;
    verdict.invariants.push_back(std::move(result));
  }
}

// Any violation fails the run, required or not; what is required must pass besides.
void weigh_invariants(const History& history, const Verdict& verdict, Reasons& reasons) {
  std::vector<std::string> required = history.experiment.require;
  if (required.empty()) {
    for (const NamedChecker& named : all_checkers()) required.emplace_back(named.id);
  }
  if (history.experiment.expect == chaos::Expectation::Refusal)
    required.emplace_back("safe-refusal");
  if (history.experiment.expect == chaos::Expectation::Duplicate)
    required.emplace_back("no-duplicate-payment");
  std::set<std::string> known;
  for (const InvariantResult& result : verdict.invariants) {
    known.insert(result.id);
    if (result.status == InvariantStatus::Fail) {
      reasons.fail.push_back(result.id + ": " +
                             (result.violations.empty() ? "violated" : result.violations.front()));
      continue;
    }
    const bool wanted = std::find(required.begin(), required.end(), result.id) != required.end();
    if (!wanted || result.status == InvariantStatus::Pass) continue;
    reasons.inconclusive.push_back(result.id + " is " + status_name(result.status) +
                                   (result.note.empty() ? "" : ": " + result.note));
  }
  for (const std::string& id : required) {
    if (!known.contains(id))
      reasons.inconclusive.push_back("required invariant '" + id + "' is none that is checked");
  }
}

Json json_of(const Quantiles& q, bool with_p95 = true) {
  Json out{{"n", q.n}, {"p50", q.p50}};
  if (with_p95) out["p95"] = q.p95;
  out["p99"] = q.p99;
  out["max"] = q.max;
  return out;
}

Json json_of(const InvariantResult& result) {
  Json out{{"id", result.id},
           {"status", status_name(result.status)},
           {"checked", result.checked},
           {"violations", result.violations}};
  if (!result.note.empty()) out["note"] = result.note;
  return out;
}

}  // namespace

const char* status_name(InvariantStatus status) {
  switch (status) {
    case InvariantStatus::Pass:
      return "pass";
    case InvariantStatus::Fail:
      return "fail";
    case InvariantStatus::Inconclusive:
      return "inconclusive";
    case InvariantStatus::NotExercised:
      return "not-exercised";
  }
  return "inconclusive";
}

const char* verdict_name(VerdictKind verdict) {
  switch (verdict) {
    case VerdictKind::Pass:
      return "pass";
    case VerdictKind::Fail:
      return "fail";
    case VerdictKind::Inconclusive:
      return "inconclusive";
  }
  return "inconclusive";
}

int verdict_exit_code(VerdictKind verdict) {
  switch (verdict) {
    case VerdictKind::Pass:
      return 0;
    case VerdictKind::Fail:
      return 1;
    case VerdictKind::Inconclusive:
      return 2;
  }
  return 2;
}

Result<JudgedRun> judge_records(const std::string& run_dir, const chaos::Experiment& experiment,
                                const RunFacts& facts) {
  Result<History> loaded = load_history(run_dir, experiment);
  if (!loaded) return loaded.error();
  JudgedRun judged{{}, std::move(loaded).value()};
  Verdict& verdict = judged.verdict;
  History& history = judged.history;
  history.interrupted = facts.interrupted;
  verdict.seed = experiment.seed;
  verdict.memory_mb = facts.memory_mb;
  Reasons reasons;
  run_checkers(history, verdict);
  weigh_invariants(history, verdict, reasons);
  weigh_coverage(history, facts, verdict, reasons);
  measure(history, verdict);
  verdict.verdict = !reasons.fail.empty()           ? VerdictKind::Fail
                    : !reasons.inconclusive.empty() ? VerdictKind::Inconclusive
                                                    : VerdictKind::Pass;
  verdict.reasons = std::move(reasons.fail);
  verdict.reasons.insert(verdict.reasons.end(), reasons.inconclusive.begin(),
                         reasons.inconclusive.end());
  return judged;
}

Result<Verdict> judge(const std::string& run_dir, const chaos::Experiment& experiment,
                      const RunFacts& facts) {
  Result<JudgedRun> judged = judge_records(run_dir, experiment, facts);
  if (!judged) return judged.error();
  return std::move(judged->verdict);
}

std::string verdict_json(const Verdict& v) {
  Json out;
  out["verdict"] = verdict_name(v.verdict);
  out["reasons"] = v.reasons;
  out["seed"] = v.seed;
  out["schedule_hash"] = v.schedule_hash;
  out["invariants"] = Json::array();
  for (const InvariantResult& result : v.invariants) out["invariants"].push_back(json_of(result));
  Json by_point = Json::object();
  for (const auto& [point, count] : v.faults_by_point) by_point[point] = count;
  out["faults"] = {{"requested", v.faults_requested},
                   {"fired", v.faults_fired},
                   {"proven", v.faults_proven},
                   {"by_point", by_point}};
  out["load"] = {{"requested", v.load_requested}, {"acknowledged", v.load_acknowledged},
                 {"settled", v.load_settled},     {"rejected", v.load_rejected},
                 {"refused", v.load_refused},     {"indeterminate", v.load_indeterminate}};
  out["latency_ms"]["signing"] = {{"undisturbed", json_of(v.signing_undisturbed)},
                                  {"disturbed", json_of(v.signing_disturbed)}};
  out["latency_ms"]["withdrawal"] = {{"undisturbed", json_of(v.withdrawal_undisturbed)},
                                     {"disturbed", json_of(v.withdrawal_disturbed)}};
  out["recovery_ms"] = Json::object();
  for (const auto& [role, q] : v.recovery_ms) out["recovery_ms"][role] = json_of(q, false);
  out["availability"] = v.availability;
  out["memory_mb"] = Json::object();
  for (const auto& [role, mb] : v.memory_mb) out["memory_mb"][role] = mb;
  if (!v.steady_state.empty()) out["steady_state"] = v.steady_state;
  // Reasons quote what others wrote: bytes that are no UTF-8 must not cost the verdict.
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace roulette::check
