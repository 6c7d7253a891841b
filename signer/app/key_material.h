// From files to a machine's configuration: group file, sealed share, and what unseals it, or the
// token that signs.
//
// Invariant: the share is unsealed straight into a Secret and from there into the KeyShare; the key
// or passphrase is erased before load_config() returns. Nothing secret is logged, and no secret
// comes from argv or the environment (DESIGN 6.7).
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "signer/app/settings.h"
#include "signer/core/signer.h"

namespace roulette::signer {

// Asks a key's token, unless it signed a moment ago: why it does not sign now, or nothing. May take
// as long as a signature. No function: the key lies in no token.
using KeyProbe = std::function<std::string()>;

// Every failure names the file. `passphrase_fd` is read to its end when the share wants one.
[[nodiscard]] Result<SignerConfig> load_config(const Settings& settings,
                                               std::optional<int> passphrase_fd,
                                               EntropySource& entropy, KeyProbe& probe);

// Puts a share that is sealed under a key file or a passphrase under the key in the token of the
// configuration (made there if there is none), by one atomic rename: killed at any moment, the file
// opens by the old secret or by the token, and a second run finishes or finds it done. With
// `so_pin_file` the token itself is made, too. For hsm there is no share: see make_token_key().
[[nodiscard]] Status seal_into_token(const Settings& settings, std::optional<int> passphrase_fd,
                                     const std::filesystem::path& so_pin_file,
                                     EntropySource& entropy);

// `hsm`: the key in the token of the configuration, made there if there is none; with `so_pin_file`
// the token itself, too. Where a group file names a wallet already, no key is made: the token must
// hold that wallet's. Killed at any moment, a second run finishes it or finds it done.
[[nodiscard]] Result<crypto::PubKey33> make_token_key(const Settings& settings,
                                                      const std::filesystem::path& so_pin_file,
                                                      EntropySource& entropy);

}  // namespace roulette::signer
