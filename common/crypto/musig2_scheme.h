// `musig2`: n-of-n by BIP 327 with the BIP 86 tweak, behind the interface of all schemes.
//
// Invariant: the signer with id i holds the i-th key of the list, which is aggregated in that
// order; all of them sign or nobody does. Adds nothing to musig2.h and takes nothing away.
#pragma once

#include "common/crypto/musig2.h"
#include "common/crypto/scheme.h"

namespace roulette::crypto {

[[nodiscard]] const Scheme& musig2_scheme();
// keys[i] is signer i's. Refuses 0 and more than 128 keys and bytes that are no point.
[[nodiscard]] Result<SigningGroupPtr> musig2_group(std::vector<PubKey33> keys);
// Refuses a key out of range.
[[nodiscard]] Result<KeySharePtr> musig2_share(SignerId id, Secret<32> key);

}  // namespace roulette::crypto
