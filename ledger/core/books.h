// What State holds, and the two jobs that work on it: choosing coins and following the chain.
//
// Invariants: `selectable` holds exactly the coins that are unreserved, in the active chain and
// mature; `reserved` only grows; a withdrawal's state is a function of its facts (refresh()).
// Private to ledger/core: everybody else sees state.h.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/canonical.h"
#include "ledger/core/state.h"

namespace roulette::ledger {

// A withdrawal's number: the order of acceptance, from 0.
using Ordinal = std::size_t;

struct Withdrawal {
  wire::WithdrawalView view;                // `parents` stays empty here: see Books::view_of
  std::vector<bitcoin::OutPoint> inputs;    // of the template, ascending
  std::optional<bitcoin::OutPoint> change;  // the template's change output
  std::int64_t change_sat = 0;
  bool broadcast = false;  // the node had it, or a block did
  bool paid = false;       // the settlement is in the books: once, for ever
  Hash32 request_hash{};   // over the fields that never change
  Hash32 signed_hash{};
};

// An output that pays the wallet's script. Coins never leave this table.
struct Coin {
  std::int64_t amount_sat = 0;
  bool coinbase = false;
  bool credited = false;           // a deposit is credited once, for ever
  std::optional<Ordinal> creator;  // our change; nothing: a deposit
  std::uint32_t height = 0;        // 0: its transaction is not in the active chain now
};

// What one block of the active chain did to us.
struct Block {
  Hash32 hash{};
  std::vector<Ordinal> withdrawals;
  std::vector<bitcoin::OutPoint> coins;
};

struct Books {
  explicit Books(const crypto::Scheme* by) : verifier(by) {}

  // No part of the state: the same on every replica. Null until the genesis says which, unless one
  // was given.
  const crypto::Scheme* verifier;
  std::optional<wire::Genesis> genesis;
  std::vector<Withdrawal> withdrawals;
  std::map<std::string, Ordinal> by_key;
  std::map<WithdrawalId, Ordinal> by_id;
  std::map<Hash32, Ordinal> by_txid;
  std::set<Ordinal> waiting;     // requested, without coins: served first in, first out
  std::set<Ordinal> unfinished;  // neither settled nor rejected
  std::map<bitcoin::OutPoint, Coin> coins;
  std::set<std::pair<std::int64_t, bitcoin::OutPoint>> selectable;  // by amount, then outpoint
  std::map<bitcoin::OutPoint, Ordinal> reserved;
  std::vector<Block> chain;  // by height; chain[0] is the anchor
  std::map<std::string, std::int64_t> balances;
  std::map<SignerId, wire::JournalHead> journals;
  bool closed = false;
  std::uint64_t refused_after_end = 0;

  [[nodiscard]] std::uint32_t tip_height() const {
    return static_cast<std::uint32_t>(chain.size() - 1);
  }
  // 1 for the tip's own block; 0 for what is not in the active chain.
  [[nodiscard]] std::uint32_t depth(std::uint32_t height) const {
    return height == 0 ? 0 : tip_height() - height + 1;
  }
  [[nodiscard]] std::uint32_t maturity(const Coin& coin) const;
  [[nodiscard]] bool settled(Ordinal ordinal) const;
  // The view with its parents as they are now.
  [[nodiscard]] wire::WithdrawalView view_of(Ordinal ordinal) const;
  // Puts the coin into `selectable` or takes it out, as its facts say now.
  void refresh_coin(const bitcoin::OutPoint& outpoint);
};

// Collects what one command changes while it is applied.
class Change {
 public:
  explicit Change(Books& books) : books_(books) {}

  // Recomputes the withdrawal's state from its facts and notes it as changed.
  void refresh(Ordinal ordinal);
  // Notes the withdrawal as changed, once.
  void touch(Ordinal ordinal);
  void post(const std::string& debit, const std::string& credit, std::int64_t amount_sat,
            const char* reason, const std::string& reference);
  [[nodiscard]] Applied finish(wire::Outcome outcome);

 private:
  Books& books_;
  std::set<Ordinal> seen_;
  std::vector<WithdrawalId> changed_;
  std::vector<Posting> postings_;
};

[[nodiscard]] std::string customer_account(const std::string& name);
[[nodiscard]] std::string reference_of(const WithdrawalId& id);

// ---- coins.cpp ----
struct CoinChoice {
  std::vector<bitcoin::OutPoint> inputs;  // ascending
  std::int64_t fee_sat = 0;
  std::int64_t change_sat = 0;  // 0: no change output
};
[[nodiscard]] std::optional<CoinChoice> choose_coins(const Books& books, ByteSpan script,
                                                     std::int64_t amount_sat);
// Writes the one template of the withdrawal and reserves its inputs, whose coins held
// `amounts_sat`. None of them may be reserved yet.
void set_template(Books& books, Ordinal ordinal, const CoinChoice& choice,
                  const std::vector<std::int64_t>& amounts_sat);
// Plans waiting withdrawals first in, first out, and stops at the first that finds no coins: a
// later, smaller one never overtakes it.
void plan_waiting(Books& books, Change& change);

// ---- chain.cpp ----
[[nodiscard]] Applied connect_block(Books& books, const wire::BlockConnected& block);
[[nodiscard]] Applied disconnect_block(Books& books, const wire::BlockDisconnected& block);

// ---- state.cpp ----
// What the withdrawal's facts say its state is.
[[nodiscard]] wire::WithdrawalState state_by_facts(const Books& books,
                                                   const Withdrawal& withdrawal);
// Makes the first entry of the books, or says what is wrong with it.
[[nodiscard]] const char* open_books(Books& books, const wire::Genesis& genesis);

// ---- digest.cpp ----
[[nodiscard]] Hash32 request_hash(const wire::WithdrawalView& view);
[[nodiscard]] Hash32 books_digest(const Books& books);
// Written alike into a digest and into a snapshot.
void write_outpoint(CanonicalWriter& w, const bitcoin::OutPoint& outpoint);
void write_journals(CanonicalWriter& w, const Books& books);

// ---- books_codec.cpp ----
[[nodiscard]] Bytes encode_books(const Books& books);
[[nodiscard]] Result<Books> decode_books(ByteSpan bytes, const crypto::Scheme* verifier);

}  // namespace roulette::ledger
