// What the coordinator's configuration file says (docs/CONFIG.md, "coordinator").
//
// Invariant: load_settings() returns only settings whose every key was known, present and in range;
// relative paths are made absolute against the file's folder. Opens no other file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "coordinator/app/tokens.h"

namespace roulette::coordinator {

struct Address {
  std::string host;        // numeric IPv4
  std::uint16_t port = 0;  // 0: any
};

struct NodeAddress {
  Address rpc;
  std::filesystem::path cookie;
};

struct Settings {
  std::string cluster_id;
  ProcessName name;
  Address listen;  // other coordinators, TLS
  Address http;    // the API, /healthz, /readyz, /metrics
  std::filesystem::path folder;
  std::filesystem::path ca, certificate, key;
  std::filesystem::path clients;  // empty: anybody's requests are proposed
  std::filesystem::path group, token;
  std::filesystem::path tokens;  // empty: `token` is the only one
  Rate rate;                     // of a token of that file which names none
  std::size_t body_bytes = 0, header_bytes = 0;  // of one HTTP request
  std::map<ProcessName, Address> peers;  // signers, ledger replicas, other coordinators
  std::vector<NodeAddress> nodes;  // in order of preference; one or two
  Duration drain;

  [[nodiscard]] std::filesystem::path event_file() const { return folder / "events.ndjson"; }
};

[[nodiscard]] Result<Settings> load_settings(const std::filesystem::path& file);

}  // namespace roulette::coordinator
