// Whether bytes are UTF-8 (RFC 3629): no overlong forms, no surrogates.
//
// Invariant: a text in which first_not_utf8() finds nothing is one that every JSON writer takes.
#pragma once

#include <cstddef>
#include <string_view>

namespace roulette {

// Length of the well-formed sequence of more than one byte at the front, or 0. `text` is not empty.
[[nodiscard]] std::size_t utf8_sequence_length(std::string_view text);
// Where the first byte stands that is no UTF-8; the size of the text when all is.
[[nodiscard]] std::size_t first_not_utf8(std::string_view text);

}  // namespace roulette
