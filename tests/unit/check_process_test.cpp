// Planted violations of the invariants about processes: continuity, refusal, orderly stops,
// replicas, limits.
#include <catch2/catch.hpp>

#include <algorithm>

#include "chaos/check/told.h"
#include "chaos/check/timelines.h"
#include "chaos/check/token_faults.h"
#include "check_run.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/script.h"
#include "common/crypto/hash.h"

namespace roulette::check::test {
namespace {

constexpr auto kPass = InvariantStatus::Pass;
const std::string kHistory = "history.ndjson";
const std::string kEvents = "events.ndjson";
const std::string kFaults = "faults.ndjson";
const std::string kLedger = "state/ledger-0.ndjson";
constexpr std::int64_t kStartUs = 1'000'000'000;

std::int64_t us(std::int64_t ms) {
  return kStartUs + ms * 1000;
}

void down_and_up(Run& run, const std::string& name, std::int64_t down_ms, std::int64_t up_ms) {
  run.add_event(down_ms, "tool-0", "down", {{"name", name}, {"why", "SIGKILL"}});
  run.add_event(down_ms + 1, "tool-0", "exited",
                {{"name", name}, {"pid", 1}, {"code", -1}, {"signal", 9}, {"asked", true}});
  run.add_event(up_ms, "tool-0", "up", {{"name", name}, {"why", "ready"}});
}

}  // namespace

// ---- quorum-continuity ----

TEST_CASE("an acknowledged withdrawal that is signed too late breaks continuity") {
  Run run;
  run.delay_signing(2, 2'500);  // the quorum came back at 17 000, signed at 19 603
  expect_fail(run, "quorum-continuity", kHistory, "key-2 was acknowledged");
}

TEST_CASE("a request to a coordinator that stayed up must be signed though no answer ever came") {
  Run run;
  json ghost = run.line(kHistory, {{"type", "key"}, {"key", "key-0"}});
  const auto address =
      bitcoin::address_from_script(bitcoin::p2tr_script(crypto::sha256(as_bytes("nine"))));
  REQUIRE(address.ok());
  ghost.update({{"key", "key-9"}, {"address", *address}});
  json invoke = run.line(kHistory, {{"type", "invoke"}, {"op", 1}});
  invoke.update({{"op", 99},
                 {"key", "key-9"},
                 {"t_us", us(17'500)},
                 {"intended_us", us(17'500)},
                 {"address", ghost["address"]}});
  run.files[kHistory].push_back(ghost);
  run.files[kHistory].push_back(invoke);
  run.files[kHistory].push_back(
      {{"type", "no_answer"}, {"op", 99}, {"t_us", us(19'500)}, {"error", "deadline"}});
  expect_fail(run, "quorum-continuity", kHistory, "key-9 was sent to coordinator-0");
}

TEST_CASE("an operation is not judged where the quorum had no time to finish it") {
  Run excused;
  excused.delay_signing(1, 2'100);  // the quorum went 1 550 ms after its request
  CHECK(status_of(excused.judged(), "quorum-continuity") == kPass);
  Run late;
  late.delay_signing(1, 2'100);
  late.keep_quorum();
  expect_fail(late, "quorum-continuity", kHistory, "key-1 was sent to coordinator-1");
}

TEST_CASE("a lost etcd member gives one election more time") {
  Run run;
  run.delay_signing(2, 2'500);
  down_and_up(run, "etcd-1", 17'300, 17'900);
  const Verdict verdict = run.judged();
  for (const std::string& v : invariant(verdict, "quorum-continuity").violations) UNSCOPED_INFO(v);
  CHECK(status_of(verdict, "quorum-continuity") == kPass);
}

TEST_CASE("a process cannot excuse itself by saying that it is not ready") {
  Run run;
  run.delay_signing(2, 2'500);
  for (const char* name : {"coordinator-0", "coordinator-1"}) {
    run.add_event(17'500, "tool-0", "down", {{"name", name}, {"why", "no-ledger"}});
    run.add_event(17'800, "tool-0", "up", {{"name", name}, {"why", "ready"}});
  }
  expect_fail(run, "quorum-continuity", kHistory, "key-2 was acknowledged");
}

TEST_CASE("503 quorum-lost while a quorum stood steadily is a refusal without a reason") {
  Run run;
  run.line(kHistory, {{"type", "invoke"}, {"op", 8}})["t_us"] = us(18'500);
  run.answer(8).update({{"t_us", us(18'502)},
                        {"status", 503},
                        {"id", ""},
                        {"state", ""},
                        {"txid", ""},
                        {"problem", "quorum-lost"}});
  expect_fail(run, "quorum-continuity", kHistory, "answered 503 quorum-lost to key key-3");
}

// Withdrawal 3, signed at 17 413, reaches the node at this moment instead; -1: nobody ever said so.
static Run broadcast_at(std::int64_t at_ms, const std::string& event = "broadcast") {
  Run run;
  const Paid& p = run.paid[3];
  const json old = run.line(kEvents, {{"event", "broadcast"}, {"withdrawal_id", p.id}});
  run.erase(kEvents, {{"event", "broadcast"}, {"withdrawal_id", p.id}});
  run.erase(kEvents, {{"event", "broadcast_result"}, {"withdrawal_id", p.id}});
  if (at_ms < 0) return run;
  run.add_event(at_ms, "coordinator-0", "broadcast",
                {{"withdrawal_id", p.id}, {"txid", p.txid}, {"hex", old["hex"]}});
  if (event == "broadcast") return run;
  run.add_event(at_ms + 1, "coordinator-0", "broadcast_result",
                {{"withdrawal_id", p.id}, {"txid", p.txid}, {"outcome", event}});
  return run;
}

TEST_CASE("a signed payment that reaches no node in time breaks continuity") {
  Run never = broadcast_at(-1);
  expect_fail(never, "quorum-continuity", kLedger, "no node had it");
  Run late = broadcast_at(23'500, "accepted");
  expect_fail(late, "quorum-continuity", kLedger, "no node had it");
  Run unavailable = broadcast_at(17'500, "node-unavailable");
  expect_fail(unavailable, "quorum-continuity", kLedger, "no node had it");
}

TEST_CASE("a payment in time, or whose sender died with the call open, keeps continuity") {
  CHECK(status_of(broadcast_at(23'300, "already-in-mempool").judged(), "quorum-continuity") ==
        kPass);
  Run cut = broadcast_at(17'500);
  down_and_up(cut, "coordinator-0", 17'600, 18'100);
  CHECK(status_of(cut.judged(), "quorum-continuity") == kPass);
  Run silent = broadcast_at(17'500);  // it stayed up and never told what the node said
  expect_fail(silent, "quorum-continuity", kLedger, "no node had it");
}

TEST_CASE("while no node is up no payment is owed to one") {
  Run none = broadcast_at(-1);
  down_and_up(none, "bitcoind-0", 17'500, 18'500);  // 6 s before the load's end from then on
  CHECK(status_of(none.judged(), "quorum-continuity") == kPass);
  Run other = broadcast_at(-1);
  down_and_up(other, "bitcoind-0", 17'500, 18'500);
  other.add_event(3'000, "tool-0", "spawned", {{"name", "bitcoind-1"}, {"pid", 9}});
  other.add_event(3'001, "tool-0", "up", {{"name", "bitcoind-1"}, {"why", "ready"}});
  expect_fail(other, "quorum-continuity", kLedger, "no node had it");
}

TEST_CASE("without the load's phases continuity is not judged") {
  Run run;
  run.erase(kEvents, {{"event", "phase"}, {"name", "undisturbed"}});
  expect_open(run, "quorum-continuity", "no phase `undisturbed`");
}

TEST_CASE("a quorum that never stood long enough leaves nothing checked") {
  Run run;
  for (std::int64_t at = 10'000; at < 24'000; at += 1'000) {
    down_and_up(run, "coordinator-0", at, at + 100);
    down_and_up(run, "coordinator-1", at, at + 100);
  }
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "quorum-continuity") == InvariantStatus::Inconclusive);
  CHECK(invariant(verdict, "quorum-continuity").checked == 0);
}

// ---- safe-refusal ----

TEST_CASE("a share for a session opened after the loss is unsafe") {
  Run run;
  const std::string digest = std::string(64, '4');
  run.add_event(15'400, "coordinator-0", "session_opened",
                {{"withdrawal_id", run.paid[2].id},
                 {"txid", run.paid[2].txid},
                 {"session_digest", digest},
                 {"signers", json::array()}});
  json share = run.event({{"event", "share_released"}, {"process", "signer-2"}});
  share.update({{"t_us", us(15'401)}, {"session_digest", digest}});
  run.files[kEvents].push_back(share);
  expect_fail(run, "safe-refusal", kEvents, "signer-2 released a share for session " + digest);
}

TEST_CASE("a signature completed for a session opened after the loss is unsafe") {
  Run run;
  json done = run.event({{"event", "aggregated"}, {"withdrawal_id", run.paid[2].id}});
  const json open = run.event({{"event", "session_opened"}, {"t_us", us(14'010)}});
  done.update({{"t_us", us(14'050)},
               {"session_digest", open["session_digest"]},
               {"process", "coordinator-0"},
               {"boot", open["boot"]}});
  run.files[kEvents].push_back(done);
  expect_fail(run, "safe-refusal", kEvents, "completed while fewer than t signers were alive");
}

TEST_CASE("a new key accepted without a quorum is unsafe") {
  Run run;
  run.answer(7).update({{"status", 202},
                        {"id", run.paid[3].id},
                        {"state", "requested"},
                        {"txid", ""},
                        {"problem", ""}});
  expect_fail(run, "safe-refusal", kHistory, "the new key key-3 was answered 202");
}

TEST_CASE("a new key proposed without a quorum is unsafe though its client saw no answer") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    json& withdraw = run.entry_command(file, {{"command", "withdraw"}, {"key", "key-3"}});
    withdraw["requested_at_us"] =
        withdraw["requested_at_us"].get<std::int64_t>() - 1'800'000;  // 15.6 s
  });
  expect_fail(run, "safe-refusal", kLedger, "key key-3 was proposed");
}

TEST_CASE("a run that never lost its quorum does not exercise refusal") {
  Run run;
  run.keep_quorum();
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "safe-refusal") == InvariantStatus::NotExercised);
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
}

TEST_CASE("a signer without its key is gone from the first call recorded to have met the fault") {
  History history;
  history.experiment.cluster.scheme = "hsm";
  history.experiment.cluster.signers = history.experiment.cluster.threshold = 1;
  FaultRecord fault;
  fault.victim = "signer-0";
  fault.signal = "token-refusing";
  fault.sent_us = 10'000'000;
  fault.token_back_us = 13'000'000;
  const auto lost = [&] {
    history.faults = {fault};
    return Timelines(history).quorum_lost(history.experiment.cluster, {0, 60'000'000});
  };
  CHECK(lost().empty());  // nothing but the tool's word
  std::vector<TokenAnswer>& answers = history.tokens["signer-0"];
  answers = {{{}, 9'000'000, "refuse"}, {{}, 10'500'000, "slow"}, {{}, 14'000'000, "refuse"}};
  CHECK(lost().empty());  // before, another fault's, behind it
  answers.push_back({{}, 11'000'000, "refuse"});
  REQUIRE(lost().size() == 1);
  CHECK(lost().front().from == 11'000'000);
  CHECK(lost().front().to == 12'750'000);  // it may answer before the tool notes its return
  history.experiment.cluster.scheme = "frost";  // the share is in memory: it signs on
  history.experiment.cluster.vault = "token";
  CHECK(lost().empty());
  history.experiment.cluster.scheme = "hsm";
  fault.token_back_us.reset();
  CHECK(lost().empty());
  fault.token_back_us = 13'000'000;
  fault.signal = "token-slow";
  answers = {{{}, 11'000'000, "slow"}};
  CHECK(lost().empty());
}

// A signer with its key in a token that hung from 11 s (sent at 10 s) to `back_ms`; patience 2 s.
History hung_token(std::int64_t back_ms) {
  History history;
  history.experiment.cluster.scheme = "hsm";
  history.experiment.cluster.signers = history.experiment.cluster.threshold = 1;
  history.experiment.cluster.token_patience_ms = 2000;
  FaultRecord fault;
  fault.victim = "signer-0";
  fault.signal = "token-hangs";
  fault.sent_us = 10'000'000;
  fault.token_back_us = back_ms * 1000;
  history.faults = {fault};
  history.tokens["signer-0"] = {{{}, 11'000'000, "hang"}};
  return history;
}

Exited exited_at(std::int64_t ms, std::int64_t code = 2) {
  Exited exited;
  exited.t_us = ms * 1000;
  exited.name = "signer-0";
  exited.code = code;
  return exited;
}

TEST_CASE("a token that hangs excuses the end of its own signer, by patience and code alone") {
  const History history = hung_token(16'000);
  CHECK(ended_by_token(history, exited_at(13'000)));
  CHECK(ended_by_token(history, exited_at(12'800)));  // the patience began before the line
  CHECK_FALSE(ended_by_token(history, exited_at(12'700)));  // it had patience left
  CHECK(ended_by_token(history, exited_at(16'900)));        // seen late
  CHECK_FALSE(ended_by_token(history, exited_at(17'100)));  // its token answered again
  CHECK_FALSE(ended_by_token(history, exited_at(13'000, 1)));
  Exited killed = exited_at(13'000);
  killed.signal = 6;
  CHECK_FALSE(ended_by_token(history, killed));
  Exited other = exited_at(13'000);
  other.name = "signer-1";
  CHECK_FALSE(ended_by_token(history, other));
  CHECK_FALSE(ended_by_token(hung_token(12'700), exited_at(13'000)));  // shorter than its patience
  History refusing = history;
  refusing.faults[0].signal = "token-refusing";
  refusing.tokens["signer-0"] = {{{}, 11'000'000, "refuse"}};
  CHECK_FALSE(ended_by_token(refusing, exited_at(13'000)));
  History unmet = history;
  unmet.tokens["signer-0"].clear();
  CHECK_FALSE(ended_by_token(unmet, exited_at(13'000)));
}

TEST_CASE("a signer that a hung token ended is gone until it is started again") {
  History history = hung_token(16'000);
  const auto lost = [&] {
    return Timelines(history).quorum_lost(history.experiment.cluster, {0, 60'000'000});
  };
  REQUIRE(lost().size() == 1);
  CHECK(lost().front().from == 11'000'000);
  CHECK(lost().front().to == 15'750'000);  // it lives on
  CHECK(outlived_its_token(history, history.faults[0]));
  history.events.exited = {exited_at(13'000)};
  Spawned again;
  again.name = "signer-0";
  again.t_us = 16'100'000;
  history.events.spawned = {again};
  REQUIRE(lost().size() == 1);
  CHECK(lost().front().from == 11'000'000);
  CHECK(lost().front().to == 16'100'000);
  CHECK_FALSE(outlived_its_token(history, history.faults[0]));
  History brief = hung_token(13'900);  // within what a busy machine may need
  CHECK_FALSE(outlived_its_token(brief, brief.faults[0]));
}

TEST_CASE("a loss in which nobody asked proves no refusal") {
  Run run;
  run.answer(7)["problem"] = "draining";
  expect_open(run, "safe-refusal", "no new key was refused");
}

TEST_CASE("what was accepted before the loss resumes after it") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    run.line(file, {{"type", "withdrawal"}, {"key", "key-2"}})["signed_tx"] = "";
  });
  expect_fail(run, "safe-refusal", kHistory, "it never was signed");
}

// ---- orderly-stop-finishes ----

TEST_CASE("a daemon that exits with another code has not stopped in order") {
  Run run;
  run.event({{"event", "exited"}, {"name", "coordinator-1"}})["code"] = 1;
  expect_fail(run, "orderly-stop-finishes", kEvents, "ended with exit 1");
}

TEST_CASE("a daemon that had to be killed has not stopped in order") {
  Run run;
  run.event({{"event", "exited"}, {"name", "ledger-1"}}).update({{"code", -1}, {"signal", 9}});
  expect_fail(run, "orderly-stop-finishes", kEvents, "ended with signal 9");
}

TEST_CASE("a stop beyond its grace is seen") {
  Run run;
  json& exit = run.event({{"event", "exited"}, {"name", "signer-2"}});
  exit["t_us"] = exit["t_us"].get<std::int64_t>() + 6'000'000;
  expect_fail(run, "orderly-stop-finishes", kEvents, "signer-2 began to stop and took");
}

TEST_CASE("SIGTERM without shutdown_started is seen") {
  Run run;
  run.erase(kEvents, {{"event", "shutdown_started"}, {"process", "ledger-0"}});
  expect_fail(run, "orderly-stop-finishes", kEvents, "ledger-0 got SIGTERM");
}

TEST_CASE("a request left unanswered by an orderly stop is seen") {
  Run run;
  run.add_event(24'155, "coordinator-0", "request_received",
                {{"request", 77}, {"kind", "create"}, {"key", "k"}});
  expect_fail(run, "orderly-stop-finishes", kEvents, "without answering request 77");
}

TEST_CASE("a session left by an orderly stop that nobody finished is seen") {
  Run run;
  run.add_event(24'150, "coordinator-1", "session_opened",
                {{"withdrawal_id", std::string(32, '3')},
                 {"txid", std::string(64, '3')},
                 {"session_digest", std::string(64, '3')},
                 {"signers", json::array()}});
  expect_fail(run, "orderly-stop-finishes", kEvents, "nobody finished it");
}

TEST_CASE("a SIGTERM fault that was escalated has not finished") {
  Run run;
  json& fault = run.line(kFaults, {{"signal", "SIGKILL"}});
  fault["signal"] = "SIGTERM";
  fault["proof"].update({{"shutdown_started", true}, {"escalated", true}});
  expect_fail(run, "orderly-stop-finishes", kFaults, "had to be escalated");
}

TEST_CASE("a run without any stop does not exercise stopping") {
  Run run;
  run.erase(kEvents, {{"event", "shutdown_started"}});
  run.erase(kEvents, {{"event", "stopped"}});
  run.erase(kEvents, {{"event", "down"}, {"why", "SIGTERM"}});
  CHECK(status_of(run.judged(), "orderly-stop-finishes") == InvariantStatus::NotExercised);
}

// ---- ledger-replicas-agree ----

TEST_CASE("two entries at one index are a divergence") {
  Run run;
  run.entry_command("state/ledger-1.ndjson",
                    {{"command", "withdraw"}, {"key", "key-2"}})["detail"] = "another";
  expect_fail(run, "ledger-replicas-agree", "state/ledger-1.ndjson", "has another entry at index");
}

TEST_CASE("a replica that exports no digest of its tables is not believed") {
  Run run;
  run.erase("state/ledger-1.ndjson", {{"type", "tables"}});
  expect_fail(run, "ledger-replicas-agree", "ledger-1", "exported no digest of its tables");
}

TEST_CASE("two digests at one index are a divergence") {
  Run run;
  run.event({{"event", "checkpoint"}, {"process", "ledger-1"}})["digest"] = std::string(64, '0');
  expect_fail(run, "ledger-replicas-agree", kEvents, "ledger-1 has digest");
}

TEST_CASE("tables that are not the state are seen") {
  Run run;
  run.line(kLedger, {{"type", "tables"}})["digest"] = std::string(64, '0');
  expect_fail(run, "ledger-replicas-agree", kLedger, "the tables of ledger-0");
}

TEST_CASE("a row that the entries do not lead to is seen") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    run.line(file, {{"type", "withdrawal"}, {"key", "key-1"}})["state"] = "confirmed";
  });
  expect_fail(run, "ledger-replicas-agree", kLedger,
              "is confirmed in the tables, settled by the entries");
}

TEST_CASE("a replica that says it diverged is believed") {
  Run run;
  run.add_event(19'000, "ledger-1", "diverged", {{"index", 20}, {"own", "a"}, {"others", "b"}});
  expect_fail(run, "ledger-replicas-agree", kEvents, "ledger-1 diverged at index 20");
}

TEST_CASE("an answer older than one already given is stale") {
  Run run;
  run.answer(10)["state"] = "signed";
  json later = run.line(kHistory, {{"type", "invoke"}, {"op", 10}});
  later.update({{"op", 11}, {"t_us", us(20'100)}, {"coordinator", "coordinator-0"}});
  json answer = run.answer(10);
  answer.update({{"op", 11}, {"t_us", us(20'105)}, {"state", "planned"}});
  run.files[kHistory].push_back(later);
  run.files[kHistory].push_back(answer);
  expect_fail(run, "ledger-replicas-agree", kHistory,
              "is answered 'planned', though an earlier answer");
}

TEST_CASE("a known key answered with not-found is stale") {
  Run run;
  run.answer(2).update({{"status", 404}, {"id", ""}, {"state", ""}, {"txid", ""}});
  expect_fail(run, "ledger-replicas-agree", kHistory,
              "is answered 'absent', though an earlier answer");
}

TEST_CASE("requested behind planned is stale though the log has no entry between them") {
  Run run;
  run.answer(2).update({{"state", "requested"}, {"txid", ""}});
  expect_fail(run, "ledger-replicas-agree", kHistory,
              "is answered 'requested', though an earlier answer");
}

TEST_CASE("confirmed may fall back to broadcast when its block was un-mined, and only then") {
  const auto read = [](Run& run) {
    run.answer(2)["state"] = "confirmed";
    json later = run.line(kHistory, {{"type", "invoke"}, {"op", 2}});
    later.update({{"op", 12}, {"t_us", us(11'100)}});
    json answer = run.answer(2);
    answer.update({{"op", 12}, {"t_us", us(11'105)}, {"state", "broadcast"}});
    run.files[kHistory].push_back(later);
    run.files[kHistory].push_back(answer);
  };
  Run steady;
  read(steady);
  expect_fail(steady, "ledger-replicas-agree", kHistory,
              "is answered 'broadcast', though an earlier answer");
  Run::Options options;
  options.unmine = true;
  Run unmined(options);
  read(unmined);
  CHECK(unmined.judged().verdict == VerdictKind::Pass);
}

TEST_CASE("a block that does not fit the tip must not have been applied") {
  Run run;
  run.each_ledger([&](const std::string& file) {
    run.entry_command(file, {{"command", "block_connected"}, {"height", 6}})["prev"] =
        std::string(64, '2');
  });
  expect_fail(run, "ledger-replicas-agree", kLedger, "it could not be applied");
}

TEST_CASE("a replica that did not apply EndOfRun and is not declared lost leaves the end unknown") {
  Run run;
  run.line("state/ledger-1.ndjson", {{"type", "state"}})["closed"] = false;
  const Verdict verdict = run.judged();
  CHECK(verdict.verdict != VerdictKind::Pass);
  CHECK(invariant(verdict, "ledger-replicas-agree").note.find("ledger-1 did not apply EndOfRun") !=
        std::string::npos);
}

// ---- limits-respected ----

TEST_CASE("an answer that its coordinator never told is seen") {
  Run run;
  run.keep_answers = true;
  expect_fail(run, "idempotency-key-respected", kHistory, "told no such answer");
}

TEST_CASE("one telling does not stand for two answers") {
  Run run;
  json& first = run.answer(1);
  json again = first;
  json invoke = run.line(kHistory, {{"type", "invoke"}, {"op", 1}});
  const std::size_t before = run.files[kHistory].size();
  run.tell_answers();
  run.keep_answers = true;
  again["op"] = invoke["op"] = 99;
  run.files[kHistory].push_back(invoke);
  run.files[kHistory].push_back(again);
  REQUIRE(run.files[kHistory].size() == before + 2);
  expect_fail(run, "idempotency-key-respected", kHistory, "op 99 was answered with 202");
}

TEST_CASE("a request that nobody told to have got is seen by its answer") {
  Run run;
  run.erase(kEvents, {{"event", "request_received"}, {"request", 1}});
  expect_fail(run, "orderly-stop-finishes", kEvents, "answered request 1, which it never told");
}

TEST_CASE("one request has one answer, and an orderly end its beginning") {
  Run twice;
  json again = twice.event({{"event", "answered"}, {"request", 1}});
  twice.files[kEvents].push_back(again);
  expect_fail(twice, "orderly-stop-finishes", kEvents, "answered request 1 twice");
  Run silent;
  silent.erase(kEvents, {{"event", "shutdown_started"}, {"process", "ledger-1"}});
  expect_fail(silent, "orderly-stop-finishes", kEvents, "ledger-1 stopped and never told");
}

TEST_CASE("replicas whose postings differ are seen, though each one's books balance") {
  Run run;
  auto& lines = run.files["state/ledger-1.ndjson"];
  const auto last = std::find_if(lines.rbegin(), lines.rend(), [](const json& line) {
    return line.value("type", "") == "posting";
  });
  REQUIRE(last != lines.rend());
  (*last)["index"] = last->at("index").get<std::uint64_t>() + 1;
  expect_fail(run, "ledger-replicas-agree", "state/ledger-1.ndjson", "has another posting here");
}

TEST_CASE("an export that is not of the last entry is seen") {
  Run run;
  run.line("state/ledger-1.ndjson", {{"type", "state"}})["index"] = 27;
  expect_fail(run, "ledger-replicas-agree", "state/ledger-1.ndjson", "exports its state at 27");
}

namespace {

// Two replicas that told these digests and applied EndOfRun at 200.
InvariantResult checkpoints_of(const std::vector<std::uint64_t>& first,
                               const std::vector<std::uint64_t>& second,
                               std::int64_t second_started_us) {
  History history;
  history.sources.push_back({kEvents, true, {}, 0});
  const auto tell = [&](const std::string& name, const std::string& event, std::uint64_t index) {
    DigestEvent e;
    e.process = name;
    e.boot = name == "ledger-1" && second_started_us > 0 && event != "checkpoint" ? "2" : name;
    e.t_us = static_cast<std::int64_t>(index);
    e.event = event;
    e.index = index;
    history.events.digests.push_back(e);
  };
  for (const auto& [name, told] : {std::pair{"ledger-0", first}, std::pair{"ledger-1", second}}) {
    Replica replica;
    replica.name = name;
    history.replicas.push_back(replica);
    for (const std::uint64_t index : told) tell(name, "checkpoint", index);
    tell(name, "end_of_run_applied", 200);
  }
  Lifecycle started;
  started.process = "ledger-1";
  started.event = "started";
  started.t_us = second_started_us;
  history.events.lifecycle.push_back(started);
  Findings out(history, "ledger-replicas-agree");
  out.checked();
  check_checkpoints_told(history, out);
  return out.result();
}

}  // namespace

TEST_CASE("a replica tells its digest at every checkpoint that it passes") {
  const std::vector<std::uint64_t> all{64, 128, 192};
  CHECK(checkpoints_of(all, all, 0).status == InvariantStatus::Pass);
  // Started again behind the last one: it may have died before it could tell.
  CHECK(checkpoints_of(all, {64}, 195).status == InvariantStatus::Pass);
  CHECK(says(checkpoints_of(all, {64, 192}, 0), kEvents, "none at its checkpoint 128"));
  CHECK(says(checkpoints_of(all, {64, 128}, 0), kEvents, "ledger-1 told a digest at 200"));
  CHECK(says(checkpoints_of(all, {}, 0), kEvents, "never told its digest at checkpoint 192"));
  CHECK(says(checkpoints_of({64, 192}, {}, 195), "", "told its digest at checkpoint 128"));
}

TEST_CASE("a limit over its bound is seen") {
  Run run;
  run.event({{"event", "limits"}, {"process", "coordinator-0"}})["open_requests"] = 4097;
  expect_fail(run, "limits-respected", kEvents, "coordinator-0 had open_requests");
}

TEST_CASE("a daemon does not choose its own bounds") {
  Run raised;
  raised.event({{"event", "limits"}, {"process", "coordinator-0"}})["open_requests_bound"] = 5000;
  expect_fail(raised, "limits-respected", kEvents, "its bound is 4096");
  Run invented;
  json& limits = invented.event({{"event", "limits"}, {"process", "ledger-0"}});
  limits["patience"] = 1;
  limits["patience_bound"] = 2;
  expect_fail(invented, "limits-respected", kEvents, "no such limit is known");
}

TEST_CASE("a limit without its bound is no limit") {
  Run run;
  run.event({{"event", "limits"}, {"process", "signer-1"}}).erase("pooled_nonces_bound");
  expect_fail(run, "limits-respected", kEvents, "pooled_nonces without pooled_nonces_bound");
}

TEST_CASE("a daemon that never reported its limits leaves them unknown") {
  Run run;
  run.erase(kEvents, {{"event", "limits"}, {"process", "ledger-1"}});
  expect_open(run, "limits-respected", "ledger-1 never reported its limits");
}

TEST_CASE("without the event log nothing about processes is known") {
  Run run;
  const std::string folder = run.write();
  REQUIRE(std::remove((folder + "/" + kEvents).c_str()) == 0);
  const Verdict verdict = run.judged_at(folder);
  for (const char* id : {"quorum-continuity", "safe-refusal", "orderly-stop-finishes",
                         "limits-respected", "share-has-its-record", "nonce-never-reused",
                         "ledger-replicas-agree", "no-partial-transaction"}) {
    INFO(id);
    CHECK(status_of(verdict, id) == InvariantStatus::Inconclusive);
    CHECK(invariant(verdict, id).note.find("events.ndjson is missing") != std::string::npos);
  }
}

}  // namespace roulette::check::test
