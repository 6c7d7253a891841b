// Signature hashes: BIP 341 key path (every hash type, no annex) and BIP 143 P2WPKH with
// SIGHASH_ALL.
//
// Invariant: a taproot hash commits to every input's amount and script; a change in any of them
// changes every hash (but those of the ANYONECANPAY types). A BIP 143 hash covers only its own
// input's amount: bind amount and script with the outpoint elsewhere (PROTOCOL 5). Script path
// spending is deliberately absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/bitcoin/transaction.h"

namespace roulette::bitcoin {

// The bytes of BIP 341; the wallet itself uses Default only.
enum class SighashType : std::uint8_t {
  Default = 0x00,
  All = 0x01,
  None = 0x02,
  Single = 0x03,
  AllAnyoneCanPay = 0x81,
  NoneAnyoneCanPay = 0x82,
  SingleAnyoneCanPay = 0x83,
};

// Nothing for a byte that BIP 341 does not define.
[[nodiscard]] std::optional<SighashType> sighash_type(std::uint8_t byte);

// The five SHA-256 hashes all inputs of one transaction share are made once: n inputs cost O(n),
// not O(n^2).
class TaprootSighash {
 public:
  // `prevouts[i]` is what input i spends. Refuses (Corrupt) another count, no inputs, or amounts
  // out of range.
  [[nodiscard]] static Result<TaprootSighash> create(const Transaction& tx,
                                                     std::span<const TxOut> prevouts);

  // What is signed for this input. Refuses an input out of range, or Single without the matching
  // output.
  [[nodiscard]] Result<Hash32> key_path(std::size_t input,
                                        SighashType type = SighashType::Default) const;
  // The message under the TapSighash tag, epoch byte first (BIP 341 "sigMsg").
  [[nodiscard]] Result<Bytes> message(std::size_t input, SighashType type) const;

  [[nodiscard]] std::size_t input_count() const { return inputs_.size(); }
  [[nodiscard]] const Hash32& hash_prevouts() const { return hash_prevouts_; }
  [[nodiscard]] const Hash32& hash_amounts() const { return hash_amounts_; }
  [[nodiscard]] const Hash32& hash_scripts() const { return hash_scripts_; }
  [[nodiscard]] const Hash32& hash_sequences() const { return hash_sequences_; }
  [[nodiscard]] const Hash32& hash_outputs() const { return hash_outputs_; }

 private:
  struct Input {
    OutPoint outpoint;
    std::uint32_t sequence = 0;
    TxOut prevout;
  };
  TaprootSighash() = default;
  std::int32_t version_ = 0;
  std::uint32_t locktime_ = 0;
  std::vector<Input> inputs_;
  std::vector<Hash32> output_hashes_;  // of each single output, for the Single types
  Hash32 hash_prevouts_{}, hash_amounts_{}, hash_scripts_{}, hash_sequences_{}, hash_outputs_{};
};

// The hashes of all inputs under SIGHASH_DEFAULT: what one signing request covers.
[[nodiscard]] Result<std::vector<Hash32>> taproot_sighashes(const Transaction& tx,
                                                            std::span<const TxOut> prevouts);

// BIP 143, SIGHASH_ALL, for an input that spends a P2WPKH output. Refuses any other script.
[[nodiscard]] Result<Hash32> p2wpkh_sighash(const Transaction& tx, std::size_t input,
                                            const TxOut& prevout);

}  // namespace roulette::bitcoin
