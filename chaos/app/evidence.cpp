// `roulette key`, `roulette bundle` and `roulette verify`. See commands.h.
#include <filesystem>
#include <iostream>

#include <nlohmann/json.hpp>

#include "chaos/app/commands.h"
#include "chaos/evidence/bundle.h"
#include "chaos/evidence/operator_key.h"
#include "chaos/evidence/views.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/process.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxBundle = std::size_t{8} << 30;

Result<fs::path> key_path(const std::string& given) {
  if (!given.empty()) return fs::path(given);
  return evidence::default_key_path();
}

constexpr std::size_t kMaxSmallFile = 1 << 20;

// Empty for no name.
Result<std::string> small_file(const std::string& path) {
  if (path.empty()) return std::string();
  const auto content = runtime::read_whole_file(path, kMaxSmallFile);
  if (!content) return Error{ErrorKind::Usage, content.error().message};
  return std::string(content->begin(), content->end());
}

void print_findings(const evidence::Verification& found) {
  for (const std::string& finding : found.findings)
    std::cout << "NOT AUTHENTIC  " << finding << "\n";
}

std::string signer_words(const evidence::Verification& found) {
  const std::string word = found.whole() ? "consistent" : "checked in part (last line)";
  if (found.pinned) return word + ", signed by the trusted key " + found.signer;
  return word + ", signer not pinned: " + found.signer;
}

void print_consistent(const evidence::Verification& found) {
  std::cout << found.run << ": " << found.files << " files, " << found.bytes << " bytes, "
            << signer_words(found)
            << "\nrecords signed by the cluster's own key (which cluster, not who ran it): "
            << (found.identity.empty() ? "no" : found.identity) << "\ntime stamp: "
            << (found.time_stamp ? found.time_stamp->at : "none")
            << (found.time_stamp && !found.time_stamp->pinned ? ", authority not pinned" : "")
            << "\nverdict, derived again from the records: "
            << check::verdict_name(found.verdict->verdict) << "\n";
  if (found.report_page)
    std::cout << "report.html: its figures were compared, how it presents them was not\n";
}

// The last line: what was not checked is not passed over.
void print_unchecked(const evidence::Verification& found) {
  std::string names;
  for (const std::string& name : found.unchecked) names += (names.empty() ? "" : " ") + name;
  std::cout << "CHECKED IN PART: the bundle has views of number " << found.views
            << ", this build makes number " << evidence::kViews
            << ": records, verdict, hashes, chains and signatures were checked, and by their "
               "hashes alone: "
            << names << "\n";
}

// A part that could not be looked at is no 0.
int verify_code(const evidence::Verification& found) {
  if (!found.consistent()) return kExitFail;
  return found.whole() ? kExitPass : kExitInconclusive;
}

json as_json(const evidence::Verification& found) {
  return {{"run", found.run},
          {"consistent", found.consistent() && found.whole()},
          {"views", found.views},
          {"checked_by_hash_only", found.unchecked},
          {"report_page_presentation_checked", found.report_page ? json(false) : json(nullptr)},
          {"files", found.files},
          {"bytes", found.bytes},
          {"signer", found.signer.empty() ? json(nullptr) : json(found.signer)},
          {"pinned", found.pinned},
          {"time_stamp", found.time_stamp ? json(found.time_stamp->at) : json(nullptr)},
          {"time_stamp_pinned", found.time_stamp && found.time_stamp->pinned},
          {"run_identity", found.identity.empty() ? json(nullptr) : json(found.identity)},
          {"verdict", found.verdict ? json(check::verdict_name(found.verdict->verdict))
                                    : json(nullptr)},
          {"findings", found.findings}};
}

}  // namespace

int key_new_command(const KeyOptions& options) {
  const Result<fs::path> path = key_path(options.path);
  if (!path) return report_error(path.error());
  runtime::KernelEntropy entropy;
  const auto key = evidence::make_operator_key(*path, entropy);
  if (!key) return report_error(key.error());
  std::cout << path->string() << "\n" << evidence::fingerprint(key->public_key()) << "\n";
  return kExitPass;
}

int key_show_command(const KeyOptions& options) {
  const Result<fs::path> path = key_path(options.path);
  if (!path) return report_error(path.error());
  const auto key = evidence::read_operator_key(*path);
  if (!key) return report_error(key.error());
  const auto pem = evidence::public_key_pem(key->public_key());
  if (!pem) return report_error(pem.error());
  std::cout << evidence::fingerprint(key->public_key()) << "\n" << *pem;
  return kExitPass;
}

int bundle_command(const BundleOptions& options) {
  const Result<fs::path> path = key_path(options.key);
  if (!path) return report_error(path.error());
  const auto key = evidence::read_operator_key(*path);
  if (!key) return report_error(key.error());
  const auto stamp = small_file(options.time_stamp);
  if (!stamp) return report_error(stamp.error());
  const auto bundle = evidence::make_bundle(options.run_dir, *key, *stamp);
  if (!bundle) return report_error(bundle.error());
  const std::string out =
      options.out_file.empty()
          ? (fs::path(options.run_dir) / "").parent_path().string() + ".tar"
          : options.out_file;
  const Status written = runtime::write_file_durably(out, as_bytes(bundle->archive), 0644);
  if (!written)
    return report_error({ErrorKind::Preflight, out + ": " + written.error().message});
  std::cerr << bundle->files << " files, verdict "
            << check::verdict_name(bundle->verdict.verdict) << ", signed by "
            << evidence::fingerprint(key->public_key()) << "\n";
  std::cout << out << "\n";
  return kExitPass;
}

int verify_command(const VerifyOptions& options) {
  // An unset variable of a script is nobody to trust.
  for (const auto& [flag, value] : {std::pair{"--trust", &options.trust},
                                    std::pair{"--tsa", &options.authority}}) {
    if (*value && (*value)->empty())
      return report_error({ErrorKind::Usage, std::string(flag) + " names nothing"});
  }
  std::string trusted;
  if (options.trust) {
    const auto named = evidence::trusted_fingerprint(*options.trust);
    if (!named) return report_error(named.error());
    trusted = *named;
  }
  const auto authority = small_file(options.authority.value_or(""));
  if (!authority) return report_error(authority.error());
  const auto archive = runtime::read_whole_file(options.bundle, kMaxBundle);
  if (!archive) return report_error({ErrorKind::Preflight, archive.error().message});
  const auto found = evidence::verify_bundle(
      {reinterpret_cast<const char*>(archive->data()), archive->size()}, trusted,
      *authority);
  if (!found) return report_error(found.error());
  const int code = verify_code(*found);
  if (options.json) {
    std::cout << as_json(*found).dump(2) << "\n";
    return code;
  }
  print_findings(*found);
  if (found->consistent()) print_consistent(*found);
  if (!found->whole()) print_unchecked(*found);
  return code;
}

}  // namespace roulette::chaos
