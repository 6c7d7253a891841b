// `single`: one BIP 340 key with the BIP 86 tweak, behind the interface of all schemes. What the
// others are compared with: it signs alone, and nobody signs without it.
//
// Invariant: one round and no nonces: a share is the signature itself, and the same message gets
// the same bytes (BIP 340's nonce with constant auxiliary bytes).
#pragma once

#include "common/base/secret.h"
#include "common/crypto/schnorr.h"
#include "common/crypto/scheme.h"

namespace roulette::crypto {

[[nodiscard]] const Scheme& single_scheme();
// Refuses bytes that are no point.
[[nodiscard]] Result<SigningGroupPtr> single_group(const PubKey33& key);
// The share of signer 0. Refuses a key out of range.
[[nodiscard]] Result<KeySharePtr> single_share(Secret<32> key);

}  // namespace roulette::crypto
