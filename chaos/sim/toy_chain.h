// A node small enough to think about: a mempool, an active chain, unspent outputs, and a disk that
// forgets what was not flushed.
//
// Invariant: an outpoint is spent at most once in the active chain together with the mempool, and
// every key-path input carries a signature that verifies. Answers are the typed facts of
// common/bitcoin/chain_facts.h. No proof of work, no fees; a fork is a
// copy that goes its own way.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/bitcoin/chain_facts.h"
#include "common/crypto/scheme.h"

namespace roulette::sim {

struct ToyBlock {
  Hash32 hash{};
  Hash32 prev{};
  std::vector<bitcoin::Transaction> transactions;
  std::vector<Hash32> txids;
};

class ToyChain {
 public:
  // The genesis block, and one with `funding` that pays out of nothing; both are flushed.
  // Signatures are verified by `scheme`, which outlives the chain.
  ToyChain(const std::vector<bitcoin::TxOut>& funding, const crypto::Scheme& scheme);

  void mine();
  void flush() { flushed_ = blocks_.size(); }
  // SIGKILL: the mempool and the blocks since the last flush are gone. Returns how many blocks.
  std::size_t kill();

  void lose_mempool() { mempool_.clear(); }
  // From here on this is another node's view: its own blocks have other hashes.
  void fork(std::uint64_t number) { fork_ = number; }
  // What this view holds and `other` does not, parents first: handed on when they meet again.
  [[nodiscard]] std::vector<bitcoin::Transaction> unknown_to(const ToyChain& other) const;

  [[nodiscard]] bitcoin::SendOutcome send(const bitcoin::Transaction& tx);
  [[nodiscard]] bitcoin::TipFacts tip() const;
  [[nodiscard]] std::optional<bitcoin::BlockFacts> block(std::uint32_t height,
                                                         const Bytes& wallet_script) const;
  [[nodiscard]] std::vector<Hash32> mempool() const;
  [[nodiscard]] std::int64_t unspent_sat(const Bytes& script) const;
  [[nodiscard]] const std::vector<ToyBlock>& blocks() const { return blocks_; }  // by height
  [[nodiscard]] std::size_t unflushed() const { return blocks_.size() - flushed_; }

 private:
  void append(std::vector<bitcoin::Transaction> transactions);
  void rebuild_unspent();
  [[nodiscard]] const bitcoin::TxOut* output(const bitcoin::OutPoint& outpoint) const;

  [[nodiscard]] bool spends_well(const bitcoin::Transaction& tx,
                                 const std::vector<bitcoin::TxOut>& prevouts) const;

  const crypto::Scheme& scheme_;
  std::vector<ToyBlock> blocks_;
  std::vector<bitcoin::Transaction> mempool_;
  std::map<bitcoin::OutPoint, bitcoin::TxOut> unspent_;  // by the active chain alone
  std::size_t flushed_ = 0;
  std::uint64_t mined_ = 0;
  std::uint64_t fork_ = 0;
};

}  // namespace roulette::sim
