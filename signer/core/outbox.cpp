// Holding and releasing messages: see outbox.h.
//
// Invariant: counts_ says for each connection how many of its messages are in waiting_.
#include "signer/core/outbox.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"
#include "common/base/mutants.h"

namespace roulette::signer {
namespace {

std::size_t share_count(const Send& send) {
  return send.release ? 1 : 0;
}

}  // namespace

void Outbox::push(Send send, std::uint64_t emitted, Effects& out) {
  if (emitted <= durable_ || ROULETTE_MUTANT("share-before-durable")) {
    ROULETTE_ASSERT(waiting_.empty());
    out.emplace_back(std::move(send));
    return;
  }
  Counts& counts = counts_[send.connection];
  counts.sends += 1;
  counts.shares += share_count(send);
  waiting_.push_back(Waiting{emitted, std::move(send)});
}

void Outbox::release(std::uint64_t durable, Effects& out) {
  durable_ = std::max(durable_, durable);
  while (!waiting_.empty() && waiting_.front().sequence <= durable_) {
    Send send = std::move(waiting_.front().send);
    waiting_.pop_front();
    const auto counts = counts_.find(send.connection);
    counts->second.sends -= 1;
    counts->second.shares -= share_count(send);
    if (counts->second.sends == 0) counts_.erase(counts);
    out.emplace_back(std::move(send));
  }
}

void Outbox::refuse_shares(wire::RefusalReason reason, const std::string& detail) {
  for (Waiting& entry : waiting_) {
    const auto* share = std::get_if<wire::SignResponse>(&entry.send.message);
    if (share == nullptr) continue;
    entry.send.message = wire::SignRefusal{share->session_digest, reason, detail, std::nullopt};
    entry.send.release.reset();
    counts_.at(entry.send.connection).shares -= 1;
  }
}

void Outbox::forget(ConnectionId connection) {
  if (counts_.erase(connection) == 0) return;
  std::erase_if(waiting_,
                [connection](const Waiting& entry) { return entry.send.connection == connection; });
}

std::size_t Outbox::waiting(ConnectionId connection) const {
  const auto counts = counts_.find(connection);
  return counts == counts_.end() ? 0 : counts->second.sends;
}

std::size_t Outbox::pending_shares(ConnectionId connection) const {
  const auto counts = counts_.find(connection);
  return counts == counts_.end() ? 0 : counts->second.shares;
}

std::size_t Outbox::pending_shares() const {
  std::size_t sum = 0;
  for (const auto& [connection, counts] : counts_) sum += counts.shares;
  return sum;
}

std::size_t Outbox::largest_pending() const {
  std::size_t largest = 0;
  for (const auto& [connection, counts] : counts_) largest = std::max(largest, counts.shares);
  return largest;
}

}  // namespace roulette::signer
