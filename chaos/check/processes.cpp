// What processes did by their own and the tool's word: orderly-stop-finishes and limits-respected.
//
// Invariant: an orderly stop counts only as a whole (announced, drained, reaped with 0 within
// grace); a limit counts only beside its bound.
#include <algorithm>

#include "chaos/check/checkers.h"
#include "chaos/check/ledger_model.h"
#include "chaos/check/timelines.h"
#include "chaos/check/told.h"
#include "chaos/plan/cluster_shape.h"
#include "common/base/limits.h"

namespace roulette::check {
namespace {

constexpr std::int64_t kGraceUs = limits::kDrain.us + 2'000'000;  // as the fault engine escalates
constexpr std::int64_t kClientPatienceUs =
    1'900'000;  // clients give up after 2 s: then nobody is answered

// What the daemons report, and the bound that each has: a daemon does not choose it.
struct KnownBound {
  std::string_view limit;
  std::size_t bound;
};
constexpr KnownBound kBounds[] = {
    {"pooled_nonces", limits::kNoncePoolPerConnection},
    {"pending_shares", limits::kPendingSharesPerConnection},
    {"kept_responses", limits::kRetryResponses},
    {"connections", limits::kSignerConnections},
    {"waiting_sends", limits::kWaitingSendsPerConnection * limits::kSignerConnections},
    {"open_requests", limits::kMaxOpenRequests},
    {"signing_withdrawals", limits::kMaxSigningWithdrawals},
    {"outstanding_per_signer", limits::kMaxOutstandingPerSigner},
    {"sends_in_flight", limits::kMaxSendsInFlight},
    {"queued_commands", limits::kMaxQueuedCommands},
    {"waiting_requests", limits::kMaxQueuedCommands},
    {"queued_reads", limits::kMaxQueuedReads},
};

// "" when the bound is the one that this limit has.
std::string wrong_bound(const Limit& limit) {
  for (const KnownBound& known : kBounds) {
    if (known.limit != limit.name) continue;
    if (limit.bound == static_cast<double>(known.bound)) return "";
    return "its bound is " + std::to_string(known.bound);
  }
  return "no such limit is known";
}

bool is_daemon(const std::string& name) {
  return name.starts_with("signer-") || name.starts_with("coordinator-") ||
         name.starts_with("ledger-");
}

class Stops {
 public:
  Stops(const History& history, Findings& out) : history_(history), out_(out) {}

  void run() {
    for (const FaultRecord& fault : history_.faults) {
      if (fault.fired && fault.signal == "SIGTERM" && is_daemon(fault.victim)) check_fault(fault);
    }
    for (const UpDown& e : history_.events.up_down) {
      if (!e.up && e.why == "SIGTERM" && is_daemon(e.name)) check_announced(e);
    }
    for (const Lifecycle& e : history_.events.lifecycle) {
      if (e.event == "shutdown_started" && is_daemon(e.process)) check_stop(e);
    }
  }

 private:
  void check_fault(const FaultRecord& fault) {
    out_.checked();
    const std::string name =
        "SIGTERM to " + fault.victim + " (fault " + std::to_string(fault.fault_id) + ")";
    if (!fault.shutdown_started)
      out_.violation(fault.at, name + " was never followed by shutdown_started");
    if (fault.escalated) return out_.violation(fault.at, name + " had to be escalated to SIGKILL");
    if (fault.exit_code != 0) {
      return out_.violation(
          fault.at, name + (fault.exit_code ? " ended with exit " + std::to_string(*fault.exit_code)
                                            : std::string(" did not end with an exit code")));
    }
    if (fault.reaped_us && *fault.reaped_us - fault.sent_us > kGraceUs) {
      out_.violation(
          fault.at,
          name + " took " + std::to_string((*fault.reaped_us - fault.sent_us) / 1000) + " ms");
    }
  }

  // A SIGTERM the tool recorded must show in the victim's own log before its exit.
  void check_announced(const UpDown& term) {
    const Exited* exit = next_exit(term.name, term.t_us);
    const auto& life = history_.events.lifecycle;
    const bool announced = std::any_of(life.begin(), life.end(), [&](const Lifecycle& e) {
      return e.event == "shutdown_started" && e.process == term.name && e.t_us >= term.t_us &&
             (exit == nullptr || e.t_us <= exit->t_us);
    });
    if (!announced)
      out_.violation(
          term.at, term.name + " got SIGTERM, but its log has no shutdown_started before its exit");
  }

  void check_stop(const Lifecycle& start) {
    if (killed_meanwhile(start)) return;
    out_.checked();
    const std::string name = start.process + " began to stop";
    const Exited* exit = next_exit(start.process, start.t_us);
    if (exit == nullptr) return out_.violation(start.at, name + ", but the tool never saw it exit");
    if (exit->code != 0 || exit->signal != 0) {
      return out_.violation(exit->at,
                            name + " (" + history_.where(start.at) + ") and ended with " +
                                (exit->signal != 0 ? "signal " + std::to_string(exit->signal)
                                                   : "exit " + std::to_string(exit->code)));
    }
    if (exit->t_us - start.t_us > kGraceUs) {
      out_.violation(
          exit->at, name + " and took " + std::to_string((exit->t_us - start.t_us) / 1000) + " ms");
    }
    const Lifecycle* stopped = nullptr;
    for (const Lifecycle& e : history_.events.lifecycle) {
      if (e.event == "stopped" && e.boot == start.boot) stopped = &e;
    }
    if (stopped == nullptr)
      return out_.violation(start.at, name + ", but its log has no `stopped`");
    check_work(start, *stopped);
  }

  // A SIGKILL that the plan sent on purpose while it was stopping.
  bool killed_meanwhile(const Lifecycle& start) const {
    return std::any_of(history_.faults.begin(), history_.faults.end(), [&](const FaultRecord& f) {
      return f.fired && f.victim == start.process && f.signal == "SIGKILL" &&
             f.sent_us >= start.t_us && f.sent_us - start.t_us <= kGraceUs;
    });
  }

  const Exited* next_exit(const std::string& name, std::int64_t from) const {
    for (const Exited& e : history_.events.exited) {
      if (e.name == name && e.t_us >= from) return &e;
    }
    return nullptr;
  }

  // In flight when the stop began: finished here, or by somebody else.
  void check_work(const Lifecycle& start, const Lifecycle& stopped) {
    if (!start.process.starts_with("coordinator-")) {
      if (!stopped.drained)
        out_.violation(stopped.at, start.process + " stopped with work in flight");
      return;
    }
    check_requests(start, stopped);
    check_sessions(start);
  }

  void check_requests(const Lifecycle& start, const Lifecycle& stopped) {
    std::set<std::uint64_t> answered;
    for (const Answered& e : history_.events.answers) {
      if (e.boot == start.boot) answered.insert(e.request);
    }
    for (const RequestReceived& e : history_.events.requests) {
      if (e.boot != start.boot || e.t_us > start.t_us || answered.contains(e.request)) continue;
      if (stopped.t_us - e.t_us > kClientPatienceUs) continue;  // its client had gone
      out_.violation(e.at, start.process + " stopped without answering request " +
                               std::to_string(e.request) + ", which it had when the stop began");
    }
  }

  void check_sessions(const Lifecycle& start) {
    if (history_.lasting_quorum_loss() || history_.interrupted) return;
    std::set<std::string> held;
    for (const WithdrawalRow& row : history_.reference()->withdrawals) {
      if (!row.signed_tx.empty()) held.insert(row.withdrawal_id);
    }
    for (const SessionOpened& e : history_.events.opened) {
      if (e.boot != start.boot || e.t_us > start.t_us || held.contains(e.withdrawal_id)) continue;
      out_.violation(e.at, start.process + " stopped while signing withdrawal " + e.withdrawal_id +
                               ", and nobody finished it");
    }
  }

  const History& history_;
  Findings& out_;
};

}  // namespace

InvariantResult check_orderly_stop(const History& history) {
  Findings out(history, "orderly-stop-finishes");
  bool whole = out.need(history.events_file);
  whole = out.need(history.faults_file) && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  Stops(history, out).run();
  check_requests_told(history, out);
  check_stops_told(history, out);
  const auto& life = history.events.lifecycle;
  const bool any = std::any_of(life.begin(), life.end(),
                               [](const Lifecycle& e) { return e.event == "shutdown_started"; });
  if (!any) out.not_exercised("no process was asked to stop in order");
  return out.result();
}

InvariantResult check_limits(const History& history) {
  Findings out(history, "limits-respected");
  bool whole = out.need(history.events_file);
  whole = out.need(history.faults_file) && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  std::set<std::string> reported;
  for (const LimitsEvent& e : history.events.limits) {
    reported.insert(e.process);
    if (e.limits.empty()) out.violation(e.at, e.process + " reports no limit at all");
    for (const Limit& limit : e.limits) {
      out.checked();
      if (!limit.bound) {
        out.violation(e.at,
                      e.process + " reports " + limit.name + " without " + limit.name + "_bound");
      } else if (const std::string wrong = wrong_bound(limit); !wrong.empty()) {
        out.violation(e.at, e.process + " reports " + limit.name + " with a bound of " +
                                std::to_string(*limit.bound) + ": " + wrong);
      } else if (limit.value > *limit.bound) {
        out.violation(e.at, e.process + " had " + limit.name + " at " +
                                std::to_string(limit.value) + ", its bound is " +
                                std::to_string(*limit.bound));
      }
    }
  }
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger}) {
    for (std::uint16_t i = 0; i < chaos::instances_of(history.experiment.cluster, role); ++i) {
      const std::string name = ProcessName{role, i}.text();
      if (!reported.contains(name)) out.inconclusive(name + " never reported its limits");
    }
  }
  const std::uint32_t ancestors =
      replay(*history.reference(), history.settle_depth()).most_ancestors;
  out.checked();
  if (ancestors > limits::kMaxUnsettledAncestors) {
    out.violation(history.reference()->name + ": a withdrawal was signed on top of " +
                  std::to_string(ancestors) + " unsettled transactions, the bound is " +
                  std::to_string(limits::kMaxUnsettledAncestors));
  }
  return out.result();
}

}  // namespace roulette::check
