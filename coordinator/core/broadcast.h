// Keeps every signed, unconfirmed transaction in the node's mempool: sends, sends again, parents
// first.
//
// Invariant: only bytes of a view leave, and a view comes from the applied ledger: there is no
// other source of bytes here, and nothing here can sign. Level-triggered: what the node does not
// hold *now* is sent again, however it got lost. Does not decide whose turn it is: the caller asks
// for one withdrawal at a time.
#pragma once

#include <map>
#include <set>

#include "common/base/limits.h"
#include "coordinator/core/step.h"
#include "coordinator/core/working_set.h"

namespace roulette::coordinator {

// What a node lost leaves room for what it never had: a payment's first send, and its parents, wait
// only for other first sends.
inline constexpr std::size_t kMaxResendsInFlight = limits::kMaxSendsInFlight / 2;

class Broadcaster {
 public:
  explicit Broadcaster(const WorkingSet& working) : working_(working) {}

  // True for a view that should be with the node: signed and not in the ledger's chain.
  [[nodiscard]] static bool unconfirmed(const wire::WithdrawalView& view);
  // True for one of them that a node has had: in its mempool, or in a block that it lost.
  [[nodiscard]] static bool was_with_node(const wire::WithdrawalView& view);

  // Sends it now, or its missing parents first, unless the node holds it, is being asked, or said
  // to come back later.
  void send(Step& s, const wire::WithdrawalView& view);
  // The node's answer. True when the node holds the transaction now.
  [[nodiscard]] bool result(Step& s, const WithdrawalId& id, bitcoin::SendOutcome outcome);
  void mempool(Instant asked_at, const std::vector<Hash32>& txids);
  // The node's chain ends here: what the ledger has in a block above is not with the node.
  void node_height(std::int64_t height) { node_height_ = height; }
  void block_seen();  // what waited for a block may try again

  // Held by the node as of the last mempool answer or a later successful send.
  [[nodiscard]] bool held(const wire::WithdrawalView& view) const;
  // What a mempool answer said about it. Lost is what a node had and two answers in a row missed:
  // one may have been overtaken by a block.
  void there(const wire::WithdrawalView& view, Instant now);
  void missed(const wire::WithdrawalView& view, Instant now);
  void not_missing(const WithdrawalId& id);  // it is in a block
  [[nodiscard]] std::optional<Instant> lost_since(const wire::WithdrawalView& view) const;
  // Since when the node does not have it, as far as we know; remembered from the first question on.
  [[nodiscard]] Instant missing_since(const wire::WithdrawalView& view, Instant now);
  // When a mempool answer last had what was lost and we had not sent: somebody else sends again.
  [[nodiscard]] Instant others_sent() const { return others_sent_; }
  void stood_still(Instant now) { others_sent_ = now; }  // what others sent was not observed
  void forget(const WithdrawalId& id);
  [[nodiscard]] std::size_t in_flight() const { return in_flight_; }
  // What a bound held back and has room for again; each true once.
  struct Room {
    bool first_sends = false;
    bool resends = false;
  };
  [[nodiscard]] Room take_room();

  struct Wish {
    WithdrawalId id;
    SendTransaction call;
  };
  [[nodiscard]] std::vector<Wish> take_wishes() { return std::exchange(wishes_, {}); }

 private:
  struct Entry {
    bool in_flight = false;
    bool resend = false;  // in flight as such
    bool tried = false;   // sent by us since it is missing
    bool wait_for_block = false;
    Instant not_before;
    std::optional<Instant> held_at;
    std::optional<Instant> missing_since;
    std::size_t misses = 0;  // answers in a row
    std::optional<Instant> lost_since;
  };
  void send(Step& s, const wire::WithdrawalView& view, bool resend, std::size_t depth);
  [[nodiscard]] bool room(bool resend) const;
  void landed(Entry& entry);
  [[nodiscard]] bool above_the_node(const wire::WithdrawalView& view) const;

  const WorkingSet& working_;
  std::map<WithdrawalId, Entry> entries_;
  std::set<Hash32> mempool_;
  std::optional<Instant> mempool_at_;  // when the last answered question was asked
  std::optional<std::int64_t> node_height_;
  Instant others_sent_;
  std::vector<Wish> wishes_;
  std::size_t in_flight_ = 0;
  std::size_t resends_ = 0;  // of them
  Room held_back_;
};

}  // namespace roulette::coordinator
