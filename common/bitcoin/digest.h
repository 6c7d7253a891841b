// The hashes Bitcoin is made of, as this module's files use them.
//
// Invariant: plain SHA-256 comes from OpenSSL; nothing is implemented here but its composition.
#pragma once

#include <string_view>

#include "common/base/bytes.h"

namespace roulette::bitcoin {

[[nodiscard]] Hash32 sha256(ByteSpan bytes);
// SHA-256 of the SHA-256: txids, block hashes, merkle nodes, BIP 143.
[[nodiscard]] Hash32 double_sha256(ByteSpan bytes);
// BIP 340: SHA256(SHA256(tag) || SHA256(tag) || bytes).
[[nodiscard]] Hash32 tagged_sha256(std::string_view tag, ByteSpan bytes);

}  // namespace roulette::bitcoin
