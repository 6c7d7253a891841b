// The columns of a comparison, its intervals and its sentences, against values worked out by hand.
#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include "chaos/check/comparison.h"

namespace roulette::check {
namespace {

// One withdrawal, asked at `at_ms` and signed at `signed_ms` (never, when it is 0).
void add(History& history, const std::string& key, std::int64_t at_ms, std::int64_t signed_ms,
         int status = 202) {
  Operation op;
  op.op = history.operations.size() + 1;
  op.key = key;
  op.intent = "new";
  op.intended_us = at_ms * 1000 - 500;
  op.invoked_us = at_ms * 1000;
  op.answered = true;
  op.answered_us = at_ms * 1000 + 2000;
  op.status = status;
  op.id = status == 202 ? "id-" + key : "";
  op.state = status == 202 ? "planned" : "";
  history.operations.push_back(op);
  if (signed_ms == 0) return;
  SignedApplied event;
  event.t_us = signed_ms * 1000;
  event.withdrawal_id = "id-" + key;
  history.events.signed_applied.push_back(event);
}

void add_phase(History& history, const std::string& name, std::int64_t at_ms) {
  Phase phase;
  phase.name = name;
  phase.t_us = at_ms * 1000;
  history.events.phases.push_back(phase);
}

void add_fault(History& history, const std::string& role, std::int64_t at_ms) {
  FaultRecord fault;
  fault.role = role;
  fault.recover = "restart";
  fault.fired = true;
  fault.sent_us = at_ms * 1000;
  history.faults.push_back(fault);
}

// Load from 1 s to 10 s.
History a_run() {
  History history;
  add_phase(history, "undisturbed", 1000);
  add_phase(history, "disturbed", 3000);
  add_phase(history, "drain", 10'000);
  return history;
}

RunFigures measured(const History& history) {
  RunFigures out;
  measure_figures(history, 1000, out);
  return out;
}

void add_life(History& history, const std::string& name, std::optional<std::uint64_t> cpu_us) {
  Spawned spawned;
  spawned.name = name;
  history.events.spawned.push_back(spawned);
  Exited exited;
  exited.name = name;
  exited.cpu_us = cpu_us;
  history.events.exited.push_back(exited);
}

void add_traffic(History& history, const std::string& name, const std::string& peer,
                 std::uint64_t messages, std::uint64_t bytes) {
  Traffic traffic;
  traffic.name = name;
  traffic.peer = peer;
  traffic.messages = messages;
  traffic.bytes = bytes;
  history.events.traffic.push_back(traffic);
}

RunFigures figures(double stall_ms, std::uint64_t failed = 0, double disturbed_p99 = 30) {
  RunFigures out;
  out.verdict = VerdictKind::Pass;
  out.requested = 100;
  out.failed = failed;
  out.settled = 100 - failed;
  out.longest_stall_ms = stall_ms;
  out.p99_ms = {20.0, disturbed_p99};
  return out;
}

Comparison comparison(const std::vector<RunFigures>& frost, const std::vector<RunFigures>& single) {
  Comparison out;
  out.reference = "frost";
  out.late_ms = 1000;
  out.machine_json = "{}";
  out.variants = {{"frost", "frost", "3 of 5", {}, frost},
                  {"single", "single", "1 of 1", {}, single}};
  return out;
}

bool says(const std::string& text, const std::string& words) {
  INFO(text);
  return text.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a stall is the longest time with something outstanding and nothing reaching signed") {
  History history = a_run();
  add(history, "a", 1000, 1100);
  // Nothing is asked from 1100 to 4000: no stall, whatever the time.
  add(history, "b", 4000, 4700);  // 700 ms
  add(history, "c", 4500, 5000);  // 300 ms after b
  add(history, "d", 6000, 6400);
  add(history, "e", 6100, 6900);  // 500 ms after d, though asked 800 ms before
  CHECK(measured(history).longest_stall_ms == 700);
  CHECK_FALSE(measured(history).stalled_to_the_end);
  SECTION("one that is refused for good is outstanding no more") {
    add(history, "f", 8000, 0, 422);
    CHECK(measured(history).longest_stall_ms == 700);
  }
  SECTION("one that is never signed stalls until the load ends, and that is said") {
    add(history, "f", 8000, 0);
    CHECK(measured(history).longest_stall_ms == 2000);
    CHECK(measured(history).stalled_to_the_end);
  }
  SECTION("what is signed after the load counts until its end") {
    add(history, "f", 8500, 14'000);
    CHECK(measured(history).longest_stall_ms == 1500);
  }
}

TEST_CASE("a blow's stall lies between it and the next one, and says when the load ended first") {
  History history = a_run();
  add(history, "a", 3900, 4800);
  add(history, "b", 5900, 6100);
  add_fault(history, "signer", 4000);
  add_fault(history, "coordinator", 6000);
  auto blows = measured(history).stall_by_blow;
  CHECK(blows.at("signer restart").ms == 800);
  CHECK(blows.at("coordinator restart").ms == 100);
  CHECK_FALSE(blows.at("coordinator restart").to_the_end);
  add(history, "c", 9000, 0);
  blows = measured(history).stall_by_blow;
  CHECK(blows.at("coordinator restart").ms == 1000);
  CHECK(blows.at("coordinator restart").to_the_end);
}

TEST_CASE("late counts from the intended start, and only what was signed") {
  History history = a_run();
  add(history, "a", 2000, 2999);  // 999.5 ms after the intended start
  add(history, "b", 2000, 3000);  // 1000.5 ms
  add(history, "c", 2000, 0);
  CHECK(measured(history).late == 1);
}

TEST_CASE("the CPU of every life counts, and one life that tells nothing makes it null") {
  History history = a_run();
  TransactionRecord tx;
  tx.prevouts.resize(2);
  history.transactions.push_back(tx);
  add_life(history, "signer-0", 1000);
  add_life(history, "signer-0", 3000);
  add_life(history, "coordinator-0", 6000);
  add_life(history, "ledger-0", 77'000);
  CHECK(measured(history).cpu_us_per_signature == 5000.0);
  SECTION("an end without it") {
    add_life(history, "signer-1", {});
    CHECK_FALSE(measured(history).cpu_us_per_signature.has_value());
    CHECK(says(measured(history).no_cpu, "signer-1"));
  }
  SECTION("a life without an end") {
    history.events.exited.pop_back();
    history.events.exited.pop_back();
    CHECK_FALSE(measured(history).cpu_us_per_signature.has_value());
  }
}

TEST_CASE("messages are counted where they arrive, between signers and coordinators only") {
  History history = a_run();
  add_life(history, "signer-0", 1);
  add_life(history, "coordinator-0", 1);
  add_traffic(history, "signer-0", "coordinator", 3, 300);
  add_traffic(history, "coordinator-0", "signer", 4, 500);
  add_traffic(history, "coordinator-0", "ledger", 100, 9000);
  CHECK(measured(history).messages == 7U);
  CHECK(measured(history).bytes == 800U);
  add_life(history, "signer-1", 1);
  CHECK_FALSE(measured(history).messages.has_value());
  CHECK(says(measured(history).no_traffic, "signer-1"));
}

TEST_CASE("an interval is Student's over the repeats, and there is none of one") {
  // Mean 12, deviation 2, t(2) = 4.303: 4.303 * 2 / sqrt(3).
  const auto three = interval95({10, 12, 14});
  REQUIRE(three.has_value());
  CHECK(three->mean == Approx(12));
  CHECK(*three->half_width == Approx(4.9687).epsilon(1e-4));
  // Mean 3, deviation sqrt(2), t(1) = 12.706: 12.706 * sqrt(2) / sqrt(2).
  CHECK(*interval95({2, 4})->half_width == Approx(12.706));
  CHECK_FALSE(interval95({5})->half_width.has_value());
  CHECK_FALSE(interval95({}).has_value());
  CHECK(student_t975(30) == 2.042);
  CHECK(student_t975(400) == 2.042);
  CHECK(median({3, 1, 2}) == 2.0);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK_FALSE(median({}).has_value());
}

TEST_CASE("a sentence says how much longer, and calls one run one run") {
  const Comparison once = comparison({figures(100)}, {figures(700, 4)});
  const std::string words = sentence_of(once, once.variants[1]);
  CHECK(says(words, "4 of 100 withdrawals failed"));
  CHECK(says(words, "7.0 times that of frost (one run each, no interval)"));
  CHECK_FALSE(says(words, "did not help"));
  const std::string own = sentence_of(once, once.variants[0]);
  CHECK(says(own, "nothing of 100 withdrawals failed"));
  CHECK(says(own, "20.0 ms undisturbed, 30.0 ms under faults (ratio 1.50)"));
  CHECK_FALSE(says(own, "times"));
}

TEST_CASE("a sentence can say that the threshold scheme did not help") {
  const Comparison once = comparison({figures(700)}, {figures(100)});
  CHECK(says(sentence_of(once, once.variants[1]), "frost did not help here"));
  const Comparison apart = comparison({figures(100), figures(102), figures(104)},
                                      {figures(700), figures(705), figures(710)});
  CHECK(says(sentence_of(apart, apart.variants[1]), "6.9 times that of frost;"));
  const Comparison meeting = comparison({figures(100), figures(300)}, {figures(150), figures(400)});
  CHECK(says(sentence_of(meeting, meeting.variants[1]), "cannot tell from chance"));
  const Comparison worse = comparison({figures(700), figures(702), figures(704)},
                                      {figures(100), figures(101), figures(102)});
  CHECK(says(sentence_of(worse, worse.variants[1]), "frost did not help here"));
}

TEST_CASE("repeats become one number as the column says, and a missing value stays missing") {
  RunFigures first = figures(100, 1, 30), second = figures(300, 2, 50);
  first.messages = 10, first.bytes = 1000, second.no_traffic = "signer-1 tells nothing";
  first.txids = {"aa"}, second.txids = {"bb"};
  const Comparison both = comparison({first, second}, {});
  const auto json = nlohmann::json::parse(comparison_json(both));
  CHECK(json["format"] == "roulette-compare");
  const auto& frost = json["schemes"][0];
  CHECK(frost["failed"] == 3);
  CHECK(frost["settled"] == 197);
  CHECK(frost["longest_stall_ms"] == 300);
  CHECK(frost["p99_ms"]["disturbed"] == 40);
  CHECK(frost["p99_ratio"] == 2.0);  // of 1.5 and 2.5
  CHECK(frost["messages"].is_null());
  CHECK(frost["no_traffic"] == "signer-1 tells nothing");
  CHECK(frost["txids"].size() == 2);
  CHECK(frost["repeats"].size() == 2);
  CHECK(frost["intervals"]["longest_stall_ms"]["n"] == 2);
  CHECK(json["schemes"][1]["longest_stall_ms"].is_null());
  // One variant has no run with records: that is no pass.
  CHECK(comparison_verdict(both) == VerdictKind::Inconclusive);
  const std::string csv = comparison_csv(both);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 3);
  CHECK(says(comparison_table(both), "frost"));
}

TEST_CASE("a comparison is as good as its worst run") {
  RunFigures bad = figures(1);
  CHECK(comparison_verdict(comparison({figures(1)}, {bad})) == VerdictKind::Pass);
  bad.verdict = VerdictKind::Inconclusive;
  CHECK(comparison_verdict(comparison({figures(1)}, {bad})) == VerdictKind::Inconclusive);
  RunFigures wrong = figures(1);
  wrong.verdict = VerdictKind::Fail;
  CHECK(comparison_verdict(comparison({figures(1), bad}, {wrong})) == VerdictKind::Fail);
  CHECK(comparison_verdict(comparison({}, {})) == VerdictKind::Inconclusive);
}

}  // namespace roulette::check
