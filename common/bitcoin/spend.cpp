// See spend.h. One switch a function: a new form does not compile until it is written everywhere.
#include "common/bitcoin/spend.h"

#include <algorithm>

#include "common/bitcoin/fees.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/sighash.h"
#include "common/crypto/hash.h"

namespace roulette::bitcoin {
namespace {

using crypto::SignatureForm;

constexpr std::uint8_t kSighashAll = 0x01;
constexpr std::size_t kSchnorrBytes = 64, kCompressedKeyBytes = 33, kMostDerBytes = 71;
// BIP 141: the number of items, then each with its length. One byte each below 253.
constexpr std::size_t kKeyPathWitness = 1 + 1 + kSchnorrBytes;
constexpr std::size_t kKeyHashWitness = 1 + (1 + kMostDerBytes + 1) + (1 + kCompressedKeyBytes);

Result<std::vector<Hash32>> p2wpkh_sighashes(const Transaction& tx,
                                             std::span<const TxOut> prevouts) {
  const auto refused = [](const char* why) {
    return Error{ErrorKind::Corrupt, std::string("sighash: ") + why};
  };
  if (tx.inputs.empty()) return refused("no inputs");
  if (prevouts.size() != tx.inputs.size()) return refused("not one prevout for each input");
  if (!total_amount(prevouts)) return refused("a prevout's amount is out of range");
  if (!total_amount(tx.outputs)) return refused("an output's amount is out of range");
  std::vector<Hash32> out;
  for (std::size_t i = 0; i < prevouts.size(); ++i) {
    const auto hash = p2wpkh_sighash(tx, i, prevouts[i]);
    if (!hash) return hash.error();
    out.push_back(*hash);
  }
  return out;
}

}  // namespace

Bytes wallet_script(SignatureForm form, ByteSpan wallet_key) {
  switch (form) {
    case SignatureForm::Bip340: {
      const auto key = to_array<32>(wallet_key);
      return key ? p2tr_script(*key) : Bytes();
    }
    case SignatureForm::Ecdsa:
      if (wallet_key.size() != kCompressedKeyBytes) return {};
      return p2wpkh_script(crypto::hash160(wallet_key));
  }
  return {};
}

Result<std::vector<Hash32>> sighashes(SignatureForm form, const Transaction& tx,
                                      std::span<const TxOut> prevouts) {
  switch (form) {
    case SignatureForm::Bip340: return taproot_sighashes(tx, prevouts);
    case SignatureForm::Ecdsa: return p2wpkh_sighashes(tx, prevouts);
  }
  return Error{ErrorKind::Internal, "a signature form without messages"};
}

std::vector<Bytes> witness(SignatureForm form, ByteSpan wallet_key, ByteSpan signature) {
  Bytes first(signature.begin(), signature.end());
  switch (form) {
    case SignatureForm::Bip340: return {std::move(first)};
    case SignatureForm::Ecdsa:
      first.push_back(kSighashAll);
      return {std::move(first), Bytes(wallet_key.begin(), wallet_key.end())};
  }
  return {};
}

std::optional<Bytes> signature_in(SignatureForm form, ByteSpan wallet_key,
                                  const std::vector<Bytes>& witness) {
  switch (form) {
    case SignatureForm::Bip340:
      if (witness.size() != 1 || witness[0].size() != kSchnorrBytes) return std::nullopt;
      return witness[0];
    case SignatureForm::Ecdsa:
      if (witness.size() != 2 || !std::ranges::equal(witness[1], wallet_key)) return std::nullopt;
      if (witness[0].size() < 2 || witness[0].size() > kMostDerBytes + 1 ||
          witness[0].back() != kSighashAll)
        return std::nullopt;
      return Bytes(witness[0].begin(), witness[0].end() - 1);
  }
  return std::nullopt;
}

std::int64_t signed_weight(SignatureForm form, std::size_t inputs,
                           std::span<const TxOut> outputs) {
  switch (form) {
    case SignatureForm::Bip340: return witness_spend_weight(inputs, outputs, kKeyPathWitness);
    case SignatureForm::Ecdsa: return witness_spend_weight(inputs, outputs, kKeyHashWitness);
  }
  return 0;
}

std::int64_t signed_vsize(SignatureForm form, std::size_t inputs, std::span<const TxOut> outputs) {
  return (signed_weight(form, inputs, outputs) + 3) / 4;
}

}  // namespace roulette::bitcoin
