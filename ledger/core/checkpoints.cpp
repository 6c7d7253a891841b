// See checkpoints.h (DESIGN 8, "Checkpoints").
#include "ledger/core/checkpoints.h"

#include "common/base/limits.h"
#include "common/base/mutants.h"

namespace roulette::ledger {

std::optional<std::string> Checkpoints::own(std::uint64_t index, const Hash32& digest) {
  at_[index].own = digest;
  forget_old();
  return judge(index);
}

std::optional<std::string> Checkpoints::logged(LedgerId replica, std::uint64_t index,
                                               const Hash32& digest) {
  if (replica.value() >= replicas_) return std::nullopt;
  if (replica == self_) {
    // What an earlier life of ours found does not count as ours: this life replayed for itself.
    if (const auto known = at_.find(index); known != at_.end()) known->second.reported = true;
    return std::nullopt;
  }
  const auto known = at_.find(index);
  if (known == at_.end()) return std::nullopt;  // no checkpoint index, or compared long ago
  known->second.others.insert_or_assign(replica, digest);
  return judge(index);
}

std::optional<Checkpoints::Report> Checkpoints::unreported() const {
  if (at_.empty()) return std::nullopt;
  const auto& [index, last] = *at_.rbegin();
  if (!last.own || last.reported) return std::nullopt;
  return Report{index, *last.own};
}

std::optional<std::string> Checkpoints::judge(std::uint64_t index) const {
  if (ROULETTE_MUTANT("checkpoint-ignored")) return std::nullopt;
  const At& at = at_.at(index);
  if (!at.own) return std::nullopt;
  std::map<Hash32, std::size_t> votes;
  ++votes[*at.own];
  for (const auto& [replica, digest] : at.others) ++votes[digest];
  for (const auto& [digest, count] : votes) {
    if (2 * count <= replicas_) continue;
    if (digest == *at.own) return std::nullopt;
    return "the state at index " + std::to_string(index) + " differs from the majority's";
  }
  if (at.others.size() + 1 < replicas_) return std::nullopt;  // not everybody has spoken
  return "no majority agrees on the state at index " + std::to_string(index);
}

void Checkpoints::forget_old() {
  while (at_.size() > limits::kCheckpointsKept) at_.erase(at_.begin());
}

}  // namespace roulette::ledger
