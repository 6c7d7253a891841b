// Breakers and lag: see node_choice.h.
//
// Invariant: known_ holds only heights younger than the patience; what is older is expected_.
#include "coordinator/core/node_choice.h"

#include <algorithm>

#include "common/base/assert.h"

namespace roulette::coordinator {
namespace {

constexpr std::uint32_t kGoodProbes = 2;

}  // namespace

NodeChoice::NodeChoice(std::size_t nodes) : nodes_(nodes) {
  ROULETTE_ASSERT(nodes > 0);
}

std::optional<NodeChoice::Change> NodeChoice::failed(std::size_t node, Instant now) {
  Node& at = nodes_.at(node);
  if (!at.open_since) {
    const bool soon = at.closed_at && now - *at.closed_at < kNodeGoodService;
    at.hold = soon ? std::min(at.hold * 2, kNodeMostHold) : kNodeHold;
  }
  at.open_since = now;
  at.good_probes = 0;
  return choose(now);
}

std::optional<NodeChoice::Change> NodeChoice::seen(std::size_t node, std::int64_t height,
                                                   Instant now) {
  Node& at = nodes_.at(node);
  at.height = height;
  if (height > expected_ && (known_.empty() || height > known_.back().height))
    known_.push_back({height, now});
  if (at.open_since && ++at.good_probes >= kGoodProbes && now - *at.open_since >= at.hold) {
    at.open_since.reset();
    at.closed_at = now;
  }
  return choose(now);
}

bool NodeChoice::lags(std::size_t node) const {
  return nodes_[node].height >= 0 && nodes_[node].height < expected_;
}

bool NodeChoice::all_below(std::int64_t height) const {
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const Node& node) {
    return !node.open_since && node.height >= 0 && node.height < height;
  });
}

void NodeChoice::age_heights(Instant now) {
  while (!known_.empty() && now - known_.front().at >= kNodeLagPatience) {
    expected_ = std::max(expected_, known_.front().height);
    known_.pop_front();
  }
}

std::optional<NodeChoice::Change> NodeChoice::choose(Instant now) {
  age_heights(now);
  std::optional<std::size_t> best, highest;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!answers(i)) continue;
    if (!best && !lags(i)) best = i;
    if (!highest || nodes_[i].height > nodes_[*highest].height) highest = i;
  }
  const std::size_t to = best.value_or(highest.value_or(asked_));
  if (to == asked_) return std::nullopt;
  Change change{asked_, to, "least-bad"};
  if (best) change.why = to < asked_ ? "preferred-again" : answers(asked_) ? "lags" : "no-answer";
  asked_ = to;
  return change;
}

}  // namespace roulette::coordinator
