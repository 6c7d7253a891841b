// The group file: public keys of a threshold group as JSON, written by the launcher, read by all.
//
// Invariant: what read_group_file() returns passed Group::create, so its public shares interpolate
// to the threshold key. Nothing secret is in it; a foreign file costs availability, not keys, since
// a signer refuses a group its share does not fit.
//   {"format":"roulette-group","version":1,"scheme":"BIP 445 draft 0.12","n":5,"t":3,
//    "threshold_key":"<33 bytes>","public_shares":["<33 bytes>", ...]}          hex, compressed
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/frost.h"

namespace roulette::runtime {

[[nodiscard]] std::string group_to_json(const crypto::frost::Group& group);
// `name` stands in errors where a file's path would.
[[nodiscard]] Result<crypto::frost::Group> group_from_json(std::string_view json, std::string name);

[[nodiscard]] Status write_group_file(const std::filesystem::path& path,
                                      const crypto::frost::Group& group);
// A missing file is ErrorKind::Preflight; anything wrong in it is Usage and names the file.
[[nodiscard]] Result<crypto::frost::Group> read_group_file(const std::filesystem::path& path);

// The wallet of a group: BIP 86, one key, no script tree.
struct WalletKey {
  crypto::XOnly output_key{};
  Bytes script;
};
[[nodiscard]] Result<WalletKey> wallet_key_of(const crypto::frost::Group& group);

}  // namespace roulette::runtime
