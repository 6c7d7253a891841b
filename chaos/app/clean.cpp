// `roulette clean`: deletes run folders that nobody needs. See commands.h.
//
// Invariant: only folders that carry a run's name and a run's files directly below --runs are
// touched, never through a link; one that a process works in is left, by its lock. Without --yes it
// says what it would delete and deletes nothing.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <regex>
#include <vector>

#include <nlohmann/json.hpp>

#include "chaos/app/commands.h"
#include "common/runtime/folder_lock.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct RunFolder {
  fs::path path;
  std::string verdict;  // "pass", "fail", "inconclusive"; empty: none was given
  std::uintmax_t bytes = 0;
  std::string kept_because;  // empty: to be deleted
};

// As Session::create names them: 20261127T012821Z-node-fallback-83ab.
bool has_run_name(const fs::path& path) {
  static const std::regex pattern(R"(\d{8}T\d{6}Z-.+-[0-9a-f]{4})");
  return std::regex_match(path.filename().string(), pattern);
}

bool has_run_files(const fs::path& path) {
  std::error_code unused;
  return fs::exists(path / "events.ndjson", unused) || fs::is_directory(path / "work", unused);
}

std::string verdict_of(const fs::path& path) {
  std::ifstream file(path / "verdict.json");
  const json verdict = json::parse(file, nullptr, false);
  return verdict.is_object() ? verdict.value("verdict", "") : "";
}

// work/ is there until a run has ended and exported; its lock is held for as long as that takes.
bool in_use(const fs::path& path) {
  std::error_code unused;
  if (!fs::is_directory(path / "work", unused)) return false;
  return !runtime::FolderLock::take(path / "work").ok();
}

std::uintmax_t size_of(const fs::path& path) {
  std::uintmax_t bytes = 0;
  std::error_code failed;
  for (fs::recursive_directory_iterator at(path, failed), end; !failed && at != end;
       at.increment(failed)) {
    std::error_code unused;
    if (at->is_regular_file(unused) && !at->is_symlink(unused)) bytes += at->file_size(unused);
  }
  return bytes;
}

// Newest first: their names begin with the time.
std::vector<RunFolder> find_runs(const fs::path& runs, std::error_code& failed) {
  std::vector<RunFolder> found;
  for (fs::directory_iterator at(runs, failed), end; !failed && at != end; at.increment(failed)) {
    std::error_code unused;
    if (at->is_symlink(unused) || !at->is_directory(unused)) continue;
    if (!has_run_name(at->path()) || !has_run_files(at->path())) continue;
    found.push_back({at->path(), verdict_of(at->path()), size_of(at->path()), ""});
  }
  std::sort(found.begin(), found.end(),
            [](const RunFolder& a, const RunFolder& b) { return a.path > b.path; });
  return found;
}

void decide(std::vector<RunFolder>& found, const CleanOptions& options) {
  std::size_t newest = 0;
  for (RunFolder& run : found) {
    if (in_use(run.path)) run.kept_because = "in use";
    else if (newest++ < options.keep) run.kept_because = "among the newest";
    else if (run.verdict == "fail" && !options.failed) run.kept_because = "failed (--failed)";
  }
}

std::string megabytes(std::uintmax_t bytes) {
  return std::to_string((bytes + 999'999) / 1'000'000) + " MB";
}

}  // namespace

int clean_command(const CleanOptions& options) {
  std::error_code failed;
  if (!fs::is_directory(options.runs_dir, failed)) {
    std::cerr << "roulette clean: " << options.runs_dir << ": no folder of runs (--runs)\n";
    return exit_code(ErrorKind::Preflight);
  }
  std::vector<RunFolder> found = find_runs(options.runs_dir, failed);
  if (failed) {
    std::cerr << "roulette clean: " << options.runs_dir << ": " << failed.message() << "\n";
    return exit_code(ErrorKind::Preflight);
  }
  decide(found, options);
  std::size_t gone = 0;
  std::uintmax_t bytes = 0;
  bool whole = true;
  for (const RunFolder& run : found) {
    if (!run.kept_because.empty()) {
      std::cout << "kept     " << run.path.string() << "  " << run.kept_because << "\n";
      continue;
    }
    std::error_code error;
    if (options.yes) fs::remove_all(run.path, error);
    if (error) {
      whole = false;
      std::cerr << "roulette clean: " << run.path.string() << ": " << error.message() << "\n";
      continue;
    }
    ++gone;
    bytes += run.bytes;
    std::cout << (options.yes ? "deleted  " : "would go ") << run.path.string() << "  "
              << (run.verdict.empty() ? "no verdict" : run.verdict) << ", " << megabytes(run.bytes)
              << "\n";
  }
  std::cout << gone << " of " << found.size() << " run folders, " << megabytes(bytes)
            << (options.yes ? " deleted\n" : ": nothing was deleted; --yes deletes them\n");
  return whole ? 0 : exit_code(ErrorKind::Io);
}

}  // namespace roulette::chaos
