// Ed25519 (RFC 8032) by OpenSSL: who asked for a payment, and which operator seals a bundle.
//
// Invariant: verify_ed25519() is a function of its arguments. No wallet is signed with these keys.
#pragma once

#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace roulette::crypto {

using Ed25519PublicKey = ByteArray<32>;  // as RFC 8032 encodes it
using Ed25519Signature = ByteArray<64>;

// Move-only; the seed is erased with it.
class Ed25519Key {
 public:
  [[nodiscard]] static Result<Ed25519Key> from_seed(Secret<32> seed);
  [[nodiscard]] const Ed25519PublicKey& public_key() const { return public_key_; }
  [[nodiscard]] Result<Ed25519Signature> sign(ByteSpan message) const;
  [[nodiscard]] const Secret<32>& seed() const { return seed_; }

 private:
  Ed25519Key() = default;
  Secret<32> seed_;
  Ed25519PublicKey public_key_{};
};

// PKCS#8, as OpenSSL reads it; from_pem is Usage for anything else.
[[nodiscard]] Result<std::string> private_key_pem(const Ed25519Key& key);
[[nodiscard]] Result<Ed25519Key> private_key_from_pem(std::string_view pem);

// False for a key or signature that is none.
[[nodiscard]] bool verify_ed25519(const Ed25519PublicKey& key, ByteSpan message,
                                  ByteSpan signature);

}  // namespace roulette::crypto
