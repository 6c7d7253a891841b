// The books: keys, withdrawals, coins, reservations, accounts, chain tip, journal heads. apply() is the only way in.
//
// Invariants: apply is a function of (state, command): same commands, same digest, on every replica. An outpoint once
// reserved never becomes free. Every posting moves an amount from one account to another, so the books sum to zero by
// construction. Deliberately no I/O, no time and no randomness: they come inside commands.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/wire/commands.h"
#include "common/wire/messages.h"
#include "common/wire/withdrawal.h"

namespace roulette::ledger {

// Double entry: `amount_sat` > 0 leaves `credit`'s side and arrives at `debit`'s. Accounts: "customer:NAME", "pending",
// "fees" (credit-normal), "wallet" (debit-normal), "outside" (clearing: zero when nothing is in flight).
//   deposit settled        D wallet            C customer:NAME   amount
//   withdrawal accepted    D customer:NAME     C pending         amount + withdrawal fee
//   withdrawal settled     D pending           C outside         amount
//                          D pending           C fees            withdrawal fee
//                          D outside           C wallet          amount
//                          D fees              C wallet          network fee
struct Posting {
  std::string debit;
  std::string credit;
  std::int64_t amount_sat = 0;
  std::string reason;                       // "deposit", "hold", "payment", "fee", "network-fee"
  std::string reference;                    // withdrawal id (hex) or outpoint
  friend bool operator==(const Posting&, const Posting&) = default;
};

// What one command did.
struct Applied {
  wire::Outcome outcome;
  std::vector<WithdrawalId> changed;        // in the order they changed; no repeats
  std::vector<Posting> postings;
};

class State {
 public:
  State();
  State(State&&) noexcept;
  State& operator=(State&&) noexcept;
  ~State();

  [[nodiscard]] Applied apply(const wire::Command& command);

  [[nodiscard]] std::optional<wire::WithdrawalView> by_id(const WithdrawalId& id) const;
  [[nodiscard]] std::optional<wire::WithdrawalView> by_key(const std::string& key) const;
  [[nodiscard]] std::vector<wire::WithdrawalView> unfinished() const;   // neither settled nor rejected, oldest first
  [[nodiscard]] std::vector<wire::Balance> balances() const;            // sorted by account
  [[nodiscard]] wire::ChainTip tip() const;
  [[nodiscard]] bool closed() const;
  [[nodiscard]] std::size_t withdrawals() const;
  // SHA-256 over the canonical form of the whole state. Checkpoint commands do not change it.
  [[nodiscard]] Hash32 digest() const;

 private:
  struct Books;
  std::unique_ptr<Books> books_;
};

}  // namespace roulette::ledger
