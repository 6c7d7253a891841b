// Bitcoin transactions: the values, their two serializations (BIP 144) and a strict parser.
//
// Invariant: parse(serialize(tx)) == tx, and every accepted byte string is the one serialization of
// what was parsed. Amounts are satoshi in 0..kMaxMoneySat, hashes stand in internal byte order (the
// order of the wire); only txid_to_hex/txid_from_hex know the reversed order that people and RPC
// use. No script is executed here and nothing is looked up: a well-formed transaction may still be
// invalid.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace roulette::bitcoin {

inline constexpr std::int64_t kMaxMoneySat = 2'100'000'000'000'000;
inline constexpr std::size_t kMaxTransactionBytes = 4'000'000;  // a whole block's weight (BIP 141)
inline constexpr std::uint32_t kSequenceFinal = 0xffffffff;
inline constexpr std::uint32_t kSequenceNoReplacement = 0xfffffffe;  // BIP 125: signals nothing

struct OutPoint {
  Hash32 txid{};  // internal byte order
  std::uint32_t vout = 0;
  friend auto operator<=>(const OutPoint&, const OutPoint&) = default;
};

struct TxOut {
  std::int64_t amount_sat = 0;
  Bytes script;
  friend bool operator==(const TxOut&, const TxOut&) = default;
};

struct TxIn {
  OutPoint outpoint;
  Bytes script_sig;
  std::uint32_t sequence = kSequenceFinal;
  std::vector<Bytes> witness;
  friend bool operator==(const TxIn&, const TxIn&) = default;
};

struct Transaction {
  std::int32_t version = 2;
  std::vector<TxIn> inputs;
  std::vector<TxOut> outputs;
  std::uint32_t locktime = 0;

  [[nodiscard]] bool has_witness() const;
  // One input that spends nothing.
  [[nodiscard]] bool is_coinbase() const;
  friend bool operator==(const Transaction&, const Transaction&) = default;
};

// With the witness when there is one, as sendrawtransaction wants it.
[[nodiscard]] Bytes serialize(const Transaction& tx);
// The legacy form: what the txid and templates are made of.
[[nodiscard]] Bytes serialize_without_witness(const Transaction& tx);

// Takes the whole of `bytes`. Refuses (Corrupt): truncation, trailing bytes, non-minimal compact
// sizes, no inputs or no outputs, counts the remaining bytes cannot hold, amounts or their sum out
// of range, an outpoint spent twice, an all-empty witness section (BIP 144), more than
// kMaxTransactionBytes.
[[nodiscard]] Result<Transaction> parse_transaction(ByteSpan bytes);
[[nodiscard]] Result<Transaction> parse_transaction_hex(std::string_view hex);

// Double SHA-256 without and with the witness; internal byte order.
[[nodiscard]] Hash32 txid(const Transaction& tx);
[[nodiscard]] Hash32 wtxid(const Transaction& tx);

// BIP 141: 3 * legacy size + full size; vsize is a quarter of it, rounded up.
[[nodiscard]] std::int64_t weight(const Transaction& tx);
[[nodiscard]] std::int64_t vsize(const Transaction& tx);

// Display order (reversed): txids and block hashes alike.
[[nodiscard]] std::string txid_to_hex(const Hash32& txid);
[[nodiscard]] std::optional<Hash32> txid_from_hex(std::string_view hex);
// "txid:vout" as bitcoin-cli prints it.
[[nodiscard]] std::string to_text(const OutPoint& outpoint);

[[nodiscard]] constexpr bool is_money(std::int64_t sat) { return sat >= 0 && sat <= kMaxMoneySat; }
// The sum, or nothing when an amount or the sum leaves 0..kMaxMoneySat.
[[nodiscard]] std::optional<std::int64_t> add_money(std::int64_t a, std::int64_t b);
[[nodiscard]] std::optional<std::int64_t> total_amount(std::span<const TxOut> outputs);

}  // namespace roulette::bitcoin
