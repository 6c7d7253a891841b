// Reading and writing the group file: see group_file.h.
//
// Invariant: group_from_json(group_to_json(g)) is g; an unknown key, format or version is refused.
#include "common/runtime/group_file.h"

#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "common/bitcoin/spend.h"
#include "common/runtime/config_file.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {

namespace {

constexpr const char* kFormat = "roulette-group";
constexpr int kVersion = 1;

std::string known_versions() {
  std::string out;
  for (const crypto::SchemeKind& kind : crypto::all_schemes())
    out += (out.empty() ? "" : ", ") + std::string(kind.facts().version);
  return out;
}

}  // namespace

std::string group_to_json(const crypto::SigningGroup& group) {
  const crypto::GroupKeys keys = crypto::keys_of(group);
  std::string json =
      "{\"format\":\"" + std::string(kFormat) + "\",\"version\":" + std::to_string(kVersion) +
      ",\"scheme\":\"" + std::string(group.scheme().facts().version) +
      "\",\"n\":" + std::to_string(keys.n) + ",\"t\":" + std::to_string(keys.t) +
      ",\n \"threshold_key\":\"" + to_hex(keys.threshold_key) + "\",\n \"public_shares\":[";
  for (std::size_t i = 0; i < keys.public_shares.size(); ++i) {
    json += i == 0 ? "\n  \"" : ",\n  \"";
    json += to_hex(keys.public_shares[i]) + "\"";
  }
  return json + "]}\n";
}

Result<crypto::SigningGroupPtr> group_from_json(std::string_view json, std::string name) {
  auto file = ConfigFile::parse(json, name);
  if (!file) return file.error();
  ConfigObject root = file->root();
  root.expect_format(kFormat, kVersion);
  const crypto::SchemeKind* kind = crypto::scheme_by_version(root.text("scheme"));
  if (kind == nullptr) root.fail("scheme", "this program signs by " + known_versions());
  crypto::GroupKeys keys;
  keys.n = static_cast<std::uint16_t>(root.integer("n", 1, limits::kMaxSigners));
  keys.t = static_cast<std::uint16_t>(root.integer("t", 1, limits::kMaxSigners));
  const auto key = array_from_hex<33>(root.text("threshold_key"));
  if (!key) root.fail("threshold_key", "is not 33 bytes of hex");
  keys.threshold_key = key.value_or(crypto::PubKey33{});
  for (const std::string& text : root.texts("public_shares")) {
    const auto share = array_from_hex<33>(text);
    if (!share) root.fail("public_shares", "an entry is not 33 bytes of hex");
    keys.public_shares.push_back(share.value_or(crypto::PubKey33{}));
  }
  if (auto complete = file->finish(); !complete) return complete.error();
  auto group = kind->group(keys);
  if (!group) return Error{ErrorKind::Usage, name + ": " + group.error().message};
  return group;
}

Status write_group_file(const std::filesystem::path& path, const crypto::SigningGroup& group) {
  return write_file_durably(path, as_bytes(group_to_json(group)), 0644);
}

Result<crypto::SigningGroupPtr> read_group_file(const std::filesystem::path& path) {
  if (std::error_code unused; !std::filesystem::exists(path, unused))
    return Error{ErrorKind::Preflight, path.string() + ": the group file is missing"};
  const auto bytes = read_whole_file(path, kMaxConfigFileBytes);
  if (!bytes) return bytes.error();
  return group_from_json({reinterpret_cast<const char*>(bytes->data()), bytes->size()},
                         path.string());
}

Bytes wallet_script_of(const crypto::SigningGroup& group) {
  return bitcoin::wallet_script(group.scheme().facts().signatures, group.wallet_key());
}

}  // namespace roulette::runtime
