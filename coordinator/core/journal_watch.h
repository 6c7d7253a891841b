// Holds every signer's journal against what the applied ledger keeps of it (DESIGN 6.8).
//
// Invariant: a signer is asked about its journal only with heads of a read that began after it
// announced itself on this connection, and that was answered at or after a barrier: so every
// signature applied before it joined counts, and no head that the log does not hold can quarantine
// anybody. Read again while signers are connected, for a signature of a former life may be applied
// after its signer came back. Judges nothing: the signer answers, the pool believes it.
#pragma once

#include <map>
#include <vector>

#include "coordinator/core/ledger_link.h"
#include "coordinator/core/signer_pool.h"
#include "coordinator/core/step.h"

namespace roulette::coordinator {

class JournalWatch {
 public:
  JournalWatch(LedgerLink& ledger, SignerPool& signers) : ledger_(ledger), signers_(signers) {}

  // It announced an epoch over its connection (again: nothing new), or left it.
  void joined(SignerId id);
  void left(SignerId id) { joined_.erase(id); }
  void tick(Step& s);
  void answered(Step& s, const std::vector<wire::JournalHead>& kept);
  [[nodiscard]] std::optional<Instant> next_deadline() const;

 private:
  LedgerLink& ledger_;
  SignerPool& signers_;
  // By signer: the first read that counts for it.
  std::map<SignerId, std::uint64_t> joined_;
  std::uint64_t reads_ = 0;  // begun
  bool reading_ = false;     // one at a time
  Instant last_read_;
};

}  // namespace roulette::coordinator
