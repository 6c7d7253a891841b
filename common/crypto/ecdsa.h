// ECDSA over secp256k1 as Bitcoin takes it: verification, and the two spellings of a signature.
//
// Invariant: what ecdsa_verify accepts is strict DER (BIP 66) with low S (BIP 146), so one pair
// (r, s) has one spelling and nobody but the signer can make a second signature of one message.
// Signs nothing: the only ECDSA key of this project lies in a PKCS#11 token (signer/token).
#pragma once

#include <optional>

#include "common/base/bytes.h"
#include "common/crypto/schnorr.h"

namespace roulette::crypto {

using CompactEcdsa = ByteArray<64>;  // r || s, big endian: what CKM_ECDSA gives
inline constexpr std::size_t kMostDerBytes = 71;  // low S: r may need a leading zero, s never

// False for DER that is not strict, high S, and a key that is no point.
[[nodiscard]] bool ecdsa_verify(const PubKey33& key, const Hash32& message, ByteSpan der);
// (r, s) with the lower of s and -s; nothing when r or s is out of range.
[[nodiscard]] std::optional<CompactEcdsa> with_low_s(const CompactEcdsa& signature);
// Strict DER. Nothing when r or s is out of range; S stays as it is.
[[nodiscard]] std::optional<Bytes> der_of(const CompactEcdsa& signature);
// Nothing for bytes that are not the strict DER of some (r, s) in range.
[[nodiscard]] std::optional<CompactEcdsa> compact_of(ByteSpan der);

}  // namespace roulette::crypto
