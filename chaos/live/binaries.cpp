// Finding the programs of a run: see Binaries in cluster.h.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chaos/live/cluster.h"
#include "chaos/live/remote_etcd.h"
#include "common/crypto/schemes.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path own_folder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::current_path() : self.parent_path();
}

bool runnable(const fs::path& path) {
  return access(path.c_str(), X_OK) == 0 && fs::is_regular_file(path);
}

// The nearest .deps/manifest.json above the executable or the current folder.
std::optional<fs::path> deps_folder() {
  for (const fs::path& start : {own_folder(), fs::current_path()}) {
    for (fs::path at = start;; at = at.parent_path()) {
      if (fs::exists(at / ".deps" / "manifest.json")) return at / ".deps";
      if (at == at.parent_path()) break;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<fs::path> find_on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const fs::path candidate = fs::path(rest.substr(0, colon)) / program;
    if (runnable(candidate)) return candidate;
    if (colon == std::string::npos) break;
    rest = rest.substr(colon + 1);
  }
  return std::nullopt;
}

namespace {

// A program of the manifest as argv prefix: through its own loader where it needs another libc.
std::optional<std::vector<std::string>> from_manifest(const std::string& program) {
  const auto deps = deps_folder();
  if (!deps) return std::nullopt;
  std::ifstream file(*deps / "manifest.json");
  const json manifest = json::parse(file, nullptr, false);
  if (!manifest.is_object() || !manifest.contains("programs") ||
      !manifest["programs"].contains(program)) {
    return std::nullopt;
  }
  const json& entry = manifest["programs"][program];
  const fs::path path = *deps / entry.value("path", "");
  if (!runnable(path)) return std::nullopt;
  if (!entry.contains("loader")) return std::vector<std::string>{path.string()};
  return std::vector<std::string>{(*deps / entry.value("loader", "")).string(), "--library-path",
                                  (*deps / entry.value("library_path", "")).string(),
                                  path.string()};
}

Error missing(const std::string& program, const std::string& remedy) {
  return Error{ErrorKind::Preflight, program + " was not found: " + remedy};
}

Result<std::vector<std::string>> outside_program(const std::string& program,
                                                 const std::string& configured,
                                                 const std::string& flag) {
  if (!configured.empty()) {
    if (runnable(configured)) return std::vector<std::string>{fs::absolute(configured).string()};
    return missing(program,
                   "'" + configured + "' (given by " + flag + ") is not an executable file");
  }
  if (const fs::path beside = own_folder() / program; runnable(beside))
    return std::vector<std::string>{beside.string()};
  if (const auto found = from_manifest(program)) return *found;
  if (const auto found = find_on_path(program)) return std::vector<std::string>{found->string()};
  return missing(program,
                 "run tools/setup (it fills .deps/), put it on PATH, or name it with " + flag);
}

Result<std::string> own_program(const std::string& program) {
  const fs::path path = own_folder() / program;
  if (runnable(path)) return path.string();
  return missing(program, "it belongs beside the `roulette` executable; build all targets");
}

}  // namespace

Result<Binaries> find_binaries(const BinaryOptions& options, bool want_node) {
  Binaries out;
  for (auto [program, slot] : {std::pair{"roulette-signer", &out.signer},
                               std::pair{"roulette-coordinator", &out.coordinator},
                               std::pair{"roulette-ledger", &out.ledger}}) {
    const Result<std::string> found = own_program(program);
    if (!found) return found.error();
    *slot = *found;
  }
  auto remote = read_etcd_access(options);
  if (!remote) return remote.error();
  out.remote_etcd = std::move(remote).value();
  if (out.remote_etcd.members.empty()) {
    const auto etcd = outside_program("etcd", options.etcd, "--etcd");
    if (!etcd) return etcd.error();
    out.etcd = etcd->front();
  }
  if (std::error_code unused; !options.pkcs11.empty()) {
    if (!fs::exists(options.pkcs11, unused))
      return missing("the PKCS#11 module", "'" + options.pkcs11 + "' (--pkcs11) is not there");
    out.pkcs11 = fs::absolute(options.pkcs11).string();
  }
  for (const char* module : {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so",
                             "/usr/local/lib/softhsm/libsofthsm2.so"})
    if (std::error_code unused; out.pkcs11.empty() && fs::exists(module, unused))
      out.pkcs11 = module;
  if (const fs::path faulty = own_folder() / "roulette-faulty-token.so"; fs::exists(faulty))
    out.faulty_token = faulty.string();
  if (!want_node) return out;
  const auto bitcoind = outside_program("bitcoind", options.bitcoind, "--bitcoind");
  if (!bitcoind) return bitcoind.error();
  out.bitcoind = *bitcoind;
  if (const auto cli = outside_program("bitcoin-cli", "", "PATH")) out.bitcoin_cli = *cli;
  return out;
}

Status can_run(const ClusterPlan& plan, const Binaries& binaries) {
  const crypto::SchemeKind* kind = crypto::scheme_by_name(plan.scheme);
  const bool token = plan.vault == "token" || (kind != nullptr && kind->in_token);
  if (plan.faulty_tokens && binaries.faulty_token.empty())
    return missing("roulette-faulty-token.so", "it belongs beside the `roulette` executable; build "
                                               "all targets");
  if (!token || !binaries.pkcs11.empty()) return {};
  return Error{ErrorKind::Preflight, "it needs a PKCS#11 token, and libsofthsm2.so was not found: "
                                     "install softhsm2, or name a module with --pkcs11"};
}

}  // namespace roulette::chaos
