// Reading and writing the group file: see group_file.h.
//
// Invariant: group_from_json(group_to_json(g)) is g; an unknown key, format or version is refused.
#include "common/runtime/group_file.h"

#include <utility>
#include <vector>

#include "common/bitcoin/script.h"
#include "common/runtime/config_file.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {

namespace {

constexpr const char* kFormat = "roulette-group";
constexpr int kVersion = 1;

}  // namespace

std::string group_to_json(const crypto::frost::Group& group) {
  std::string json =
      "{\"format\":\"" + std::string(kFormat) + "\",\"version\":" + std::to_string(kVersion) +
      ",\"scheme\":\"" + std::string(crypto::frost::kSchemeVersion) +
      "\",\"n\":" + std::to_string(group.n()) + ",\"t\":" + std::to_string(group.t()) +
      ",\n \"threshold_key\":\"" + to_hex(group.threshold_key()) + "\",\n \"public_shares\":[";
  for (std::size_t i = 0; i < group.public_shares().size(); ++i) {
    json += i == 0 ? "\n  \"" : ",\n  \"";
    json += to_hex(group.public_shares()[i]) + "\"";
  }
  return json + "]}\n";
}

Result<crypto::frost::Group> group_from_json(std::string_view json, std::string name) {
  auto file = ConfigFile::parse(json, name);
  if (!file) return file.error();
  ConfigObject root = file->root();
  if (root.text("format") != kFormat) root.fail("format", "is not a group file's");
  if (root.integer("version", 0, 1'000'000) != kVersion)
    root.fail("version", "this program reads version " + std::to_string(kVersion));
  if (root.text("scheme") != crypto::frost::kSchemeVersion)
    root.fail("scheme", "this program signs by " + std::string(crypto::frost::kSchemeVersion));
  const std::int64_t n = root.integer("n", 1, crypto::frost::kMaxParticipants);
  const std::int64_t t = root.integer("t", 1, crypto::frost::kMaxParticipants);
  const auto key = array_from_hex<33>(root.text("threshold_key"));
  if (!key) root.fail("threshold_key", "is not 33 bytes of hex");
  std::vector<crypto::frost::PubShare33> shares;
  for (const std::string& text : root.texts("public_shares")) {
    const auto share = array_from_hex<33>(text);
    if (!share) root.fail("public_shares", "an entry is not 33 bytes of hex");
    shares.push_back(share.value_or(crypto::frost::PubShare33{}));
  }
  if (auto complete = file->finish(); !complete) return complete.error();
  auto group = crypto::frost::Group::create(static_cast<std::uint16_t>(n),
                                            static_cast<std::uint16_t>(t), *key, std::move(shares));
  if (!group) return Error{ErrorKind::Usage, name + ": " + group.error().message};
  return group;
}

Status write_group_file(const std::filesystem::path& path, const crypto::frost::Group& group) {
  return write_file_durably(path, as_bytes(group_to_json(group)), 0644);
}

Result<crypto::frost::Group> read_group_file(const std::filesystem::path& path) {
  if (std::error_code unused; !std::filesystem::exists(path, unused))
    return Error{ErrorKind::Preflight, path.string() + ": the group file is missing"};
  const auto bytes = read_whole_file(path, kMaxConfigFileBytes);
  if (!bytes) return bytes.error();
  return group_from_json({reinterpret_cast<const char*>(bytes->data()), bytes->size()},
                         path.string());
}

Result<WalletKey> wallet_key_of(const crypto::frost::Group& group) {
  const auto key = crypto::frost::TweakContext::key_path_only(group.threshold_key());
  if (!key) return key.error();
  return WalletKey{key->output_key(), bitcoin::p2tr_script(key->output_key())};
}

}  // namespace roulette::runtime
