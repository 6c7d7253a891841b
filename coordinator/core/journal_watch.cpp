// When the kept heads are read, and who is asked about them: see journal_watch.h.
#include "coordinator/core/journal_watch.h"

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::coordinator {

void JournalWatch::joined(SignerId id) {
  joined_.emplace(id, reads_ + 1);
}

// At once for a signer that waits, and every kJournalRecheck for those that are here.
void JournalWatch::tick(Step& s) {
  if (reading_ || joined_.empty()) return;
  const bool waiting = std::any_of(joined_.begin(), joined_.end(),
                                   [this](const auto& entry) { return entry.second > reads_; });
  if (!waiting && s.now < last_read_ + limits::kJournalRecheck) return;
  reading_ = true;
  last_read_ = s.now;
  ++reads_;
  ledger_.query(s, wire::QueryJournals{}, ForJournals{});
}

void JournalWatch::answered(Step& s, const std::vector<wire::JournalHead>& kept) {
  reading_ = false;
  for (const auto& [id, first_read] : joined_) {
    if (first_read > reads_) continue;
    wire::JournalCheck check;
    for (const wire::JournalHead& head : kept) {
      if (head.signer == id) check = {head.share_epoch, head.length, head.head};
    }
    signers_.check_journal(s, id, check);
  }
}

std::optional<Instant> JournalWatch::next_deadline() const {
  if (reading_ || joined_.empty()) return std::nullopt;
  return last_read_ + limits::kJournalRecheck;
}

}  // namespace roulette::coordinator
