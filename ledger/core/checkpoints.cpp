// See checkpoints.h (DESIGN 8, "Checkpoints").
#include "ledger/core/checkpoints.h"

#include "common/base/limits.h"
#include "common/base/mutants.h"

namespace roulette::ledger {

std::optional<std::string> Checkpoints::own(std::uint64_t index, const Hash32& digest) {
  At& at = at_[index];
  at.own = digest;
  at.replayed = true;
  forget_old();
  return judge(index);
}

void Checkpoints::loaded(std::uint64_t index, const Hash32& digest) {
  at_[index].own = digest;
  forget_old();
}

std::optional<std::string> Checkpoints::logged(LedgerId replica, std::uint64_t index,
                                               const Hash32& digest) {
  if (replica.value() >= replicas_) return std::nullopt;
  const auto known = at_.find(index);
  if (known == at_.end()) return std::nullopt;  // no checkpoint index, or compared long ago
  known->second.logged.insert_or_assign(replica, digest);
  return judge(index);
}

std::optional<Hash32> Checkpoints::majority(std::uint64_t index) const {
  const auto known = at_.find(index);
  if (known == at_.end()) return std::nullopt;
  std::map<Hash32, std::size_t> votes;
  for (const auto& [replica, digest] : known->second.logged) {
    if (2 * ++votes[digest] > replicas_) return digest;
  }
  return std::nullopt;
}

std::optional<Checkpoints::Report> Checkpoints::unreported() const {
  if (at_.empty()) return std::nullopt;
  const auto& [index, last] = *at_.rbegin();
  if (!last.own || !last.replayed || last.logged.contains(self_)) return std::nullopt;
  return Report{index, *last.own};
}

std::optional<std::string> Checkpoints::judge(std::uint64_t index) const {
  if (ROULETTE_MUTANT("checkpoint-ignored")) return std::nullopt;
  const At& at = at_.at(index);
  if (!at.own) return std::nullopt;
  // What an earlier life of ours found does not count as ours: this life replayed for itself.
  std::map<Hash32, std::size_t> votes;
  std::size_t heard = 1;
  ++votes[*at.own];
  for (const auto& [replica, digest] : at.logged) {
    if (replica == self_) continue;
    ++votes[digest];
    ++heard;
  }
  for (const auto& [digest, count] : votes) {
    if (2 * count <= replicas_) continue;
    if (digest == *at.own) return std::nullopt;
    return "the state at index " + std::to_string(index) + " differs from the majority's";
  }
  if (heard < replicas_) return std::nullopt;  // not everybody has spoken
  return "no majority agrees on the state at index " + std::to_string(index);
}

void Checkpoints::forget_old() {
  while (at_.size() > limits::kCheckpointsKept) at_.erase(at_.begin());
}

}  // namespace roulette::ledger
