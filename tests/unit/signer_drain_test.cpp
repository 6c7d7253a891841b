// Tests of the orderly stop and of the bounds: what a stopping or flooded signer does.
#include <catch2/catch.hpp>

#include "common/base/limits.h"
#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using wire::RefusalReason;

TEST_CASE("an idle signer drains at once and says so to all, once", "[signer]") {
  SignerHost host;
  const auto a = host.connect(0);
  const auto b = host.connect(1);
  host.shut_down();
  CHECK(host.take<wire::SignerStatus>(a)->draining);
  CHECK(host.take<wire::SignerStatus>(b)->draining);
  CHECK(host.drained() == 1);
  host.shut_down();
  host.receive(a, wire::SignerPing{1});
  CHECK(host.drained() == 1);
}

TEST_CASE("a stopping signer finishes what waits for the disk before it is drained", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 1);
  host.commit_at_once(false);
  host.receive(connection, host.request(payment(1), nonces));
  host.shut_down();
  CHECK(host.drained() == 0);
  host.make_durable();
  CHECK(host.take<wire::SignResponse>(connection).has_value());
  CHECK(host.take<wire::SignerStatus>(connection)->draining);
  CHECK(host.drained() == 1);
}

TEST_CASE("a stopping signer waits for the record even when nobody waits for the answer",
          "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 1);
  host.commit_at_once(false);
  host.receive(connection, host.request(payment(1), nonces));
  host.lose(connection);
  host.shut_down();
  CHECK(host.drained() == 0);
  host.make_durable();
  CHECK(host.drained() == 1);
}

TEST_CASE("a stopping signer refuses new sessions and answers exact retries", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto old = host.ask(connection, payment(1));
  const auto first = host.take<wire::SignResponse>(connection);
  const auto fresh = host.request(payment(2), host.nonces(connection, 1));
  host.shut_down();
  (void)host.take(connection);
  CHECK(refusal(host, connection, fresh) == RefusalReason::Draining);
  host.receive(connection, old);
  CHECK(host.take<wire::SignResponse>(connection) == first);
}

TEST_CASE("a stopping signer erases its nonces and makes no more", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  CHECK(host.nonces(connection, 5).size() == 5);
  host.shut_down();
  (void)host.take(connection);
  CHECK(host.machine().gauges().pooled_nonces == 0);
  CHECK(host.nonces(connection, 5).empty());
  CHECK(host.machine().gauges().draining);
}

TEST_CASE("too many answers waiting for the disk are refused by name, then served again",
          "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 2);
  host.commit_at_once(false);
  const auto request = host.request(payment(1), {nonces[0]});
  for (std::size_t i = 0; i < limits::kPendingSharesPerConnection; ++i)
    host.receive(connection, request);
  CHECK(host.machine().gauges().largest_pending == limits::kPendingSharesPerConnection);
  const auto second = host.request(payment(2), {nonces[1]});
  host.receive(connection, second);
  CHECK(host.waiting_records() == 1);
  host.commit_at_once(true);
  host.make_durable();
  for (std::size_t i = 0; i < limits::kPendingSharesPerConnection; ++i)
    REQUIRE(host.take<wire::SignResponse>(connection).has_value());
  CHECK(host.take<wire::SignRefusal>(connection)->reason == RefusalReason::TooMany);
  CHECK(signs(host, connection, second));
}

TEST_CASE("a flood while the disk is stuck closes that connection and no other", "[signer]") {
  SignerHost host;
  const auto loud = host.connect(0);
  const auto quiet = host.connect(1);
  const auto nonces = host.nonces(quiet, 1);
  host.commit_at_once(false);
  host.receive(quiet, host.request(payment(1), nonces));
  for (std::size_t i = 0; i < limits::kWaitingSendsPerConnection; ++i) {
    host.receive(loud, wire::SignerPing{i});
    REQUIRE_FALSE(host.closed(loud));
  }
  host.receive(loud, wire::SignerPing{0});
  CHECK(host.closed(loud));
  CHECK(host.machine().gauges().waiting_sends == 1);
  host.receive(loud, wire::SignerPing{0});  // still in the host's queue
  host.lose(loud);
  host.make_durable();
  CHECK(host.silent(loud));
  CHECK(host.take<wire::SignResponse>(quiet).has_value());
}

TEST_CASE("a connection above the bound is closed and gets nothing", "[signer]") {
  SignerHost host;
  std::vector<ConnectionId> open;
  for (std::size_t i = 0; i < limits::kSignerConnections; ++i) open.push_back(host.connect());
  const auto over = host.connect();
  CHECK(host.closed(over));
  host.receive(over, wire::NonceRequest{1});
  CHECK(host.silent(over));
  host.lose(over);
  host.lose(open.front());
  CHECK_FALSE(host.closed(host.connect()));
}

TEST_CASE("a message that is not for a signer is counted and not answered", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  host.receive(connection, wire::Hello{});
  host.receive(connection, wire::NonceBatch{});
  host.receive(connection, wire::SignResponse{});
  host.receive(connection, wire::LedgerFollow{});
  CHECK(host.silent(connection));
  CHECK(host.machine().gauges().unexpected_messages == 4);
}

TEST_CASE("refusals are counted by reason", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  (void)refusal(host, connection, wire::SignRequest{});
  (void)refusal(host, connection, wire::SignRequest{});
  (void)refusal(host, connection, host.request(payment(1), {crypto::frost::PubNonce{}}));
  const auto counted = host.machine().gauges().refusals;
  REQUIRE(counted.size() == 2);
  CHECK(counted[0] == std::pair(RefusalReason::UnknownNonce, std::uint64_t{1}));
  CHECK(counted[1] == std::pair(RefusalReason::BadRequest, std::uint64_t{2}));
}

TEST_CASE("the signer asks for no timer", "[signer]") {
  SignerHost host;
  CHECK_FALSE(host.machine().next_deadline().has_value());
}
