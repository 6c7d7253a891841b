// See trims.h.
//
// Invariant: the count is by replica, so one that reports twice is one voice.
// Deliberately ignorant of when a report was made: who stores a manifest waits for it.
#include "chaos/check/trims.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

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

bool spoken_for(const Voices& voices, std::uint64_t index, std::size_t replicas) {
  const auto at = voices.find(index);
  return at != voices.end() && std::any_of(at->second.begin(), at->second.end(),
                                           [replicas](const auto& digest) {
                                             return 2 * digest.second.size() > replicas;
                                           });
}

// What the store did is a finding, which a death may swallow; that it was asked never is.
void check_ordered(const History& history, Findings& out) {
  std::set<std::tuple<std::string, std::uint64_t, std::string>> snapshots;  // boot, index, digest
  std::set<std::tuple<std::string, std::uint64_t, std::uint64_t>> trims;    // boot, up to, newest
  for (const Trimmed& order : history.events.trim_orders)
    trims.emplace(order.boot, order.up_to, order.newest);
  for (const Trimmed& trim : history.events.trims) {
    if (trims.contains({trim.boot, trim.up_to, trim.newest})) continue;
    out.violation(trim.at, trim.process + " told a trim that it never told to have ordered");
  }
  for (const DigestEvent& e : history.events.digests) {
    if (e.event == "snapshot_ordered") snapshots.emplace(e.boot, e.index, e.digest);
    if (e.event != "snapshot_stored" || snapshots.contains({e.boot, e.index, e.digest})) continue;
    out.violation(e.at, e.process + " told a snapshot that it never told to have ordered");
  }
}

}  // namespace

void check_trims(const History& history, Findings& out) {
  const Voices voices = voices_of(*history.reference());
  const std::size_t replicas = history.experiment.cluster.ledgers;
  check_ordered(history, out);
  for (const DigestEvent& e : history.events.digests) {
    if (e.event != "snapshot_ordered") continue;
    out.checked();
    if (spoken_for(voices, e.index, replicas)) continue;
    out.violation(e.at, e.process + " completed snapshot " + std::to_string(e.index) +
                            ", whose digest no majority of replicas had reported");
  }
  for (const Trimmed& trim : history.events.trim_orders) {
    if (trim.up_to >= trim.newest) {
      out.violation(trim.at, trim.process + " trimmed the log up to its newest snapshot");
    }
    for (const std::uint64_t index : {trim.up_to, trim.newest}) {
      out.checked();
      if (spoken_for(voices, index, replicas)) continue;
      out.violation(trim.at, trim.process + " trimmed the log on the word of snapshot " +
                                 std::to_string(index) +
                                 ", whose digest no majority of replicas had reported");
    }
  }
}

}  // namespace roulette::check
