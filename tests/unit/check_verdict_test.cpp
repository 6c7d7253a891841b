// The weighing: what a whole run makes of its invariants, faults, floors, interruptions and
// formats.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "chaos/check/coverage.h"
#include "chaos/check/latency.h"
#include "chaos/check/run_journal.h"
#include "check_run.h"

namespace roulette::check::test {
namespace {

const std::string kFaults = "faults.ndjson";
constexpr char kExperimentFile[] = R"(title: A run
description: Made by hand.
method: [{type: action, name: quorum-roulette, provider: {type: roulette}}]
extensions:
  - name: quorum-roulette
    version: 1
    cluster: {signers: 3, threshold: 2, ledgers: 2}
    workload: {duration_s: 60}
)";

std::string all_of(const Verdict& verdict) {
  std::string out;
  for (const std::string& reason : verdict.reasons) out += reason + "\n";
  for (const InvariantResult& r : verdict.invariants) {
    out +=
        r.id + " " + status_name(r.status) + " " + std::to_string(r.checked) + " " + r.note + "\n";
    for (const std::string& v : r.violations) out += "    " + v + "\n";
  }
  return out;
}

// The invariants all hold, and yet the run is no pass, for this reason.
void expect_spoiled(Run& run, VerdictKind kind, const std::string& reason) {
  const Verdict verdict = run.judged();
  INFO(all_of(verdict));
  CHECK(verdict.verdict == kind);
  CHECK(has_reason(verdict, reason));
  for (const InvariantResult& result : verdict.invariants)
    CHECK(result.status == InvariantStatus::Pass);
}

}  // namespace

TEST_CASE("a run whose records all agree passes with all fifteen invariants checked") {
  Run run;
  const Verdict verdict = run.judged();
  INFO(all_of(verdict));
  CHECK(verdict.verdict == VerdictKind::Pass);
  CHECK(verdict.reasons.empty());
  REQUIRE(verdict.invariants.size() == 15);
  for (const InvariantResult& result : verdict.invariants) {
    INFO(result.id << " " << result.note);
    CHECK(result.status == InvariantStatus::Pass);
    CHECK(result.checked > 0);
    CHECK(result.violations.empty());
  }
}

TEST_CASE("a fault that did not fire spoils the run with its reason") {
  Run run;
  json& fault = run.line(kFaults, {{"signal", "SIGKILL"}});
  fault.update({{"fired", false},
                {"proof", nullptr},
                {"hit", nullptr},
                {"proven", false},
                {"why_not", "the point was not passed"}});
  run.experiment.floor = {1, 0, 0};
  expect_spoiled(run, VerdictKind::Inconclusive,
                 "fault 1 (SIGKILL to signer-1 at signer.persist.signing_record.after) did not "
                 "fire: the point was not passed");
}

TEST_CASE("a scheduled fault without a record spoils the run") {
  Run run;
  run.erase(kFaults, {{"victim", "signer-0"}});
  run.experiment.floor = {1, 0, 0};
  expect_spoiled(run, VerdictKind::Inconclusive, "has no record for signer-0");
}

TEST_CASE("a SIGKILL is proven by the send and by the death, never by its word") {
  struct Case {
    const char* field;
    json value;
    const char* reason;
  };
  for (const Case& c : {Case{"wtermsig", nullptr, "it was not seen to die of signal 9"},
                        Case{"wtermsig", 15, "it was not seen to die of signal 9"},
                        Case{"send_result", -3, "the signal was not sent: -3"}}) {
    Run run;
    run.experiment.floor = {1, 0, 0};
    run.line(kFaults, {{"signal", "SIGKILL"}})["proof"][c.field] = c.value;
    expect_spoiled(run, VerdictKind::Inconclusive, c.reason);
  }
}

TEST_CASE("an armed fault is proven only with its hit") {
  Run run;
  run.experiment.floor = {1, 0, 0};
  run.line(kFaults, {{"signal", "SIGKILL"}})["hit"] = nullptr;
  expect_spoiled(run, VerdictKind::Inconclusive, "its point was never hit");
}

TEST_CASE("etcd's last act on SIGTERM is the signal itself, nobody else's is") {
  FaultRecord fault;
  fault.signal = "SIGTERM";
  fault.point = "etcd.process.at_time";
  fault.fired = fault.proven = fault.has_proof = true;
  fault.send_result = 0;
  fault.wtermsig = 15;
  fault.role = "etcd";
  CHECK(proof_defect(fault).empty());
  fault.role = "bitcoind";
  CHECK(proof_defect(fault) == "it was not seen to exit with 0");
  fault.role = "signer";
  fault.shutdown_started = true;
  CHECK(proof_defect(fault) == "it was not seen to exit with 0");
}

TEST_CASE("a pause is proven only when it was seen stopped and continued") {
  for (const char* field : {"stopped", "continued"}) {
    Run run;
    run.experiment.floor = {1, 0, 0};
    run.line(kFaults, {{"signal", "SIGSTOP"}})["proof"][field] = false;
    expect_spoiled(run, VerdictKind::Inconclusive, std::string("it was not seen ") + field);
  }
}

TEST_CASE("a run whose schedule is not the file's is no evidence for the file") {
  Run run;
  run.facts.schedule_hash = std::string(64, '1');
  expect_spoiled(run, VerdictKind::Inconclusive, "the run followed schedule 1111");
}

TEST_CASE("each floor that is not met spoils the run") {
  Run settled;
  settled.experiment.floor.settled = 5;
  expect_spoiled(settled, VerdictKind::Inconclusive,
                 "floor: 4 settled withdrawals, at least 5 wanted");
  Run kills;
  kills.experiment.floor.kills = 4;
  expect_spoiled(kills, VerdictKind::Inconclusive, "floor: 3 proven faults, at least 4 wanted");
  Run points;
  points.experiment.floor.points = 3;
  expect_spoiled(points, VerdictKind::Inconclusive, "floor: 2 different points, at least 3 wanted");
}

TEST_CASE("an exit nobody asked for fails the run though every invariant holds") {
  Run told;
  told.facts.unasked_exits = {"ledger-1 (pid 7) ended by itself: signal 11"};
  expect_spoiled(told, VerdictKind::Fail, "unasked exit: ledger-1 (pid 7)");
  Run recorded;
  recorded.event({{"event", "exited"}, {"name", "signer-1"}})["asked"] = false;
  expect_spoiled(recorded, VerdictKind::Fail, "unasked exit: signer-1 (events.ndjson:");
}

TEST_CASE("a step of the end that failed spoils the run") {
  Run run;
  run.facts.problems = {"not every accepted withdrawal settled within the heal bound"};
  expect_spoiled(run, VerdictKind::Inconclusive, "within the heal bound");
}

TEST_CASE("an interrupted run is at best inconclusive") {
  Run run;
  run.facts.interrupted = true;
  run.facts.interruption = "stop condition: error_rate";
  const Verdict verdict = run.judged();
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
  CHECK(has_reason(verdict, "interrupted: stop condition: error_rate"));
}

TEST_CASE("a steady state outside its tolerance spoils the run") {
  Run run;
  run.experiment.steady_state[0].most = 0.45;
  expect_spoiled(
      run, VerdictKind::Inconclusive,
      "steady state: settled_per_second (settle-rate) in the undisturbed phase is 0.500");
  Run loaded;
  loaded.experiment.steady_state[0].least = 0.45;
  expect_spoiled(loaded, VerdictKind::Inconclusive,
                 "steady state: settled_per_second (settle-rate) over the load is 0.421, outside "
                 "0.450..10.000");
}

TEST_CASE("a hypothesis that could not be measured before the faults is not met") {
  Run run;
  run.event({{"event", "phase"}, {"name", "disturbed"}})["name"] = "something else";
  run.keep_quorum();
  run.experiment.require = {"no-duplicate-payment"};
  const Verdict verdict = run.judged();
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
  CHECK(has_reason(verdict, "in the undisturbed phase could not be measured"));
}

TEST_CASE("a fault recorded twice, or otherwise than drawn, is no fault of the schedule") {
  const auto planted = [](const std::function<void(std::vector<json>&)>& edit) {
    Run run;
    edit(run.files["faults.ndjson"]);
    return run;
  };
  Run twice = planted([](auto& lines) { lines.push_back(lines[0]); });
  expect_spoiled(twice, VerdictKind::Inconclusive, "it is recorded twice");
  Run invented = planted([](auto& lines) { lines[0]["fault_id"] = 77; });
  CHECK(has_reason(invented.judged(), "no seed drew it"));
  Run excused = planted([](auto& lines) { lines[0]["recover"] = "none"; });
  CHECK(has_reason(excused.judged(), "the recovery drawn is restart"));
  Run elsewhere = planted([](auto& lines) { lines[0]["point"] = "signer.send.hello.after"; });
  CHECK(has_reason(elsewhere.judged(), "the point drawn is signer.persist.signing_record.after"));
}

TEST_CASE("a fault is the one that was drawn, and its times stand in the tool's log") {
  const auto spoilt = [](const char* field, const json& value, const char* why) {
    Run run;
    run.files["faults.ndjson"][0][field] = value;
    INFO(field);
    CHECK(has_reason(run.judged(), why));
  };
  spoilt("rule", 1, "the rule drawn from is 0");
  spoilt("occurrence", 2, "the occurrence drawn is 1");
  spoilt("trigger_process", "signer-0", "the trigger drawn is signer-1");
  const std::int64_t later = 5'000'000'000;
  spoilt("ready_us", later, "tells no return of its victim");
  spoilt("restarted_us", later, "tells no restart at that time");
  Run sent, reaped, silent;
  sent.files["faults.ndjson"][0]["proof"]["sent_us"] = later - 1;
  sent.files["faults.ndjson"][0]["proof"]["reaped_us"] = later;
  CHECK(has_reason(sent.judged(), "tells no signal at that time"));
  reaped.files["faults.ndjson"][0]["proof"]["reaped_us"] = later;
  CHECK(has_reason(reaped.judged(), "tells no such end of its victim"));
  silent.erase("events.ndjson", {{"event", "fault"}, {"fault_id", 1}, {"moment", "sent"}});
  CHECK(has_reason(silent.judged(), "tells no signal at that time"));
}

TEST_CASE("what the tool says it struck besides the schedule must be recorded as it said") {
  Run run;
  run.files["faults.ndjson"][0]["fault_id"] = 77;
  for (json& e : run.files["events.ndjson"]) {
    if (e.value("fault_id", 0) == 1) e["fault_id"] = 77;
  }
  const std::string victim = run.files["faults.ndjson"][0]["victim"];
  chaos::FaultInstance cell;
  cell.id = 77;
  cell.victims = {{Role::Signer, static_cast<std::uint16_t>(std::stoul(victim.substr(7)))}};
  cell.point = run.files["faults.ndjson"][0]["point"];
  cell.signal = chaos::Signal::Kill;
  cell.trigger_process = cell.victims[0];
  run.facts.unscheduled = {cell};
  CHECK_FALSE(has_reason(run.judged(), "fault 77"));
  run.facts.unscheduled[0].signal = chaos::Signal::Term;
  CHECK(has_reason(run.judged(), "the signal drawn is SIGTERM"));
  run.facts.unscheduled[0].id = 78;
  CHECK(has_reason(run.judged(), "has no record for " + victim));
}

TEST_CASE("a run that must un-mine a payment and did not is inconclusive") {
  Run steady;
  steady.experiment.requires_unmined_payment = true;
  expect_spoiled(steady, VerdictKind::Inconclusive, "no block that held a payment was un-mined");
  Run::Options options;
  options.unmine = true;
  Run unmined(options);
  unmined.experiment.requires_unmined_payment = true;
  const Verdict verdict = unmined.judged();
  INFO(all_of(verdict));
  CHECK(verdict.verdict == VerdictKind::Pass);
}

TEST_CASE("only what is required must be exercised, but a violation always fails") {
  Run run;
  run.keep_quorum();
  run.experiment.require = {"no-duplicate-payment"};
  CHECK(run.judged().verdict == VerdictKind::Pass);
  run.experiment.require = {"no-duplicate-payment", "safe-refusal"};
  CHECK(run.judged().verdict == VerdictKind::Inconclusive);
  run.experiment.require = {"no-duplicate-payment"};
  run.experiment.expect = chaos::Expectation::Refusal;
  CHECK(run.judged().verdict == VerdictKind::Inconclusive);
  run.experiment.expect = chaos::Expectation::Progress;
  run.answer(4)["id"] = run.paid[0].id;
  CHECK(run.judged().verdict == VerdictKind::Fail);
}

TEST_CASE("an experiment that expects refusal passes when it was refused as declared") {
  Run run;
  run.experiment.expect = chaos::Expectation::Refusal;
  CHECK(run.judged().verdict == VerdictKind::Pass);
}

TEST_CASE("a requirement nobody checks is not met") {
  Run run;
  run.experiment.require = {"no-such-thing"};
  expect_spoiled(run, VerdictKind::Inconclusive,
                 "required invariant 'no-such-thing' is none that is checked");
}

TEST_CASE("reasons for fail stand before reasons for inconclusive") {
  Run run;
  run.facts.problems = {"a problem"};
  run.facts.unasked_exits = {"somebody"};
  const Verdict verdict = run.judged();
  REQUIRE(verdict.reasons.size() == 2);
  CHECK(verdict.reasons[0] == "unasked exit: somebody");
  CHECK(verdict.reasons[1] == "a problem");
}

TEST_CASE("violations are capped and the rest is counted") {
  Run run;
  for (int i = 0; i < 30; ++i) {
    json answer = run.answer(4);
    json invoke = run.line("history.ndjson", {{"type", "invoke"}, {"op", 4}});
    answer["op"] = invoke["op"] = 200 + i;
    answer["id"] = std::string(32, static_cast<char>('a' + i % 6));
    run.files["history.ndjson"].push_back(invoke);
    run.files["history.ndjson"].push_back(answer);
  }
  const Verdict verdict = run.judged();
  const InvariantResult& result = invariant(verdict, "idempotency-key-respected");
  REQUIRE(result.violations.size() == 21);
  CHECK(result.violations.back() == "and 10 more");
}

TEST_CASE("an empty folder is inconclusive in every invariant, and no folder is an error") {
  Run run;
  run.files.clear();
  run.files["state/chain.ndjson"] = {};
  run.headers["state/chain.ndjson"] = {{"format", "roulette-chain"}, {"version", 1}};
  const Verdict verdict = run.judged();
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
  for (const InvariantResult& result : verdict.invariants) {
    INFO(result.id);
    CHECK(result.status == InvariantStatus::Inconclusive);
    CHECK_FALSE(result.note.empty());
  }
  CHECK_FALSE(judge("/nonexistent/run", run.experiment, run.facts).ok());
}

TEST_CASE("a ledger's export of an older version is named, and judged by nobody") {
  Run run;
  run.headers["state/ledger-0.ndjson"] = {{"format", "roulette-ledger"}, {"version", 1}};
  const Verdict verdict = run.judged();
  CHECK(verdict.verdict == VerdictKind::Inconclusive);
  CHECK(has_reason(verdict, "version 1, which this reader does not know (it knows 4)"));
}

TEST_CASE("a missing field is named with its line") {
  Run run;
  run.line("history.ndjson", {{"type", "key"}, {"key", "key-2"}}).erase("address");
  const Verdict verdict = run.judged();
  CHECK(invariant(verdict, "no-lost-withdrawal")
            .note.find("history.ndjson:15: field 'address' is missing") != std::string::npos);
}

TEST_CASE("a torn last line is a defect") {
  Run run;
  const std::string folder = run.write();
  FILE* file = std::fopen((folder + "/history.ndjson").c_str(), "ab");
  REQUIRE(file != nullptr);
  std::fputs("{\"type\":\"ans", file);
  std::fclose(file);
  const Verdict verdict = run.judged_at(folder);
  CHECK(invariant(verdict, "no-lost-withdrawal").note.find("the last line is torn") !=
        std::string::npos);
}

TEST_CASE("a client's record without its end or with an open request is not whole") {
  const auto note = [](Run& run) { return invariant(run.judged(), "no-lost-withdrawal").note; };
  Run unended;
  unended.ends_history = false;
  CHECK(note(unended).find("the client never ended its record") != std::string::npos);
  Run lost;  // with answer and all: nothing else would miss it
  lost.files["history.ndjson"].push_back({{"type", "end"}, {"t_us", 1}, {"keys", 4}, {"ops", 12}});
  CHECK(note(lost).find("4 keys and 12 requests") != std::string::npos);
  Run silent;
  silent.erase("history.ndjson", {{"type", "answer"}, {"op", 4}});
  CHECK(note(silent).find("op 4 has neither an answer nor a no_answer") != std::string::npos);
}

TEST_CASE("a request of an unknown kind or to an unknown coordinator is a defect") {
  const auto note = [](Run& run) { return invariant(run.judged(), "no-lost-withdrawal").note; };
  Run intent;
  intent.line("history.ndjson", {{"type", "invoke"}, {"op", 4}})["intent"] = "new ";
  CHECK(note(intent).find("unknown intent 'new '") != std::string::npos);
  Run coordinator;
  coordinator.line("history.ndjson", {{"type", "invoke"}, {"op", 4}})["coordinator"] =
      "coordinator-7";
  CHECK(note(coordinator).find("'coordinator-7' is no coordinator") != std::string::npos);
}

TEST_CASE("an event of an unknown name is a defect: a lost one may hide behind it") {
  Run run;
  run.event({{"event", "share_received"}})["event"] = "share_recieved";
  CHECK(invariant(run.judged(), "share-has-its-record").note.find("unknown event") !=
        std::string::npos);
}

TEST_CASE("events of one boot that change places are a defect") {
  Run run;
  const std::string folder = run.write();
  std::swap(run.event({{"process", "coordinator-0"}, {"seq", 3}})["seq"],
            run.event({{"process", "coordinator-0"}, {"seq", 4}})["seq"]);
  CHECK(invariant(run.judged(), "share-has-its-record").note.find("stands behind 4") !=
        std::string::npos);
  std::filesystem::remove_all(folder);
}

// The merge wrote them in the order of time: who moves a line moves what happened before what.
TEST_CASE("an event that stands before earlier ones is a defect") {
  Run run;
  const std::string folder = run.write();
  std::ifstream in(folder + "/events.ndjson");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  REQUIRE(lines.size() > 10);
  std::swap(lines[1], lines[lines.size() - 1]);
  std::ofstream out(folder + "/events.ndjson");
  for (const std::string& line : lines) out << line << "\n";
  out.close();
  const Verdict verdict = run.judged_at(folder);
  CHECK(verdict.verdict != VerdictKind::Pass);
  CHECK(invariant(verdict, "share-has-its-record").note.find("not in the order of time") !=
        std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST_CASE("an address that two withdrawals share cannot be judged by the chain") {
  Run run;
  run.line("history.ndjson", {{"type", "key"}, {"key", "key-3"}})["address"] = run.paid[0].address;
  const Verdict verdict = run.judged();
  CHECK(invariant(verdict, "no-duplicate-payment").note.find("was used before") !=
        std::string::npos);
}

TEST_CASE("load, latency and faults are counted from the records") {
  Run run;
  const Verdict v = run.judged();
  CHECK(v.load_requested == 4);
  CHECK(v.load_acknowledged == 4);
  CHECK(v.load_settled == 4);
  CHECK(v.load_refused == 1);
  CHECK(v.load_rejected == 0);
  CHECK(v.load_indeterminate == 0);
  CHECK(v.faults_requested == 3);
  CHECK(v.faults_fired == 3);
  CHECK(v.faults_proven == 3);
  CHECK(v.faults_by_point.at("signer.persist.signing_record.after") == 1);
  CHECK(v.signing_undisturbed.n == 1);
  CHECK(v.signing_undisturbed.p50 == 2.0);
  CHECK(v.withdrawal_undisturbed.p50 == 8.0);
  CHECK(v.withdrawal_disturbed.n == 3);
  CHECK(v.recovery_ms.at("signer").n == 3);
  CHECK(v.recovery_ms.at("signer").max == 3000.0);
  CHECK(v.availability == 0.75);
}

TEST_CASE("quantiles are measured values by nearest rank") {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  const Quantiles q = quantiles(values);
  CHECK(q.n == 100);
  CHECK(q.p50 == 50);
  CHECK(q.p95 == 95);
  CHECK(q.p99 == 99);
  CHECK(q.max == 100);
  CHECK(quantiles({}).n == 0);
  CHECK(quantiles({7}).p50 == 7);
}

TEST_CASE("verdict.json has the names the design gives them") {
  Run run;
  const json v = json::parse(verdict_json(run.judged()));
  CHECK(v.at("verdict") == "pass");
  CHECK(v.at("invariants").size() == 15);
  CHECK(v.at("invariants")[0].at("id") == "no-duplicate-payment");
  CHECK(v.at("invariants")[0].at("status") == "pass");
  CHECK(v.at("schedule_hash") == run.facts.schedule_hash);
  CHECK(v.at("faults").at("by_point").at("signer.process.at_time") == 2);
  CHECK(v.at("latency_ms").at("signing").at("undisturbed").at("p95") == 2.0);
  CHECK(v.at("recovery_ms").at("signer").at("p99") == 3000.0);
  CHECK(v.at("load").at("indeterminate") == 0);
  CHECK(v.at("memory_mb").at("signer") == 12.5);
  CHECK(v.at("availability") == 0.75);
}

TEST_CASE("a finished run is judged again as it was, with its interruptions and its seed") {
  Run run;
  const std::string folder = run.write();
  const auto put = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder + "/" + name, std::ios::binary) << text;
  };
  CHECK(judge_folder(folder).error().message.find("journal.json: cannot be read") !=
        std::string::npos);
  put("experiment.yaml", kExperimentFile);
  run.facts.interrupted = true;
  run.facts.interruption = "a signal";
  run.facts.problems = {"a step failed"};
  run.facts.unasked_exits = {"signer-9 died"};
  run.experiment.seed = 99;
  const auto journal = run_journal_json(folder, run.experiment, run.facts, {});
  REQUIRE(journal.ok());
  put("journal.json", *journal);
  const auto same = [&] {
    const auto verdict = judge_folder(folder);
    REQUIRE(verdict.ok());
    return *verdict;
  };
  const Verdict first = same();
  CHECK(first.seed == 99);
  CHECK(first.reasons.front() == "unasked exit: signer-9 died");
  CHECK(has_reason(first, "interrupted: a signal"));
  CHECK(has_reason(first, "a step failed"));
  CHECK_FALSE(has_reason(first, "when the run ended"));

  std::ofstream(folder + "/events.ndjson", std::ios::app) << "\n";
  CHECK(has_reason(same(), "events.ndjson is not what it was when the run ended"));
  std::filesystem::remove(folder + "/state/transactions.ndjson");
  CHECK(has_reason(same(), "state/transactions.ndjson was there when the run ended"));
  put("state/ledger-9.ndjson", "");
  CHECK(has_reason(same(), "state/ledger-9.ndjson was not there when the run ended"));

  json excuse = json::parse(*journal);
  excuse.erase("unasked_exits");
  put("journal.json", excuse.dump());
  CHECK_FALSE(judge_folder(folder).ok());
  put("journal.json", "[]");
  CHECK_FALSE(judge_folder(folder).ok());
  std::filesystem::remove_all(folder);
}

TEST_CASE("exit codes follow the verdict") {
  CHECK(verdict_exit_code(VerdictKind::Pass) == 0);
  CHECK(verdict_exit_code(VerdictKind::Fail) == 1);
  CHECK(verdict_exit_code(VerdictKind::Inconclusive) == 2);
}

}  // namespace roulette::check::test
