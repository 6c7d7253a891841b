// The unfinished withdrawals as the applied ledger shows them: what this coordinator works by.
//
// Invariant: an item never goes back in the log: a view of an older index than the one it replaces
// is dropped, whichever replica it came from. Holds only what a replica said was applied; nothing
// is ever guessed or written here by ourselves.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "common/base/limits.h"
#include "common/base/time.h"
#include "common/wire/messages.h"
#include "coordinator/core/patience.h"

namespace roulette::coordinator {

class WorkingSet {
 public:
  struct Item {
    wire::WithdrawalView view;
    std::uint64_t index = 0;  // of the log, at least
    Instant since;            // when this state was first seen here
  };

  // False when nothing new was learnt. Settled and rejected withdrawals leave the set.
  bool learn(const wire::WithdrawalView& view, std::uint64_t index, Instant now);
  // The frame's tip, flags and, for the first frame after Follow, what is to be forgotten. Its
  // views are learnt by the caller, one by one.
  void begin_frame(const wire::LedgerFeed& feed);
  void end_frame(const wire::LedgerFeed& feed);
  void feed_lost() { synced_ = false; }

  [[nodiscard]] const Item* find(const WithdrawalId& id) const;
  [[nodiscard]] const Item* find_txid(const Hash32& txid) const;
  [[nodiscard]] const std::map<WithdrawalId, Item>& items() const { return items_; }
  // Those whose transaction spends an output of this one.
  [[nodiscard]] std::vector<WithdrawalId> children(const Hash32& txid) const;
  // How long a live owner may take from planned to signed: as long as signatures take at the time,
  // whoever makes them. A cluster that is only slow must not do everything twice.
  [[nodiscard]] Duration owner_patience() const { return to_signature_.now(); }
  // Followed, and everything unfinished has arrived.
  [[nodiscard]] bool synced() const { return synced_; }
  [[nodiscard]] bool closed() const { return closed_; }
  // Nothing before the ledger's first command.
  [[nodiscard]] const std::optional<wire::ChainTip>& tip() const { return tip_; }

 private:
  void erase(const WithdrawalId& id);
  void unlink(const wire::WithdrawalView& view);
  Patience to_signature_{limits::kOwnerPatience, kOwnerPatienceMost};
  std::map<WithdrawalId, Item> items_;
  std::map<Hash32, WithdrawalId> by_txid_;
  std::map<Hash32, std::set<WithdrawalId>> children_;  // by the parent's txid
  std::optional<wire::ChainTip> tip_;
  std::uint64_t tip_index_ = 0;
  bool synced_ = false;
  bool closed_ = false;
};

}  // namespace roulette::coordinator
