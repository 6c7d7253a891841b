// What is worked on, when, and how the coordinator reports its own state.
//
// Invariant: may_work() is asked before a withdrawal is signed or first sent, may_resend() before
// it is sent again, every time (not for the parents that go before it). Signing begins in sign()
// only, for a view in state Planned; bytes leave in keep_broadcast() only, for a view that carries
// them.
#include "coordinator/core/machine.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/mutants.h"

namespace roulette::coordinator {

Coordinator::Machine::Machine(CoordinatorConfig configuration)
    : config_(std::move(configuration)),
      ledger_(ProcessName{Role::Coordinator, config_.id.value()}, config_.boot),
      signers_(*config_.group, config_.nonce_pool, config_.cadence),
      journals_(ledger_, signers_),
      signing_(config_, signers_),
      takeover_(config_.id, config_.cadence),
      broadcaster_(working_),
      chain_(ledger_),
      clients_(config_, ledger_) {}

void Coordinator::Machine::step(Step& s, const Event& event) {
  if (drained_) {
    // The host has not left yet: who asks now is told so, for an answer that never comes would hold
    // the process until its grace is over.
    if (const auto* late = std::get_if<ClientRequest>(&event)) on(s, *late);
    return;
  }
  notice_pause(s);
  takeover_.count_step();
  std::visit([&](const auto& e) { on(s, e); }, event);
  if (!started_) return;
  tick(s);
  work(s);
  issue_wishes(s);
  report_readiness(s);
  if (draining_since_) drain(s);
}

// Deadlines are never further apart than the chain poll, so a longer gap means that we stood still
// (SIGSTOP, overload): nobody's silence was observed, and what we were about to do may have been
// done by others.
void Coordinator::Machine::notice_pause(Step& s) {
  const std::optional<Instant> before = std::exchange(last_step_, s.now);
  if (!started_ || !before || s.now - *before <= config_.cadence.peer_silent) return;
  std::set<WithdrawalId> held;
  for (const auto& [id, item] : working_.items()) held.insert(id);
  takeover_.resumed(s.now, held);
  broadcaster_.stood_still(s.now);
  signers_.forgive_silence(s.now);
}

void Coordinator::Machine::tick(Step& s) {
  ledger_.tick(s);
  if (ledger_.take_followed_changed()) working_.feed_lost();
  report_quorum(s);
  signers_.tick(s);
  journals_.tick(s);
  signing_.overdue(s);
  takeover_.beat(s, draining_since_.has_value());
  clients_.tick(s);
  if (next_poll_ > s.now) return;
  next_poll_ = s.now + limits::kChainPoll;
  if (ROULETTE_MUTANT("control-slow-poll")) next_poll_ = next_poll_ + limits::kChainPoll;
  if (!draining_since_) poll(s);
  // What is with the node is the sweep's.
  for (const auto& [id, item] : working_.items()) {
    if (!Broadcaster::was_with_node(item.view)) touched_.insert(id);
  }
  for (const WithdrawalId& id : signing_.jobs()) touched_.insert(id);
}

void Coordinator::Machine::work(Step& s) {
  for (const WithdrawalId& id : std::exchange(touched_, {})) reconsider(s, id);
  if (!draining_since_) signing_.open_wanted(s);
}

void Coordinator::Machine::reconsider(Step& s, const WithdrawalId& id) {
  const WorkingSet::Item* item = working_.find(id);
  if (!item) {
    // Before the feed is complete a missing item means nothing.
    if (!working_.synced()) return;
    signing_.forget(id);
    broadcaster_.forget(id);
    takeover_.forget(id);
    return;
  }
  if (!item->view.signed_tx.empty()) signing_.forget(id);
  if (item->view.state == wire::WithdrawalState::Planned) sign(s, *item);
  if (item->view.state == wire::WithdrawalState::Confirmed) broadcaster_.not_missing(id);
  // The first send follows the signature at once; what gets lost later is the sweep's (after each
  // mempool answer).
  if (item->view.state == wire::WithdrawalState::Signed) keep_broadcast(s, item->view);
}

void Coordinator::Machine::sign(Step& s, const WorkingSet::Item& item) {
  const wire::WithdrawalView& view = item.view;
  if (!view.planned || !view.signed_tx.empty() || signing_.has(view.id) || draining_since_) return;
  if (signing_.size() >= limits::kMaxSigningWithdrawals &&
      signing_.active() >= limits::kMaxSigningWithdrawals)
    return;
  if (!may_work(s, view, item.since, working_.owner_patience())) return;
  signing_.start(s, view);
}

// Called for a signed, unconfirmed view that the node may not hold.
void Coordinator::Machine::keep_broadcast(Step& s, const wire::WithdrawalView& view) {
  if (broadcaster_.held(view)) return announce(s, view);
  if (!(Broadcaster::was_with_node(view) ? may_resend(s, view) : may_send_first(s, view))) return;
  if (ROULETTE_MUTANT("rebroadcast-signs-again") && broadcaster_.lost_since(view)) {
    wire::WithdrawalView unsigned_view = view;
    unsigned_view.signed_tx.clear();
    return signing_.start(s, unsigned_view);
  }
  broadcaster_.send(s, view);
}

bool Coordinator::Machine::may_send_first(Step& s, const wire::WithdrawalView& view) {
  const Instant since = broadcaster_.missing_since(view, s.now);
  return may_work(s, view, since, limits::kForeignWorkGrace);
}

// While we drain, whoever is the lowest then does it.
bool Coordinator::Machine::may_resend(const Step& s, const wire::WithdrawalView& view) const {
  const auto lost = broadcaster_.lost_since(view);
  return lost && !draining_since_ && takeover_.may_resend(*lost, broadcaster_.others_sent(), s.now);
}

// The mempool answered: what is signed, unconfirmed and not there is sent again; what is there is
// broadcast, which is looked at first, as it says what others do.
void Coordinator::Machine::sweep(Step& s) {
  std::vector<const wire::WithdrawalView*> absent;
  for (const auto& [id, item] : working_.items()) {
    const wire::WithdrawalView& view = item.view;
    if (!Broadcaster::unconfirmed(view)) continue;
    if (!broadcaster_.held(view)) {
      absent.push_back(&view);
      continue;
    }
    broadcaster_.there(view, s.now);
    announce(s, view);
  }
  // A block that the node has and the ledger does not know yet explains a transaction's absence;
  // but not for long, neither of that block nor of this transaction: where blocks come as fast as
  // polls there always is such a block.
  const auto differ = chain_.differ_since();
  const bool chain_lags = differ && s.now - *differ < limits::kForeignWorkGrace;
  for (const wire::WithdrawalView* view : absent) {
    const Instant since = broadcaster_.missing_since(*view, s.now);
    if (chain_lags && s.now - since < limits::kForeignWorkGrace) continue;
    broadcaster_.missed(*view, s.now);
    keep_broadcast(s, *view);
  }
}

// What a bound on sends held back, in the order of ids; parents still go before their children.
void Coordinator::Machine::send_held_back(Step& s, Broadcaster::Room room) {
  using State = wire::WithdrawalState;
  const auto send_all = [&](State state) {
    for (const auto& [id, item] : working_.items()) {
      if (item.view.state == state && Broadcaster::unconfirmed(item.view))
        keep_broadcast(s, item.view);
    }
  };
  if (room.first_sends) send_all(State::Signed);
  if (room.resends) send_all(State::Broadcast);
}

// True when it is ours to work on now; starts the read that has to come first.
bool Coordinator::Machine::may_work(Step& s, const wire::WithdrawalView& view, Instant since,
                                    Duration patience) {
  switch (takeover_.leave(view, since, patience, s.now)) {
    case Leave::Work:
      return true;
    case Leave::Wait:
      return false;
    case Leave::ReadFirst:
      break;
  }
  if (takeover_.reading(view.id) || draining_since_) return false;
  takeover_.start_reading(view.id);
  s.fact(TookOver{view.id, takeover_.why(view, s.now)});
  ledger_.query(s, wire::QueryById{view.id}, ForTakeover{view.id});
  return false;
}

void Coordinator::Machine::announce(Step& s, const wire::WithdrawalView& view) {
  if (view.state != wire::WithdrawalState::Signed || !announcing_.insert(view.id).second) return;
  ledger_.submit(s, wire::Broadcast{view.id, view.planned->txid}, ForBroadcast{view.id});
}

bool Coordinator::Machine::quorum(Instant now) const {
  return signers_.known_count(now) >= config_.group->t();
}

void Coordinator::Machine::report_quorum(Step& s) {
  const std::size_t known = signers_.known_count(s.now);
  if (reported_quorum_ == known) return;
  reported_quorum_ = known;
  if (ROULETTE_MUTANT("control-quiet")) return;
  s.fact(QuorumChanged{known});
}

void Coordinator::Machine::report_readiness(Step& s) {
  std::pair<bool, std::string> now{false, ""};
  if (draining_since_)
    now.second = "draining";
  else if (!ledger_.available())
    now.second = "no-ledger";
  else if (!working_.synced())
    now.second = "ledger-read-incomplete";
  else if (!quorum(s.now))
    now.second = "quorum-lost";
  else if (!node_known_)
    now.second = "no-node";
  // A node lost later stops broadcasts only; withdrawals are still accepted and signed.
  else
    now = {true, node_up_ ? "" : "no-node"};
  if (reported_readiness_ == now) return;
  reported_readiness_ = now;
  s.out.push_back(ReadinessChanged{now.first, now.second});
}

// Finished when nothing is in flight. Two thirds of the grace is the most that is waited: what is
// left then is as safe as after a SIGKILL, and the others take it over.
void Coordinator::Machine::drain(Step& s) {
  signing_.hand_over();
  const bool late = (s.now - *draining_since_).us * 3 >= limits::kDrain.us * 2 ||
                    ROULETTE_MUTANT("stop-drops-work");
  const bool idle = clients_.open() == 0 && signing_.size() == 0 &&
                    ledger_.pending_commands() == 0 && broadcaster_.in_flight() == 0;
  if (!idle && !late) return;
  clients_.abandon(s);
  drained_ = true;
  s.out.push_back(Drained{});
}

std::optional<Instant> Coordinator::Machine::next_deadline() const {
  if (!started_ || drained_) return std::nullopt;
  std::optional<Instant> due = next_poll_;
  due = earlier(due, ledger_.next_deadline());
  due = earlier(due, signers_.next_deadline(*last_step_));
  due = earlier(due, journals_.next_deadline());
  due = earlier(due, signing_.next_deadline());
  due = earlier(due, takeover_.next_deadline());
  return earlier(due, clients_.next_deadline());
}

Gauges Coordinator::Machine::gauges() const {
  Gauges g;
  g.open_requests = clients_.open();
  g.unfinished = working_.items().size();
  g.open_sessions = signing_.open_sessions();
  g.known_signers = last_step_ ? signers_.known_count(*last_step_) : 0;
  g.quarantined = signers_.quarantined();
  g.pooled_nonces = signers_.pooled();
  g.ledger_height = working_.tip() ? working_.tip()->height : 0;
  g.node_height = chain_.node_tip() ? chain_.node_tip()->height : 0;
  g.sessions = signing_.sessions_opened();
  g.signatures = signing_.aggregated();
  g.signer_timeouts = signing_.timeouts();
  g.pending_commands = ledger_.pending();
  g.signing = signing_.active();
  g.most_outstanding = signers_.most_outstanding();
  g.sends_in_flight = broadcaster_.in_flight();
  return g;
}

}  // namespace roulette::coordinator
