// What clients are told, and what they never are.
//
// Invariant tested: answers come from the applied ledger; a 5xx proposes nothing or says "unknown";
// a lost quorum lets nothing new in.
#include <catch2/catch.hpp>

#include "common/base/limits.h"
#include "tests/unit/coordinator_world.h"

using namespace roulette;
using namespace roulette::test;
namespace co = roulette::coordinator;
using wire::WithdrawalState;

TEST_CASE("a withdrawal is answered 202 once it was applied, with its id and txid") {
  World w;
  w.start_all();
  const auto request = w.create(0, "k1");
  const auto answer = w.answer(0, request);
  REQUIRE(answer);
  CHECK(answer->status == 202);
  CHECK(answer->view.id == w.view("k1").id);
  REQUIRE(answer->view.planned);
  CHECK(answer->view.planned->txid == w.view("k1").planned->txid);
}

TEST_CASE("nothing is answered before the ledger applied the withdrawal") {
  World w;
  w.start_all();
  w.hold_applies = true;
  const auto request = w.create(0, "k1");
  w.advance(100);
  CHECK_FALSE(w.answer(0, request));
  w.apply_held();
  CHECK(w.answer(0, request));
}

TEST_CASE("a retry at another coordinator gets the same status, id and txid") {
  World w(2);
  w.start_all();
  const auto first = w.answer(0, w.create(0, "k1"));
  const auto second = w.answer(1, w.create(1, "k1"));
  REQUIRE(first);
  REQUIRE(second);
  CHECK(second->status == first->status);
  CHECK(second->view.id == first->view.id);
  CHECK(second->view.planned->txid == first->view.planned->txid);
  CHECK(w.sent.size() == 1);
}

TEST_CASE("concurrent duplicates at both coordinators end in one withdrawal") {
  World w(2);
  w.start_all();
  w.hold_applies = true;
  const auto a = w.create(0, "k1");
  const auto b = w.create(1, "k1");
  w.apply_held();
  REQUIRE(w.answer(0, a));
  REQUIRE(w.answer(1, b));
  CHECK(w.answer(0, a)->view.id == w.answer(1, b)->view.id);
  CHECK(w.mempool.size() == 1);
}

TEST_CASE("a known key with another payload is a 422 and changes nothing") {
  World w;
  w.start_all();
  w.create(0, "k1", "alice", 50'000);
  const auto problem = w.problem(0, w.create(0, "k1", "alice", 60'000));
  REQUIRE(problem);
  CHECK(problem->status == 422);
  CHECK(problem->type == "idempotency-key-reused");
  CHECK(w.view("k1").amount_sat == 50'000);
}

TEST_CASE("a business refusal is recorded: every retry gets the same 422") {
  World w;
  w.start_all();
  const auto first = w.problem(0, w.create(0, "k1", "poor"));
  const auto again = w.problem(0, w.create(0, "k1", "poor"));
  REQUIRE(first);
  REQUIRE(again);
  CHECK(first->status == 422);
  CHECK(first->type == "withdrawal-rejected");
  CHECK(first->detail.find("insufficient-funds") != std::string::npos);
  CHECK(first->detail.find(to_hex(w.view("k1").id.value())) != std::string::npos);
  CHECK(again->detail == first->detail);
  CHECK(w.asked() == 0);
}

TEST_CASE("with fewer than t signers a new key gets 503 quorum-lost and nothing is proposed") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 3; ++i) w.kill_signer(i);
  const auto problem = w.problem(0, w.create(0, "k1"));
  REQUIRE(problem);
  CHECK(problem->status == 503);
  CHECK(problem->type == "quorum-lost");
  CHECK(problem->retry_after_s);
  CHECK(w.commands<wire::Withdraw>().empty());
  CHECK_FALSE(w.knows("k1"));
}

TEST_CASE("with fewer than t signers a known key is answered with its state") {
  World w;
  w.start_all();
  w.create(0, "k1");
  for (std::uint16_t i = 0; i < 3; ++i) w.kill_signer(i);
  const auto answer = w.answer(0, w.create(0, "k1"));
  REQUIRE(answer);
  CHECK(answer->status == 202);
  CHECK(answer->view.id == w.view("k1").id);
  CHECK(w.commands<wire::Withdraw>().size() == 1);
  const auto conflict = w.problem(0, w.create(0, "k1", "alice", 60'000));
  REQUIRE(conflict);
  CHECK(conflict->type == "idempotency-key-reused");
}

TEST_CASE("a paused signer stops counting as known after kSignerSilent") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 3; ++i) w.signer(i).manners = Manners::Paused;
  w.advance(300);
  CHECK(w.seat(0).machine->gauges().known_signers == 5);
  w.advance(300);
  CHECK(w.seat(0).machine->gauges().known_signers == 2);
  CHECK(w.problem(0, w.create(0, "k1"))->type == "quorum-lost");
  for (std::uint16_t i = 0; i < 3; ++i) w.release_withheld(i);
  CHECK(w.answer(0, w.create(0, "k1")));
}

TEST_CASE("a draining signer does not count as known") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 3; ++i) w.signer(i).draining = true;
  w.advance(150);
  CHECK(w.problem(0, w.create(0, "k1"))->type == "quorum-lost");
}

TEST_CASE("without a ledger a request gets 503 ledger-unavailable") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 3; ++i) w.kill_replica(i);
  const auto problem = w.problem(0, w.create(0, "k1"));
  REQUIRE(problem);
  CHECK(problem->status == 503);
  CHECK(problem->type == "ledger-unavailable");
  CHECK(w.readiness(0) == "no-ledger");
}

TEST_CASE("a ledger that never answers costs the client a 503, and the command stays alive") {
  World w;
  w.start_all();
  w.hold_applies = true;
  const auto request = w.create(0, "k1");
  w.advance(limits::kClientPatience.us / 1000 + 100);
  REQUIRE(w.problem(0, request));
  CHECK(w.problem(0, request)->type == "ledger-unavailable");
  w.apply_held();
  CHECK(w.knows("k1"));
  CHECK(w.mempool.size() == 1);
}

TEST_CASE("a closed ledger answers new keys 503 closed and known keys their state") {
  World w;
  w.start_all();
  w.create(0, "k1");
  w.closed = true;
  const auto problem = w.problem(0, w.create(0, "k2"));
  REQUIRE(problem);
  CHECK(problem->status == 503);
  CHECK(problem->type == "closed");
  CHECK(w.answer(0, w.create(0, "k1")));
}

TEST_CASE("wait answers when the withdrawal is broadcast") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  const auto request = w.create(0, "k1", "alice", 50'000, seconds(5));
  w.advance(40);
  CHECK_FALSE(w.answer(0, request));
  for (std::uint16_t i = 0; i < 5; ++i) w.release_withheld(i);
  w.advance(1);
  REQUIRE(w.answer(0, request));
  CHECK(w.answer(0, request)->view.state == WithdrawalState::Broadcast);
}

TEST_CASE("wait ends with the state reached so far") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  const auto request = w.create(0, "k1", "alice", 50'000, seconds(1));
  w.advance(999);
  CHECK_FALSE(w.answer(0, request));
  w.advance(2);
  REQUIRE(w.answer(0, request));
  CHECK(w.answer(0, request)->view.state == WithdrawalState::Planned);
}

TEST_CASE("a client that left is not answered, and its withdrawal is paid all the same") {
  World w;
  w.start_all();
  w.hold_applies = true;
  const auto request = w.create(0, "k1");
  w.step(0, co::ClientGone{request});
  w.apply_held();
  CHECK(w.seat(0).replies.empty());
  CHECK(w.mempool.size() == 1);
}

TEST_CASE("open requests are bounded") {
  World w;
  w.start_all();
  w.hold_applies = true;
  for (std::size_t i = 0; i < limits::kMaxOpenRequests; ++i) w.create(0, "k" + std::to_string(i));
  const auto problem = w.problem(0, w.create(0, "one too many"));
  REQUIRE(problem);
  CHECK(problem->status == 503);
  CHECK(problem->type == "overloaded");
  CHECK(w.seat(0).machine->gauges().open_requests == limits::kMaxOpenRequests);
}

TEST_CASE("reads go through the ledger: by id, by key, balances, and 404 for the unknown") {
  World w;
  w.start_all();
  w.create(0, "k1");
  const std::size_t before = w.queried.size();  // the signers' journals are read, too
  const auto by_id = w.answer(0, w.ask(0, co::GetWithdrawal{w.view("k1").id}));
  const auto by_key = w.answer(0, w.ask(0, co::FindByKey{"k1"}));
  REQUIRE(by_id);
  REQUIRE(by_key);
  CHECK(by_id->status == 200);
  CHECK(by_key->view.id == by_id->view.id);
  CHECK(w.problem(0, w.ask(0, co::FindByKey{"other"}))->status == 404);
  const auto balances = w.ask(0, co::GetBalances{});
  CHECK(std::holds_alternative<co::BalancesAnswer>(w.seat(0).replies.at(balances)));
  CHECK(w.queried.size() == before + 4);
}

TEST_CASE("lists and events are queries of the ledger and propose nothing") {
  World w;
  w.start_all();
  w.create(0, "k1");
  const std::size_t submitted = w.submitted.size();
  const std::size_t queried = w.queried.size();
  co::GetPage list;
  list.query.kind = wire::PageKind::Withdrawals;
  const auto page = w.ask(0, list);
  CHECK(std::holds_alternative<co::PageAnswer>(w.seat(0).replies.at(page)));
  const auto events = w.ask(0, co::GetEvents{w.view("k1").id});
  CHECK(std::get<co::EventsAnswer>(w.seat(0).replies.at(events)).events.size() == 1);
  CHECK(w.problem(0, w.ask(0, co::GetEvents{}))->status == 404);
  list.query.kind = wire::PageKind::Entries;
  list.query.accounts = {"alice"};
  CHECK_FALSE(w.problem(0, w.ask(0, list)));
  list.query.accounts = {"nobody"};
  CHECK(w.problem(0, w.ask(0, list))->status == 404);
  CHECK(w.submitted.size() == submitted);
  CHECK(w.queried.size() == queried + 5);
}

TEST_CASE("looking a key up causes no payment") {
  World w;
  w.start_all();
  w.ask(0, co::FindByKey{"k1"});
  w.advance(500);
  CHECK(w.commands<wire::Withdraw>().empty());
  CHECK_FALSE(w.knows("k1"));
}

TEST_CASE(
    "a draining coordinator refuses requests, finishes what is in flight and says when it is "
    "done") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  const auto waiting = w.create(0, "k1", "alice", 50'000, seconds(20));
  w.step(0, co::ShutdownRequested{});
  CHECK(w.readiness(0) == "draining");
  REQUIRE(w.answer(0, waiting));
  CHECK(w.problem(0, w.create(0, "k2"))->type == "draining");
  CHECK_FALSE(w.seat(0).drained);
  for (std::uint16_t i = 0; i < 5; ++i) w.release_withheld(i);
  CHECK(w.seat(0).drained);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("a drain that cannot finish ends within the grace") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  w.step(0, co::ShutdownRequested{});
  w.advance(1900);
  CHECK_FALSE(w.seat(0).drained);
  w.advance(200);
  CHECK(w.seat(0).drained);
}

TEST_CASE("a drain without the ledger's answer tells the client that the outcome is unknown") {
  World w;
  w.start_all();
  w.hold_applies = true;
  const auto request = w.create(0, "k1");
  w.step(0, co::ShutdownRequested{});
  w.advance(1900);
  CHECK_FALSE(w.problem(0, request));
  w.advance(200);
  CHECK(w.seat(0).drained);
  REQUIRE(w.problem(0, request));
  CHECK(w.problem(0, request)->type == "ledger-unavailable");
}

TEST_CASE("who asks a coordinator that has drained and not left yet is told so") {
  World w;
  w.start_all();
  w.step(0, co::ShutdownRequested{});
  w.advance(10);
  REQUIRE(w.seat(0).drained);
  const auto problem = w.problem(0, w.create(0, "k1"));
  REQUIRE(problem);
  CHECK(problem->type == "draining");
}

TEST_CASE("an idle coordinator drains at once") {
  World w;
  w.start_all();
  w.step(0, co::ShutdownRequested{});
  CHECK(w.seat(0).drained);
}

TEST_CASE("readiness names what is missing until nothing is") {
  World w;
  w.node_up = false;
  w.start_all();
  CHECK(w.readiness(0) == "no-node");
  w.node_up = true;
  w.advance(150);
  CHECK(w.readiness(0) == "");
  for (std::uint16_t i = 0; i < 3; ++i) w.kill_signer(i);
  CHECK(w.readiness(0) == "quorum-lost");
}

// ---- clients that sign ----

namespace {

crypto::Ed25519Key shop_key() {
  Secret<32> seed;
  seed.data()[0] = 3;
  return crypto::Ed25519Key::from_seed(std::move(seed)).value();
}

std::shared_ptr<const wire::ClientList> shop() {
  auto list = wire::ClientList::make("test", {{"shop", shop_key().public_key(), {"alice"}}},
                                     {{"alice", {60'000, {}}}, {"bob", {60'000, {}}}});
  REQUIRE(list.ok());
  return std::make_shared<const wire::ClientList>(std::move(list).value());
}

co::CreateWithdrawal signed_request(const std::string& key, std::int64_t amount_sat = 50'000,
                                    const std::string& account = "alice") {
  co::CreateWithdrawal out{{key, account, payee_script(1), amount_sat}, 1'700'000'000'000'000, {}};
  out.client = wire::ClientSignature{
      "shop", shop_key().sign(wire::signed_text("test", "shop", out.payment)).value()};
  return out;
}

}  // namespace

TEST_CASE("a client's signature goes through the ledger to every signer that is asked") {
  World w;
  w.clients = shop();
  w.start_all();
  const co::CreateWithdrawal wanted = signed_request("k1");
  REQUIRE(w.answer(0, w.ask(0, wanted)));
  CHECK(w.view("k1").client == wanted.client);
  CHECK(w.view("k1").id == wire::withdrawal_id_of("k1"));
  std::size_t seen = 0;
  for (std::uint16_t i = 0; i < 5; ++i) {
    for (const wire::SignRequest& request : w.signer(i).requests) {
      REQUIRE(request.client);
      CHECK(request.client->key == "k1");
      CHECK(request.client->account == "alice");
      CHECK(request.client->by == *wanted.client);
      ++seen;
    }
  }
  CHECK(seen >= 3);
}

TEST_CASE("what no client signed is not proposed, and its key stays free") {
  World w;
  w.clients = shop();
  w.start_all();
  const auto refused = [&](co::CreateWithdrawal wanted, int status, const std::string& type) {
    const auto problem = w.problem(0, w.ask(0, std::move(wanted)));
    INFO(type);
    REQUIRE(problem);
    CHECK(problem->status == status);
    CHECK(problem->type == type);
    CHECK_FALSE(problem->retry_after_s);
  };
  const std::size_t before = w.submitted.size();
  co::CreateWithdrawal wanted = signed_request("k1");
  wanted.client.reset();
  refused(wanted, 401, "client-signature-missing");
  wanted = signed_request("k1");
  wanted.payment.amount_sat += 1;
  refused(wanted, 403, "client-signature-invalid");
  wanted = signed_request("k1");
  wanted.client->client = "nobody";
  refused(wanted, 403, "client-signature-invalid");
  refused(signed_request("k1", 60'001), 403, "client-not-allowed");
  refused(signed_request("k1", 50'000, "bob"), 403, "client-not-allowed");
  CHECK(w.submitted.size() == before);
  CHECK(w.answer(0, w.ask(0, signed_request("k1"))));
  // A known key is no way around: its answer is the client's alone.
  wanted = signed_request("k1");
  wanted.client.reset();
  refused(wanted, 401, "client-signature-missing");
}
