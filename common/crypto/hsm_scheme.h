// `hsm`: one secp256k1 ECDSA key that lies in a PKCS#11 token, behind the interface of all schemes.
// No token makes Schnorr signatures, so its wallet is P2WPKH and not P2TR (PROTOCOL 6).
//
// Invariant: a share is (r, s) with low S, 64 bytes, and the signature is its strict DER; what the
// token gave is normalised and verified before it is a share. The key itself never comes here: who
// reaches the token gives a function that signs a digest.
#pragma once

#include <functional>

#include "common/crypto/ecdsa.h"
#include "common/crypto/scheme.h"

namespace roulette::crypto {

[[nodiscard]] const Scheme& hsm_scheme();
// Refuses bytes that are no point.
[[nodiscard]] Result<SigningGroupPtr> hsm_group(const PubKey33& key);

struct TokenKey {
  PubKey33 key{};
  // Signs 32 bytes with the token's key: r || s, S high or low.
  std::function<Result<CompactEcdsa>(const Hash32& digest)> sign;
  std::function<std::string()> unavailable = [] { return std::string(); };  // KeyShare's
};
// The share of signer 0. What `sign` gives is checked under `key`, always: the token is another
// machine's word.
[[nodiscard]] KeySharePtr hsm_share(TokenKey key);

}  // namespace roulette::crypto
