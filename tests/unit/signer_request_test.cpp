// Tests of what a signer agrees to sign: shape, transaction, policy, and that the shares fit.
#include <catch2/catch.hpp>

#include <functional>
#include <string>

#include "common/base/limits.h"
#include "common/bitcoin/sighash.h"
#include "common/crypto/schnorr.h"
#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using wire::RefusalReason;
using wire::SignRequest;

namespace {

// One well-formed request, spoiled; then the same nonces must still sign what is right.
void spoiled(RefusalReason expected, const std::function<void(SignRequest&)>& spoil) {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 2);
  const auto right = host.request(payment(1, 2), nonces);
  SignRequest wrong = right;
  spoil(wrong);
  CHECK(refusal(host, connection, wrong) == expected);
  CHECK(host.machine().gauges().pooled_nonces == 2);
  CHECK(host.length() == 1);
  CHECK(signs(host, connection, right));
}

void spoiled_payment(RefusalReason expected, const std::function<void(Payment&)>& spoil) {
  spoiled(expected, [&spoil](SignRequest& request) {
    Payment wrong = payment(1, 2);
    spoil(wrong);
    request.unsigned_tx = bitcoin::serialize_without_witness(wrong.tx);
    request.prevouts = wrong.prevouts;
  });
}

}  // namespace

TEST_CASE("a public nonce of another size than the scheme's is refused and its signer named",
          "[signer]") {
  SignerHost host(0);
  const ConnectionId connection = host.connect();
  const Payment pays = payment(7, 2);
  SignRequest request = host.request(pays, host.nonces(connection, 2));
  auto& last = request.signers[2].nonces[1];
  last = wire::PubNonce::from(ByteSpan(last).first(65)).value();
  host.receive(connection, request);
  const auto refused = host.take<wire::SignRefusal>(connection);
  REQUIRE(refused.has_value());
  CHECK(refused->reason == wire::RefusalReason::BadNonce);
  CHECK(refused->blamed == request.signers[2].id);
  CHECK(host.machine().gauges().shares == 0);
}

TEST_CASE("shares of three signers make signatures the wallet's output key verifies", "[signer]") {
  SignerHost hosts[] = {SignerHost(0), SignerHost(1), SignerHost(2)};
  const Payment pays = payment(7, 2);
  SignRequest request = hosts[0].request(pays, std::vector<wire::PubNonce>(2));
  std::vector<ConnectionId> connections;
  for (std::size_t i = 0; i < 3; ++i) {
    connections.push_back(hosts[i].connect());
    request.signers[i].epoch = hosts[i].boot();
    request.signers[i].nonces = hosts[i].nonces(connections[i], 2);
  }
  std::vector<wire::SignResponse> responses;
  for (std::size_t i = 0; i < 3; ++i) {
    hosts[i].receive(connections[i], request);
    const auto response = hosts[i].take<wire::SignResponse>(connections[i]);
    REQUIRE(response.has_value());
    responses.push_back(*response);
  }
  const auto sighashes = bitcoin::taproot_sighashes(pays.tx, pays.prevouts);
  REQUIRE(sighashes.ok());
  const auto ids = {SignerId(0), SignerId(1), SignerId(2)};
  const auto quorum = crypto::frost::Quorum::create(wallet().dealt.group, wallet().key, ids);
  REQUIRE(quorum.ok());
  for (std::size_t input = 0; input < 2; ++input) {
    std::vector<crypto::frost::PubNonce> nonces;
    std::vector<crypto::frost::PartialSig> shares;
    for (std::size_t i = 0; i < 3; ++i) {
      nonces.push_back(to_array<66>(request.signers[i].nonces[input]).value());
      shares.push_back(to_array<32>(responses[i].shares[input]).value());
    }
    const auto opened = crypto::frost::Session::open(*quorum, nonces, (*sighashes)[input]);
    REQUIRE(opened.ok());
    const auto made = crypto::frost::aggregate(std::get<crypto::frost::Session>(*opened), shares);
    REQUIRE(made.ok());
    const auto* signature = std::get_if<crypto::Signature>(&*made);
    REQUIRE(signature != nullptr);
    CHECK(crypto::schnorr_verify(wallet().key.output_key(), (*sighashes)[input], *signature));
    // Not under another sighash type, and not under the untweaked key.
    const auto maker = bitcoin::TaprootSighash::create(pays.tx, pays.prevouts);
    REQUIRE(maker.ok());
    const auto all = maker->key_path(input, bitcoin::SighashType::All);
    REQUIRE(all.ok());
    CHECK_FALSE(crypto::schnorr_verify(wallet().key.output_key(), *all, *signature));
    CHECK_FALSE(crypto::schnorr_verify(crypto::xonly(wallet().dealt.group.threshold_key()),
                                       (*sighashes)[input], *signature));
  }
}

TEST_CASE("a session needs t or more ascending signers of the group and this one among them",
          "[signer]") {
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.signers.pop_back(); });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.signers.clear(); });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { std::swap(r.signers[1], r.signers[2]); });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.signers[2] = r.signers[1]; });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.signers[2].id = SignerId(5); });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.signers[2].id = SignerId(65535); });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) {
    for (std::uint16_t i = 0; i < 3; ++i)
      r.signers[i].id = SignerId(static_cast<std::uint16_t>(i + 1));
  });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) {
    for (int i = 0; i < 3; ++i) r.signers.push_back(r.signers.back());
  });
}

TEST_CASE("a request names one nonce per input and signer", "[signer]") {
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.signers[1].nonces.pop_back(); });
  spoiled(RefusalReason::BadRequest,
          [](SignRequest& r) { r.signers[0].nonces.push_back(r.signers[1].nonces[0]); });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.signers[0].nonces.clear(); });
}

TEST_CASE("a transaction that does not parse strictly is refused", "[signer]") {
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.unsigned_tx.clear(); });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.unsigned_tx.pop_back(); });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.unsigned_tx.push_back(0); });
  spoiled(RefusalReason::BadRequest,
          [](SignRequest& r) { r.unsigned_tx.resize(limits::kMaxUnsignedTxBytes + 1); });
}

TEST_CASE("a transaction longer than any template is refused, though it parses", "[signer]") {
  spoiled_payment(RefusalReason::BadRequest, [](Payment& p) {
    p.tx.outputs[0].script = Bytes(limits::kMaxUnsignedTxBytes, 0x51);
  });
}

TEST_CASE("neither an annex nor any other witness can be asked for", "[signer]") {
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) {
    Payment with_annex = payment(1, 2);
    with_annex.tx.inputs[0].witness = {Bytes(64, 1), Bytes{0x50, 1, 2}};
    r.unsigned_tx = bitcoin::serialize(with_annex.tx);
  });
}

TEST_CASE("a transaction that blocks may not hold yet, or that another may replace, is refused",
          "[signer]") {
  spoiled_payment(RefusalReason::BadRequest, [](Payment& p) { p.tx.locktime = 1; });
  spoiled_payment(RefusalReason::BadRequest, [](Payment& p) { p.tx.version = 1; });
  spoiled_payment(RefusalReason::BadRequest, [](Payment& p) { p.tx.inputs[0].sequence = 144; });
  spoiled_payment(RefusalReason::BadRequest,
                  [](Payment& p) { p.tx.inputs[1].sequence = 0xfffffffd; });
}

TEST_CASE("an input that carries a script is refused", "[signer]") {
  spoiled_payment(RefusalReason::BadRequest,
                  [](Payment& p) { p.tx.inputs[1].script_sig = Bytes{0x51}; });
}

TEST_CASE("there is one prevout per input, and no more than a template has", "[signer]") {
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) {
    r.prevouts.pop_back();
    for (auto& signer : r.signers) signer.nonces.pop_back();
  });
  spoiled(RefusalReason::BadRequest, [](SignRequest& r) { r.prevouts.clear(); });
  SignerHost host;
  const auto connection = host.connect();
  const auto many = payment(2, limits::kMaxInputsPerTransaction + 1);
  const auto count = static_cast<std::uint32_t>(many.tx.inputs.size());
  CHECK(refusal(host, connection, host.request(many, host.nonces(connection, count))) ==
        RefusalReason::BadRequest);
  const auto most = payment(3, limits::kMaxInputsPerTransaction);
  CHECK(signs(host, connection, host.request(most, host.nonces(connection, count - 1))));
}

TEST_CASE("only coins of the wallet are spent", "[signer]") {
  spoiled_payment(RefusalReason::PrevoutMismatch,
                  [](Payment& p) { p.prevouts[1].script = foreign_wallet().script; });
  spoiled_payment(RefusalReason::PrevoutMismatch, [](Payment& p) { p.prevouts[0].script.clear(); });
}

TEST_CASE("change returns to the wallet or nothing is signed", "[signer]") {
  spoiled_payment(RefusalReason::PolicyChange,
                  [](Payment& p) { p.tx.outputs[1].script = foreign_wallet().script; });
  spoiled_payment(RefusalReason::PolicyChange, [](Payment& p) {
    p.tx.outputs[1].amount_sat -= 10'000;
    p.tx.outputs.push_back({10'000, foreign_wallet().script});
  });
  spoiled_payment(RefusalReason::PolicyChange, [](Payment& p) {
    p.tx.outputs[1].amount_sat -= 10'000;
    p.tx.outputs.push_back({10'000, wallet().script});
  });
}

TEST_CASE("a payment without change is signed", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  Payment whole = payment(1);
  whole.tx.outputs.pop_back();
  whole.tx.outputs[0].amount_sat = 99'000;
  CHECK(signs(host, connection, host.request(whole, host.nonces(connection, 1))));
}

TEST_CASE("a payment above the policy's amount is refused, one at it is signed", "[signer]") {
  for (const std::int64_t over : {0, 1}) {
    SignerHost host;
    const auto connection = host.connect();
    Payment big = payment(1);
    big.prevouts[0].amount_sat = 20'000'000;
    big.tx.outputs[0].amount_sat = 10'000'000 + over;
    big.tx.outputs[1].amount_sat = 20'000'000 - 1'000 - big.tx.outputs[0].amount_sat;
    const auto request = host.request(big, host.nonces(connection, 1));
    if (over == 0)
      CHECK(signs(host, connection, request));
    else
      CHECK(refusal(host, connection, request) == RefusalReason::PolicyAmount);
  }
}

TEST_CASE("outputs that exceed the inputs, and dust, are refused", "[signer]") {
  spoiled_payment(RefusalReason::PolicyAmount,
                  [](Payment& p) { p.tx.outputs[1].amount_sat = 150'001; });
  spoiled_payment(RefusalReason::PolicyAmount, [](Payment& p) {
    p.tx.outputs[1].amount_sat += p.tx.outputs[0].amount_sat - 329;
    p.tx.outputs[0].amount_sat = 329;
  });
}

TEST_CASE("a fee above the policy's absolute limit is refused", "[signer]") {
  spoiled_payment(RefusalReason::PolicyFee,
                  [](Payment& p) { p.tx.outputs[1].amount_sat = 200'000 - 50'000 - 20'001; });
}

TEST_CASE("a fee above the policy's rate on the signed size is refused, one at it is signed",
          "[signer]") {
  // One key-path input, one P2WSH and one P2TR output: 10.5 + 57.5 + 43 + 43 vbytes, rounded up.
  const std::int64_t at_rate = 154 * 100;
  for (const std::int64_t over : {0, 1}) {
    SignerHost host;
    const auto connection = host.connect();
    Payment pays = payment(1);
    pays.tx.outputs[1].amount_sat = 50'000 - at_rate - over;
    const auto request = host.request(pays, host.nonces(connection, 1));
    if (over == 0)
      CHECK(signs(host, connection, request));
    else
      CHECK(refusal(host, connection, request) == RefusalReason::PolicyFee);
  }
}

TEST_CASE("a public nonce that is not two points blames its signer and costs nothing", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  const auto nonces = host.nonces(connection, 2);
  SignRequest request = host.request(payment(1, 2), nonces);
  request.signers[2].nonces[1][0] = 0x05;
  host.receive(connection, request);
  const auto refused = host.take<wire::SignRefusal>(connection);
  REQUIRE(refused.has_value());
  CHECK(refused->reason == RefusalReason::BadNonce);
  CHECK(refused->blamed == SignerId(2));
  CHECK(refused->session_digest != Hash32{});
  CHECK(host.machine().gauges().pooled_nonces == 2);
  CHECK(signs(host, connection, host.request(payment(1, 2), nonces)));
}

TEST_CASE("no refusal but a bad nonce's blames anybody", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  host.receive(connection, SignRequest{});
  const auto refused = host.take<wire::SignRefusal>(connection);
  REQUIRE(refused.has_value());
  CHECK_FALSE(refused->blamed.has_value());
}

TEST_CASE("the own share is checked before release, and that is counted", "[signer]") {
  SignerHost checked;
  const auto connection = checked.connect();
  checked.ask(connection, payment(1, 2));
  CHECK(checked.machine().gauges().self_checks == 2);
  CHECK(checked.machine().gauges().shares == 2);
  SignerConfig config = config_of(0);
  config.verify_own_share = false;
  SignerHost unchecked(std::move(config));
  const auto other = unchecked.connect();
  unchecked.ask(other, payment(1, 2));
  CHECK(unchecked.machine().gauges().self_checks == 0);
  CHECK(unchecked.machine().gauges().shares == 2);
}
