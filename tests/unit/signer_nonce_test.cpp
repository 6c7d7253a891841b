// Tests of the signer's nonces: fresh, handed out once to one connection, used once, then gone.
#include <catch2/catch.hpp>

#include <set>

#include "common/base/limits.h"
#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using wire::RefusalReason;

TEST_CASE("a nonce request is answered with that many different nonces of this start", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto first = host.nonces(connection, 5);
  const auto second = host.nonces(connection, 3);
  std::set<wire::PubNonce> all(first.begin(), first.end());
  all.insert(second.begin(), second.end());
  CHECK(first.size() == 5);
  CHECK(all.size() == 8);
  CHECK(host.machine().gauges().pooled_nonces == 8);
}

TEST_CASE("one request draws no more nonces than a pool holds", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  CHECK(host.nonces(connection, 4'000'000'000).size() == limits::kNoncePoolPerConnection);
  CHECK(host.nonces(connection, 0).empty());
  CHECK(host.machine().gauges().largest_pool == limits::kNoncePoolPerConnection);
}

TEST_CASE("a full pool lets its oldest nonces go and keeps the newest", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto old = host.nonces(connection, limits::kNoncePoolPerConnection);
  const auto fresh = host.nonces(connection, 1);
  CHECK(host.machine().gauges().largest_pool == limits::kNoncePoolPerConnection);
  CHECK(host.machine().gauges().nonces_evicted == 1);
  CHECK(refusal(host, connection, host.request(payment(1), {old[0]})) ==
        RefusalReason::UnknownNonce);
  CHECK(signs(host, connection, host.request(payment(1), {old[1]})));
  CHECK(signs(host, connection, host.request(payment(1), fresh)));
}

TEST_CASE("a nonce signs once", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 1);
  CHECK(signs(host, connection, host.request(payment(1), nonces)));
  // Another session: the made-up nonces of the other signers differ.
  CHECK(refusal(host, connection, host.request(payment(1), nonces)) == RefusalReason::UnknownNonce);
  CHECK(refusal(host, connection, host.request(payment(2), nonces)) == RefusalReason::UnknownNonce);
}

TEST_CASE("a nonce named for two inputs of one request is refused and stays usable once",
          "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 1);
  CHECK(refusal(host, connection, host.request(payment(1, 2), {nonces[0], nonces[0]})) ==
        RefusalReason::UnknownNonce);
  CHECK(host.machine().gauges().shares == 0);
  CHECK(signs(host, connection, host.request(payment(1), nonces)));
}

TEST_CASE("a nonce handed to one connection does not sign over another", "[signer]") {
  SignerHost host;
  const auto mine = host.connect(0);
  const auto theirs = host.connect(1);
  const auto nonces = host.nonces(mine, 1);
  CHECK(refusal(host, theirs, host.request(payment(1), nonces)) == RefusalReason::UnknownNonce);
  CHECK(signs(host, mine, host.request(payment(1), nonces)));
}

TEST_CASE("nonces of two connections mixed in one request are refused and none is consumed",
          "[signer]") {
  SignerHost host;
  const auto a = host.connect(0);
  const auto b = host.connect(1);
  const auto of_a = host.nonces(a, 1);
  const auto of_b = host.nonces(b, 1);
  const auto mixed = host.request(payment(1, 2), {of_a[0], of_b[0]});
  CHECK(refusal(host, a, mixed) == RefusalReason::UnknownNonce);
  CHECK(refusal(host, b, mixed) == RefusalReason::UnknownNonce);
  CHECK(host.machine().gauges().pooled_nonces == 2);
}

TEST_CASE("a lost connection takes its unused nonces with it", "[signer]") {
  SignerHost host;
  const auto before = host.connect();
  const auto nonces = host.nonces(before, 4);
  host.lose(before);
  CHECK(host.machine().gauges().pooled_nonces == 0);
  const auto after = host.connect();
  CHECK(refusal(host, after, host.request(payment(1), {nonces[0]})) == RefusalReason::UnknownNonce);
}

TEST_CASE("another signer's nonce is unknown here", "[signer]") {
  SignerHost other(1);
  SignerHost host(0);
  const auto nonces = other.nonces(other.connect(), 1);
  const auto connection = host.connect();
  CHECK(refusal(host, connection, host.request(payment(1), nonces)) == RefusalReason::UnknownNonce);
}

TEST_CASE("nonces of an earlier start are stale, and unknown under the new epoch", "[signer]") {
  SignerHost host;
  const auto nonces = host.nonces(host.connect(), 2);
  const auto stale = host.request(payment(1), {nonces[0]});
  host.crash();
  const auto connection = host.connect();
  CHECK(refusal(host, connection, stale) == RefusalReason::StaleEpoch);
  CHECK(refusal(host, connection, host.request(payment(1), {nonces[1]})) ==
        RefusalReason::UnknownNonce);
}

TEST_CASE("a share brings as many fresh nonces as it used, and they sign", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  host.ask(connection, payment(1, 3));
  const auto first = host.take<wire::SignResponse>(connection);
  REQUIRE(first.has_value());
  CHECK(first->shares.size() == 3);
  CHECK(first->next_nonces.size() == 3);
  CHECK(host.machine().gauges().pooled_nonces == 3);
  CHECK(signs(host, connection, host.request(payment(2, 3), first->next_nonces)));
}

TEST_CASE("a random source that broke still makes different nonces in a pool", "[signer]") {
  StuckEntropy stuck;
  const auto draw = [&stuck](std::uint16_t id, BootId boot) {
    auto machine = Signer::restore(config_of(id), boot, {});
    REQUIRE(machine.ok());
    Effects effects;
    machine->step(Instant{}, Started{}, stuck, effects);
    machine->step(Instant{}, RecordDurable{1}, stuck, effects);
    machine->step(Instant{}, PeerConnected{ConnectionId(1), CoordinatorId(0), BootId{}}, stuck,
                  effects);
    machine->step(Instant{}, MessageReceived{ConnectionId(1), wire::JournalCheck{}}, stuck,
                  effects);
    machine->step(Instant{}, MessageReceived{ConnectionId(1), wire::NonceRequest{2}}, stuck,
                  effects);
    return std::get<wire::NonceBatch>(std::get<Send>(effects.back()).message).nonces;
  };
  const BootId one(ByteArray<16>{1});
  const BootId two(ByteArray<16>{2});
  std::set<wire::PubNonce> all;
  for (const auto& drawn : {draw(0, one), draw(0, two), draw(1, one)})
    all.insert(drawn.begin(), drawn.end());
  CHECK(all.size() == 6);
}

TEST_CASE("what a session of this signer wants is its whole nonce, not half of it", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 2);
  wire::PubNonce spliced = nonces[0];
  std::copy(nonces[1].begin() + 33, nonces[1].end(), spliced.begin() + 33);
  CHECK(refusal(host, connection, host.request(payment(1), {spliced})) ==
        RefusalReason::UnknownNonce);
}
