// Lists of the books, page by page (common/wire/page.h).
//
// Invariant: read only. A page ends at its limit, at limits::kMaxPageScan rows looked at or at
// limits::kMaxPageBytes, whichever comes first, and says where the next begins. An account's
// entries add up to its available balance: deposits credited and holds are all that moves it.
#include <algorithm>

#include "common/base/limits.h"
#include "ledger/core/books.h"

namespace roulette::ledger {
namespace {

using wire::PageFrom;
using wire::QueryPage;

// Rows that a page may still look at.
class Budget {
 public:
  explicit Budget(const QueryPage& query)
      : items_(std::min<std::size_t>(query.limit, limits::kMaxPageItems)) {}
  [[nodiscard]] bool look() { return items_ > 0 && bytes_ > 0 && scan_-- > 0; }
  void take(std::int64_t bytes = 0) {
    --items_;
    bytes_ -= bytes;
  }

 private:
  std::size_t items_;
  std::int64_t scan_ = limits::kMaxPageScan;
  std::int64_t bytes_ = limits::kMaxPageBytes;
};

bool wanted(const QueryPage& query, const std::string& account) {
  return query.accounts.empty() ||
         std::find(query.accounts.begin(), query.accounts.end(), account) != query.accounts.end();
}

std::int64_t held(const Books& books, const Withdrawal& withdrawal) {
  return withdrawal.view.amount_sat + books.genesis->withdrawal_fee_sat;
}

std::vector<wire::AccountView> accounts(const Books& books, const QueryPage& query) {
  std::map<std::string, std::int64_t> pending;
  // What is not settled is not paid; what is paid may have been un-mined since.
  for (const Ordinal ordinal : books.unfinished) {
    const Withdrawal& withdrawal = books.withdrawals[ordinal];
    if (!withdrawal.paid) pending[withdrawal.view.account] += held(books, withdrawal);
  }
  std::vector<wire::AccountView> list;
  for (const std::string& name : books.genesis->accounts) {
    if (wanted(query, name))
      list.push_back({name, books.balances.at(customer_account(name)), pending[name]});
  }
  return list;
}

bool fits(const QueryPage& query, const wire::WithdrawalView& view) {
  return wanted(query, view.account) && (!query.state || *query.state == view.state) &&
         (!query.requested_after_us || view.requested_at_us > *query.requested_after_us) &&
         (!query.requested_before_us || view.requested_at_us < *query.requested_before_us);
}

void list_withdrawals(const Books& books, const QueryPage& query, wire::Page& page) {
  Budget budget(query);
  for (Ordinal i = query.from.ordinal; i < books.withdrawals.size(); ++i) {
    if (!budget.look()) {
      page.next = PageFrom{i, std::nullopt};
      return;
    }
    wire::WithdrawalView view = books.withdrawals[i].view;
    if (!fits(query, view)) continue;
    view.signed_tx.clear();
    view.client.reset();
    if (view.planned) {
      view.planned->unsigned_tx.clear();
      view.planned->prevouts.clear();
    }
    budget.take(static_cast<std::int64_t>(view.script.size()));
    page.withdrawals.push_back(std::move(view));
  }
}

// Calls `take` with each deposit behind `from` until the budget is used up: where to go on then.
template <class Take>
std::optional<bitcoin::OutPoint> each_deposit(const Books& books,
                                              const std::optional<bitcoin::OutPoint>& from,
                                              Budget& budget, Take take) {
  auto at = from ? books.coins.upper_bound(*from) : books.coins.begin();
  std::optional<bitcoin::OutPoint> last = from;
  for (; at != books.coins.end(); ++at) {
    if (!budget.look()) return last ? *last : bitcoin::OutPoint{};
    last = at->first;
    if (at->second.creator) continue;  // our change
    const auto& names = books.genesis->accounts;
    take(at->first, at->second, names[at->first.vout % names.size()]);
  }
  return std::nullopt;
}

void list_deposits(const Books& books, const QueryPage& query, wire::Page& page) {
  Budget budget(query);
  const auto next = each_deposit(
      books, query.from.deposit, budget,
      [&](const bitcoin::OutPoint& outpoint, const Coin& coin, const std::string& account) {
        if (!wanted(query, account)) return;
        budget.take();
        page.deposits.push_back({outpoint, coin.amount_sat, account, coin.coinbase, coin.credited,
                                 coin.height, books.depth(coin.height)});
      });
  if (next) page.next = PageFrom{0, next};
}

void list_entries(const Books& books, const QueryPage& query, wire::Page& page) {
  Budget budget(query);
  if (query.from.ordinal == 0) {
    const auto next = each_deposit(
        books, query.from.deposit, budget,
        [&](const bitcoin::OutPoint& outpoint, const Coin& coin, const std::string& account) {
          if (!coin.credited || !wanted(query, account)) return;
          budget.take();
          page.entries.push_back({coin.amount_sat, outpoint, std::nullopt});
        });
    if (next) {
      page.next = PageFrom{0, next};
      return;
    }
  }
  const Ordinal first = query.from.ordinal == 0 ? 0 : query.from.ordinal - 1;
  for (Ordinal i = first; i < books.withdrawals.size(); ++i) {
    if (!budget.look()) {
      page.next = PageFrom{i + 1, std::nullopt};
      return;
    }
    const Withdrawal& withdrawal = books.withdrawals[i];
    const wire::WithdrawalView& view = withdrawal.view;
    if (view.reject != wire::RejectReason::None || !wanted(query, view.account)) continue;
    budget.take();
    page.entries.push_back({-held(books, withdrawal), std::nullopt, view.id});
  }
}

}  // namespace

wire::Page State::page(const QueryPage& query) const {
  wire::Page page;
  if (!books_->genesis) return page;
  switch (query.kind) {
    case wire::PageKind::Accounts: page.accounts = accounts(*books_, query); break;
    case wire::PageKind::Withdrawals: list_withdrawals(*books_, query, page); break;
    case wire::PageKind::Deposits: list_deposits(*books_, query, page); break;
    case wire::PageKind::Entries:
      if (query.accounts.size() != 1) break;  // whose entries they are must be said
      page.accounts = accounts(*books_, query);
      if (!page.accounts.empty()) list_entries(*books_, query, page);
      break;
  }
  return page;
}

}  // namespace roulette::ledger
