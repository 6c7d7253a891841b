// What to send to the node, when to try again, and in which order.
//
// Invariant: a child is sent only when none of its own unconfirmed parents is missing. What is sent
// again also waits for a parent in a block that the node lost and the ledger has not given up yet;
// a first send does not, as our knowledge of the node's height may be a poll old. An answer of
// the node is news, not truth: the next mempool answer overrules it.
#include "coordinator/core/broadcast.h"

#include <algorithm>

#include "common/base/mutants.h"

namespace roulette::coordinator {

bool Broadcaster::unconfirmed(const wire::WithdrawalView& view) {
  if (view.signed_tx.empty() || !view.planned) return false;
  switch (view.state) {
    case wire::WithdrawalState::Signed:
    case wire::WithdrawalState::Broadcast:
      return true;
    case wire::WithdrawalState::Requested:
    case wire::WithdrawalState::Planned:
    case wire::WithdrawalState::Confirmed:
    case wire::WithdrawalState::Settled:
    case wire::WithdrawalState::Rejected:
      return false;
  }
  return false;
}

bool Broadcaster::was_with_node(const wire::WithdrawalView& view) {
  return unconfirmed(view) && view.state == wire::WithdrawalState::Broadcast;
}

void Broadcaster::send(Step& s, const wire::WithdrawalView& view) {
  send(s, view, was_with_node(view), 0);
}

bool Broadcaster::room(bool resend) const {
  return in_flight_ < limits::kMaxSendsInFlight && (!resend || resends_ < kMaxResendsInFlight);
}

void Broadcaster::send(Step& s, const wire::WithdrawalView& view, bool resend, std::size_t depth) {
  if (!unconfirmed(view) || held(view) || depth > limits::kMaxUnsettledAncestors) return;
  Entry& entry = entries_[view.id];
  if (entry.in_flight || entry.wait_for_block || entry.not_before > s.now) return;
  if (!room(resend)) {
    (resend ? held_back_.resends : held_back_.first_sends) = true;
    return;
  }
  bool parent_missing = false;
  for (const Hash32& parent : view.parents) {
    const WorkingSet::Item* item = working_.find_txid(parent);
    if (item && resend && above_the_node(item->view)) parent_missing = true;
    if (!item || !unconfirmed(item->view) || held(item->view)) continue;
    parent_missing = true;
    send(s, item->view, resend, depth + 1);
  }
  if (parent_missing) return;  // its turn comes with the parent's answer or the next poll
  entry.in_flight = true;
  entry.resend = resend;
  entry.tried = true;
  ++in_flight_;
  if (resend) ++resends_;
  wishes_.push_back({view.id, SendTransaction{view.id, view.planned->txid, view.signed_tx}});
}

bool Broadcaster::above_the_node(const wire::WithdrawalView& view) const {
  return node_height_ && view.height > *node_height_;
}

void Broadcaster::landed(Entry& entry) {
  if (std::exchange(entry.in_flight, false)) --in_flight_;
  if (std::exchange(entry.resend, false)) --resends_;
}

bool Broadcaster::result(Step& s, const WithdrawalId& id, bitcoin::SendOutcome outcome) {
  const auto at = entries_.find(id);
  if (at == entries_.end()) return bitcoin::is_held_by_node(outcome);
  Entry& entry = at->second;
  landed(entry);
  switch (outcome) {
    case bitcoin::SendOutcome::Accepted:
    case bitcoin::SendOutcome::AlreadyInMempool:
    case bitcoin::SendOutcome::AlreadyConfirmed:
      entry.held_at = s.now;
      not_missing(id);
      return true;
    case bitcoin::SendOutcome::MempoolChainTooLong:
    case bitcoin::SendOutcome::PrematureSpend:
      entry.wait_for_block = true;
      break;
    // Parent not there yet, or confirmed with all outputs spent and the ledger does not know yet:
    // the next poll tells.
    case bitcoin::SendOutcome::MissingInputs:
    case bitcoin::SendOutcome::WarmingUp:
    case bitcoin::SendOutcome::NodeUnavailable:
      entry.not_before = s.now + limits::kChainPoll;
      break;
    case bitcoin::SendOutcome::FeeTooLow:
    case bitcoin::SendOutcome::MempoolConflict:
    case bitcoin::SendOutcome::Rejected:
      entry.not_before = s.now + limits::kForeignWorkGrace;
      break;
  }
  return false;
}

void Broadcaster::mempool(Instant asked_at, const std::vector<Hash32>& txids) {
  mempool_ = std::set<Hash32>(txids.begin(), txids.end());
  mempool_at_ = asked_at;
}

void Broadcaster::block_seen() {
  for (auto& [id, entry] : entries_) entry.wait_for_block = false;
}

bool Broadcaster::held(const wire::WithdrawalView& view) const {
  if (mempool_.contains(view.planned->txid)) return true;
  const auto at = entries_.find(view.id);
  if (at == entries_.end() || !at->second.held_at) return false;
  if (ROULETTE_MUTANT("mempool-believed-once")) return true;
  return !mempool_at_ || *at->second.held_at >= *mempool_at_;
}

void Broadcaster::there(const wire::WithdrawalView& view, Instant now) {
  const auto at = entries_.find(view.id);
  if (at == entries_.end()) return;
  if (at->second.lost_since && !at->second.tried) others_sent_ = now;
  not_missing(view.id);
}

void Broadcaster::not_missing(const WithdrawalId& id) {
  const auto at = entries_.find(id);
  if (at == entries_.end()) return;
  at->second.missing_since.reset();
  at->second.misses = 0;
  at->second.lost_since.reset();
  at->second.tried = false;
}

void Broadcaster::missed(const wire::WithdrawalView& view, Instant now) {
  if (!was_with_node(view)) return;
  Entry& entry = entries_[view.id];
  if (++entry.misses == 2) entry.lost_since = now;
}

std::optional<Instant> Broadcaster::lost_since(const wire::WithdrawalView& view) const {
  const auto at = entries_.find(view.id);
  if (at == entries_.end() || held(view)) return std::nullopt;
  return at->second.lost_since;
}

Instant Broadcaster::missing_since(const wire::WithdrawalView& view, Instant now) {
  Entry& entry = entries_[view.id];
  if (!entry.missing_since) entry.missing_since = now;
  return *entry.missing_since;
}

void Broadcaster::forget(const WithdrawalId& id) {
  const auto at = entries_.find(id);
  if (at == entries_.end()) return;
  landed(at->second);
  entries_.erase(at);
}

Broadcaster::Room Broadcaster::take_room() {
  constexpr std::size_t kMost = limits::kMaxSendsInFlight;
  Room room;
  if (in_flight_ <= kMost / 4 * 3)
    room.first_sends = std::exchange(held_back_.first_sends, false);
  if (in_flight_ < kMost && resends_ <= kMaxResendsInFlight / 2)
    room.resends = std::exchange(held_back_.resends, false);
  return room;
}

}  // namespace roulette::coordinator
