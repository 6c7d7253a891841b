// A small run as a bundle: what an auditor is told when anything in it was changed.
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "chaos/evidence/attached.h"
#include "chaos/evidence/bundle.h"
#include "chaos/evidence/bundle_files.h"
#include "chaos/evidence/operator_key.h"
#include "chaos/evidence/run_identity.h"
#include "chaos/evidence/statement.h"
#include "chaos/evidence/ustar.h"
#include "chaos/evidence/views.h"
#include "common/crypto/hash.h"
#include "tests/unit/finished_run.h"

namespace roulette::evidence {
namespace {

namespace fs = std::filesystem;
using check::test::Run;

using check::test::Finished;
using check::test::key_of;
using check::test::put;
using check::test::text_of;

std::string bundle_of(const std::string& folder, const std::string& key = "operator") {
  const auto bundle = make_bundle(folder, key_of(key));
  INFO((bundle ? "" : bundle.error().message));
  REQUIRE(bundle.ok());
  return bundle->archive;
}

Verification verified(const std::string& archive, const std::string& trusted = {}) {
  const auto found = verify_bundle(archive, trusted);
  REQUIRE(found.ok());
  return *found;
}
std::string all_of(const Verification& found) {
  std::string text;
  for (const std::string& finding : found.findings) text += finding + "\n";
  return text;
}

// The archive with one file's text edited and nothing else.
std::string edited(const std::string& archive, const std::string& name,
                   const std::function<void(std::string&)>& edit) {
  const auto read = read_ustar(archive);
  REQUIRE(read.ok());
  std::map<std::string, std::string> files;
  for (const ArchivedFile& file : *read) files.emplace(file.name, file.content);
  const std::string full = read->front().name.substr(0, read->front().name.find('/')) + "/" + name;
  REQUIRE(files.contains(full));
  const std::string before = files[full];
  edit(files[full]);
  CHECK(before != files[full]);
  std::vector<ArchivedFile> out;
  for (const auto& [path, content] : files) out.push_back({path, content});
  return write_ustar(out).value();
}

std::size_t line_start(const std::string& text, std::size_t line) {
  std::size_t at = 0;
  for (; line > 0; --line) at = text.find('\n', at) + 1;
  return at;
}
void erase_line(std::string& text, std::size_t line) {
  const std::size_t from = line_start(text, line);
  text.erase(from, text.find('\n', from) + 1 - from);
}

void expect(const std::string& archive, const std::vector<std::string>& said) {
  const Verification found = verified(archive);
  INFO(all_of(found));
  CHECK_FALSE(found.consistent());
  for (const std::string& text : said) CHECK(all_of(found).find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("a bundle of a finished run verifies, and says whose it is only under --trust") {
  const Finished run;
  const std::string archive = bundle_of(run.folder);
  CHECK(archive == bundle_of(run.folder));
  const Verification found = verified(archive);
  INFO(all_of(found));
  REQUIRE(found.consistent());
  CHECK(found.verdict->verdict == check::VerdictKind::Pass);
  CHECK(found.signer == fingerprint(key_of("operator").public_key()));
  CHECK_FALSE(found.pinned);
  CHECK(verified(archive, found.signer).pinned);
  const Verification other = verified(archive, fingerprint(key_of("auditor").public_key()));
  CHECK_FALSE(other.consistent());
  CHECK(all_of(other).find("signed by SHA256:") != std::string::npos);
}

TEST_CASE("a failed run is bundled and verified like any other") {
  Run broken;
  broken.facts.unasked_exits = {"signer-9 died"};
  const Finished run(std::move(broken));
  const Verification found = verified(bundle_of(run.folder));
  CHECK(found.consistent());
  CHECK(found.verdict->verdict == check::VerdictKind::Fail);
}

TEST_CASE("records that were changed after the run are not bundled") {
  const Finished run;
  std::ofstream(run.folder + "/events.ndjson", std::ios::app) << "{\"process\":\"tool-0\"}\n";
  const auto bundle = make_bundle(run.folder, key_of("operator"));
  REQUIRE_FALSE(bundle.ok());
  CHECK(bundle.error().kind == ErrorKind::Preflight);
  CHECK(bundle.error().message.find("another verdict") != std::string::npos);
  CHECK_FALSE(make_bundle(run.folder + "/none", key_of("operator")).ok());
}

TEST_CASE("secrets, logs and process folders never get into a bundle") {
  const Finished run;
  const std::string secret = "c0ffee-not-for-auditors";
  for (const std::string name : {"secrets", "work", "logs"}) {
    fs::create_directories(run.folder + "/" + name);
    put(run.folder, name + "/file.ndjson", secret);
  }
  put(run.folder, "other.json", secret);
  CHECK(bundle_of(run.folder).find(secret) == std::string::npos);
}

// A bundle that a build with other views makes: `change` stands for how it spells them.
using Change = std::function<void(std::map<std::string, std::string>&)>;
static std::string bundle_with_views(const std::string& archive, std::int64_t views,
                                     const Change& change) {
  std::map<std::string, std::string> files;
  std::string run;
  const auto read = read_ustar(archive);
  REQUIRE(read.ok());
  for (const ArchivedFile& file : *read) {
    run = file.name.substr(0, file.name.find('/'));
    files.emplace(file.name.substr(run.size() + 1), file.content);
  }
  const check::Verdict verdict = *verified(archive).verdict;
  files.erase(kManifestFile);
  files.erase(kEnvelopeFile);
  change(files);
  RunFiles made(run, files);
  const std::string manifest = manifest_json(run, views, made.archived());
  const std::string statement =
      statement_json(run, manifest, files.at("experiment.yaml"), verdict);
  const OperatorKey key = key_of("operator");
  const auto signature = key.sign(as_bytes(pre_authentication(kStatementType, statement)));
  made.add(kManifestFile, manifest);
  made.add(kEnvelopeFile, seal({statement, {{fingerprint(key.public_key()),
                                         {signature->begin(), signature->end()}}}}));
  return write_ustar(made.archived_under_run()).value();
}

static std::string with_identity(const std::string& archive, const std::string& text) {
  return bundle_with_views(archive, kViews, [&](auto& files) { files[kIdentityFile] = text; });
}

// The fixture's wallet is one key, so that its signature is a plain BIP 340 one.
TEST_CASE("the cluster's own signature over its records is checked under the coins' key") {
  const Finished run;
  const std::string journal = text_of(run.folder + "/journal.json");
  const std::string verdict = text_of(run.folder + "/verdict.json");
  const auto envelope = [&](const std::string& statement) {
    const Hash32 message =
        crypto::tagged_hash(kRunIdentityTag, as_bytes(identity_message(statement)));
    const auto [key, signature] = run.run.sign_as_wallet(message);
    return identity_envelope(statement, key, signature);
  };
  const std::string honest = envelope(identity_statement(journal, verdict));
  put(run.folder, kIdentityFile, honest);
  const std::string archive = bundle_of(run.folder);
  const Verification found = verified(archive);
  INFO(all_of(found));
  CHECK(found.consistent());
  CHECK(found.identity.size() == 64);
  SECTION("taken away") {
    fs::remove(run.folder + "/" + std::string(kIdentityFile));
    CHECK_FALSE(make_bundle(run.folder, key_of("operator")).ok());
    expect(bundle_with_views(archive, kViews, [](auto& files) { files.erase(kIdentityFile); }),
           {"identity.dsse.json: missing"});
  }
  SECTION("of another verdict") {
    const std::string stale = envelope(identity_statement(journal, verdict + " "));
    put(run.folder, kIdentityFile, stale);
    const auto bundle = make_bundle(run.folder, key_of("operator"));
    REQUIRE_FALSE(bundle.ok());
    CHECK(bundle.error().message.find("identity.dsse.json: it was made for") != std::string::npos);
    expect(with_identity(archive, stale), {"identity.dsse.json: it was made for another"});
  }
  SECTION("under the coins' key by somebody who has it not") {
    std::string forged = honest;
    const std::size_t at = forged.find("\"sig\":\"") + 20;
    forged[at] = forged[at] == 'A' ? 'B' : 'A';
    expect(with_identity(archive, forged), {"identity.dsse.json: not the signature of the key"});
  }
  SECTION("under another key") {
    const std::string statement = identity_statement(journal, verdict);
    expect(with_identity(archive, identity_envelope(statement, Bytes(32, 1), Bytes(64, 1))),
           {"identity.dsse.json: not the signature of the key"});
  }
}

// What the records were made on is none of the checkers' business: only hashes keep it.
TEST_CASE("an environment that was edited after the run is found by the journal and the cluster") {
  const Finished run;
  const std::string honest = text_of(run.folder + "/" + std::string(kIdentityFile));
  put(run.folder, "environment.json", "{\"cores\": 64}\n");
  const auto bundle = make_bundle(run.folder, key_of("forger"));
  REQUIRE_FALSE(bundle.ok());
  CHECK(bundle.error().message.find("another verdict") != std::string::npos);
  run.close();
  CHECK_FALSE(make_bundle(run.folder, key_of("forger")).ok());
  run.sign_as_cluster();  // so that there is a bundle to put the cluster's own one into
  expect(with_identity(bundle_of(run.folder, "forger"), honest),
         {"identity.dsse.json: it was made for another"});
}

TEST_CASE("a journal of the version that had no digest of the environment is refused by name") {
  const Finished run;
  std::string journal = text_of(run.folder + "/journal.json");
  journal.replace(journal.find("\"version\": 2"), 12, "\"version\": 1");
  put(run.folder, "journal.json", journal);
  const auto bundle = make_bundle(run.folder, key_of("operator"));
  REQUIRE_FALSE(bundle.ok());
  CHECK(bundle.error().message.find("not format 'roulette-run' version 2") != std::string::npos);
}

TEST_CASE("views of another number are named as unchecked, and everything else is checked") {
  const Finished run;
  run.sign_as_cluster();
  const std::string archive = bundle_of(run.folder);
  REQUIRE(verified(archive).whole());
  CHECK(bundle_with_views(archive, kViews, [](auto&) {}) == archive);
  const auto spelled_otherwise = [](auto& files) {
    files.at("junit.xml") += " ";
    files["another-view.json"] = "{}\n";
  };
  SECTION("of this number they are findings") {
    expect(bundle_with_views(archive, kViews, spelled_otherwise),
           {"junit.xml is not what the records give", "another-view.json is no file of a bundle"});
  }
  SECTION("of another number they are covered by their hashes alone, which is not the whole") {
    const Verification found = verified(bundle_with_views(archive, kViews + 1, spelled_otherwise));
    INFO(all_of(found));
    CHECK(found.consistent());
    CHECK_FALSE(found.whole());
    CHECK(found.views == kViews + 1);
    CHECK(found.verdict->verdict == check::VerdictKind::Pass);
    const auto& names = found.unchecked;
    for (const char* view : {"junit.xml", "another-view.json", "report.json"})
      CHECK(std::count(names.begin(), names.end(), view) == 1);
    for (const char* checked : {"chains.json", "verdict.json", "events.ndjson"})
      CHECK(std::count(names.begin(), names.end(), checked) == 0);
  }
  SECTION("and excuse nothing else") {
    expect(bundle_with_views(archive, kViews + 1,
                             [](auto& files) { files.at("environment.json") = "{ }\n"; }),
           {"verdict.json is not what the records give"});
    expect(bundle_with_views(archive, kViews + 1,
                             [](auto& files) { files.at("chains.json") += " "; }),
           {"chains.json is not what the events give"});
    expect(edited(bundle_with_views(archive, kViews + 1, [](auto&) {}), "junit.xml",
                  [](std::string& text) { text += " "; }),
           {"junit.xml is not the file that the manifest lists"});
  }
  SECTION("no number at all is no manifest") {
    expect(bundle_with_views(archive, 0, [](auto&) {}), {"with the number of its views"});
  }
}

// ---- what a report cites of other runs ----

constexpr char kMatrix[] = R"({"format": "roulette-matrix", "version": 1, "kind": "live",
  "scheme": "frost", "seed": 4, "points": "*", "cells": 2, "exercised": 1, "failed": 0,
  "unreachable": [{"cell": "p.after/pause/other/first", "reason": "never passed"}], "unproven": [],
  "not_run": 0, "lives": 1, "took_s": 1.5, "list": [
  {"cell": "p.after/SIGKILL/other/first", "point": "p.after", "blow": "SIGKILL",
   "victims": "other", "occurrence": "first", "status": "exercised"},
  {"cell": "p.after/pause/other/first", "point": "p.after", "blow": "pause",
   "victims": "other", "occurrence": "first", "status": "unreachable",
   "reason": "never passed"}]})";
constexpr char kMutants[] = R"({"pass": true, "mutants": [
  {"mutant": "share-before-durable", "control": false, "judged": "found", "scheme": "frost",
   "must_fail": "share-has-its-record", "found_by": ["share-has-its-record"], "schedules": 3},
  {"mutant": "a-control", "control": true, "judged": "green", "must_fail": "",
   "cell": "signer-kill", "failed": []}]})";
constexpr char kCompare[] = R"({"format": "roulette-compare", "version": 1, "title": "t",
  "experiment": "c.yaml", "seed": 1, "schedule_hash": "00", "verdict": "pass",
  "reference": "single", "late_ms": 1000, "not_run": [{"name": "hsm", "why": "no token"}],
  "schemes": [{"scheme": "frost", "name": "frost", "shape": "2 of 3", "sentence": "It went on.",
   "settled": 9, "failed": 0, "late": 1, "refused": 0, "availability": 0.99,
   "longest_stall_ms": 12.5, "cpu_us_per_signature": null,
   "p50_ms": {"undisturbed": 1, "disturbed": 2}, "p99_ms": {"undisturbed": 1, "disturbed": null},
   "repeats": [{"verdict": "pass"}]}]})";

static void attach(const Finished& run, const std::string& name, const std::string& text) {
  fs::create_directories(run.folder + "/attached");
  put(run.folder, name, text);
}

TEST_CASE("what a report cites is in the bundle, and report.json says what it says") {
  const Finished run;
  attach(run, kMatrixFile, kMatrix);
  attach(run, kMutantsFile, kMutants);
  attach(run, kCompareFile, kCompare);
  const std::string archive = bundle_of(run.folder);
  const Verification found = verified(archive);
  INFO(all_of(found));
  CHECK(found.consistent());
  CHECK(found.whole());
  for (const char* shown :
       {R"("counts":{"exercised":1,"unreachable":1,"unproven":0,"failed":0,"not-run":0})",
        R"("cells":[[0,0,0,0,-1],[0,1,0,1,0]])", R"("reasons":["never passed"])",
        R"("found_by":["share-has-its-record"])", R"("scheme":"real processes, signer-kill")",
        R"("not_run":[{"name":"hsm","why":"no token"}])", R"("verdicts":["pass"])"})
    CHECK(archive.find(shown) != std::string::npos);
  SECTION("another file under the operator's own signature is not what report.json says") {
    std::string better = kMatrix;
    better.replace(better.find("never passed", better.find("list")), 12, "always passed");
    expect(bundle_with_views(archive, kViews,
                             [&](auto& files) { files.at(kMatrixFile) = better; }),
           {"report.json is not what the records give"});
    expect(bundle_with_views(archive, kViews, [](auto& files) { files.erase(kCompareFile); }),
           {"report.json is not what the records give"});
  }
  SECTION("one that no tool wrote is named by verify, and the records are judged nevertheless") {
    const std::string forged = bundle_with_views(
        archive, kViews, [](auto& files) { files.at(kMutantsFile) = "[]\n"; });
    expect(forged, {"attached/mutants.json: not a JSON object"});
    CHECK(verified(forged).verdict->verdict == check::VerdictKind::Pass);
  }
  SECTION("nothing else is taken from that folder") {
    attach(run, "attached/other.json", "{}");
    CHECK(bundle_of(run.folder) == archive);
  }
}

TEST_CASE("an attached file that is none is refused with its place and the remedy") {
  const auto refused = [](AttachedTexts texts) {
    const Status status = check_attached(texts);
    return status ? std::string() : status.error().message;
  };
  const auto replaced = [](std::string text, const std::string& from, const std::string& to) {
    REQUIRE(text.find(from) != std::string::npos);
    return text.replace(text.find(from), from.size(), to);
  };
  REQUIRE(refused({kMatrix, kMutants, kCompare}).empty());
  struct Wrong {
    const char *from, *to, *said;
  };
  for (const Wrong& wrong : std::vector<Wrong>{
           {"roulette-matrix", "roulette-other", "format: not 'roulette-matrix' of version 1"},
           {"\"exercised\": 1", "\"exercised\": 2", "exercised: 2, and `list` has 1"},
           {"\"cells\": 2", "\"cells\": 3", "cells: 3, and `list` has 2"},
           {"\"unproven\": []", "\"unproven\": [{}]", "unproven: 1, and `list` has 0"},
           {"\"status\": \"exercised\"", "\"status\": \"fine\"", "list[0].status: 'fine'"},
           {"p.after/pause/other/first\", \"point", "p.after/SIGKILL/other/first\", \"point",
            "list[1].cell: a second p.after/SIGKILL/other/first"},
           {"\"kind\": \"live\"", "\"kind\": \"dreamt\"", "kind: 'dreamt'"},
           {"\"seed\": 4", "\"seed\": -4", "seed: not a whole number"},
           {"\"point\": \"p.after\", ", "", "list[0].point: missing"}}) {
    const std::string text = replaced(kMatrix, wrong.from, wrong.to);
    const std::string said = refused({text, {}, {}});
    INFO(said);
    CHECK(said.starts_with("attached/matrix.json: "));
    CHECK(said.find(wrong.said) != std::string::npos);
    CHECK(said.ends_with("(give the matrix.json that `roulette matrix` wrote)"));
  }
  CHECK(refused({{}, replaced(kMutants, "\"control\": false, ", ""), {}})
            .find("attached/mutants.json: mutants[0].control: missing") == 0);
  CHECK(refused({{}, {}, replaced(kCompare, "[{\"verdict\": \"pass", "[{\"verdict\": \"fail")})
            .find("attached/compare.json: verdict: pass, and a repeat of") == 0);
  const std::string nothing = "attached/mutants.json: pass: true, and `mutants` is empty or has";
  CHECK(refused({{}, "{\"pass\": true, \"mutants\": []}", {}}).find(nothing) == 0);
  CHECK(refused({{}, replaced(kMutants, "[\"share-has-its-record\"]", "[]"), {}})
            .find(nothing) == 0);
  CHECK(refused({{}, replaced(kMutants, "\"failed\": []", "\"failed\": [{\"id\": \"x\"}]"), {}})
            .find(nothing) == 0);
  CHECK(refused({{}, {}, replaced(kCompare, "[{\"verdict\": \"pass\"}]", "[]")})
            .find("attached/compare.json: verdict: pass, and frost never ran") == 0);
  CHECK(refused({{}, replaced(kMutants, "\"judged\": \"found", "\"judged\": \"missed"), {}})
            .find("attached/mutants.json: pass: true, and `mutants` is empty or has") == 0);
  CHECK(refused({{}, {}, replaced(kCompare, "[{\"verdict\": \"pass", "[{\"verdict\": \"good")})
            .find("attached/compare.json: schemes[0].repeats[0].verdict: 'good'") == 0);
  CHECK(refused({{}, {}, replaced(kCompare, "\"settled\": 9", "\"settled\": \"9\"")})
            .find("attached/compare.json: schemes[0].settled: not a number or null") == 0);
}

TEST_CASE("two thousand flipped bytes are all found") {
  const Finished run;
  const std::string archive = bundle_of(run.folder);
  const std::size_t step = archive.size() / 2000;
  REQUIRE(step > 0);
  std::size_t tried = 0;
  for (std::size_t at = step / 2; tried < 2000; at += step, ++tried) {
    std::string flipped = archive;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (tried % 8)));
    if (verified(flipped).consistent()) FAIL("byte " << at << " of " << archive.size());
  }
}

TEST_CASE("what was changed in a bundle is named") {
  const Finished run;
  const std::string archive = bundle_of(run.folder);
  SECTION("a deleted event") {
    expect(edited(archive, "events.ndjson", [](std::string& text) { erase_line(text, 9); }),
           {"events.ndjson is not the file that the manifest lists",
            "are not those of its chain"});
  }
  SECTION("two events in another order") {
    expect(edited(archive, "events.ndjson",
                  [](std::string& text) {
                    const std::size_t a = line_start(text, 4), b = line_start(text, 5);
                    const std::string line = text.substr(a, b - a);
                    text.erase(a, line.size());
                    text.insert(line_start(text, 5), line);
                  }),
           {"events.ndjson: its lines do not give the Merkle root"});
  }
  SECTION("a shortened log") {
    expect(edited(archive, "events.ndjson",
                  [](std::string& text) { text.resize(text.rfind('\n', text.size() - 2) + 1); }),
           {"events.ndjson is not the file", "are not those of its chain"});
  }
  SECTION("a fault's proof that was removed") {
    expect(edited(archive, "faults.ndjson",
                  [](std::string& text) {
                    const std::size_t at = text.find("\"proof\":{");
                    text.replace(at, text.find('}', at) + 1 - at, "\"proof\":null");
                  }),
           {"faults.ndjson is not the file", "verdict.json is not what the records give"});
  }
  SECTION("an edited verdict") {
    expect(edited(archive, "verdict.json",
                  [](std::string& text) { text.replace(text.find("pass"), 4, "fail"); }),
           {"verdict.json is not the file", "verdict.json is not what the records give"});
  }
  SECTION("an amount") {
    expect(edited(archive, "history.ndjson",
                  [](std::string& text) {
                    const std::size_t at = text.find("\"amount_sat\":") + 13;
                    text[at] = text[at] == '9' ? '8' : '9';
                  }),
           {"history.ndjson is not the file"});
  }
  SECTION("a view") {
    expect(edited(archive, "junit.xml",
                  [](std::string& text) { text.replace(text.find("failures=\"0\""), 12, ""); }),
           {"junit.xml is not what the records give"});
  }
}

// Who has the records can write everything anew but the signature of a key that he does not have.
TEST_CASE("a forgery that is consistent in itself is found under --trust") {
  Finished run;
  const std::string trusted = fingerprint(key_of("operator").public_key());
  REQUIRE(verified(bundle_of(run.folder), trusted).pinned);
  // Another run of the same name, on a larger machine, and all says so.
  const std::string environment = text_of(run.folder + "/environment.json");
  const auto claim = [&](const std::string& text) {
    put(run.folder, "environment.json", text);
    run.close();
    run.sign_as_cluster();
  };
  claim("{\"cores\": 64}\n");
  const std::string forged = bundle_of(run.folder, "forger");
  const Verification found = verified(forged);
  CHECK(found.consistent());
  CHECK_FALSE(found.pinned);
  const Verification pinned = verified(forged, trusted);
  CHECK_FALSE(pinned.consistent());
  // The forger leaves the operator's name and key in it.
  claim(environment);
  REQUIRE(verified(bundle_of(run.folder), trusted).pinned);
  claim("{\"cores\": 64}\n");
  const std::string resigned = bundle_of(run.folder, "forger");
  const auto pem = public_key_pem(key_of("operator").public_key());
  const Verification claimed = verified(
      edited(resigned, "operator.pub.pem", [&](std::string& text) { text = *pem; }), trusted);
  CHECK_FALSE(claimed.consistent());
  CHECK(all_of(claimed).find("no signature of it by operator.pub.pem") != std::string::npos);
}

TEST_CASE("an amount that was edited before everything was hashed again spoils the verdict") {
  Run forged;
  forged.line("history.ndjson", {{"type", "key"}})["amount_sat"] = 1;
  const Finished run(std::move(forged));
  const Verification found = verified(bundle_of(run.folder));
  CHECK(found.consistent());
  CHECK(found.verdict->verdict == check::VerdictKind::Fail);
}

TEST_CASE("a file that no bundle has is named") {
  const Finished run;
  const auto read = read_ustar(bundle_of(run.folder));
  const std::string archive = bundle_of(run.folder);
  std::vector<ArchivedFile> files = read_ustar(archive).value();
  const std::string name = files.front().name.substr(0, files.front().name.find('/'));
  files.push_back({name + "/zz.txt", "more"});
  expect(write_ustar(files).value(), {"zz.txt is not in the manifest", "zz.txt is no file"});
  files.back().name = "other/zz.txt";
  expect(write_ustar(files).value(), {"a bundle holds one folder"});
  expect(write_ustar({}).value(), {"the archive is empty"});
}

}  // namespace roulette::evidence
