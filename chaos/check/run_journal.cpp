// Writing and believing journal.json: see run_journal.h.
#include "chaos/check/run_journal.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "chaos/check/judged_run.h"
#include "common/base/bytes.h"
#include "common/crypto/hash.h"

namespace roulette::check {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kVersion = 2;  // 1 had no digest of environment.json
constexpr char kFormat[] = "roulette-run";
// What a verdict is read from, beside everything in state/, and what it was made on.
constexpr std::array<const char*, 5> kTopRecords{"environment.json", "experiment.yaml",
                                                 "events.ndjson", "faults.ndjson",
                                                 "history.ndjson"};

Result<std::string> digest_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{ErrorKind::Io, path.string() + " cannot be read"};
  crypto::Sha256 hash;
  std::array<char, 1 << 16> piece{};
  while (in) {
    in.read(piece.data(), piece.size());
    hash.update(as_bytes({piece.data(), static_cast<std::size_t>(in.gcount())}));
  }
  if (in.bad()) return Error{ErrorKind::Io, path.string() + " cannot be read to its end"};
  return to_hex(hash.finish());
}

// Name within the run folder -> SHA-256. A record that is not there has no line.
Result<std::map<std::string, std::string>> digests(const std::string& run_dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (const char* name : kTopRecords) {
    if (fs::exists(fs::path(run_dir) / name, error)) names.emplace_back(name);
  }
  for (fs::directory_iterator i(fs::path(run_dir) / "state", error), end; !error && i != end;
       i.increment(error)) {
    if (i->is_regular_file()) names.push_back("state/" + i->path().filename().string());
  }
  std::map<std::string, std::string> out;
  for (const std::string& name : names) {
    Result<std::string> digest = digest_of(fs::path(run_dir) / name);
    if (!digest) return digest.error();
    out.emplace(name, std::move(digest).value());
  }
  return out;
}

struct JournalFile {
  RunFacts facts;
  std::uint64_t seed = 0;
  std::uint32_t duration_s = 0;
  std::map<std::string, std::string> records;
};

// Every field is required: one that is missing is an excuse that was removed.
JournalFile parse_journal(const json& j) {
  JournalFile out;
  out.seed = j.at("seed").get<std::uint64_t>();
  out.duration_s = j.at("duration_s").get<std::uint32_t>();
  out.facts.schedule_hash = j.at("schedule_hash").get<std::string>();
  out.facts.interrupted = j.at("interrupted").get<bool>();
  out.facts.interruption = j.at("interruption").get<std::string>();
  out.facts.problems = j.at("problems").get<std::vector<std::string>>();
  out.facts.unasked_exits = j.at("unasked_exits").get<std::vector<std::string>>();
  out.facts.memory_mb = j.at("memory_mb").get<std::map<std::string, double>>();
  out.records = j.at("records").get<std::map<std::string, std::string>>();
  return out;
}

Result<JournalFile> read_journal(const std::string& run_dir) {
  const std::string path = run_dir + "/journal.json";
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return Error{ErrorKind::Preflight, path +
                                           ": cannot be read; a run folder has one once the run "
                                           "has ended"};
  }
  std::ostringstream text;
  text << in.rdbuf();
  const json j = json::parse(text.str(), nullptr, false);
  if (!j.is_object()) return Error{ErrorKind::Preflight, path + ": not a JSON object"};
  if (j.value("format", json()) != kFormat || j.value("version", json()) != kVersion) {
    return Error{ErrorKind::Preflight, path + ": not format '" + kFormat + "' version " +
                                           std::to_string(kVersion)};
  }
  try {
    return parse_journal(j);
  } catch (const json::exception& error) {
    return Error{ErrorKind::Preflight, path + ": " + error.what()};
  }
}

// What became of the records since.
void compare_records(const std::map<std::string, std::string>& then,
                     const std::map<std::string, std::string>& now,
                     std::vector<std::string>& problems) {
  for (const auto& [name, digest] : then) {
    const auto found = now.find(name);
    if (found == now.end())
      problems.push_back(name + " was there when the run ended and is missing now");
    else if (found->second != digest)
      problems.push_back(name + " is not what it was when the run ended (SHA-256 of journal.json)");
  }
  for (const auto& [name, digest] : now) {
    if (!then.contains(name)) problems.push_back(name + " was not there when the run ended");
  }
}

}  // namespace

Result<std::string> run_journal_json(const std::string& run_dir,
                                     const chaos::Experiment& experiment, const RunFacts& facts,
                                     const RunSpan& span) {
  const auto records = digests(run_dir);
  if (!records) return records.error();
  return json{{"format", kFormat},
              {"version", kVersion},
              {"title", experiment.title},
              {"status", facts.interrupted ? "interrupted" : "completed"},
              {"start", span.start_s},
              {"end", span.end_s},
              {"seed", experiment.seed},
              {"duration_s", experiment.workload.duration_s},
              {"schedule_hash", facts.schedule_hash},
              {"interrupted", facts.interrupted},
              {"interruption", facts.interruption},
              {"problems", facts.problems},
              {"unasked_exits", facts.unasked_exits},
              {"memory_mb", facts.memory_mb},
              {"records", *records}}
             .dump(2, ' ', false, json::error_handler_t::replace) +
         "\n";
}

Result<JudgedRun> judge_folder_records(const std::string& run_dir) {
  Result<JournalFile> journal = read_journal(run_dir);
  if (!journal) return journal.error();
  Result<chaos::Experiment> experiment = chaos::load_experiment(run_dir + "/experiment.yaml");
  if (!experiment) return Error{ErrorKind::Preflight, experiment.error().message};
  experiment->seed = journal->seed;
  experiment->workload.duration_s = journal->duration_s;
  const auto now = digests(run_dir);
  if (!now) return now.error();
  compare_records(journal->records, *now, journal->facts.problems);
  return judge_records(run_dir, *experiment, journal->facts);
}

Result<Verdict> judge_folder(const std::string& run_dir) {
  Result<JudgedRun> judged = judge_folder_records(run_dir);
  if (!judged) return judged.error();
  return std::move(judged->verdict);
}

}  // namespace roulette::check
