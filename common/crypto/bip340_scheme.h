// Internal to common/crypto: the scheme object of all who make BIP 340 signatures.
//
// Invariant: a signature is good when schnorr_verify says so under the wallet's x-only key, whoever
// made it.
#pragma once

#include <memory>

#include "common/crypto/scheme.h"

namespace roulette::crypto {

[[nodiscard]] std::unique_ptr<const Scheme> bip340_scheme(const SchemeFacts& facts);

}  // namespace roulette::crypto
