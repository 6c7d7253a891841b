// Tests of the gate: nothing that reveals a record leaves before it is durable; retries; crashes.
#include <catch2/catch.hpp>

#include "common/base/limits.h"
#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using wire::RefusalReason;

TEST_CASE("a new signer says nothing before its first record is durable", "[signer]") {
  SeededEntropy entropy(5);
  auto machine = Signer::restore(config_of(3), BootId{}, {});
  REQUIRE(machine.ok());
  Effects effects;
  machine->step(Instant{}, Started{}, entropy, effects);
  machine->step(Instant{}, PeerConnected{ConnectionId(1), CoordinatorId(0), BootId{}}, entropy,
                effects);
  REQUIRE(effects.size() == 1);
  const Record record = std::get<Persist>(effects[0]).record;
  const auto& provisioned = std::get<Provisioned>(record.body);
  CHECK(record.sequence == 1);
  CHECK(provisioned.signer == SignerId(3));
  CHECK(provisioned.threshold_key == wallet().dealt.group.threshold_key());
  machine->step(Instant{}, RecordDurable{1}, entropy, effects);
  REQUIRE(effects.size() == 2);
  const auto& status = std::get<wire::SignerStatus>(std::get<Send>(effects[1]).message);
  CHECK(status.journal_length == 1);
  CHECK(status.journal_head == record.head);
  CHECK(status.share_epoch == 1);
}

TEST_CASE("a restarted signer with a journal writes no second first record", "[signer]") {
  SignerHost host;
  host.crash();
  CHECK(host.length() == 1);
}

TEST_CASE("a coordinator is greeted with the signer's state", "[signer]") {
  SignerHost host;
  host.receive(host.connect(), wire::SignerPing{7});
  const auto status = host.take<wire::SignerStatus>(ConnectionId(1));
  REQUIRE(status.has_value());
  CHECK(status->number == 7);
  CHECK(status->epoch == host.boot());
  CHECK(status->journal_length == host.length());
  CHECK_FALSE(status->draining);
}

TEST_CASE("no share leaves before its record is durable", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 1);
  host.commit_at_once(false);
  host.receive(connection, host.request(payment(1), nonces));
  CHECK(host.silent(connection));
  CHECK(host.machine().gauges().pending_shares == 1);
  CHECK(host.machine().gauges().shares == 1);  // computed already: no nonce waits
  host.make_durable();
  CHECK(host.take<wire::SignResponse>(connection).has_value());
  CHECK(host.machine().gauges().pending_shares == 0);
}

TEST_CASE("answers behind an undurable record wait and keep their order", "[signer]") {
  SignerHost host;
  const auto a = host.connect(0);
  const auto b = host.connect(1);
  const auto nonces = host.nonces(a, 1);
  host.commit_at_once(false);
  host.receive(a, wire::SignerPing{1});
  host.receive(a, host.request(payment(1), nonces));
  host.receive(a, wire::SignerPing{2});
  host.receive(a, wire::NonceRequest{1});
  host.receive(b, wire::SignerPing{3});
  CHECK(host.take<wire::SignerStatus>(a)->number == 1);
  CHECK(host.silent(a));
  CHECK(host.silent(b));
  host.make_durable();
  CHECK(host.take<wire::SignResponse>(a).has_value());
  CHECK(host.take<wire::SignerStatus>(a)->number == 2);
  CHECK(host.take<wire::NonceBatch>(a).has_value());
  CHECK(host.take<wire::SignerStatus>(b)->number == 3);
}

TEST_CASE("a durable record releases its own answer and not the next one's", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 2);
  host.commit_at_once(false);
  host.receive(connection, host.request(payment(1), {nonces[0]}));
  host.receive(connection, host.request(payment(2), {nonces[1]}));
  host.make_durable(1);
  CHECK(host.take<wire::SignResponse>(connection)->journal_length == 2);
  CHECK(host.silent(connection));
  host.make_durable(1);
  CHECK(host.take<wire::SignResponse>(connection)->journal_length == 3);
}

TEST_CASE("a record that becomes durable after its connection is gone sends nothing", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 1);
  host.commit_at_once(false);
  host.receive(connection, host.request(payment(1), nonces));
  host.lose(connection);
  host.make_durable();
  CHECK(host.silent(connection));
  CHECK(host.machine().gauges().waiting_sends == 0);
}

TEST_CASE("an exact retry gets the same answer and writes nothing", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto request = host.ask(connection, payment(1, 2));
  const auto first = host.take<wire::SignResponse>(connection);
  const auto length = host.length();
  host.receive(connection, request);
  const auto second = host.take<wire::SignResponse>(connection);
  REQUIRE((first && second));
  CHECK(*first == *second);
  CHECK(host.length() == length);
  CHECK(host.machine().gauges().retries_answered == 1);
  CHECK(host.machine().gauges().shares == 2);
}

TEST_CASE("an exact retry before the record is durable waits like the first", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 1);
  host.commit_at_once(false);
  const auto request = host.request(payment(1), nonces);
  host.receive(connection, request);
  host.receive(connection, request);
  CHECK(host.silent(connection));
  host.make_durable();
  CHECK(host.take<wire::SignResponse>(connection) == host.take<wire::SignResponse>(connection));
}

TEST_CASE("an exact retry over a new connection gets the shares without the old one's nonces",
          "[signer]") {
  SignerHost host;
  const auto before = host.connect();
  const auto request = host.ask(before, payment(1));
  const auto first = host.take<wire::SignResponse>(before);
  host.lose(before);
  const auto after = host.connect();
  host.receive(after, request);
  const auto second = host.take<wire::SignResponse>(after);
  REQUIRE((first && second));
  CHECK(first->shares == second->shares);
  CHECK(first->journal_head == second->journal_head);
  CHECK_FALSE(first->next_nonces.empty());
  CHECK(second->next_nonces.empty());
}

TEST_CASE("a retry for another withdrawal or payload is no retry", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  auto request = host.ask(connection, payment(1));
  (void)host.take(connection);
  request.payload_digest[3] ^= 1;
  CHECK(refusal(host, connection, request) == RefusalReason::UnknownNonce);
  request.payload_digest[3] ^= 1;
  request.withdrawal_id = payment(2).id;
  CHECK(refusal(host, connection, request) == RefusalReason::UnknownNonce);
}

TEST_CASE("after a restart a session is dead, also for an exact retry", "[signer]") {
  SignerHost host;
  const auto request = host.ask(host.connect(), payment(1));
  host.crash();
  const auto connection = host.connect();
  CHECK(refusal(host, connection, request) == RefusalReason::StaleEpoch);
}

TEST_CASE("kept answers are bounded, and a forgotten one is refused, not signed again",
          "[signer]") {
  SignerConfig config = config_of(0);
  config.verify_own_share = false;  // for speed
  SignerHost host(std::move(config));
  const auto connection = host.connect();
  const auto first = host.ask(connection, payment(1));
  for (std::size_t i = 0; i < limits::kRetryResponses; ++i) {
    host.ask(connection, payment(1));
    REQUIRE(host.machine().gauges().kept_responses <= limits::kRetryResponses);
  }
  while (host.take(connection)) continue;
  CHECK(refusal(host, connection, first) == RefusalReason::UnknownNonce);
}

TEST_CASE("killed before any effect of a signing step, no share is out without its binding",
          "[signer]") {
  // The step's effects are Persist, then (once durable) Send; 2 means the kill never comes.
  for (const std::size_t kill_at : {0U, 1U, 2U}) {
    CAPTURE(kill_at);
    SignerHost host;
    const auto connection = host.connect();
    const auto nonces = host.nonces(connection, 1);
    host.crash_before_effect(kill_at);
    host.receive(connection, host.request(payment(1), nonces));
    const bool released = host.take<wire::SignResponse>(connection).has_value();
    const bool bound = host.durable_records().size() == 2;
    CHECK(host.crashed_in_step() == (kill_at < 2));
    CHECK(released == (kill_at == 2));
    CHECK(bound == (kill_at > 0));
    host.crash();
    const auto again = host.connect();
    Payment conflicting = rebuilt(payment(1));
    const auto conflict = host.request(conflicting, host.nonces(again, 1));
    if (bound) {
      CHECK(refusal(host, again, conflict) == RefusalReason::WithdrawalBound);
      conflicting.id = payment(9).id;
      CHECK(refusal(host, again, host.request(conflicting, host.nonces(again, 1))) ==
            RefusalReason::OutpointBound);
      CHECK(signs(host, again, host.request(payment(1), host.nonces(again, 1))));
    } else {
      CHECK(signs(host, again, conflict));  // nothing ever left: the other one may have it
    }
  }
}

TEST_CASE("killed while records wait for the disk, none of their shares is out", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 3);
  host.commit_at_once(false);
  for (std::uint8_t i = 0; i < 3; ++i)
    host.receive(connection, host.request(payment(i), {nonces[i]}));
  host.make_durable(1);
  CHECK(host.take<wire::SignResponse>(connection).has_value());
  host.crash();
  host.commit_at_once(true);
  const auto again = host.connect();
  CHECK(refusal(host, again, host.request(rebuilt(payment(0)), host.nonces(again, 1))) ==
        RefusalReason::WithdrawalBound);
  CHECK(signs(host, again, host.request(rebuilt(payment(1)), host.nonces(again, 1))));
  CHECK(signs(host, again, host.request(rebuilt(payment(2)), host.nonces(again, 1))));
}
