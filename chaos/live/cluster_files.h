// Everything of a cluster that is a file: folders, keys, certificates, shares, configurations,
// command lines.
//
// Invariant: secrets stand in secrets/ (0700) with mode 0600 and nowhere else; every address is
// loopback, or a host's that was named. It starts nothing; the daemons' own pages (docs/CONFIG.md)
// say what each key means.
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

// A cluster on several machines: process i of each role is on host i mod n, under a port of its
// own. Its etcd speaks TLS under an authority of its own, its nodes take a password; the keys of
// both authorities stay (secrets/ca.key, secrets/etcd/ca.key).
struct Hosts {
  std::vector<std::string> addresses;  // numeric IPv4
  std::uint16_t first_port = 7100;
  std::string operator_address;  // may ask the nodes besides them; empty: nobody
  std::string state_dir;  // where the processes keep what they write, on each host
  [[nodiscard]] const std::string& of(std::uint16_t index) const {
    return addresses[index % addresses.size()];
  }
};

[[nodiscard]] Result<ClusterFiles> make_cluster_files(const ClusterPlan& plan,
                                                      const std::string& run_dir,
                                                      const Binaries& binaries,
                                                      EntropySource& entropy,
                                                      const Hosts* hosts = nullptr);

}  // namespace roulette::chaos
