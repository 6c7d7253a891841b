// What is asked of the world when a story ends: is it over, and what do all records say?
//
// Invariant: reads only; a process that was taken for good is marked as gone, not left out.
#include "chaos/sim/world.h"

#include "common/base/limits.h"
#include "signer/core/founding.h"

namespace roulette::sim {

std::uint64_t World::unseed() {
  std::uint64_t sum = prng_.next();
  const auto fold = [&sum](auto& seats) {
    for (auto& seat : seats) {
      ByteArray<8> drawn{};
      seat.entropy->fill(drawn);
      for (const std::uint8_t byte : drawn) sum = (sum ^ byte) * 0x100000001b3;  // FNV-1a
    }
  };
  fold(signers_);
  fold(coordinators_);
  fold(ledgers_);
  return sum;
}

std::map<ProcessName, std::vector<Place>> World::take_places() {
  std::map<ProcessName, std::vector<Place>> places;
  const auto take = [&places](auto& seats) {
    for (auto& seat : seats) places[seat.name] = std::exchange(seat.places, {});
  };
  take(signers_);
  take(coordinators_);
  take(ledgers_);
  return places;
}

Duration World::slowest_signing() const {
  Duration slowest{};
  for (const auto& [id, progress] : progress_) {
    if (!progress.planned) continue;
    slowest = std::max(slowest, progress.signed_at.value_or(agenda.now()) - *progress.planned);
  }
  return slowest;
}

bool World::finished() const {
  const auto up = [](const Seat& seat) {
    return seat.retired || (seat.up && !seat.paused && !seat.stopping);
  };
  const auto lags = [this](const Seat& seat) {
    return !seat.retired && seat.share_epoch != share_epoch_;
  };
  if (moving_ || std::any_of(signers_.begin(), signers_.end(), lags) ||
      std::any_of(coordinators_.begin(), coordinators_.end(), lags)) {
    return false;
  }
  if (!node_up_ || !std::all_of(signers_.begin(), signers_.end(), up) ||
      !std::all_of(coordinators_.begin(), coordinators_.end(), up)) {
    return false;
  }
  return std::all_of(ledgers_.begin(), ledgers_.end(), [this](const LedgerSeat& seat) {
    return seat.retired || (seat.up && !seat.paused && seat.ready &&
                            seat.altered != LedgerSeat::Altered::Memory &&
                            seat.delivered == log_.size() &&
                            seat.machine->state().unfinished().empty());
  });
}

bool World::at_rest() const {
  const Hash32 tip = chain_->tip().hash;
  // A signer that has just started has not heard yet what the ledger keeps of its journal.
  return finished() &&
         std::all_of(signers_.begin(), signers_.end(),
                     [](const SignerSeat& seat) { return seat.retired || seat.checked; }) &&
         std::all_of(ledgers_.begin(), ledgers_.end(), [&](const LedgerSeat& seat) {
           return seat.retired || seat.machine->state().tip().hash == tip;
         }) &&
         stand_as_kept() && snapshots_follow();
}

// A head that became known after a signer was told is compared again within a second
// (limits::kJournalRecheck): seed 521130 ended in between.
bool World::stand_as_kept() const {
  const auto books = std::find_if(ledgers_.begin(), ledgers_.end(),
                                  [](const LedgerSeat& seat) { return seat.machine.has_value(); });
  if (books == ledgers_.end()) return false;
  const auto kept = books->machine->state().journal_heads();
  return std::all_of(kept.begin(), kept.end(), [this](const wire::JournalHead& head) {
    const SignerSeat& seat = signers_.at(head.signer.value());
    const auto* founded = signer::founding_of(seat.durable);
    if (founded != nullptr && head.share_epoch <= founded->previous_epoch)
      return seat.retired || !seat.quarantined;
    return seat.retired || seat.quarantined ||
           (head.length <= seat.durable.size() &&
            seat.durable[head.length - 1].head == head.head);
  });
}

// Per bounded thing the first excess, or else the largest value.
void World::watch_limit(const char* name, std::size_t value, std::size_t bound) {
  for (Limit& limit : limits_) {
    if (limit.name != name) continue;
    if (limit.value > limit.bound || (value <= bound && value <= limit.value)) return;
    limit.value = value;
    limit.bound = bound;
    return;
  }
  limits_.push_back({name, value, bound});
}

void World::watch_limits() {
  const std::size_t jobs = withdraws_.size();  // in the log: its replica may die before it writes
  const std::size_t roast = signers_.size() - options_.shape.threshold + 1;  // PROTOCOL 4
  for (const SignerSeat& seat : signers_) {
    if (!seat.machine) continue;
    const signer::Gauges gauges = seat.machine->gauges();
    watch_limit("signer pool", gauges.largest_pool, limits::kNoncePoolPerConnection);
    watch_limit("pending shares", gauges.largest_pending, limits::kPendingSharesPerConnection);
    watch_limit("waiting sends", gauges.waiting_sends,
                limits::kWaitingSendsPerConnection * std::max<std::size_t>(1, gauges.connections));
    watch_limit("kept responses", gauges.kept_responses, limits::kRetryResponses);
    watch_limit("signer connections", gauges.connections, limits::kSignerConnections);
  }
  for (const CoordinatorSeat& seat : coordinators_) {
    if (!seat.machine) continue;
    const coordinator::Gauges gauges = seat.machine->gauges();
    watch_limit("open requests", gauges.open_requests, limits::kMaxOpenRequests);
    watch_limit("signing", gauges.signing, limits::kMaxSigningWithdrawals);
    watch_limit("sends in flight", gauges.sends_in_flight, limits::kMaxSendsInFlight);
    watch_limit("outstanding per signer", gauges.most_outstanding,
                limits::kMaxOutstandingPerSigner);
    watch_limit("open sessions", gauges.open_sessions, jobs * roast);
  }
  for (const LedgerSeat& seat : ledgers_) {
    if (!seat.machine) continue;
    const ledger::Gauges gauges = seat.machine->gauges();
    watch_limit("queued commands", gauges.queued_commands, limits::kMaxQueuedCommands);
    watch_limit("waiting reads", gauges.waiting_reads, limits::kMaxQueuedReads);
  }
  watch_limit("sessions of one withdrawal", most_sessions_, kMaxSessions);
}

// A share whose record was durable and that nobody got: the session is dead, its nonce spent.
void World::note_unsent_share(const SignerSeat& seat) {
  if (seat.durable.empty()) return;
  const auto* last = std::get_if<signer::SigningRecord>(&seat.durable.back().body);
  if (last == nullptr || seat.released.contains(last->session_digest)) return;
  probes.hit(Probe::ShareDurableNotSentKilled);
}

// Complete ones only.
std::vector<SnapshotRecord> World::stored_snapshots() const {
  std::vector<SnapshotRecord> found;
  for (const auto& [index, kept] : snapshots_) {
    if (!kept.manifest) continue;
    SnapshotRecord record;
    record.index = index;
    record.damaged = kept.damage.has_value();
    const ledger::StoredSnapshot stored{index, *kept.manifest, kept.chunks};
    const auto opened = ledger::open_snapshot(stored, genesis_, &scheme_);
    if (opened) record.digest = opened->manifest.digest;
    else record.fault = opened.error().message;
    found.push_back(std::move(record));
  }
  return found;
}

// One pass over the whole log, from its first entry, that was trimmed or not.
void World::replay_log(std::map<std::uint64_t, Hash32>& digests) const {
  ledger::State fresh(&scheme_);
  std::uint64_t index = 0;
  for (auto& [wanted, digest] : digests) {
    for (; index < wanted; ++index) {
      for (const wire::Command& command : log_[index]) (void)fresh.apply(command);
    }
    digest = fresh.digest();
  }
}

Records World::records() const {
  Records records;
  records.scheme = scheme_.facts();
  records.wallet_script = genesis_.wallet_script;
  records.settle_depth = genesis_.settle_depth;
  records.shares = shares_seen_;
  records.templates = templates_;
  records.notes = notes_;
  records.unfinished_stops = unfinished_stops_;
  records.broadcasts = broadcasts_;
  records.log_length = log_.size();
  records.chain = chain_->blocks();
  records.node_wallet_sat = chain_->unspent_sat(genesis_.wallet_script);
  records.incidents = incidents_;
  records.limits = limits_;
  records.forbidden_sessions = forbidden_;
  // A liar's mixture may be a session that a machine opened under the right group, which no digest
  // holds (seed 400690). That one may be signed, by signers of that group (share-epochs-apart).
  for (const CoordinatorNote& note : notes_) {
    const auto* fact = std::get_if<coordinator::Fact>(&note.what);
    const auto* opened = fact == nullptr ? nullptr : std::get_if<coordinator::SessionOpened>(fact);
    if (opened == nullptr) continue;
    std::erase_if(records.forbidden_sessions,
                  [&](const auto& asked) { return asked.first == opened->session_digest; });
  }
  records.threshold = options_.shape.threshold;
  records.bad_shares = bad_shares_;
  records.sessions_signed = signed_;
  for (const SignerSeat& seat : signers_) {
    JournalRecord journal;
    journal.gone = seat.retired;
    journal.records = seat.durable;
    journal.taken = seat.taken;
    journal.superseded = seat.superseded;
    journal.quarantined = seat.quarantined;
    std::vector<signer::Record> all = seat.durable;
    all.insert(all.end(), seat.waiting.begin(), seat.waiting.end());
    if (seat.machine) journal.live_digest = seat.machine->durable_state_digest();
    journal.replayed_digest = replayed_digest(seat.name.index, seat.boot, all);
    records.journals.push_back(std::move(journal));
  }
  records.trimmed = trimmed_;
  records.snapshots = stored_snapshots();
  records.snapshots_due = snapshots_due_;
  records.store_orders = store_orders_;
  std::map<std::uint64_t, Hash32> replayed;
  for (const LedgerSeat& seat : ledgers_) replayed[seat.delivered] = {};
  for (const SnapshotRecord& snapshot : records.snapshots) replayed[snapshot.index] = {};
  replay_log(replayed);
  for (SnapshotRecord& snapshot : records.snapshots) {
    snapshot.replayed_digest = replayed.at(snapshot.index);
  }
  for (const LedgerSeat& seat : ledgers_) {
    LedgerRecord record;
    record.gone = seat.retired;
    if (!seat.machine) {
      records.ledgers.push_back(record);
      continue;
    }
    const ledger::State& state = seat.machine->state();
    record.ready = seat.ready;
    record.index = seat.delivered;
    record.digest = state.digest();
    record.replayed_digest = replayed.at(seat.delivered);
    record.balances = state.balances();
    record.withdrawals = state.all();
    record.reservations = state.reservations();
    record.journal_heads = state.journal_heads();
    record.tip = state.tip();
    records.ledgers.push_back(std::move(record));
  }
  return records;
}

}  // namespace roulette::sim
