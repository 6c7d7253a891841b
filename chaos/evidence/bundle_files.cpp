// See bundle_files.h.
#include "chaos/evidence/bundle_files.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "chaos/check/judged_run.h"
#include "chaos/check/run_journal.h"
#include "chaos/evidence/attached.h"
#include "chaos/evidence/event_chain.h"
#include "chaos/evidence/run_identity.h"
#include "chaos/evidence/views.h"
#include "common/runtime/durable_file.h"

namespace roulette::evidence {
namespace {

constexpr std::size_t kXOnlyKeyBytes = 32;  // BIP 340; an ECDSA wallet's key has 33

namespace fs = std::filesystem;

constexpr std::size_t kMaxRecord = std::size_t{2} << 30;
constexpr std::array<std::string_view, 7> kTopFiles{
    "environment.json", "events.ndjson",  "experiment.yaml", "faults.ndjson",
    "history.ndjson",   "journal.json",   "verdict.json"};
constexpr std::string_view kStateFolder = "state/";

}  // namespace

bool RunFiles::is_record(std::string_view name) {
  if (std::find(kTopFiles.begin(), kTopFiles.end(), name) != kTopFiles.end()) return true;
  if (name == kIdentityFile) return true;  // where the key is not in a token
  return is_archive_name(name) && name.starts_with(kStateFolder) && name.ends_with(".ndjson") &&
         name.find('/', kStateFolder.size()) == std::string_view::npos;
}

bool RunFiles::is_made_later(std::string_view name) {
  return name == kReportFile || name == kMatrixFile || name == kMutantsFile ||
         name == kCompareFile;
}

Result<RunFiles> RunFiles::read(const std::string& run_dir) {
  const fs::path folder = fs::path(run_dir).lexically_normal();
  const fs::path name = folder.has_filename() ? folder.filename() : folder.parent_path().filename();
  if (!is_archive_name(name.string()))
    return Error{ErrorKind::Usage, run_dir + ": '" + name.string() + "' is no name for a run"};
  std::vector<std::string> names(kTopFiles.begin(), kTopFiles.end());
  std::error_code error;
  for (const char* made_later :
       {kIdentityFile, kReportFile, kMatrixFile, kMutantsFile, kCompareFile}) {
    if (fs::exists(folder / made_later, error)) names.emplace_back(made_later);
  }
  for (fs::directory_iterator i(folder / "state", error), end; !error && i != end;
       i.increment(error)) {
    const std::string inside = std::string(kStateFolder) + i->path().filename().string();
    if (is_record(inside)) names.push_back(inside);
  }
  std::map<std::string, std::string> files;
  for (const std::string& file : names) {
    const Result<Bytes> content = runtime::read_whole_file(folder / file, kMaxRecord);
    if (!content)
      return Error{ErrorKind::Preflight, run_dir + " is no finished run: " +
                                             content.error().message};
    files[file].assign(content->begin(), content->end());
  }
  return RunFiles(name.string(), std::move(files));
}

std::string_view RunFiles::text(const std::string& name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<ArchivedFile> RunFiles::archived() const {
  std::vector<ArchivedFile> out;
  for (const auto& [name, content] : files_) out.push_back({name, content});
  return out;
}

std::vector<ArchivedFile> RunFiles::archived_under_run() const {
  std::vector<ArchivedFile> out = archived();
  for (ArchivedFile& file : out) file.name = run_ + "/" + file.name;
  return out;
}

bool shows_model(std::string_view page, const std::string& model) {
  std::string element = "<script type=\"application/json\" id=\"report-data\">";
  for (const char c : std::string_view(model).substr(0, model.find_last_not_of('\n') + 1)) {
    if (c == '<') element += "\\u003c";
    else element += c;
  }
  return page.find(element + "</script>") != std::string_view::npos;
}

Result<Derived> derive(const RunFiles& files, const std::string& run_dir) {
  Result<check::JudgedRun> judged = check::judge_folder_records(run_dir);
  if (!judged) return judged.error();
  const Result<EventChains> chains = chain_events(files.text("events.ndjson"));
  if (!chains) return chains.error();
  Derived derived;
  derived.files.emplace_back(kChainsFile, chains_json(*chains));
  AttachedTexts attached{files.text(kMatrixFile), files.text(kMutantsFile),
                         files.text(kCompareFile)};
  if (const Status shown = check_attached(attached); !shown) {
    derived.attached_defect = shown.error().message;
    attached = {};
  }
  for (View& view : views_of({files.run(), judged->history, judged->verdict,
                              files.text("environment.json"), files.text("journal.json"),
                              files.text("events.ndjson"), attached}))
    derived.files.emplace_back(std::move(view.name), std::move(view.content));
  derived.wallet_key = judged->history.wallet_key();
  derived.verdict = std::move(judged->verdict);
  return derived;
}

Status check_cluster_signature(const RunFiles& files, const Derived& derived) {
  const auto wrong = [](const std::string& what) {
    return Error{ErrorKind::Corrupt, std::string(kIdentityFile) + ": " + what};
  };
  const auto& key = derived.wallet_key;
  if (!files.has(kIdentityFile)) {
    const bool in_token = key && key->size() != kXOnlyKeyBytes;
    if (in_token) return {};
    return wrong("missing: the cluster's own key signed nothing of this run");
  }
  if (!key) return wrong("no record names the wallet's key");
  const Status status = check_identity(files.text(kIdentityFile), files.text("journal.json"),
                                       files.text("verdict.json"), {key->data(), key->size()});
  return status ? status : wrong(status.error().message);
}

}  // namespace roulette::evidence
