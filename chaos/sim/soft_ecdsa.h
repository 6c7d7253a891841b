// An ECDSA key in memory: what a token does, without a token. For the simulator and for tests.
//
// Invariant: one key, digest and number give one signature (RFC 6979), so a seed stays a trace. No
// daemon contains this: tests/lint looks for secp256k1_ecdsa_sign in them.
#pragma once

#include "common/base/secret.h"
#include "common/crypto/hsm_scheme.h"

namespace roulette::sim {

class SoftEcdsa {
 public:
  explicit SoftEcdsa(const Hash32& secret);
  [[nodiscard]] const crypto::PubKey33& key() const { return key_; }
  // Low S, as the library gives it. Another number is another nonce: what a token gives when it
  // signs again.
  [[nodiscard]] crypto::CompactEcdsa sign(const Hash32& digest, std::uint8_t again = 0) const;
  [[nodiscard]] Bytes der(const Hash32& digest, std::uint8_t again = 0) const;

 private:
  Secret<32> secret_;
  crypto::PubKey33 key_{};
};

// The other S: as valid for ECDSA, refused by the network (BIP 146).
[[nodiscard]] crypto::CompactEcdsa with_other_s(crypto::CompactEcdsa signature);
// The network's own look at it: by the bytes, not by what this project verifies with.
[[nodiscard]] bool relayed_s(ByteSpan der);

}  // namespace roulette::sim
