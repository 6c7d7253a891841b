// From files to a machine's configuration: group file, sealed share, and what unseals it.
//
// Invariant: the share is unsealed straight into a Secret and from there into the KeyShare; the key
// or passphrase is erased before load_config() returns. Nothing secret is logged, and no secret
// comes from argv or the environment (DESIGN 6.7).
#pragma once

#include <optional>

#include "common/base/result.h"
#include "signer/app/settings.h"
#include "signer/core/signer.h"

namespace roulette::signer {

// Every failure names the file. `passphrase_fd` is read to its end when the share wants one.
[[nodiscard]] Result<SignerConfig> load_config(const Settings& settings,
                                               std::optional<int> passphrase_fd);

}  // namespace roulette::signer
