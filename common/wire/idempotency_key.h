// The Idempotency-Key header field: a string of RFC 8941, or the same characters bare.
//
// Invariant: a quoted key and the bare one with the same characters are one key; a key is 1 to 255
// visible ASCII characters. A pure function: knows no HTTP and keeps nothing.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace roulette::wire {

// The key without quotes and escapes. Errors (Refused) say what is wrong, for a 400.
[[nodiscard]] Result<std::string> parse_idempotency_key(std::string_view field);

}  // namespace roulette::wire
