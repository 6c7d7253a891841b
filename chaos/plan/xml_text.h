// Text inside XML: element content and attribute values in double quotes.
//
// Invariant: what comes out is well formed whatever goes in, UTF-8 provided; a control character
// that XML 1.0 allows in no spelling becomes a question mark.
#pragma once

#include <string>
#include <string_view>

namespace roulette::chaos {

[[nodiscard]] std::string xml_text(std::string_view text);

}  // namespace roulette::chaos
