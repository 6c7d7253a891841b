// Moves a stopped cluster's run folder to a new share epoch, so that signers that lost their
// journals may sign again (DESIGN 6.8, docs/PROVISIONING.md). Dealer-made: it opens every share.
//
// Invariants: what an epoch needs is complete and on disk before the first configuration points to
// it, and one rename moves one process; nothing of the old epoch is changed or erased before a
// signature of the new one is proven. Killed at any moment and run again it goes on where it was:
// a step that is done is found done. Shares of two epochs never sign together, whatever is half
// done, for requests name the group.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/base/entropy.h"
#include "common/base/result.h"

namespace roulette::chaos {

struct ReprovisionReport {
  std::uint32_t share_epoch = 0;
  std::vector<std::string> journals;  // one JSON object of roulette-signer for each founded journal
  std::vector<std::string> switched;  // processes whose configuration was moved by this run
};
struct ReprovisionPlan {
  std::string run_dir;
  std::vector<std::uint16_t> lost;     // signers; the same ones in every run for an epoch
  // Go on though no replica can be read: a journal that went back and was not named is trusted.
  bool without_ledger = false;
  std::string signer, ledger;          // binaries
  // Told before each step that leaves something on disk; tests die in it.
  std::function<void(const std::string& step)> on_step = [](const std::string&) {};
};
// Preflight when a signer still runs or a file is missing, Usage when `lost` does not fit.
[[nodiscard]] Result<ReprovisionReport> reprovision(const ReprovisionPlan& plan,
                                                    EntropySource& entropy);
// Erases the sealed shares of earlier epochs. Refused unless a replica's export shows an applied
// signature all of whose shares were of the newest epoch. Says which files went.
[[nodiscard]] Result<std::vector<std::string>> retire_old_shares(const ReprovisionPlan& plan);

}  // namespace roulette::chaos
