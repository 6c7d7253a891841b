// The files of a run by name, and what is derived from them for a bundle.
//
// Invariant: secrets, logs and process folders are never among them: names are chosen, not left
// out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chaos/check/verdict.h"
#include "chaos/evidence/operator_key.h"
#include "chaos/evidence/ustar.h"
#include "common/crypto/signature_form.h"

namespace roulette::evidence {

inline constexpr char kPublicKeyFile[] = "operator.pub.pem";
inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kEnvelopeFile[] = "statement.dsse.json";
inline constexpr char kTimeStampFile[] = "statement.tsr";  // where one was given
inline constexpr char kChainsFile[] = "chains.json";
inline constexpr char kReportModelFile[] = "report.json";
inline constexpr char kReportFile[] = "report.html";  // where one was made

class RunFiles {
 public:
  RunFiles(std::string run, std::map<std::string, std::string> files)
      : run_(std::move(run)), files_(std::move(files)) {}
  // The records of a finished run's folder. Preflight when one that every run has is missing.
  [[nodiscard]] static Result<RunFiles> read(const std::string& run_dir);
  // Whether a name is one that a bundle may hold.
  [[nodiscard]] static bool is_record(std::string_view name);
  // And those that somebody may have put there after the run: the report and what it cites.
  [[nodiscard]] static bool is_made_later(std::string_view name);

  [[nodiscard]] const std::string& run() const { return run_; }
  [[nodiscard]] bool has(const std::string& name) const { return files_.contains(name); }
  [[nodiscard]] std::string_view text(const std::string& name) const;  // empty for none
  void add(const std::string& name, std::string content) { files_[name] = std::move(content); }
  [[nodiscard]] const std::map<std::string, std::string>& all() const { return files_; }
  // Views into this.
  [[nodiscard]] std::vector<ArchivedFile> archived() const;
  [[nodiscard]] std::vector<ArchivedFile> archived_under_run() const;

 private:
  std::string run_;
  std::map<std::string, std::string> files_;
};

struct Derived {
  check::Verdict verdict;
  std::vector<std::pair<std::string, std::string>> files;  // chains.json and the views
  std::optional<crypto::WalletKey> wallet_key;  // that the run's coins were spent with
  std::string attached_defect;  // why what is attached cannot be shown; the report is without it
};
// The cluster's own signature is there and of these records. A key in a token signs payments only:
// such a run has none.
[[nodiscard]] Status check_cluster_signature(const RunFiles& files, const Derived& derived);
// A report's page holds its model whole, in the one spelling that render.mjs gives it.
[[nodiscard]] bool shows_model(std::string_view page, const std::string& model);
// `run_dir` holds the same records as `files`.
[[nodiscard]] Result<Derived> derive(const RunFiles& files, const std::string& run_dir);

}  // namespace roulette::evidence
