// Carries the chain into the ledger as facts: compares the ledger's tip with the node's at every
// poll (level, not edge).
//
// Invariant: a block is reported disconnected only on the node's word given after we knew that tip;
// connected blocks are reported in order, each on its predecessor. What does not fit the ledger's
// tip is ignored there, so two watchers or a stale answer cost work, never truth.
//
//   idle --tips differ, our turn--> checking (hash at the ledger's height)
//   checking --same--> fetching (next blocks) --all submitted and applied--> idle
//   checking --other or none--> disconnecting --applied--> idle      any --node unavailable--> idle
#pragma once

#include <map>

#include "coordinator/core/ledger_link.h"
#include "coordinator/core/step.h"

namespace roulette::coordinator {

class ChainWatch {
 public:
  explicit ChainWatch(LedgerLink& ledger) : ledger_(ledger) {}

  // Compares, when nothing is under way. `our_turn`: the watcher by preference; others wait
  // kForeignWorkGrace.
  void compare(Step& s, const std::optional<wire::ChainTip>& ledger_tip, bool our_turn);
  // Answers of the node to the calls of this class; the round makes late ones harmless.
  void tip(const bitcoin::TipFacts& facts) { node_ = facts; }
  void hash_at(Step& s, std::uint64_t round, const BlockHashAt& answer);
  void block(Step& s, std::uint64_t round, std::uint32_t height, const bitcoin::BlockFacts& facts);
  void unavailable(std::uint64_t round);
  void applied(std::uint64_t round);  // one submitted fact was applied or ignored

  // How the calls are numbered and remembered is the machine's: it takes the wishes and issues the
  // calls.
  struct Wish {
    std::uint64_t round = 0;
    NodeCallBody call;
  };
  [[nodiscard]] std::vector<Wish> take_wishes();

  [[nodiscard]] const std::optional<bitcoin::TipFacts>& node_tip() const { return node_; }
  // What the ledger's tip becomes when everything submitted was applied.
  [[nodiscard]] const Hash32& expected_tip() const { return next_prev_; }
  // Since when the tips have differed; nothing when they are the same or unknown.
  [[nodiscard]] std::optional<Instant> differ_since() const { return differ_since_; }

 private:
  enum class Phase : std::uint8_t { Idle, Checking, Fetching, Disconnecting };
  void settle();  // back to idle when everything of the round is answered

  LedgerLink& ledger_;
  std::optional<bitcoin::TipFacts> node_;
  std::optional<Instant> differ_since_;
  Phase phase_ = Phase::Idle;
  std::uint64_t round_ = 0;
  wire::ChainTip base_;  // the ledger's tip this round works on
  std::map<std::uint32_t, bitcoin::BlockFacts> fetched_;
  std::uint32_t next_height_ = 0;  // the next to submit
  Hash32 next_prev_{};
  std::size_t awaited_blocks_ = 0;
  std::size_t awaited_applies_ = 0;
  std::vector<Wish> wishes_;
};

}  // namespace roulette::coordinator
