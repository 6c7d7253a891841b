// Tests of the bindings: one outpoint, one transaction; one withdrawal, one transaction, for ever.
#include <catch2/catch.hpp>

#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using wire::RefusalReason;

TEST_CASE("a restarted signer refuses another transaction for a bound outpoint", "[signer]") {
  SignerHost host;
  host.ask(host.connect(), payment(1));
  host.crash();
  const auto connection = host.connect();
  Payment other = rebuilt(payment(1));
  other.id = payment(2).id;
  host.receive(connection, host.request(other, host.nonces(connection, 1)));
  const auto refused = host.take<wire::SignRefusal>(connection);
  REQUIRE(refused.has_value());
  CHECK(refused->reason == RefusalReason::OutpointBound);
  CHECK_THAT(refused->detail,
             Catch::Matchers::Contains(bitcoin::txid_to_hex(bitcoin::txid(payment(1).tx))));
}

TEST_CASE("a restarted signer refuses another transaction for a bound withdrawal", "[signer]") {
  SignerHost host;
  host.ask(host.connect(), payment(1));
  host.crash();
  const auto connection = host.connect();
  Payment other = payment(2);  // other coins altogether
  other.id = payment(1).id;
  other.payload_digest = payment(1).payload_digest;
  CHECK(refusal(host, connection, host.request(other, host.nonces(connection, 1))) ==
        RefusalReason::WithdrawalBound);
}

TEST_CASE("a retry that rebuilt the transaction is refused", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  host.ask(connection, payment(1));
  (void)host.take(connection);
  CHECK(refusal(host, connection, host.request(rebuilt(payment(1)), host.nonces(connection, 1))) ==
        RefusalReason::WithdrawalBound);
}

TEST_CASE("of two coordinators with conflicting transactions the first binds", "[signer]") {
  SignerHost host;
  const auto first = host.connect(0);
  const auto second = host.connect(1);
  Payment conflicting = rebuilt(payment(1));
  conflicting.id = payment(9).id;
  const auto a = host.request(payment(1), host.nonces(first, 1));
  const auto b = host.request(conflicting, host.nonces(second, 1));
  CHECK(signs(host, first, a));
  CHECK(refusal(host, second, b) == RefusalReason::OutpointBound);
}

TEST_CASE("a binding holds from the step that made it, durable or not", "[signer]") {
  SignerHost host;
  const auto first = host.connect(0);
  const auto second = host.connect(1);
  const auto own = host.nonces(first, 1);
  const auto nonces = host.nonces(second, 2);
  host.commit_at_once(false);
  host.receive(first, host.request(payment(1), own));
  Payment conflicting = rebuilt(payment(1));
  host.receive(second, host.request(conflicting, {nonces[0]}));
  conflicting.id = payment(9).id;
  host.receive(second, host.request(conflicting, {nonces[1]}));
  CHECK(host.waiting_records() == 1);
  CHECK(host.silent(second));  // also the refusals reveal the binding
  host.make_durable();
  CHECK(host.take<wire::SignRefusal>(second)->reason == RefusalReason::WithdrawalBound);
  CHECK(host.take<wire::SignRefusal>(second)->reason == RefusalReason::OutpointBound);
}

TEST_CASE("the same transaction is signed again in a new session", "[signer]") {
  SignerHost host;
  const auto first = host.connect(0);
  const auto second = host.connect(1);
  CHECK(signs(host, first, host.request(payment(1), host.nonces(first, 1))));
  CHECK(signs(host, first, host.request(payment(1), host.nonces(first, 1))));
  CHECK(signs(host, second, host.request(payment(1), host.nonces(second, 1))));
  CHECK(host.length() == 4);
  host.crash();
  const auto again = host.connect(1);
  CHECK(signs(host, again, host.request(payment(1), host.nonces(again, 1))));
}

TEST_CASE("one transaction does not settle two withdrawals", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  CHECK(signs(host, connection, host.request(payment(1), host.nonces(connection, 1))));
  Payment second = payment(1);
  second.id = payment(2).id;
  CHECK(refusal(host, connection, host.request(second, host.nonces(connection, 1))) ==
        RefusalReason::OutpointBound);
}

TEST_CASE("a withdrawal keeps the payload it was bound with", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  CHECK(signs(host, connection, host.request(payment(1), host.nonces(connection, 1))));
  Payment other = payment(1);
  other.payload_digest[5] = 1;
  CHECK(refusal(host, connection, host.request(other, host.nonces(connection, 1))) ==
        RefusalReason::WithdrawalBound);
}

TEST_CASE("a bound outpoint keeps the amount it was signed with", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  CHECK(signs(host, connection, host.request(payment(1, 2), host.nonces(connection, 2))));
  Payment lied = payment(1, 2);  // same transaction: amounts are no part of its id
  lied.prevouts[1].amount_sat += 1;
  CHECK(refusal(host, connection, host.request(lied, host.nonces(connection, 2))) ==
        RefusalReason::PrevoutMismatch);
  host.crash();
  const auto again = host.connect();
  CHECK(refusal(host, again, host.request(lied, host.nonces(again, 2))) ==
        RefusalReason::PrevoutMismatch);
}

TEST_CASE("one bound coin among free ones is enough to refuse", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  CHECK(signs(host, connection, host.request(payment(1), host.nonces(connection, 1))));
  Payment mixed = payment(2, 2);
  mixed.tx.inputs[1].outpoint = payment(1).tx.inputs[0].outpoint;
  CHECK(refusal(host, connection, host.request(mixed, host.nonces(connection, 2))) ==
        RefusalReason::OutpointBound);
  // And the refusal bound nothing: the free coin still is.
  CHECK(signs(host, connection, host.request(payment(2), host.nonces(connection, 1))));
}

TEST_CASE("a refused request binds nothing", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  Payment greedy = payment(1);
  greedy.tx.outputs[1].amount_sat -= 30'000;  // the fee is too high
  CHECK(refusal(host, connection, host.request(greedy, host.nonces(connection, 1))) ==
        RefusalReason::PolicyFee);
  CHECK(host.machine().gauges().bound_outpoints == 0);
  CHECK(signs(host, connection, host.request(payment(1), host.nonces(connection, 1))));
}
