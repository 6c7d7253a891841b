// `frost`: BIP 445 with the BIP 86 tweak, behind the interface of all schemes. The daemons' scheme.
//
// Invariant: adds nothing to frost.h and takes nothing away: the same bytes come out, the same
// inputs are refused.
#pragma once

#include "common/crypto/frost.h"
#include "common/crypto/scheme.h"

namespace roulette::crypto {

// Under the key path tweak of the wallet. Fails (2^-128) when the tweak is out of range.
[[nodiscard]] Result<SigningGroupPtr> frost_group(frost::Group group);
[[nodiscard]] KeySharePtr frost_share(frost::SecretShare share);
// For who made one by frost.h itself.
[[nodiscard]] SecretNonce frost_nonce(frost::SecNonce made);

}  // namespace roulette::crypto
