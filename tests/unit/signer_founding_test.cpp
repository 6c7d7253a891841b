// Tests of provisioning again: how a lost journal is founded anew, and how the others go on under
// the new share epoch.
#include <catch2/catch.hpp>

#include "signer/core/durable_state.h"
#include "signer/core/founding.h"
#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using Catch::Matchers::Contains;
using wire::JournalCheck;
using wire::JournalStanding;
using wire::RefusalReason;

namespace {

void sign(SignerHost& host, const Payment& payment) {
  const ConnectionId connection = host.connect();
  host.ask(connection, payment);
  REQUIRE(host.take<wire::SignResponse>(connection).has_value());
  host.lose(connection);
}

JournalSource source_of(const SignerHost& host) {
  return {host.id(), 1, host.durable_records().size(), host.durable_records().back().head};
}

std::vector<Record> founded_from(std::vector<const SignerHost*> others) {
  BindingUnion known;
  std::vector<JournalSource> sources;
  for (const SignerHost* other : others) {
    sources.push_back(source_of(*other));
    for (const Record& record : other->durable_records()) known.add(record);
  }
  const Provisioned now{SignerId(0), "test", 2, wallet().dealt.group.threshold_key()};
  auto records =
      found_journal(now, wallet().dealt.group.id(), 1, std::move(sources), known.bindings());
  REQUIRE(records.ok());
  return std::move(records).value();
}

// 3 of 5: this signer and two others signed; which two, `first` and `second` say.
struct Cluster {
  SignerHost lost{0};
  SignerHost one{1}, two{2}, three{3}, four{4};
  SignerHost& other(std::size_t i) { return i == 1 ? one : i == 2 ? two : i == 3 ? three : four; }
};

}  // namespace

TEST_CASE("n-t+1 of the others meet every quorum that the lost signer was in") {
  CHECK(journals_needed(5, 3) == 3);
  CHECK(journals_needed(3, 2) == 2);
  for (std::size_t first = 1; first <= 4; ++first) {
    for (std::size_t second = first + 1; second <= 4; ++second) {
      Cluster c;
      const Payment paid = payment(1);
      for (SignerHost* member : {&c.lost, &c.other(first), &c.other(second)}) sign(*member, paid);
      // Whichever of the four is not read.
      for (std::size_t unread = 1; unread <= 4; ++unread) {
        std::vector<const SignerHost*> read;
        for (std::size_t i = 1; i <= 4; ++i)
          if (i != unread) read.push_back(&c.other(i));
        SignerHost again(config_of(0));
        again.provision_again(2, founded_from(read));
        const ConnectionId connection = again.connect();
        const auto nonces = again.nonces(connection, 1);
        CHECK(refusal(again, connection, again.request(rebuilt(paid), nonces)) ==
              RefusalReason::WithdrawalBound);
        Payment thief = rebuilt(paid);  // the same coins for another withdrawal
        thief.id = WithdrawalId(ByteArray<16>{99});
        CHECK(refusal(again, connection, again.request(thief, nonces)) ==
              RefusalReason::OutpointBound);
        CHECK(signs(again, connection, again.request(paid, nonces)));
      }
    }
  }
}

TEST_CASE("what the others disagree about is bound to nothing, for ever and over restarts") {
  Cluster c;
  const Payment first = payment(1);
  const Payment second = rebuilt(first);
  sign(c.one, first);
  sign(c.two, second);  // a coordinator that asked for two transactions
  sign(c.three, payment(2));
  BindingUnion known;
  for (const SignerHost* host : {&c.one, &c.two, &c.three})
    for (const Record& record : host->durable_records()) known.add(record);
  CHECK(known.disputed() == 2);
  SignerHost again(config_of(0));
  again.provision_again(2, founded_from({&c.one, &c.two, &c.three}));
  for (int start = 0; start < 2; ++start) {
    const ConnectionId connection = again.connect();
    const auto nonces = again.nonces(connection, 1);
    CHECK(refusal(again, connection, again.request(first, nonces)) ==
          RefusalReason::WithdrawalBound);
    CHECK(refusal(again, connection, again.request(second, nonces)) ==
          RefusalReason::WithdrawalBound);
    Payment other = first;
    other.id = WithdrawalId(ByteArray<16>{77});
    CHECK(refusal(again, connection, again.request(other, nonces)) ==
          RefusalReason::OutpointBound);
    again.crash();
  }
  const ConnectionId connection = again.connect();
  CHECK(signs(again, connection, again.request(payment(2), again.nonces(connection, 1))));
}

TEST_CASE("what was disputed once stays so when it is imported a second time") {
  Cluster c;
  sign(c.one, payment(1));
  sign(c.two, rebuilt(payment(1)));
  BindingUnion once;
  for (const Record& record : founded_from({&c.one, &c.two, &c.three})) once.add(record);
  CHECK(once.disputed() == 2);
  for (const Record& record : c.one.durable_records()) once.add(record);
  CHECK(once.disputed() == 2);
}

TEST_CASE("a founded journal ends the quarantine for the epochs before it, and for no other") {
  Cluster c;
  sign(c.lost, payment(1));
  sign(c.one, payment(1));
  const JournalCheck kept{1, 2, c.lost.durable_records().back().head};
  c.lost.keep_only(0);
  const auto told = [&](const JournalCheck& check) {
    const ConnectionId connection = c.lost.connect_untold();
    c.lost.receive(connection, check);
    const auto answer = c.lost.take<wire::JournalAnswer>(connection);
    return answer ? answer->standing : c.lost.machine().gauges().standing;
  };
  CHECK(told(kept) == JournalStanding::Missing);
  // Without its journal founded, a new share epoch alone changes nothing.
  c.lost.provision_again(2);
  CHECK(told(kept) == JournalStanding::Missing);

  c.lost.provision_again(2, founded_from({&c.one, &c.two, &c.three}));
  CHECK(told(kept) == JournalStanding::Holds);
  sign(c.lost, payment(2));
  const std::uint64_t length = c.lost.durable_records().size();
  const JournalCheck newer{2, length, c.lost.durable_records().back().head};
  CHECK(told(newer) == JournalStanding::Holds);
  c.lost.keep_only(length - 1);
  CHECK(told(newer) == JournalStanding::Missing);
}

TEST_CASE("a signer that lost nothing goes on in its journal under the new share epoch") {
  SignerHost host;
  sign(host, payment(1));
  const JournalCheck kept{1, 2, host.durable_records().back().head};
  host.provision_again(2);
  REQUIRE(host.durable_records().size() == 3);
  const auto* renewed = std::get_if<Reprovisioned>(&host.durable_records()[2].body);
  REQUIRE(renewed != nullptr);
  CHECK(renewed->previous_epoch == 1);
  CHECK(renewed->sources.empty());
  const ConnectionId connection = host.connect_untold();
  host.receive(connection, kept);
  CHECK(host.take<wire::JournalAnswer>(connection)->standing == JournalStanding::Holds);
  CHECK(refusal(host, connection, host.request(rebuilt(payment(1)), host.nonces(connection, 1))) ==
        RefusalReason::WithdrawalBound);
  host.crash();  // once is enough
  CHECK(host.durable_records().size() == 3);
}

TEST_CASE("a rolled-back signer that is only given a new share epoch stays quarantined") {
  SignerHost host;
  sign(host, payment(1));
  sign(host, payment(2));
  const JournalCheck kept{1, 3, host.durable_records().back().head};
  host.keep_only(2);
  host.provision_again(2);  // its journal is as long as the kept one now, with another head
  const ConnectionId connection = host.connect_untold();
  host.receive(connection, kept);
  CHECK(host.machine().gauges().standing == JournalStanding::Forked);
  CHECK(host.nonces(connection, 1).empty());
}

TEST_CASE("a journal with half its imports, or of another dealing, is refused at start") {
  Cluster c;
  sign(c.one, payment(1));
  auto records = founded_from({&c.one, &c.two, &c.three});
  REQUIRE(records.size() == 2);
  const auto restore = [](SignerConfig config, const std::vector<Record>& from) {
    const auto restored = Signer::restore(std::move(config), BootId{}, from);
    return restored ? std::string() : restored.error().message;
  };
  const auto config = [](std::uint32_t epoch, const Wallet& of = wallet()) {
    SignerConfig made = config_of(0, of);
    made.share_epoch = epoch;
    return made;
  };
  CHECK(restore(config(2), records).empty());
  CHECK_THAT(restore(config(1), records), Contains("another share epoch: 2, not 1"));
  CHECK_THAT(restore(config(2), {records[0]}), Contains("1 imported bindings are missing"));
  std::get<Reprovisioned>(records[0].body).group = Hash32{1};
  DurableState chain(Provisioned{SignerId(0), "test", 2, wallet().dealt.group.threshold_key()});
  for (Record& record : records) {
    record = chain.next_record(record.body);
    chain.apply(record);
  }
  CHECK_THAT(restore(config(2), records), Contains("of another group"));
}
