// Comparing digests between replicas: who differs from a majority stops; without a majority all do.
//
// Invariant: a verdict is given only from digests at one index, and never from this replica's own
// opinion alone. It remembers a bounded number of indices; older ones were compared long ago.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/bytes.h"
#include "common/base/ids.h"

namespace roulette::ledger {

class Checkpoints {
 public:
  Checkpoints(LedgerId self, std::uint16_t replicas) : self_(self), replicas_(replicas) {}

  // Both return why this replica must stop, or nothing.
  [[nodiscard]] std::optional<std::string> own(std::uint64_t index, const Hash32& digest);
  // What the log says another replica found (or this one, in an earlier life).
  [[nodiscard]] std::optional<std::string> logged(LedgerId replica, std::uint64_t index,
                                                  const Hash32& digest);

  // The state at this index came from a snapshot, not from replay: it is compared like an own one,
  // but never reported, for it would only repeat what the snapshot's writer said.
  void loaded(std::uint64_t index, const Hash32& digest);
  // What a majority of replicas, this one's earlier lives among them, reported in the log.
  [[nodiscard]] std::optional<Hash32> majority(std::uint64_t index) const;

  struct Report {
    std::uint64_t index = 0;
    Hash32 digest{};
  };
  // The last own digest, unless the log holds this replica's report of it already.
  [[nodiscard]] std::optional<Report> unreported() const;

 private:
  struct At {
    std::optional<Hash32> own;
    std::map<LedgerId, Hash32> logged;  // by everybody, also by this replica
    bool replayed = false;              // `own` is this replica's own finding
  };
  [[nodiscard]] std::optional<std::string> judge(std::uint64_t index) const;
  void forget_old();

  LedgerId self_;
  std::uint16_t replicas_;
  std::map<std::uint64_t, At> at_;
};

}  // namespace roulette::ledger
