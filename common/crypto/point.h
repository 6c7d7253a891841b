// A parsed curve point, as libsecp256k1 keeps it: 64 opaque bytes. Parsing costs a square root, so
// points stay parsed.
//
// Invariant: a Point is on the curve and not the identity (the library has no identity;
// std::optional<Point> says it). All functions here are for public values: the library's point
// multiplication is variable time.
#pragma once

#include <optional>
#include <span>

#include "common/base/bytes.h"
#include "common/crypto/schnorr.h"

namespace roulette::crypto {

class Point {
 public:
  [[nodiscard]] static std::optional<Point> parse(const PubKey33& bytes);
  [[nodiscard]] PubKey33 serialize() const;
  [[nodiscard]] bool odd() const;  // y is odd
  [[nodiscard]] XOnly x() const;
  [[nodiscard]] bool operator==(const Point& other) const;

  // libsecp256k1's secp256k1_pubkey; only point.cpp and its friends in this folder look inside.
  ByteArray<64> opaque{};
};

[[nodiscard]] const Point& generator();
[[nodiscard]] Point negate(const Point& point);
// Identity is nullopt, also for an empty list.
[[nodiscard]] std::optional<Point> sum(std::span<const Point> points);
[[nodiscard]] std::optional<Point> sum(const std::optional<Point>& a,
                                       const std::optional<Point>& b);
// k * point, and k * G for a public k below the order.
[[nodiscard]] std::optional<Point> multiply(const ByteArray<32>& k, const Point& point);
[[nodiscard]] std::optional<Point> multiply_generator(const ByteArray<32>& k);
// schnorr_verify under x(key) without the square root of parsing it.
[[nodiscard]] bool schnorr_verify_parsed(const Point& key, ByteSpan message,
                                         const Signature& signature);
// a * point + b * G in one pass.
[[nodiscard]] std::optional<Point> multiply_add(const ByteArray<32>& a, const Point& point,
                                                const ByteArray<32>& b);

}  // namespace roulette::crypto
