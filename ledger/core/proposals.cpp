// From a coordinator's command to a log entry: queue, forwarding, the proposal in flight, answers.
//
//   Outstanding --Accepted--> InTheLog --all applied--> done
//        |  NotLeader or Unknown
//        v
//   AskingHead --a barrier ordered afterwards--> CatchingUp --applied up to it--> the rest again
//
// Invariant: a command is proposed again only when everything up to a head read after the outcome
// was applied and did not hold it. A transaction that is still under way then cannot slip in beside
// the new one: both compare against the same head (DESIGN 8), so at most one of them commits.
#include <algorithm>

#include "common/base/assert.h"
#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "ledger/core/machine.h"

namespace roulette::ledger {

void Machine::submit(ConnectionId from, const wire::LedgerSubmit& message) {
  const bool internal = std::holds_alternative<wire::Genesis>(message.command.body) ||
                        std::holds_alternative<wire::Checkpoint>(message.command.body);
  // Unanswered, the coordinator asks another replica after kLedgerRetry.
  if (internal || draining || waiting >= limits::kMaxQueuedCommands) {
    ++dropped;
    return;
  }
  const auto* wanted = std::get_if<wire::Withdraw>(&message.command.body);
  if (wanted != nullptr) {
    if (auto why = unrequested_by_clients(*wanted)) {
      // Without a view: no answer to the key, which another replica may have put into the log.
      ++unrequested;
      const wire::Outcome outcome{wire::OutcomeKind::Invalid, *std::move(why), std::nullopt};
      return send(from, wire::LedgerApplied{message.request, applied, outcome, std::nullopt});
    }
  }
  if (!queue.add(message.command, now, false)) {
    ++dropped;
    return;
  }
  if (wanted != nullptr && ROULETTE_MUTANT("answer-before-apply")) {
    wire::WithdrawalView view;
    view.id = wanted->id;
    view.key = wanted->key;
    view.payload_digest = wanted->payload_digest;
    view.owner = wanted->owner;
    const wire::Outcome outcome{wire::OutcomeKind::Applied, "", wanted->id};
    send(from, wire::LedgerApplied{message.request, applied, outcome, view});
    queue_moved = true;
    return;
  }
  waiters[message.command.id].emplace_back(from, message.request);
  ++waiting;
  queue_moved = true;
}

// Attack: a coordinator in wrong hands makes up a withdrawal, has another account debited for what
// a client asked of its own, or takes a key first with a request that no signer will ever accept.
// What another replica forwards is not looked at: it can reach the log without this one.
std::optional<std::string> Machine::unrequested_by_clients(const wire::Withdraw& w) const {
  if (!config.clients) return std::nullopt;
  if (w.id != wire::withdrawal_id_of(w.key)) return "the withdrawal id is another key's";
  const auto no = config.clients->check({w.key, w.account, w.script, w.amount_sat}, w.client);
  if (no) return no->detail;
  return std::nullopt;
}

void Machine::take_forwarded(const wire::LedgerForward& message) {
  for (const wire::Command& command : message.commands) {
    // The sender keeps it and proposes it itself after kForwardPatience.
    if (draining || !queue.add(command, now, true)) ++dropped;
  }
  queue_moved = true;
}

std::optional<wire::CommandId> Machine::propose_own(wire::CommandBody body) {
  wire::Command command;
  command.id = {{Role::Ledger, config.id.value()}, config.boot, next_counter++};
  command.body = std::move(body);
  const wire::CommandId id = command.id;
  if (queue.add(std::move(command), now, true)) return id;
  ++dropped;
  return std::nullopt;
}

void Machine::propose_genesis() {
  if (!genesis_proposed) genesis_proposed = propose_own(config.genesis);
}

// Another replica's genesis came first: ours would only be ignored.
void Machine::withdraw_genesis() {
  if (!genesis_proposed || !state.genesis()) return;
  if (queue.remove(*genesis_proposed) && in_flight) --in_flight->unapplied;
}

void Machine::report_checkpoint() {
  if (const auto report = checkpoints.unreported()) {
    (void)propose_own(wire::Checkpoint{config.id, report->index, report->digest});
  }
}

void Machine::answer_waiters(const wire::Command& command, const wire::Outcome& outcome) {
  const auto found = waiters.find(command.id);
  if (found == waiters.end()) return;
  std::optional<wire::WithdrawalView> view;
  if (outcome.withdrawal) view = state.by_id(*outcome.withdrawal);
  for (const auto& [connection, request] : found->second) {
    --waiting;
    // Nobody has spoken for the snapshot below this state yet: the coordinator asks elsewhere.
    if (unconfirmed || loading || !peers.contains(connection)) continue;
    send(connection, wire::LedgerApplied{request, applied, outcome, view});
  }
  waiters.erase(found);
}

void Machine::handle(const ProposeDone& event) {
  if (!in_flight || in_flight->batch != event.batch) return;
  using Phase = InFlight::Phase;
  const bool accepted = event.outcome == ProposeOutcome::Accepted;
  in_flight->phase = accepted && !in_flight->jumped ? Phase::InTheLog : Phase::AskingHead;
  if (event.outcome == ProposeOutcome::NoSpace) {
    log_full = true;
    propose_not_before = now + limits::kFullLogRetry;
  } else if (accepted) {
    log_full = false;
  }
  // An answer to a barrier that is under way may be older than this outcome.
  if (barrier) barrier->for_proposal = false;
}

void Machine::settle_proposal() {
  if (!in_flight) return;
  using Phase = InFlight::Phase;
  switch (in_flight->phase) {
    case Phase::Outstanding:
    case Phase::AskingHead:
      return;
    case Phase::InTheLog:
      if (in_flight->unapplied > 0) return;
      break;
    case Phase::CatchingUp:
      if (applied < in_flight->head) return;
      queue.release_batch();
      queue_moved = true;
      break;
  }
  in_flight.reset();
}

bool Machine::can_propose() const {
  return started && !stopped && !log_lost && caught_up;
}

std::optional<ConnectionId> Machine::preferred() const {
  std::optional<ConnectionId> best;
  std::uint16_t lowest = 0;
  for (const auto& [connection, peer] : peers) {
    if (peer.name.role != Role::Ledger || !peer.ready) continue;
    if (now - peer.heard > config.peer_silent) continue;
    if (best && peer.name.index >= lowest) continue;
    best = connection;
    lowest = peer.name.index;
  }
  if (!best || (serving() && config.id.value() < lowest)) return std::nullopt;
  return best;
}

void Machine::move_commands() {
  if (queue.empty()) {
    log_full = false;  // somebody got it in
    return;
  }
  const std::optional<ConnectionId> other = preferred();
  if (other && queue_moved && state.genesis()) {
    queue_moved = false;
    for (auto batch = queue.take_forward(*other); !batch.empty();
         batch = queue.take_forward(*other)) {
      send(*other, wire::LedgerForward{std::move(batch)});
    }
  }
  if (in_flight || !can_propose() || (log_full && now < propose_not_before)) return;
  const auto eligible = [this, &other](const QueuedCommand& queued) {
    if (!state.genesis()) return std::holds_alternative<wire::Genesis>(queued.command.body);
    return !other || queued.own_duty || now - queued.since >= limits::kForwardPatience;
  };
  std::vector<wire::Command> batch = queue.take_batch(eligible);
  if (batch.empty()) return;
  in_flight = InFlight{next_batch++, batch.size(), InFlight::Phase::Outstanding, 0, false};
  out->push_back(Propose{in_flight->batch, std::move(batch)});
}

}  // namespace roulette::ledger
