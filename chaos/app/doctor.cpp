// `roulette doctor` and `roulette version`: what a run needs, each line ok or the remedy. See
// commands.h.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include <sys/mman.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chaos/app/commands.h"
#include "chaos/live/environment.h"
#include "chaos/live/ports.h"
#include "chaos/live/supervisor.h"
#include "common/crypto/schemes.h"
#include "common/runtime/durable_file.h"

#ifndef ROULETTE_VERSION
#error "ROULETTE_VERSION comes from the build"
#endif

namespace roulette::chaos {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct Finding {
  std::string what;
  bool ok = false;
  bool needed = true;  // a run cannot be without it
  std::string detail;  // the value, or the remedy
};

Finding kernel() {
  const Status status = Supervisor::check_kernel();
  return {"pidfd", status.ok(), true,
          status.ok() ? "signals reach only our own processes" : status.error().message};
}

Finding memory_lock() {
  static char page[4096];
  const bool ok = mlock(page, sizeof page) == 0;
  if (ok) munlock(page, sizeof page);
  return {"mlock", ok, false,
          ok ? "signers can lock their memory"
             : std::string("refused (") + strerror(errno) +
                   "): signers warn and record memory_locked: false"};
}

Finding ports() {
  const auto found = free_ports(8);
  return {"loopback ports", found.ok(), true, found.ok() ? "can be bound" : found.error().message};
}

Finding disk(const std::string& runs_dir) {
  const Result<std::string> folder = runs_folder(runs_dir);
  if (!folder) return {"run folder", false, true, folder.error().message};
  std::error_code error;
  return {"disk", true, true,
          std::to_string(fs::space(*folder, error).available >> 20) + " MiB free in " + *folder};
}

Finding commit(const std::string& runs_dir) {
  const Result<std::string> folder = runs_folder(runs_dir);
  const auto us = folder ? fdatasync_p50_us(*folder) : std::nullopt;
  if (!us) return {"fdatasync", false, true, "the run folder cannot be written"};
  return {"fdatasync", true, true,
          "p50 " + std::to_string(*us) + " us (a signature waits for one)"};
}

void programs(const BinaryOptions& options, std::vector<Finding>& out) {
  const Result<Binaries> found = find_binaries(options, true);
  if (!found) {
    out.push_back({"programs", false, true, found.error().message});
    return;
  }
  out.push_back({"roulette-*", true, true, fs::path(found->signer).parent_path().string()});
  out.push_back({"softhsm2", !found->pkcs11.empty(), false,
                 found->pkcs11.empty() ? "not installed: no hsm scheme, no shares in tokens"
                                       : found->pkcs11});
  for (const auto& [name, argv] : {std::pair{std::string("etcd"), std::vector{found->etcd}},
                                   std::pair{std::string("bitcoind"), found->bitcoind}}) {
    const std::string version = version_line(argv);
    out.push_back(
        {name, !version.empty(), true,
         version.empty() ? argv.back() + " does not run" : version + " (" + argv.back() + ")"});
  }
}

}  // namespace

int doctor_command(const DoctorOptions& options) {
  std::vector<Finding> findings{kernel(), memory_lock(), ports(), disk(options.runs_dir),
                                commit(options.runs_dir)};
  programs(options.binaries, findings);
  bool ready = true;
  json lines = json::array();
  for (const Finding& f : findings) {
    if (f.needed && !f.ok) ready = false;
    lines.push_back({{"what", f.what}, {"ok", f.ok}, {"needed", f.needed}, {"detail", f.detail}});
    if (!options.json)
      std::cout << (f.ok       ? "ok      "
                    : f.needed ? "MISSING "
                               : "warning ")
                << f.what << ": " << f.detail << "\n";
  }
  if (options.json)
    std::cout << json{{"ready", ready}, {"findings", lines}}.dump() << std::endl;
  else
    std::cout << (ready ? "ready" : "not ready: mend what is MISSING") << std::endl;
  return ready ? kExitPass : kExitInconclusive;
}

namespace {

json scheme_versions() {
  json out = json::object();
  for (const crypto::SchemeKind& kind : crypto::all_schemes())
    out[std::string(kind.facts().name)] = kind.facts().version;
  return out;
}

}  // namespace

int version_command(bool as_json) {
  if (as_json)
    std::cout << json{{"roulette", ROULETTE_VERSION},
                      {"scheme", crypto::frost_scheme().facts().version},
                      {"schemes", scheme_versions()},
                      {"mutants", planted_bugs().size()}}
                     .dump()
              << std::endl;
  else
    std::cout << "roulette " ROULETTE_VERSION "\nschemes: " << crypto::scheme_names()
              << " (frost: " << crypto::frost_scheme().facts().version << ")\nmutants: "
              << (planted_bugs().empty() ? "none" : std::to_string(planted_bugs().size()))
              << std::endl;
  return kExitPass;
}

}  // namespace roulette::chaos
