// Keeps the newest view of each unfinished withdrawal and the ledger's chain tip.
//
// Invariant: by_txid_ has exactly the planned items, children_ exactly their parents. Does not
// decide what to do about a change.
#include "coordinator/core/working_set.h"

namespace roulette::coordinator {
namespace {

bool finished(const wire::WithdrawalView& view) {
  return view.state == wire::WithdrawalState::Settled ||
         view.state == wire::WithdrawalState::Rejected;
}

}  // namespace

bool WorkingSet::learn(const wire::WithdrawalView& view, std::uint64_t index, Instant now) {
  const auto known = items_.find(view.id);
  if (known != items_.end()) {
    if (index < known->second.index) return false;
    if (known->second.view == view) {
      known->second.index = index;
      return false;
    }
  }
  if (finished(view)) {
    erase(view.id);
    return true;
  }
  if (known != items_.end() && known->second.view.state == wire::WithdrawalState::Planned &&
      !view.signed_tx.empty())
    to_signature_.took(now - known->second.since);
  const bool same_state = known != items_.end() && known->second.view.state == view.state;
  const Instant since = same_state ? known->second.since : now;
  if (known != items_.end()) unlink(known->second.view);
  items_[view.id] = Item{view, index, since};
  if (view.planned) by_txid_[view.planned->txid] = view.id;
  for (const Hash32& parent : view.parents) children_[parent].insert(view.id);
  return true;
}

void WorkingSet::begin_frame(const wire::LedgerFeed& feed) {
  if (feed.first) {
    synced_ = false;
    // What is unfinished at feed.index is listed in what follows. Items learnt from a later index
    // stay: the replica that answers may lag behind the one that told us.
    std::set<WithdrawalId> listed;
    for (const wire::WithdrawalView& view : feed.changed) listed.insert(view.id);
    std::vector<WithdrawalId> gone;
    for (const auto& [id, item] : items_) {
      if (item.index <= feed.index && !listed.contains(id)) gone.push_back(id);
    }
    for (const WithdrawalId& id : gone) erase(id);
  }
  if (feed.index >= tip_index_ && feed.tip.hash != Hash32{}) {
    tip_index_ = feed.index;
    tip_ = feed.tip;
  }
  closed_ = closed_ || feed.closed;
}

void WorkingSet::end_frame(const wire::LedgerFeed& feed) {
  if (feed.complete) synced_ = true;
}

void WorkingSet::erase(const WithdrawalId& id) {
  const auto at = items_.find(id);
  if (at == items_.end()) return;
  unlink(at->second.view);
  items_.erase(at);
}

void WorkingSet::unlink(const wire::WithdrawalView& view) {
  if (view.planned) by_txid_.erase(view.planned->txid);
  for (const Hash32& parent : view.parents) {
    const auto at = children_.find(parent);
    if (at == children_.end()) continue;
    at->second.erase(view.id);
    if (at->second.empty()) children_.erase(at);
  }
}

std::vector<WithdrawalId> WorkingSet::children(const Hash32& txid) const {
  const auto at = children_.find(txid);
  if (at == children_.end()) return {};
  return {at->second.begin(), at->second.end()};
}

const WorkingSet::Item* WorkingSet::find(const WithdrawalId& id) const {
  const auto at = items_.find(id);
  return at == items_.end() ? nullptr : &at->second;
}

const WorkingSet::Item* WorkingSet::find_txid(const Hash32& txid) const {
  const auto at = by_txid_.find(txid);
  return at == by_txid_.end() ? nullptr : find(at->second);
}

}  // namespace roulette::coordinator
