// Floors, proofs, exits, interruptions: see coverage.h.
#include "chaos/check/coverage.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "chaos/check/checkers.h"
#include "chaos/check/ledger_model.h"
#include "chaos/check/timelines.h"
#include "chaos/plan/schedule.h"

namespace roulette::check {
namespace {

constexpr int kSigKill = 9;

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
  // etcd and the node have no control channel to say that they began: their exit 0 has to do.
  if (speaks(fault) && !fault.shutdown_started) return "no shutdown_started";
  return fault.exit_code == 0 ? "" : "it was not seen to exit with 0";
}

std::string stop_defect(const FaultRecord& fault) {
  if (!fault.stopped) return "it was not seen stopped";
  return fault.continued || fault.recover == "none" ? "" : "it was not seen continued";
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
    const std::string defect = proof_defect(fault);
    if (!defect.empty()) {
      reasons.inconclusive.push_back(name_of(fault) + " is not proven: " + defect);
      continue;
    }
    ++verdict.faults_proven;
    ++verdict.faults_by_point[fault.point];
  }
}

// Every instance the seed drew has its line, whatever became of it.
void compare_schedule(const History& history, const RunFacts& facts, Verdict& verdict,
                      Reasons& reasons) {
  const chaos::Schedule schedule = chaos::draw_schedule(history.experiment);
  const std::string hash = to_hex(schedule.hash);
  verdict.schedule_hash = facts.schedule_hash.empty() ? hash : facts.schedule_hash;
  if (verdict.schedule_hash != hash) {
    reasons.inconclusive.push_back("the run followed schedule " + verdict.schedule_hash +
                                   ", its file and seed draw " + hash);
  }
  std::set<std::pair<std::uint64_t, std::string>> recorded;
  for (const FaultRecord& fault : history.faults) recorded.emplace(fault.fault_id, fault.victim);
  for (const chaos::FaultInstance& instance : schedule.instances) {
    for (const ProcessName& victim : instance.victims) {
      if (recorded.contains({instance.id, victim.text()})) continue;
      reasons.inconclusive.push_back("fault " + std::to_string(instance.id) + " (" +
                                     chaos::describe(instance) + ") has no record for " +
                                     victim.text());
    }
  }
}

struct KeyFate {
  bool acknowledged = false, rejected = false, quorum_lost = false, settled_answer = false;
};

void count_load(const History& history, Verdict& verdict) {
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
    const KeyFate fate = fates[key.key];
    ++verdict.load_requested;
    if (fate.acknowledged)
      ++verdict.load_acknowledged;
    else if (fate.rejected)
      ++verdict.load_rejected;
    else if (!fate.settled_answer)
      ++verdict.load_indeterminate;
    if (fate.quorum_lost) ++verdict.load_refused;
    const auto found = payments.find(key.key);
    if (found == payments.end()) continue;
    const bool settled =
        std::any_of(found->second.begin(), found->second.end(), [&](const Payment& p) {
          return p.amount_sat == key.amount_sat && p.depth >= history.settle_depth();
        });
    if (settled) ++verdict.load_settled;
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

void check_steady_state(const History& history, Verdict& verdict, Reasons& reasons) {
  const Phases phases = phases_of(history.events);
  std::uint64_t requests = 0, errors = 0;
  for (const Operation& op : history.operations) {
    ++requests;
    if (!op.answered || op.status >= 500) ++errors;
  }
  const bool timed_load = phases.undisturbed && phases.drain && *phases.drain > *phases.undisturbed;
  const double load_s =
      timed_load ? static_cast<double>(*phases.drain - *phases.undisturbed) / 1e6 : 0;
  const std::map<std::string, std::optional<double>> values{
      {"settled_per_second", timed_load
                                 ? std::optional(static_cast<double>(verdict.load_settled) / load_s)
                                 : std::nullopt},
      {"acknowledged_per_second",
       timed_load ? std::optional(static_cast<double>(verdict.load_acknowledged) / load_s)
                  : std::nullopt},
      {"error_rate",
       requests > 0 ? std::optional(static_cast<double>(errors) / static_cast<double>(requests))
                    : std::nullopt}};
  for (const chaos::SteadyProbe& probe : history.experiment.steady_state) {
    const auto found = values.find(probe.metric);
    if (found == values.end() || !found->second) {
      reasons.inconclusive.push_back("steady state: " + probe.metric + " (" + probe.name +
                                     ") could not be measured");
      continue;
    }
    const double value = *found->second;
    verdict.steady_state[probe.metric] = value;
    if (value < probe.least || value > probe.most) {
      reasons.inconclusive.push_back("steady state: " + probe.metric + " (" + probe.name + ") is " +
                                     shown(value) + ", outside " + shown(probe.least) + ".." +
                                     shown(probe.most));
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
  if (defect.empty() && !fault.proven) return "the tool itself does not call it proven";
  return defect;
}

void weigh_coverage(const History& history, const RunFacts& facts, Verdict& verdict,
                    Reasons& reasons) {
  for (const std::string& exit : facts.unasked_exits)
    reasons.fail.push_back("unasked exit: " + exit);
  for (const Exited& e : history.events.exited) {
    if (e.asked || !facts.unasked_exits.empty()) continue;  // the tool's list names the same exits
    reasons.fail.push_back("unasked exit: " + e.name + " (" + history.where(e.at) + ")");
  }
  if (facts.interrupted) {
    reasons.inconclusive.push_back(
        "interrupted: " + (facts.interruption.empty() ? "no reason given" : facts.interruption));
  }
  for (const std::string& problem : facts.problems) reasons.inconclusive.push_back(problem);
  count_load(history, verdict);
  compare_schedule(history, facts, verdict, reasons);
  count_faults(history, verdict, reasons);
  check_floors(history, verdict, reasons);
  check_steady_state(history, verdict, reasons);
}

}  // namespace roulette::check
