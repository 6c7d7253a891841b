// The replica's events, its entries and its readiness.
//
// Order inside one step: lag first (the process may have been paused), then the event, then
// whatever became possible: reads, proposals, barriers, readiness, the end of a drain. See
// machine.h for the other two files.
#include "ledger/core/ledger.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"
#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "ledger/core/machine.h"

namespace roulette::ledger {

// ---- the handle ----

Ledger::Ledger(LedgerConfig config) : machine_(std::make_unique<Machine>(std::move(config))) {}
Ledger::Ledger(Ledger&&) noexcept = default;
Ledger& Ledger::operator=(Ledger&&) noexcept = default;
Ledger::~Ledger() = default;

void Ledger::step(Instant now, const Event& event, EntropySource&, Effects& out) {
  machine_->step(now, event, out);
}
std::optional<Instant> Ledger::next_deadline() const {
  return machine_->next_deadline();
}
const State& Ledger::state() const {
  return machine_->state;
}

Gauges Ledger::gauges() const {
  Gauges gauges;
  gauges.index = machine_->applied;
  gauges.known_head = std::max(machine_->known_head, machine_->applied);
  gauges.dropped = machine_->dropped;
  gauges.unrequested = machine_->unrequested;
  gauges.queued_commands = machine_->queue.size();
  gauges.waiting_requests = machine_->waiting;
  gauges.waiting_reads = machine_->reads;
  gauges.withdrawals = machine_->state.withdrawals();
  gauges.newest_snapshot = machine_->newest_snapshot;
  gauges.trimmed_to = machine_->trimmed_to;
  gauges.snapshots_given_up = machine_->snapshots_given_up;
  return gauges;
}

// ---- the machine ----

Machine::Machine(LedgerConfig settings)
    : config(std::move(settings)), state(config.verifier), checkpoints(config.id, config.replicas) {
  ROULETTE_ASSERT(config.replicas > 0 && config.id.value() < config.replicas);
  // Reports of a checkpoint take up to one index each: an interval they fill would never end.
  ROULETTE_ASSERT(config.checkpoint_interval > config.replicas);
  // The majority's word on a snapshot is its word on the checkpoint at that index.
  ROULETTE_ASSERT(config.snapshot_interval % config.checkpoint_interval == 0);
  ROULETTE_ASSERT(config.snapshot_chunk_bytes > 0);
  ROULETTE_ASSERT(config.snapshot_bytes_per_interval > 0);
}

void Machine::step(Instant at, const Event& event, Effects& effects) {
  now = at;
  out = &effects;
  if (ROULETTE_MUTANT("coins-in-map-order")) mutants::set_process_salt(config.boot.value()[0]);
  if (!stopped) {
    refresh_readiness();
    std::visit([this](const auto& what) { handle(what); }, event);
  }
  if (!stopped) {
    serve_reads();
    settle_proposal();
    move_commands();
    advance_snapshot();
    order_barrier();
    refresh_readiness();
    if (started && now >= next_heartbeat) heartbeat();
    finish_drain();
  }
  out = nullptr;
}

void Machine::handle(const Started& event) {
  started = true;
  loaded = event.tables;
  if (loaded && loaded->index == 0) loaded.reset();
  fresh_at = now;
  next_heartbeat = now;
}

void Machine::handle(const EntryDelivered& event) {
  if (loading || event.index <= applied) return;
  if (event.index != applied + 1) return stop("the log engine skipped an index");
  applied = event.index;
  WriteTables entry;
  entry.index = event.index;
  entry.commands = event.commands;
  const wire::ChainTip tip_before = state.tip();
  const bool closed_before = state.closed();
  for (const wire::Command& command : event.commands) apply_command(command, entry);
  compare_digest(entry, state.closed() != closed_before);
  if (stopped || loading) return;
  if (ROULETTE_MUTANT("batch-applied-twice") && loaded && loaded->index == applied)
    for (const wire::Command& command : event.commands) (void)state.apply(command);
  if (state.genesis() && *state.genesis() != config.genesis) {
    return stop("the log's genesis is not the configured one");
  }
  entry.tip = state.tip();
  entry.closed = state.closed();
  const bool moved = entry.tip != tip_before || entry.closed != closed_before;
  const std::vector<wire::WithdrawalView> changed = entry.changed;
  out->push_back(std::move(entry));
  withdraw_genesis();
  if (moved || !changed.empty()) {
    for (const auto& [connection, peer] : peers) {
      if (peer.follows) feed(connection, changed, false);
    }
  }
  queue_moved = true;
}

void Machine::apply_command(const wire::Command& command, WriteTables& entry) {
  Applied done = state.apply(command);
  if (const auto* report = std::get_if<wire::Checkpoint>(&command.body)) {
    const auto why = checkpoints.logged(report->replica, report->index, report->digest);
    checkpoint_logged(report->index);
    if (why) stop_or_refuse(*why);
  }
  answer_waiters(command, done.outcome);
  if (queue.remove(command.id) && in_flight) --in_flight->unapplied;
  entry.outcomes.push_back(std::move(done.outcome));
  for (const WithdrawalId& id : done.changed) {
    wire::WithdrawalView view = *state.by_id(id);
    history.changed(view, applied, std::holds_alternative<wire::Withdraw>(command.body) &&
                                       done.outcome.withdrawal == id);
    const auto same = [&id](const wire::WithdrawalView& other) { return other.id == id; };
    const auto known = std::find_if(entry.changed.begin(), entry.changed.end(), same);
    if (known == entry.changed.end())
      entry.changed.push_back(std::move(view));
    else
      *known = std::move(view);
  }
  entry.postings.insert(entry.postings.end(), done.postings.begin(), done.postings.end());
}

void Machine::compare_digest(WriteTables& entry, bool ends_run) {
  const bool checkpoint = applied % config.checkpoint_interval == 0;
  const bool stored = loaded && loaded->index == applied;
  if (!checkpoint && !stored && !ends_run) return;
  entry.digest = state.digest();
  if (stored && loaded->digest != entry.digest) {
    return stop("replay and tables differ at index " + std::to_string(applied));
  }
  if (!checkpoint) return;
  if (const auto why = checkpoints.own(applied, entry.digest)) return stop_or_refuse(*why);
  if (caught_up) report_checkpoint();
  if (config.snapshot_interval != 0 && applied % config.snapshot_interval == 0) {
    start_snapshot(entry.digest);
  }
}

// A state that came from a snapshot nobody has spoken for is not a state that diverged.
void Machine::stop_or_refuse(const std::string& why) {
  if (loading) return;  // it was refused already
  if (!unconfirmed) return stop(why);
  refuse_snapshot(unconfirmed->index, why);
}

void Machine::handle(const LogLost& event) {
  log_lost = event.reason;
  caught_up = false;
  catch_up_to.reset();
  refuse_reads();
}

void Machine::handle(const LogRestored&) {
  log_lost.reset();
  catch_up_barrier = next_barrier;  // one that is under way may have read before the loss
  barrier_not_before = now;
}

void Machine::handle(const PeerConnected& event) {
  if (peers.size() >= limits::kMaxLedgerPeers) {
    ++dropped;
    return;
  }
  Peer peer;
  peer.name = event.peer;
  peer.heard = now;
  peers.insert_or_assign(event.connection, peer);
  if (event.peer.role == Role::Coordinator) {
    send(event.connection, wire::LedgerStatus{serving(), applied, why_not});
  } else if (event.peer.role == Role::Ledger) {
    send(event.connection, wire::LedgerHeartbeat{applied, serving()});
  }
}

void Machine::handle(const PeerLost& event) {
  peers.erase(event.connection);
  queue.forget_forwards(event.connection);
  queue_moved = true;
}

void Machine::handle(const MessageReceived& event) {
  const auto found = peers.find(event.connection);
  if (found == peers.end()) {
    ++dropped;
    return;
  }
  Peer& peer = found->second;
  const bool coordinator = peer.name.role == Role::Coordinator;
  const bool ledger = peer.name.role == Role::Ledger;
  if (const auto* m = std::get_if<wire::LedgerSubmit>(&event.message); m && coordinator) {
    submit(event.connection, *m);
  } else if (const auto* q = std::get_if<wire::LedgerQuery>(&event.message); q && coordinator) {
    query(event.connection, *q);
  } else if (std::holds_alternative<wire::LedgerFollow>(event.message) && coordinator) {
    follow(event.connection);
  } else if (const auto* f = std::get_if<wire::LedgerForward>(&event.message); f && ledger) {
    take_forwarded(*f);
  } else if (const auto* h = std::get_if<wire::LedgerHeartbeat>(&event.message); h && ledger) {
    if (peer.ready != h->ready) queue_moved = true;
    peer.ready = h->ready;
    peer.heard = now;
  } else {
    ++dropped;
  }
}

void Machine::handle(const EndOfRunRequested&) {
  if (state.closed() || end_of_run_proposed) return;
  end_of_run_proposed = propose_own(wire::EndOfRun{}).has_value();
}

void Machine::handle(const ShutdownRequested&) {
  draining = true;
}

void Machine::handle(const DeadlineReached&) {}  // step() does what is due

// ---- readiness ----

void Machine::stop(std::string why) {
  if (stopped) return;
  stopped = true;
  stop_reason = std::move(why);
  refuse_reads();
  refresh_readiness();
  out->push_back(Stop{stop_reason});
}

std::string Machine::why_not_ready() const {
  if (stopped) return "diverged: " + stop_reason;
  if (!started) return "starting";
  if (loading) return why_loading();
  if (log_lost) return "log lost: " + *log_lost;
  if (!caught_up) return "catching up";
  if (!state.genesis()) return "no genesis";
  if (draining) return "draining";
  if (log_full) return "log full: its store has no space left";
  if (now - fresh_at > limits::kMaxReplicaLag) return "behind the log";
  return "";
}

void Machine::refresh_readiness() {
  std::string why = why_not_ready();
  if (why == why_not) return;
  const bool was_serving = serving();
  why_not = std::move(why);
  out->push_back(ReadinessChanged{serving(), why_not});
  for (const auto& [connection, peer] : peers) {
    if (peer.name.role != Role::Coordinator) continue;
    send(connection, wire::LedgerStatus{serving(), applied, why_not});
  }
  if (serving() != was_serving) {
    heartbeat();
    queue_moved = true;
  }
  if (serving())
    serve_followers();
  else if (!draining)
    refuse_reads();
}

void Machine::heartbeat() {
  next_heartbeat = now + config.heartbeat;
  for (const auto& [connection, peer] : peers) {
    if (peer.name.role == Role::Ledger) send(connection, wire::LedgerHeartbeat{applied, serving()});
  }
}

void Machine::finish_drain() {
  if (!draining || drained || in_flight || !queue.empty() || reads > 0) return;
  drained = true;
  out->push_back(Drained{});
}

std::optional<Instant> Machine::next_deadline() const {
  if (!started || stopped) return std::nullopt;
  Instant next = next_heartbeat;
  if (!barrier && !log_lost) {
    const Instant due_at =
        barrier_wanted() ? barrier_not_before
                         : std::max(last_barrier + limits::kBarrierPeriod, barrier_not_before);
    next = std::min(next, due_at);
  }
  if (serving()) next = std::min(next, fresh_at + limits::kMaxReplicaLag + microseconds(1));
  if (const auto at = snapshot_deadline()) next = std::min(next, *at);
  if (log_full && can_propose() && !in_flight && !queue.empty()) {
    next = std::min(next, propose_not_before);
  }
  if (const auto since = queue.oldest_waiting(now - limits::kForwardPatience)) {
    next = std::min(next, *since + limits::kForwardPatience);
  }
  return next;
}

void Machine::send(ConnectionId connection, wire::Message message) {
  out->push_back(Send{connection, std::move(message)});
}

}  // namespace roulette::ledger
