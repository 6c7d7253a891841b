// Base64 (RFC 4648 section 4, with padding): how etcd's JSON gateway spells byte strings.
//
// Invariant: decode(encode(x)) == x; decode refuses every other spelling.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"

namespace roulette::ledger {

[[nodiscard]] std::string encode_base64(ByteSpan bytes);
[[nodiscard]] std::optional<Bytes> decode_base64(std::string_view text);

}  // namespace roulette::ledger
