// Always-on assertion for our own bugs. It is never used on a peer's or a user's input.
//
// Invariant: a failed assertion ends the process at once (abort), in every build type, after one
// line on stderr.
#pragma once

namespace roulette {

// Prints "file:line: assertion failed: text" and aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace roulette

#define ROULETTE_ASSERT(expression)    \
  ((expression) ? static_cast<void>(0) \
                : ::roulette::assertion_failed(#expression, __FILE__, __LINE__))
