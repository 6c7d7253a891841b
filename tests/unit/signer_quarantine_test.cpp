// Tests of DESIGN 6.8 from the signer's side: what its journal must hold of what the ledger keeps,
// and what it refuses when it does not.
#include <catch2/catch.hpp>

#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using wire::JournalCheck;
using wire::JournalStanding;
using wire::RefusalReason;

namespace {

// What a ledger keeps after a signature with a share that stands at this length.
JournalCheck kept_at(const SignerHost& host, std::uint64_t length) {
  return {1, length, host.durable_records().at(length - 1).head};
}

JournalStanding tell(SignerHost& host, ConnectionId connection, const JournalCheck& kept) {
  host.receive(connection, kept);
  while (const auto message = host.take(connection)) {
    const auto* answer = std::get_if<wire::JournalAnswer>(&*message);
    if (answer == nullptr) continue;  // the status that all coordinators get
    CHECK(answer->share_epoch == kept.share_epoch);
    CHECK(answer->length == kept.length);
    return answer->standing;
  }
  FAIL("no answer");
  return JournalStanding::Unchecked;
}

// Signs `payments` withdrawals; the journal is then `payments` + 1 records long.
void sign_some(SignerHost& host, std::uint8_t payments) {
  const ConnectionId connection = host.connect();
  for (std::uint8_t i = 1; i <= payments; ++i) {
    host.ask(connection, payment(i));
    REQUIRE(host.take<wire::SignResponse>(connection).has_value());
  }
}

}  // namespace

TEST_CASE("no nonce is given over a connection that was not told what the ledger keeps") {
  SignerHost host;
  const ConnectionId told = host.connect();
  const ConnectionId untold = host.connect_untold(1);
  CHECK(host.nonces(untold, 4).empty());
  CHECK(host.nonces(told, 4).size() == 4);
  CHECK(tell(host, untold, {}) == JournalStanding::Holds);
  CHECK(host.nonces(untold, 4).size() == 4);
}

TEST_CASE("a journal that holds the head at its length stands, however much longer it is") {
  SignerHost host;
  sign_some(host, 3);
  const ConnectionId connection = host.connect_untold();
  for (std::uint64_t length = 1; length <= 4; ++length)
    CHECK(tell(host, connection, kept_at(host, length)) == JournalStanding::Holds);
  host.crash();
  const ConnectionId again = host.connect_untold();
  for (std::uint64_t length = 1; length <= 4; ++length)
    CHECK(tell(host, again, kept_at(host, length)) == JournalStanding::Holds);
  for (const JournalStanding standing : host.standings()) CHECK(standing == JournalStanding::Holds);
}

TEST_CASE("a journal shorter than what the ledger keeps is rolled back, and the signer refuses") {
  SignerHost host;
  sign_some(host, 3);
  const JournalCheck newest = kept_at(host, 4);
  host.keep_only(2);
  const ConnectionId other = host.connect(1);
  const auto nonces = host.nonces(other, 1);
  const ConnectionId connection = host.connect_untold();
  CHECK(tell(host, connection, newest) == JournalStanding::RolledBack);

  // Everybody hears of it, also who told an older head before.
  const auto status = host.take<wire::SignerStatus>(other);
  REQUIRE(status.has_value());
  CHECK(status->standing == JournalStanding::RolledBack);
  // Attack: what the lost records forbade. It is refused for the quarantine, with nonces that were
  // given before, and there are no new ones.
  CHECK(refusal(host, other, host.request(rebuilt(payment(3)), nonces)) ==
        RefusalReason::Quarantined);
  CHECK(refusal(host, other, host.request(payment(9), nonces)) == RefusalReason::Quarantined);
  CHECK(host.nonces(other, 4).empty());
  CHECK(host.nonces(connection, 4).empty());
  // Nothing that anybody says afterwards lifts it in this life.
  CHECK(tell(host, other, {}) == JournalStanding::RolledBack);
  CHECK(host.nonces(other, 4).empty());
  CHECK(host.machine().gauges().standing == JournalStanding::RolledBack);
}

TEST_CASE("a restarted signer is judged anew and found rolled back again") {
  SignerHost host;
  sign_some(host, 2);
  const JournalCheck newest = kept_at(host, 3);
  host.keep_only(2);
  for (int start = 0; start < 2; ++start) {
    CHECK(tell(host, host.connect_untold(), newest) == JournalStanding::RolledBack);
    host.crash();
  }
}

TEST_CASE("a wiped journal counts as missing, also after it was begun anew") {
  SignerHost host;
  sign_some(host, 2);
  const JournalCheck newest = kept_at(host, 3);
  const JournalCheck first = kept_at(host, 2);
  host.keep_only(0);
  CHECK(tell(host, host.connect_untold(), first) == JournalStanding::Missing);
  host.crash();  // the new journal has its first record now
  CHECK(host.durable_records().size() == 1);
  CHECK(tell(host, host.connect_untold(), newest) == JournalStanding::Missing);
}

TEST_CASE("a journal that went on after it was put back is forked") {
  SignerHost host;
  sign_some(host, 3);
  const JournalCheck newest = kept_at(host, 4);
  host.keep_only(3);
  // Told only what an older ledger kept, it signs something else: the attack itself.
  const ConnectionId connection = host.connect();
  host.ask(connection, payment(8));
  REQUIRE(host.take<wire::SignResponse>(connection).has_value());
  const auto nonces = host.nonces(connection, 1);
  CHECK(tell(host, connection, newest) == JournalStanding::Forked);
  CHECK(refusal(host, connection, host.request(payment(9), nonces)) == RefusalReason::Quarantined);
}

TEST_CASE("a head of a later share epoch than the journal's quarantines") {
  SignerHost host;
  sign_some(host, 1);
  JournalCheck later = kept_at(host, 2);
  later.share_epoch = 2;
  CHECK(tell(host, host.connect_untold(), later) == JournalStanding::RolledBack);
}

TEST_CASE("a share that waits for its record turns into a refusal when the quarantine comes") {
  SignerHost host;
  sign_some(host, 2);
  const JournalCheck newest = kept_at(host, 3);
  host.keep_only(2);
  const ConnectionId connection = host.connect();
  host.commit_at_once(false);
  const auto asked = host.request(payment(7), host.nonces(connection, 1));
  host.receive(connection, asked);
  REQUIRE(host.silent(connection));  // the record is not durable yet
  JournalCheck beyond = newest;
  beyond.length = 9;
  host.receive(connection, beyond);
  host.make_durable();
  const auto refused = host.take<wire::SignRefusal>(connection);
  REQUIRE(refused.has_value());
  CHECK(refused->reason == RefusalReason::Quarantined);
  CHECK(refused->detail == "journal-rolled-back");
  // Not even the exact retry gets it.
  host.receive(connection, asked);
  std::optional<wire::Message> last;
  while (auto message = host.take(connection)) last = std::move(message);
  REQUIRE((last && std::holds_alternative<wire::SignRefusal>(*last)));
}

TEST_CASE("a request of another group is refused by name and consumes nothing") {
  SignerHost host;
  const ConnectionId connection = host.connect();
  auto request = host.request(payment(1), host.nonces(connection, 1));
  request.group = foreign_wallet().dealt.group.id();
  CHECK(refusal(host, connection, request) == RefusalReason::WrongGroup);
  CHECK(host.length() == 1);
  request.group = wallet().dealt.group.id();
  CHECK(signs(host, connection, request));
}
