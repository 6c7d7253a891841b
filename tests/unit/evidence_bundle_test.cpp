// A small run as a bundle: what an auditor is told when anything in it was changed.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "chaos/evidence/bundle.h"
#include "chaos/evidence/operator_key.h"
#include "chaos/evidence/run_identity.h"
#include "chaos/evidence/ustar.h"
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
  const Verification found = verified(bundle_of(run.folder));
  INFO(all_of(found));
  CHECK(found.consistent());
  CHECK(found.identity.size() == 64);
  SECTION("of another verdict") {
    put(run.folder, kIdentityFile, envelope(identity_statement(journal, verdict + " ")));
    expect(bundle_of(run.folder), {"identity.dsse.json: it was made for another"});
  }
  SECTION("under the coins' key by somebody who has it not") {
    std::string forged = honest;
    const std::size_t at = forged.find("\"sig\":\"") + 20;
    forged[at] = forged[at] == 'A' ? 'B' : 'A';
    put(run.folder, kIdentityFile, forged);
    expect(bundle_of(run.folder), {"identity.dsse.json: not the signature of the key"});
  }
  SECTION("under another key") {
    const std::string statement = identity_statement(journal, verdict);
    put(run.folder, kIdentityFile, identity_envelope(statement, Bytes(32, 1), Bytes(64, 1)));
    expect(bundle_of(run.folder), {"identity.dsse.json: not the signature of the key"});
  }
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
  // Another run of the same name: one withdrawal fewer was asked for, and all says so.
  std::string environment = text_of(run.folder + "/environment.json");
  put(run.folder, "environment.json", "{\"cores\": 64}\n");
  const std::string forged = bundle_of(run.folder, "forger");
  const Verification found = verified(forged);
  CHECK(found.consistent());
  CHECK_FALSE(found.pinned);
  const Verification pinned = verified(forged, trusted);
  CHECK_FALSE(pinned.consistent());
  // The forger leaves the operator's name and key in it.
  put(run.folder, "environment.json", environment);
  const std::string honest = bundle_of(run.folder);
  put(run.folder, "environment.json", "{\"cores\": 64}\n");
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
