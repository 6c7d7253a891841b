// BIP 340 Schnorr signatures under one key, and the key types all schemes share.
//
// Invariant: a signature that schnorr_verify accepts is valid for every BIP 340 verifier (it is
// libsecp256k1's answer). Does not know about thresholds (frost.h) or output keys (taproot.h).
#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace roulette::crypto {

using PubKey33 = ByteArray<33>;   // compressed point: 02 or 03, then x
using XOnly = ByteArray<32>;      // x of a point; its even-y twin is meant (BIP 340)
using Signature = ByteArray<64>;  // x(R) || s

// The x coordinate; no check that it is on the curve.
[[nodiscard]] XOnly xonly(const PubKey33& key);
// True when the bytes are a compressed point on the curve.
[[nodiscard]] bool is_point(const PubKey33& key);
// True when some point has this x.
[[nodiscard]] bool is_xonly_point(const XOnly& key);

// Refuses a key outside 1..order-1.
[[nodiscard]] Result<PubKey33> public_key(const Secret<32>& key);

[[nodiscard]] bool schnorr_verify(const XOnly& key, ByteSpan message, const Signature& signature);
// `aux` is 32 fresh random bytes (BIP 340 allows constant ones: weaker against fault attacks).
// Refuses a key out of range. The key is used as it is; tweak it first for a taproot output
// (taproot.h).
[[nodiscard]] Result<Signature> schnorr_sign(const Secret<32>& key, ByteSpan message,
                                             const ByteArray<32>& aux);

// Blinds the library's multiplication tables with a random seed: once a process, before other
// threads exist. Results do not depend on it, so a simulation may leave it out.
void randomize_context(const Secret<32>& seed);

}  // namespace roulette::crypto
