// The signer's machine with a key in a token (here one in memory): rules of DESIGN 6 where one
// message covers one amount only, and what it answers while the token does not sign.
#include <catch2/catch.hpp>

#include "chaos/sim/soft_ecdsa.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/hash.h"
#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using wire::RefusalReason;

namespace {

using crypto::SignatureForm;

// One signer, its token, and a disk that takes everything at once.
class HsmSigner {
 public:
  HsmSigner() { start(); }

  void start() {
    SignerConfig config;
    config.id = SignerId(0);
    config.cluster_id = "test";
    config.share_epoch = 1;
    config.group = group;
    config.share = crypto::hsm_share(
        {token.key(),
         [this](const Hash32& digest) -> Result<crypto::CompactEcdsa> {
           ++asked;
           if (!failure.empty()) return Error{ErrorKind::Refused, failure};
           return sim::with_other_s(token.sign(digest));
         },
         [this] { return unavailable; }});
    config.policy = {script, 20'000, 100, 10'000'000};
    signer.emplace(Signer::restore(std::move(config), BootId{}, records).value());
    step(Started{});
    step(PeerConnected{kPeer, CoordinatorId(0), BootId{}});
    step(MessageReceived{kPeer, wire::JournalCheck{}});
    answers.clear();
  }

  // Two coins of 60'000 sat, 100'000 of it paid, 18'000 sat change.
  wire::SignRequest request() const {
    bitcoin::Transaction tx;
    tx.inputs = {{{Hash32{1}, 0}, {}, bitcoin::kSequenceNoReplacement, {}},
                 {{Hash32{1}, 1}, {}, bitcoin::kSequenceNoReplacement, {}}};
    tx.outputs = {{100'000, bitcoin::p2wpkh_script(ByteArray<20>{7})}, {18'000, script}};
    wire::SignRequest asked_for;
    asked_for.withdrawal_id = WithdrawalId(ByteArray<16>{3});
    asked_for.unsigned_tx = bitcoin::serialize_without_witness(tx);
    asked_for.prevouts = {{60'000, script}, {60'000, script}};
    asked_for.group = group->id();
    asked_for.signers = {{SignerId(0), BootId{}, {}}};
    return asked_for;
  }

  wire::Message ask(const wire::SignRequest& wanted) {
    answers.clear();
    step(MessageReceived{kPeer, wanted});
    REQUIRE(answers.size() == 1);
    return answers.front();
  }
  std::optional<RefusalReason> refusal(const wire::SignRequest& wanted) {
    const wire::Message answer = ask(wanted);
    if (const auto* no = std::get_if<wire::SignRefusal>(&answer)) return no->reason;
    return std::nullopt;
  }

  void step(const Event& event) {
    Effects effects;
    signer->step(Instant{}, event, entropy, effects);
    for (const Effect& effect : effects) {
      if (const auto* persist = std::get_if<Persist>(&effect)) {
        records.push_back(persist->record);
        step(RecordDurable{persist->record.sequence});
      } else if (const auto* send = std::get_if<Send>(&effect)) {
        answers.push_back(send->message);
      }
    }
  }

  static constexpr ConnectionId kPeer{1};
  sim::SoftEcdsa token{crypto::sha256(as_bytes("token"))};
  crypto::SigningGroupPtr group = crypto::hsm_group(token.key()).value();
  Bytes script = bitcoin::wallet_script(SignatureForm::Ecdsa, token.key());
  std::string failure, unavailable;
  int asked = 0;
  test::SeededEntropy entropy{1};
  std::vector<Record> records;
  std::vector<wire::Message> answers;
  std::optional<Signer> signer;
};

}  // namespace

TEST_CASE("a token's shares are low-S signatures of the P2WPKH messages, behind one record",
          "[signer][hsm]") {
  HsmSigner s;
  const auto wanted = s.request();
  const wire::Message answer = s.ask(wanted);
  const auto* shares = std::get_if<wire::SignResponse>(&answer);
  REQUIRE(shares != nullptr);
  REQUIRE(shares->shares.size() == 2);
  const auto tx = bitcoin::parse_transaction(wanted.unsigned_tx).value();
  const auto hashes = bitcoin::sighashes(SignatureForm::Ecdsa, tx, wanted.prevouts).value();
  for (std::size_t i = 0; i < 2; ++i) {
    const auto compact = to_array<64>(ByteSpan(shares->shares[i])).value();
    CHECK(crypto::ecdsa_verify(s.token.key(), hashes[i], crypto::der_of(compact).value()));
  }
  REQUIRE(s.records.size() == 2);  // whose journal it is, and the binding
  const auto& record = std::get<SigningRecord>(s.records[1].body);
  CHECK(record.own_nonces.empty());
  CHECK(record.inputs.size() == 2);
}

TEST_CASE("lies about coins told one at a time get no second signature, also after a restart",
          "[signer][hsm]") {
  HsmSigner s;
  // BIP 143: the message of input 0 is the same whatever is said about input 1. The first request
  // lies about 1, so that the fee looks small; its signature of input 0 is good for the real coins.
  auto first = s.request();
  first.prevouts[0].amount_sat = 1'060'000;
  first.prevouts[1].amount_sat = 60'000;
  CHECK(s.refusal(first) == RefusalReason::PolicyFee);
  first.prevouts[0].amount_sat = 60'000;
  const auto tx = bitcoin::parse_transaction(first.unsigned_tx).value();
  auto real = first.prevouts;
  real[1].amount_sat = 1'060'000;
  CHECK(bitcoin::sighashes(SignatureForm::Ecdsa, tx, first.prevouts).value()[0] ==
        bitcoin::sighashes(SignatureForm::Ecdsa, tx, real).value()[0]);
  CHECK_FALSE(s.refusal(first).has_value());
  auto second = first;
  second.prevouts[0].amount_sat = 1;
  second.prevouts[1].amount_sat = 119'000;
  for (int start = 0; start < 2; ++start) {
    CHECK(s.refusal(second) == RefusalReason::PrevoutMismatch);
    s.start();
  }
  CHECK_FALSE(s.refusal(first).has_value());  // the same transaction with the same coins: again
}

TEST_CASE("a coin of another script, and another transaction for a bound coin, are refused",
          "[signer][hsm]") {
  HsmSigner s;
  auto taproot = s.request();
  taproot.prevouts[0].script = bitcoin::p2tr_script(Hash32{9});
  CHECK(s.refusal(taproot) == RefusalReason::BadRequest);  // P2WPKH has no message for it
  auto foreign = s.request();
  foreign.prevouts[0].script = bitcoin::p2wpkh_script(ByteArray<20>{9});
  CHECK(s.refusal(foreign) == RefusalReason::PrevoutMismatch);
  CHECK_FALSE(s.refusal(s.request()).has_value());
  auto other = s.request();
  auto tx = bitcoin::parse_transaction(other.unsigned_tx).value();
  tx.outputs[1].amount_sat -= 1;
  other.unsigned_tx = bitcoin::serialize_without_witness(tx);
  CHECK(s.refusal(other) == RefusalReason::WithdrawalBound);
  other.withdrawal_id = WithdrawalId(ByteArray<16>{4});
  CHECK(s.refusal(other) == RefusalReason::OutpointBound);
}

TEST_CASE("while its token does not sign a signer refuses, and signs when it is back",
          "[signer][hsm]") {
  HsmSigner s;
  s.failure = "the token was removed";
  const wire::Message answer = s.ask(s.request());
  const auto* no = std::get_if<wire::SignRefusal>(&answer);
  REQUIRE(no != nullptr);
  CHECK(no->reason == RefusalReason::KeyUnavailable);
  CHECK(no->detail == "the token was removed");
  CHECK(s.records.size() == 2);  // the coins are bound: nothing else will be signed with them
  // Known to be away, it is not asked, and nothing more is written down.
  s.unavailable = s.failure;
  CHECK(s.refusal(s.request()) == RefusalReason::KeyUnavailable);
  CHECK(s.records.size() == 2);
  CHECK(s.asked == 1);
  s.failure = s.unavailable = "";
  CHECK_FALSE(s.refusal(s.request()).has_value());
}
