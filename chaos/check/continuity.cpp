// quorum-continuity: while a quorum stands, every outstanding operation gets signed in time.
//
// Invariant: an obligation is only counted when the whole time it allows lies inside one interval
// in which the quorum stood at every moment; so a pass says something, and a kill that comes too
// early to judge excuses nothing later.
#include <algorithm>
#include <cmath>

#include "chaos/check/checkers.h"
#include "chaos/check/latency.h"
#include "chaos/check/timelines.h"

namespace roulette::check {
namespace {

constexpr std::int64_t kLeastBoundUs = 2'000'000;  // DESIGN 9
constexpr double kBoundFactor = 20;                // x the run's undisturbed p99
constexpr std::int64_t kEtcdLossUs = 1'500'000;    // per member that went down: it may have led
constexpr std::int64_t kRetryUs =
    2'000'000;  // a request answered 5xx is the client's to send again (<= 1 s)
// A call to a node that does not answer takes 2 s before the other node is asked, and a coordinator
// that dies with the call open leaves the sending to another.
constexpr std::int64_t kNodeCallUs = 4'000'000;
constexpr std::int64_t kDetectionUs =
    1'000'000;  // coordinators' knowledge may lag this much behind

class Continuity {
 public:
  Continuity(const History& history, Interval within, Findings& out)
      : history_(history),
        out_(out),
        lines_(history),
        quorate_(lines_.quorate(history.experiment.cluster, within)),
        with_node_(lines_.quorate_with_node(history.experiment.cluster, within)),
        signed_(first_signed(history)),
        ids_(ids_by_key(history)) {
    const auto p99 = undisturbed_signed_p99_ms(history);
    const double scaled_us = p99.value_or(0) * 1000.0 * kBoundFactor;
    bound_us_ = std::max(kLeastBoundUs, static_cast<std::int64_t>(std::llround(scaled_us)));
    for (const SessionOpened& e : history.events.opened) sessions_.emplace(e.withdrawal_id, e.t_us);
    note_fallbacks();
  }

  void run() {
    std::map<std::string, std::vector<const Operation*>> by_key;
    for (const Operation& op : history_.operations) {
      if (!op.get() && !op.conflict()) by_key[op.key].push_back(&op);
    }
    for (const auto& [key, ops] : by_key) check_key(key, ops);
    for (const Operation& op : history_.operations) check_quorum_lost_answer(op);
    check_broadcasts();
    out_.note(std::to_string(operations_) + " operations in " + std::to_string(quorate_.size()) +
              " intervals, bound " + std::to_string(bound_us_ / 1000) + " ms");
    if (waiting_ > 0) out_.note(std::to_string(waiting_) + " waited for coins and were not timed");
  }

 private:
  // Aggregated signatures that ended up in the ledger: while the node was down nobody had reason to
  // show them otherwise.
  void note_fallbacks() {
    std::map<std::string, std::string> held;
    for (const Replica& replica : history_.replicas) {
      for (const WithdrawalRow& row : replica.withdrawals) {
        if (!row.signed_tx.empty()) held.emplace(row.withdrawal_id, row.signed_tx);
      }
    }
    for (const Aggregated& e : history_.events.aggregated) {
      const auto bytes = held.find(e.withdrawal_id);
      const bool nodes_up = lines_.steady("bitcoind", e.t_us, e.t_us) ==
                            history_.experiment.cluster.nodes;
      if (bytes == held.end() || nodes_up) continue;
      const bool same = std::all_of(
          e.signatures.begin(), e.signatures.end(),
          [&](const std::string& s) { return bytes->second.find(s) != std::string::npos; });
      if (same) aggregated_.emplace(e.withdrawal_id, e.t_us);
    }
  }

  std::optional<std::int64_t> signed_at(const std::string& id) const {
    std::optional<std::int64_t> at;
    for (const auto* known : {&signed_, &aggregated_}) {
      const auto found = known->find(id);
      if (found != known->end() && (!at || found->second < *at)) at = found->second;
    }
    return at;
  }

  // From `from` on, with what each etcd loss in the window may cost.
  std::int64_t deadline(std::int64_t from, std::int64_t extra_us) const {
    std::int64_t at = from + bound_us_ + extra_us;
    while (true) {
      const auto& losses = lines_.etcd_losses();
      const auto n = std::count_if(losses.begin(), losses.end(), [&](std::int64_t t) {
        return t >= from - kEtcdLossUs && t <= at;
      });
      const std::int64_t longer = from + bound_us_ + extra_us + n * kEtcdLossUs;
      if (longer <= at) return at;
      at = longer;
    }
  }

  void check_key(const std::string& key, const std::vector<const Operation*>& ops) {
    const Operation* accepted = nullptr;
    for (const Operation* op : ops) {
      if (op->answered && op->status >= 400 && op->status < 500)
        return;  // refused: nothing to sign
      if (op->ok() && op->state == "rejected") return;
      if (op->ok() && (accepted == nullptr || op->answered_us < accepted->answered_us))
        accepted = op;
    }
    const auto id = ids_.find(key);
    const std::optional<std::int64_t> done =
        id == ids_.end() ? std::nullopt : signed_at(id->second);
    std::int64_t planned = 0;
    if (accepted != nullptr &&
        accepted->state == "requested") {  // coins come with blocks, not with a quorum
      const auto session = sessions_.find(accepted->id);
      if (session == sessions_.end()) {
        ++waiting_;
        return;
      }
      planned = session->second;
    }
    bool judged = false;
    for (const Operation* op : ops) judged = check_request(*op, done, planned) || judged;
    if (accepted != nullptr) judged = check_accepted(*accepted, done, planned) || judged;
    if (judged) ++operations_;
  }

  // A request that reached a coordinator which stayed up.
  bool check_request(const Operation& op, const std::optional<std::int64_t>& done,
                     std::int64_t planned) {
    const std::int64_t from = std::max(op.invoked_us, planned);
    if (done && *done <= from) return false;
    const bool again = op.answered && op.status >= 500;
    const std::int64_t until = deadline(from, again ? kRetryUs : 0);
    if (!lines_.up_throughout(op.coordinator, op.invoked_us, until) ||
        !inside(op.invoked_us, until))
      return false;
    judge(op, from, until, done, "was sent to " + op.coordinator);
    return true;
  }

  // An acknowledged one, in the first interval that gives it its time.
  bool check_accepted(const Operation& op, const std::optional<std::int64_t>& done,
                      std::int64_t planned) {
    for (const Interval& interval : quorate_) {
      const std::int64_t from = std::max({interval.from, op.answered_us, planned});
      if (from >= interval.to || (done && *done <= from)) continue;
      const std::int64_t until = deadline(from, 0);
      if (until > interval.to) continue;
      judge(op, from, until, done, "was acknowledged (" + history_.where(op.answer_at) + ")");
      return true;
    }
    return false;
  }

  void judge(const Operation& op, std::int64_t from, std::int64_t until,
             const std::optional<std::int64_t>& done, const std::string& how) {
    out_.checked();
    if (done && *done <= until) return;
    if (!late_.insert(op.key).second) return;
    out_.violation(op.at,
                   "key " + op.key + " " + how + ", a quorum stood from " + std::to_string(from) +
                       " us on, and by " + std::to_string(until) + " us it was not signed (" +
                       (done ? "signed at " + std::to_string(*done) : std::string("never signed")) +
                       ")");
  }

  // "quorum-lost" while t signers stood steadily: a refusal without a reason.
  void check_quorum_lost_answer(const Operation& op) {
    if (!op.answered || op.status != 503 || op.problem.find("quorum-lost") == std::string::npos)
      return;
    const std::int64_t from = op.invoked_us - kDetectionUs;
    if (lines_.steady("signer", from, op.answered_us) < history_.experiment.cluster.threshold)
      return;
    if (!lines_.up_throughout(op.coordinator, from, op.answered_us)) return;
    out_.violation(op.answer_at, op.coordinator + " answered 503 quorum-lost to key " + op.key +
                                     ", though " +
                                     std::to_string(history_.experiment.cluster.threshold) +
                                     " signers had been up for a second");
  }

  // A signed payment reaches a node, in the first interval that gives it its time.
  void check_broadcasts() {
    const auto sent = first_sent();
    std::set<std::string> seen;
    for (const Replica& replica : history_.replicas) {
      for (const WithdrawalRow& row : replica.withdrawals) {
        const auto at = signed_.find(row.withdrawal_id);
        if (at == signed_.end() || !seen.insert(row.withdrawal_id).second) continue;
        const auto found = sent.find(row.withdrawal_id);
        check_broadcast(row, at->second, found == sent.end() ? kForever : found->second);
      }
    }
  }

  void check_broadcast(const WithdrawalRow& row, std::int64_t at, std::int64_t done) {
    for (const Interval& interval : with_node_) {
      const std::int64_t from = std::max(interval.from, at);
      if (from >= interval.to || done <= from) continue;
      const std::int64_t until = deadline(from, kNodeCallUs);
      if (until > interval.to) continue;
      out_.checked();
      if (done <= until) return;
      return out_.violation(row.at, "withdrawal " + row.withdrawal_id +
                                        " was signed, a node and a quorum stood from " +
                                        std::to_string(from) + " us on, and by " +
                                        std::to_string(until) + " us no node had it");
    }
  }

  // When a node had it by an answer, or may have had it: a coordinator that died with its call open
  // left no answer, and whoever took over found the payment there and did not send it again.
  std::map<std::string, std::int64_t> first_sent() const {
    std::map<std::string, std::int64_t> out = first_held(history_);
    std::map<std::pair<std::string, std::string>, const BroadcastEvent*> open;  // boot, withdrawal
    const auto& results = history_.events.broadcast_results;
    auto result = results.begin();
    for (const BroadcastEvent& e : history_.events.broadcasts) {
      for (; result != results.end() && result->t_us < e.t_us; ++result)
        open.erase({result->boot, result->withdrawal_id});
      open.insert_or_assign({e.boot, e.withdrawal_id}, &e);
    }
    for (; result != results.end(); ++result) open.erase({result->boot, result->withdrawal_id});
    for (const auto& [call, event] : open) {
      // One that stayed up owes the answer: its silence is no excuse.
      if (lines_.up_throughout(event->process, event->t_us, event->t_us + kNodeCallUs)) continue;
      const auto known = out.emplace(event->withdrawal_id, event->t_us).first;
      known->second = std::min(known->second, event->t_us);
    }
    return out;
  }

  bool inside(std::int64_t from, std::int64_t until) const {
    return std::any_of(quorate_.begin(), quorate_.end(),
                       [&](const Interval& i) { return i.contains(from, until); });
  }

  const History& history_;
  Findings& out_;
  Timelines lines_;
  std::vector<Interval> quorate_, with_node_;
  std::map<std::string, std::int64_t> signed_, aggregated_, sessions_;
  std::map<std::string, std::string> ids_;
  std::set<std::string> late_;
  std::int64_t bound_us_ = kLeastBoundUs;
  std::uint64_t operations_ = 0, waiting_ = 0;
};

}  // namespace

InvariantResult check_quorum_continuity(const History& history) {
  Findings out(history, "quorum-continuity");
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
  Continuity(history, *within, out).run();
  return out.result();
}

}  // namespace roulette::check
