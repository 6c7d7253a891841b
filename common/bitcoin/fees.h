// Sizes and fees of transactions before they are signed. A wallet's own witnesses: spend.h.
//
// Invariant: the weight is exactly that of a transaction whose inputs have empty scripts and
// witnesses of the given size; a fee is rounded up, never down.
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

// `witness_bytes`: of each input, its number of items included. Only the outputs' scripts matter.
[[nodiscard]] std::int64_t witness_spend_weight(std::size_t inputs, std::span<const TxOut> outputs,
                                                std::size_t witness_bytes);

// ceil(rate * vsize); nothing when an argument is negative or the fee would exceed kMaxMoneySat.
[[nodiscard]] std::optional<std::int64_t> fee_sat(FeeRate rate, std::int64_t vsize);

}  // namespace roulette::bitcoin
