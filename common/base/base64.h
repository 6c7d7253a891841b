// Base64 (RFC 4648 section 4, with padding): byte strings in etcd's JSON gateway and HTTP headers.
//
// Invariant: decode(encode(x)) == x; decode refuses every other spelling.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"

namespace roulette {

[[nodiscard]] std::string encode_base64(ByteSpan bytes);
[[nodiscard]] std::optional<Bytes> decode_base64(std::string_view text);

}  // namespace roulette
