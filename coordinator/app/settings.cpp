// Reading the configuration file: see settings.h.
//
// Invariant: every error names file and key and is ErrorKind::Usage, but a missing file
// (Preflight).
#include "coordinator/app/settings.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "common/base/limits.h"
#include "common/runtime/config_file.h"
#include "common/runtime/limits.h"

namespace roulette::coordinator {
namespace {

using runtime::ConfigObject;

constexpr std::int64_t kMostDrainMs = 600'000;
constexpr std::int64_t kUsualRate = 100;  // requests a second, of one token
constexpr std::int64_t kUsualBurst = 200;
constexpr std::int64_t kLeastBytes = 1024;  // a request of ours fits

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Address read_address(ConfigObject& object, std::string_view key) {
  const std::string text = object.text(key);
  const std::size_t colon = text.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : parse_number<std::uint16_t>(std::string_view(text).substr(colon + 1));
  if (!port) object.fail(key, "is not ADDRESS:PORT");
  return Address{text.substr(0, colon), port.value_or(0)};
}

ProcessName read_name(ConfigObject& object, Role role) {
  const std::string text = object.text("name");
  const std::string prefix = std::string(role_name(role)) + "-";
  const auto index = text.starts_with(prefix)
                         ? parse_number<std::uint16_t>(std::string_view(text).substr(prefix.size()))
                         : std::nullopt;
  const ProcessName name{role, index.value_or(0)};
  if (!index || name.text() != text) object.fail("name", "is not " + prefix + "<number>");
  return name;
}

void read_peers(ConfigObject& root, std::string_view key, Role role, Settings& settings) {
  for (ConfigObject& peer : root.objects(key)) {
    const ProcessName name = read_name(peer, role);
    if (name == settings.name) peer.fail("name", "is this coordinator itself");
    settings.peers[name] = read_address(peer, "address");
  }
}

void read_http_limits(ConfigObject limits, Settings& settings) {
  settings.rate.per_s = limits.integer("requests_per_s", 1, kMostRequestsPerSecond, kUsualRate);
  settings.rate.burst = limits.integer("burst", 1, kMostRequestsPerSecond, kUsualBurst);
  settings.body_bytes = static_cast<std::size_t>(
      limits.integer("body_bytes", kLeastBytes, runtime::kMaxHttpRequestBodyBytes,
                     runtime::kMaxHttpRequestBodyBytes));
  settings.header_bytes = static_cast<std::size_t>(limits.integer(
      "header_bytes", kLeastBytes, runtime::kMaxHttpHeaderBytes, runtime::kMaxHttpHeaderBytes));
}

}  // namespace

Result<Settings> load_settings(const std::filesystem::path& file) {
  auto loaded = runtime::ConfigFile::load(file);
  if (!loaded) return loaded.error();
  ConfigObject root = loaded->root();
  const std::filesystem::path base = std::filesystem::absolute(file).parent_path();
  const auto path = [&](std::string_view key) { return base / root.text(key); };
  Settings settings;
  settings.cluster_id = root.text("cluster_id");
  settings.name = read_name(root, Role::Coordinator);
  settings.listen = read_address(root, "listen");
  settings.http = read_address(root, "http");
  settings.folder = path("folder");
  settings.ca = path("ca");
  settings.certificate = path("cert");
  settings.key = path("key");
  settings.group = path("group");
  if (root.has("clients")) settings.clients = path("clients");
  settings.token = path("token");
  if (root.has("tokens")) settings.tokens = path("tokens");
  settings.rate = {kUsualRate, kUsualBurst};
  settings.body_bytes = runtime::kMaxHttpRequestBodyBytes;
  settings.header_bytes = runtime::kMaxHttpHeaderBytes;
  if (root.has("http_limits")) read_http_limits(root.object("http_limits"), settings);
  read_peers(root, "signers", Role::Signer, settings);
  read_peers(root, "ledgers", Role::Ledger, settings);
  read_peers(root, "coordinators", Role::Coordinator, settings);
  for (const char* key : {"node", "fallback_node"}) {
    if (std::string_view(key) == "fallback_node" && !root.has(key)) continue;
    ConfigObject node = root.object(key);
    settings.nodes.push_back({read_address(node, "rpc"), base / node.text("cookie")});
  }
  settings.drain = milliseconds(
      root.integer("drain_ms", 0, kMostDrainMs, limits::kDrain.us / milliseconds(1).us));
  if (auto complete = loaded->finish(); !complete) return complete.error();
  return settings;
}

}  // namespace roulette::coordinator
