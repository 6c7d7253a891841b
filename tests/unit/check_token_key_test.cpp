// Planted lies on a run whose key lies in a token (`hsm`): where the rules are those of ECDSA and
// P2WPKH, where one signer is the quorum, and what the records of its token prove.
//
// Invariant: which invariant (or, of a fault's proof, which reason) finds a lie stands in its test.
#include <catch2/catch.hpp>

#include "chaos/plan/schedule.h"
#include "chaos/sim/soft_ecdsa.h"
#include "check_run.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/ecdsa.h"
#include "common/crypto/ecdsa.h"
#include "common/crypto/hash.h"

namespace roulette::check::test {
namespace {

constexpr auto kEcdsa = crypto::SignatureForm::Ecdsa;
const std::string kEvents = "events.ndjson";
const std::string kFaults = "faults.ndjson";
const std::string kLedger = "state/ledger-0.ndjson";
const std::string kSigner = "state/signer-0.ndjson";
const std::string kToken = "state/token-signer-0.ndjson";
const std::string kHandedOut = "state/transactions.ndjson";
constexpr std::uint8_t kSighashAll = 1, kSighashNone = 2;

struct TokenRun : Run {
  TokenRun() : Run({false, "hsm"}) {}
};

void check_pass(Run& run) {
  const Verdict verdict = run.judged();
  for (const InvariantResult& result : verdict.invariants) {
    for (const std::string& v : result.violations) UNSCOPED_INFO(result.id + ": " + v);
  }
  for (const std::string& reason : verdict.reasons) UNSCOPED_INFO(reason);
  CHECK(verdict.verdict == VerdictKind::Pass);
}

// The witness of input 0 of withdrawal `i`, with another signature in it or another type of it.
bitcoin::Transaction resigned(const Run& run, std::size_t i, const Bytes& der,
                              std::uint8_t type = kSighashAll) {
  bitcoin::Transaction tx = run.paid[i].tx;
  Bytes& signature = tx.inputs[0].witness[0];
  signature = der;
  signature.push_back(type);
  return tx;
}

Bytes der_in(const Run& run, std::size_t i) {
  return *from_hex(run.paid[i].signatures[0]);
}

Bytes high_s(const Run& run, std::size_t i) {
  return *crypto::der_of(sim::with_other_s(*crypto::compact_of(der_in(run, i))));
}

std::string text_of(const bitcoin::Transaction& tx) {
  return to_hex(bitcoin::serialize(tx));
}

// A signature of the wallet's key, or of another one, over what input 0 would spend at this amount.
Bytes signed_for(const Run& run, std::size_t i, const std::string& whose, std::int64_t amount_sat,
                 std::uint8_t again = 0) {
  auto prevouts = run.paid[i].prevouts;
  prevouts[0].amount_sat = amount_sat;
  const auto hashes = bitcoin::sighashes(kEcdsa, run.paid[i].tx, prevouts);
  REQUIRE(hashes.ok());
  return sim::SoftEcdsa(crypto::sha256(as_bytes(whose))).der(hashes->front(), again);
}

std::string share_of(const std::string& der) {
  const auto compact = crypto::compact_of(*from_hex(der));
  REQUIRE(compact.has_value());
  return to_hex(*compact);
}

// Withdrawal 0 is signed again by the other coordinator, which has not seen the bytes yet: a new
// session, a new record, other bytes of the same transaction.
std::string sign_again(Run& run) {
  const Paid& p = run.paid[0];
  const std::string session = to_hex(crypto::sha256(as_bytes("signed again")));
  const std::string other = to_hex(signed_for(run, 0, "wallet", p.prevouts[0].amount_sat, 1));
  auto& journal = run.files[kSigner];
  json record = run.line(kSigner, {{"session_digest", p.session}});
  record.update({{"session_digest", session}, {"sequence", journal.size() + 1}});
  journal.push_back(record);
  const auto boot = run.event({{"process", "coordinator-1"}, {"event", "started"}})["boot"];
  for (const char* event : {"session_opened", "share_released", "share_received", "aggregated"}) {
    json line = run.event({{"event", event}, {"session_digest", p.session}});
    line["session_digest"] = session;
    line["t_us"] = line["t_us"].get<std::int64_t>() + 10'000;
    if (line["process"] == "coordinator-0")
      line.update({{"process", "coordinator-1"}, {"boot", boot}});
    if (line.contains("coordinator")) line["coordinator"] = "coordinator-1";
    if (line.contains("journal_length")) line["journal_length"] = journal.size();
    if (line.contains("shares")) line["shares"] = {share_of(other)};
    if (line.contains("signatures")) line["signatures"] = {other};
    run.files[kEvents].push_back(line);
  }
  return other;
}

// The second fault lets the token hang: its signer ends after two seconds, and is started again.
void let_it_hang(Run& run) {
  run.experiment.faults[1].signal = chaos::Signal::TokenHangs;
  run.experiment.cluster.token_patience_ms = 2000;
  run.facts.schedule_hash = to_hex(chaos::draw_schedule(run.experiment).hash);
  run.event({{"event", "down"}, {"why", "token-refusing"}})["why"] = "token-hangs";
  auto& calls = run.files[kToken];
  calls.resize(1);
  calls[0]["answer"] = "hang";
  const std::int64_t call_us = calls[0]["t_us"].get<std::int64_t>();
  json& fault = run.line(kFaults, {{"fault_id", 2}});
  fault["signal"] = "token-hangs";
  fault["proof"].update(
      {{"token_calls", 1}, {"exit_code", 2}, {"reaped_us", call_us + 2'001'000}});
  fault["restarted_us"] = call_us + 3'000'000;
  run.add_event(16'002, "tool-0", "exited",
                {{"name", "signer-0"}, {"pid", 101}, {"code", 2}, {"signal", 0}, {"asked", false}});
  run.add_event(17'001, "tool-0", "spawned", {{"name", "signer-0"}, {"pid", 102}});
  run.add_event(17'001, "tool-0", "fault",
                {{"fault_id", 2}, {"name", "signer-0"}, {"moment", "restarted"}});
  json& up = run.event({{"event", "up"}, {"name", "signer-0"}, {"t_us", fault["ready_us"]}});
  up["t_us"] = call_us + 3'050'000;
  fault["ready_us"] = up["t_us"];
}

}  // namespace

TEST_CASE("a key in a token pays as its records say, and without nonces nothing is said of them") {
  TokenRun run;
  const Verdict verdict = run.judged();
  CHECK(verdict.verdict == VerdictKind::Pass);
  for (const InvariantResult& result : verdict.invariants) {
    INFO(result.id << ": " << result.note);
    for (const std::string& v : result.violations) UNSCOPED_INFO(v);
    const bool nonces = result.id == "nonce-never-reused";
    CHECK(result.status == (nonces ? InvariantStatus::NotExercised : InvariantStatus::Pass));
  }
  for (const std::string& reason : verdict.reasons) UNSCOPED_INFO(reason);
  CHECK(verdict.reasons.empty());
}

// ---- the signature ----

TEST_CASE("high S that the books took breaks the policy") {
  TokenRun run;
  run.replace_transaction(0, resigned(run, 0, high_s(run, 0)));
  expect_fail(run, "signing-policy-respected", kLedger, "strict DER, low S");
}

TEST_CASE("high S on the chain alone is other bytes than the ledger's") {
  TokenRun run;
  run.blocks[4] = {resigned(run, 0, high_s(run, 0))};
  expect_fail(run, "no-partial-transaction", "state/chain.ndjson", "other bytes of");
}

TEST_CASE("a signature over another amount of the coin breaks the policy") {
  TokenRun run;
  const Bytes lie = signed_for(run, 0, "wallet", run.paid[0].prevouts[0].amount_sat + 1);
  run.replace_transaction(0, resigned(run, 0, lie));
  expect_fail(run, "signing-policy-respected", kLedger, "BIP 143");
}

TEST_CASE("a token's signer that believed in another amount is seen by its record") {
  TokenRun run;
  run.line(kSigner, {{"txid", run.paid[1].txid}})["inputs"][1]["amount_sat"] = 999'999;
  expect_fail(run, "signing-policy-respected", kSigner, "believing that");
}

TEST_CASE("another amount of a prevout, as handed out, is a part that does not fit") {
  TokenRun run;
  run.line(kHandedOut, {{"txid", run.paid[1].txid}})["prevouts"][0]["amount_sat"] = 999'999;
  expect_fail(run, "no-partial-transaction", kHandedOut, "has other prevouts");
}

TEST_CASE("DER that is not strict breaks the policy") {
  TokenRun run;
  Bytes padded = der_in(run, 2);
  padded.insert(padded.begin() + 4, 0);  // r with a zero that it does not need
  ++padded[1], ++padded[3];
  run.event({{"event", "aggregated"}, {"withdrawal_id", run.paid[2].id}})["signatures"][0] =
      to_hex(padded);
  expect_fail(run, "signing-policy-respected", kEvents, "strict DER");
}

TEST_CASE("another sighash type than ALL breaks the policy") {
  TokenRun run;
  run.line(kHandedOut, {{"txid", run.paid[0].txid}})["hex"] =
      text_of(resigned(run, 0, der_in(run, 0), kSighashNone));
  expect_fail(run, "signing-policy-respected", kHandedOut,
              "a DER signature with SIGHASH_ALL and its key");
}

TEST_CASE("a signature by another key breaks the policy, with that key beside it or the wallet's") {
  const auto theirs = [](const Run& run) {
    return signed_for(run, 0, "a thief", run.paid[0].prevouts[0].amount_sat);
  };
  TokenRun plain;
  plain.replace_transaction(0, resigned(plain, 0, theirs(plain)));
  expect_fail(plain, "signing-policy-respected", kLedger, "does not verify under the wallet's key");
  TokenRun shown;
  auto tx = resigned(shown, 0, theirs(shown));
  const auto key = sim::SoftEcdsa(crypto::sha256(as_bytes("a thief"))).key();
  tx.inputs[0].witness[1].assign(key.begin(), key.end());
  shown.each_ledger([&](const std::string& file) {
    shown.line(file, {{"type", "withdrawal"}, {"key", "key-0"}})["signed_tx"] = text_of(tx);
  });
  expect_fail(shown, "signing-policy-respected", kLedger, "and its key");
}

// ---- signing again ----

TEST_CASE("a transaction signed again with other bytes is no violation: its id is the same") {
  TokenRun run;
  REQUIRE(sign_again(run) != run.paid[0].signatures[0]);
  check_pass(run);
}

TEST_CASE("a share that nobody used is verified as the signature that it is") {
  TokenRun run;
  (void)sign_again(run);
  const std::string no_signature = run.paid[1].signatures[0];  // of another transaction
  for (json& line : run.files[kEvents]) {
    const std::string event = line.value("event", "");
    if (event != "share_released" && event != "share_received") continue;
    if (line["session_digest"] != to_hex(crypto::sha256(as_bytes("signed again")))) continue;
    line["shares"] = {share_of(no_signature)};
  }
  expect_fail(run, "signing-policy-respected", kEvents, "BIP 143");
}

TEST_CASE("bytes of a signing again in place of the ledger's are other bytes") {
  TokenRun run;
  const std::string other = sign_again(run);
  run.event({{"event", "broadcast"}, {"txid", run.paid[0].txid}})["hex"] =
      text_of(resigned(run, 0, *from_hex(other)));
  expect_fail(run, "no-partial-transaction", kEvents, "other bytes of");
}

TEST_CASE("a second transaction of one outpoint conflicts, though one signer alone bound it") {
  TokenRun run;
  auto& journal = run.files[kSigner];
  json record = run.line(kSigner, {{"txid", run.paid[0].txid}});
  record.update({{"txid", std::string(64, '6')},
                 {"withdrawal_id", std::string(32, '6')},
                 {"session_digest", std::string(64, '5')},
                 {"sequence", journal.size() + 1}});
  journal.push_back(record);
  expect_fail(run, "no-conflicting-signature", kSigner, "outpoint ");
}

TEST_CASE("a token's share without a record of its session is seen") {
  TokenRun run;
  run.line(kSigner, {{"txid", run.paid[2].txid}})["session_digest"] = std::string(64, '4');
  expect_fail(run, "share-has-its-record", kEvents, "its journal has no record of this session");
}

// ---- the wallet ----

TEST_CASE("books that verify a token's signatures as taproot's are told") {
  TokenRun run;
  run.entry_command(kLedger, {{"command", "genesis"}})["signature_form"] = "bip340";
  expect_fail(run, "signing-policy-respected", kLedger, "genesis verifies signatures as bip340");
}

TEST_CASE("change to a taproot script of the same key is not the wallet's") {
  TokenRun run;
  bitcoin::Transaction tx = run.paid[2].tx;
  const Bytes key = run.sign_as_wallet({}).first;
  tx.outputs[1].script = bitcoin::p2tr_script(*to_array<32>(ByteSpan(key).subspan(1)));
  run.sign(tx, run.paid[2].prevouts);
  run.replace_transaction(2, tx);
  expect_fail(run, "signing-policy-respected", kSigner,
              "neither the client's script nor the wallet's");
}

// ---- the token's faults ----

TEST_CASE("a token's fault is proven by its module's record alone") {
  const auto expect = [](Run& run, const std::string& why) {
    const Verdict verdict = run.judged();
    std::string reasons;
    for (const std::string& reason : verdict.reasons) reasons += reason + "\n";
    INFO(reasons);
    CHECK(verdict.verdict == VerdictKind::Inconclusive);
    CHECK(has_reason(verdict, why));
  };
  const auto proof = [](Run& run) -> json& {
    return run.line(kFaults, {{"fault_id", 2}})["proof"];
  };
  TokenRun more;
  proof(more)["token_calls"] = 4;
  expect(more, "its token recorded 3 calls that met it");
  TokenRun less;
  less.files[kToken].pop_back();
  expect(less, "its token recorded 2 calls that met it");
  TokenRun another;
  another.files[kToken][1]["answer"] = "slow";
  expect(another, "its token recorded 2 calls that met it");
  TokenRun later;
  json& back = proof(later)["token_back_us"];
  back = back.get<std::int64_t>() + 300'000;
  expect(later, "no return of its token at that time");
  TokenRun never;
  proof(never)["token_back_us"] = nullptr;
  expect(never, "its token was not given back");
  TokenRun untold;
  untold.files.erase(kToken);
  expect(untold, "its token recorded 0 calls that met it");
}

TEST_CASE("a share that left while the token's record says that it refused is unsafe") {
  TokenRun run;
  for (const char* event : {"session_opened", "share_released", "share_received", "aggregated"}) {
    json& line = run.event({{"event", event}, {"session_digest", run.paid[2].session}});
    line["t_us"] = line["t_us"].get<std::int64_t>() - 1'000'000;
  }
  expect_fail(run, "safe-refusal", kEvents, "after the quorum was lost");
}

TEST_CASE("a token that hangs ends its signer, and that alone is no unasked exit") {
  TokenRun honest;
  let_it_hang(honest);
  check_pass(honest);
  TokenRun crashed;
  let_it_hang(crashed);
  crashed.event({{"event", "exited"}, {"code", 2}})["code"] = 3;
  crashed.line(kFaults, {{"fault_id", 2}})["proof"]["exit_code"] = 3;
  CHECK(has_reason(crashed.judged(), "unasked exit: signer-0"));
  TokenRun hasty;
  let_it_hang(hasty);
  json& end = hasty.event({{"event", "exited"}, {"code", 2}});
  end["t_us"] = end["t_us"].get<std::int64_t>() - 300'000;
  hasty.line(kFaults, {{"fault_id", 2}})["proof"]["reaped_us"] = end["t_us"];
  CHECK(has_reason(hasty.judged(), "unasked exit: signer-0"));
  TokenRun stayed;
  let_it_hang(stayed);
  stayed.erase(kEvents, {{"event", "exited"}, {"code", 2}});
  stayed.line(kFaults, {{"fault_id", 2}})["proof"].update(
      {{"exit_code", nullptr}, {"reaped_us", nullptr}});
  // It was away for 2,999 ms with a patience of 2,000: within the slack nothing is said of it.
  CHECK_FALSE(has_reason(stayed.judged(), "waited longer than its patience"));
  stayed.experiment.cluster.token_patience_ms = 1000;
  CHECK(has_reason(stayed.judged(), "waited longer than its patience"));
}

}  // namespace roulette::check::test
