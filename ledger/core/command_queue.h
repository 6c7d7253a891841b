// The commands this replica has to get into the log, in order of arrival.
//
// Invariant: a CommandId stands here at most once and leaves only when an entry that holds it was
// applied. Bounded by count (kMaxQueuedCommands) and by the size of one command (kMaxBatchBytes).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/wire/commands.h"

namespace roulette::ledger {

struct QueuedCommand {
  wire::Command command;
  std::size_t bytes = 0;
  Instant since;
  bool own_duty = false;                     // forwarded to us, or ours alone: never forwarded on
  bool proposed = false;                     // part of the proposal in flight
  std::optional<ConnectionId> forwarded_to;  // whom we asked to propose it
};

class CommandQueue {
 public:
  // False when it cannot be taken (full, or the command is too large). A known id is taken as done.
  [[nodiscard]] bool add(wire::Command command, Instant now, bool own_duty);
  // The entry that held it was applied. True when it was part of the proposal in flight.
  bool remove(const wire::CommandId& id);
  [[nodiscard]] bool contains(const wire::CommandId& id) const { return by_id_.contains(id); }

  // Marks and returns the next batch of commands that `eligible` admits, within the batch bounds.
  [[nodiscard]] std::vector<wire::Command> take_batch(
      const std::function<bool(const QueuedCommand&)>& eligible);
  // The proposal in flight turned out not to be in the log.
  void release_batch();
  // Unproposed commands that were not yet forwarded to `peer`, within the batch bounds; marks them.
  [[nodiscard]] std::vector<wire::Command> take_forward(ConnectionId peer);
  // A peer is gone: what it was asked to propose is ours again.
  void forget_forwards(ConnectionId peer);

  // When the oldest command that is neither proposed nor `own_duty` arrived.
  [[nodiscard]] std::optional<Instant> oldest_waiting(Instant after) const;
  [[nodiscard]] bool empty() const { return commands_.empty(); }
  [[nodiscard]] std::size_t size() const { return commands_.size(); }

 private:
  std::map<std::uint64_t, QueuedCommand> commands_;  // by arrival
  std::map<wire::CommandId, std::uint64_t> by_id_;
  std::uint64_t next_ = 0;
};

}  // namespace roulette::ledger
