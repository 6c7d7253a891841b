// Instants and durations as the machines see them: microseconds, handed in by the host, never read
// from a clock here.
#pragma once

#include <compare>
#include <cstdint>

namespace roulette {

struct Duration {
  std::int64_t us = 0;
  friend constexpr auto operator<=>(const Duration&, const Duration&) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.us + b.us}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.us - b.us}; }
  friend constexpr Duration operator*(Duration a, std::int64_t k) { return {a.us * k}; }
};

constexpr Duration microseconds(std::int64_t us) {
  return {us};
}
constexpr Duration milliseconds(std::int64_t ms) {
  return {ms * 1000};
}
constexpr Duration seconds(std::int64_t s) {
  return {s * 1000000};
}

// Monotonic; the origin is the host's (CLOCK_MONOTONIC live, 0 at the start of a simulation).
struct Instant {
  std::int64_t us = 0;
  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  friend constexpr Instant operator+(Instant t, Duration d) { return {t.us + d.us}; }
  friend constexpr Instant operator-(Instant t, Duration d) { return {t.us - d.us}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return {a.us - b.us}; }
};

}  // namespace roulette
