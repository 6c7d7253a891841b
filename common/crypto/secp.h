// Internal to common/crypto: libsecp256k1's context and the casts between Point and its types.
//
// Invariant: the only place that says how a Point's 64 bytes are read. Not included by other
// modules.
#pragma once

#include <secp256k1.h>

#include "common/crypto/point.h"

namespace roulette::crypto {

// The process's context; see randomize_context.
[[nodiscard]] const secp256k1_context* context();

static_assert(sizeof(secp256k1_pubkey) == sizeof(Point::opaque));

inline secp256k1_pubkey* raw(Point& point) {
  return reinterpret_cast<secp256k1_pubkey*>(point.opaque.data());
}
inline const secp256k1_pubkey* raw(const Point& point) {
  return reinterpret_cast<const secp256k1_pubkey*>(point.opaque.data());
}

}  // namespace roulette::crypto
