// A signer that holds a list of clients signs what a client asked for, and nothing else.
//
// Invariant tested: without the client's own signature over cluster, key, account, script and
// amount no share leaves and no record is written, whatever else fits; one request is one
// withdrawal. The host of signer_host.h checks the rest at every share.
#include <catch2/catch.hpp>

#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using wire::RefusalReason;

namespace {

crypto::Ed25519Key key_of(std::uint8_t seed) {
  Secret<32> bytes;
  bytes.data()[0] = seed;
  auto key = crypto::Ed25519Key::from_seed(std::move(bytes));
  REQUIRE(key.ok());
  return std::move(key).value();
}

constexpr std::int64_t kLimit = 60'000;

std::shared_ptr<const wire::ClientList> clients(std::optional<std::set<Bytes>> scripts = {}) {
  auto list = wire::ClientList::make(
      "test",
      {{"shop", key_of(1).public_key(), {"alpha"}}, {"bank", key_of(2).public_key(), {"bravo"}}},
      {{"alpha", {kLimit, std::move(scripts)}}, {"bravo", {kLimit, {}}}});
  REQUIRE(list.ok());
  return std::make_shared<const wire::ClientList>(std::move(list).value());
}

wire::ClientSignature signed_by(const std::string& client, std::uint8_t seed,
                                const wire::PaymentRequest& request,
                                const std::string& cluster = "test") {
  return {client, key_of(seed).sign(wire::signed_text(cluster, client, request)).value()};
}

// A withdrawal of `key` from alpha as shop asked for it, and the request's parts.
struct Asked {
  Payment payment;
  wire::ClientRequest client;
};
Asked asked(const std::string& key, std::uint8_t number = 1) {
  Asked out{payment(number), {}};
  const bitcoin::TxOut& paid = out.payment.tx.outputs[0];
  const wire::PaymentRequest request{key, "alpha", paid.script, paid.amount_sat};
  out.payment.id = wire::withdrawal_id_of(key);
  out.payment.payload_digest = wire::payload_digest("alpha", paid.script, paid.amount_sat);
  out.client = {key, "alpha", signed_by("shop", 1, request)};
  return out;
}

SignerConfig config_with(std::shared_ptr<const wire::ClientList> list) {
  SignerConfig config = config_of(0);
  config.clients = std::move(list);
  return config;
}

struct Tried {
  bool signed_it = false;
  std::optional<wire::SignRefusal> refusal;
};
Tried try_it(SignerHost& host, Payment payment, std::optional<wire::ClientRequest> client) {
  const ConnectionId connection = host.connect();
  payment.client = std::move(client);
  const wire::SignRequest request = host.request(payment, host.nonces(connection, 1));
  const std::uint64_t before = host.length();
  host.receive(connection, request);
  const auto answer = host.take(connection);
  REQUIRE(answer);
  Tried tried;
  tried.signed_it = std::holds_alternative<wire::SignResponse>(*answer);
  if (const auto* no = std::get_if<wire::SignRefusal>(&*answer)) tried.refusal = *no;
  CHECK(host.length() == before + (tried.signed_it ? 1 : 0));
  return tried;
}

void refused(SignerHost& host, const Payment& payment, std::optional<wire::ClientRequest> client,
             const std::string& why) {
  const Tried tried = try_it(host, payment, std::move(client));
  INFO(why);
  REQUIRE(tried.refusal);
  CHECK(tried.refusal->reason == RefusalReason::Unrequested);
  CHECK(tried.refusal->detail.find(why) != std::string::npos);
  CHECK_FALSE(tried.refusal->blamed);
}

}  // namespace

TEST_CASE("what a client signed is signed") {
  SignerHost host(config_with(clients()));
  const Asked good = asked("k1");
  CHECK(try_it(host, good.payment, good.client).signed_it);
}

TEST_CASE("without a list a signer needs no client, and looks at none") {
  SignerHost host(config_with(nullptr));
  CHECK(try_it(host, payment(1), std::nullopt).signed_it);
  Asked odd = asked("k2", 2);
  odd.client.by.signature[0] ^= 1;
  CHECK(try_it(host, odd.payment, odd.client).signed_it);
}

TEST_CASE("a payment that no client asked for gets no share") {
  SignerHost host(config_with(clients()));
  Asked good = asked("k1");
  SECTION("no client at all") { refused(host, good.payment, std::nullopt, "no client signed"); }
  SECTION("a client that is not listed") {
    good.client.by.client = "nobody";
    refused(host, good.payment, good.client, "'nobody' is not listed");
  }
  SECTION("another client's name") {
    good.client.by.client = "bank";
    refused(host, good.payment, good.client, "'bank' did not sign");
  }
  SECTION("a flipped bit") {
    good.client.by.signature[40] ^= 4;
    refused(host, good.payment, good.client, "did not sign");
  }
  SECTION("another payee") {
    good.payment.tx.outputs[0].script[3] ^= 1;
    good.payment.payload_digest =
        wire::payload_digest("alpha", good.payment.tx.outputs[0].script, 50'000);
    refused(host, good.payment, good.client, "did not sign");
  }
  SECTION("more than was asked for") {
    good.payment.tx.outputs[0].amount_sat += 1;
    good.payment.tx.outputs[1].amount_sat -= 1;
    good.payment.payload_digest =
        wire::payload_digest("alpha", good.payment.tx.outputs[0].script, 50'001);
    refused(host, good.payment, good.client, "did not sign");
  }
  SECTION("another payload than the transaction's") {
    good.payment.tx.outputs[0].amount_sat -= 1;
    refused(host, good.payment, good.client, "payload is not what");
  }
  SECTION("a withdrawal of another key") {
    good.payment.id = wire::withdrawal_id_of("k9");
    refused(host, good.payment, good.client, "of another key");
  }
  SECTION("under another key than the client signed") {
    good.payment.id = wire::withdrawal_id_of("k9");
    good.client.key = "k9";
    refused(host, good.payment, good.client, "did not sign");
  }
  SECTION("a transaction that pays nobody") {
    good.payment.tx.outputs = {{99'000, wallet().script}};
    refused(host, good.payment, good.client, "pays nobody");
  }
  SECTION("for another cluster") {
    const bitcoin::TxOut& paid = good.payment.tx.outputs[0];
    good.client.by =
        signed_by("shop", 1, {"k1", "alpha", paid.script, paid.amount_sat}, "other");
    refused(host, good.payment, good.client, "did not sign");
  }
  SECTION("from an account that is another client's") {
    const bitcoin::TxOut& paid = good.payment.tx.outputs[0];
    good.payment.payload_digest = wire::payload_digest("bravo", paid.script, paid.amount_sat);
    good.client.account = "bravo";
    good.client.by = signed_by("shop", 1, {"k1", "bravo", paid.script, paid.amount_sat});
    refused(host, good.payment, good.client, "may not pay from account 'bravo'");
  }
}

TEST_CASE("an account's limit and its addresses bind its own client too") {
  const Asked good = asked("k1");
  SignerHost strict(config_with(clients(std::set<Bytes>{payment(7).tx.outputs[0].script})));
  refused(strict, good.payment, good.client, "does not pay to this address");
  SignerHost open(config_with(clients(std::set<Bytes>{good.payment.tx.outputs[0].script})));
  CHECK(try_it(open, good.payment, good.client).signed_it);

  SignerHost host(config_with(clients()));
  Asked large = asked("k2", 2);
  bitcoin::Transaction& tx = large.payment.tx;
  tx.outputs[0].amount_sat = kLimit + 1;
  tx.outputs[1].amount_sat -= kLimit + 1 - 50'000;
  const wire::PaymentRequest wanted{"k2", "alpha", tx.outputs[0].script, kLimit + 1};
  large.payment.payload_digest = wire::payload_digest("alpha", wanted.script, kLimit + 1);
  large.client.by = signed_by("shop", 1, wanted);
  refused(host, large.payment, large.client, "pays at most 60000");
}

// Attack: the coordinator keeps an honest request and asks for it again with coins of its choice.
TEST_CASE("one request is paid once, over restarts and other coins") {
  SignerHost host(config_with(clients()));
  const Asked good = asked("k1");
  REQUIRE(try_it(host, good.payment, good.client).signed_it);
  host.crash();
  Asked again = asked("k1");
  again.payment.tx.inputs[0].outpoint.txid[0] = 99;
  const Tried tried = try_it(host, again.payment, again.client);
  REQUIRE(tried.refusal);
  CHECK(tried.refusal->reason == RefusalReason::WithdrawalBound);
  CHECK(try_it(host, good.payment, good.client).signed_it);
}

TEST_CASE("a list of clients that cannot be meant is refused") {
  const auto refusal = [](std::vector<wire::Client> made,
                          std::map<std::string, wire::AccountRule> rules) {
    const auto list = wire::ClientList::make("test", std::move(made), std::move(rules));
    return list.ok() ? std::string("taken") : list.error().message;
  };
  const wire::Client shop{"shop", key_of(1).public_key(), {"alpha"}};
  const std::map<std::string, wire::AccountRule> rules{{"alpha", {1'000, {}}}};
  CHECK(refusal({shop}, rules) == "taken");
  CHECK(refusal({}, rules).find("clients are wanted") != std::string::npos);
  CHECK(refusal({shop, shop}, rules) == "client 'shop' twice");
  CHECK(refusal({shop}, {}).find("'alpha' has no rule") != std::string::npos);
  CHECK(refusal({{"a b", {}, {}}}, rules).find("client 'a b'") != std::string::npos);
  CHECK(refusal({shop}, {{"alpha", {0, {}}}}).find("limit is out of range") != std::string::npos);
}
