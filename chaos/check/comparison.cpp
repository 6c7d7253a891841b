// The columns of one run, from its records: see comparison.h.
#include "chaos/check/comparison.h"

#include <algorithm>
#include <set>

#include "chaos/check/checkers.h"
#include "chaos/check/timelines.h"

namespace roulette::check {
namespace {

double ms(std::int64_t us) {
  return static_cast<double>(us) / 1000.0;
}

// One withdrawal as its client and the ledger know it.
struct Asked {
  std::int64_t intended_us = 0, invoked_us = 0;
  std::optional<std::int64_t> signed_us;
  std::optional<std::int64_t> refused_us;  // for good: nothing is owed from then on
};

std::map<std::string, Asked> asked(const History& history) {
  std::map<std::string, Asked> out;
  for (const Operation& op : history.operations) {
    if (op.intent != "new") continue;
    out.emplace(op.key, Asked{op.intended_us, op.invoked_us, {}, {}});
  }
  for (const Operation& op : history.operations) {
    const auto found = out.find(op.key);
    if (found == out.end() || op.get() || op.conflict() || !op.answered) continue;
    const bool rejected = op.ok() && op.state == "rejected";
    const bool refused = op.status >= 400 && op.status < 500 && op.status != 429;
    if (rejected || refused)
      found->second.refused_us =
          std::min(found->second.refused_us.value_or(kForever), op.answered_us);
  }
  const auto signed_at = first_signed(history);
  for (const auto& [key, id] : ids_by_key(history)) {
    const auto found = out.find(key);
    const auto at = signed_at.find(id);
    if (found != out.end() && at != signed_at.end()) found->second.signed_us = at->second;
  }
  return out;
}

// Maximal spans inside `within` with something outstanding and nothing reaching `signed`.
std::vector<Interval> stalls(const std::map<std::string, Asked>& all, Interval within) {
  struct Turn {
    std::int64_t t_us;
    int outstanding;  // +1 asked, -1 over
    bool progress;
  };
  std::vector<Turn> turns;
  for (const auto& [key, one] : all) {
    turns.push_back({one.invoked_us, 1, false});
    if (one.signed_us)
      turns.push_back({std::max(*one.signed_us, one.invoked_us), -1, true});
    else if (one.refused_us)
      turns.push_back({*one.refused_us, -1, false});
  }
  std::stable_sort(turns.begin(), turns.end(),
                   [](const Turn& a, const Turn& b) { return a.t_us < b.t_us; });
  std::vector<Interval> out;
  std::int64_t outstanding = 0, since = 0;
  const auto close = [&](std::int64_t at) {
    const Interval clipped{std::max(since, within.from), std::min(at, within.to)};
    if (clipped.from < clipped.to) out.push_back(clipped);
  };
  for (const Turn& turn : turns) {
    const bool was = outstanding > 0;
    outstanding += turn.outstanding;
    if (was && (turn.progress || outstanding == 0)) close(turn.t_us);
    if (!was || turn.progress) since = turn.t_us;
  }
  if (outstanding > 0) close(kForever);
  return out;
}

// By what was struck and how it came back: of each stall, what lies between the blow and the next.
std::map<std::string, BlowStall> by_blow(const History& history,
                                         const std::vector<Interval>& stalls, Interval within) {
  std::vector<std::pair<std::int64_t, std::string>> blows;
  for (const FaultRecord& fault : history.faults) {
    if (fault.fired) blows.emplace_back(fault.sent_us, fault.role + " " + fault.recover);
  }
  std::sort(blows.begin(), blows.end());
  std::map<std::string, BlowStall> out;
  for (std::size_t i = 0; i < blows.size(); ++i) {
    const std::int64_t until = i + 1 < blows.size() ? blows[i + 1].first : within.to;
    BlowStall& longest = out[blows[i].second];
    for (const Interval& stall : stalls) {
      const std::int64_t from = std::max(stall.from, blows[i].first);
      const std::int64_t to = std::min(stall.to, until);
      if (ms(to - from) > longest.ms) longest = {ms(to - from), to == within.to};
    }
  }
  return out;
}

void measure_stalls(const History& history, const std::map<std::string, Asked>& all,
                    RunFigures& out) {
  const Phases phases = phases_of(history.events);
  if (!phases.undisturbed || !phases.drain) return;
  const Interval load{*phases.undisturbed, *phases.drain};
  const std::vector<Interval> found = stalls(all, load);
  for (const Interval& stall : found) {
    if (ms(stall.to - stall.from) <= out.longest_stall_ms) continue;
    out.longest_stall_ms = ms(stall.to - stall.from);
    out.stalled_to_the_end = stall.to == load.to;
  }
  out.stall_by_blow = by_blow(history, found, load);
}

void measure_txids(const History& history, RunFigures& out) {
  std::set<std::string> paid;
  for (const auto& [key, payments] : payments_by_key(history)) {
    for (const Payment& payment : payments) {
      if (payment.depth >= history.settle_depth())
        paid.insert(history.chain.txs.at(payment.tx).txid);
    }
  }
  out.txids.assign(paid.begin(), paid.end());
}

bool signs_or_coordinates(const std::string& name) {
  return name.starts_with("signer-") || name.starts_with("coordinator-");
}

void measure_cpu(const History& history, RunFigures& out) {
  std::uint64_t spent_us = 0, lives = 0;
  for (const Exited& e : history.events.exited) {
    if (!signs_or_coordinates(e.name)) continue;
    ++lives;
    if (!e.cpu_us) {
      out.no_cpu = "the end of a life of " + e.name + " says nothing of its CPU";
      return;
    }
    spent_us += *e.cpu_us;
  }
  std::uint64_t begun = 0;
  for (const Spawned& e : history.events.spawned) begun += signs_or_coordinates(e.name) ? 1 : 0;
  if (begun != lives)
    out.no_cpu =
        std::to_string(begun) + " lives began, " + std::to_string(lives) + " ends are told";
  else if (out.signatures == 0)
    out.no_cpu = "nothing was signed";
  else
    out.cpu_us_per_signature =
        static_cast<double>(spent_us) / static_cast<double>(out.signatures);
}

// Between signers and coordinators, each frame counted where it arrived: by the signer what a
// coordinator sent it, by the coordinator what a signer sent it.
void measure_traffic(const History& history, RunFigures& out) {
  std::set<std::string> wanted, told;
  for (const Spawned& e : history.events.spawned) {
    if (signs_or_coordinates(e.name)) wanted.insert(e.name);
  }
  std::uint64_t messages = 0, bytes = 0;
  for (const Traffic& e : history.events.traffic) {
    const bool to_signer = e.name.starts_with("signer-") && e.peer == "coordinator";
    const bool to_coordinator = e.name.starts_with("coordinator-") && e.peer == "signer";
    if (!to_signer && !to_coordinator) continue;
    told.insert(e.name);
    messages += e.messages;
    bytes += e.bytes;
  }
  for (const std::string& name : wanted) {
    if (told.contains(name)) continue;
    out.no_traffic = "the records do not hold what " + name + " received";
    return;
  }
  if (wanted.empty()) {
    out.no_traffic = "no signer and no coordinator ran";
    return;
  }
  out.messages = messages;
  out.bytes = bytes;
}

}  // namespace

std::optional<double> RunFigures::p99_ratio() const {
  if (!p99_ms.disturbed || !p99_ms.undisturbed || *p99_ms.undisturbed <= 0) return std::nullopt;
  return *p99_ms.disturbed / *p99_ms.undisturbed;
}

void measure_figures(const History& history, std::uint32_t late_ms, RunFigures& out) {
  const auto all = asked(history);
  for (const auto& [key, one] : all) {
    const std::int64_t bound_us = one.intended_us + std::int64_t{late_ms} * 1000;
    if (one.signed_us && *one.signed_us > bound_us) ++out.late;
  }
  for (const TransactionRecord& tx : history.transactions) out.signatures += tx.prevouts.size();
  measure_stalls(history, all, out);
  measure_txids(history, out);
  measure_cpu(history, out);
  measure_traffic(history, out);
}

Result<RunFigures> run_figures(const std::string& run_dir, const Verdict& verdict,
                               std::uint32_t late_ms) {
  Result<chaos::Experiment> experiment = chaos::load_experiment(run_dir + "/experiment.yaml");
  if (!experiment) return Error{ErrorKind::Preflight, experiment.error().message};
  const Result<History> history = load_history(run_dir, *experiment);
  if (!history) return history.error();
  RunFigures out;
  out.folder = run_dir;
  out.verdict = verdict.verdict;
  out.why = verdict.reasons.empty() ? "" : verdict.reasons.front();
  out.schedule_hash = verdict.schedule_hash;
  out.requested = verdict.load_requested;
  out.settled = verdict.load_settled;
  out.rejected = verdict.load_rejected;
  out.refused = verdict.load_refused;
  out.failed = out.requested - std::min(out.requested, out.settled + out.rejected);
  out.faults_proven = verdict.faults_proven;
  out.availability = verdict.availability;
  const Quantiles& calm = verdict.withdrawal_undisturbed;
  const Quantiles& storm = verdict.withdrawal_disturbed;
  if (calm.n > 0) out.p50_ms.undisturbed = calm.p50, out.p99_ms.undisturbed = calm.p99;
  if (storm.n > 0) out.p50_ms.disturbed = storm.p50, out.p99_ms.disturbed = storm.p99;
  out.recovery_ms = verdict.recovery_ms;
  measure_figures(*history, late_ms, out);
  return out;
}

}  // namespace roulette::check
