// Lists of the books page by page, and what a replica remembers of each withdrawal.
//
// Invariant tested: a list read to its end by cursors holds each item that stood there throughout
// exactly once, whoever appends meanwhile; an account's entries add up to its balance.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "ledger/core/history.h"
#include "tests/unit/ledger_story.h"

namespace roulette::ledger {
namespace {

using wire::PageKind;
using wire::QueryPage;
using wire::WithdrawalState;

constexpr std::int64_t kCoin = 1'000'000;
constexpr std::int64_t kEach = 200'000;

QueryPage query_of(PageKind kind, std::uint32_t limit = limits::kMaxPageItems) {
  QueryPage query;
  query.kind = kind;
  query.limit = limit;
  return query;
}

// Every page from the first to the one without `next`; `between` runs after each.
template <class Between>
std::vector<wire::Page> read_all(const Story& story, QueryPage query, Between between) {
  std::vector<wire::Page> pages;
  while (pages.size() < 100) {
    pages.push_back(story.state.page(query));
    between();
    if (!pages.back().next) return pages;
    query.from = *pages.back().next;
  }
  FAIL("the list has no end");
  return pages;
}

std::int64_t sum_of_entries(const Story& story, const std::string& account, std::uint32_t limit) {
  QueryPage query = query_of(PageKind::Entries, limit);
  query.accounts = {account};
  std::int64_t sum = 0;
  for (const wire::Page& page : read_all(story, query, [] {})) {
    CHECK(page.entries.size() <= limit);
    for (const wire::EntryView& entry : page.entries) sum += entry.amount_sat;
  }
  return sum;
}

void fund_two(Story& story) {
  (void)story.deposit(6, kCoin, 1);
  story.mine_empty(static_cast<int>(story.genesis().settle_depth) - 1);
}

TEST_CASE("withdrawals come in the order of acceptance, each once, while others are accepted") {
  Story story;
  fund_two(story);
  for (int i = 0; i < 7; ++i) (void)story.withdraw("k" + std::to_string(i), kEach);
  int more = 0;
  const auto pages = read_all(story, query_of(PageKind::Withdrawals, 3), [&] {
    if (more < 4) (void)story.withdraw("m" + std::to_string(more++), kEach);
  });
  std::vector<std::string> keys;
  for (const wire::Page& page : pages) {
    CHECK(page.withdrawals.size() <= 3);
    for (const wire::WithdrawalView& view : page.withdrawals) {
      keys.push_back(view.key);
      if (view.planned) CHECK(view.planned->unsigned_tx.empty());
    }
  }
  // The third page ends the list; what came after it was not there yet.
  const std::vector<std::string> wanted{"k0", "k1", "k2", "k3", "k4", "k5", "k6", "m0", "m1"};
  CHECK(keys == wanted);
}

TEST_CASE("withdrawals are filtered by account, state and the time of their request") {
  Story story;
  fund_two(story);
  const auto ask = [&](const std::string& key, const std::string& account, std::int64_t at_us) {
    wire::Withdraw command = story.withdraw_command(key, kEach, account);
    command.requested_at_us = at_us;
    (void)story.give(command);
  };
  ask("a1", "alice", 10);
  ask("b2", "bob", 20);
  ask("a3", "alice", 30);
  ask("x4", "nobody", 40);
  const auto keys = [&](auto set) {
    QueryPage query = query_of(PageKind::Withdrawals);
    set(query);
    std::string found;
    for (const auto& view : story.state.page(query).withdrawals) found += view.key;
    return found;
  };
  CHECK(keys([](QueryPage&) {}) == "a1b2a3x4");
  CHECK(keys([](QueryPage& q) { q.accounts = {"alice"}; }) == "a1a3");
  CHECK(keys([](QueryPage& q) { q.accounts = {"bob", "nobody"}; }) == "b2x4");
  CHECK(keys([](QueryPage& q) { q.state = WithdrawalState::Rejected; }) == "x4");
  CHECK(keys([](QueryPage& q) { q.requested_after_us = 20; }) == "a3x4");
  CHECK(keys([](QueryPage& q) { q.requested_before_us = 20; }) == "a1");
}

TEST_CASE("a page ends after kMaxPageScan rows, found or not, and the next one goes on") {
  Story story;
  fund_two(story);
  for (std::size_t i = 0; i < limits::kMaxPageScan + 5; ++i)
    (void)story.withdraw("k" + std::to_string(i), kEach, "nobody");  // rejected, and kept
  (void)story.withdraw("last", kEach);
  QueryPage query = query_of(PageKind::Withdrawals);
  query.accounts = {"alice"};
  const wire::Page first = story.state.page(query);
  CHECK(first.withdrawals.empty());
  REQUIRE(first.next);
  CHECK(first.next->ordinal == limits::kMaxPageScan);
  query.from = *first.next;
  const wire::Page second = story.state.page(query);
  REQUIRE(second.withdrawals.size() == 1);
  CHECK(second.withdrawals[0].key == "last");
  CHECK_FALSE(second.next);
}

TEST_CASE("a deposit is seen, then credited for ever, whatever becomes of its block") {
  Story story;
  const auto only = [&] {
    const wire::Page page = story.state.page(query_of(PageKind::Deposits));
    REQUIRE(page.deposits.size() == 1);
    return page.deposits[0];
  };
  (void)story.deposit(1, kCoin);
  CHECK(only().account == "alice");
  CHECK_FALSE(only().credited);
  CHECK(only().depth == 1);
  (void)story.unmine();
  CHECK_FALSE(only().credited);
  CHECK(only().height == 0);
  story.fund(1, kCoin);
  const wire::Page page = story.state.page(query_of(PageKind::Deposits));
  REQUIRE(page.deposits.size() == 2);
  CHECK(page.deposits[0].credited != page.deposits[1].credited);
  for (int i = 0; i < 3; ++i) (void)story.unmine();
  const auto kept = story.state.page(query_of(PageKind::Deposits)).deposits;
  CHECK(std::count_if(kept.begin(), kept.end(), [](const auto& d) { return d.credited; }) == 1);
}

TEST_CASE("deposits are read by cursor without our own change among them") {
  Story story;
  fund_two(story);
  (void)story.withdraw("k", kEach);
  story.send("k");
  (void)story.mine({story.txid_of("k")});
  std::set<bitcoin::OutPoint> seen;
  std::size_t items = 0;
  for (const wire::Page& page : read_all(story, query_of(PageKind::Deposits, 2), [] {})) {
    for (const wire::DepositView& deposit : page.deposits) seen.insert(deposit.outpoint);
    items += page.deposits.size();
  }
  CHECK(items == 6);
  CHECK(seen.size() == 6);
  QueryPage bobs = query_of(PageKind::Deposits);
  bobs.accounts = {"bob"};
  CHECK(story.state.page(bobs).deposits.size() == 3);
}

TEST_CASE("entries add up to the balance and accounts' pending to the books', page size or not") {
  Story story;
  fund_two(story);
  for (int i = 0; i < 5; ++i)
    (void)story.withdraw("k" + std::to_string(i), kEach, i % 2 == 0 ? "alice" : "bob");
  (void)story.withdraw("never", kEach, "nobody");
  CHECK(story.withdraw("too much", story.genesis().max_amount_sat + 1).outcome.kind ==
        wire::OutcomeKind::Rejected);
  (void)story.deposit(2, kCoin, 1);  // seen, and no entry before it is credited
  const auto check = [&] {
    std::int64_t pending = 0;
    for (const wire::AccountView& account :
         story.state.page(query_of(PageKind::Accounts)).accounts) {
      CHECK(account.available_sat == story.balance("customer:" + account.name));
      for (const std::uint32_t limit : {1U, 2U, 100U})
        CHECK(sum_of_entries(story, account.name, limit) == account.available_sat);
      pending += account.pending_sat;
    }
    CHECK(pending == story.balance("pending"));
  };
  check();
  CHECK(story.balance("pending") > 0);
  story.send("k0");
  (void)story.mine({story.txid_of("k0")});
  check();
  story.mine_empty(static_cast<int>(story.genesis().settle_depth) - 1);
  CHECK(story.state_of("k0") == WithdrawalState::Settled);
  check();
  (void)story.unmine();  // confirmed again, and paid for ever
  CHECK(story.state_of("k0") == WithdrawalState::Confirmed);
  check();
  QueryPage unknown = query_of(PageKind::Entries);
  unknown.accounts = {"nobody"};
  CHECK(story.state.page(unknown) == wire::Page{});
  unknown.accounts = {};
  CHECK(story.state.page(unknown) == wire::Page{});
}

TEST_CASE("a withdrawal's events tell each step and each step back, by log index") {
  Story story;
  fund_two(story);
  History history;
  std::uint64_t index = 10;
  const auto note = [&](const Applied& applied, bool created = false) {
    ++index;
    for (const WithdrawalId& id : applied.changed)
      history.changed(*story.state.by_id(id), index, created);
  };
  note(story.withdraw("k", kEach), true);
  const WithdrawalId id = story.view("k").id;
  note(story.sign("k"));
  note(story.broadcast("k"));
  note(story.mine({story.txid_of("k")}));
  const std::uint32_t height = story.view("k").height;
  note(story.unmine());
  using Event = wire::WithdrawalEvent;
  const std::vector<Event> wanted{{WithdrawalState::Requested, false, 11, 0},
                                  {WithdrawalState::Planned, false, 11, 0},
                                  {WithdrawalState::Signed, false, 12, 0},
                                  {WithdrawalState::Broadcast, false, 13, 0},
                                  {WithdrawalState::Confirmed, false, 14, height},
                                  {WithdrawalState::Broadcast, true, 15, 0}};
  CHECK(history.of(id) == wanted);
  for (std::size_t i = 0; i < limits::kMaxEventsKept; ++i) {
    note(story.mine({story.txid_of("k")}));
    note(story.unmine());
  }
  CHECK(history.of(id).size() == limits::kMaxEventsKept);
  CHECK(history.of(WithdrawalId{}).empty());
}

}  // namespace
}  // namespace roulette::ledger
