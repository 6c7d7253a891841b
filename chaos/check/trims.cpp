// See trims.h.
//
// Invariant: the count is by replica, so one that reports twice is one voice.
// Deliberately ignorant of when a report was made: who stores a manifest waits for it.
#include "chaos/check/trims.h"

#include <algorithm>
#include <map>
#include <set>

namespace roulette::check {
namespace {

// index -> digest -> replicas
using Voices = std::map<std::uint64_t, std::map<std::string, std::set<std::string>>>;

Voices voices_of(const Replica& replica) {
  Voices voices;
  for (const LedgerEntry& entry : replica.entries) {
    for (const LedgerCommand& c : entry.commands) {
      if (c.command == "checkpoint") voices[c.index][c.digest].insert(c.replica);
    }
  }
  return voices;
}

}  // namespace

void check_trims(const History& history, Findings& out) {
  const Voices voices = voices_of(*history.reference());
  const std::size_t replicas = history.experiment.cluster.ledgers;
  for (const Trimmed& trim : history.events.trims) {
    if (trim.up_to >= trim.newest) {
      out.violation(trim.at, trim.process + " trimmed the log up to its newest snapshot");
    }
    for (const std::uint64_t index : {trim.up_to, trim.newest}) {
      out.checked();
      const auto at = voices.find(index);
      const bool spoken_for =
          at != voices.end() && std::any_of(at->second.begin(), at->second.end(),
                                            [replicas](const auto& digest) {
                                              return 2 * digest.second.size() > replicas;
                                            });
      if (spoken_for) continue;
      out.violation(trim.at, trim.process + " trimmed the log on the word of snapshot " +
                                 std::to_string(index) +
                                 ", whose digest no majority of replicas had reported");
    }
  }
}

}  // namespace roulette::check
