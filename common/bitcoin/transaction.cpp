// Serialization by BIP 144, sizes by BIP 141, and the strict parser of transaction.h.
//
// The parser's rules that are not about bytes (amounts, no outpoint twice) are Bitcoin's own
// context-free consensus checks; refusing them early keeps sums from overflowing later. No lookup,
// no script.
#include "common/bitcoin/transaction.h"

#include <algorithm>

#include "common/bitcoin/transaction_encoding.h"
#include "common/crypto/hash.h"

namespace roulette::bitcoin {
namespace {

constexpr std::size_t kMinInputBytes = 41;  // outpoint, empty script, sequence
constexpr std::size_t kMinOutputBytes = 9;  // amount, empty script
constexpr std::uint8_t kSegwitMarker = 0x00;
constexpr std::uint8_t kSegwitFlag = 0x01;

constexpr bool is_null(const OutPoint& outpoint) {
  return outpoint.vout == 0xffffffff && outpoint.txid == Hash32{};
}

void write_transaction(Writer& out, const Transaction& tx, bool with_witness) {
  out.i32(tx.version);
  if (with_witness) {
    out.u8(kSegwitMarker);
    out.u8(kSegwitFlag);
  }
  out.compact_size(tx.inputs.size());
  for (const TxIn& input : tx.inputs) {
    write_outpoint(out, input.outpoint);
    out.bytes(input.script_sig);
    out.u32(input.sequence);
  }
  out.compact_size(tx.outputs.size());
  for (const TxOut& output : tx.outputs) write_output(out, output);
  if (with_witness) {
    for (const TxIn& input : tx.inputs) {
      out.compact_size(input.witness.size());
      for (const Bytes& item : input.witness) out.bytes(item);
    }
  }
  out.u32(tx.locktime);
}

void read_witnesses(Reader& in, Transaction& tx) {
  for (TxIn& input : tx.inputs) {
    const std::size_t items = in.count(1);
    input.witness.reserve(std::min<std::size_t>(items, 16));
    for (std::size_t i = 0; i < items && in.ok(); ++i) input.witness.push_back(in.bytes());
  }
  // BIP 144: a transaction without a witness has one serialization, the legacy one.
  if (!tx.has_witness()) in.fail("the witness section is empty");
}

void check_inputs(Reader& in, const Transaction& tx) {
  if (tx.is_coinbase()) return;
  std::vector<OutPoint> spent;
  spent.reserve(tx.inputs.size());
  for (const TxIn& input : tx.inputs) {
    if (is_null(input.outpoint)) in.fail("an input spends nothing");
    spent.push_back(input.outpoint);
  }
  // CVE-2018-17144: the same outpoint twice would count its amount twice.
  std::sort(spent.begin(), spent.end());
  if (std::adjacent_find(spent.begin(), spent.end()) != spent.end()) {
    in.fail("an outpoint is spent twice");
  }
}

}  // namespace

void write_outpoint(Writer& out, const OutPoint& outpoint) {
  out.raw(outpoint.txid);
  out.u32(outpoint.vout);
}

void write_output(Writer& out, const TxOut& output) {
  out.i64(output.amount_sat);
  out.bytes(output.script);
}

Transaction read_transaction(Reader& in) {
  Transaction tx;
  tx.version = in.i32();
  // A zero input count is never valid, so that this byte tells the two forms apart (BIP 144).
  const bool with_witness = in.next_is(kSegwitMarker);
  if (with_witness) {
    (void)in.u8();
    if (in.u8() != kSegwitFlag) in.fail("no inputs, or an unknown segwit flag");
  }
  const std::size_t inputs = in.count(kMinInputBytes);
  tx.inputs.reserve(inputs);
  for (std::size_t i = 0; i < inputs && in.ok(); ++i) {
    TxIn input;
    input.outpoint.txid = in.hash();
    input.outpoint.vout = in.u32();
    input.script_sig = in.bytes();
    input.sequence = in.u32();
    tx.inputs.push_back(std::move(input));
  }
  const std::size_t outputs = in.count(kMinOutputBytes);
  tx.outputs.reserve(outputs);
  for (std::size_t i = 0; i < outputs && in.ok(); ++i) {
    TxOut output;
    output.amount_sat = in.i64();
    output.script = in.bytes();
    tx.outputs.push_back(std::move(output));
  }
  if (tx.inputs.empty()) in.fail("no inputs");
  if (tx.outputs.empty()) in.fail("no outputs");
  if (with_witness && in.ok()) read_witnesses(in, tx);
  tx.locktime = in.u32();
  if (in.ok() && !total_amount(tx.outputs)) in.fail("an amount or their sum is out of range");
  if (in.ok()) check_inputs(in, tx);
  return tx;
}

Result<Transaction> parse_transaction(ByteSpan bytes) {
  if (bytes.size() > kMaxTransactionBytes) {
    return Error{ErrorKind::Corrupt, "transaction: more than " +
                                         std::to_string(kMaxTransactionBytes) + " bytes"};
  }
  Reader in(bytes);
  Transaction tx = read_transaction(in);
  if (in.ok() && in.remaining() > 0) in.fail("bytes follow the transaction");
  if (!in.ok()) return Error{ErrorKind::Corrupt, std::string("transaction: ") + in.why()};
  return tx;
}

Result<Transaction> parse_transaction_hex(std::string_view hex) {
  if (hex.size() > 2 * kMaxTransactionBytes) {
    return Error{ErrorKind::Corrupt, "transaction: more than " +
                                         std::to_string(kMaxTransactionBytes) + " bytes"};
  }
  const auto bytes = from_hex(hex);
  if (!bytes) return Error{ErrorKind::Corrupt, "transaction: not hex"};
  return parse_transaction(*bytes);
}

bool Transaction::has_witness() const {
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const TxIn& input) { return !input.witness.empty(); });
}

bool Transaction::is_coinbase() const {
  return inputs.size() == 1 && is_null(inputs[0].outpoint);
}

Bytes serialize(const Transaction& tx) {
  Writer out;
  write_transaction(out, tx, tx.has_witness());
  return out.take();
}

Bytes serialize_without_witness(const Transaction& tx) {
  Writer out;
  write_transaction(out, tx, false);
  return out.take();
}

Hash32 txid(const Transaction& tx) { return crypto::sha256d(serialize_without_witness(tx)); }

Hash32 wtxid(const Transaction& tx) { return crypto::sha256d(serialize(tx)); }

std::int64_t weight(const Transaction& tx) {
  return static_cast<std::int64_t>(3 * serialize_without_witness(tx).size() +
                                   serialize(tx).size());
}

std::int64_t vsize(const Transaction& tx) { return (weight(tx) + 3) / 4; }

std::string txid_to_hex(const Hash32& txid) {
  Hash32 reversed = txid;
  std::reverse(reversed.begin(), reversed.end());
  return to_hex(reversed);
}

std::optional<Hash32> txid_from_hex(std::string_view hex) {
  auto hash = array_from_hex<32>(hex);
  if (hash) std::reverse(hash->begin(), hash->end());
  return hash;
}

std::string to_text(const OutPoint& outpoint) {
  return txid_to_hex(outpoint.txid) + ":" + std::to_string(outpoint.vout);
}

std::optional<std::int64_t> add_money(std::int64_t a, std::int64_t b) {
  // Both are at most kMaxMoneySat, far below half of the type's range: the sum cannot overflow.
  if (!is_money(a) || !is_money(b) || !is_money(a + b)) return std::nullopt;
  return a + b;
}

std::optional<std::int64_t> total_amount(std::span<const TxOut> outputs) {
  std::optional<std::int64_t> total = 0;
  for (const TxOut& output : outputs) {
    total = add_money(*total, output.amount_sat);
    if (!total) return std::nullopt;
  }
  return total;
}

}  // namespace roulette::bitcoin
