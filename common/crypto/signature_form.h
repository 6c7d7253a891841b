// What the network verifies a wallet's signatures as: the one fact about a signing scheme that
// stands on the chain.
//
// Invariant: a form says which key and which signature bytes belong together; what script pays to
// such a key and what is signed for it is bitcoin/spend.h's. Every scheme has one form.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/bounded_bytes.h"
#include "common/base/limits.h"

namespace roulette::crypto {

enum class SignatureForm : std::uint8_t {
  Bip340 = 1,  // 32-byte x-only key, 64-byte signature
  Ecdsa = 2    // 33-byte compressed key, strict DER with low S (BIP 66, BIP 146): at most 71 bytes
};

// Of its form's size: what the wallet's outputs pay to.
using WalletKey = BoundedBytes<limits::kMaxWalletKeyBytes>;
// As a scheme makes it, without a sighash type.
using WalletSignature = BoundedBytes<limits::kMaxSignatureBytes>;

[[nodiscard]] const char* form_name(SignatureForm form);  // "bip340", "ecdsa": as records spell it
[[nodiscard]] std::optional<SignatureForm> form_named(std::string_view name);
[[nodiscard]] std::optional<SignatureForm> form_numbered(std::uint8_t number);

}  // namespace roulette::crypto
