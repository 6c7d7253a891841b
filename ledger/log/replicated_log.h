// The ordered log as a replica sees it: propose at its end, read its head, follow it from an index.
//
// Invariants: entries are handed over strictly in index order, each exactly once; a proposal is
// taken only if nothing came before it that was not handed over here first; every order is answered
// exactly once. Callbacks come from the loop, never inside the call. Trimming (compact) and a
// leader's name, which DESIGN 8 lists, come with snapshots: nobody needs them before.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/wire/commands.h"
#include "ledger/core/ledger.h"

namespace roulette::ledger {

class ReplicatedLog {
 public:
  struct Callbacks {
    std::function<void(std::uint64_t index, std::vector<wire::Command> commands)> on_entry;
    // Nothing may be served from here on (gap, cancelled watch, no member answers) until
    // on_restored; entries in between are those that were missed.
    std::function<void(const std::string& reason)> on_lost;
    std::function<void()> on_restored;
  };
  using ProposeCallback = std::function<void(ProposeOutcome)>;
  using BarrierCallback = std::function<void(std::optional<std::uint64_t> head)>;

  virtual ~ReplicatedLog() = default;

  // Once. Entries from index 1 on.
  virtual void subscribe(Callbacks callbacks) = 0;
  // One batch as the entry behind the last one handed over. At most one at a time. After Accepted
  // its entry is handed over like any other, before or after the answer.
  virtual void propose(const std::vector<wire::Command>& batch, ProposeCallback done) = 0;
  // The index of the last entry at some moment after the call (0: empty), or nothing.
  virtual void read_barrier(BarrierCallback done) = 0;
};

}  // namespace roulette::ledger
