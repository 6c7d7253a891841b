// Scalars as secret keys of libsecp256k1's public API (it has no scalar type), and Lagrange
// coefficients.
//
// Invariant: zero, which that API refuses, is treated here before and after each call.
#include "common/crypto/scalar.h"

#include <algorithm>
#include <array>

#include <string.h>

#include "common/base/assert.h"
#include "common/crypto/secp.h"

namespace roulette::crypto {
namespace {

constexpr Scalar kOrder = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                           0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                           0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};

// a^(order-2), Fermat's little theorem: the API has no inversion. Used once a process.
Scalar invert(const Scalar& a) {
  Scalar exponent = kOrder;
  exponent[31] = static_cast<std::uint8_t>(exponent[31] - 2);
  Scalar result = scalar_from(1);
  for (const std::uint8_t byte : exponent) {
    for (int bit = 7; bit >= 0; --bit) {
      result = mul(result, result);
      if ((byte >> bit & 1) != 0) result = mul(result, a);
    }
  }
  return result;
}

using InverseTable = std::array<Scalar, kMaxEvaluationPoint + 1>;

// Inverses of 1..256 by Montgomery's trick: one inversion and 3 * 255 multiplications.
InverseTable make_inverses() {
  InverseTable prefix{};
  prefix[0] = scalar_from(1);
  for (std::uint32_t i = 1; i <= kMaxEvaluationPoint; ++i) {
    prefix[i] = mul(prefix[i - 1], scalar_from(i));
  }
  InverseTable inverses{};
  Scalar running = invert(prefix[kMaxEvaluationPoint]);
  for (std::uint32_t i = kMaxEvaluationPoint; i >= 1; --i) {
    inverses[i] = mul(running, prefix[i - 1]);
    running = mul(running, scalar_from(i));
  }
  return inverses;
}

const Scalar& inverse_of(std::uint32_t value) {
  static const InverseTable table = make_inverses();
  return table[value];
}

}  // namespace

bool is_zero(const Scalar& a) {
  return std::all_of(a.begin(), a.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool in_range(const Scalar& a) { return a < kOrder; }

Scalar scalar_from(std::uint64_t value) {
  Scalar out{};
  for (std::size_t i = 0; i < 8; ++i) out[31 - i] = static_cast<std::uint8_t>(value >> (8 * i));
  return out;
}

Scalar add(const Scalar& a, const Scalar& b) {
  if (is_zero(a)) return b;
  if (is_zero(b)) return a;
  Scalar out = a;
  // Both are in range and not zero, so the call fails only where the sum is zero.
  if (secp256k1_ec_seckey_tweak_add(context(), out.data(), b.data()) != 1) return Scalar{};
  return out;
}

Scalar mul(const Scalar& a, const Scalar& b) {
  if (is_zero(a) || is_zero(b)) return Scalar{};
  Scalar out = a;
  ROULETTE_ASSERT(secp256k1_ec_seckey_tweak_mul(context(), out.data(), b.data()) == 1);
  return out;
}

Scalar negate(const Scalar& a) {
  if (is_zero(a)) return a;
  Scalar out = a;
  ROULETTE_ASSERT(secp256k1_ec_seckey_negate(context(), out.data()) == 1);
  return out;
}

void reduce_mod_order(std::span<std::uint8_t, 32> value) noexcept {
  ByteArray<32> difference{};
  std::uint32_t borrow = 0;
  for (std::size_t i = 32; i-- > 0;) {
    const std::uint32_t d = static_cast<std::uint32_t>(value[i]) - kOrder[i] - borrow;
    difference[i] = static_cast<std::uint8_t>(d);
    borrow = d >> 31;
  }
  const auto keep = static_cast<std::uint8_t>(0U - borrow);  // ff: value was below the order
  for (std::size_t i = 0; i < 32; ++i) {
    value[i] = static_cast<std::uint8_t>((value[i] & keep) | (difference[i] & ~keep));
  }
  explicit_bzero(difference.data(), difference.size());
}

// The product of (x - xs[j]) / (xs[i] - xs[j]) over j != i. Numerators and denominators come from
// the same small integers, so most cancel before any arithmetic modulo the order.
Scalar lagrange_at(std::uint32_t x, std::span<const std::uint32_t> xs, std::size_t i) {
  ROULETTE_ASSERT(x <= kMaxEvaluationPoint && i < xs.size());
  std::array<std::int16_t, kMaxEvaluationPoint + 1> power{};  // of each integer in the quotient
  bool negative = false;
  for (std::size_t j = 0; j < xs.size(); ++j) {
    ROULETTE_ASSERT(xs[j] <= kMaxEvaluationPoint && xs[j] > 0);
    if (j == i) continue;
    ROULETTE_ASSERT(xs[i] != xs[j]);
    ++power[x > xs[j] ? x - xs[j] : xs[j] - x];
    --power[xs[i] > xs[j] ? xs[i] - xs[j] : xs[j] - xs[i]];
    negative ^= (x < xs[j]) != (xs[i] < xs[j]);
  }
  if (power[0] != 0) return Scalar{};  // x is another point of xs
  Scalar out = scalar_from(1);
  std::uint64_t pending = 1;  // factors of the numerator, as many as 64 bits hold
  for (std::uint32_t value = 2; value <= kMaxEvaluationPoint; ++value) {
    for (; power[value] > 0; --power[value]) {
      pending *= value;
      if (pending < std::uint64_t{1} << 55) continue;  // another of up to 256 fits
      out = mul(out, scalar_from(pending));
      pending = 1;
    }
    for (; power[value] < 0; ++power[value]) out = mul(out, inverse_of(value));
  }
  if (pending != 1) out = mul(out, scalar_from(pending));
  return negative ? negate(out) : out;
}

}  // namespace roulette::crypto
