// Reading the configuration file: see settings.h.
//
// Invariant: every error names file and key and is ErrorKind::Usage, but a missing file
// (Preflight).
#include "ledger/app/settings.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "common/base/limits.h"
#include "common/bitcoin/spend.h"
#include "common/bitcoin/transaction.h"
#include "common/runtime/config_file.h"

namespace roulette::ledger {
namespace {

using runtime::ConfigObject;

constexpr std::int64_t kMostDrainMs = 600'000;
constexpr std::int64_t kMostCommitDelayMs = 1000;
constexpr std::int64_t kMostFeeRate = 1'000'000;
constexpr std::int64_t kMostReplicas = 64;
constexpr std::int64_t kMostSettleDepth = 1000;
constexpr std::int64_t kMostSnapshotInterval = 1'000'000;

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Address> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto port = parse_number<std::uint16_t>(std::string_view(text).substr(colon + 1));
  if (!port) return std::nullopt;
  return Address{text.substr(0, colon), *port};
}

Address read_address(ConfigObject& object, std::string_view key) {
  const auto address = parse_address(object.text(key));
  if (!address) object.fail(key, "is not ADDRESS:PORT");
  return address.value_or(Address{});
}

ProcessName read_name(ConfigObject& object) {
  const std::string text = object.text("name");
  const std::string prefix = "ledger-";
  const auto index = text.starts_with(prefix)
                         ? parse_number<std::uint16_t>(std::string_view(text).substr(prefix.size()))
                         : std::nullopt;
  const ProcessName name{Role::Ledger, index.value_or(0)};
  if (!index || name.text() != text) object.fail("name", "is not ledger-<number>");
  return name;
}

wire::Genesis read_genesis(ConfigObject object, const std::string& cluster_id) {
  wire::Genesis genesis;
  genesis.cluster_id = cluster_id;
  if (object.has("signature_form")) {
    const auto form = crypto::form_named(object.text("signature_form"));
    if (!form) object.fail("signature_form", "is neither bip340 nor ecdsa");
    genesis.signature_form = form.value_or(genesis.signature_form);
  }
  const auto key = from_hex(object.text("wallet_output_key"));
  const auto bounded = key ? crypto::WalletKey::from(*key) : std::nullopt;
  genesis.wallet_output_key = bounded.value_or(crypto::WalletKey());
  genesis.wallet_script =
      bitcoin::wallet_script(genesis.signature_form, genesis.wallet_output_key);
  if (genesis.wallet_script.empty())
    object.fail("wallet_output_key", "is no key of that form: bip340 has 32 bytes, ecdsa 33");
  genesis.accounts = object.texts("accounts");
  if (genesis.accounts.empty()) object.fail("accounts", "is empty");
  genesis.fee_rate_sat_per_vb = object.integer("fee_rate_sat_per_vb", 1, kMostFeeRate);
  genesis.withdrawal_fee_sat = object.integer("withdrawal_fee_sat", 1, bitcoin::kMaxMoneySat);
  genesis.min_amount_sat = object.integer("min_amount_sat", 1, bitcoin::kMaxMoneySat);
  genesis.max_amount_sat = object.integer("max_amount_sat", 1, bitcoin::kMaxMoneySat);
  genesis.settle_depth =
      static_cast<std::uint32_t>(object.integer("settle_depth", 1, kMostSettleDepth));
  const auto anchor = bitcoin::txid_from_hex(object.text("anchor_block"));
  if (!anchor) object.fail("anchor_block", "is not a block hash");
  genesis.anchor_block = anchor.value_or(Hash32{});
  return genesis;
}

void read_peers(ConfigObject& root, Settings& settings) {
  for (ConfigObject& peer : root.objects("peers")) {
    const ProcessName name = read_name(peer);
    const Address address = read_address(peer, "address");
    if (name == settings.name || name.index >= settings.replicas) {
      peer.fail("name", "is no other replica");
    }
    settings.peers[name] = address;
  }
}

// ADDRESS:PORT is plain HTTP, as it has always been.
void read_etcd(ConfigObject& root, const std::filesystem::path& base, Settings& settings) {
  for (const std::string& text : root.texts("etcd")) {
    const bool bare = text.find("://") == std::string::npos;
    const auto url = runtime::parse_http_url(bare ? "http://" + text : text);
    if (!url) {
      root.fail("etcd", "holds what is neither ADDRESS:PORT nor http(s)://HOST:PORT");
      continue;
    }
    settings.etcd.push_back(*url);
  }
  if (settings.etcd.empty()) return root.fail("etcd", "is empty");
  const bool tls = settings.etcd.front().tls;
  for (const runtime::HttpUrl& url : settings.etcd)
    if (url.tls != tls) root.fail("etcd", "mixes http and https");
  for (const auto& [key, slot] : {std::pair{"etcd_ca", &settings.etcd_ca},
                                  std::pair{"etcd_cert", &settings.etcd_certificate},
                                  std::pair{"etcd_key", &settings.etcd_key}}) {
    if (!root.has(key)) continue;
    *slot = base / root.text(key);
    if (!tls) root.fail(key, "has no meaning without https in `etcd`");
  }
  if (tls && settings.etcd_ca.empty())
    root.fail("etcd_ca", "is missing: whom to trust behind https");
  if (settings.etcd_certificate.empty() != settings.etcd_key.empty())
    root.fail("etcd_cert", "and `etcd_key` go together");
}

void read_log(ConfigObject& root, const std::filesystem::path& base, Settings& settings) {
  const std::string log = root.text("log", "etcd");
  settings.sqlite_log = log == "sqlite";
  if (settings.sqlite_log) {
    for (const char* key : {"etcd", "own_etcd", "etcd_ca", "etcd_cert", "etcd_key"})
      if (root.has(key)) root.fail(key, "has no meaning with `log`: sqlite");
    if (settings.replicas != 1) root.fail("replicas", "must be 1 with `log`: sqlite");
    return;
  }
  if (log != "etcd") root.fail("log", "is neither etcd nor sqlite");
  read_etcd(root, base, settings);
  settings.own_etcd = root.boolean("own_etcd", false);
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
  settings.name = read_name(root);
  settings.listen = read_address(root, "listen");
  settings.http = read_address(root, "http");
  settings.folder = path("folder");
  settings.ca = path("ca");
  settings.certificate = path("cert");
  settings.key = path("key");
  if (root.has("clients")) settings.clients = path("clients");
  settings.replicas = static_cast<std::uint16_t>(root.integer("replicas", 1, kMostReplicas));
  if (settings.name.index >= settings.replicas) root.fail("name", "is not below `replicas`");
  read_peers(root, settings);
  read_log(root, base, settings);
  settings.genesis = read_genesis(root.object("genesis"), settings.cluster_id);
  settings.snapshot_interval = static_cast<std::uint64_t>(root.integer(
      "snapshot_interval", 0, kMostSnapshotInterval, std::int64_t{limits::kSnapshotInterval}));
  if (settings.snapshot_interval % limits::kCheckpointInterval != 0) {
    root.fail("snapshot_interval",
              "is no multiple of " + std::to_string(limits::kCheckpointInterval));
  }
  settings.drain = milliseconds(
      root.integer("drain_ms", 0, kMostDrainMs, limits::kDrain.us / milliseconds(1).us));
  settings.commit_delay = milliseconds(root.integer("commit_delay_ms", 0, kMostCommitDelayMs, 0));
  if (auto complete = loaded->finish(); !complete) return complete.error();
  return settings;
}

}  // namespace roulette::ledger
