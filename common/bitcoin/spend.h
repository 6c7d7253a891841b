// How the coins of a wallet are spent, by the form of its signatures: script, message, witness and
// size.
//
// Invariant: for one form and key these belong together: what spends() finds in a witness is a
// signature of sighashes() under the key that wallet_script() pays to, once a scheme verified it.
//   Bip340  P2TR key path (BIP 341): SIGHASH_DEFAULT, no annex; witness {signature}
//   Ecdsa   P2WPKH (BIP 143): SIGHASH_ALL; witness {DER signature || 01, compressed key}
#pragma once

#include "common/bitcoin/transaction.h"
#include "common/crypto/signature_form.h"

namespace roulette::bitcoin {

// Empty when the key has another form's size.
[[nodiscard]] Bytes wallet_script(crypto::SignatureForm form, ByteSpan wallet_key);

// What is signed for each input. A BIP 143 message covers its own input's amount only, all of them
// together every amount: whoever signs binds amounts to outpoints (DESIGN 6.2). Refuses what
// TaprootSighash::create and p2wpkh_sighash refuse.
[[nodiscard]] Result<std::vector<Hash32>> sighashes(crypto::SignatureForm form,
                                                    const Transaction& tx,
                                                    std::span<const TxOut> prevouts);

[[nodiscard]] std::vector<Bytes> witness(crypto::SignatureForm form, ByteSpan wallet_key,
                                         ByteSpan signature);
// The signature that witness() put there; nothing for any other witness of this form and key.
[[nodiscard]] std::optional<Bytes> signature_in(crypto::SignatureForm form, ByteSpan wallet_key,
                                                const std::vector<Bytes>& witness);

// Of the signed transaction before it is signed, at most: BIP 340 exactly; an ECDSA signature is
// 71 bytes or, with a shorter r or s, less.
[[nodiscard]] std::int64_t signed_weight(crypto::SignatureForm form, std::size_t inputs,
                                         std::span<const TxOut> outputs);
[[nodiscard]] std::int64_t signed_vsize(crypto::SignatureForm form, std::size_t inputs,
                                        std::span<const TxOut> outputs);

}  // namespace roulette::bitcoin
