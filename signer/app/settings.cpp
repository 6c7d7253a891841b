// Reading the configuration file: see settings.h.
//
// Invariant: every error names file and key and is ErrorKind::Usage, but a missing file
// (Preflight).
#include "signer/app/settings.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "common/base/limits.h"
#include "common/bitcoin/transaction.h"
#include "common/runtime/config_file.h"

namespace roulette::signer {
namespace {

using runtime::ConfigObject;

constexpr std::int64_t kMostFeeRate = 1'000'000;
constexpr std::int64_t kMostDrainMs = 600'000;
constexpr std::int64_t kMostCommitDelayMs = 1000;
constexpr std::int64_t kMostTokenPatienceMs = 60'000;
constexpr const char* kRefusedPin = "token-pin-refused";

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Address read_address(ConfigObject& root, std::string_view key) {
  const std::string text = root.text(key);
  const std::size_t colon = text.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : parse_number<std::uint16_t>(std::string_view(text).substr(colon + 1));
  if (!port) root.fail(key, "is not ADDRESS:PORT");
  return Address{text.substr(0, colon), port.value_or(0)};
}

ProcessName read_name(ConfigObject& root) {
  const std::string text = root.text("name");
  const std::string prefix = "signer-";
  const auto index = text.starts_with(prefix)
                         ? parse_number<std::uint16_t>(std::string_view(text).substr(prefix.size()))
                         : std::nullopt;
  const ProcessName name{Role::Signer, index.value_or(0)};
  if (!index || name.text() != text) root.fail("name", "is not signer-<number>");
  return name;
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
  settings.group = path("group");
  if (root.has("clients")) settings.clients = path("clients");
  settings.share = root.has("share") ? path("share") : std::filesystem::path();
  settings.share_key = root.has("share_key") ? path("share_key") : std::filesystem::path();
  if (root.has("token")) {
    ConfigObject token = root.object("token");
    const auto patience = token.integer("patience_ms", 1, kMostTokenPatienceMs,
                                        TokenPlace().patience.us / milliseconds(1).us);
    settings.token = TokenPlace{base / token.text("module"), token.text("label"),
                                base / token.text("pin_file"), settings.folder / kRefusedPin,
                                milliseconds(patience)};
  } else if (settings.share.empty()) {
    root.fail("share", "is missing, and there is no token whose key could sign");
  }
  settings.share_epoch =
      static_cast<std::uint32_t>(root.integer("share_epoch", 0, 0xffffffff, settings.share_epoch));
  if (root.has("journal")) settings.journal = root.text("journal");
  if (settings.journal.empty() || settings.journal.find('/') != std::string::npos)
    root.fail("journal", "is not a file name");
  ConfigObject policy = root.object("policy");
  settings.max_fee_sat = policy.integer("max_fee_sat", 1, bitcoin::kMaxMoneySat);
  settings.max_fee_rate_sat_per_vb = policy.integer("max_fee_rate_sat_per_vb", 1, kMostFeeRate);
  settings.max_amount_sat = policy.integer("max_amount_sat", 1, bitcoin::kMaxMoneySat);
  settings.verify_own_share = root.boolean("verify_own_share", true);
  settings.drain = milliseconds(
      root.integer("drain_ms", 0, kMostDrainMs, limits::kDrain.us / milliseconds(1).us));
  settings.commit_delay = milliseconds(root.integer("commit_delay_ms", 0, kMostCommitDelayMs, 0));
  if (auto complete = loaded->finish(); !complete) return complete.error();
  return settings;
}

}  // namespace roulette::signer
