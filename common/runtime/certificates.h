// A private certificate authority per cluster and one certificate per process.
//
// Invariant: a certificate binds (cluster, role, index) by the SAN URI
// `roulette://<cluster>/<role>/<index>`; keys are EC P-256, files with keys are 0600. Made by the
// launcher; there is no revocation: a new cluster is a new authority. Servers that are not ours
// (etcd) get certificates that name an address instead, of an authority of their own.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/time.h"

namespace roulette::runtime {

// "roulette://c1/signer/3"
[[nodiscard]] std::string process_uri(std::string_view cluster, ProcessName name);
// Nothing unless `uri` is exactly what process_uri() writes for `cluster` and some process.
[[nodiscard]] std::optional<ProcessName> parse_process_uri(std::string_view uri,
                                                           std::string_view cluster);
// [a-z0-9-]{1,40}
[[nodiscard]] bool valid_cluster_name(std::string_view cluster);

struct Validity {
  std::int64_t from_s = -24L * 3600;      // relative to now: clocks differ, and are set back
  std::int64_t until_s = 30L * 24 * 3600;
};

struct ProcessCredentials {
  std::string certificate_pem;
  std::string key_pem;
};

class ClusterAuthority {
 public:
  [[nodiscard]] static Result<ClusterAuthority> create(std::string cluster, Validity validity = {});
  ClusterAuthority(ClusterAuthority&&) noexcept;
  ClusterAuthority& operator=(ClusterAuthority&&) noexcept;
  ~ClusterAuthority();

  [[nodiscard]] const std::string& cluster() const;
  [[nodiscard]] const std::string& certificate_pem() const;
  [[nodiscard]] Result<ProcessCredentials> issue(ProcessName name, Validity validity = {}) const;
  // Named by a numeric IPv4 address instead of a process.
  [[nodiscard]] Result<ProcessCredentials> issue_for_address(const std::string& common_name,
                                                             const std::string& address,
                                                             Validity validity = {}) const;
  // Writes <folder>/ca.key (0600): whoever has it makes members of this cluster.
  [[nodiscard]] Status write_key(const std::filesystem::path& folder) const;
  // Writes <folder>/ca.pem, or <folder>/<name>.pem and <folder>/<name>.key (0600).
  [[nodiscard]] Status write_certificate(const std::filesystem::path& folder) const;
  [[nodiscard]] Status issue_into(const std::filesystem::path& folder, ProcessName name,
                                  Validity validity = {}) const;
  [[nodiscard]] Status issue_for_address_into(const std::filesystem::path& folder,
                                              const std::string& common_name,
                                              const std::string& address,
                                              Validity validity = {}) const;

 private:
  [[nodiscard]] Result<ProcessCredentials> issue_named(const std::string& common_name,
                                                       const std::string& alternative,
                                                       Validity validity) const;
  struct State;
  explicit ClusterAuthority(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::runtime
