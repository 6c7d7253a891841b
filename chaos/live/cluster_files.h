// Everything of a cluster that is a file: folders, keys, certificates, shares, configurations,
// command lines.
//
// Invariant: secrets stand in secrets/ (0700) with mode 0600 and nowhere else; every address is
// loopback. It starts nothing; the daemons' own pages (docs/CONFIG.md) say what each key means.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "chaos/live/cluster.h"
#include "chaos/live/run_identity.h"
#include "common/base/bytes.h"
#include "common/base/entropy.h"

namespace roulette::chaos {

struct ClusterFiles {
  std::string run_dir, cluster_id;
  std::filesystem::path work, secrets, state;
  std::string token;
  std::filesystem::path token_file;
  Bytes wallet_script;
  std::vector<std::string> accounts;
  std::vector<std::pair<Endpoint, std::filesystem::path>> nodes;  // RPC and cookie of each
  std::vector<Endpoint> coordinator_http, etcd_client, signer_tls, ledger_tls;
  std::vector<std::pair<ProcessName, Endpoint>> monitored;  // who serves /metrics, and where
  std::vector<ProcessSpec> specs;
  bool faulty_tokens = false;  // each signer's module fails as its token_control() says
  // Command lines that print a stopped daemon's records as NDJSON.
  std::vector<std::pair<ProcessName, std::vector<std::string>>> exports;
  std::shared_ptr<const RequestSigner> client;  // null where clients need not sign
  std::shared_ptr<const RunIdentity> identity;  // null where the key is in a token
};

// What a signer's token is told to do; beside it (.faults) what it then did.
[[nodiscard]] std::filesystem::path token_control(const ClusterFiles& files,
                                                  const ProcessName& signer);

[[nodiscard]] Result<ClusterFiles> make_cluster_files(const ClusterPlan& plan,
                                                      const std::string& run_dir,
                                                      const Binaries& binaries,
                                                      EntropySource& entropy);

}  // namespace roulette::chaos
