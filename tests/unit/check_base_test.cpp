// Replicas whose tables begin at a snapshot: the checks stay as strict as with the whole log.
#include <catch2/catch.hpp>

#include "tests/unit/check_run.h"

namespace roulette::check::test {
namespace {

constexpr const char* kFirst = "state/ledger-0.ndjson";
constexpr const char* kSecond = "state/ledger-1.ndjson";
constexpr std::uint64_t kBase = 16;  // where the story's checkpoint stands

// What the export of a replica that was wiped before the end looks like: rows whole, entries and
// postings from behind the snapshot.
void begin_at_snapshot(Run& run, const std::string& file) {
  const std::string digest = run.entry_command(kFirst, {{"command", "checkpoint"}}).at("digest");
  std::vector<json> lines = {{{"type", "base"}, {"index", kBase}, {"digest", digest}}};
  std::size_t gone = 0;
  for (const json& line : run.files.at(file)) {
    const std::string type = line.at("type");
    const bool before = (type == "entry" || type == "posting") && line.at("index") <= kBase;
    gone += before ? 1 : 0;
    if (!before) lines.push_back(line);
  }
  REQUIRE(gone > kBase);
  run.files[file] = lines;
}

TEST_CASE("a replica that began at a snapshot passes beside one that saw the whole log") {
  for (const char* file : {kFirst, kSecond}) {
    Run run;
    begin_at_snapshot(run, file);
    const Verdict verdict = run.judged();
    INFO(file);
    for (const InvariantResult& result : verdict.invariants) {
      INFO(result.id);
      CHECK(result.status == InvariantStatus::Pass);
    }
    // The borrowed entries agree by themselves and do not count.
    Run whole;
    CHECK(invariant(verdict, "ledger-replicas-agree").checked <
          invariant(whole.judged(), "ledger-replicas-agree").checked);
  }
}

TEST_CASE("a withdrawal that was lost at the snapshot is seen") {
  Run run;
  begin_at_snapshot(run, kSecond);
  run.erase(kSecond, {{"type", "withdrawal"}, {"withdrawal_id", run.paid[0].id}});
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "ledger-replicas-agree") == InvariantStatus::Fail);
}

TEST_CASE("a key that was changed at the snapshot is seen") {
  Run run;
  begin_at_snapshot(run, kSecond);
  run.line(kSecond, {{"type", "withdrawal"}, {"withdrawal_id", run.paid[0].id}})["key"] = "another";
  expect_fail(run, "ledger-replicas-agree", kSecond, "differs from the command that made it");
}

TEST_CASE("an outpoint that was set free at the snapshot is seen") {
  Run run;
  begin_at_snapshot(run, kSecond);
  run.erase(kSecond, {{"type", "reservation"}, {"withdrawal_id", run.paid[0].id}});
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "no-partial-transaction") == InvariantStatus::Fail);
}

TEST_CASE("a balance that was changed at the snapshot is seen") {
  Run run;
  begin_at_snapshot(run, kSecond);
  json& line = run.line(kSecond, {{"type", "balance"}, {"account", "customer:alice"}});
  line["amount_sat"] = line.at("amount_sat").get<std::int64_t>() + 1;
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "books-balance") == InvariantStatus::Fail);
}

TEST_CASE("a snapshot with another digest than the log's checkpoint is seen") {
  Run run;
  begin_at_snapshot(run, kSecond);
  run.line(kSecond, {{"type", "base"}})["digest"] = std::string(64, 'e');
  expect_fail(run, "ledger-replicas-agree", kSecond, "the snapshot under ledger-1 has digest");
}

TEST_CASE("when nobody recorded what came before the snapshot, nothing is passed") {
  Run run;
  begin_at_snapshot(run, kFirst);
  begin_at_snapshot(run, kSecond);
  const Verdict verdict = run.judged();
  CHECK(verdict.verdict != VerdictKind::Pass);
  for (const char* id : {"ledger-replicas-agree", "books-balance", "no-lost-withdrawal",
                         "no-partial-transaction", "chain-matches-ledger"}) {
    INFO(id);
    CHECK(status_of(verdict, id) == InvariantStatus::Inconclusive);
  }
  CHECK(has_reason(verdict, "no record holds what came before"));
}

TEST_CASE("entries that do not follow the snapshot are no record of the log") {
  Run run;
  begin_at_snapshot(run, kSecond);
  run.erase(kSecond, {{"type", "entry"}, {"index", kBase + 1}});
  const Verdict verdict = run.judged();
  CHECK(status_of(verdict, "ledger-replicas-agree") == InvariantStatus::Inconclusive);
}

// ---- trims and what replicas told of snapshots ----

TEST_CASE("a trim without a majority's word for its snapshots is seen") {
  Run run;
  const json report = run.entry_command(kFirst, {{"command", "checkpoint"}});
  const std::uint64_t index = report.at("index");
  run.add_event(900, "ledger-0", "trim_ordered", {{"up_to", index}, {"newest", index + 64}});
  expect_fail(run, "ledger-replicas-agree", "events.ndjson",
              "on the word of snapshot " + std::to_string(index + 64) +
                  ", whose digest no majority");
}

TEST_CASE("a snapshot completed without a majority's word is seen") {
  Run run;
  const json report = run.entry_command(kFirst, {{"command", "checkpoint"}});
  const std::uint64_t index = report.at("index");
  run.add_event(900, "ledger-0", "snapshot_ordered",
                {{"index", index + 64}, {"digest", std::string(64, 'e')}});
  expect_fail(run, "ledger-replicas-agree", "events.ndjson",
              "completed snapshot " + std::to_string(index + 64) + ", whose digest no majority");
}

TEST_CASE("what the store did and nobody told to have ordered is seen") {
  const json report = Run().entry_command(kFirst, {{"command", "checkpoint"}});
  const std::uint64_t index = report.at("index");
  const json snapshot = {{"index", index}, {"digest", report.at("digest")}};
  const json trim = {{"up_to", index}, {"newest", index + 64}};
  Run stored;
  stored.add_event(900, "ledger-0", "snapshot_stored", snapshot);
  expect_fail(stored, "ledger-replicas-agree", "events.ndjson",
              "a snapshot that it never told to have ordered");
  Run trimmed;
  trimmed.add_event(900, "ledger-0", "log_trimmed", trim);
  expect_fail(trimmed, "ledger-replicas-agree", "events.ndjson",
              "a trim that it never told to have ordered");
  Run right;
  for (const auto& file : {kFirst, kSecond}) {  // the other replica's word
    for (json& line : right.files.at(file)) {
      if (line.value("type", "") != "entry") continue;
      json& commands = line["commands"];
      if (commands[0].value("command", "") != "checkpoint") continue;
      commands.push_back(commands[0]);
      commands.back()["replica"] = 1;
    }
  }
  right.add_event(900, "ledger-0", "snapshot_ordered", snapshot);
  right.add_event(901, "ledger-0", "snapshot_stored", snapshot);
  CHECK(status_of(right.judged(), "ledger-replicas-agree") == InvariantStatus::Pass);
}

TEST_CASE("a stored snapshot with another digest than the log's checkpoint is seen") {
  for (const char* event : {"snapshot_ordered", "snapshot_stored", "snapshot_loaded"}) {
    Run run;
    const json report = run.entry_command(kFirst, {{"command", "checkpoint"}});
    run.add_event(900, "ledger-0", event,
                  {{"index", report.at("index")}, {"digest", std::string(64, 'e')}});
    INFO(event);
    const Verdict verdict = run.judged();
    CHECK(status_of(verdict, "ledger-replicas-agree") == InvariantStatus::Fail);
  }
}

TEST_CASE("a kept journal head that no signature told is seen, and so is one that is gone") {
  Run changed;
  (void)changed.judged();  // makes the lines
  changed.line(kSecond, {{"type", "journal_head"}})["length"] = 77;
  expect_fail(changed, "ledger-replicas-agree", kSecond, "keeps another journal head of signer-");
  Run gone;
  (void)gone.judged();
  gone.line(kSecond, {{"type", "journal_head"}}) = gone.files.at(kSecond).back();
  CHECK(status_of(gone.judged(), "ledger-replicas-agree") == InvariantStatus::Fail);
}

}  // namespace
}  // namespace roulette::check::test
