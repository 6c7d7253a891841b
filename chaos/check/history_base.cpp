// Replicas that started from a snapshot, completed from the records of those that saw the rest.
//
// Invariant: after this every whole replica's entries begin at 1, so that each checker replays the
// whole log and compares it with every row that the snapshot brought: what a snapshot lost shows. A
// replica whose beginning nobody recorded is not whole: its checks are inconclusive, never passed.
// The digest of its base is compared by replicas.cpp like any other.
#include <algorithm>

#include "chaos/check/history.h"
#include "chaos/check/record_reader.h"

namespace roulette::check::load {
namespace {

bool reaches(const Replica& donor, std::uint64_t index) {
  return !donor.entries.empty() && donor.entries.front().index == 1 &&
         donor.entries.back().index >= index;
}

void borrow(Replica& replica, const Replica& donor) {
  const std::uint64_t index = replica.base->index;
  std::vector<LedgerEntry> entries(donor.entries.begin(),
                                   donor.entries.begin() + static_cast<std::ptrdiff_t>(index));
  std::vector<PostingRow> postings;
  for (const PostingRow& posting : donor.postings) {
    if (posting.index <= index) postings.push_back(posting);
  }
  replica.borrowed = entries.size();
  std::move(replica.entries.begin(), replica.entries.end(), std::back_inserter(entries));
  std::move(replica.postings.begin(), replica.postings.end(), std::back_inserter(postings));
  replica.entries = std::move(entries);
  replica.postings = std::move(postings);
}

}  // namespace

void replicas_from_the_beginning(History& history) {
  std::vector<Replica*> wanting;
  for (Replica& replica : history.replicas) {
    if (replica.base) wanting.push_back(&replica);
  }
  // Who needs less may lend to who needs more.
  std::sort(wanting.begin(), wanting.end(), [](const Replica* a, const Replica* b) {
    return a->base->index < b->base->index;
  });
  for (Replica* replica : wanting) {
    const auto lends = [&](const Replica& donor) {
      return &donor != replica && history.source(donor.source).whole() &&
             reaches(donor, replica->base->index);
    };
    const auto donor = std::find_if(history.replicas.begin(), history.replicas.end(), lends);
    if (donor != history.replicas.end()) {
      borrow(*replica, *donor);
      continue;
    }
    note_defect(history.sources[replica->source], replica->base->at.line,
                "it begins behind the snapshot at index " + std::to_string(replica->base->index) +
                    ", and no record holds what came before");
  }
}

}  // namespace roulette::check::load
