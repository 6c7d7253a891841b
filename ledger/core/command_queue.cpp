// See command_queue.h.
#include "ledger/core/command_queue.h"

#include "common/base/limits.h"

namespace roulette::ledger {
namespace {

// Collects commands until one of the two bounds of a batch is reached.
class Batch {
 public:
  [[nodiscard]] bool take(const QueuedCommand& queued) {
    if (commands.size() == limits::kMaxBatchCommands) return false;
    if (bytes_ + queued.bytes > limits::kMaxBatchBytes) return false;
    bytes_ += queued.bytes;
    commands.push_back(queued.command);
    return true;
  }
  std::vector<wire::Command> commands;

 private:
  std::size_t bytes_ = wire::kBatchOverheadBytes;
};

}  // namespace

bool CommandQueue::add(wire::Command command, Instant now, bool own_duty) {
  if (by_id_.contains(command.id)) return true;
  if (commands_.size() >= limits::kMaxQueuedCommands) return false;
  const std::size_t bytes = wire::encode_command(command).size();
  if (wire::kBatchOverheadBytes + bytes > limits::kMaxBatchBytes) return false;
  by_id_.emplace(command.id, next_);
  commands_.emplace(next_++, QueuedCommand{std::move(command), bytes, now, own_duty, false, {}});
  return true;
}

bool CommandQueue::remove(const wire::CommandId& id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return false;
  const auto queued = commands_.find(found->second);
  const bool proposed = queued->second.proposed;
  commands_.erase(queued);
  by_id_.erase(found);
  return proposed;
}

std::vector<wire::Command> CommandQueue::take_batch(
    const std::function<bool(const QueuedCommand&)>& eligible) {
  Batch batch;
  for (auto& [arrival, queued] : commands_) {
    if (!eligible(queued)) continue;
    if (!batch.take(queued)) break;
    queued.proposed = true;
  }
  return std::move(batch.commands);
}

void CommandQueue::release_batch() {
  for (auto& [arrival, queued] : commands_) queued.proposed = false;
}

std::vector<wire::Command> CommandQueue::take_forward(ConnectionId peer) {
  Batch batch;
  for (auto& [arrival, queued] : commands_) {
    if (queued.proposed || queued.own_duty || queued.forwarded_to == peer) continue;
    if (!batch.take(queued)) break;
    queued.forwarded_to = peer;
  }
  return std::move(batch.commands);
}

void CommandQueue::forget_forwards(ConnectionId peer) {
  for (auto& [arrival, queued] : commands_) {
    if (queued.forwarded_to == peer) queued.forwarded_to.reset();
  }
}

std::optional<Instant> CommandQueue::oldest_waiting(Instant after) const {
  for (const auto& [arrival, queued] : commands_) {
    if (!queued.proposed && !queued.own_duty && queued.since > after) return queued.since;
  }
  return std::nullopt;
}

}  // namespace roulette::ledger
