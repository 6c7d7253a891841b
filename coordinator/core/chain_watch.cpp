// One round at a time: check the ledger's tip at the node, then fetch and submit, or submit a
// disconnect.
//
// Invariant: every round ends: each wish is answered by the node or reported unavailable, each
// submitted fact is applied.
#include "coordinator/core/chain_watch.h"

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::coordinator {

void ChainWatch::compare(Step& s, const std::optional<wire::ChainTip>& ledger_tip, bool our_turn) {
  if (!node_ || !ledger_tip) return;
  if (node_->hash == ledger_tip->hash) {
    differ_since_.reset();
    return;
  }
  // A ledger that moves is being served by somebody: the grace begins anew with each of its tips.
  if (!differ_since_ || (phase_ == Phase::Idle && base_ != *ledger_tip)) differ_since_ = s.now;
  if (phase_ != Phase::Idle) return;
  base_ = *ledger_tip;
  if (!our_turn && s.now - *differ_since_ < limits::kForeignWorkGrace) return;
  phase_ = Phase::Checking;
  ++round_;
  // Asked now, after this tip was known: an older answer could un-mine a block that the node has by
  // now.
  wishes_.push_back({round_, GetBlockHash{base_.height}});
}

void ChainWatch::hash_at(Step& s, std::uint64_t round, const BlockHashAt& answer) {
  if (round != round_ || phase_ != Phase::Checking) return;
  if (answer.hash != base_.hash) {
    phase_ = Phase::Disconnecting;
    awaited_applies_ = 1;
    ledger_.submit(s, wire::BlockDisconnected{base_.hash}, ForChain{round_});
    return;
  }
  if (node_->height <= static_cast<std::int64_t>(base_.height)) {
    phase_ = Phase::Idle;  // our tip of the node is older than the ledger's
    return;
  }
  phase_ = Phase::Fetching;
  const auto ahead =
      static_cast<std::size_t>(node_->height - static_cast<std::int64_t>(base_.height));
  awaited_blocks_ = std::min(ahead, limits::kBlocksPerFetch);
  awaited_applies_ = 0;
  fetched_.clear();
  next_height_ = base_.height + 1;
  next_prev_ = base_.hash;
  for (std::uint32_t i = 0; i < awaited_blocks_; ++i)
    wishes_.push_back({round_, GetBlock{next_height_ + i}});
}

void ChainWatch::block(Step& s, std::uint64_t round, std::uint32_t height,
                       const bitcoin::BlockFacts& facts) {
  if (round != round_ || phase_ != Phase::Fetching) return;
  --awaited_blocks_;
  fetched_.emplace(height, facts);
  for (auto at = fetched_.find(next_height_); at != fetched_.end();
       at = fetched_.find(next_height_)) {
    const bitcoin::BlockFacts& next = at->second;
    if (next.prev != next_prev_) break;  // the chain changed meanwhile; the next poll sees it
    wire::BlockConnected fact{next.hash, next.prev, next_height_, next.txids, {}};
    for (const bitcoin::FoundOutput& output : next.outputs) {
      fact.wallet_outputs.push_back({output.outpoint, output.amount_sat, output.coinbase});
    }
    next_prev_ = next.hash;
    ++next_height_;
    ++awaited_applies_;
    ledger_.submit(s, std::move(fact), ForChain{round_});
  }
  settle();
}

void ChainWatch::unavailable(std::uint64_t round) {
  if (round != round_) return;
  if (phase_ == Phase::Checking) phase_ = Phase::Idle;
  if (phase_ != Phase::Fetching) return;
  --awaited_blocks_;
  settle();
}

void ChainWatch::applied(std::uint64_t round) {
  if (round != round_ || awaited_applies_ == 0) return;
  --awaited_applies_;
  settle();
}

void ChainWatch::settle() {
  if (awaited_applies_ > 0 || (phase_ == Phase::Fetching && awaited_blocks_ > 0)) return;
  phase_ = Phase::Idle;
  fetched_.clear();
}

std::vector<ChainWatch::Wish> ChainWatch::take_wishes() {
  return std::exchange(wishes_, {});
}

}  // namespace roulette::coordinator
