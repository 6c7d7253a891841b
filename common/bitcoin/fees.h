// Sizes and fees of the wallet's transactions before they are signed.
//
// Invariant: the estimate equals the signed transaction's size exactly: each input is a P2TR
// key-path spend whose witness is one 64-byte signature (SIGHASH_DEFAULT, no annex).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/bitcoin/transaction.h"

namespace roulette::bitcoin {

// Whole numbers only: a fee is the same on every machine.
struct FeeRate {
  std::int64_t sat_per_kvb = 0;
  friend constexpr auto operator<=>(const FeeRate&, const FeeRate&) = default;
};
constexpr FeeRate sat_per_vbyte(std::int64_t sat) { return {sat * 1000}; }

inline constexpr std::int64_t kMaxStandardWeight = 400'000;  // bitcoind relays nothing heavier

// Of the transaction once each of its `inputs` has its signature. Only the outputs' scripts matter.
[[nodiscard]] std::int64_t key_path_weight(std::size_t inputs, std::span<const TxOut> outputs);
[[nodiscard]] std::int64_t key_path_vsize(std::size_t inputs, std::span<const TxOut> outputs);

// ceil(rate * vsize); nothing when an argument is negative or the fee would exceed kMaxMoneySat.
[[nodiscard]] std::optional<std::int64_t> fee_sat(FeeRate rate, std::int64_t vsize);

}  // namespace roulette::bitcoin
