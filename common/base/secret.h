// Secret<N>: N secret bytes that cannot be copied, printed or compared, and that are zeroed when
// they go.
//
// Invariant: after a move the source is zero; after destruction the memory is zero
// (explicit_bzero). Moving copies the bytes and zeroes the source. Locking memory against swapping
// is the process's duty (runtime), not this class's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <string.h>

#include "common/base/bytes.h"

namespace roulette {

template <std::size_t N>
class Secret {
 public:
  Secret() noexcept = default;
  explicit Secret(std::span<const std::uint8_t, N> bytes) noexcept {
    memcpy(bytes_.data(), bytes.data(), N);
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept { take(other); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  ~Secret() { wipe(); }

  // A deliberate copy: each call site says why it needs a second one.
  [[nodiscard]] Secret clone() const noexcept {
    return Secret(std::span<const std::uint8_t, N>(bytes_));
  }
  void wipe() noexcept { explicit_bzero(bytes_.data(), N); }

  [[nodiscard]] std::uint8_t* data() noexcept { return bytes_.data(); }
  [[nodiscard]] const std::uint8_t* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] static constexpr std::size_t size() noexcept { return N; }
  [[nodiscard]] std::span<const std::uint8_t, N> span() const noexcept {
    return std::span<const std::uint8_t, N>(bytes_);
  }

 private:
  void take(Secret& other) noexcept {
    memcpy(bytes_.data(), other.bytes_.data(), N);
    other.wipe();
  }
  ByteArray<N> bytes_{};
};

}  // namespace roulette
