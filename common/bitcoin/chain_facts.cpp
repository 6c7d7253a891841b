// Block parsing with its commitments, and the reading of sendrawtransaction's errors.
//
// The error texts are those observed from bitcoind 29 on regtest; tests/unit/bitcoin_test.cpp holds
// them verbatim.
#include "common/bitcoin/chain_facts.h"

#include <algorithm>
#include <array>
#include <optional>

#include "common/bitcoin/transaction_encoding.h"
#include "common/crypto/hash.h"

namespace roulette::bitcoin {
namespace {

constexpr std::size_t kHeaderBytes = 80;
constexpr std::size_t kMinTransactionBytes = 60;  // 8 + 1 + 41 + 1 + 9

// JSON-RPC error codes of bitcoind (its rpc/protocol.h).
constexpr int kVerifyError = -25;
constexpr int kVerifyRejected = -26;
constexpr int kVerifyAlreadyInUtxoSet = -27;
constexpr int kInWarmup = -28;

// The root, or nothing when two equal neighbours make the list ambiguous: CVE-2012-2459 gives one
// root to a list and to the same list with its tail repeated.
std::optional<Hash32> merkle_root(std::vector<Hash32> level) {
  while (level.size() > 1) {
    for (std::size_t i = 0; i + 1 < level.size(); i += 2) {
      if (level[i] == level[i + 1]) return std::nullopt;
    }
    if (level.size() % 2 == 1) level.push_back(level.back());
    for (std::size_t i = 0; i < level.size() / 2; ++i) {
      Bytes pair(level[2 * i].begin(), level[2 * i].end());
      append(pair, level[2 * i + 1]);
      level[i] = crypto::sha256d(pair);
    }
    level.resize(level.size() / 2);
  }
  return level.front();
}

// BIP 141: the last output of the coinbase whose script begins OP_RETURN 0x24 aa21a9ed.
std::optional<Hash32> witness_commitment(const Transaction& coinbase) {
  constexpr std::array<std::uint8_t, 6> kPrefix = {0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed};
  std::optional<Hash32> found;
  for (const TxOut& output : coinbase.outputs) {
    if (output.script.size() < kPrefix.size() + 32) continue;
    if (!std::equal(kPrefix.begin(), kPrefix.end(), output.script.begin())) continue;
    found = to_array<32>(ByteSpan(output.script).subspan(kPrefix.size(), 32));
  }
  return found;
}

const char* witness_fault(const Block& block) {
  const Transaction& coinbase = block.transactions.front();
  const auto commitment = witness_commitment(coinbase);
  if (!commitment) {
    const bool any = std::any_of(block.transactions.begin(), block.transactions.end(),
                                 [](const Transaction& tx) { return tx.has_witness(); });
    return any ? "witnesses without a commitment" : nullptr;
  }
  const std::vector<Bytes>& reserved = coinbase.inputs[0].witness;
  if (reserved.size() != 1 || reserved[0].size() != 32) return "no witness reserved value";
  std::vector<Hash32> wtxids(block.transactions.size());  // the coinbase's counts as zero
  for (std::size_t i = 1; i < wtxids.size(); ++i) wtxids[i] = wtxid(block.transactions[i]);
  const auto root = merkle_root(std::move(wtxids));
  if (!root) return "an ambiguous witness merkle root";
  Bytes committed(root->begin(), root->end());
  append(committed, reserved[0]);
  return crypto::sha256d(committed) == *commitment ? nullptr : "a wrong witness commitment";
}

const char* block_fault(const Block& block) {
  for (std::size_t i = 0; i < block.transactions.size(); ++i) {
    if (block.transactions[i].is_coinbase() != (i == 0)) return "a coinbase out of its place";
  }
  const auto root = merkle_root(block.txids);
  if (!root) return "an ambiguous merkle root";
  if (*root != block.merkle_root) return "the merkle root is not that of its transactions";
  return witness_fault(block);
}

Error corrupt(std::string_view why) {
  return {ErrorKind::Corrupt, "block: " + std::string(why)};
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The reasons of -25 and -26: the text is authoritative, -25 is also the node's default code.
SendOutcome classify_refusal(std::string_view message) {
  struct Reason {
    std::string_view part;
    SendOutcome outcome;
  };
  static constexpr std::array<Reason, 14> kReasons = {{
      {"bad-txns-inputs-missingorspent", SendOutcome::MissingInputs},
      {"missing-inputs", SendOutcome::MissingInputs},
      {"Missing inputs", SendOutcome::MissingInputs},
      {"too-long-mempool-chain", SendOutcome::MempoolChainTooLong},
      {"bad-txns-premature-spend-of-coinbase", SendOutcome::PrematureSpend},
      {"min relay fee not met", SendOutcome::FeeTooLow},
      {"mempool min fee not met", SendOutcome::FeeTooLow},
      {"mempool full", SendOutcome::FeeTooLow},
      // Replacement rules (BIP 125): refused because another spender is there already.
      {"insufficient fee", SendOutcome::MempoolConflict},
      {"txn-mempool-conflict", SendOutcome::MempoolConflict},
      {"bad-txns-spends-conflicting-tx", SendOutcome::MempoolConflict},
      {"txn-already-in-mempool", SendOutcome::AlreadyInMempool},
      {"txn-same-nonwitness-data-in-mempool", SendOutcome::AlreadyInMempool},
      {"txn-already-known", SendOutcome::AlreadyConfirmed},
  }};
  for (const Reason& reason : kReasons) {
    if (contains(message, reason.part)) return reason.outcome;
  }
  return SendOutcome::Rejected;
}

}  // namespace

Result<Block> parse_block(ByteSpan bytes) {
  if (bytes.size() > kMaxBlockBytes) return corrupt("more bytes than a block may have");
  if (bytes.size() < kHeaderBytes) return corrupt("shorter than a header");
  Reader in(bytes);
  Block block;
  block.hash = crypto::sha256d(bytes.first(kHeaderBytes));
  block.version = in.i32();
  block.prev = in.hash();
  block.merkle_root = in.hash();
  block.time = in.u32();
  block.bits = in.u32();
  block.nonce = in.u32();
  const std::size_t count = in.count(kMinTransactionBytes);
  if (in.ok() && count == 0) in.fail("no transactions");
  block.transactions.reserve(count);
  block.txids.reserve(count);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    block.transactions.push_back(read_transaction(in));
    block.txids.push_back(txid(block.transactions.back()));
  }
  if (in.ok() && in.remaining() > 0) in.fail("bytes follow the last transaction");
  if (!in.ok()) return corrupt(in.why());
  if (const char* fault = block_fault(block)) return corrupt(fault);
  return block;
}

Result<Block> parse_block_hex(std::string_view hex) {
  if (hex.size() > 2 * kMaxBlockBytes) return corrupt("more bytes than a block may have");
  const auto bytes = from_hex(hex);
  if (!bytes) return corrupt("not hex");
  return parse_block(*bytes);
}

BlockFacts block_facts(const Block& block, std::int64_t height, ByteSpan wallet_script) {
  BlockFacts facts;
  facts.hash = block.hash;
  facts.prev = block.prev;
  facts.height = height;
  facts.time = block.time;
  facts.txids = block.txids;
  for (std::size_t i = 0; i < block.transactions.size(); ++i) {
    const Transaction& tx = block.transactions[i];
    const bool coinbase = tx.is_coinbase();
    for (std::size_t n = 0; n < tx.outputs.size(); ++n) {
      if (!std::ranges::equal(tx.outputs[n].script, wallet_script)) continue;
      const OutPoint outpoint{block.txids[i], static_cast<std::uint32_t>(n)};
      facts.outputs.push_back({outpoint, tx.outputs[n].amount_sat, coinbase});
    }
    if (coinbase) continue;
    for (const TxIn& input : tx.inputs) facts.spent.push_back(input.outpoint);
  }
  return facts;
}

const char* send_outcome_name(SendOutcome outcome) {
  switch (outcome) {
    case SendOutcome::Accepted: return "accepted";
    case SendOutcome::AlreadyInMempool: return "already-in-mempool";
    case SendOutcome::AlreadyConfirmed: return "already-confirmed";
    case SendOutcome::MissingInputs: return "missing-inputs";
    case SendOutcome::MempoolChainTooLong: return "mempool-chain-too-long";
    case SendOutcome::PrematureSpend: return "premature-spend";
    case SendOutcome::FeeTooLow: return "fee-too-low";
    case SendOutcome::MempoolConflict: return "mempool-conflict";
    case SendOutcome::WarmingUp: return "warming-up";
    case SendOutcome::Rejected: return "rejected";
    case SendOutcome::NodeUnavailable: return "node-unavailable";
  }
  return "unknown";
}

SendOutcome classify_send_error(int code, std::string_view message) {
  switch (code) {
    case kVerifyAlreadyInUtxoSet: return SendOutcome::AlreadyConfirmed;
    case kInWarmup: return SendOutcome::WarmingUp;
    case kVerifyError:
    case kVerifyRejected: return classify_refusal(message);
    default: return SendOutcome::Rejected;
  }
}

bool is_held_by_node(SendOutcome outcome) {
  switch (outcome) {
    case SendOutcome::Accepted:
    case SendOutcome::AlreadyInMempool:
    case SendOutcome::AlreadyConfirmed: return true;
    case SendOutcome::MissingInputs:
    case SendOutcome::MempoolChainTooLong:
    case SendOutcome::PrematureSpend:
    case SendOutcome::FeeTooLow:
    case SendOutcome::MempoolConflict:
    case SendOutcome::WarmingUp:
    case SendOutcome::Rejected:
    case SendOutcome::NodeUnavailable: return false;
  }
  return false;
}

bool is_worth_sending_again(SendOutcome outcome) {
  switch (outcome) {
    case SendOutcome::MempoolChainTooLong:
    case SendOutcome::PrematureSpend:
    case SendOutcome::FeeTooLow:  // the node's floor moves with its mempool
    case SendOutcome::WarmingUp:
    case SendOutcome::NodeUnavailable: return true;
    case SendOutcome::Accepted:
    case SendOutcome::AlreadyInMempool:
    case SendOutcome::AlreadyConfirmed:
    case SendOutcome::MissingInputs:
    case SendOutcome::MempoolConflict:
    case SendOutcome::Rejected: return false;
  }
  return false;
}

}  // namespace roulette::bitcoin
