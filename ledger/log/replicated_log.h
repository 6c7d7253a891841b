// The ordered log as a replica sees it: propose at its end, read its head, follow it from an index,
// keep snapshots beside it and remove its beginning.
//
// Invariants: entries are handed over strictly in index order, each exactly once; a proposal is
// taken only if nothing came before it that was not handed over here first; every order is answered
// exactly once; a complete snapshot never changes. Callbacks come from the loop, never inside the
// call. What snapshots say and when to trim is the machine's business (ledger/core). A leader's
// name, which DESIGN 8 lists, is left out: nobody needs it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/wire/commands.h"
#include "ledger/core/ledger.h"

namespace roulette::ledger {

struct LogCounters {
  std::uint64_t appends = 0;
  std::uint64_t stale_heads = 0;  // NotLeader
  std::uint64_t unknown = 0;
  std::uint64_t no_space = 0;  // answered so: the database is over its quota
  std::uint64_t failovers = 0;
  std::uint64_t subscriptions = 0;
};

class ReplicatedLog {
 public:
  struct Callbacks {
    std::function<void(std::uint64_t index, std::vector<wire::Command> commands)> on_entry;
    // Nothing may be served from here on (gap, cancelled watch, no member answers) until
    // on_restored; entries in between are those that were missed.
    std::function<void(const std::string& reason)> on_lost;
    std::function<void()> on_restored;
    // The entry behind the last one handed over is gone; `first` is the oldest that is left.
    // Nothing comes until follow().
    std::function<void(std::uint64_t first)> on_trimmed;
  };
  // An error: it may have been done, nevertheless.
  using DoneCallback = std::function<void(const Status&)>;
  // Nothing: could not be read. Index 0: there is none.
  using SnapshotCallback = std::function<void(std::optional<StoredSnapshot>)>;
  using ProposeCallback = std::function<void(ProposeOutcome)>;
  using BarrierCallback = std::function<void(std::optional<std::uint64_t> head)>;

  virtual ~ReplicatedLog() = default;

  // Once. Entries from index 1 on.
  virtual void subscribe(Callbacks callbacks) = 0;
  // Entries from the one behind `after` on; on_restored when it is followed there.
  virtual void follow(std::uint64_t after) = 0;
  // One batch as the entry behind the last one handed over. At most one at a time. After Accepted
  // its entry is handed over like any other, before or after the answer.
  virtual void propose(const std::vector<wire::Command>& batch, ProposeCallback done) = 0;
  // The index of the last entry at some moment after the call (0: empty), or nothing.
  virtual void read_barrier(BarrierCallback done) = 0;

  // Does nothing when the snapshot has its manifest already: that it does is success.
  virtual void store_chunk(std::uint64_t index, std::uint32_t number, ByteSpan bytes,
                           DoneCallback done) = 0;
  virtual void store_manifest(std::uint64_t index, ByteSpan bytes, DoneCallback done) = 0;
  // The complete snapshot with the highest index up to `at_most`, with whatever lies there.
  virtual void read_snapshot(std::uint64_t at_most, SnapshotCallback done) = 0;
  // Removes the entries up to `up_to` and what is stored of snapshots before it; refused unless the
  // snapshots at `up_to` and `newest` have their manifests.
  virtual void trim(std::uint64_t up_to, std::uint64_t newest, DoneCallback done) = 0;

  [[nodiscard]] virtual const LogCounters& counters() const = 0;
};

}  // namespace roulette::ledger
