// The books: keys, withdrawals, coins, reservations, accounts, chain tip, journal heads. apply() is
// the only way in.
//
// Invariants: apply is a function of (state, command): same commands, same digest, on every
// replica. An outpoint once reserved never becomes free. Every posting moves an amount from one
// account to another, so the books sum to zero by construction. Deliberately no I/O, no time and no
// randomness: they come inside commands.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/crypto/scheme.h"
#include "common/wire/commands.h"
#include "common/wire/messages.h"
#include "common/wire/withdrawal.h"

namespace roulette::ledger {

// Double entry: `amount_sat` > 0 leaves `credit`'s side and arrives at `debit`'s. Accounts:
// "customer:NAME", "pending", "fees" (credit-normal), "wallet" (debit-normal), "outside" (clearing:
// zero when nothing is in flight).
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
  std::string reason;     // "deposit", "hold", "payment", "fee", "network-fee"
  std::string reference;  // withdrawal id (hex) or outpoint
  friend bool operator==(const Posting&, const Posting&) = default;
};

// What one command did.
struct Applied {
  wire::Outcome outcome;
  std::vector<WithdrawalId> changed;  // in the order they changed; no repeats
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
  bool change = false;       // ours; else a deposit
  std::uint32_t height = 0;  // 0: its transaction is not in the active chain now
  bool selectable = false;   // free, mature and in the active chain
};

struct Books;  // books.h, private to this folder

// What each command does to a withdrawal in each state; what is not named is Ignored. Before
// Genesis everything but a valid Genesis is.
//
// clang-format off
//   Withdraw, key known    Duplicate (same payload) or KeyConflict: in every state, also closed
//   Withdraw, new key      requested, and planned at once if coins suffice and nobody waits;
//                          or Rejected for ever; or Closed behind EndOfRun
//   coins appear           requested -> planned, first in, first out: one that finds no coins holds
//                          up all later ones, however small
//   Signed                 planned -> signed; requested, rejected: Invalid; later: Ignored (1)
//   Broadcast              signed -> broadcast; requested, rejected: Invalid; later: Ignored
//   BlockConnected         planned (1), signed, broadcast -> confirmed (its txid is in the block);
//                          confirmed -> settled (its block is now settle_depth deep)
//   BlockDisconnected      confirmed, settled -> broadcast (1) (its own block went);
//                          settled -> confirmed (its block is less than settle_depth deep now)
//   rejected               final: nothing moves it
// clang-format on
//
// (1) A planned withdrawal found in a block was signed by a quorum whose bytes never reached the
// ledger: reported in the outcome, paid like any other, and back to planned if its block goes.
// Valid Signed bytes are still taken while it is confirmed (Applied), so that it can be sent again.
// Postings for a settlement or a deposit are made once and stay when blocks are un-mined.
class State {
 public:
  // Signatures are verified as the genesis says (crypto::scheme_of). A `verifier` of the same form
  // may stand in for that; it outlives the state.
  explicit State(const crypto::Scheme* verifier = nullptr);
  State(State&&) noexcept;
  State& operator=(State&&) noexcept;
  ~State();

  [[nodiscard]] Applied apply(const wire::Command& command);

  [[nodiscard]] std::optional<wire::WithdrawalView> by_id(const WithdrawalId& id) const;
  [[nodiscard]] std::optional<wire::WithdrawalView> by_key(const std::string& key) const;
  // Neither settled nor rejected, oldest first.
  [[nodiscard]] std::vector<wire::WithdrawalView> unfinished() const;
  [[nodiscard]] std::vector<wire::Balance> balances() const;    // sorted by account
  [[nodiscard]] wire::Page page(const wire::QueryPage& query) const;  // pages.cpp
  [[nodiscard]] std::vector<wire::WithdrawalView> all() const;  // oldest first, rejected ones too
  [[nodiscard]] std::vector<Reservation> reservations() const;  // by outpoint; it only grows
  [[nodiscard]] std::vector<CoinView> coins() const;            // by outpoint
  // The longest seen of the newest share epoch, by signer.
  [[nodiscard]] std::vector<wire::JournalHead> journal_heads() const;
  [[nodiscard]] const std::optional<wire::Genesis>& genesis() const;
  [[nodiscard]] std::uint64_t refused_after_end() const;  // new keys behind EndOfRun
  [[nodiscard]] wire::ChainTip tip() const;
  [[nodiscard]] bool closed() const;
  [[nodiscard]] std::size_t withdrawals() const;
  // SHA-256 over the canonical form of the whole state. Checkpoint commands do not change it. Costs
  // about a millisecond per thousand withdrawals: taken at checkpoint indices and at EndOfRun, not
  // at every entry.
  [[nodiscard]] Hash32 digest() const;

  // Everything that apply depends on, and all that the questions above answer: what a snapshot
  // holds (books_codec.cpp). A state has one encoding, and decode accepts no other spelling of it:
  // decode(encode(x)) goes on as x would. Costs about as much as the digest.
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static Result<State> decode(ByteSpan bytes,
                                            const crypto::Scheme* verifier = nullptr);

 private:
  std::unique_ptr<Books> books_;
};

}  // namespace roulette::ledger
