// What became of each withdrawal, by log index, as far as this replica applied it.
//
// Invariant: a memory of this life, never a part of the replicated state: a replica that began from
// a snapshot lacks what came before, and its lists then do not begin with `requested`. Bounded: the
// newest limits::kMaxEventsKept of each withdrawal. Decides nothing.
#pragma once

#include <map>
#include <vector>

#include "common/wire/page.h"

namespace roulette::ledger {

class History {
 public:
  // The withdrawal as the entry at `index` left it; `created` by that entry.
  void changed(const wire::WithdrawalView& view, std::uint64_t index, bool created);
  [[nodiscard]] std::vector<wire::WithdrawalEvent> of(const WithdrawalId& id) const;

 private:
  std::map<WithdrawalId, std::vector<wire::WithdrawalEvent>> events_;
};

}  // namespace roulette::ledger
