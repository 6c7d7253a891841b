// What a scenario's commands act on: one signer, the books, replicas around a log, or a
// whole simulated cluster.
//
// Invariant: the output of a command depends on the commands before it alone, and names things by
// the file's own words (p1, tx1), never by bytes or times that a change elsewhere would move.
#pragma once

#include <memory>
#include <string>

#include "tests/scenario/scenario_file.h"

namespace roulette::scenario {

class Stage {
 public:
  Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual ~Stage() = default;
  // The whole lines that come of it. Throws std::runtime_error for a command it does not know.
  virtual std::string run(const Command& command) = 0;
};

// `stage signer`: one signer, its journal's disk and coordinators' connections.
[[nodiscard]] std::unique_ptr<Stage> signer_stage();
// `stage ledger`: the books under commands and blocks, one after the other.
[[nodiscard]] std::unique_ptr<Stage> ledger_stage();
// `stage replicas [count= checkpoint_every= snapshot_every=]`: replicas around one log.
[[nodiscard]] std::unique_ptr<Stage> replicas_stage(const Command& first);
// `stage cluster [signers= threshold= coordinators= ledgers= pool= flush_every= unknown= seed=]`,
// with `fault ...` lines in the words of a schedule; in a later block such a line is a fault now.
[[nodiscard]] std::unique_ptr<Stage> cluster_stage(const Block& first);

[[noreturn]] void unknown_command(const Command& command);

}  // namespace roulette::scenario
