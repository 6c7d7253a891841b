// What the coordinator's core and its host tell each other about the node: typed facts, no JSON and
// no transport.
//
// Invariant: a block that parses is whole: its header commits to exactly these transactions (merkle
// root, and the witness commitment of BIP 141). Proof of work and scripts are the node's business,
// not checked here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/bitcoin/transaction.h"

namespace roulette::bitcoin {

inline constexpr std::size_t kMaxBlockBytes = 4'000'000;  // BIP 141's weight limit
inline constexpr std::int64_t kCoinbaseMaturity = 100;    // blocks
inline constexpr std::int64_t kMempoolChainLimit = 25;    // bitcoind's -limitancestorcount

struct TipFacts {
  Hash32 hash{};  // internal byte order, as all hashes here
  std::int64_t height = 0;
  friend bool operator==(const TipFacts&, const TipFacts&) = default;
};

// An output that pays a watched script.
struct FoundOutput {
  OutPoint outpoint;
  std::int64_t amount_sat = 0;
  bool coinbase = false;  // spendable only kCoinbaseMaturity blocks later
  friend bool operator==(const FoundOutput&, const FoundOutput&) = default;
};

struct BlockFacts {
  Hash32 hash{};
  Hash32 prev{};
  std::int64_t height = 0;
  std::uint32_t time = 0;             // the header's, seconds since 1970; not our clock
  std::vector<Hash32> txids;          // in the block's order
  std::vector<FoundOutput> outputs;   // those that pay the given script, in the block's order
  std::vector<OutPoint> spent;        // by every transaction but the coinbase, in order
  friend bool operator==(const BlockFacts&, const BlockFacts&) = default;
};

struct Block {
  std::int32_t version = 0;
  Hash32 hash{};
  Hash32 prev{};
  Hash32 merkle_root{};
  std::uint32_t time = 0;
  std::uint32_t bits = 0;
  std::uint32_t nonce = 0;
  std::vector<Transaction> transactions;
  std::vector<Hash32> txids;  // of `transactions`, same order
};

// The result of `getblock <hash> 0`. Refuses (Corrupt) whatever parse_transaction refuses, trailing
// bytes, a wrong or ambiguous merkle root (CVE-2012-2459), a wrong witness commitment, a coinbase
// anywhere but first.
[[nodiscard]] Result<Block> parse_block(ByteSpan bytes);
[[nodiscard]] Result<Block> parse_block_hex(std::string_view hex);

// Height is not in the header: the caller has it from the node.
[[nodiscard]] BlockFacts block_facts(const Block& block, std::int64_t height,
                                     ByteSpan wallet_script);

// What became of one sendrawtransaction (PROTOCOL 5).
enum class SendOutcome : std::uint8_t {
  Accepted,             // the node answered with the txid: new, or already in its mempool
  AlreadyInMempool,     // an error that says so (nodes before 0.19, testmempoolaccept)
  AlreadyConfirmed,     // an output of it is unspent in the UTXO set
  MissingInputs,        // parent not sent, conflict, or confirmed and all spent: look it up
  MempoolChainTooLong,  // after the next block
  PrematureSpend,       // a coinbase not yet mature: after later blocks
  FeeTooLow,            // under the node's floor
  MempoolConflict,      // another transaction that spends one of its inputs is in the mempool
  WarmingUp,            // retry
  Rejected,             // anything else the node refused: read the message
  NodeUnavailable,      // no answer: connection refused, time-out, HTTP error alone
};

[[nodiscard]] const char* send_outcome_name(SendOutcome outcome);

// The node's JSON-RPC error code and message. Never Accepted.
[[nodiscard]] SendOutcome classify_send_error(int code, std::string_view message);

// True when the node holds the transaction (mempool or chain) now.
[[nodiscard]] bool is_held_by_node(SendOutcome outcome);
// True when sending the same bytes later may succeed without anybody doing anything else.
[[nodiscard]] bool is_worth_sending_again(SendOutcome outcome);

}  // namespace roulette::bitcoin
