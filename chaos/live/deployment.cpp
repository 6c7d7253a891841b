// Carrying a cluster's files apart, host by host: see deployment.h.
#include "chaos/live/deployment.h"

#include <map>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/runtime/durable_file.h"
#include "common/runtime/http_url.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxFileBytes = 4 << 20;
constexpr char kRpcUser[] = "roulette";

// A configuration's keys that name a file, and what the file is called beside it.
const std::map<std::string, std::string> kFiles = {
    {"ca", "ca.pem"},           {"cert", "cert.pem"},           {"key", "key.pem"},
    {"group", "group.json"},    {"clients", "clients.json"},    {"share", "share.sealed"},
    {"share_key", "share.key"}, {"token", "token"},             {"etcd_ca", "etcd-ca.pem"},
    {"etcd_cert", "etcd-cert.pem"}, {"etcd_key", "etcd-key.pem"}};

// A copy with the mode that it had.
Status carry(const fs::path& from, const fs::path& to) {
  const auto bytes = runtime::read_whole_file(from, kMaxFileBytes);
  if (!bytes) return bytes.error();
  std::error_code failed;
  const auto mode = static_cast<mode_t>(fs::status(from, failed).permissions());
  if (failed) return Error{ErrorKind::Io, from.string() + ": " + failed.message()};
  return runtime::write_file_durably(to, *bytes, mode & 0777);
}

class Carrier {
 public:
  Carrier(const ClusterFiles& files, const Hosts& hosts, fs::path out, EntropySource& entropy)
      : files_(files), hosts_(hosts), out_(std::move(out)), entropy_(entropy) {}

  Status carry_all() {
    if (const Status made = make_node_password(); !made) return made;
    for (const ProcessSpec& spec : files_.specs) {
      const fs::path folder = out_ / "hosts" / hosts_.of(spec.name.index) / spec.name.text();
      if (const Status made = runtime::create_folder_durably(folder); !made) return made;
      Status carried;
      switch (spec.name.role) {
        case Role::Etcd: carried = carry_etcd(spec, folder); break;
        case Role::Bitcoind: carried = carry_node(spec, folder); break;
        default: carried = carry_daemon(spec.name, folder); break;
      }
      if (!carried) return carried;
    }
    if (const Status kept = carry_authorities(); !kept) return kept;
    return carry_client();
  }

 private:
  // bitcoind's -rpcauth: user:salt$HMAC-SHA256(salt, password).
  Status make_node_password() {
    ByteArray<32> password{};
    ByteArray<16> salt{};
    entropy_.fill(password);
    entropy_.fill(salt);
    const std::string word = to_hex(password);
    const std::string grain = to_hex(salt);
    ByteArray<32> mac{};
    unsigned size = 0;
    if (HMAC(EVP_sha256(), grain.data(), static_cast<int>(grain.size()),
             reinterpret_cast<const unsigned char*>(word.data()), word.size(), mac.data(),
             &size) == nullptr)
      return Error{ErrorKind::Internal, "HMAC"};
    node_login_ = std::string(kRpcUser) + ":" + word;
    node_configuration_ =
        "rpcauth=" + std::string(kRpcUser) + ":" + grain + "$" + to_hex(mac) + "\n";
    return {};
  }

  Status carry_daemon(const ProcessName& name, const fs::path& folder) {
    const auto bytes =
        runtime::read_whole_file(files_.work / name.text() / "config.json", kMaxFileBytes);
    if (!bytes) return bytes.error();
    json config = json::parse(bytes->begin(), bytes->end(), nullptr, false);
    if (!config.is_object()) return Error{ErrorKind::Internal, name.text() + ": no configuration"};
    for (const auto& [key, file] : kFiles) {
      if (!config.contains(key)) continue;
      const Status carried = carry(config[key].get<std::string>(), folder / file);
      if (!carried) return carried;
      config[key] = file;
    }
    for (const char* node : {"node", "fallback_node"}) {
      if (!config.contains(node)) continue;
      config[node]["cookie"] = "node-login";
      const Status written =
          runtime::write_file_durably(folder / "node-login", as_bytes(node_login_), 0600);
      if (!written) return written;
    }
    config["folder"] = (fs::path(hosts_.state_dir) / name.text()).string();
    return runtime::write_file_durably(folder / "config.json",
                                       as_bytes(config.dump(2) + "\n"), 0600);
  }

  // Its words are our own, without a sign that a shell takes for more than itself.
  static Status write_command(const ProcessSpec& spec, const std::string& program,
                              std::size_t skip, const fs::path& folder) {
    std::string text = "#!/bin/sh\n# Starts " + spec.name.text() +
                       "; made by `roulette deploy`.\nhere=$(dirname \"$(readlink -f \"$0\")\")\n"
                       "exec " + program;
    for (std::size_t i = skip; i < spec.argv.size(); ++i) text += " \\\n  \"" + spec.argv[i] + "\"";
    return runtime::write_file_durably(folder / "command", as_bytes(text + "\n"), 0755);
  }

  Status carry_etcd(const ProcessSpec& spec, const fs::path& folder) {
    const fs::path from = files_.secrets / "etcd";
    Status carried = carry(from / "ca.pem", folder / "ca.pem");
    if (carried) carried = carry(from / (spec.name.text() + ".pem"), folder / "cert.pem");
    if (carried) carried = carry(from / (spec.name.text() + ".key"), folder / "key.pem");
    return carried ? write_command(spec, "${ETCD:-etcd}", 1, folder) : carried;
  }

  Status carry_node(const ProcessSpec& spec, const fs::path& folder) {
    const Status written = runtime::write_file_durably(folder / "bitcoin.conf",
                                                       as_bytes(node_configuration_), 0600);
    return written ? write_command(spec, "${BITCOIND:-bitcoind}", 0, folder) : written;
  }

  Status carry_authorities() {
    const fs::path to = out_ / "authority";
    if (const Status made = runtime::create_folder_durably(to / "etcd"); !made) return made;
    for (const char* file : {"ca.pem", "ca.key", "etcd/ca.pem", "etcd/ca.key"})
      if (const Status kept = carry(files_.secrets / file, to / file); !kept) return kept;
    return {};
  }

  // In the form of the line that `up --json` prints.
  Status carry_client() {
    const fs::path to = out_ / "client";
    if (const Status made = runtime::create_folder_durably(to); !made) return made;
    Status carried = carry(files_.token_file, to / "token");
    if (carried)
      carried = runtime::write_file_durably(to / "node-login", as_bytes(node_login_), 0600);
    json client{{"token_file", (to / "token").string()},
                {"accounts", files_.accounts},
                {"wallet_script", to_hex(files_.wallet_script)},
                {"client", nullptr}};
    if (carried && files_.client) {
      carried = carry(files_.client->key_file(), to / kClientKeyFile);
      client["client"] = {{"name", files_.client->client()},
                          {"key_file", (to / kClientKeyFile).string()},
                          {"cluster_id", files_.cluster_id}};
    }
    if (!carried) return carried;
    const auto url = [](const Endpoint& e) {
      return runtime::HttpUrl{false, e.host, e.port}.text();
    };
    for (const Endpoint& e : files_.coordinator_http) client["coordinators"].push_back(url(e));
    for (const auto& [rpc, cookie] : files_.nodes)
      client["nodes"].push_back({{"rpc", url(rpc)}, {"cookie", (to / "node-login").string()}});
    return runtime::write_file_durably(to / "client.json", as_bytes(client.dump(2) + "\n"), 0600);
  }

  const ClusterFiles& files_;
  const Hosts& hosts_;
  fs::path out_;
  EntropySource& entropy_;
  std::string node_login_, node_configuration_;
};

}  // namespace

Status write_deployment(const ClusterPlan& plan, const Hosts& hosts, const std::string& out,
                        EntropySource& entropy) {
  std::error_code failed;
  const fs::path folder = fs::absolute(out, failed);
  if (failed || fs::exists(folder, failed))
    return Error{ErrorKind::Usage, out + ": exists already, and nothing is written over"};
  const fs::path making = folder / "making";
  if (const Status made = runtime::create_folder_durably(making); !made)
    return Error{ErrorKind::Preflight, made.error().message};
  const auto files = make_cluster_files(plan, making.string(), Binaries{}, entropy, &hosts);
  if (!files) return files.error();
  if (const Status carried = Carrier(*files, hosts, folder, entropy).carry_all(); !carried)
    return carried;
  fs::remove_all(making, failed);
  if (failed)
    return Error{ErrorKind::Io, making.string() + ": holds every secret and cannot be removed: " +
                                    failed.message()};
  return {};
}

}  // namespace roulette::chaos
