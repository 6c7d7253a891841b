// A byte string of at most N bytes, by value: what belongs to a signing scheme has the scheme's
// size, which is known only when it runs.
//
// Invariant: what stands behind size() is zero, so equal strings are equal objects. Longer input is
// refused by from(), never cut. Nothing secret is stored here: see secret.h.
#pragma once

#include <algorithm>
#include <compare>
#include <optional>

#include "common/base/bytes.h"

namespace roulette {

template <std::size_t N>
class BoundedBytes {
 public:
  static constexpr std::size_t kMostBytes = N;
  static_assert(N < 256);

  constexpr BoundedBytes() = default;
  template <std::size_t M>
  constexpr BoundedBytes(const ByteArray<M>& bytes)  // NOLINT: an array that fits is one
    requires(M <= N)
      : size_(M) {
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
  }
  // Nothing for more than N bytes.
  [[nodiscard]] static std::optional<BoundedBytes> from(ByteSpan bytes) {
    if (bytes.size() > N) return std::nullopt;
    BoundedBytes out;
    out.size_ = static_cast<std::uint8_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), out.bytes_.begin());
    return out;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] std::uint8_t* data() { return bytes_.data(); }
  [[nodiscard]] const std::uint8_t* begin() const { return data(); }
  [[nodiscard]] const std::uint8_t* end() const { return data() + size_; }
  [[nodiscard]] std::uint8_t* begin() { return data(); }
  [[nodiscard]] std::uint8_t* end() { return data() + size_; }
  [[nodiscard]] std::uint8_t& operator[](std::size_t i) { return bytes_[i]; }
  [[nodiscard]] std::uint8_t operator[](std::size_t i) const { return bytes_[i]; }

  friend bool operator==(const BoundedBytes&, const BoundedBytes&) = default;
  friend auto operator<=>(const BoundedBytes&, const BoundedBytes&) = default;

 private:
  std::array<std::uint8_t, N> bytes_{};
  std::uint8_t size_ = 0;
};

}  // namespace roulette
