// See fees.h: BIP 141 weights counted field by field, without building the transaction.
#include "common/bitcoin/fees.h"

#include "common/bitcoin/encoding.h"

namespace roulette::bitcoin {
namespace {

constexpr std::int64_t kBaseWeight = 4 * (4 + 4) + 2;    // version, locktime; marker and flag
constexpr std::int64_t kInputWeight = 4 * (36 + 1 + 4);  // outpoint, empty script, sequence

std::int64_t compact_weight(std::size_t n) {
  return 4 * static_cast<std::int64_t>(compact_size_bytes(n));
}

}  // namespace

std::int64_t witness_spend_weight(std::size_t inputs, std::span<const TxOut> outputs,
                                  std::size_t witness_bytes) {
  std::int64_t weight = kBaseWeight + compact_weight(inputs) + compact_weight(outputs.size());
  weight += static_cast<std::int64_t>(inputs) *
            (kInputWeight + static_cast<std::int64_t>(witness_bytes));
  for (const TxOut& output : outputs) {
    weight += 4 * 8 + compact_weight(output.script.size()) +
              4 * static_cast<std::int64_t>(output.script.size());
  }
  return weight;
}

std::optional<std::int64_t> fee_sat(FeeRate rate, std::int64_t vsize) {
  if (rate.sat_per_kvb < 0 || vsize < 0) return std::nullopt;
  // Also what keeps the product far from overflowing.
  if (vsize > 0 && rate.sat_per_kvb > 1000 * kMaxMoneySat / vsize) return std::nullopt;
  return (rate.sat_per_kvb * vsize + 999) / 1000;
}

}  // namespace roulette::bitcoin
