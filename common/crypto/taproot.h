// BIP 341 output keys: the tweak that commits to a script tree, or to none (BIP 86).
//
// Invariant: output = internal + tweak * G with tweak = H("TapTweak", internal || root), never
// infinity. Addresses and scripts are common/bitcoin's; the same tweak applied to key shares is
// frost.h's TweakContext.
#pragma once

#include <optional>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/schnorr.h"

namespace roulette::crypto {

struct TaprootOutput {
  Hash32 tweak{};           // the scalar, big endian
  XOnly key{};              // what stands in the scriptPubKey: 51 20 <key>
  bool odd_parity = false;  // y of internal + tweak * G is odd (a control block wants it)
};

// The scalar H("TapTweak", internal || root); no root = empty script tree. Refuses the
// (unreachable) hash >= order.
[[nodiscard]] Result<Hash32> taptweak(const XOnly& internal, const std::optional<Hash32>& root);
// Refuses an internal key that is on no point.
[[nodiscard]] Result<TaprootOutput> output_key(const XOnly& internal,
                                               const std::optional<Hash32>& root = std::nullopt);
// The secret key of output_key(xonly(public_key(key)), root): for the `single` scheme and the
// vectors.
[[nodiscard]] Result<Secret<32>> output_secret(const Secret<32>& key,
                                               const std::optional<Hash32>& root = std::nullopt);

}  // namespace roulette::crypto
