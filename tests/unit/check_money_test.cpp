// Planted violations of the invariants about money: payments, transactions, books, chain and
// ledger.
#include <catch2/catch.hpp>

#include <filesystem>
#include <map>

#include "check_run.h"
#include "common/bitcoin/script.h"
#include "common/crypto/hash.h"

namespace roulette::check::test {
namespace {

constexpr auto kPass = InvariantStatus::Pass;
constexpr auto kFail = InvariantStatus::Fail;
constexpr auto kOpen = InvariantStatus::Inconclusive;
const std::string kChain = "state/chain.ndjson";
const std::string kHistory = "history.ndjson";
const std::string kEvents = "events.ndjson";
const std::string kLedger = "state/ledger-0.ndjson";

Bytes stranger() {
  return bitcoin::p2tr_script(crypto::sha256(as_bytes("a stranger")));
}

void drop_payment_of_3(Run& run) {
  run.blocks[7] = {run.paid[2].tx};
}

}  // namespace

// ---- no-duplicate-payment ----

TEST_CASE("a second payment to one withdrawal's address is a duplicate") {
  Run run;
  run.blocks[8] = {run.spend_spare(run.paid[0].script, run.paid[0].amount_sat)};
  expect_fail(run, "no-duplicate-payment", kChain, "key-0 is paid again");
}

TEST_CASE("two outputs to one withdrawal in one transaction are a duplicate") {
  Run run;
  auto tx = run.spend_spare(run.paid[1].script, 1000);
  tx.outputs.push_back({1000, run.paid[1].script});
  run.blocks[8] = {tx};
  expect_fail(run, "no-duplicate-payment", kChain, "key-1 is paid again");
}

// The third payment becomes a second one for the first one's order.
static Run asked_anew(chaos::Expectation expect, std::int64_t amount_sat = 100'000) {
  Run::Options options;
  options.third_sat = amount_sat;
  Run run(options);
  run.experiment.workload.idempotency = false;
  run.experiment.expect = expect;
  for (json& line : run.files[kHistory]) {
    if (line.value("type", "") == "key" && line["key"] == run.paid[2].key)
      line["replaces"] = run.paid[0].key;
  }
  return run;
}

TEST_CASE("an order paid under two keys is a duplicate, though each key is paid once") {
  Run run = asked_anew(chaos::Expectation::Progress);
  expect_fail(run, "no-duplicate-payment", "state/chain.ndjson", "is paid 2 times");
}

TEST_CASE("a duplicate that is expected is named, and its absence shows nothing") {
  Run run = asked_anew(chaos::Expectation::Duplicate);
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "no-duplicate-payment") == InvariantStatus::Pass);
  CHECK(invariant(verdict, "no-duplicate-payment").note.find(run.paid[2].txid) !=
        std::string::npos);
  Run without;
  without.experiment.workload.idempotency = false;
  without.experiment.expect = chaos::Expectation::Duplicate;
  CHECK(status_of(without.judged(), "no-duplicate-payment") == InvariantStatus::Inconclusive);
}

TEST_CASE("a second payment under one key is a duplicate whatever was expected") {
  Run run = asked_anew(chaos::Expectation::Duplicate);
  run.blocks[9] = {run.spend_spare(run.paid[0].script, run.paid[0].amount_sat)};
  expect_fail(run, "no-duplicate-payment", "state/chain.ndjson", "is paid again by");
}

TEST_CASE("a key that replaces another where clients use keys makes the record unusable") {
  Run run = asked_anew(chaos::Expectation::Progress);
  run.experiment.workload.idempotency = true;
  CHECK(status_of(run.judged(), "no-duplicate-payment") == InvariantStatus::Inconclusive);
}

TEST_CASE("a key that replaces one of another amount makes the record unusable") {
  Run run = asked_anew(chaos::Expectation::Duplicate, 100'001);
  CHECK(status_of(run.judged(), "no-duplicate-payment") == InvariantStatus::Inconclusive);
}

TEST_CASE("a payment of the conflicting payload's amount is wrong") {
  Run run;
  run.line(kHistory, {{"type", "key"}, {"key", "key-1"}})["amount_sat"] =
      run.paid[1].amount_sat - 1;
  expect_fail(run, "no-duplicate-payment", kChain, "but asked for");
}

TEST_CASE("money that goes to a script no client asked for is seen") {
  Run run;
  run.blocks[8] = {run.spend_spare(stranger(), 5000)};
  expect_fail(run, "no-duplicate-payment", kChain, "which no client asked for");
}

TEST_CASE("a withdrawal that was refused must not be paid") {
  Run run;
  run.answer(1).update({{"status", 400}, {"id", ""}, {"state", ""}, {"txid", ""}});
  run.answer(2) = {{"type", "no_answer"}, {"op", 2}, {"t_us", 1'011'005'000}, {"error", "reset"}};
  expect_fail(run, "no-duplicate-payment", kChain, "was refused with 400");
}

TEST_CASE("a chain without its last block is not whole") {
  Run run;
  const std::string folder = run.write();
  run.files["state/chain.ndjson"].pop_back();
  const Verdict verdict = run.judged();
  CHECK(invariant(verdict, "no-duplicate-payment").status == InvariantStatus::Inconclusive);
  CHECK(invariant(verdict, "no-duplicate-payment").note.find("the node's chain ended with") !=
        std::string::npos);
  Run silent;
  silent.erase("events.ndjson", {{"event", "node_height"}});
  CHECK(invariant(silent.judged(), "no-duplicate-payment").status == InvariantStatus::Inconclusive);
  std::filesystem::remove_all(folder);
}

TEST_CASE("what is handed out to other judges is every signed withdrawal, once, as it stands") {
  const std::string file = "state/transactions.ndjson";
  Run missing;
  missing.erase(file, {{"txid", missing.paid[1].txid}});
  expect_fail(missing, "no-partial-transaction", "state/ledger-0.ndjson",
              "transactions.ndjson has it not");
  Run twice;
  twice.files[file].push_back(twice.files[file].front());
  expect_fail(twice, "no-partial-transaction", file, "stands twice");
  for (const auto& [field, value] : std::map<std::string, json>{
           {"idempotency_key", "key-9"}, {"amount_sat", 1}, {"address", "nowhere"}}) {
    Run other;
    other.files[file].front()[field] = value;
    expect_fail(other, "no-partial-transaction", file, "differs from");
  }
  Run prevout;
  prevout.files[file].front()["prevouts"][0]["amount_sat"] = 1;
  expect_fail(prevout, "no-partial-transaction", file, "other prevouts");
}

TEST_CASE("without the chain nothing is known about payments") {
  Run run;
  const std::string folder = run.write();
  REQUIRE(std::remove((folder + "/" + kChain).c_str()) == 0);
  const Verdict verdict = run.judged_at(folder);
  for (const char* id : {"no-duplicate-payment", "no-lost-withdrawal", "no-partial-transaction",
                         "signing-policy-respected", "books-balance", "chain-matches-ledger",
                         "no-conflicting-signature"}) {
    INFO(id);
    CHECK(status_of(verdict, id) == kOpen);
    CHECK(invariant(verdict, id).note.find("state/chain.ndjson is missing") != std::string::npos);
  }
  CHECK(status_of(verdict, "nonce-never-reused") == kPass);
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
}

TEST_CASE("a block whose bytes were changed makes the chain unusable, by its line") {
  Run run;
  const std::string folder = run.write();
  run.files[kChain][6]["hash"] = run.files[kChain][5]["hash"];
  CHECK(run.judged_at(folder).verdict == VerdictKind::Pass);  // written before the change
  expect_open(run, "no-duplicate-payment", kChain + ":8");
}

TEST_CASE("a gap in the chain makes it unusable") {
  Run run;
  const std::string folder = run.write();
  CHECK(run.judged_at(folder).verdict == VerdictKind::Pass);
  run.erase(kChain, {{"height", 8}});
  expect_open(run, "no-lost-withdrawal", kChain + ":10");
}

// ---- no-lost-withdrawal ----

TEST_CASE("an acknowledged withdrawal that no block pays is lost") {
  Run run;
  drop_payment_of_3(run);
  expect_fail(run, "no-lost-withdrawal", kHistory,
              "key-3 was acknowledged, but no output of the chain pays its address");
}

TEST_CASE("an acknowledged withdrawal that the ledger does not know is lost") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    run.erase(file, {{"type", "withdrawal"}, {"key", "key-2"}});
  });
  expect_fail(run, "no-lost-withdrawal", kHistory, "no replica knows it");
}

TEST_CASE("a payment that is not deep enough at the end is not settled") {
  Run run;
  run.blocks.resize(9);  // block 7 is 2 deep now
  run.each_ledger([&](const std::string& file) {
    run.line(file, {{"type", "state"}})["height"] = 8;
  });
  run.each_ledger([&](const std::string& file) {
    auto& lines = run.files[file];
    lines.erase(std::find_if(lines.begin(), lines.end(), [](const json& l) {
      return l.value("type", "") == "entry" && l["commands"][0].value("height", 0) == 9;
    }));
    std::uint64_t index = 0;
    for (json& l : lines) {
      if (l.value("type", "") == "entry") l["index"] = ++index;
    }
  });
  expect_fail(run, "no-lost-withdrawal", kHistory, "only 2 deep");
}

TEST_CASE("a withdrawal whose answer never came is lost all the same when the ledger holds it") {
  Run run;
  drop_payment_of_3(run);
  run.answer(8).update({{"status", 500}, {"id", ""}, {"state", ""}, {"txid", ""}});
  expect_fail(run, "no-lost-withdrawal", kLedger, "key-3 stands in the ledger");
}

TEST_CASE("an interrupted run does not call unsettled withdrawals lost") {
  Run run;
  drop_payment_of_3(run);
  run.facts.interrupted = true;
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "no-lost-withdrawal") == kOpen);
}

TEST_CASE("a declared lasting quorum loss may leave withdrawals and names them") {
  Run run;
  drop_payment_of_3(run);
  for (chaos::FaultRule& rule : run.experiment.faults) rule.recover.how = chaos::RecoverHow::None;
  for (json& fault : run.files["faults.ndjson"]) fault["recover"] = "none";
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "no-lost-withdrawal") == kPass);
  CHECK(invariant(verdict, "no-lost-withdrawal").note.find("key-3") != std::string::npos);
}

TEST_CASE("without the client's record nobody knows what was promised") {
  Run run;
  run.headers[kHistory] = {{"format", "roulette-history"}, {"version", 9}};
  const Verdict verdict = run.judged();
  for (const char* id :
       {"no-duplicate-payment", "no-lost-withdrawal", "idempotency-key-respected",
        "quorum-continuity", "safe-refusal", "ledger-replicas-agree", "chain-matches-ledger"}) {
    INFO(id);
    CHECK(status_of(verdict, id) == kOpen);
    CHECK(
        invariant(verdict, id).note.find("history.ndjson:1: format 'roulette-history' version 9") !=
        std::string::npos);
  }
}

// ---- no-partial-transaction ----

TEST_CASE("a reservation for nobody is a partial transaction") {
  Run run;
  run.line(kLedger, {{"type", "reservation"}, {"withdrawal_id", run.paid[0].id}})["withdrawal_id"] =
      std::string(32, 'a');
  expect_fail(run, "no-partial-transaction", kLedger, "which is no withdrawal");
}

TEST_CASE("an input that nobody reserved is a partial transaction") {
  Run run;
  run.erase("state/ledger-1.ndjson", {{"type", "reservation"}, {"withdrawal_id", run.paid[3].id}});
  expect_fail(run, "no-partial-transaction", "state/ledger-1.ndjson",
              "which is not reserved for it");
}

TEST_CASE("a withdrawal that stays between states is stuck") {
  Run run;
  run.line(kLedger, {{"type", "withdrawal"}, {"key", "key-2"}})["state"] = "broadcast";
  expect_fail(run, "no-partial-transaction", kLedger, "is stuck in state broadcast");
}

TEST_CASE("a coordinator that sends other bytes than the ledger's is seen") {
  Run run;
  auto tx = run.paid[0].tx;
  tx.inputs[0].witness[0][5] ^= 1;
  run.event({{"event", "broadcast"}, {"withdrawal_id", run.paid[0].id}})["hex"] =
      to_hex(bitcoin::serialize(tx));
  expect_fail(run, "no-partial-transaction", kEvents, "coordinator-0 sent other bytes");
}

TEST_CASE("a chain with other bytes than the ledger's is seen") {
  Run run;
  run.blocks[4][0].inputs[0].witness[0][9] ^= 1;
  expect_fail(run, "no-partial-transaction", kChain, "the chain has other bytes");
}

TEST_CASE("bytes that were sent before the ledger held any are seen") {
  Run run;
  run.add_event(20'000, "coordinator-0", "broadcast",
                {{"withdrawal_id", run.paid[0].id}, {"txid", std::string(64, 'b')}, {"hex", "00"}});
  expect_fail(run, "no-partial-transaction", kEvents, "of which the ledger holds no bytes");
}

TEST_CASE("a template signed for other bytes is seen") {
  Run run;
  run.line(kLedger, {{"type", "withdrawal"}, {"key", "key-0"}})["unsigned_tx"] =
      run.line(kLedger, {{"type", "withdrawal"}, {"key", "key-2"}})["unsigned_tx"];
  expect_fail(run, "no-partial-transaction", kLedger, "signed for other bytes than its template");
}

TEST_CASE("without a replica's export nothing is known about its books") {
  Run run;
  run.headers["state/ledger-1.ndjson"] = {{"format", "something-else"}, {"version", 1}};
  const Verdict verdict = run.judged();
  for (const char* id :
       {"no-partial-transaction", "ledger-replicas-agree", "books-balance", "chain-matches-ledger",
        "idempotency-key-respected", "limits-respected", "orderly-stop-finishes"}) {
    INFO(id);
    CHECK(status_of(verdict, id) == kOpen);
    CHECK(invariant(verdict, id).note.find("state/ledger-1.ndjson:1: format 'something-else'") !=
          std::string::npos);
  }
}

// ---- books-balance ----

TEST_CASE("a balance that its postings do not make is seen") {
  Run run;
  json& row = run.line(kLedger, {{"type", "balance"}, {"account", "fees"}});
  row["amount_sat"] = row["amount_sat"].get<std::int64_t>() + 1;
  expect_fail(run, "books-balance", kLedger, "account fees holds");
}

TEST_CASE("balances that do not sum to zero are seen") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    json& row = run.line(file, {{"type", "balance"}, {"account", "wallet"}});
    row["amount_sat"] = row["amount_sat"].get<std::int64_t>() - 7;
  });
  expect_fail(run, "books-balance", "ledger-0", "sum to 7 sat, not to zero");
}

TEST_CASE("a customer overdrawn for one entry is seen though the end is fine") {
  Run run;
  json hold, back;
  run.each_ledger([&](const std::string& file) {
    auto& lines = run.files[file];
    const auto first = std::find_if(lines.begin(), lines.end(),
                                    [](const json& l) { return l.value("type", "") == "posting"; });
    json out = *first, in = *first;
    out.update({{"index", 1},
                {"debit", "customer:alice"},
                {"credit", "outside"},
                {"amount_sat", 50},
                {"reason", "payment"},
                {"reference", run.paid[0].id}});
    in.update({{"index", 2},
               {"debit", "outside"},
               {"credit", "customer:alice"},
               {"amount_sat", 50},
               {"reason", "payment"},
               {"reference", run.paid[0].id}});
    lines.insert(first, {out, in});
  });
  expect_fail(run, "books-balance", kLedger, "account customer:alice is at -50 sat");
}

TEST_CASE("a wallet account that the chain's unspent outputs do not make is seen") {
  Run run;
  run.blocks[8] = {run.spend_spare(stranger(), 5000)};
  expect_fail(run, "books-balance", "ledger-0", "the chain's unspent outputs");
}

TEST_CASE("a deposit that no block shows is seen") {
  Run run;
  json& row = run.line("state/ledger-1.ndjson", {{"type", "posting"}, {"reason", "deposit"}});
  row["reference"] = std::string(64, 'c') + ":0";
  expect_fail(run, "books-balance", "state/ledger-1.ndjson", "is not an output of the chain");
}

TEST_CASE("a withdrawal that is booked twice is seen") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    json again =
        run.line(file, {{"type", "posting"}, {"reason", "hold"}, {"reference", run.paid[2].id}});
    again["index"] = 24;
    run.files[file].push_back(again);
  });
  expect_fail(run, "books-balance", kLedger, "in 2 postings");
}

TEST_CASE("a network fee that is not the transaction's is seen") {
  Run run;
  run.line(kLedger, {{"type", "withdrawal"}, {"key", "key-0"}})["fee_sat"] =
      run.paid[0].fee_sat + 5;
  expect_fail(run, "books-balance", kLedger, "is booked as");
}

TEST_CASE("books without postings are not balanced books") {
  Run run;
  run.each_ledger([&](const std::string& file) { run.erase(file, {{"type", "posting"}}); });
  expect_open(run, "books-balance", "ledger-0 exported no postings");
}

// ---- chain-matches-ledger ----

TEST_CASE("a payment on the chain that no withdrawal explains is seen") {
  Run run;
  run.blocks[8] = {run.spend_spare(stranger(), 5000)};
  expect_fail(run, "chain-matches-ledger", kChain, "has no such withdrawal");
}

TEST_CASE("a settled withdrawal that is not in the chain is seen") {
  Run run;
  drop_payment_of_3(run);
  expect_fail(run, "chain-matches-ledger", kLedger, "is not in the active chain");
}

TEST_CASE("a withdrawal at another height than its transaction is seen") {
  Run run;
  run.line(kLedger, {{"type", "withdrawal"}, {"key", "key-1"}})["height"] = 4;
  expect_fail(run, "chain-matches-ledger", kLedger, "stands at height 4, its transaction");
}

TEST_CASE("a replica that followed a block of another chain is seen") {
  Run run;
  run.entry_command("state/ledger-1.ndjson",
                    {{"command", "block_connected"}, {"height", 9}})["hash"] = std::string(64, 'd');
  run.entry_command("state/ledger-1.ndjson", {{"command", "block_connected"}, {"height", 9}})
      .update({{"txids", json::array()}, {"wallet_outputs", json::array()}});
  expect_fail(run, "chain-matches-ledger", "state/ledger-1.ndjson", "ledger-1 followed block dddd");
}

TEST_CASE("a payment that does not come from the wallet is seen") {
  Run run;
  bitcoin::Transaction tx;
  tx.inputs.push_back(
      {{crypto::sha256(as_bytes("elsewhere")), 0}, {}, bitcoin::kSequenceFinal, {Bytes(64, 2)}});
  tx.outputs.push_back({run.paid[0].amount_sat, run.paid[0].script});
  run.blocks[8] = {tx};
  expect_fail(run, "chain-matches-ledger", kChain, "which spends no coin of the wallet");
}

}  // namespace roulette::check::test
