// A frame on a connection: u32 big-endian length, then so many bytes of payload.
//
// Invariant: nothing is read beyond `in`, and a length over the limit is told before a byte of the
// payload is waited for. Header only: the transport and its fuzz target cut frames alike.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/bytes.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {

enum class FrameState : std::uint8_t {
  Whole,
  Incomplete,  // more bytes must come
  Oversized,   // nobody waits for it
};

struct NextFrame {
  FrameState state = FrameState::Incomplete;
  std::size_t size = 0;  // as announced, in bytes of payload; 0 without a whole header
  ByteSpan payload;      // of a whole one, inside `in`
};

// The frame that `in` begins with.
[[nodiscard]] inline NextFrame next_frame(ByteSpan in, std::size_t most_payload) {
  if (in.size() < kFrameHeaderBytes) return {};
  const std::size_t size = std::size_t{in[0]} << 24 | std::size_t{in[1]} << 16 |
                           std::size_t{in[2]} << 8 | std::size_t{in[3]};
  if (size > most_payload) return {FrameState::Oversized, size, {}};
  const ByteSpan rest = in.subspan(kFrameHeaderBytes);
  if (rest.size() < size) return {FrameState::Incomplete, size, {}};
  return {FrameState::Whole, size, rest.first(size)};
}

}  // namespace roulette::runtime
