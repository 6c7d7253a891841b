// Internal to common/crypto: numbers modulo the group order, 32 bytes big endian.
//
// Invariant: the functions on Scalar are total for inputs below the order, zero included, and are
// for public values; the arithmetic itself is libsecp256k1's. Secrets go through the library's
// seckey functions at the place of use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/bytes.h"

namespace roulette::crypto {

using Scalar = ByteArray<32>;

[[nodiscard]] bool is_zero(const Scalar& a);
// Below the order; zero is in range.
[[nodiscard]] bool in_range(const Scalar& a);
[[nodiscard]] Scalar scalar_from(std::uint64_t value);
[[nodiscard]] Scalar add(const Scalar& a, const Scalar& b);
[[nodiscard]] Scalar mul(const Scalar& a, const Scalar& b);
[[nodiscard]] Scalar negate(const Scalar& a);

// value mod order by one subtraction without branches: 2^256 < 2 * order. Fit for secrets.
void reduce_mod_order(std::span<std::uint8_t, 32> value) noexcept;

// Participant points are 1..128 and 0 is the key's, so every denominator is a small integer with a
// tabled inverse.
inline constexpr std::uint32_t kMaxEvaluationPoint = 256;
// The Lagrange coefficient at `x` (0..256) of the point xs[i], among the distinct points `xs` (each
// 1..256). Cheap enough to be asked for where it is used: a signer needs one of a set's 67.
[[nodiscard]] Scalar lagrange_at(std::uint32_t x, std::span<const std::uint32_t> xs, std::size_t i);

}  // namespace roulette::crypto
