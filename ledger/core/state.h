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

// For exports, checkers and tests.
struct Reservation {
  bitcoin::OutPoint outpoint;
  WithdrawalId withdrawal;
  friend bool operator==(const Reservation&, const Reservation&) = default;
};
struct CoinView {
  bitcoin::OutPoint outpoint;
  std::int64_t amount_sat = 0;
  bool change = false;                      // ours; else a deposit
  std::uint32_t height = 0;                 // 0: its transaction is not in the active chain now
  bool selectable = false;                  // free, mature and in the active chain
};

struct Books;                               // books.h, private to this folder

// What each command does in each state; everything not named is Ignored, and before Genesis
// everything but a valid Genesis is.
//
//   command            requested      planned          signed       broadcast     confirmed       settled
//   Withdraw (key)     Duplicate with the same payload, KeyConflict with another, in every state and
//                      behind EndOfRun; a new key is requested (and planned at once if coins
//                      suffice and nobody waits), Rejected for ever, or Closed behind EndOfRun
//   (coins appear)     -> planned     (first in, first out: a withdrawal without coins holds up all later ones)
//   Signed             Invalid        -> signed        Ignored      Ignored       Ignored (1)     Ignored (1)
//   Broadcast          Invalid        Ignored          -> broadcast Ignored       Ignored         Ignored
//   BlockConnected
//     with its txid    impossible     -> confirmed (1) -> confirmed -> confirmed  impossible      impossible
//     at settle depth                                                             -> settled
//   BlockDisconnected
//     of its block                                                                -> broadcast    -> broadcast
//     of one above                                                                stays           -> confirmed
//   rejected: final, nothing moves it.
//
// (1) A planned withdrawal found in a block was signed by a quorum whose bytes never reached the
// ledger: reported in the outcome, paid like any other, and back to planned if its block goes. Valid
// Signed bytes are still taken then (Applied) so that it can be sent again.
// Postings for a settlement or a deposit are made once and stay when blocks are un-mined.
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
  [[nodiscard]] std::vector<wire::WithdrawalView> all() const;          // oldest first, rejected ones too
  [[nodiscard]] std::vector<Reservation> reservations() const;          // by outpoint; it only grows
  [[nodiscard]] std::vector<CoinView> coins() const;                    // by outpoint
  [[nodiscard]] std::vector<wire::JournalHead> journal_heads() const;   // the longest seen, by signer
  [[nodiscard]] const std::optional<wire::Genesis>& genesis() const;
  [[nodiscard]] std::uint64_t refused_after_end() const;                // new keys behind EndOfRun
  [[nodiscard]] wire::ChainTip tip() const;
  [[nodiscard]] bool closed() const;
  [[nodiscard]] std::size_t withdrawals() const;
  // SHA-256 over the canonical form of the whole state. Checkpoint commands do not change it. Costs about a
  // millisecond per thousand withdrawals: taken at checkpoint indices and at EndOfRun, not at every entry.
  [[nodiscard]] Hash32 digest() const;

 private:
  std::unique_ptr<Books> books_;
};

}  // namespace roulette::ledger
