// Points through libsecp256k1's public API, the identity as std::nullopt.
//
// Invariant: variable time throughout; no function here is called with a secret scalar
// (declassified results only).
#include "common/crypto/point.h"

#include <secp256k1_recovery.h>

#include <algorithm>
#include <vector>

#include "common/base/assert.h"
#include "common/crypto/scalar.h"
#include "common/crypto/secp.h"

namespace roulette::crypto {

std::optional<Point> Point::parse(const PubKey33& bytes) {
  Point out;
  if (secp256k1_ec_pubkey_parse(context(), raw(out), bytes.data(), bytes.size()) != 1) {
    return std::nullopt;
  }
  return out;
}

PubKey33 Point::serialize() const {
  PubKey33 out{};
  std::size_t size = out.size();
  ROULETTE_ASSERT(secp256k1_ec_pubkey_serialize(context(), out.data(), &size, raw(*this),
                                                SECP256K1_EC_COMPRESSED) == 1);
  return out;
}

bool Point::odd() const { return serialize()[0] == 3; }

XOnly Point::x() const { return xonly(serialize()); }

bool Point::operator==(const Point& other) const {
  return secp256k1_ec_pubkey_cmp(context(), raw(*this), raw(other)) == 0;
}

const Point& generator() {
  static const Point g = multiply_generator(scalar_from(1)).value();
  return g;
}

Point negate(const Point& point) {
  Point out = point;
  ROULETTE_ASSERT(secp256k1_ec_pubkey_negate(context(), raw(out)) == 1);
  return out;
}

std::optional<Point> sum(std::span<const Point> points) {
  if (points.empty()) return std::nullopt;
  std::vector<const secp256k1_pubkey*> raws;
  raws.reserve(points.size());
  for (const Point& point : points) raws.push_back(raw(point));
  Point out;
  // Fails only where the sum is the identity.
  if (secp256k1_ec_pubkey_combine(context(), raw(out), raws.data(), raws.size()) != 1) {
    return std::nullopt;
  }
  return out;
}

std::optional<Point> sum(const std::optional<Point>& a, const std::optional<Point>& b) {
  if (!a) return b;
  if (!b) return a;
  const secp256k1_pubkey* const raws[] = {raw(*a), raw(*b)};
  Point out;
  if (secp256k1_ec_pubkey_combine(context(), raw(out), raws, 2) != 1) return std::nullopt;
  return out;
}

std::optional<Point> multiply(const Scalar& k, const Point& point) {
  if (is_zero(k)) return std::nullopt;
  Point out = point;
  ROULETTE_ASSERT(secp256k1_ec_pubkey_tweak_mul(context(), raw(out), k.data()) == 1);
  return out;
}

std::optional<Point> multiply_generator(const Scalar& k) {
  if (is_zero(k)) return std::nullopt;
  Point out;
  ROULETTE_ASSERT(secp256k1_ec_pubkey_create(context(), raw(out), k.data()) == 1);
  return out;
}

// ECDSA public key recovery computes r^-1 (s R - m G) in one double multiplication. With r = x(P),
// R = P, s = a r and m = -b r that is a P + b G. Its answer is checked by nobody else, so every
// precondition is tested here: r below the order, s not zero. It also fails where the result is the
// identity; the two-step way then tells which it was.
std::optional<Point> multiply_add(const Scalar& a, const Point& point, const Scalar& b) {
  const PubKey33 bytes = point.serialize();
  const Scalar r = xonly(bytes);
  if (!is_zero(a) && in_range(r)) {
    const Scalar s = mul(a, r);
    const Scalar m = negate(mul(b, r));
    ByteArray<64> compact{};
    std::copy(r.begin(), r.end(), compact.begin());
    std::copy(s.begin(), s.end(), compact.begin() + 32);
    secp256k1_ecdsa_recoverable_signature signature;
    Point out;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(context(), &signature, compact.data(),
                                                            bytes[0] == 3 ? 1 : 0) == 1 &&
        secp256k1_ecdsa_recover(context(), raw(out), &signature, m.data()) == 1) {
      return out;
    }
  }
  return sum(multiply(a, point), multiply_generator(b));
}

}  // namespace roulette::crypto
