// The group file: public keys of a threshold group as JSON, written by the launcher, read by all.
//
// Invariant: what read_group_file() returns passed the checks of the scheme that the file names
// (crypto/schemes.h): its public shares make the threshold key. Nothing secret is in it; a foreign
// file costs availability, not keys, since a signer refuses a group its share does not fit.
// `scheme` is the version string of the scheme (SchemeFacts::version); another one is refused.
//   {"format":"roulette-group","version":1,"scheme":"BIP 445 draft 0.12","n":5,"t":3,
//    "threshold_key":"<33 bytes>","public_shares":["<33 bytes>", ...]}          hex, compressed
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/schemes.h"

namespace roulette::runtime {

[[nodiscard]] std::string group_to_json(const crypto::SigningGroup& group);
// `name` stands in errors where a file's path would.
[[nodiscard]] Result<crypto::SigningGroupPtr> group_from_json(std::string_view json,
                                                              std::string name);

[[nodiscard]] Status write_group_file(const std::filesystem::path& path,
                                      const crypto::SigningGroup& group);
// A missing file is ErrorKind::Preflight; anything wrong in it is Usage and names the file.
[[nodiscard]] Result<crypto::SigningGroupPtr> read_group_file(const std::filesystem::path& path);

// What the coins of a group's wallet pay to: one key, without a script tree (BIP 86), or its hash.
[[nodiscard]] Bytes wallet_script_of(const crypto::SigningGroup& group);

}  // namespace roulette::runtime
