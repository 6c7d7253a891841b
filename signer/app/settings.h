// What the signer's configuration file says (docs/CONFIG.md, "signer").
//
// Invariant: load_settings() returns only settings whose every key was known, present and in range;
// relative paths are made absolute against the file's folder. Opens no other file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "signer/token/token.h"

namespace roulette::signer {

struct Address {
  std::string host;        // numeric IPv4
  std::uint16_t port = 0;  // 0: any
};

struct Settings {
  std::string cluster_id;
  ProcessName name;
  Address listen;  // coordinators, TLS
  Address http;    // /healthz, /readyz, /metrics
  std::filesystem::path folder;
  std::filesystem::path ca, certificate, key;
  std::filesystem::path clients;  // empty: anybody's requests are signed
  std::filesystem::path group, share, share_key;  // `share` is empty for hsm: it has none
  // Whose key the share is, or is to be, sealed with; for hsm, where the key lies.
  std::optional<TokenPlace> token;
  std::string journal = "journal.sqlite";  // a file name in `folder`
  std::uint32_t share_epoch = 1;
  std::int64_t max_fee_sat = 0;
  std::int64_t max_fee_rate_sat_per_vb = 0;
  std::int64_t max_amount_sat = 0;
  bool verify_own_share = true;
  Duration drain;
  Duration commit_delay;  // every commit takes so much longer: for measurements

  [[nodiscard]] std::filesystem::path journal_file() const { return folder / journal; }
  [[nodiscard]] std::filesystem::path event_file() const { return folder / "events.ndjson"; }
};

[[nodiscard]] Result<Settings> load_settings(const std::filesystem::path& file);

}  // namespace roulette::signer
