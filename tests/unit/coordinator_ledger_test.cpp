// The link to the books: which replica is used, and what happens to commands when it fails.
//
// Invariant tested: a command keeps its id through every resubmission; answers count once.
#include <catch2/catch.hpp>

#include "common/base/limits.h"
#include "tests/unit/coordinator_world.h"

using namespace roulette;
using namespace roulette::test;
namespace co = roulette::coordinator;
using wire::WithdrawalState;

namespace {

std::vector<World::Submitted> withdraws(const World& w) {
  std::vector<World::Submitted> out;
  for (const auto& s : w.submitted) {
    if (std::holds_alternative<wire::Withdraw>(s.command.body)) out.push_back(s);
  }
  return out;
}

}  // namespace

TEST_CASE("the lowest ready replica is used") {
  World w;
  w.start_all();
  w.create(0, "k1");
  CHECK(withdraws(w).at(0).replica == 0);
  w.set_replica_ready(0, false);
  w.create(0, "k2");
  CHECK(withdraws(w).at(1).replica == 1);
  w.set_replica_ready(0, true);
  w.create(0, "k3");
  CHECK(withdraws(w).at(2).replica == 0);
}

TEST_CASE(
    "a connection lost in the middle of a submit sends the same command id to another replica") {
  World w;
  w.start_all();
  w.hold_applies = true;
  const auto request = w.create(0, "k1");
  w.hold_applies = false;
  w.kill_replica(0);
  const auto sent = withdraws(w);
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].replica == 0);
  CHECK(sent[1].replica == 1);
  CHECK(sent[0].command == sent[1].command);
  CHECK(w.answer(0, request));
}

TEST_CASE("a replica that does not answer is left after kLedgerRetry, with the same command id") {
  World w;
  w.start_all();
  w.deaf_replicas.insert(0);
  const auto request = w.create(0, "k1");
  w.advance(299);
  CHECK(withdraws(w).size() == 1);
  w.advance(2);
  const auto sent = withdraws(w);
  REQUIRE(sent.size() == 2);
  CHECK(sent[1].replica == 1);
  CHECK(sent[0].command.id == sent[1].command.id);
  CHECK(w.answer(0, request));
}

TEST_CASE("an idle coordinator notices that the replica it follows was paused") {
  World w;
  w.start_all();
  w.create(0, "k1");
  w.deaf_replicas.insert(0);
  w.advance(1500);
  const auto request = w.create(0, "k2");
  CHECK(withdraws(w).back().replica == 1);
  CHECK(w.answer(0, request));
}

TEST_CASE("an old replica's late answer is harmless") {
  World w;
  w.start_all();
  w.hold_applies = true;
  const auto request = w.create(0, "k1");
  w.advance(301);  // held at replica 0, sent to replica 1 as well
  REQUIRE(withdraws(w).size() == 2);
  w.apply_held();  // both answer: Applied, then Duplicate
  REQUIRE(w.answer(0, request));
  w.advance(500);
  CHECK(w.mempool.size() == 1);
  CHECK(w.facts<co::Aggregated>(0).size() == 1);
}

TEST_CASE("a replica that cannot read is asked once and another one answers") {
  World w;
  w.start_all();
  w.create(0, "k1");
  w.unreadable_replicas.insert(0);
  CHECK(w.answer(0, w.ask(0, co::FindByKey{"k1"})));
}

TEST_CASE("when no replica can read the question waits instead of spinning") {
  World w;
  w.start_all();
  w.create(0, "k1");
  w.unreadable_replicas = {0, 1, 2};
  const std::size_t before = w.queried.size();
  const auto request = w.ask(0, co::FindByKey{"k1"});
  CHECK_FALSE(w.answer(0, request));
  CHECK(w.queried.size() - before == 3);
  w.unreadable_replicas.clear();
  w.advance(700);
  CHECK(w.answer(0, request));
}

TEST_CASE("two coordinators never share a command id") {
  World w(2);
  w.start_all();
  for (int i = 0; i < 4; ++i) {
    w.create(0, "a" + std::to_string(i));
    w.create(1, "b" + std::to_string(i));
  }
  std::set<wire::CommandId> ids;
  for (const auto& s : w.submitted) CHECK(ids.insert(s.command.id).second);
}

TEST_CASE("a restarted coordinator reads the ledger and finishes what was planned") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  w.kill_coordinator(0);
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Honest;
  w.start(0);
  w.advance(100);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("a view of an older index does not replace a newer one") {
  World w;
  w.start_all();
  w.create(0, "k1");
  auto stale = w.view("k1");
  stale.state = WithdrawalState::Planned;
  stale.signed_tx.clear();
  const std::size_t asked = w.asked();
  for (const auto& [connection, name] : w.seat(0).connections) {
    if (name != ProcessName{Role::Ledger, 0}) continue;
    w.step(0, co::MessageReceived{connection,
                                  wire::LedgerFeed{1, w.tip, false, true, false, {stale}}});
    break;
  }
  w.advance(300);
  CHECK(w.asked() == asked);
}

TEST_CASE("the feed of a replica that is not followed is dropped") {
  World w;
  w.start_all();
  auto view = w.planned_view("ghost", "alice", CoordinatorId(0));
  for (const auto& [connection, name] : w.seat(0).connections) {
    if (name != ProcessName{Role::Ledger, 2}) continue;
    w.step(0, co::MessageReceived{connection,
                                  wire::LedgerFeed{99, w.tip, false, true, false, {view}}});
    break;
  }
  CHECK(w.asked() == 0);
}
