// What the ledger's configuration file says (docs/CONFIG.md, "ledger").
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
#include "common/runtime/http_url.h"
#include "common/wire/commands.h"

namespace roulette::ledger {

struct Address {
  std::string host;        // numeric IPv4
  std::uint16_t port = 0;  // 0: any
};

struct Settings {
  std::string cluster_id;
  ProcessName name;
  Address listen;  // coordinators and other replicas, TLS
  Address http;    // /healthz, /readyz, /metrics
  std::filesystem::path folder;
  std::filesystem::path ca, certificate, key;
  std::uint16_t replicas = 0;
  std::map<ProcessName, Address> peers;  // the other replicas
  bool sqlite_log = false;    // the log is a file of this replica, which then is the only one
  // Clients' URLs, all of one kind; this replica starts with another one each. Empty with
  // sqlite_log.
  std::vector<runtime::HttpUrl> etcd;
  bool own_etcd = false;  // it holds this cluster's keys alone: its history is compacted
  // With https: whom to trust (set), and who we are (both or neither).
  std::filesystem::path etcd_ca, etcd_certificate, etcd_key;
  std::filesystem::path clients;  // the clients file; empty: any coordinator's word will do
  wire::Genesis genesis;
  std::uint64_t snapshot_interval = 0;  // log indices; 0: no snapshots, and nothing is trimmed
  Duration drain;
  Duration commit_delay;  // every commit takes so much longer: for measurements

  [[nodiscard]] std::filesystem::path tables_file() const { return folder / "tables.sqlite"; }
  [[nodiscard]] std::filesystem::path log_file() const { return folder / "log.sqlite"; }
  [[nodiscard]] std::filesystem::path event_file() const { return folder / "events.ndjson"; }
};

[[nodiscard]] Result<Settings> load_settings(const std::filesystem::path& file);

}  // namespace roulette::ledger
