// The rules of the toy node.
//
// Invariant: unspent_ is always the replay of blocks_. Blocks that were un-mined never come back by
// themselves: what is mined again has another hash.
#include "chaos/sim/toy_chain.h"

#include <algorithm>
#include <set>

#include "chaos/sim/soft_ecdsa.h"
#include "common/base/assert.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/hash.h"

namespace roulette::sim {

ToyChain::ToyChain(const std::vector<bitcoin::TxOut>& funding, const crypto::Scheme& scheme)
    : scheme_(scheme) {
  append({});
  bitcoin::Transaction tx;
  tx.inputs.push_back({{crypto::sha256(as_bytes("the miner's coin")), 0}, {}, 0, {}});
  tx.outputs = funding;
  append({tx});
  flush();
}

void ToyChain::append(std::vector<bitcoin::Transaction> transactions) {
  ToyBlock block;
  block.hash = crypto::sha256(
      as_bytes("block " + std::to_string(fork_) + "/" + std::to_string(mined_++)));
  if (!blocks_.empty()) block.prev = blocks_.back().hash;
  for (const bitcoin::Transaction& tx : transactions) block.txids.push_back(bitcoin::txid(tx));
  block.transactions = std::move(transactions);
  blocks_.push_back(std::move(block));
  rebuild_unspent();
}

void ToyChain::mine() { append(std::exchange(mempool_, {})); }

std::size_t ToyChain::kill() {
  const std::size_t lost = unflushed();
  blocks_.resize(flushed_);
  mempool_.clear();
  rebuild_unspent();
  return lost;
}

std::vector<bitcoin::Transaction> ToyChain::unknown_to(const ToyChain& other) const {
  std::set<Hash32> known;
  for (const ToyBlock& block : other.blocks_) known.insert(block.txids.begin(), block.txids.end());
  for (const bitcoin::Transaction& tx : other.mempool_) known.insert(bitcoin::txid(tx));
  std::vector<bitcoin::Transaction> unknown;
  for (const ToyBlock& block : blocks_) {
    for (std::size_t i = 0; i < block.txids.size(); ++i) {
      if (!known.contains(block.txids[i])) unknown.push_back(block.transactions[i]);
    }
  }
  for (const bitcoin::Transaction& tx : mempool_) {
    if (!known.contains(bitcoin::txid(tx))) unknown.push_back(tx);
  }
  return unknown;
}

void ToyChain::rebuild_unspent() {
  unspent_.clear();
  for (const ToyBlock& block : blocks_) {
    for (std::size_t i = 0; i < block.transactions.size(); ++i) {
      const bitcoin::Transaction& tx = block.transactions[i];
      for (const bitcoin::TxIn& input : tx.inputs) unspent_.erase(input.outpoint);
      for (std::uint32_t vout = 0; vout < tx.outputs.size(); ++vout) {
        unspent_[{block.txids[i], vout}] = tx.outputs[vout];
      }
    }
  }
}

const bitcoin::TxOut* ToyChain::output(const bitcoin::OutPoint& outpoint) const {
  const auto known = unspent_.find(outpoint);
  if (known != unspent_.end()) return &known->second;
  for (const bitcoin::Transaction& tx : mempool_) {
    if (bitcoin::txid(tx) == outpoint.txid && outpoint.vout < tx.outputs.size()) {
      return &tx.outputs[outpoint.vout];
    }
  }
  return nullptr;
}

// As the scripts say, whoever made the transaction: P2TR has its key in the script, P2WPKH in the
// witness.
bool ToyChain::spends_well(const bitcoin::Transaction& tx,
                           const std::vector<bitcoin::TxOut>& prevouts) const {
  const crypto::SignatureForm form = scheme_.facts().signatures;
  const auto sighashes = bitcoin::sighashes(form, tx, prevouts);
  if (!sighashes) return false;
  for (std::size_t i = 0; i < tx.inputs.size(); ++i) {
    const auto& witness = tx.inputs[i].witness;
    Bytes key;
    if (const auto output = bitcoin::p2tr_output_key(prevouts[i].script))
      key.assign(output->begin(), output->end());
    else if (witness.size() == 2)
      key = witness[1];
    if (bitcoin::wallet_script(form, key) != prevouts[i].script) return false;
    const auto signature = bitcoin::signature_in(form, key, witness);
    if (!signature || !scheme_.verify(key, (*sighashes)[i], *signature)) return false;
    if (form == crypto::SignatureForm::Ecdsa && !relayed_s(*signature)) return false;
  }
  return true;
}

bitcoin::SendOutcome ToyChain::send(const bitcoin::Transaction& tx) {
  using bitcoin::SendOutcome;
  const Hash32 id = bitcoin::txid(tx);
  for (const bitcoin::Transaction& held : mempool_) {
    if (bitcoin::txid(held) == id) return SendOutcome::Accepted;
  }
  for (std::uint32_t vout = 0; vout < tx.outputs.size(); ++vout) {
    if (unspent_.contains({id, vout})) return SendOutcome::AlreadyConfirmed;
  }
  std::vector<bitcoin::TxOut> prevouts;
  for (const bitcoin::TxIn& input : tx.inputs) {
    for (const bitcoin::Transaction& held : mempool_) {
      for (const bitcoin::TxIn& other : held.inputs) {
        if (other.outpoint == input.outpoint) return SendOutcome::MempoolConflict;
      }
    }
    const bitcoin::TxOut* spent = output(input.outpoint);
    if (spent == nullptr) return SendOutcome::MissingInputs;
    prevouts.push_back(*spent);
  }
  if (!spends_well(tx, prevouts)) return SendOutcome::Rejected;
  mempool_.push_back(tx);
  return SendOutcome::Accepted;
}

bitcoin::TipFacts ToyChain::tip() const {
  return {blocks_.back().hash, static_cast<std::int64_t>(blocks_.size()) - 1};
}

std::optional<bitcoin::BlockFacts> ToyChain::block(std::uint32_t height,
                                                   const Bytes& wallet_script) const {
  if (height >= blocks_.size()) return std::nullopt;
  const ToyBlock& from = blocks_[height];
  bitcoin::BlockFacts facts;
  facts.hash = from.hash;
  facts.prev = from.prev;
  facts.height = height;
  facts.txids = from.txids;
  for (std::size_t i = 0; i < from.transactions.size(); ++i) {
    const bitcoin::Transaction& tx = from.transactions[i];
    for (const bitcoin::TxIn& input : tx.inputs) facts.spent.push_back(input.outpoint);
    for (std::uint32_t vout = 0; vout < tx.outputs.size(); ++vout) {
      if (tx.outputs[vout].script != wallet_script) continue;
      facts.outputs.push_back({{from.txids[i], vout}, tx.outputs[vout].amount_sat, false});
    }
  }
  return facts;
}

std::vector<Hash32> ToyChain::mempool() const {
  std::vector<Hash32> txids;
  for (const bitcoin::Transaction& tx : mempool_) txids.push_back(bitcoin::txid(tx));
  return txids;
}

std::int64_t ToyChain::unspent_sat(const Bytes& script) const {
  std::int64_t total = 0;
  for (const auto& [outpoint, out] : unspent_) {
    if (out.script == script) total += out.amount_sat;
  }
  return total;
}

}  // namespace roulette::sim
