// Arithmetic modulo the group order and points, at the edges that signing never reaches by chance.
#include <catch2/catch.hpp>

#include "common/crypto/point.h"
#include "common/crypto/scalar.h"
#include "tests/unit/crypto_fixture.h"

using namespace roulette;
using namespace roulette::crypto;

namespace {

Scalar hex(std::string_view text) { return array_from_hex<32>(text).value(); }

const Scalar kZero{};
const Scalar kOrder = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
const Scalar kMinusOne = hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140");

Scalar reduced(Scalar value) {
  reduce_mod_order(value);
  return value;
}

}  // namespace

TEST_CASE("reduction subtracts the order once where it fits and else changes nothing", "[crypto]") {
  CHECK(reduced(kZero) == kZero);
  CHECK(reduced(kMinusOne) == kMinusOne);
  CHECK(reduced(kOrder) == kZero);
  CHECK(reduced(hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364146")) ==
        scalar_from(5));
  CHECK(reduced(hex("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")) ==
        hex("000000000000000000000000000000014551231950b75fc4402da1732fc9bebe"));
}

TEST_CASE("scalar arithmetic is total: zero is a value like any other", "[crypto]") {
  CHECK(in_range(kZero));
  CHECK(in_range(kMinusOne));
  CHECK_FALSE(in_range(kOrder));
  CHECK(add(kMinusOne, scalar_from(1)) == kZero);
  CHECK(add(kZero, scalar_from(7)) == scalar_from(7));
  CHECK(add(scalar_from(7), kZero) == scalar_from(7));
  CHECK(mul(kZero, kMinusOne) == kZero);
  CHECK(mul(kMinusOne, kMinusOne) == scalar_from(1));
  CHECK(mul(scalar_from(0x10000), scalar_from(0x10001)) == scalar_from(0x100010000));
  CHECK(negate(kZero) == kZero);
  CHECK(negate(scalar_from(1)) == kMinusOne);
}

TEST_CASE("Lagrange coefficients reproduce a polynomial at any tabled point", "[crypto]") {
  // f(x) = 5 + 3 x + 11 x^2, by its values at three scattered points.
  const auto f = [](std::uint64_t x) { return scalar_from(5 + 3 * x + 11 * x * x); };
  const std::vector<std::uint32_t> xs{128, 1, 57};
  for (const std::uint32_t x : {0U, 1U, 2U, 57U, 100U, 128U, 129U, 256U}) {
    Scalar sum_of_terms{};
    for (std::size_t i = 0; i < xs.size(); ++i) {
      sum_of_terms = add(sum_of_terms, mul(lagrange_at(x, xs, i), f(xs[i])));
    }
    CHECK(sum_of_terms == f(x));
  }
}

TEST_CASE("Lagrange coefficients of as many signers as a group may have are each the quotient",
          "[crypto]") {
  std::vector<std::uint32_t> xs;  // scattered: every third id is away
  for (std::uint32_t x = 1; x <= 128; ++x) {
    if (x % 3 != 0) xs.push_back(x);
  }
  for (std::size_t i = 0; i < xs.size(); ++i) {
    Scalar numerator = scalar_from(1), denominator = scalar_from(1);
    for (const std::uint32_t x : xs) {
      if (x == xs[i]) continue;
      numerator = mul(numerator, negate(scalar_from(x)));
      const Scalar gap = scalar_from(xs[i] > x ? xs[i] - x : x - xs[i]);
      denominator = mul(denominator, xs[i] > x ? gap : negate(gap));
    }
    CHECK(mul(lagrange_at(0, xs, i), denominator) == numerator);
  }
}

TEST_CASE("a P + b G in one pass equals the two multiplications, identity included", "[crypto]") {
  test::SeededEntropy entropy(30);
  for (int i = 0; i < 8; ++i) {
    const Point p = multiply_generator(reduced(sha256(entropy.secret().span()))).value();
    const Scalar a = reduced(sha256(entropy.secret().span()));
    const Scalar b = reduced(sha256(entropy.secret().span()));
    CHECK(multiply_add(a, p, b) == sum(multiply(a, p), multiply_generator(b)));
    CHECK(multiply_add(kZero, p, b) == multiply_generator(b));
    CHECK(multiply_add(a, p, kZero) == multiply(a, p));
    CHECK_FALSE(multiply_add(kZero, p, kZero));
  }
  const Point five = multiply_generator(scalar_from(5)).value();
  CHECK_FALSE(multiply_add(scalar_from(3), five, negate(scalar_from(15))));  // 3 * 5 G - 15 G
  CHECK_FALSE(sum(five, negate(five)));
  CHECK(sum(five, std::nullopt) == five);
}
