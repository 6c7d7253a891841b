// Checking a bundle: see bundle.h. Goes on after a finding, so that each one is named.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "chaos/evidence/bundle.h"
#include "chaos/evidence/bundle_files.h"
#include "chaos/evidence/event_chain.h"
#include "chaos/evidence/run_identity.h"
#include "chaos/evidence/statement.h"
#include "chaos/evidence/views.h"
#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A folder of our own that goes with this object.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> make() {
    std::error_code error;
    const fs::path folder = fs::temp_directory_path(error);
    std::string pattern = (folder / "roulette-verify-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) {
      const char* named = std::getenv("TMPDIR");
      return Error{ErrorKind::Preflight, "no folder for the records can be made in " +
                                             (named == nullptr ? folder.string() : named) +
                                             " (TMPDIR)"};
    }
    return TemporaryFolder(pattern);
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  fs::path path_;
};

std::string sha256_hex(std::string_view bytes) {
  return to_hex(crypto::sha256(as_bytes(bytes)));
}

class Verifier {
 public:
  Verifier(std::string_view archive, const std::string& trusted, const std::string& authority)
      : archive_(archive), trusted_(trusted), authority_(authority) {
    out_.bytes = archive.size();
  }

  Result<Verification> verify() {
    if (!unpack()) return std::move(out_);
    compare_manifest();
    if (const Status looked = derive_again(); !looked) return looked.error();
    check_envelope();
    check_time_stamp();
    return std::move(out_);
  }

 private:
  void find(const std::string& what) { out_.findings.push_back(what); }

  // The files, when the archive is one of a single run.
  bool unpack() {
    const auto read = read_ustar(archive_);
    if (!read) {
      find(read.error().message);
      return false;
    }
    std::map<std::string, std::string> files;
    for (const ArchivedFile& file : *read) {
      const std::size_t slash = file.name.find('/');
      const std::string run = file.name.substr(0, slash);
      if (out_.run.empty()) out_.run = run;
      if (slash == std::string::npos || run != out_.run) {
        find(file.name + ": a bundle holds one folder, " + out_.run);
        return false;
      }
      files.emplace(file.name.substr(slash + 1), file.content);
    }
    out_.files = files.size();
    if (files.empty()) find("the archive is empty");
    files_.emplace(out_.run, std::move(files));
    return out_.consistent();
  }

  void compare_manifest() {
    const std::string_view text = files_->text(kManifestFile);
    if (text.empty()) return find(std::string(kManifestFile) + " is missing");
    std::vector<ArchivedFile> listed = files_->archived();
    std::erase_if(listed, [](const ArchivedFile& file) {
      return file.name == kManifestFile || file.name == kEnvelopeFile ||
             file.name == kTimeStampFile;
    });
    const json read = json::parse(text, nullptr, false);
    if (!read.is_object() || read.value("format", json()) != "roulette-manifest" ||
        read.value("version", json()) != kManifestVersion || !views_of(read))
      return find(std::string(kManifestFile) +
                  " cannot be read: not format 'roulette-manifest' version " +
                  std::to_string(kManifestVersion) + " with the number of its views");
    out_.views = *views_of(read);
    if (text == manifest_json(out_.run, out_.views, listed)) return;
    name_differences(read, listed);
    if (out_.consistent())
      find(std::string(kManifestFile) + " is not written as this tool writes it");
  }

  static std::optional<std::int64_t> views_of(const json& manifest) {
    const json views = manifest.value("views", json());
    if (!views.is_number_integer() || views.get<std::int64_t>() < 1) return std::nullopt;
    return views.get<std::int64_t>();
  }

  // Which files are not those that the manifest lists.
  void name_differences(const json& read, const std::vector<ArchivedFile>& present) {
    std::map<std::string, std::string> then;
    try {
      for (const json& file : read.at("files"))
        then[file.at("name").get<std::string>()] = file.at("sha256").get<std::string>();
    } catch (const json::exception&) {
      return find(std::string(kManifestFile) + " cannot be read");
    }
    for (const ArchivedFile& file : present) {
      const auto listed = then.find(file.name);
      if (listed == then.end()) find(file.name + " is not in the manifest");
      else if (listed->second != sha256_hex(file.content))
        find(file.name + " is not the file that the manifest lists (SHA-256)");
      if (listed != then.end()) then.erase(listed);
    }
    for (const auto& [name, digest] : then) find(name + " is in the manifest and missing");
  }

  // The checkers over the raw records; then everything that is a function of them.
  Status derive_again() {
    Result<TemporaryFolder> folder = TemporaryFolder::make();
    if (!folder) return folder.error();
    std::error_code error;
    fs::create_directory(folder->path() / "state", error);
    for (const auto& [name, content] : files_->all()) {
      if (!RunFiles::is_record(name)) continue;
      std::ofstream file(folder->path() / name, std::ios::binary);
      file << content;
      if (!file.flush())
        return Error{ErrorKind::Io, "no room for the records in " + folder->path().string()};
    }
    const Result<Derived> derived = derive(*files_, folder->path().string());
    if (!derived) {
      find("the verdict cannot be derived again: " + without(folder->path(), derived.error()));
      return {};
    }
    if (!derived->attached_defect.empty() && !other_views()) find(derived->attached_defect);
    out_.report_page = files_->has(kReportFile);
    compare_derived(*derived);
    check_identity(*derived);
    out_.verdict = derived->verdict;
    return {};
  }

  // The reader of this has no such folder.
  static std::string without(const fs::path& folder, const Error& error) {
    std::string text = error.message;
    const std::string prefix = folder.string() + "/";
    for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at))
      text.erase(at, prefix.size());
    return text;
  }

  void check_identity(const Derived& derived) {
    const Status status = check_cluster_signature(*files_, derived);
    if (!status) return find(status.error().message);
    if (files_->has(kIdentityFile))
      out_.identity = to_hex(ByteSpan(derived.wallet_key->data(), derived.wallet_key->size()));
  }

  void compare_derived(const Derived& derived) {
    if (check::verdict_json(derived.verdict) != files_->text("verdict.json"))
      find(std::string("verdict.json is not what the records give: they give ") +
           check::verdict_name(derived.verdict.verdict) + reasons_of(derived.verdict));
    std::set<std::string> known{kPublicKeyFile, kManifestFile, kEnvelopeFile, kTimeStampFile};
    for (const auto& [name, content] : derived.files) {
      if (name != kChainsFile && other_views()) continue;
      known.insert(name);
      if (name == kReportModelFile && files_->has(kReportFile) &&
          !shows_model(files_->text(kReportFile), content))
        find(std::string(kReportFile) + " shows other figures than the records give");
      if (files_->text(name) == content) continue;
      if (name == kChainsFile) name_chains(content);
      else find(name + " is not what the records give");
    }
    for (const auto& [name, content] : files_->all()) {
      if (RunFiles::is_record(name) || known.contains(name)) continue;
      if (other_views()) out_.unchecked.push_back(name);
      else if (!RunFiles::is_made_later(name)) find(name + " is no file of a bundle");
    }
  }

  // Those of another build may have other names too: the manifest's hashes cover them, and nothing
  // is said about what they say.
  [[nodiscard]] bool other_views() const { return out_.views > 0 && out_.views != kViews; }

  static std::string reasons_of(const check::Verdict& verdict) {
    std::string text;
    for (const std::string& reason : verdict.reasons) text += (text.empty() ? ": " : "; ") + reason;
    return text;
  }

  // Whose events are not those that were chained.
  void name_chains(const std::string& now) {
    const std::size_t before = out_.findings.size();
    const json then = json::parse(files_->text("chains.json"), nullptr, false);
    const json made = json::parse(now);
    try {
      const json& old = then.at("processes");
      for (const auto& [name, chain] : made.at("processes").items()) {
        if (!old.contains(name)) find("events.ndjson: events of " + name + " that no chain has");
        else if (old.at(name) != chain)
          find("events.ndjson: the events of " + name + " are not those of its chain");
      }
      for (const auto& [name, chain] : old.items()) {
        if (!made.at("processes").contains(name))
          find("events.ndjson: the events of " + name + " are missing");
      }
      if (then.at("merkle_root") != made.at("merkle_root"))
        find("events.ndjson: its lines do not give the Merkle root of chains.json");
    } catch (const json::exception&) {
    }
    if (out_.findings.size() == before) find("chains.json is not what the events give");
  }

  void check_envelope() {
    const std::string name = kEnvelopeFile;
    if (!files_->has(name)) return find(name + " is missing");
    const Result<Envelope> envelope = open_envelope(files_->text(name));
    if (!envelope) return find(name + ": " + envelope.error().message);
    if (out_.verdict &&
        envelope->payload != statement_json(out_.run, std::string(files_->text(kManifestFile)),
                                            files_->text("experiment.yaml"), *out_.verdict))
      find(name + ": it states another manifest or other results than this bundle's");
    const Result<PublicKey> key = public_key_from_pem(files_->text(kPublicKeyFile));
    const Result<std::string> pem = key ? public_key_pem(*key) : key.error();
    if (!pem || *pem != files_->text(kPublicKeyFile))
      return find(std::string(kPublicKeyFile) + ": no Ed25519 public key as OpenSSL writes it");
    const std::string signed_bytes = pre_authentication(kStatementType, envelope->payload);
    if (envelope->signatures.size() != 1 ||
        envelope->signatures.front().key_id != fingerprint(*key) ||
        !crypto::verify_ed25519(*key, as_bytes(signed_bytes),
                                envelope->signatures.front().signature))
      return find(name + ": no signature of it by " + kPublicKeyFile);
    out_.signer = fingerprint(*key);
    out_.pinned = out_.signer == trusted_;
    if (!trusted_.empty() && !out_.pinned)
      find(name + ": signed by " + out_.signer + ", trusted is " + trusted_);
  }

  void check_time_stamp() {
    if (!files_->has(kTimeStampFile)) {
      if (!authority_.empty()) find(std::string(kTimeStampFile) + " is missing");
      return;
    }
    const auto stamp = evidence::check_time_stamp(files_->text(kTimeStampFile),
                                                  files_->text(kEnvelopeFile), authority_);
    if (!stamp) return find(std::string(kTimeStampFile) + ": " + stamp.error().message);
    out_.time_stamp = *stamp;
  }

  std::string_view archive_;
  std::string trusted_, authority_;
  std::optional<RunFiles> files_;
  Verification out_;
};

}  // namespace

Result<Verification> verify_bundle(std::string_view archive, const std::string& trusted,
                                   const std::string& authority) {
  return Verifier(archive, trusted, authority).verify();
}

}  // namespace roulette::evidence
