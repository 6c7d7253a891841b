// Lists that are read page by page: what is asked of a ledger, and what it answers.
//
// Invariant: a page is bounded in items and in what is looked at for it, so that no list holds up
// the log. Positions hold still while others append: withdrawals are numbered in the order of their
// acceptance, deposits stand by outpoint. Plain values, no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/bitcoin/transaction.h"
#include "common/wire/withdrawal.h"

namespace roulette::limits {

inline constexpr std::size_t kMaxPageItems = 100;
inline constexpr std::size_t kMaxPageScan = 10'000;      // looked at for one page, then it ends
inline constexpr std::size_t kMaxPageBytes = 512 << 10;  // of what varies in size: fits a frame
inline constexpr std::size_t kMaxEventsKept = 64;        // of one withdrawal, the newest

}  // namespace roulette::limits

namespace roulette::wire {

enum class PageKind : std::uint8_t { Accounts = 1, Withdrawals = 2, Deposits = 3, Entries = 4 };

// Where a page begins. Withdrawals: at `ordinal`. Deposits: behind `deposit`. Entries: deposits
// first, then holds; behind `deposit` while `ordinal` is 0, else at hold `ordinal` - 1.
struct PageFrom {
  std::uint64_t ordinal = 0;
  std::optional<bitcoin::OutPoint> deposit;
  friend bool operator==(const PageFrom&, const PageFrom&) = default;
};

struct QueryPage {
  PageKind kind = PageKind::Accounts;
  std::vector<std::string> accounts;  // only theirs; none named: everybody's. Entries: exactly one
  std::optional<WithdrawalState> state;           // of withdrawals
  std::optional<std::int64_t> requested_after_us;  // of withdrawals; the moment itself is out
  std::optional<std::int64_t> requested_before_us;
  PageFrom from;
  std::uint32_t limit = 0;  // at most limits::kMaxPageItems; accounts come all at once
  friend bool operator==(const QueryPage&, const QueryPage&) = default;
};

struct AccountView {
  std::string name;
  std::int64_t available_sat = 0;
  std::int64_t pending_sat = 0;  // held for withdrawals whose settlement is not in the books yet
  friend bool operator==(const AccountView&, const AccountView&) = default;
};

// An output to the wallet that is nobody's change.
struct DepositView {
  bitcoin::OutPoint outpoint;
  std::int64_t amount_sat = 0;
  std::string account;
  bool coinbase = false;
  bool credited = false;     // in the books, for ever
  std::uint32_t height = 0;  // 0: its transaction is not in the active chain now
  std::uint32_t depth = 0;   // 1 in the tip's own block
  friend bool operator==(const DepositView&, const DepositView&) = default;
};

// What moved a customer's balance: exactly one of `deposit` and `withdrawal` is set.
struct EntryView {
  std::int64_t amount_sat = 0;  // a credit is positive; a hold (amount and fee) is negative
  std::optional<bitcoin::OutPoint> deposit;
  std::optional<WithdrawalId> withdrawal;
  friend bool operator==(const EntryView&, const EntryView&) = default;
};

struct Page {
  std::vector<AccountView> accounts;  // Entries: the one asked for; none: it is unknown
  std::vector<WithdrawalView> withdrawals;  // without transaction bytes, signatures and parents
  std::vector<DepositView> deposits;
  std::vector<EntryView> entries;
  std::optional<PageFrom> next;  // nothing: this was the last page
  friend bool operator==(const Page&, const Page&) = default;
};

// The withdrawal reached `state` at a log index.
struct WithdrawalEvent {
  WithdrawalState state = WithdrawalState::Requested;
  bool revoked = false;      // it fell back to `state`: a block was un-mined
  std::uint64_t index = 0;
  std::uint32_t height = 0;  // of its block, else 0
  friend bool operator==(const WithdrawalEvent&, const WithdrawalEvent&) = default;
};

}  // namespace roulette::wire
