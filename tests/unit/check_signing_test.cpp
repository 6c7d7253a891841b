// Planted violations of the invariants about keys, signatures, nonces, shares and policy.
#include <catch2/catch.hpp>

#include "chaos/check/journal_chain.h"
#include "check_run.h"
#include "common/bitcoin/script.h"
#include "common/crypto/hash.h"
#include "signer/core/signer.h"

namespace roulette::check::test {
namespace {

constexpr auto kFail = InvariantStatus::Fail;
constexpr auto kOpen = InvariantStatus::Inconclusive;
const std::string kHistory = "history.ndjson";
const std::string kEvents = "events.ndjson";
const std::string kLedger = "state/ledger-0.ndjson";
const std::string kSigner = "state/signer-0.ndjson";

json& record_of(Run& run, const std::string& file, std::size_t paid) {
  return run.line(file, {{"kind", "signing_record"}, {"txid", run.paid[paid].txid}});
}

json& share_of(Run& run, const char* event, std::size_t paid) {
  return run.event({{"event", event}, {"txid", run.paid[paid].txid}});
}

// Other outputs of withdrawal `i`, signed: only what they say is wrong.
void replace_transaction(Run& run, std::size_t i, bitcoin::Transaction tx) {
  run.sign(tx, run.paid[i].prevouts);
  run.replace_transaction(i, tx);
}

}  // namespace

// ---- idempotency-key-respected ----

TEST_CASE("a conflicting payload that is answered with 202 breaks its key") {
  Run run;
  run.answer(5)["status"] = 202;
  expect_fail(run, "idempotency-key-respected", kHistory, "answered with 202, not 422");
}

TEST_CASE("another id for the same key breaks it") {
  Run run;
  run.answer(4)["id"] = run.paid[0].id;
  expect_fail(run, "idempotency-key-respected", kHistory, "key-1 has id");
}

TEST_CASE("another txid for the same key breaks it") {
  Run run;
  run.answer(2)["txid"] = run.paid[1].txid;
  expect_fail(run, "idempotency-key-respected", kHistory, "key-0 has txid");
}

TEST_CASE("the same payload must not be refused as a conflict") {
  Run run;
  run.answer(4).update({{"status", 422}, {"id", ""}, {"txid", ""}});
  expect_fail(run, "idempotency-key-respected", kHistory,
              "with the same payload and refused with 422");
}

TEST_CASE("a recorded business refusal is no conflict though it is a 422, too") {
  Run run;
  for (const std::uint64_t op : {3, 4}) {
    run.answer(op).update(
        {{"status", 422}, {"id", ""}, {"txid", ""}, {"problem", "withdrawal-rejected"}});
  }
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "idempotency-key-respected") == InvariantStatus::Pass);
  CHECK(says(invariant(verdict, "no-duplicate-payment"), "state/chain.ndjson",
             "key-1 was refused with 422"));
}

TEST_CASE("a retry gets the status the first answer had") {
  Run run;
  run.answer(4).update({{"status", 422}, {"problem", "withdrawal-rejected"}});
  expect_fail(run, "idempotency-key-respected", kHistory, "but with 202 at history.ndjson");
  Run other;
  other.answer(4)["status"] = 201;
  expect_fail(other, "idempotency-key-respected", kHistory, "is answered with 201, not 202");
}

TEST_CASE("a second withdrawal under one key in the ledger breaks it") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    json row = run.line(file, {{"type", "withdrawal"}, {"key", "key-0"}});
    row["withdrawal_id"] = std::string(32, 'e');
    run.files[file].push_back(row);
  });
  expect_fail(run, "idempotency-key-respected", kLedger, "has a second withdrawal");
}

TEST_CASE("a conflict that the log applied breaks its key") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    run.entry_command(file, {{"outcome", "key-conflict"}})["outcome"] = "applied";
  });
  expect_fail(run, "idempotency-key-respected", kLedger, "was applied, not key-conflict");
}

TEST_CASE("a ledger that holds another payload than the client's breaks the key") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    run.line(file, {{"type", "withdrawal"}, {"key", "key-2"}})["account"] = "bob";
  });
  expect_fail(run, "idempotency-key-respected", kLedger, "stands with another payload");
}

TEST_CASE("a run in which no key was used twice says nothing about keys") {
  Run run;
  for (const int op : {2, 4, 5, 10}) run.erase(kHistory, {{"op", op}});
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "idempotency-key-respected") == kOpen);
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
}

// ---- no-conflicting-signature ----

TEST_CASE("one outpoint bound to two transactions by two signers is a conflict") {
  Run run;
  record_of(run, "state/signer-1.ndjson", 2)["inputs"][0]["outpoint"] =
      bitcoin::to_text(run.paid[0].tx.inputs[0].outpoint);
  expect_fail(run, "no-conflicting-signature", "state/signer-1.ndjson", "outpoint");
}

TEST_CASE("one withdrawal bound to two transactions is a conflict") {
  Run run;
  record_of(run, kSigner, 2)["withdrawal_id"] = run.paid[0].id;
  expect_fail(run, "no-conflicting-signature", kSigner,
              "withdrawal " + run.paid[0].id + " goes to");
}

TEST_CASE(
    "a session for another transaction of a withdrawal is a conflict though nothing came of it") {
  Run run;
  run.event({{"event", "session_opened"}, {"withdrawal_id", run.paid[1].id}})["txid"] =
      std::string(64, 'f');
  expect_fail(run, "no-conflicting-signature", kEvents, "goes to");
}

TEST_CASE(
    "a coin of the wallet spent by an unplanned transaction is a conflict when the coin was "
    "bound") {
  Run run;
  bitcoin::Transaction other = run.paid[2].tx;
  other.outputs[0].amount_sat -= 1;
  run.sign(other, run.paid[2].prevouts);
  run.blocks[7][0] = other;
  expect_fail(run, "no-conflicting-signature", "state/chain.ndjson", "outpoint");
}

TEST_CASE("without one signer's journal nothing is known about conflicts") {
  Run run;
  run.headers["state/signer-2.ndjson"] = {{"format", "roulette-signer-journal"}, {"version", 9}};
  const Verdict verdict = run.judged();
  for (const char* id : {"no-conflicting-signature", "share-has-its-record", "nonce-never-reused",
                         "signing-policy-respected"}) {
    INFO(id);
    CHECK(status_of(verdict, id) == kOpen);
    CHECK(invariant(verdict, id)
              .note.find("state/signer-2.ndjson:1: format 'roulette-signer-journal' version 9") !=
          std::string::npos);
  }
}

// ---- share-has-its-record ----

TEST_CASE("a share that reached a coordinator without its record is seen") {
  Run run;
  run.erase("state/signer-2.ndjson", {{"sequence", 3}});
  expect_fail(run, "share-has-its-record", kEvents, "a share of signer-2");
}

TEST_CASE("a record with other nonces is not the share's record") {
  Run run;
  record_of(run, kSigner, 0)["nonces"][0] = std::string(132, 'a');
  expect_fail(run, "share-has-its-record", kEvents,
              "no record of this session, nonces and transaction");
}

TEST_CASE("a share that left before its record is seen") {
  Run run;
  share_of(run, "share_released", 0)["journal_length"] = 1;
  expect_fail(run, "share-has-its-record", kEvents,
              "left at journal length 1, before its record 2");
}

TEST_CASE("a journal that lost its tail is noticed by the lengths its signer told") {
  Run run;
  share_of(run, "share_released", 0)["journal_length"] = 40;
  expect_fail(run, "share-has-its-record", kEvents, "its journal ends at");
}

TEST_CASE("a share that no signer released is seen") {
  Run run;
  share_of(run, "share_received", 2)["shares"][0] = std::string(64, '7');
  expect_fail(run, "share-has-its-record", kEvents, "has no release of these bytes");
}

TEST_CASE("a signature of fewer journaled signers than t is seen") {
  Run run;
  const std::string alone = std::string(64, '8');
  run.event({{"event", "aggregated"}, {"withdrawal_id", run.paid[2].id}})["session_digest"] = alone;
  expect_fail(run, "share-has-its-record", kEvents, "of which only 0 journals know");
}

TEST_CASE("a journal that lost its tail is noticed by the heads the ledger keeps") {
  Run run;
  const std::size_t before = run.files["state/signer-2.ndjson"].size();
  run.erase("state/signer-2.ndjson", {{"sequence", before}});
  expect_fail(run, "share-has-its-record", kLedger, "signer-2 told a journal of 3 records");
}

TEST_CASE("a signer put back is judged by what it had before, and must be quarantined") {
  constexpr std::int64_t kBehindLastShare = 18'000, kBeforeLastShares = 13'000;
  {
    Run run;
    run.take_journal(1, kBehindLastShare);
    const Verdict verdict = run.judged();
    CHECK(verdict.verdict == VerdictKind::Pass);
    CHECK(verdict.reasons.empty());
  }
  {
    Run run;
    run.take_journal(1, kBehindLastShare);
    run.erase(kEvents, {{"event", "signer_quarantined"}});
    expect_fail(run, "share-has-its-record", "state/signer-1.ndjson",
                "no coordinator quarantined it");
  }
  {
    Run run;
    run.take_journal(1, kBeforeLastShares);
    expect_fail(run, "share-has-its-record", kEvents, "released a share after it came back");
  }
  {
    Run run;
    run.take_journal(1, kBehindLastShare);
    run.files.erase("state/signer-1.before-1.ndjson");
    CHECK(status_of(run.judged(), "share-has-its-record") == kOpen);
  }
  {  // A broken copy is no evidence, and ends nobody's judgement.
    Run run;
    run.take_journal(1, kBehindLastShare);
    run.keep_heads = true;
    run.line("state/signer-1.before-1.ndjson", {{"kind", "provisioned"}})["signer"] = "signer-2";
    CHECK(status_of(run.judged(), "share-has-its-record") == kOpen);
  }
  {  // What it had before binds it as what it has now does.
    Run run;
    run.take_journal(1, kBehindLastShare);
    run.line("state/signer-1.before-1.ndjson", {{"sequence", 2}})["txid"] = std::string(64, '7');
    CHECK(status_of(run.judged(), "no-conflicting-signature") == kFail);
  }
}

TEST_CASE("an event about a withdrawal names one of the ledger with its transaction") {
  for (const char* event : {"session_opened", "share_released", "aggregated", "signed_applied",
                            "broadcast", "broadcast_result"}) {
    Run run;
    share_of(run, event, 2)["withdrawal_id"] = std::string(32, 'e');
    INFO(event);
    expect_fail(run, "no-conflicting-signature", kEvents, "which the ledger did not plan");
  }
}

TEST_CASE("a share of a signer that its session did not name is seen") {
  Run run;
  run.event({{"event", "session_opened"}, {"session_digest", run.paid[2].session}})["signers"] = {
      "signer-0"};
  expect_fail(run, "share-has-its-record", kEvents, "never told to have opened with it");
}

TEST_CASE("a life that never started makes the log unusable") {
  Run run;
  run.erase(kEvents, {{"event", "started"}, {"process", "ledger-1"}});
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "ledger-replicas-agree") == kOpen);
  CHECK(invariant(verdict, "ledger-replicas-agree").note.find("but never `started`") !=
        std::string::npos);
}

TEST_CASE("a forked journal is noticed by the heads the ledger keeps") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    run.entry_command(file,
                      {{"command", "signed"}, {"txid", run.paid[0].txid}})["journals"][0]["head"] =
        std::string(64, '1');
  });
  expect_fail(run, "share-has-its-record", kLedger, "with head 1111");
}

TEST_CASE("a journal whose records do not lead to its heads is no journal") {
  Run run;
  const std::string folder = run.write();
  CHECK(run.judged_at(folder).verdict == VerdictKind::Pass);
  run.keep_heads = true;
  record_of(run, kSigner, 0)["inputs"][0]["amount_sat"] = 5;
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "share-has-its-record") == kOpen);
  CHECK(invariant(verdict, "share-has-its-record").note.find(kSigner + ":3: head") !=
        std::string::npos);
}

TEST_CASE("the checker's journal chain is the signer's own") {
  Run run;
  signer::SigningRecord theirs;
  theirs.session_digest = crypto::sha256(as_bytes("session"));
  ByteArray<66> nonce{};
  nonce.fill(7);
  theirs.own_nonces.emplace_back(nonce);
  theirs.withdrawal_id = WithdrawalId(ByteArray<16>{1, 2, 3});
  theirs.payload_digest = crypto::sha256(as_bytes("payload"));
  theirs.txid = bitcoin::txid(run.paid[1].tx);
  theirs.inputs.push_back({run.paid[1].tx.inputs[1].outpoint, run.paid[1].prevouts[1]});
  SigningRecord ours;
  ours.session_digest = to_hex(theirs.session_digest);
  ours.nonces = {to_hex(theirs.own_nonces[0])};
  ours.withdrawal_id = to_hex(theirs.withdrawal_id.value());
  ours.payload_digest = to_hex(theirs.payload_digest);
  ours.txid = run.paid[1].txid;
  ours.inputs = {{bitcoin::to_text(theirs.inputs[0].outpoint), theirs.inputs[0].prevout.amount_sat,
                  to_hex(theirs.inputs[0].prevout.script)}};
  const Hash32 before = crypto::sha256(as_bytes("before"));
  CHECK(next_head(before, ours) == signer::chain_head(before, signer::encode_record(theirs)));
  signer::Provisioned provisioned;
  provisioned.signer = SignerId(2);
  provisioned.cluster_id = "a cluster";
  provisioned.share_epoch = 3;
  provisioned.threshold_key.fill(2);
  CHECK(next_head(
            {}, ProvisionedRecord{"signer-2", "a cluster", to_hex(provisioned.threshold_key), 3}) ==
        signer::chain_head({}, signer::encode_record(provisioned)));
}

TEST_CASE("a journal with a gap is no journal") {
  Run run;
  run.erase(kSigner, {{"sequence", 3}});
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "share-has-its-record") == kOpen);
  CHECK(invariant(verdict, "share-has-its-record")
            .note.find(kSigner + ":4: sequence 4 where 3 was next") != std::string::npos);
}

TEST_CASE("an event that was lost makes the log unusable") {
  Run run;
  run.events_to_lose = {30};
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "share-has-its-record") == kOpen);
  CHECK(invariant(verdict, "nonce-never-reused").note.find("events were lost") !=
        std::string::npos);
}

TEST_CASE("a daemon without any event makes the log unusable") {
  Run run;
  run.keep_answers = true;
  run.erase(kEvents, {{"process", "coordinator-1"}});
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "share-has-its-record") == kOpen);
  CHECK(invariant(verdict, "share-has-its-record").note.find("coordinator-1 wrote no event") !=
        std::string::npos);
}

// ---- nonce-never-reused ----

TEST_CASE("one nonce in two sessions is reuse") {
  Run run;
  record_of(run, kSigner, 2)["nonces"] = record_of(run, kSigner, 0)["nonces"];
  expect_fail(run, "nonce-never-reused", kSigner, "is used in session");
}

TEST_CASE("one nonce for two inputs of one session is reuse") {
  Run run;
  json& nonces = record_of(run, kSigner, 1)["nonces"];
  nonces[1] = nonces[0];
  expect_fail(run, "nonce-never-reused", kSigner, "is used for inputs 0 and 1");
}

TEST_CASE("two shares under one nonce are reuse") {
  Run run;
  json again = share_of(run, "share_released", 3);
  again["shares"][0] = std::string(64, '9');
  again["retry"] = true;
  run.files[kEvents].push_back(again);
  expect_fail(run, "nonce-never-reused", kEvents, "and another one at");
}

TEST_CASE("one nonce of two signers is reuse") {
  Run run;
  record_of(run, "state/signer-1.ndjson", 0)["nonces"] = record_of(run, kSigner, 0)["nonces"];
  expect_fail(run, "nonce-never-reused", "state/signer-1.ndjson",
              "is used by signer-1 and by signer-0");
}

TEST_CASE("signatures that nobody aggregated and aggregates without shares were not told") {
  Run silent;
  silent.erase("events.ndjson", {{"event", "aggregated"}, {"txid", silent.paid[1].txid}});
  expect_fail(silent, "share-has-its-record", "state/ledger-0.ndjson",
              "no coordinator told that it aggregated them");
  Run shares;
  shares.erase("events.ndjson", {{"event", "share_received"}, {"txid", shares.paid[1].txid}});
  expect_fail(shares, "share-has-its-record", "events.ndjson", "of which it told 0 shares");
  Run sessions;
  sessions.erase("events.ndjson", {{"event", "session_opened"}, {"txid", sessions.paid[1].txid}});
  expect_fail(sessions, "share-has-its-record", "events.ndjson", "never told to have opened");
}

TEST_CASE("a payment on the chain that nobody sent was not told") {
  Run run;
  run.erase("events.ndjson", {{"event", "broadcast"}, {"txid", run.paid[1].txid}});
  expect_fail(run, "no-partial-transaction", "state/chain.ndjson",
              "no coordinator told that it sent");
}

TEST_CASE("a coordinator that has the bytes never signs again") {
  Run run;
  json again = run.event({{"event", "session_opened"}, {"withdrawal_id", run.paid[0].id}});
  again["t_us"] = again["t_us"].get<std::int64_t>() + 500'000;
  run.files["events.ndjson"].push_back(again);
  expect_fail(run, "signing-policy-respected", "events.ndjson",
              "whose signed bytes it had already");
}

TEST_CASE("an exact retry of a share is no reuse") {
  Run run;
  json again = share_of(run, "share_released", 3);
  again["retry"] = true;
  run.files[kEvents].push_back(again);
  CHECK(run.judged().verdict == VerdictKind::Pass);
}

// ---- signing-policy-respected ----

TEST_CASE("books that verify another form or another key than the signers have are told") {
  for (const char* field : {"signature_form", "wallet_output_key"}) {
    Run run;
    for (json& line : run.files[kLedger]) {
      if (!line.contains("commands")) continue;
      for (json& c : line["commands"]) {
        if (c.contains(field)) c[field] = std::string(field) == "signature_form"
                                              ? json("ecdsa")
                                              : json(std::string(66, '2'));
      }
    }
    expect_fail(run, "signing-policy-respected", kLedger, "genesis verifies signatures");
  }
}

TEST_CASE("a signature under the untweaked key is refused") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    json& row = run.line(file, {{"type", "withdrawal"}, {"key", "key-0"}});
    auto tx = run.paid[0].tx;
    tx.inputs[0].witness[0][40] ^= 4;
    row["signed_tx"] = to_hex(bitcoin::serialize(tx));
  });
  expect_fail(run, "signing-policy-respected", kLedger,
              "does not verify under the wallet's key");
}

TEST_CASE("an aggregated signature that does not verify is seen though nobody sent it") {
  Run run;
  run.event({{"event", "aggregated"}, {"withdrawal_id", run.paid[1].id}})["signatures"][1] =
      std::string(128, '1');
  expect_fail(run, "signing-policy-respected", kEvents, "the signature of input 1");
}

TEST_CASE("a signature with an explicit hash type is not SIGHASH_DEFAULT") {
  Run run;
  auto tx = run.paid[0].tx;
  tx.inputs[0].witness[0].push_back(1);
  run.line("state/transactions.ndjson", {{"txid", run.paid[0].txid}})["hex"] =
      to_hex(bitcoin::serialize(tx));
  expect_fail(run, "signing-policy-respected", "state/transactions.ndjson",
              "not the wallet's: one 64-byte signature");
}

TEST_CASE("a signer that believed in another amount of a coin is seen") {
  Run run;
  record_of(run, kSigner, 1)["inputs"][1]["amount_sat"] = 999'999;
  expect_fail(run, "signing-policy-respected", kSigner, "believing that");
}

TEST_CASE("change that goes elsewhere is seen") {
  Run run;
  auto tx = run.paid[2].tx;
  tx.outputs[1].script = bitcoin::p2tr_script(crypto::sha256(as_bytes("a thief")));
  replace_transaction(run, 2, tx);
  expect_fail(run, "signing-policy-respected", kSigner,
              "neither the client's script nor the wallet's");
}

TEST_CASE("a fee out of bounds is seen") {
  Run run;
  auto tx = run.paid[2].tx;
  tx.outputs[1].amount_sat -= 20'000;
  replace_transaction(run, 2, tx);
  expect_fail(run, "signing-policy-respected", kSigner, "with a fee of");
}

TEST_CASE("a payment of another amount than the client asked for is seen") {
  Run run;
  auto tx = run.paid[2].tx;
  tx.outputs[0].amount_sat += 1;
  tx.outputs[1].amount_sat -= 1;
  replace_transaction(run, 2, tx);
  expect_fail(run, "signing-policy-respected", kSigner, "were asked for");
}

// The ledger's row of a payment, in both replicas, and the entry that made it.
static void change_request(Run& run, std::size_t i, const std::string& field, const json& value) {
  for (const std::string& ledger : {kLedger, std::string("state/ledger-1.ndjson")}) {
    for (json& line : run.files[ledger]) {
      if (line.value("type", "") == "withdrawal" && line["withdrawal_id"] == run.paid[i].id)
        line[field] = value;
      if (line.value("type", "") != "entry") continue;
      for (json& command : line["commands"]) {
        if (command["command"] == "withdraw" && command["withdrawal_id"] == run.paid[i].id)
          command[field] = value;
      }
    }
  }
}

TEST_CASE("what was signed for a request that bears no signature of its client is seen") {
  SECTION("none") {
    Run run;
    change_request(run, 2, "client_signature", "");
    change_request(run, 2, "client", "");
    expect_fail(run, "signing-policy-respected", kSigner, "bears no signature of client 'shop'");
  }
  SECTION("another request's") {
    Run run;
    std::string other;
    for (const json& line : run.files[kLedger]) {
      if (line.value("type", "") == "withdrawal" && line["withdrawal_id"] == run.paid[0].id)
        other = line["client_signature"];
    }
    REQUIRE(other.size() == 128);
    change_request(run, 2, "client_signature", other);
    expect_fail(run, "signing-policy-respected", kSigner, "bears no signature of client 'shop'");
  }
  SECTION("another client's name") {
    Run run;
    change_request(run, 2, "client", "bank");
    expect_fail(run, "signing-policy-respected", kSigner, "bears no signature of client 'shop'");
  }
}

TEST_CASE("a client's record without its key leaves the policy unjudged") {
  Run run;
  auto& history = run.files["history.ndjson"];
  history.erase(history.begin());
  CHECK(status_of(run.judged(), "signing-policy-respected") == InvariantStatus::Inconclusive);
}

TEST_CASE("a replaced transaction that keeps the policy is no violation of it") {
  Run run;
  auto tx = run.paid[2].tx;
  tx.locktime = 1;
  replace_transaction(run, 2, tx);
  const Verdict verdict = run.judged();
  for (const std::string& v : invariant(verdict, "signing-policy-respected").violations)
    UNSCOPED_INFO(v);
  CHECK(status_of(verdict, "signing-policy-respected") == InvariantStatus::Pass);
}

TEST_CASE("a signature for a transaction that no replica planned is seen") {
  Run run;
  json record = record_of(run, kSigner, 0);
  record.update({{"sequence", run.files[kSigner].size() + 1},
                 {"txid", std::string(64, '6')},
                 {"withdrawal_id", std::string(32, '6')}});
  run.files[kSigner].push_back(record);
  expect_fail(run, "signing-policy-respected", kSigner, "which no replica planned");
}

TEST_CASE("a record for another payload than the ledger's is seen") {
  Run run;
  record_of(run, "state/signer-2.ndjson", 3)["payload_digest"] = std::string(64, '5');
  expect_fail(run, "signing-policy-respected", "state/signer-2.ndjson", "another payload digest");
}

TEST_CASE("without transactions.ndjson the policy is not judged") {
  Run run;
  const std::string folder = run.write();
  REQUIRE(std::remove((folder + "/state/transactions.ndjson").c_str()) == 0);
  const Verdict verdict = run.judged_at(folder);
  CHECK(status_of(verdict, "signing-policy-respected") == kOpen);
  CHECK(status_of(verdict, "no-partial-transaction") == kOpen);
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
}

}  // namespace roulette::check::test
