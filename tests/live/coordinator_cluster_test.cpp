// Coordinators in a small cluster of real processes: signers, a ledger on etcd, a regtest node.
//
// Invariant tested: a retry at another coordinator never makes a second payment, wherever the first
// one was killed; every kill point of a coordinator is really passed. Nothing outlives a test.
#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "common/runtime/kill_point_table.h"
#include "tests/live/small_cluster.h"

using namespace roulette;
using namespace roulette::chaos;
using namespace roulette::chaos::test;

namespace {

const ProcessName kFirst{Role::Coordinator, 0};

}  // namespace

TEST_CASE("a withdrawal is paid once, whichever coordinator is asked how often") {
  Small s;
  const Answer first = s.pay(0, "k1");
  REQUIRE(first.status == 202);
  CHECK(first.body["state"] == "broadcast");
  const Answer again = s.pay(1, "k1");
  CHECK(again.status == 202);
  CHECK(again.body["id"] == first.body["id"]);
  CHECK(again.body["txid"] == first.body["txid"]);
  const Answer found = s.ask(1, {.target = "/v1/withdrawals?idempotency_key=k1"});
  CHECK(found.status == 200);
  CHECK(found.body["txid"] == first.body["txid"]);
  const Answer by_id =
      s.ask(0, {.target = "/v1/withdrawals/" + first.body["id"].get<std::string>()});
  CHECK(by_id.body["txid"] == first.body["txid"]);
  s.mine(4);
  REQUIRE(s.until([&] {
    return s.ask(0, {.target = "/v1/withdrawals?idempotency_key=k1"}).body["state"] == "settled";
  }));
  CHECK(s.payments("k1") == 1);
  CHECK(s.supervisor->unasked_exits().empty());
}

TEST_CASE("every kill point of a coordinator is passed by an ordinary day and stands still there") {
  Small s;
  std::vector<std::string> lines;
  std::set<std::string> wanted;
  std::uint32_t arm = 0;
  for (const runtime::KillPoint& point : runtime::list_kill_points()) {
    if (point.role != Role::Coordinator || point.when == runtime::PointWhen::AtTime) continue;
    wanted.insert(point.point);
    lines.push_back("arm " + std::to_string(++arm) + " " + point.point + " 1");
  }
  s.on_hit = [&](ProcessName name, const HitFacts& hit) {
    CHECK(name == kFirst);
    s.supervisor->write_control(name, "release " + std::to_string(hit.sequence));
    s.supervisor->mark_released(name);
  };
  CHECK(s.supervisor->send_signal(kFirst, SIGKILL) == 0);
  REQUIRE(s.until([&] { return s.supervisor->state(kFirst) == ProcessState::Down; }));
  REQUIRE(s.cluster->restart(kFirst, lines).ok());
  REQUIRE(s.until([&] { return s.supervisor->serving(kFirst); }));
  const Answer paid = s.pay_until_answered(0, "k1");
  CHECK(paid.status == 202);
  s.mine(1);
  REQUIRE(s.until([&] {
    return s.ask(0, {.target = "/v1/withdrawals?idempotency_key=k1"}).body["state"] == "confirmed";
  }));
  s.rpc("invalidateblock", json::array({s.rpc("getbestblockhash", json::array())}));
  REQUIRE(s.until([&] {
    return s.ask(0, {.target = "/v1/withdrawals?idempotency_key=k1"}).body["state"] == "broadcast";
  }));
  const std::set<std::string> passed(s.hits.begin(), s.hits.end());
  for (const std::string& point : wanted) {
    INFO(point);
    CHECK(passed.contains(point));
  }
  CHECK(s.payments("k1") == 1);
}

TEST_CASE(
    "a coordinator killed anywhere in a withdrawal costs no payment and makes no second one") {
  Small s;
  const std::vector<std::string> points = {
      "coordinator.propose.withdraw.before",     "coordinator.propose.withdraw.after",
      "coordinator.send.sign_request.during",    "coordinator.propose.signed.before",
      "coordinator.propose.signed.after",        "coordinator.broadcast.transaction.before",
      "coordinator.broadcast.transaction.after", "coordinator.propose.broadcast.before",
      "coordinator.reply.withdrawal.before"};
  s.on_hit = [&](ProcessName name, const HitFacts&) {
    CHECK(s.supervisor->send_signal(name, SIGKILL) == 0);
  };
  std::uint32_t arm = 0;
  for (const std::string& point : points) {
    INFO(point);
    s.supervisor->write_control(kFirst, "arm " + std::to_string(++arm) + " " + point + " 1");
    (void)s.loop.run_until([] { return false; }, milliseconds(30));
    const std::string key = "key-" + std::to_string(arm);
    const Answer lost = s.pay(0, key);
    CHECK(lost.status == 0);
    CHECK(s.hits.size() == arm);
    const Answer retried = s.pay_until_answered(1, key);
    CHECK(retried.status == 202);
    CHECK(retried.body["state"] == "broadcast");
    CHECK(s.payments(key) == 1);
    REQUIRE(s.until([&] { return s.supervisor->state(kFirst) == ProcessState::Down; }));
    REQUIRE(s.cluster->restart(kFirst, {}).ok());
    REQUIRE(s.until([&] { return s.supervisor->serving(kFirst); }));
    const Answer same = s.pay_until_answered(0, key);
    CHECK(same.body["txid"] == retried.body["txid"]);
  }
  s.mine(1);
  for (std::uint32_t i = 1; i <= arm; ++i) CHECK(s.payments("key-" + std::to_string(i)) == 1);
  CHECK(s.supervisor->unasked_exits().empty());
}
