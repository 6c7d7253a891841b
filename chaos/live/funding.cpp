// Funding a fresh regtest wallet by a fan-out: see fund_wallet in node.h.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "chaos/live/node.h"
#include "common/base/secret.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/chain_facts.h"
#include "common/bitcoin/sighash.h"
#include "common/bitcoin/transaction.h"
#include "common/crypto/schnorr.h"
#include "common/crypto/taproot.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr Duration kCallLimit = seconds(30);
constexpr std::size_t kOutputsPerTransaction =
    1000;  // 43 vB each: well below the 100 kvB relay limit
constexpr std::int64_t kSmallestCoinSat = 500'000;
constexpr std::int64_t kLargestCoinSat = 1'800'000;
constexpr std::int64_t kFeeRate = 10;  // sat per vB
constexpr int kBlocksPerCall = 50;

// A key that exists for one run: it mines and pays the wallet.
struct Miner {
  Secret<32> output_secret;
  Bytes script;
  std::string address;
};

Result<Miner> make_miner(EntropySource& entropy) {
  Secret<32> key;
  entropy.fill({key.data(), key.size()});
  const auto output = crypto::output_secret(key);
  const auto pubkey = crypto::public_key(key);
  if (!output.ok() || !pubkey.ok())
    return Error{ErrorKind::Internal, "drawing the miner's key failed"};
  const auto taproot = crypto::output_key(crypto::xonly(*pubkey));
  if (!taproot) return taproot.error();
  Miner miner;
  miner.output_secret =
      output->clone();  // Result hands out references only; the original dies with it
  miner.script = bitcoin::p2tr_script(taproot->key);
  auto address = bitcoin::address_from_script(miner.script);
  if (!address) return address.error();
  miner.address = *address;
  return miner;
}

Result<std::vector<std::string>> mine(Node& node, const std::string& address, int blocks) {
  std::vector<std::string> hashes;
  while (blocks > 0) {
    const int now = std::min(blocks, kBlocksPerCall);
    const Result<json> mined =
        node.wait("generatetoaddress", json::array({now, address}), kCallLimit);
    if (!mined) return mined.error();
    for (const json& hash : *mined) hashes.push_back(hash.get<std::string>());
    blocks -= now;
  }
  return hashes;
}

// Until no transaction waits any more. How many a block takes is the node's choice; one at least.
Status mine_all(Node& node, const std::string& address, std::size_t transactions) {
  for (std::size_t block = 0; block < transactions; ++block) {
    const auto mined = mine(node, address, 1);
    if (!mined) return mined.error();
    const Result<json> waiting = node.wait("getrawmempool", json::array(), kCallLimit);
    if (!waiting) return waiting.error();
    if (waiting->empty()) return {};
  }
  return Error{ErrorKind::Internal, "the node mines blocks without the fan-out's transactions"};
}

struct Coinbase {
  bitcoin::OutPoint outpoint;
  bitcoin::TxOut output;
};

Result<Coinbase> coinbase_of(Node& node, const std::string& block_hash) {
  const Result<json> hex = node.wait("getblock", json::array({block_hash, 0}), kCallLimit);
  if (!hex) return hex.error();
  const auto block = bitcoin::parse_block_hex(hex->get<std::string>());
  if (!block) return block.error();
  return Coinbase{{block->txids.front(), 0}, block->transactions.front().outputs.front()};
}

Result<std::string> signed_fan_out(const Miner& miner, const Coinbase& coin,
                                   std::vector<bitcoin::TxOut> outputs, EntropySource& entropy) {
  bitcoin::Transaction tx;
  tx.inputs.push_back({coin.outpoint, {}, bitcoin::kSequenceNoReplacement, {Bytes(64)}});
  tx.outputs = std::move(outputs);
  std::int64_t paid = 0;
  for (const bitcoin::TxOut& output : tx.outputs) paid += output.amount_sat;
  tx.outputs.push_back({0, miner.script});
  tx.outputs.back().amount_sat = coin.output.amount_sat - paid - kFeeRate * bitcoin::vsize(tx);
  const auto sighashes = bitcoin::taproot_sighashes(tx, std::vector{coin.output});
  if (!sighashes) return sighashes.error();
  ByteArray<32> aux{};
  entropy.fill(aux);
  const auto signature = crypto::schnorr_sign(miner.output_secret, sighashes->front(), aux);
  if (!signature) return signature.error();
  tx.inputs[0].witness = {Bytes(signature->begin(), signature->end())};
  return to_hex(bitcoin::serialize(tx));
}

std::vector<bitcoin::TxOut> draw_outputs(ByteSpan script, std::size_t count, EntropySource& entropy,
                                         std::int64_t& total) {
  std::vector<bitcoin::TxOut> outputs;
  for (std::size_t i = 0; i < count; ++i) {
    ByteArray<4> draw{};
    entropy.fill(draw);
    const std::uint32_t number = std::uint32_t{draw[0]} << 24 | std::uint32_t{draw[1]} << 16 |
                                 std::uint32_t{draw[2]} << 8 | draw[3];
    const std::int64_t amount = kSmallestCoinSat + number % (kLargestCoinSat - kSmallestCoinSat);
    outputs.push_back({amount, Bytes(script.begin(), script.end())});
    total += amount;
  }
  return outputs;
}

}  // namespace

Result<Funding> fund_wallet(Node& node, ByteSpan wallet_script, std::size_t coins,
                            std::uint32_t depth, EntropySource& entropy) {
  const Result<Miner> miner = make_miner(entropy);
  if (!miner) return miner.error();
  Funding funding;
  funding.miner_address = miner->address;
  funding.coins = coins;
  const std::size_t transactions = (coins + kOutputsPerTransaction - 1) / kOutputsPerTransaction;
  const auto hashes =
      mine(node, miner->address,
           static_cast<int>(bitcoin::kCoinbaseMaturity + static_cast<std::int64_t>(transactions)));
  if (!hashes) return hashes.error();
  for (std::size_t i = 0; i < transactions; ++i) {
    const auto coin = coinbase_of(node, (*hashes)[i]);
    if (!coin) return coin.error();
    const std::size_t count = std::min(kOutputsPerTransaction, coins - i * kOutputsPerTransaction);
    const auto hex = signed_fan_out(
        *miner, *coin, draw_outputs(wallet_script, count, entropy, funding.total_sat), entropy);
    if (!hex) return hex.error();
    const auto sent = node.wait("sendrawtransaction", json::array({*hex}), kCallLimit);
    if (!sent) return sent.error().with_context("fan-out");
  }
  if (const Status mined = mine_all(node, miner->address, transactions); !mined)
    return mined.error();
  const auto settled = mine(node, miner->address, static_cast<int>(depth) - 1);
  if (!settled) return settled.error();
  if (const Status status = node.flush(); !status) return status.error();
  return funding;
}

}  // namespace roulette::chaos
