// Other coordinators' withdrawals: when they are continued, and what is read before.
//
// Invariant tested: a withdrawal is read through a barrier before somebody else continues it; two
// coordinators that sign one template make the same transaction.
#include <catch2/catch.hpp>

#include "common/base/limits.h"
#include "coordinator/core/patience.h"
#include "tests/unit/coordinator_world.h"

using namespace roulette;
using namespace roulette::test;
namespace co = roulette::coordinator;
using wire::WithdrawalState;

namespace {

// Planned by coordinator 0, which then cannot get it signed.
void stuck_withdrawal(World& w) {
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
}
void be_honest(World& w) {
  for (std::uint16_t i = 0; i < 5; ++i) w.release_withheld(i);
}

}  // namespace

TEST_CASE("a live owner's withdrawal is left to it") {
  World w(2);
  w.start_all();
  stuck_withdrawal(w);
  w.advance(800);
  CHECK(w.facts<co::SessionOpened>(1).empty());
  CHECK(w.facts<co::TookOver>(1).empty());
}

TEST_CASE("at the owner's EOF the other takes over at once, after a barriered read") {
  World w(2);
  w.start_all();
  stuck_withdrawal(w);
  const Instant before = w.now();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Honest;
  const std::size_t reads = w.queried.size();
  w.kill_coordinator(0);
  CHECK(w.now() == before);
  REQUIRE(w.facts<co::TookOver>(1).size() == 1);
  CHECK(w.queried.size() == reads + 1);
  CHECK(std::get<wire::QueryById>(w.queried.back().second.query).id == w.view("k1").id);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("without the read's answer nothing is continued") {
  World w(2);
  w.start_all();
  stuck_withdrawal(w);
  w.unreadable_replicas = {0, 1, 2};
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Honest;
  w.kill_coordinator(0);
  w.advance(2000);
  CHECK(w.facts<co::SessionOpened>(1).empty());
  w.unreadable_replicas.clear();
  w.advance(2000);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("a silent owner's withdrawals are taken over after kPeerSilent") {
  World w(2);
  w.start_all();
  stuck_withdrawal(w);
  w.pause_coordinator(0);
  w.advance(200);
  CHECK(w.facts<co::TookOver>(1).empty());
  w.advance(300);
  CHECK(w.facts<co::TookOver>(1).size() == 1);
}

TEST_CASE("an owner whose loop makes no steps is as good as silent after kPeerStuck") {
  World w(2);
  w.start_all();
  stuck_withdrawal(w);
  w.pause_coordinator(0);
  ConnectionId from_zero;
  for (const auto& [connection, name] : w.seat(1).connections) {
    if (name == ProcessName{Role::Coordinator, 0}) from_zero = connection;
  }
  for (int i = 0; i < 20; ++i) {  // heartbeats go on, the count does not
    w.step(1, co::MessageReceived{from_zero, wire::CoordinatorHeartbeat{77, false}});
    w.advance(25);
    if (i == 15) CHECK(w.facts<co::TookOver>(1).empty());
  }
  for (int i = 0; i < 8; ++i) {
    w.step(1, co::MessageReceived{from_zero, wire::CoordinatorHeartbeat{77, false}});
    w.advance(25);
  }
  CHECK(w.facts<co::TookOver>(1).size() == 1);
}

TEST_CASE("a draining owner hands over") {
  World w(2);
  w.start_all();
  w.hold_applies = true;
  w.create(0, "k1");
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.step(0, co::ShutdownRequested{});
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Honest;
  w.apply_held();
  w.advance(150);  // less than its silence would take
  CHECK(w.facts<co::SessionOpened>(0).empty());
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
  CHECK(w.seat(0).drained);
}

TEST_CASE("a live owner that makes no progress is helped after kOwnerPatience") {
  World w(2);
  w.start_all();
  stuck_withdrawal(w);
  w.advance(limits::kOwnerPatience.us / 1000 + 150);
  REQUIRE(w.facts<co::TookOver>(1).size() == 1);
  CHECK(w.facts<co::TookOver>(1)[0].why == "its owner makes no progress");
}

TEST_CASE("where signatures take long, a live owner is left alone for longer, within a bound") {
  World w(2);
  w.start_all();
  for (int i = 0; i < 40; ++i) {
    for (std::uint16_t k = 0; k < 5; ++k) w.signer(k).manners = Manners::Silent;
    w.create(0, "slow" + std::to_string(i));
    w.advance(900);
    for (std::uint16_t k = 0; k < 5; ++k) w.release_withheld(k);
    w.advance(10);
  }
  REQUIRE(w.facts<co::TookOver>(1).empty());
  stuck_withdrawal(w);
  w.advance(limits::kOwnerPatience.us / 1000 + 150);
  CHECK(w.facts<co::TookOver>(1).empty());
  w.advance((co::kOwnerPatienceMost - limits::kOwnerPatience).us / 1000);
  CHECK(w.facts<co::TookOver>(1).size() == 1);
}

TEST_CASE("two coordinators that sign one template make the same transaction") {
  World w(2);
  w.start_all();
  stuck_withdrawal(w);
  w.advance(limits::kOwnerPatience.us / 1000 + 150);
  be_honest(w);
  w.advance(100);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
  std::set<Hash32> txids;
  for (std::size_t i = 0; i < 2; ++i) {
    for (const co::SessionOpened& fact : w.facts<co::SessionOpened>(i)) txids.insert(fact.txid);
  }
  CHECK(txids.size() == 1);
  CHECK_FALSE(w.facts<co::SessionOpened>(1).empty());
  for (const co::SendTransaction& send : w.sent) CHECK(send.bytes == w.view("k1").signed_tx);
  CHECK(w.mempool.size() == 1);
}

TEST_CASE(
    "a signed transaction whose owner died before sending is sent by the other, without signing") {
  World w(2);
  w.start_all();
  auto view = w.planned_view("k1", "alice", CoordinatorId(0));
  view.signed_tx = w.sign_elsewhere(*view.planned);
  view.state = WithdrawalState::Signed;
  w.pause_coordinator(0);
  w.add_view(view);
  w.kill_coordinator(0);
  w.advance(200);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
  CHECK(w.asked() == 0);
}

TEST_CASE(
    "a resumed coordinator reads through the barrier before it continues its own withdrawals") {
  World w;
  w.start_all();
  w.create(0, "k1", "coinless");
  w.pause_coordinator(0);
  w.advance(1000);
  w.plan("k1");
  const std::size_t reads = w.queried.size();
  w.resume_coordinator(0);
  w.advance(200);
  CHECK(w.queried.size() > reads);
  const auto took = w.position(0, [](const co::Effect& e) {
    const auto* fact = std::get_if<co::Fact>(&e);
    return fact && std::holds_alternative<co::TookOver>(*fact);
  });
  const auto opened = w.position(0, [](const co::Effect& e) {
    const auto* fact = std::get_if<co::Fact>(&e);
    return fact && std::holds_alternative<co::SessionOpened>(*fact);
  });
  REQUIRE(took);
  REQUIRE(opened);
  CHECK(*took < *opened);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("a resumed coordinator does not hold its own silence against the signers") {
  World w;
  w.start_all();
  w.pause_coordinator(0);
  w.advance(3000);
  w.resume_coordinator(0);
  const auto request = w.create(0, "k1");
  CHECK(w.answer(0, request));
}

TEST_CASE("heartbeats go to every coordinator and carry growing steps") {
  World w(2);
  w.start_all();
  w.advance(500);
  std::vector<std::uint64_t> steps;
  for (const co::Effect& effect : w.seat(0).effects) {
    const auto* send = std::get_if<co::Send>(&effect);
    const auto* beat = send ? std::get_if<wire::CoordinatorHeartbeat>(&send->message) : nullptr;
    if (beat) steps.push_back(beat->steps);
  }
  REQUIRE(steps.size() >= 19);
  for (std::size_t i = 1; i < steps.size(); ++i) CHECK(steps[i] > steps[i - 1]);
}
