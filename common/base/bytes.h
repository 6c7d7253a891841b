// Byte strings, fixed-size byte arrays and hex. Nothing secret is stored here: see secret.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace roulette {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

template <std::size_t N>
using ByteArray = std::array<std::uint8_t, N>;

using Hash32 = ByteArray<32>;

// Lower-case hex, in the order the bytes stand.
[[nodiscard]] std::string to_hex(ByteSpan bytes);
// Either case; nothing for an odd length or another character.
[[nodiscard]] std::optional<Bytes> from_hex(std::string_view hex);

// The array of exactly N bytes, or nothing when the length differs.
template <std::size_t N>
[[nodiscard]] std::optional<ByteArray<N>> to_array(ByteSpan bytes) {
  if (bytes.size() != N) return std::nullopt;
  ByteArray<N> out{};
  for (std::size_t i = 0; i < N; ++i) out[i] = bytes[i];
  return out;
}

template <std::size_t N>
[[nodiscard]] std::optional<ByteArray<N>> array_from_hex(std::string_view hex) {
  const auto bytes = from_hex(hex);
  if (!bytes) return std::nullopt;
  return to_array<N>(*bytes);
}

[[nodiscard]] inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline void append(Bytes& out, ByteSpan more) {
  out.insert(out.end(), more.begin(), more.end());
}

}  // namespace roulette
