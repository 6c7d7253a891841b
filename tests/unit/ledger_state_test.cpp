// The rules of the books, one sentence each.
#include <limits>

#include "common/base/limits.h"
#include "common/bitcoin/fees.h"
#include "tests/unit/ledger_story.h"

namespace roulette::ledger {
namespace {

using wire::OutcomeKind;
using wire::RejectReason;
using wire::WithdrawalState;

constexpr std::int64_t kCoin = 1'000'000;

// ---- genesis ----

TEST_CASE("before genesis every command is ignored and changes nothing") {
  State state;
  const Hash32 empty = state.digest();
  wire::Withdraw withdraw;
  withdraw.key = "k";
  for (const wire::CommandBody& body :
       {wire::CommandBody(withdraw), wire::CommandBody(wire::EndOfRun{}),
        wire::CommandBody(wire::BlockConnected{}), wire::CommandBody(wire::Signed{})}) {
    CHECK(state.apply({{}, body}).outcome.kind == OutcomeKind::Ignored);
  }
  CHECK(state.digest() == empty);
  CHECK_FALSE(state.closed());
}

TEST_CASE("the first genesis stands, a second one is ignored") {
  Story story;
  wire::Genesis other = test_genesis();
  other.settle_depth = 1;
  const Hash32 before = story.state.digest();
  CHECK(story.give(other).outcome.kind == OutcomeKind::Ignored);
  CHECK(story.state.digest() == before);
  CHECK(story.state.genesis()->settle_depth == 3);
}

TEST_CASE("a genesis whose script does not pay to its key is invalid") {
  wire::Genesis genesis = test_genesis();
  genesis.wallet_script = customer_script(1);
  State state;
  CHECK(state.apply({{}, genesis}).outcome.kind == OutcomeKind::Invalid);
  CHECK_FALSE(state.genesis().has_value());
  genesis = test_genesis();
  genesis.accounts.clear();
  CHECK(state.apply({{}, genesis}).outcome.kind == OutcomeKind::Invalid);
  genesis = test_genesis();
  genesis.settle_depth = 0;
  CHECK(state.apply({{}, genesis}).outcome.kind == OutcomeKind::Invalid);
}

// ---- deposits ----

TEST_CASE("a deposit is credited and selectable at settle depth, not before") {
  Story story;
  (void)story.deposit(1, kCoin);
  (void)story.mine();
  CHECK(story.balance("customer:alice") == 0);
  CHECK_FALSE(story.state.coins()[0].selectable);
  const Applied third = story.mine();
  CHECK(story.balance("customer:alice") == kCoin);
  CHECK(story.balance("wallet") == kCoin);
  CHECK(story.state.coins()[0].selectable);
  REQUIRE(third.postings.size() == 1);
  CHECK(third.postings[0].reason == "deposit");
}

TEST_CASE("a deposit goes to the account that its output number names") {
  Story story;
  (void)story.deposit(2, kCoin, 1);
  story.mine_empty(2);
  CHECK(story.balance("customer:alice") == kCoin);
  CHECK(story.balance("customer:bob") == kCoin);
}

TEST_CASE("a coinbase deposit matures a hundred blocks deep") {
  Story story;
  (void)story.deposit(1, kCoin, 2, true);
  story.mine_empty(98);
  CHECK(story.balance("customer:alice") == 0);
  (void)story.mine();
  CHECK(story.balance("customer:alice") == kCoin);
  CHECK(story.state.coins()[0].selectable);
  (void)story.unmine();
  CHECK_FALSE(story.state.coins()[0].selectable);
  CHECK(story.balance("customer:alice") == kCoin);
}

TEST_CASE("a deposit that is un-mined and mined again is credited once") {
  Story story;
  (void)story.deposit(1, kCoin);
  const Hash32 block = story.tip();
  story.mine_empty(2);
  REQUIRE(story.balance("customer:alice") == kCoin);
  for (int i = 0; i < 3; ++i) (void)story.unmine();
  CHECK(story.state.tip().height == 0);
  CHECK(story.balance("customer:alice") == kCoin);
  CHECK_FALSE(story.state.coins()[0].selectable);
  (void)story.mine_again(block);
  CHECK_FALSE(story.state.coins()[0].selectable);
  story.mine_empty(2);
  CHECK(story.balance("customer:alice") == kCoin);
  CHECK(story.state.coins()[0].selectable);
  check_books(story.state, story.postings);
}

TEST_CASE("an output listed twice in one block is one coin") {
  Story story;
  const wire::WalletOutput output{{hash_of("tx"), 0}, kCoin, false};
  (void)story.mine({hash_of("tx")}, {output, output});
  story.mine_empty(2);
  CHECK(story.state.coins().size() == 1);
  CHECK(story.balance("customer:alice") == kCoin);
}

// ---- withdrawals ----

TEST_CASE("a withdrawal with coins is planned at once and its funds are held") {
  Story story;
  story.fund(2, kCoin);
  const Applied applied = story.withdraw("k", 50'000);
  CHECK(applied.outcome.kind == OutcomeKind::Applied);
  CHECK(applied.changed == std::vector<WithdrawalId>{story.view("k").id});
  REQUIRE(applied.postings.size() == 1);
  CHECK(applied.postings[0] ==
        Posting{"customer:alice", "pending", 60'000, "hold", to_hex(story.view("k").id.value())});
  CHECK(story.state_of("k") == WithdrawalState::Planned);
  CHECK(story.balance("customer:alice") == 2 * kCoin - 60'000);
  check_books(story.state, story.postings);
}

TEST_CASE("the template pays the customer exactly and returns the change to the wallet") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  const wire::WithdrawalView view = story.view("k");
  const auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
  REQUIRE(tx.ok());
  const bitcoin::Transaction& planned = tx.value();
  CHECK(planned.version == 2);
  CHECK(planned.locktime == 0);
  REQUIRE(planned.inputs.size() == 1);
  CHECK(planned.inputs[0].sequence == bitcoin::kSequenceNoReplacement);
  REQUIRE(planned.outputs.size() == 2);
  CHECK(planned.outputs[0] == bitcoin::TxOut{50'000, view.script});
  CHECK(planned.outputs[1].script == story.genesis().wallet_script);
  CHECK(planned.outputs[1].amount_sat == kCoin - 50'000 - view.planned->fee_sat);
  CHECK(bitcoin::txid(planned) == view.planned->txid);
}

TEST_CASE("the fee is the rate times the signed transaction's size") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  (void)story.sign("k");
  const auto tx = bitcoin::parse_transaction(story.view("k").signed_tx);
  REQUIRE(tx.ok());
  CHECK(story.view("k").planned->fee_sat == 10 * bitcoin::vsize(tx.value()));
}

TEST_CASE(
    "the same key and payload is a duplicate of the first withdrawal, also under another id") {
  Story story;
  story.fund(2, kCoin);
  wire::Withdraw first = story.withdraw_command("k", 50'000);
  (void)story.give(first);
  const Hash32 before = story.state.digest();
  wire::Withdraw again = first;
  again.id = WithdrawalId(ByteArray<16>{9});
  again.owner = CoordinatorId(1);
  const Applied applied = story.give(again);
  CHECK(applied.outcome.kind == OutcomeKind::Duplicate);
  CHECK(applied.outcome.withdrawal == first.id);
  CHECK(applied.changed.empty());
  CHECK(story.state.digest() == before);
  CHECK(story.state.reservations().size() == 1);
}

TEST_CASE("the same key with another payload is a conflict and changes nothing") {
  Story story;
  story.fund(2, kCoin);
  (void)story.withdraw("k", 50'000);
  const Hash32 before = story.state.digest();
  CHECK(story.withdraw("k", 50'001).outcome.kind == OutcomeKind::KeyConflict);
  CHECK(story.withdraw("k", 50'000, "bob").outcome.kind == OutcomeKind::KeyConflict);
  CHECK(story.state.digest() == before);
}

TEST_CASE("a business refusal is recorded under its key and stays final") {
  Story story;
  CHECK(story.withdraw("poor", 50'000).outcome.kind == OutcomeKind::Rejected);
  CHECK(story.state_of("poor") == WithdrawalState::Rejected);
  CHECK(story.view("poor").reject == RejectReason::InsufficientFunds);
  story.fund(1, kCoin);
  CHECK(story.withdraw("poor", 50'000).outcome.kind == OutcomeKind::Duplicate);
  CHECK(story.state_of("poor") == WithdrawalState::Rejected);
  CHECK(story.balance("pending") == 0);
  CHECK(story.state.unfinished().empty());
}

TEST_CASE("each business rule rejects with its own reason") {
  Story story;
  story.fund(1, 300'000'000);
  const auto reason = [&story](const wire::Withdraw& withdraw) {
    CHECK(story.give(withdraw).outcome.kind == OutcomeKind::Rejected);
    return story.view(withdraw.key).reject;
  };
  CHECK(reason(story.withdraw_command("a", 50'000, "nobody")) == RejectReason::UnknownAccount);
  CHECK(reason(story.withdraw_command("b", 999)) == RejectReason::AmountTooSmall);
  CHECK(reason(story.withdraw_command("c", -5)) == RejectReason::AmountTooSmall);
  CHECK(reason(story.withdraw_command("d", 100'000'001)) == RejectReason::AmountTooLarge);
  CHECK(reason(story.withdraw_command("e", std::numeric_limits<std::int64_t>::max())) ==
        RejectReason::AmountTooLarge);
  CHECK(reason(story.withdraw_command("f", 50'000, "bob")) == RejectReason::InsufficientFunds);
  const auto to_script = [&story](const std::string& key, Bytes script) {
    wire::Withdraw withdraw = story.withdraw_command(key, 50'000);
    withdraw.script = std::move(script);
    withdraw.payload_digest = wire::payload_digest("alice", withdraw.script, 50'000);
    return withdraw;
  };
  CHECK(reason(to_script("g", {0x6a, 0x01, 0x00})) == RejectReason::BadScript);
  CHECK(reason(to_script("h", {})) == RejectReason::BadScript);
  CHECK(reason(to_script("i", story.genesis().wallet_script)) == RejectReason::BadScript);
  check_books(story.state, story.postings);
}

TEST_CASE("amounts under the dust limit are rejected even where the least amount is lower") {
  wire::Genesis genesis = test_genesis();
  genesis.min_amount_sat = 1;
  Story story(genesis);
  story.fund(1, kCoin);
  (void)story.withdraw("dust", 329);
  CHECK(story.view("dust").reject == RejectReason::AmountTooSmall);
  CHECK(story.withdraw("enough", 330).outcome.kind == OutcomeKind::Applied);
}

TEST_CASE("an account pays down to exactly zero and not below") {
  Story story;
  story.fund(1, 100'000);
  CHECK(story.withdraw("over", 90'001).outcome.kind == OutcomeKind::Rejected);
  CHECK(story.withdraw("all", 90'000).outcome.kind == OutcomeKind::Applied);
  CHECK(story.balance("customer:alice") == 0);
  CHECK(story.withdraw("more", 1'000).outcome.kind == OutcomeKind::Rejected);
  check_books(story.state, story.postings);
}

TEST_CASE(
    "a withdrawal with a wrong payload digest, a taken id or no key is invalid, not recorded") {
  Story story;
  story.fund(1, kCoin);
  wire::Withdraw withdraw = story.withdraw_command("k", 50'000);
  withdraw.payload_digest[0] ^= 1;
  CHECK(story.give(withdraw).outcome.kind == OutcomeKind::Invalid);
  CHECK_FALSE(story.state.by_key("k").has_value());
  (void)story.withdraw("k", 50'000);
  wire::Withdraw same_id = story.withdraw_command("other", 50'000);
  same_id.id = story.view("k").id;
  CHECK(story.give(same_id).outcome.kind == OutcomeKind::Invalid);
  CHECK(story.withdraw("", 50'000).outcome.kind == OutcomeKind::Invalid);
  CHECK(story.state.withdrawals() == 1);
}

// ---- coin selection ----

TEST_CASE("the smallest single coin that suffices is chosen") {
  Story story;
  story.fund(1, 5 * kCoin);
  story.fund(1, 70'000);
  story.fund(1, 2 * kCoin);
  (void)story.withdraw("k", 50'000);
  REQUIRE(story.view("k").planned->prevouts.size() == 1);
  CHECK(story.view("k").planned->prevouts[0].amount_sat == 70'000);
}

TEST_CASE("coins of equal amount go by outpoint") {
  Story story;
  story.fund(3, kCoin);
  (void)story.withdraw("k", 50'000);
  const auto first = story.state.coins()[0].outpoint;
  REQUIRE(story.state.reservations().size() == 1);
  CHECK(story.state.reservations()[0].outpoint == first);
}

TEST_CASE("without a single coin the largest ones add up, in outpoint order") {
  Story story;
  story.fund(3, 100'000);
  story.fund(3, 40'000);
  (void)story.withdraw("k", 180'000);
  const auto view = story.view("k");
  REQUIRE(view.planned->prevouts.size() == 2);
  for (const bitcoin::TxOut& prevout : view.planned->prevouts) CHECK(prevout.amount_sat == 100'000);
  const auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
  REQUIRE(tx.ok());
  CHECK(tx.value().inputs[0].outpoint < tx.value().inputs[1].outpoint);
}

TEST_CASE("more inputs than the bound are never planned") {
  wire::Genesis genesis = test_genesis();
  genesis.withdrawal_fee_sat = 100'000;
  Story story(genesis);
  story.fund(20, 50'000);
  (void)story.withdraw("within", 300'000);
  CHECK(story.view("within").planned->prevouts.size() == 7);
  (void)story.withdraw("beyond", 420'000);
  CHECK(story.state_of("beyond") == WithdrawalState::Requested);
}

TEST_CASE("a network fee above the customer's fee is never planned") {
  wire::Genesis genesis = test_genesis();
  genesis.withdrawal_fee_sat =
      1'600;  // one input and two outputs cost 1540, one more input too much
  Story story(genesis);
  story.fund(5, 60'000);
  (void)story.withdraw("one", 50'000);
  CHECK(story.state_of("one") == WithdrawalState::Planned);
  CHECK(story.view("one").planned->fee_sat == 1'540);
  (void)story.withdraw("two", 100'000);
  CHECK(story.state_of("two") == WithdrawalState::Requested);
}

TEST_CASE("change that would be dust goes to the fee") {
  Story story;
  story.fund(1, 51'700);
  story.fund(1, 20'000);
  (void)story.withdraw("k", 50'000);
  const auto tx = bitcoin::parse_transaction(story.view("k").planned->unsigned_tx);
  REQUIRE(tx.ok());
  REQUIRE(story.view("k").planned->prevouts.size() == 1);
  CHECK(tx.value().outputs.size() == 1);
  CHECK(story.view("k").planned->fee_sat == 1'700);
}

TEST_CASE("without coins a withdrawal waits and is planned when a deposit settles") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("first", 50'000);
  (void)story.withdraw("second", 50'000);
  CHECK(story.state_of("second") == WithdrawalState::Requested);
  (void)story.deposit(1, kCoin);
  (void)story.mine();
  CHECK(story.state_of("second") == WithdrawalState::Requested);
  const Applied settling = story.mine();
  CHECK(story.state_of("second") == WithdrawalState::Planned);
  CHECK(settling.changed == std::vector<WithdrawalId>{story.view("second").id});
}

TEST_CASE("waiting withdrawals are served first in first out: a small one never overtakes") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("uses-the-coin", 50'000);
  (void)story.withdraw("big", 500'000);
  (void)story.withdraw("small", 50'000);
  story.fund(1, 100'000);
  CHECK(story.state_of("big") == WithdrawalState::Requested);
  CHECK(story.state_of("small") == WithdrawalState::Requested);
  story.fund(1, kCoin);
  CHECK(story.state_of("big") == WithdrawalState::Planned);
  CHECK(story.state_of("small") == WithdrawalState::Planned);
}

TEST_CASE("our change is selectable at depth one and its parent is told") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("parent", 50'000);
  story.send("parent");
  (void)story.withdraw("child", 50'000);
  CHECK(story.state_of("child") == WithdrawalState::Requested);
  (void)story.mine({story.txid_of("parent")});
  CHECK(story.state_of("child") == WithdrawalState::Planned);
  CHECK(story.view("child").parents == std::vector<Hash32>{story.txid_of("parent")});
  (void)story.mine();
  const Applied settled = story.mine();
  CHECK(story.state_of("parent") == WithdrawalState::Settled);
  CHECK(story.view("child").parents.empty());
  CHECK(settled.changed.size() == 2);  // the child lost an unsettled parent: its followers hear it
}

TEST_CASE("a chain of unsettled ancestors stays below the bound") {
  wire::Genesis genesis = test_genesis();
  genesis.settle_depth = 60;  // so that confirmed parents stay unsettled
  Story story(genesis);
  story.fund(1, 50 * kCoin);
  std::string last;
  unsigned planned = 0;
  for (int i = 0; i < 30; ++i) {
    const std::string key = "k" + std::to_string(i);
    (void)story.withdraw(key, 50'000);
    if (story.state_of(key) != WithdrawalState::Planned) break;
    ++planned;
    story.send(key);
    (void)story.mine({story.txid_of(key)});
  }
  CHECK(planned == limits::kMaxUnsettledAncestors);
}

TEST_CASE("an outpoint once reserved is never free again, whatever the chain does") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  const auto outpoint = story.state.reservations()[0].outpoint;
  story.send("k");
  (void)story.mine({story.txid_of("k")});
  for (std::size_t i = story.height(); i > 0; --i) (void)story.unmine();
  (void)story.mine({outpoint.txid}, {{outpoint, kCoin, false}});
  story.mine_empty(5);
  (void)story.withdraw("other", 50'000);
  CHECK(story.state_of("other") == WithdrawalState::Requested);
  CHECK(story.state.reservations().size() == 1);
  check_books(story.state, story.postings);
}

// ---- signed, broadcast ----

TEST_CASE("valid signatures give the signed transaction, first valid bytes win") {
  Story story;
  story.fund(2, 40'000);
  (void)story.withdraw("k", 50'000);
  const Applied applied = story.sign("k");
  CHECK(applied.outcome.kind == OutcomeKind::Applied);
  CHECK(story.state_of("k") == WithdrawalState::Signed);
  const Bytes bytes = story.view("k").signed_tx;
  const auto tx = bitcoin::parse_transaction(bytes);
  REQUIRE(tx.ok());
  CHECK(bitcoin::txid(tx.value()) == story.txid_of("k"));
  REQUIRE(tx.value().inputs.size() == 2);
  // Another valid signature of the same template, as a second coordinator may produce it.
  wire::Signed other = story.signed_command("k");
  const auto hashes = bitcoin::taproot_sighashes(tx.value(), story.view("k").planned->prevouts);
  WalletKey key;
  other.signatures[0] = crypto::schnorr_sign(key.secret, hashes.value()[0], hash_of("aux")).value();
  CHECK(story.give(other).outcome.kind == OutcomeKind::Ignored);
  CHECK(story.view("k").signed_tx == bytes);
}

TEST_CASE("a wallet whose key is a token's is spent by hash of key, with low S alone") {
  Story story(token_genesis());
  story.fund(2, 40'000);
  (void)story.withdraw("k", 50'000);
  const auto planned = story.view("k").planned.value();
  const auto tx = bitcoin::parse_transaction(planned.unsigned_tx).value();
  REQUIRE(tx.inputs.size() == 2);
  CHECK(tx.outputs.back().script == story.genesis().wallet_script);  // change comes back
  CHECK(bitcoin::classify(tx.outputs.back().script) == bitcoin::ScriptType::P2wpkh);
  CHECK(planned.fee_sat == 10 * bitcoin::signed_vsize(crypto::SignatureForm::Ecdsa, 2, tx.outputs));
  const wire::Signed good = story.signed_command("k");
  const auto with = [&](const Bytes& signature) {
    wire::Signed bad = good;
    bad.signatures[1] = crypto::WalletSignature::from(signature).value();
    return story.give(bad).outcome.kind;
  };
  const Bytes der(good.signatures[1].begin(), good.signatures[1].end());
  // BIP 146: the other S would be a second set of bytes that somebody else can make.
  const auto high = sim::with_other_s(crypto::compact_of(der).value());
  CHECK(with(crypto::der_of(high).value()) == OutcomeKind::Invalid);
  CHECK(with(Bytes(64, 1)) == OutcomeKind::Invalid);
  CHECK(with({}) == OutcomeKind::Invalid);
  Bytes with_type = der;
  with_type.push_back(1);
  CHECK(with(with_type) == OutcomeKind::Invalid);
  // BIP 143 covers the amount: a signature for another one spends nothing.
  auto lied = planned.prevouts;
  lied[1].amount_sat += 1;
  const auto other = bitcoin::sighashes(crypto::SignatureForm::Ecdsa, tx, lied).value();
  CHECK(with(token_key().der(other[1])) == OutcomeKind::Invalid);
  CHECK(story.state_of("k") == WithdrawalState::Planned);
  CHECK(story.give(good).outcome.kind == OutcomeKind::Applied);
  const auto made = bitcoin::parse_transaction(story.view("k").signed_tx).value();
  for (std::size_t i = 0; i < 2; ++i) {
    REQUIRE(made.inputs[i].witness.size() == 2);
    CHECK(made.inputs[i].witness[0].size() == good.signatures[i].size() + 1);
    CHECK(made.inputs[i].witness[0].back() == 1);  // SIGHASH_ALL
    CHECK(crypto::hash160(made.inputs[i].witness[1]) ==
          to_array<20>(ByteSpan(story.genesis().wallet_script).subspan(2)));
  }
  CHECK(10 * bitcoin::vsize(made) <= planned.fee_sat);
  // A snapshot holds the signatures, whatever their length, and nothing else of the witness.
  const Bytes bytes = story.state.encode();
  const auto again = State::decode(bytes);
  REQUIRE(again.ok());
  CHECK(again->digest() == story.state.digest());
  CHECK(again->encode() == bytes);
}

TEST_CASE("books verify by the form that their genesis names, and no other opens them") {
  wire::Genesis genesis = token_genesis();
  genesis.signature_form = crypto::SignatureForm::Bip340;
  State wrong_form;
  CHECK(wrong_form.apply({{}, genesis}).outcome.kind == OutcomeKind::Invalid);
  genesis = token_genesis();
  genesis.wallet_script = test_genesis().wallet_script;
  State wrong_script;
  CHECK(wrong_script.apply({{}, genesis}).outcome.kind == OutcomeKind::Invalid);
  State other_verifier(&crypto::frost_scheme());
  CHECK(other_verifier.apply({{}, token_genesis()}).outcome.kind == OutcomeKind::Invalid);
  CHECK(State().apply({{}, token_genesis()}).outcome.kind == OutcomeKind::Applied);
}

TEST_CASE("a snapshot of the earlier format is refused by name") {
  Story story;
  Bytes bytes = story.state.encode();
  const std::string format = "roulette/ledger-snapshot/3";
  REQUIRE(std::equal(format.begin(), format.end(), bytes.begin() + 4));
  bytes[4 + format.size() - 1] = '2';
  const auto refused = State::decode(bytes);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("of roulette/ledger-snapshot/2; this program reads " +
                                     format) != std::string::npos);
}

TEST_CASE("a signature that does not verify, another txid and a missing signature are invalid") {
  Story story;
  story.fund(2, 40'000);
  (void)story.withdraw("k", 50'000);
  const wire::Signed good = story.signed_command("k");
  const Hash32 before = story.state.digest();
  wire::Signed bad = good;
  bad.signatures[1][63] ^= 1;
  CHECK(story.give(bad).outcome.kind == OutcomeKind::Invalid);
  bad = good;
  std::swap(bad.signatures[0], bad.signatures[1]);
  CHECK(story.give(bad).outcome.kind == OutcomeKind::Invalid);
  bad = good;
  bad.signatures.pop_back();
  CHECK(story.give(bad).outcome.kind == OutcomeKind::Invalid);
  bad = good;
  bad.txid[0] ^= 1;
  CHECK(story.give(bad).outcome.kind == OutcomeKind::Invalid);
  bad = good;
  bad.withdrawal_id = WithdrawalId(ByteArray<16>{7});
  CHECK(story.give(bad).outcome.kind == OutcomeKind::Invalid);
  CHECK(story.state.digest() == before);
  CHECK(story.give(good).outcome.kind == OutcomeKind::Applied);
}

TEST_CASE("signatures for a withdrawal without a template are invalid") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("first", 50'000);
  (void)story.withdraw("waiting", 50'000);
  wire::Signed command = story.signed_command("first");
  command.withdrawal_id = story.view("waiting").id;
  CHECK(story.give(command).outcome.kind == OutcomeKind::Invalid);
}

TEST_CASE("the longest journal head per signer is kept and a fork is reported") {
  Story story;
  story.fund(4, kCoin);
  const auto sign_with = [&story](const std::string& key, std::uint64_t length, const char* head) {
    (void)story.withdraw(key, 50'000);
    wire::Signed command = story.signed_command(key);
    command.journals = {{SignerId(2), length, hash_of(head)}};
    return story.give(command).outcome.detail;
  };
  CHECK(sign_with("a", 5, "x").empty());
  CHECK(sign_with("b", 4, "older").empty());
  CHECK(sign_with("c", 5, "y") == "journal forks: signer-2 at 5");
  CHECK(sign_with("d", 6, "z").empty());
  REQUIRE(story.state.journal_heads().size() == 1);
  CHECK(story.state.journal_heads()[0] == wire::JournalHead{SignerId(2), 6, hash_of("z")});
}

TEST_CASE("broadcast follows signed and is otherwise ignored") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  CHECK(story.broadcast("k").outcome.kind == OutcomeKind::Ignored);
  CHECK(story.state_of("k") == WithdrawalState::Planned);
  (void)story.sign("k");
  CHECK(story.broadcast("k").outcome.kind == OutcomeKind::Applied);
  CHECK(story.state_of("k") == WithdrawalState::Broadcast);
  CHECK(story.broadcast("k").outcome.kind == OutcomeKind::Ignored);
  CHECK(story.give(wire::Broadcast{story.view("k").id, hash_of("x")}).outcome.kind ==
        OutcomeKind::Invalid);
}

// ---- the chain ----

TEST_CASE("a block that does not fit the tip changes nothing") {
  Story story;
  (void)story.mine();
  const Hash32 before = story.state.digest();
  wire::BlockConnected block{hash_of("b"), hash_of("elsewhere"), 2, {}, {}};
  CHECK(story.give(block).outcome.kind == OutcomeKind::Ignored);
  block.prev = story.tip();
  block.height = 3;
  CHECK(story.give(block).outcome.kind == OutcomeKind::Ignored);
  CHECK(story.give(wire::BlockDisconnected{hash_of("b")}).outcome.kind == OutcomeKind::Ignored);
  CHECK(story.state.digest() == before);
  CHECK(story.state.tip() == wire::ChainTip{story.tip(), 1});
}

TEST_CASE("the anchor is never disconnected") {
  Story story;
  CHECK(story.give(wire::BlockDisconnected{story.genesis().anchor_block}).outcome.kind ==
        OutcomeKind::Ignored);
  CHECK(story.state.tip().height == 0);
}

TEST_CASE("a withdrawal is confirmed in its block and settled at settle depth") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  story.send("k");
  (void)story.mine({story.txid_of("k")});
  CHECK(story.state_of("k") == WithdrawalState::Confirmed);
  CHECK(story.view("k").height == story.height());
  (void)story.mine();
  CHECK(story.state_of("k") == WithdrawalState::Confirmed);
  const Applied applied = story.mine();
  CHECK(story.state_of("k") == WithdrawalState::Settled);
  CHECK(applied.postings.size() == 4);
  CHECK(story.balance("pending") == 0);
  const std::int64_t fee = story.view("k").planned->fee_sat;
  CHECK(story.balance("fees") == 10'000 - fee);
  CHECK(story.balance("wallet") == kCoin - 50'000 - fee);
  CHECK(story.state.unfinished().empty());
  check_books(story.state, story.postings);
}

TEST_CASE("a settle depth of one settles in the block itself") {
  wire::Genesis genesis = test_genesis();
  genesis.settle_depth = 1;
  Story story(genesis);
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  story.send("k");
  (void)story.mine({story.txid_of("k")});
  CHECK(story.state_of("k") == WithdrawalState::Settled);
  (void)story.unmine();
  CHECK(story.state_of("k") == WithdrawalState::Broadcast);
}

TEST_CASE("confirmed is revocable: an un-mined withdrawal is to be broadcast again") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  story.send("k");
  (void)story.mine({story.txid_of("k")});
  const Applied applied = story.unmine();
  CHECK(story.state_of("k") == WithdrawalState::Broadcast);
  CHECK(story.view("k").height == 0);
  CHECK(applied.changed == std::vector<WithdrawalId>{story.view("k").id});
  (void)story.mine({story.txid_of("k")});
  CHECK(story.state_of("k") == WithdrawalState::Confirmed);
}

TEST_CASE("settled goes back step by step and its postings are made once") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  story.send("k");
  (void)story.mine({story.txid_of("k")});
  story.mine_empty(2);
  REQUIRE(story.state_of("k") == WithdrawalState::Settled);
  const auto settled_balances = story.state.balances();
  (void)story.unmine();
  CHECK(story.state_of("k") == WithdrawalState::Confirmed);
  CHECK(story.state.unfinished().size() == 1);
  (void)story.unmine();
  CHECK(story.state_of("k") == WithdrawalState::Confirmed);
  (void)story.unmine();
  CHECK(story.state_of("k") == WithdrawalState::Broadcast);
  CHECK(story.state.balances() == settled_balances);
  (void)story.mine({story.txid_of("k")});
  story.mine_empty(2);
  CHECK(story.state_of("k") == WithdrawalState::Settled);
  CHECK(story.state.balances() == settled_balances);
  check_books(story.state, story.postings);
}

TEST_CASE("change whose creator is un-mined is unselectable until it returns") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("parent", 50'000);
  story.send("parent");
  (void)story.mine({story.txid_of("parent")});
  (void)story.unmine();
  (void)story.withdraw("child", 50'000);
  CHECK(story.state_of("child") == WithdrawalState::Requested);
  (void)story.mine({story.txid_of("parent")});
  CHECK(story.state_of("child") == WithdrawalState::Planned);
}

TEST_CASE("dozens of un-mined blocks are followed down to the anchor and up again") {
  Story story;
  story.fund(10, kCoin);
  for (int i = 0; i < 10; ++i) {
    const std::string key = "k" + std::to_string(i);
    (void)story.withdraw(key, 50'000);
    story.send(key);
    (void)story.mine({story.txid_of(key)});
  }
  story.mine_empty(20);
  std::vector<Hash32> gone;
  while (story.state.tip().height > 0) {
    gone.push_back(story.tip());
    (void)story.unmine();
  }
  for (const wire::WithdrawalView& view : story.state.all()) {
    CHECK(view.state == WithdrawalState::Broadcast);
  }
  for (const CoinView& coin : story.state.coins()) CHECK_FALSE(coin.selectable);
  for (auto block = gone.rbegin(); block != gone.rend(); ++block) (void)story.mine_again(*block);
  for (const wire::WithdrawalView& view : story.state.all()) {
    CHECK(view.state == WithdrawalState::Settled);
  }
  check_books(story.state, story.postings);
}

TEST_CASE("a parent that is un-mined below its settled child's plan is told to be sent first") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("parent", 50'000);
  story.send("parent");
  (void)story.mine({story.txid_of("parent")});
  story.mine_empty(2);
  (void)story.withdraw("child", 50'000);
  CHECK(story.view("child").parents.empty());
  const Applied applied = story.unmine();
  CHECK(story.view("child").parents == std::vector<Hash32>{story.txid_of("parent")});
  CHECK(applied.changed.size() == 2);
}

TEST_CASE(
    "a planned withdrawal found in a block is paid, reported, and planned again if the block "
    "goes") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  const wire::Signed late = story.signed_command("k");
  const Applied applied = story.mine({story.txid_of("k")});
  CHECK(story.state_of("k") == WithdrawalState::Confirmed);
  CHECK(applied.outcome.detail ==
        "confirmed without signed bytes: " + to_hex(story.view("k").id.value()));
  (void)story.unmine();
  CHECK(story.state_of("k") == WithdrawalState::Planned);
  (void)story.mine({story.txid_of("k")});
  CHECK(story.give(late).outcome.kind == OutcomeKind::Applied);
  CHECK(story.state_of("k") == WithdrawalState::Confirmed);
  (void)story.unmine();
  CHECK(story.state_of("k") == WithdrawalState::Broadcast);
}

TEST_CASE("our own change is no deposit, though the block lists it as a wallet output") {
  Story story;
  story.fund(1, kCoin);
  (void)story.withdraw("k", 50'000);
  story.send("k");
  const Hash32 txid = story.txid_of("k");
  const std::int64_t change = kCoin - 50'000 - story.view("k").planned->fee_sat;
  const std::int64_t balance = story.balance("customer:alice");
  (void)story.mine({txid}, {{{txid, 1}, change, false}});
  story.mine_empty(3);
  CHECK(story.balance("customer:alice") == balance);
  CHECK(story.state.coins().size() == 2);
}

// ---- checkpoints, end ----

TEST_CASE("a checkpoint does not change the digest") {
  Story story;
  const Hash32 before = story.state.digest();
  (void)story.give(wire::Checkpoint{LedgerId(0), 64, before});
  CHECK(story.state.digest() == before);
}

TEST_CASE("behind the end of the run new keys are refused and counted, known ones answered") {
  Story story;
  story.fund(2, kCoin);
  (void)story.withdraw("known", 50'000);
  (void)story.give(wire::EndOfRun{});
  CHECK(story.state.closed());
  CHECK(story.withdraw("new", 50'000).outcome.kind == OutcomeKind::Closed);
  CHECK(story.withdraw("known", 50'000).outcome.kind == OutcomeKind::Duplicate);
  CHECK(story.withdraw("known", 60'000).outcome.kind == OutcomeKind::KeyConflict);
  CHECK(story.state.refused_after_end() == 1);
  CHECK_FALSE(story.state.by_key("new").has_value());
  story.send("known");
  (void)story.mine({story.txid_of("known")});
  CHECK(story.state_of("known") == WithdrawalState::Confirmed);
  CHECK(story.give(wire::EndOfRun{}).outcome.kind == OutcomeKind::Ignored);
}

TEST_CASE("every fact that differs gives another digest") {
  std::vector<Hash32> digests;
  {
    Story story;
    digests.push_back(story.state.digest());
    story.fund(2, kCoin);
    digests.push_back(story.state.digest());
    (void)story.withdraw("k", 50'000);
    digests.push_back(story.state.digest());
    (void)story.sign("k");
    digests.push_back(story.state.digest());
    (void)story.broadcast("k");
    digests.push_back(story.state.digest());
    (void)story.mine({story.txid_of("k")});
    digests.push_back(story.state.digest());
    (void)story.unmine();
    digests.push_back(story.state.digest());
    (void)story.give(wire::EndOfRun{});
    digests.push_back(story.state.digest());
    (void)story.withdraw("late", 50'000);
    digests.push_back(story.state.digest());
  }
  // Un-mining restores the books but for the change coin, which is remembered as un-mined.
  std::sort(digests.begin(), digests.end());
  CHECK(std::adjacent_find(digests.begin(), digests.end()) == digests.end());
}

}  // namespace
}  // namespace roulette::ledger
