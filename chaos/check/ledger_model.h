// The ordered log read again by the checker: what each command must have done by DESIGN 7 and 8,
// from the entries alone.
//
// Invariant: it follows the rules of the design, not the ledger's code: a block fits the tip or is
// ignored, states follow from facts (bytes, broadcast, height). Coin selection is not repeated
// here: `requested` and `planned` are one state to it, and templates come from the rows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "chaos/check/history.h"

namespace roulette::check {

// From this command on (counted over the whole log from 1) the withdrawal was in `state`.
struct ModelStep {
  std::uint64_t position = 0;
  std::string state;  // "planned" stands for requested or planned
};

struct ModelWithdrawal {
  const LedgerCommand* withdraw = nullptr;
  std::string txid;                          // of its row
  const LedgerCommand* signed_by = nullptr;  // the first applied Signed
  bool rejected = false, broadcast = false;
  std::uint32_t height = 0;
  std::vector<ModelStep> steps;
  [[nodiscard]] const std::string& state() const { return steps.back().state; }
};

struct ModelDefect {
  At at;
  std::string what;
};
struct ModelTip {
  std::string hash;
  std::uint32_t height = 0;
};

struct LedgerModel {
  std::map<std::string, ModelWithdrawal> withdrawals;  // by id
  std::map<std::string, std::string> by_key;           // key -> id
  std::vector<std::string> chain;                      // hashes; chain[0] is the anchor
  std::uint32_t anchor_height = 0;
  std::map<std::uint64_t, ModelTip> tip_at;  // after the entry of this index
  std::vector<ModelDefect> defects;          // outcomes the rules do not allow
  std::uint64_t unmined_payment_blocks = 0;  // BlockDisconnected whose block held a payment
  std::uint64_t withdrawals_after_end = 0;
  bool closed = false;
  std::uint32_t most_ancestors = 0;  // unsettled own transactions below one when it was signed
  [[nodiscard]] std::uint32_t height() const {
    return anchor_height + static_cast<std::uint32_t>(chain.empty() ? 0 : chain.size() - 1);
  }
};

[[nodiscard]] LedgerModel replay(const Replica& replica, std::uint32_t settle_depth);

}  // namespace roulette::check
