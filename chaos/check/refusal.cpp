// safe-refusal: with fewer than t signers nothing is signed and nothing new accepted; what was
// accepted resumes.
//
// Invariant: a loss is counted from the moment the tool *saw* the last victim dead or stopped, so
// that a signal on its way is nobody's fault; detection may take kDetectionUs (400 ms of silence, a
// ping, a busy machine), not more.
#include <algorithm>

#include "chaos/check/checkers.h"
#include "chaos/check/timelines.h"

namespace roulette::check {
namespace {

constexpr std::int64_t kDetectionUs = 1'000'000;
constexpr std::int64_t kLeastExercisedUs = 500'000;  // of refusing, after detection

class Refusal {
 public:
  Refusal(const History& history, Findings& out) : history_(history), out_(out) {
    for (const Operation& op : history.operations) {
      if (op.get() || op.conflict()) continue;
      const auto [found, first] = first_sent_.emplace(op.key, op.invoked_us);
      if (!first) found->second = std::min(found->second, op.invoked_us);
    }
    for (const ShareEvent& e : history.events.released) shares_[e.session_digest].push_back(&e);
    for (const Aggregated& e : history.events.aggregated)
      completed_[e.session_digest].push_back(&e);
  }

  void check(const Interval& loss) {
    check_sessions(loss);
    check_new_keys(loss);
    check_commands(loss);
    check_resumed(loss);
  }

  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  static std::int64_t detected(const Interval& loss) { return loss.from + kDetectionUs; }

  void check_sessions(const Interval& loss) {
    for (const SessionOpened& session : history_.events.opened) {
      if (session.t_us < loss.from || session.t_us >= loss.to) continue;
      out_.checked();
      for (const Aggregated* e : completed_[session.session_digest]) {
        if (e->boot != session.boot || e->t_us >= loss.to) continue;
        out_.violation(e->at, "session " + session.session_digest + " was opened (" +
                                  history_.where(session.at) +
                                  ") and completed while fewer than t signers were alive");
      }
      if (session.t_us < detected(loss)) continue;
      for (const ShareEvent* e : shares_[session.session_digest]) {
        if (e->t_us >= loss.to) continue;
        out_.violation(e->at,
                       e->process + " released a share for session " + session.session_digest +
                           ", opened " + std::to_string((session.t_us - loss.from) / 1000) +
                           " ms after the quorum was lost (" + history_.where(session.at) + ")");
      }
    }
  }

  void check_new_keys(const Interval& loss) {
    for (const Operation& op : history_.operations) {
      if (op.get() || op.conflict() || !op.answered) continue;
      if (first_sent_.at(op.key) < detected(loss) || op.answered_us >= loss.to) continue;
      if (op.ok()) {
        out_.violation(op.answer_at, "the new key " + op.key + " was answered " +
                                         std::to_string(op.status) + " " +
                                         std::to_string((op.answered_us - loss.from) / 1000) +
                                         " ms after the quorum was lost");
      } else if (op.status == 503 && op.problem.find("quorum-lost") != std::string::npos) {
        out_.checked();
        ++refused_;
      } else if (op.status < 500) {
        out_.violation(op.answer_at, "the new key " + op.key + " was answered " +
                                         std::to_string(op.status) +
                                         " while the quorum was lost, not 503");
      }
    }
  }

  // Refused before anything is proposed: no Withdraw was stamped meanwhile.
  void check_commands(const Interval& loss) {
    const Replica* replica = history_.reference();
    const auto offset = wall_offset();
    if (!offset) return;
    for (const LedgerEntry& entry : replica->entries) {
      for (const LedgerCommand& c : entry.commands) {
        if (c.command != "withdraw" || c.outcome != "applied" || c.requested_at_us == 0) continue;
        const std::int64_t at = c.requested_at_us - *offset;
        const auto sent = first_sent_.find(c.key);
        if (sent == first_sent_.end() || sent->second < detected(loss)) continue;
        if (at < detected(loss) || at >= loss.to) continue;
        out_.violation(entry.at, "key " + c.key + " was proposed " +
                                     std::to_string((at - loss.from) / 1000) +
                                     " ms after the quorum was lost");
      }
    }
  }

  // Unix time less CLOCK_MONOTONIC, as the tool saw it.
  std::optional<std::int64_t> wall_offset() const {
    for (const Phase& phase : history_.events.phases) {
      if (phase.wall_us != 0) return phase.wall_us - phase.t_us;
    }
    return std::nullopt;
  }

  // What was accepted before the heal and not signed before the loss is signed in the end.
  void check_resumed(const Interval& loss) {
    if (history_.lasting_quorum_loss() || history_.interrupted) return;
    const auto done = first_signed(history_);
    std::set<std::string> in_ledger;
    for (const WithdrawalRow& row : history_.reference()->withdrawals) {
      if (!row.signed_tx.empty()) in_ledger.insert(row.withdrawal_id);
    }
    std::set<std::string> seen;
    for (const Operation& op : history_.operations) {
      if (op.conflict() || !op.ok() || op.state == "rejected" || op.id.empty() ||
          op.answered_us >= loss.to)
        continue;
      const auto at = done.find(op.id);
      if ((at != done.end() && at->second < loss.from) || !seen.insert(op.id).second) continue;
      out_.checked();
      if (!in_ledger.contains(op.id)) {
        out_.violation(
            op.answer_at,
            "key " + op.key +
                " was accepted, the quorum was lost and came back, and it never was signed");
      }
    }
  }

  const History& history_;
  Findings& out_;
  std::map<std::string, std::int64_t> first_sent_;
  std::map<std::string, std::vector<const ShareEvent*>> shares_;
  std::map<std::string, std::vector<const Aggregated*>> completed_;
  std::uint64_t refused_ = 0;
};

}  // namespace

InvariantResult check_safe_refusal(const History& history) {
  Findings out(history, "safe-refusal");
  bool whole = out.need(history.client);
  whole = out.need(history.events_file) && whole;
  whole = out.need(history.faults_file) && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  const auto within = phases_of(history.events).load_and_drain();
  if (!within) {
    out.inconclusive("the tool's log has no phase `undisturbed`: when the load began is unknown");
    return out.result();
  }
  const auto losses = Timelines(history).quorum_lost(history.experiment.cluster, *within);
  Refusal refusal(history, out);
  std::size_t long_enough = 0;
  for (const Interval& loss : losses) {
    refusal.check(loss);
    long_enough +=
        loss.to == kForever || loss.to - loss.from >= kDetectionUs + kLeastExercisedUs ? 1 : 0;
  }
  if (long_enough == 0) {
    out.not_exercised("the quorum was never lost for " +
                      std::to_string((kDetectionUs + kLeastExercisedUs) / 1000) +
                      " ms while clients asked");
  } else if (refusal.refused() == 0) {
    out.inconclusive(
        "the quorum was lost, but no new key was refused with 503 quorum-lost meanwhile");
  }
  out.note(std::to_string(long_enough) + " losses of the quorum, " +
           std::to_string(refusal.refused()) + " refusals of new keys");
  return out.result();
}

}  // namespace roulette::check
