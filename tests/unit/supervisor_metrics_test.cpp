// What the tool's own /metrics says: lives of processes, and books against the chain.
//
// Invariant: times are given, never taken from a clock.
#include <catch2/catch.hpp>

#include "chaos/live/reconciliation.h"
#include "chaos/live/supervisor_metrics.h"

using namespace roulette;
using namespace roulette::chaos;
using Catch::Contains;

namespace {

constexpr ProcessName kSigner{Role::Signer, 0};
constexpr ProcessName kNode{Role::Bitcoind, 0};

Instant at(std::int64_t ms) {
  return Instant{} + milliseconds(ms);
}

}  // namespace

TEST_CASE("restarts, their latency and the way back to a steady state are told apart") {
  SupervisorMetrics m;
  m.defined(kSigner);
  m.defined(kNode);
  m.spawned(kSigner, at(0));
  m.spawned(kNode, at(0));
  m.up(kSigner, true, at(100));
  m.up(kNode, true, at(900));
  // The first start is neither a restart nor a loss.
  CHECK_THAT(m.text(), Contains("restarts_total{process=\"signer-0\",process_role=\"signer\"} 0"));
  CHECK_THAT(m.text(), Contains("roulette_supervisor_steady_state_seconds_count 0"));
  m.up(kSigner, false, at(2000));
  m.exited(kSigner, false);
  m.up(kNode, false, at(2300));
  m.up(kNode, true, at(2400));
  CHECK_THAT(m.text(), Contains("roulette_supervisor_steady_state_seconds_count 0"));
  m.spawned(kSigner, at(2500));
  m.up(kSigner, true, at(2750));
  const std::string text = m.text();
  CHECK_THAT(text, Contains("restarts_total{process=\"signer-0\",process_role=\"signer\"} 1"));
  CHECK_THAT(text, Contains("restarts_total{process=\"bitcoind-0\",process_role=\"bitcoind\"} 0"));
  CHECK_THAT(text, Contains("ready_seconds_sum{process_role=\"signer\",start=\"first\"} 0.1\n"));
  CHECK_THAT(text, Contains("ready_seconds_sum{process_role=\"signer\",start=\"again\"} 0.25\n"));
  // A pause is no start.
  CHECK_THAT(text, Contains("ready_seconds_count{process_role=\"bitcoind\",start=\"again\"} 0"));
  CHECK_THAT(text, Contains("roulette_supervisor_steady_state_seconds_count 1"));
  CHECK_THAT(text, Contains("roulette_supervisor_steady_state_seconds_sum 0.75"));
  CHECK_THAT(text, Contains("process_role=\"signer\",asked=\"no\"} 1") ||
                       Contains("asked=\"no\",process=\"signer-0\",process_role=\"signer\"} 1"));
}

TEST_CASE("books and chain are compared at one block only, to the satoshi") {
  const WalletFacts books{"aa", 1000};
  CHECK(compare_wallets(books, {"aa", 1000}) == Comparison::Match);
  CHECK(compare_wallets(books, {"aa", 1001}) == Comparison::Mismatch);
  CHECK(compare_wallets(books, {"aa", 999}) == Comparison::Mismatch);
  CHECK(compare_wallets(books, {"bb", 1000}) == Comparison::NotComparable);
}

TEST_CASE("amounts of coins become satoshi exactly, what is no answer is none") {
  const auto scan = [](const std::string& amount) {
    return node_wallet(R"({"success":true,"bestblock":"aa","total_amount":)" + amount + "}");
  };
  CHECK(scan("0.00000001")->wallet_sat == 1);
  CHECK(scan("1.10000007")->wallet_sat == 110'000'007);
  CHECK(scan("20999999.97690000")->wallet_sat == 2'099'999'997'690'000);
  CHECK_FALSE(node_wallet(R"({"success":false,"bestblock":"aa","total_amount":1})"));
  CHECK_FALSE(node_wallet("null"));
  CHECK(books_wallet(R"({"index":7,"tip":"aa","height":3,"wallet_sat":12})")->wallet_sat == 12);
  CHECK_FALSE(books_wallet(R"({"tip":"aa","wallet_sat":"12"})"));
  CHECK_FALSE(books_wallet("no json"));
}
