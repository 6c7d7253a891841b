// Floors, proofs, exits, interruptions: see coverage.h.
#include "chaos/check/coverage.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "chaos/check/checkers.h"
#include "chaos/check/ledger_model.h"
#include "chaos/check/timelines.h"
#include "chaos/check/token_faults.h"
#include "chaos/check/told.h"
#include "chaos/plan/schedule.h"

namespace roulette::check {
namespace {

constexpr int kSigKill = 9;
constexpr int kSigTerm = 15;

std::string name_of(const FaultRecord& fault) {
  return "fault " + std::to_string(fault.fault_id) + " (" + fault.signal + " to " + fault.victim +
         " at " + fault.point + ")";
}

bool timed(const FaultRecord& fault) {
  return fault.point.ends_with(".process.at_time");
}
bool speaks(const FaultRecord& fault) {
  return fault.role != "etcd" && fault.role != "bitcoind";
}

std::string kill_defect(const FaultRecord& fault) {
  return fault.wtermsig == kSigKill ? "" : "it was not seen to die of signal 9";
}

std::string term_defect(const FaultRecord& fault) {
  if (fault.escalated) return kill_defect(fault);
  // etcd and the node have no control channel to say that they began: their exit has to do; 0 for
  // the node, while etcd's last act is to send itself the signal again.
  if (fault.role == "etcd" && fault.wtermsig == kSigTerm) return "";
  if (speaks(fault) && !fault.shutdown_started) return "no shutdown_started";
  return fault.exit_code == 0 ? "" : "it was not seen to exit with 0";
}

std::string stop_defect(const FaultRecord& fault) {
  if (!fault.stopped) return "it was not seen stopped";
  return fault.continued || fault.recover == "none" ? "" : "it was not seen continued";
}

std::string token_defect(const FaultRecord& fault) {
  if (!fault.token_back_us) return "its token was not given back";
  return fault.token_calls.value_or(0) > 0 ? "" : "no call of its token met the fault";
}

// What the tool counted is what the module itself wrote down, and its signer did as it must.
std::string untold_calls(const History& history, const FaultRecord& fault) {
  if (!token_fault(fault.signal)) return "";
  if (!history.tokens.contains(fault.victim)) return "there is no record of its token";
  const auto calls = static_cast<std::int64_t>(calls_met(history, fault).size());
  if (calls != fault.token_calls)
    return "its token recorded " + std::to_string(calls) + " calls that met it";
  return outlived_its_token(history, fault) ? "its signer waited longer than its patience" : "";
}

void count_faults(const History& history, Verdict& verdict, Reasons& reasons) {
  const Source& source = history.source(history.faults_file);
  if (!source.whole()) {
    reasons.inconclusive.push_back(
        source.present ? source.defects.front() : source.file + " is missing: no fault is proven");
  }
  for (const FaultRecord& fault : history.faults) {
    ++verdict.faults_requested;
    if (!fault.fired) {
      reasons.inconclusive.push_back(
          name_of(fault) +
          " did not fire: " + (fault.why_not.empty() ? "no reason recorded" : fault.why_not));
      continue;
    }
    ++verdict.faults_fired;
    std::string defect = proof_defect(fault);
    if (defect.empty()) defect = untold_moment(history, fault);
    if (defect.empty()) defect = untold_calls(history, fault);
    if (!defect.empty()) {
      reasons.inconclusive.push_back(name_of(fault) + " is not proven: " + defect);
      continue;
    }
    ++verdict.faults_proven;
    ++verdict.faults_by_point[fault.point];
  }
}

// What a record says about a fault excuses others (a victim lost for good may miss its records,
// what was taken from a journal is missing in it), so it must be what the seed drew.
std::string unlike(const FaultRecord& fault, const chaos::FaultInstance& drawn) {
  if (fault.point != drawn.point) return "the point drawn is " + drawn.point;
  if (fault.rule != drawn.rule) return "the rule drawn from is " + std::to_string(drawn.rule);
  if (fault.occurrence != drawn.occurrence)
    return "the occurrence drawn is " + std::to_string(drawn.occurrence);
  const std::string trigger = drawn.trigger_process ? drawn.trigger_process->text() : "";
  if (fault.trigger_process != trigger) return "the trigger drawn is " + trigger;
  const std::string signal = chaos::signal_name(drawn.signal);
  if (fault.signal != signal) return "the signal drawn is " + signal;
  if (fault.role != fault.victim.substr(0, fault.victim.find('-'))) return "role " + fault.role;
  const std::string recover = chaos::recover_name(drawn.recover.how);
  if (fault.recover != recover) return "the recovery drawn is " + recover;
  return fault.over_budget == drawn.over_budget ? "" : "over_budget differs";
}

// Every instance the seed drew has its line, whatever became of it, and there are no others.
void compare_schedule(const History& history, const RunFacts& facts, Verdict& verdict,
                      Reasons& reasons) {
  const chaos::Schedule schedule = chaos::draw_schedule(history.experiment);
  const std::string hash = to_hex(schedule.hash);
  verdict.schedule_hash = facts.schedule_hash.empty() ? hash : facts.schedule_hash;
  if (verdict.schedule_hash != hash) {
    reasons.inconclusive.push_back("the run followed schedule " + verdict.schedule_hash +
                                   ", its file and seed draw " + hash);
  }
  std::map<std::pair<std::uint64_t, std::string>, const chaos::FaultInstance*> drawn;
  for (const auto* instances : {&schedule.instances, &facts.unscheduled}) {
    for (const chaos::FaultInstance& instance : *instances) {
      for (const ProcessName& victim : instance.victims)
        drawn.emplace(std::pair{instance.id, victim.text()}, &instance);
    }
  }
  std::set<std::pair<std::uint64_t, std::string>> recorded;
  for (const FaultRecord& fault : history.faults) {
    const auto found = drawn.find({fault.fault_id, fault.victim});
    std::string defect;
    if (found == drawn.end())
      defect = "no seed drew it";
    else if (!recorded.emplace(found->first).second)
      defect = "it is recorded twice";
    else
      defect = unlike(fault, *found->second);
    if (!defect.empty()) {
      reasons.inconclusive.push_back(name_of(fault) + " is no fault of the schedule: " + defect +
                                     " (" + history.where(fault.at) + ")");
    }
  }
  for (const auto& [id, instance] : drawn) {
    if (recorded.contains(id)) continue;
    reasons.inconclusive.push_back("fault " + std::to_string(id.first) + " (" +
                                   chaos::describe(*instance) + ") has no record for " + id.second);
  }
}

struct KeyFate {
  std::int64_t made_us = 0;
  bool acknowledged = false, rejected = false, quorum_lost = false, settled_answer = false;
  bool settled = false;
};

std::map<std::string, KeyFate> fates_of(const History& history) {
  std::map<std::string, KeyFate> fates;
  for (const Operation& op : history.operations) {
    if (!op.answered || op.conflict()) continue;
    KeyFate& fate = fates[op.key];
    if (op.ok() && op.state != "rejected")
      fate.acknowledged = true;
    else if (op.ok() || (!op.get() && op.status >= 400 && op.status < 500 && op.status != 429))
      fate.rejected = true;
    else if (op.get() && op.status == 404)
      fate.settled_answer = true;
    if (op.status == 503 && op.problem.find("quorum-lost") != std::string::npos)
      fate.quorum_lost = true;
  }
  const auto payments = payments_by_key(history);
  for (const ClientKey& key : history.keys) {
    KeyFate& fate = fates[key.key];
    fate.made_us = key.t_us;
    const auto found = payments.find(key.key);
    if (found == payments.end()) continue;
    fate.settled = std::any_of(found->second.begin(), found->second.end(), [&](const Payment& p) {
      return p.amount_sat == key.amount_sat && p.depth >= history.settle_depth();
    });
  }
  return fates;
}

void count_load(const std::map<std::string, KeyFate>& fates, Verdict& verdict) {
  for (const auto& [key, fate] : fates) {
    ++verdict.load_requested;
    if (fate.acknowledged)
      ++verdict.load_acknowledged;
    else if (fate.rejected)
      ++verdict.load_rejected;
    else if (!fate.settled_answer)
      ++verdict.load_indeterminate;
    if (fate.quorum_lost) ++verdict.load_refused;
    if (fate.settled) ++verdict.load_settled;
  }
}

void under_floor(std::uint64_t have, std::uint64_t want, const char* what, Reasons& reasons) {
  if (have >= want) return;
  reasons.inconclusive.push_back(std::string("floor: ") + std::to_string(have) + " " + what +
                                 ", at least " + std::to_string(want) + " wanted");
}

void check_floors(const History& history, const Verdict& verdict, Reasons& reasons) {
  const chaos::Floor& floor = history.experiment.floor;
  under_floor(verdict.load_settled, floor.settled, "settled withdrawals", reasons);
  under_floor(verdict.faults_proven, floor.kills, "proven faults", reasons);
  under_floor(verdict.faults_by_point.size(), floor.points, "different points", reasons);
  if (!history.experiment.requires_unmined_payment) return;
  const Replica* replica = history.reference();
  const std::uint64_t unmined =
      replica == nullptr ? 0 : replay(*replica, history.settle_depth()).unmined_payment_blocks;
  if (unmined == 0)
    reasons.inconclusive.push_back(
        "no block that held a payment was un-mined: the node's death cost nothing");
}

std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

// The metrics of the hypothesis for the withdrawals and requests that began in a part of the run.
std::map<std::string, double> metrics_of(const History& history,
                                         const std::map<std::string, KeyFate>& fates,
                                         Interval within) {
  std::map<std::string, double> out;
  if (within.from >= within.to) return out;
  std::uint64_t settled = 0, acknowledged = 0, requests = 0, errors = 0;
  for (const auto& [key, fate] : fates) {
    if (fate.made_us < within.from || fate.made_us >= within.to) continue;
    settled += fate.settled ? 1 : 0;
    acknowledged += fate.acknowledged ? 1 : 0;
  }
  for (const Operation& op : history.operations) {
    if (op.invoked_us < within.from || op.invoked_us >= within.to) continue;
    ++requests;
    errors += !op.answered || op.status >= 500 ? 1 : 0;
  }
  const double span_s = static_cast<double>(within.to - within.from) / 1e6;
  out["settled_per_second"] = static_cast<double>(settled) / span_s;
  out["acknowledged_per_second"] = static_cast<double>(acknowledged) / span_s;
  if (requests > 0) out["error_rate"] = static_cast<double>(errors) / static_cast<double>(requests);
  return out;
}

// The hypothesis must hold before anything is disturbed (else the run says nothing about the
// faults) and over the load as a whole (else the faults broke it).
void check_steady_state(const History& history, const std::map<std::string, KeyFate>& fates,
                        Verdict& verdict, Reasons& reasons) {
  const Phases phases = phases_of(history.events);
  const std::int64_t from = phases.undisturbed.value_or(0);
  const struct {
    const char* name;
    std::string suffix;
    Interval within;
  } parts[] = {
      {"in the undisturbed phase", "_undisturbed", {from, phases.disturbed.value_or(from)}},
      {"over the load", "", {from, phases.drain.value_or(from)}}};
  for (const auto& part : parts) {
    const auto measured = metrics_of(history, fates, part.within);
    for (const chaos::SteadyProbe& probe : history.experiment.steady_state) {
      const std::string what =
          "steady state: " + probe.metric + " (" + probe.name + ") " + part.name;
      const auto found = measured.find(probe.metric);
      if (found == measured.end()) {
        reasons.inconclusive.push_back(what + " could not be measured");
        continue;
      }
      verdict.steady_state[probe.metric + part.suffix] = found->second;
      if (found->second >= probe.least && found->second <= probe.most) continue;
      reasons.inconclusive.push_back(what + " is " + shown(found->second) + ", outside " +
                                     shown(probe.least) + ".." + shown(probe.most));
    }
  }
}

}  // namespace

std::string proof_defect(const FaultRecord& fault) {
  if (!fault.has_proof) return "it has no proof";
  if (fault.send_result != 0)
    return "the signal was not sent: " + std::to_string(fault.send_result);
  if (!timed(fault) && !fault.has_hit) return "its point was never hit";
  std::string defect = "unknown signal " + fault.signal;
  if (fault.signal == "SIGKILL") defect = kill_defect(fault);
  if (fault.signal == "SIGTERM") defect = term_defect(fault);
  if (fault.signal == "SIGSTOP") defect = stop_defect(fault);
  if (token_fault(fault.signal)) defect = token_defect(fault);
  if (defect.empty() && !fault.proven) return "the tool itself does not call it proven";
  return defect;
}

void weigh_coverage(const History& history, const RunFacts& facts, Verdict& verdict,
                    Reasons& reasons) {
  for (const std::string& exit : facts.unasked_exits)
    reasons.fail.push_back("unasked exit: " + exit);
  for (const Exited& e : history.events.exited) {
    if (e.asked || !facts.unasked_exits.empty()) continue;  // the tool's list names the same exits
    if (ended_by_token(history, e)) continue;
    reasons.fail.push_back("unasked exit: " + e.name + " (" + history.where(e.at) + ")");
  }
  if (facts.interrupted) {
    reasons.inconclusive.push_back(
        "interrupted: " + (facts.interruption.empty() ? "no reason given" : facts.interruption));
  }
  for (const std::string& problem : facts.problems) reasons.inconclusive.push_back(problem);
  const auto fates = fates_of(history);
  count_load(fates, verdict);
  compare_schedule(history, facts, verdict, reasons);
  count_faults(history, verdict, reasons);
  check_floors(history, verdict, reasons);
  check_steady_state(history, fates, verdict, reasons);
}

}  // namespace roulette::check
