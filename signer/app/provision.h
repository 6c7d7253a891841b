// `roulette-signer reprovision`: founds the journal of a signer that lost its own, from what other
// signers and the ledger know (DESIGN 6.8, docs/PROVISIONING.md).
//
// Invariant: the new journal is written in one transaction, or not at all; a second run finds it
// and changes nothing. Every source's hash chain is recomputed. Never touches another journal: the
// configuration names a file that holds none yet.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "signer/app/settings.h"

namespace roulette::signer {

struct ProvisionOptions {
  std::uint32_t previous_epoch = 0;            // the epoch in which the journal was lost
  std::vector<std::filesystem::path> sources;  // exports of other signers that stand still
  std::filesystem::path ledger;                // a replica's export
  bool without_ledger = false;                 // none is to be had: journals vouch for themselves
  std::optional<int> passphrase_fd;
  std::filesystem::path config;  // of the signer in the new share epoch
};
// `--config FILE --previous-epoch N --from EXPORT... (--ledger EXPORT | --without-ledger)
//  [--passphrase-fd N]`
[[nodiscard]] Result<ProvisionOptions> parse_provision(std::span<char* const> words);
// Prints one JSON object about what was imported, or that nothing was left to do.
[[nodiscard]] Status provision_again(const Settings& settings, const ProvisionOptions& options);

}  // namespace roulette::signer
