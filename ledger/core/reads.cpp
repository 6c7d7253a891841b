// Barriers and what they serve: reads, catching up, lag, and what became of a proposal.
//
// Invariant: a read is answered from a state that holds everything a barrier ordered after its
// arrival has shown. One barrier is under way at a time; reads that arrive meanwhile share the
// next.
#include <algorithm>

#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "ledger/core/machine.h"

namespace roulette::ledger {
namespace {

constexpr std::size_t kHeadsKept = 64;

}  // namespace

void Machine::query(ConnectionId from, const wire::LedgerQuery& message) {
  Read read{from, message.request, message.query};
  if (!serving() || reads >= limits::kMaxQueuedReads) return refuse(read);
  if (ROULETTE_MUTANT("barrier-skipped")) return answer(read);
  arrived.push_back(std::move(read));
  ++reads;
}

bool Machine::barrier_wanted() const {
  const bool asks = in_flight && in_flight->phase == InFlight::Phase::AskingHead;
  return !arrived.empty() || asks || (!caught_up && !catch_up_to);
}

void Machine::order_barrier() {
  if (!started || barrier || log_lost || now < barrier_not_before) return;
  if (!barrier_wanted() && now < last_barrier + limits::kBarrierPeriod) return;
  last_barrier = now;
  Barrier ordered{next_barrier++, now, applied, std::move(arrived), false};
  arrived.clear();
  ordered.for_proposal = in_flight && in_flight->phase == InFlight::Phase::AskingHead;
  barrier = std::move(ordered);
  out->push_back(ReadBarrier{barrier->number});
}

void Machine::handle(const BarrierDone& event) {
  if (!barrier || barrier->number != event.barrier) return;
  Barrier done = std::move(*barrier);
  barrier.reset();
  if (!event.index) {
    barrier_not_before = now + limits::kBarrierRetry;
    for (const Read& read : done.reads) {
      --reads;
      refuse(read);
    }
    return;
  }
  const std::uint64_t head = *event.index;
  if (head < done.applied) return stop("the log is shorter than what was applied from it");
  if (loaded && head < loaded->index) return stop("the log is shorter than the tables");
  if (!done.reads.empty()) due.emplace_back(head, std::move(done.reads));
  using Phase = InFlight::Phase;
  if (in_flight && in_flight->phase == Phase::AskingHead && done.for_proposal) {
    in_flight->phase = Phase::CatchingUp;
    in_flight->head = head;
  }
  if (!caught_up && !log_lost && done.number >= catch_up_barrier) catch_up_to = head;
  log_head_known(head, done.ordered);
}

void Machine::log_head_known(std::uint64_t head, Instant ordered) {
  known_head = std::max(known_head, head);
  if (!heads.empty() && (heads.back().first >= head || heads.size() >= kHeadsKept)) {
    // Counting the newer head under the older time errs towards "behind".
    if (heads.back().first == head)
      heads.back().second = ordered;
    else
      heads.back().first = std::max(heads.back().first, head);
    return;
  }
  heads.emplace_back(head, ordered);
}

void Machine::serve_reads() {
  while (!heads.empty() && heads.front().first <= applied) {
    fresh_at = std::max(fresh_at, heads.front().second);
    heads.pop_front();
  }
  if (!caught_up && !log_lost && catch_up_to && applied >= *catch_up_to) {
    // A manifest is stored only after the majority's reports: they would have come by now.
    if (unconfirmed) {
      return refuse_snapshot(unconfirmed->index,
                             "no majority of the log's checkpoints confirms it");
    }
    caught_up = true;
    catch_up_to.reset();
    queue_moved = true;
    if (state.genesis()) report_checkpoint();
  }
  if (caught_up && !state.genesis()) propose_genesis();
  while (!due.empty() && due.front().first <= applied) {
    for (const Read& read : due.front().second) {
      --reads;
      answer(read);
    }
    due.pop_front();
  }
}

void Machine::refuse_reads() {
  const auto refuse_all = [this](std::vector<Read>& list) {
    for (const Read& read : list) {
      --reads;
      refuse(read);
    }
    list.clear();
  };
  refuse_all(arrived);
  if (barrier) refuse_all(barrier->reads);
  for (auto& [index, list] : due) refuse_all(list);
  due.clear();
}

void Machine::answer(const Read& read) {
  if (!peers.contains(read.connection)) return;
  wire::LedgerAnswer reply;
  reply.request = read.request;
  reply.index = applied;
  if (const auto* by_id = std::get_if<wire::QueryById>(&read.query)) {
    reply.view = state.by_id(by_id->id);
  } else if (const auto* by_key = std::get_if<wire::QueryByKey>(&read.query)) {
    reply.view = state.by_key(by_key->key);
  } else if (std::holds_alternative<wire::QueryJournals>(read.query)) {
    reply.journals = state.journal_heads();
  } else if (const auto* page = std::get_if<wire::QueryPage>(&read.query)) {
    reply.page = state.page(*page);
  } else if (const auto* events = std::get_if<wire::QueryEvents>(&read.query)) {
    reply.view = state.by_id(events->id);
    reply.events = history.of(events->id);
  } else {
    reply.balances = state.balances();
  }
  send(read.connection, std::move(reply));
}

void Machine::refuse(const Read& read) {
  if (!peers.contains(read.connection)) return;
  wire::LedgerAnswer reply;
  reply.request = read.request;
  reply.index = applied;
  reply.available = false;
  send(read.connection, std::move(reply));
}

void Machine::follow(ConnectionId from) {
  Peer& peer = peers.at(from);
  if (!serving()) {
    peer.wants_follow = true;
    return;
  }
  peer.follows = true;
  peer.wants_follow = false;
  feed(from, state.unfinished(), true);
}

void Machine::serve_followers() {
  for (auto& [connection, peer] : peers) {
    if (!peer.wants_follow) continue;
    peer.wants_follow = false;
    peer.follows = true;
    feed(connection, state.unfinished(), true);
  }
}

void Machine::feed(ConnectionId connection, std::vector<wire::WithdrawalView> views, bool first) {
  std::size_t from = 0;
  do {
    const std::size_t to = std::min(views.size(), from + limits::kMaxFeedViewsPerFrame);
    wire::LedgerFeed frame;
    frame.index = applied;
    frame.tip = state.tip();
    frame.first = first && from == 0;
    frame.complete = to == views.size();
    frame.closed = state.closed();
    for (std::size_t i = from; i < to; ++i) frame.changed.push_back(std::move(views[i]));
    send(connection, std::move(frame));
    from = to;
  } while (from < views.size());
}

}  // namespace roulette::ledger
