// BIP 341 "Common signature message" for the key path, and BIP 143 for P2WPKH.
//
// Lines follow the order of the BIPs' lists; no annex, no script path, no code separator.
#include "common/bitcoin/sighash.h"

#include "common/bitcoin/script.h"
#include "common/bitcoin/transaction_encoding.h"
#include "common/crypto/hash.h"

namespace roulette::bitcoin {
namespace {

constexpr std::uint8_t kEpoch = 0x00;
constexpr std::uint8_t kKeyPathNoAnnex = 0x00;  // spend_type = 2 * ext_flag + annex
constexpr std::uint32_t kSighashAll = 0x01;

// The low two bits select the outputs, the highest the inputs (BIP 341).
bool anyone_can_pay(SighashType type) { return (static_cast<std::uint8_t>(type) & 0x80) != 0; }
bool only_single(SighashType type) { return (static_cast<std::uint8_t>(type) & 3) == 3; }
bool no_outputs(SighashType type) { return (static_cast<std::uint8_t>(type) & 3) == 2; }

Error refused(const char* why) { return {ErrorKind::Corrupt, std::string("sighash: ") + why}; }

template <class List, class Write>
Hash32 hash_each(const List& list, Write write) {
  Writer out;
  for (const auto& element : list) write(out, element);
  return crypto::sha256(out.view());
}

}  // namespace

std::optional<SighashType> sighash_type(std::uint8_t byte) {
  switch (byte) {
    case 0x00: return SighashType::Default;
    case 0x01: return SighashType::All;
    case 0x02: return SighashType::None;
    case 0x03: return SighashType::Single;
    case 0x81: return SighashType::AllAnyoneCanPay;
    case 0x82: return SighashType::NoneAnyoneCanPay;
    case 0x83: return SighashType::SingleAnyoneCanPay;
    default: return std::nullopt;
  }
}

Result<TaprootSighash> TaprootSighash::create(const Transaction& tx,
                                              std::span<const TxOut> prevouts) {
  if (tx.inputs.empty()) return refused("no inputs");
  if (prevouts.size() != tx.inputs.size()) return refused("not one prevout for each input");
  if (!total_amount(prevouts)) return refused("a prevout's amount is out of range");
  if (!total_amount(tx.outputs)) return refused("an output's amount is out of range");
  TaprootSighash out;
  out.version_ = tx.version;
  out.locktime_ = tx.locktime;
  out.inputs_.reserve(tx.inputs.size());
  for (std::size_t i = 0; i < tx.inputs.size(); ++i) {
    out.inputs_.push_back({tx.inputs[i].outpoint, tx.inputs[i].sequence, prevouts[i]});
  }
  out.hash_prevouts_ = hash_each(
      out.inputs_, [](Writer& w, const Input& input) { write_outpoint(w, input.outpoint); });
  out.hash_amounts_ = hash_each(
      out.inputs_, [](Writer& w, const Input& input) { w.i64(input.prevout.amount_sat); });
  out.hash_scripts_ = hash_each(
      out.inputs_, [](Writer& w, const Input& input) { w.bytes(input.prevout.script); });
  out.hash_sequences_ =
      hash_each(out.inputs_, [](Writer& w, const Input& input) { w.u32(input.sequence); });
  out.hash_outputs_ = hash_each(tx.outputs, write_output);
  out.output_hashes_.reserve(tx.outputs.size());
  for (const TxOut& output : tx.outputs) {
    out.output_hashes_.push_back(hash_each(std::span(&output, 1), write_output));
  }
  return out;
}

Result<Bytes> TaprootSighash::message(std::size_t input, SighashType type) const {
  if (input >= inputs_.size()) return refused("no such input");
  if (only_single(type) && input >= output_hashes_.size()) {
    return refused("SIGHASH_SINGLE without an output of the input's index");
  }
  Writer out;
  out.u8(kEpoch);
  out.u8(static_cast<std::uint8_t>(type));
  out.i32(version_);
  out.u32(locktime_);
  if (!anyone_can_pay(type)) {
    out.raw(hash_prevouts_);
    out.raw(hash_amounts_);
    out.raw(hash_scripts_);
    out.raw(hash_sequences_);
  }
  if (!no_outputs(type) && !only_single(type)) out.raw(hash_outputs_);
  out.u8(kKeyPathNoAnnex);
  const Input& own = inputs_[input];
  if (anyone_can_pay(type)) {
    write_outpoint(out, own.outpoint);
    write_output(out, own.prevout);
    out.u32(own.sequence);
  } else {
    out.u32(static_cast<std::uint32_t>(input));
  }
  if (only_single(type)) out.raw(output_hashes_[input]);
  return out.take();
}

Result<Hash32> TaprootSighash::key_path(std::size_t input, SighashType type) const {
  const Result<Bytes> bytes = message(input, type);
  if (!bytes) return bytes.error();
  static const crypto::Tag kTag("TapSighash");
  return crypto::tagged_hash(kTag, *bytes);
}

Result<std::vector<Hash32>> taproot_sighashes(const Transaction& tx,
                                              std::span<const TxOut> prevouts) {
  const Result<TaprootSighash> sighash = TaprootSighash::create(tx, prevouts);
  if (!sighash) return sighash.error();
  std::vector<Hash32> out;
  out.reserve(sighash->input_count());
  for (std::size_t i = 0; i < sighash->input_count(); ++i) {
    const Result<Hash32> hash = sighash->key_path(i);
    if (!hash) return hash.error();
    out.push_back(*hash);
  }
  return out;
}

Result<Hash32> p2wpkh_sighash(const Transaction& tx, std::size_t input, const TxOut& prevout) {
  if (input >= tx.inputs.size()) return refused("no such input");
  if (classify(prevout.script) != ScriptType::P2wpkh) return refused("the prevout is not P2WPKH");
  if (!is_money(prevout.amount_sat)) return refused("the prevout's amount is out of range");
  const auto hash_all = [](const auto& list, auto write) {
    Writer out;
    for (const auto& element : list) write(out, element);
    return crypto::sha256d(out.view());
  };
  Writer out;
  out.i32(tx.version);
  out.raw(hash_all(tx.inputs, [](Writer& w, const TxIn& i) { write_outpoint(w, i.outpoint); }));
  out.raw(hash_all(tx.inputs, [](Writer& w, const TxIn& i) { w.u32(i.sequence); }));
  write_outpoint(out, tx.inputs[input].outpoint);
  // BIP 143: the script code of P2WPKH is the P2PKH script of its key hash, with its length.
  out.raw(Bytes{0x19, 0x76, 0xa9, 0x14});
  out.raw(ByteSpan(prevout.script).subspan(2));
  out.raw(Bytes{0x88, 0xac});
  out.i64(prevout.amount_sat);
  out.u32(tx.inputs[input].sequence);
  out.raw(hash_all(tx.outputs, write_output));
  out.u32(tx.locktime);
  out.u32(kSighashAll);
  return crypto::sha256d(out.view());
}

}  // namespace roulette::bitcoin
