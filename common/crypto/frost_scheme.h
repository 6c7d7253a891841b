// `frost` (BIP 445, the default) and `frost-tr` (RFC 9591 with taproot tweaks), both with
// the BIP 86 tweak, behind the interface of all schemes.
//
// Invariant: adds nothing to frost.h and frost_tr.h and takes nothing away: the same bytes come
// out, the same inputs are refused. One dealing is a group of one of the two: their ids differ.
#pragma once

#include "common/crypto/frost.h"
#include "common/crypto/scheme.h"

namespace roulette::crypto {

// Under the key path tweak of the wallet. Fails (2^-128) when the tweak is out of range.
[[nodiscard]] Result<SigningGroupPtr> frost_group(frost::Group group);
[[nodiscard]] KeySharePtr frost_share(frost::SecretShare share);
[[nodiscard]] const Scheme& frost_tr_scheme();
[[nodiscard]] Result<SigningGroupPtr> frost_tr_group(frost::Group group);
[[nodiscard]] KeySharePtr frost_tr_share(frost::SecretShare share);
// For who made one by frost.h itself.
[[nodiscard]] SecretNonce frost_nonce(frost::SecNonce made);

}  // namespace roulette::crypto
