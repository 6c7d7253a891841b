// The gate between what the machine decided and what the world may know (DESIGN 4.2).
//
// Invariant: a message that was pushed while record S was the highest emitted leaves only after S
// is durable, and messages of one connection leave in the order in which they were pushed.
// Deliberately coarse: also answers that reveal nothing of S wait for it, so no reasoning about
// what reveals what can be wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "signer/core/signer.h"

namespace roulette::signer {

class Outbox {
 public:
  explicit Outbox(std::uint64_t durable) : durable_(durable) {}

  // `emitted`: the highest sequence emitted so far.
  void push(Send send, std::uint64_t emitted, Effects& out);
  // This record and all before it are on disk: what waited for them leaves.
  void release(std::uint64_t durable, Effects& out);
  // No share that waits may leave any more: each becomes this refusal of its session.
  void refuse_shares(wire::RefusalReason reason, const std::string& detail);
  // The connection is gone; what waited for it goes nowhere.
  void forget(ConnectionId connection);

  [[nodiscard]] std::uint64_t durable() const { return durable_; }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::size_t waiting(ConnectionId connection) const;
  [[nodiscard]] std::size_t pending_shares() const;
  [[nodiscard]] std::size_t pending_shares(ConnectionId connection) const;
  [[nodiscard]] std::size_t largest_pending() const;

 private:
  struct Waiting {
    std::uint64_t sequence = 0;
    Send send;
  };
  struct Counts {
    std::size_t sends = 0;
    std::size_t shares = 0;
  };
  std::uint64_t durable_ = 0;
  std::deque<Waiting> waiting_;  // sequences ascend
  std::map<ConnectionId, Counts> counts_;
};

}  // namespace roulette::signer
