// Which of the Bitcoin nodes is asked: the first of the configuration's list that answers and does
// not lag behind the others.
//
// A circuit breaker a node: one call without an answer opens it; it closes after two answered
// probes in a row, at the earliest after a hold that doubles while the node fails again soon. So a
// node that answers probes and nothing else costs a call now and then, never every second one.
//
// Invariant: asked() is a node that answers and does not lag while there is one; behind that, the
// highest that answers; it moves only in failed() and seen(). Pure: knows no clock and no socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "common/base/time.h"

namespace roulette::coordinator {

inline constexpr Duration kNodeProbe = milliseconds(500);       // every node, while there are two
inline constexpr Duration kNodeLagPatience = seconds(2);        // to take over the others' blocks
inline constexpr Duration kNodeHold = seconds(1);               // before a breaker may close
inline constexpr Duration kNodeMostHold = seconds(16);
inline constexpr Duration kNodeGoodService = seconds(20);       // then the next hold is short again

class NodeChoice {
 public:
  explicit NodeChoice(std::size_t nodes);  // at least one

  struct Change {
    std::size_t from = 0, to = 0;
    const char* why = "";  // "no-answer", "lags", "preferred-again", "least-bad"
  };
  [[nodiscard]] std::size_t asked() const { return asked_; }
  // A call that the node did not answer: refused, timed out, or the node is still starting.
  std::optional<Change> failed(std::size_t node, Instant now);
  // A node's word about its tip.
  std::optional<Change> seen(std::size_t node, std::int64_t height, Instant now);

  [[nodiscard]] bool answers(std::size_t node) const { return !nodes_[node].open_since; }
  // Some node knew, kNodeLagPatience ago, a block that this one still does not have.
  [[nodiscard]] bool lags(std::size_t node) const;
  // Every node answers, and by its last word has no block at this height.
  [[nodiscard]] bool all_below(std::int64_t height) const;

 private:
  struct Node {
    std::int64_t height = -1;          // -1: not known, and then it does not lag
    std::optional<Instant> open_since;  // of the breaker; the last call without an answer
    std::optional<Instant> closed_at;
    Duration hold = kNodeHold;
    std::uint32_t good_probes = 0;  // in a row, since open
  };
  struct Known {
    std::int64_t height;
    Instant at;  // when a node first spoke of it
  };
  std::optional<Change> choose(Instant now);
  void age_heights(Instant now);

  std::vector<Node> nodes_;
  std::deque<Known> known_;     // ever higher
  std::int64_t expected_ = -1;  // the highest that has been known for long enough
  std::size_t asked_ = 0;
};

}  // namespace roulette::coordinator
