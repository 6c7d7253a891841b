// Remembers the states that withdrawals went through: see history.h.
//
// Invariant: two neighbouring events of one withdrawal differ in state; a step back is `revoked`.
#include "ledger/core/history.h"

#include "common/base/limits.h"

namespace roulette::ledger {

void History::changed(const wire::WithdrawalView& view, std::uint64_t index, bool created) {
  using wire::WithdrawalState;
  auto& events = events_[view.id];
  // Requested and planned (or rejected) in one entry: both are told.
  if (created) events.push_back({WithdrawalState::Requested, false, index, 0});
  // Without what came before, a step back cannot be told from a step on.
  const auto before = events.empty() ? WithdrawalState::Requested : events.back().state;
  if (!events.empty() && view.state == before) return;
  events.push_back({view.state, view.state < before, index, view.height});
  if (events.size() > limits::kMaxEventsKept) events.erase(events.begin());
}

std::vector<wire::WithdrawalEvent> History::of(const WithdrawalId& id) const {
  const auto at = events_.find(id);
  return at == events_.end() ? std::vector<wire::WithdrawalEvent>{} : at->second;
}

}  // namespace roulette::ledger
