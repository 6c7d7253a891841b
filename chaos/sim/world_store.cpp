// The log's own store: snapshots and trims, and replicas that start behind its beginning.
//
// Invariant: the store acts on its way, whether or not its asker lives to hear of it; a complete
// snapshot never changes; entries go only while both snapshots that a trim names are complete, as
// the etcd engine's transactions have it; one that a fault damaged never leaves the log without
// another that is whole. The judge keeps the whole log: nobody else does.
#include "chaos/sim/world.h"
#include "common/base/assert.h"

namespace roulette::sim {
namespace {

constexpr ProcessName kLog{Role::Etcd, 0};
constexpr Duration kLogDeadline = milliseconds(400);  // etcd_log.h

}  // namespace

void World::store(LedgerSeat& seat, std::uint64_t order, std::function<bool()> action) {
  const auto tell = [this, s = &seat, life = seat.life, order](Instant when, bool done) {
    agenda.at(when, [this, s, life, order, done] {
      if (s->life != life) return;
      const std::string why = done ? "" : "not stored";
      step(*s, ledger::Event{ledger::SnapshotOrderDone{order, done, why}});
    });
  };
  const Instant now = agenda.now();
  const auto there_blocked = blocked(seat.name, kLog);
  const Window* leaderless = window(FaultKind::NoLeader);
  if (there_blocked || blocked(kLog, seat.name) || leaderless != nullptr) {
    if (!there_blocked && (leaderless == nullptr || dice(leaderless))) {
      const Instant due = leaderless == nullptr ? now : leaderless->over;
      agenda.at(due + draw(options_.engine), [action] { (void)action(); });
    }
    return tell(now + kLogDeadline, false);
  }
  enum class Fate { Told, Lost, DoneUntold };
  Fate fate = Fate::Told;
  const bool unknown = prng_.below(1000) < options_.unknown_per_mille && !healed_;
  if (unknown) fate = static_cast<Fate>(1 + prng_.below(2));
  agenda.after(draw(options_.engine), [this, s = &seat, tell, fate, action = std::move(action)] {
    const bool done = fate != Fate::Lost && action();
    tell(agenda.now() + hop(kLog, s->name), done && fate == Fate::Told);
  });
}

void World::store_chunk(LedgerSeat& seat, const ledger::StoreChunk& order) {
  store(seat, order.order, [this, order] {
    Kept& kept = snapshots_[order.index];
    if (!kept.manifest) kept.chunks[order.number] = order.bytes;
    return true;
  });
}

void World::store_manifest(LedgerSeat& seat, const ledger::StoreManifest& order) {
  const auto manifest = ledger::decode_manifest(order.bytes);
  ROULETTE_ASSERT(manifest.ok());  // the machine made it
  StoreOrder noted;
  noted.replica = LedgerId(seat.name.index);
  noted.newest = order.index;
  noted.spoken_for = spoken_for(order.index, manifest->digest);
  store_orders_.push_back(noted);
  store(seat, order.order, [this, order] {
    Kept& kept = snapshots_[order.index];
    if (kept.manifest) return true;
    kept.manifest = order.bytes;
    ++counts_.snapshots;
    trace.note(agenda.now(), kLog, "snapshot", "complete", order.index);
    return true;
  });
}

void World::read_snapshot(LedgerSeat& seat, const ledger::ReadSnapshot& order) {
  const auto tell = [this, s = &seat, life = seat.life](Instant when,
                                                        ledger::SnapshotRead answer) {
    const std::uint64_t index = answer.snapshot ? answer.snapshot->index : 0;
    const auto kept = snapshots_.find(index);
    const bool damaged = kept != snapshots_.end() && kept->second.damage;
    agenda.at(when, [this, s, life, index, damaged, answer = std::move(answer)] {
      if (s->life != life) return;
      if (damaged) s->read_whole.erase(index);
      else s->read_whole.insert(index);
      s->read_damaged = s->read_damaged || (damaged && s->behind);
      step(*s, ledger::Event{answer});
    });
  };
  const bool silent = window(FaultKind::NoLeader) != nullptr || blocked(seat.name, kLog) ||
                      blocked(kLog, seat.name);
  if (silent) return tell(agenda.now() + kLogDeadline, {order.order, std::nullopt});
  agenda.after(draw(options_.engine), [this, s = &seat, tell, order] {
    ledger::SnapshotRead answer{order.order, ledger::StoredSnapshot{}};
    for (const auto& [index, kept] : snapshots_) {
      if (index > order.at_most || !kept.manifest) continue;
      answer.snapshot = ledger::StoredSnapshot{index, *kept.manifest, kept.chunks};
    }
    if (prng_.below(1000) < options_.unknown_per_mille && !healed_) answer.snapshot.reset();
    tell(agenda.now() + hop(kLog, s->name), std::move(answer));
  });
}

// ---- trims ----

void World::trim_log(LedgerSeat& seat, const ledger::TrimLog& order) {
  StoreOrder noted;
  noted.replica = LedgerId(seat.name.index);
  noted.up_to = order.up_to;
  noted.newest = order.newest;
  noted.spoken_for =
      spoken_for(order.up_to, std::nullopt) && spoken_for(order.newest, std::nullopt);
  noted.read_again =
      seat.read_whole.contains(order.up_to) && seat.read_whole.contains(order.newest);
  store_orders_.push_back(noted);
  store(seat, order.order, [this, order] {
    const auto complete = [this](std::uint64_t index) {
      const auto found = snapshots_.find(index);
      return found != snapshots_.end() && found->second.manifest.has_value();
    };
    if (!complete(order.up_to) || !complete(order.newest)) return false;
    ++counts_.trims;
    trim_to(order.up_to);
    return true;
  });
}

void World::trim_to(std::uint64_t index) {
  trimmed_ = std::max(trimmed_, index);
  for (auto at = snapshots_.begin(); at != snapshots_.lower_bound(index); ++at) {
    if (at->second.manifest && !at->second.damage)
      trimmed_manifest_.emplace(at->first, *at->second.manifest);
  }
  snapshots_.erase(snapshots_.begin(), snapshots_.lower_bound(index));
  trace.note(agenda.now(), kLog, "trimmed", "", trimmed_);
}

// Harder than any replica's trim: nothing but the newest snapshot that opens is left.
bool World::force_trim() {
  for (auto at = snapshots_.rbegin(); at != snapshots_.rend(); ++at) {
    const std::uint64_t index = at->first;
    if (index <= trimmed_ || !whole(index)) continue;
    ++counts_.forced_trims;
    trim_to(index);
    return true;
  }
  return false;
}

// ---- damage ----

// Complete, and what its writer stored.
bool World::whole(std::uint64_t index) const {
  const auto found = snapshots_.find(index);
  if (found == snapshots_.end() || !found->second.manifest || found->second.damage) return false;
  const ledger::StoredSnapshot stored{index, *found->second.manifest, found->second.chunks};
  return ledger::open_snapshot(stored, genesis_, &scheme_).ok();
}

// Whether a majority of replicas reported this digest for it in the log, or one digest.
bool World::spoken_for(std::uint64_t index, const std::optional<Hash32>& digest) const {
  std::map<Hash32, std::set<LedgerId>> voices;
  for (std::uint64_t i = index; i < log_.size(); ++i) {
    for (const wire::Command& command : log_[i]) {
      const auto* report = std::get_if<wire::Checkpoint>(&command.body);
      if (report != nullptr && report->index == index)
        voices[report->digest].insert(report->replica);
    }
  }
  return std::any_of(voices.begin(), voices.end(), [&](const auto& voice) {
    return (!digest || voice.first == *digest) && 2 * voice.second.size() > ledgers_.size();
  });
}

// One at a time, and never the last whole one that a trimmed log reaches back to: what the log lost
// then nobody could know any more.
bool World::damage_snapshot(const Fault& fault) {
  const auto how = static_cast<SnapshotDamage>(fault.amount % kSnapshotDamages);
  if (how == SnapshotDamage::StaleManifest) {
    if (!trimmed_manifest_ || snapshots_.contains(trimmed_manifest_->first)) return false;
    snapshots_[trimmed_manifest_->first] = {{}, trimmed_manifest_->second, how};
    trace.note(agenda.now(), kLog, "damaged", "stale_manifest", trimmed_manifest_->first);
    ++counts_.damaged_snapshots;
    return true;
  }
  std::uint64_t below = fault.place;
  Kept* victim = nullptr;
  std::uint64_t index = 0;
  bool another = trimmed_ == 0;
  for (auto at = snapshots_.rbegin(); at != snapshots_.rend() && at->first >= trimmed_; ++at) {
    if (!at->second.manifest) continue;
    if (at->second.damage) return false;
    if (victim == nullptr && below-- == 0) {
      victim = &at->second;
      index = at->first;
    } else {
      another = another || whole(at->first);
    }
  }
  if (victim == nullptr || !another || victim->chunks.empty()) return false;
  const auto flip = [this](Bytes& bytes) {
    bytes[prng_.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << prng_.below(8));
  };
  const auto chunk = std::next(victim->chunks.begin(), static_cast<std::ptrdiff_t>(
                                                           prng_.below(victim->chunks.size())));
  switch (how) {
    case SnapshotDamage::FlippedChunk: flip(chunk->second); break;
    case SnapshotDamage::MissingChunk: victim->chunks.erase(chunk); break;
    case SnapshotDamage::FlippedManifest: flip(*victim->manifest); break;
    case SnapshotDamage::AnotherState: replace_state(index); break;
    case SnapshotDamage::StaleManifest:
    case SnapshotDamage::Count: ROULETTE_ASSERT(!"handled above");
  }
  victim->damage = how;
  constexpr const char* kHow[] = {"flipped_chunk", "missing_chunk", "flipped_manifest",
                                  "another_state"};
  trace.note(agenda.now(), kLog, "damaged", kHow[static_cast<std::size_t>(how)], index);
  ++counts_.damaged_snapshots;
  return true;
}

// Of the last index before it where the books were others.
void World::replace_state(std::uint64_t index) {
  ledger::State right(&scheme_);
  std::vector<Hash32> digests;
  const auto replay = [this](ledger::State& state, std::uint64_t to, auto&& after) {
    for (std::uint64_t i = 0; i < to; ++i) {
      for (const wire::Command& command : log_[i]) (void)state.apply(command);
      after();
    }
  };
  replay(right, index, [&] { digests.push_back(right.digest()); });
  std::uint64_t earlier = index - 1;
  while (earlier > 1 && digests[earlier - 1] == digests[index - 1]) --earlier;
  ledger::State wrong(&scheme_);
  replay(wrong, earlier, [] {});
  const auto chunks = ledger::cut_into_chunks(wrong.encode(), options_.snapshot_chunk_bytes);
  Kept& kept = snapshots_.at(index);
  kept.chunks.clear();
  for (std::uint32_t i = 0; i < chunks.size(); ++i) kept.chunks[i] = chunks[i];
  kept.manifest = ledger::encode_manifest(
      ledger::make_manifest(genesis_.cluster_id, index, wrong.digest(), chunks));
}

// ---- what the end expects ----

// Behind the last fault, while all replicas serve, an interval's end is a snapshot.
void World::note_due_snapshot() {
  if (!healed_ || options_.snapshot_interval == 0 || !windows_.empty()) return;
  if (log_.size() % options_.snapshot_interval != 0) return;
  const bool calm = std::all_of(ledgers_.begin(), ledgers_.end(), [](const LedgerSeat& seat) {
    return seat.retired || (seat.up && !seat.paused && !seat.stopping && seat.ready &&
                            seat.watching && seat.weak == 0);
  });
  if (calm) snapshots_due_.push_back(log_.size());
}

void World::disturb_replicas() { snapshots_due_.clear(); }

bool World::snapshots_follow() const {
  if (snapshots_due_.empty()) return true;
  const auto last = snapshots_.find(snapshots_due_.back());
  if (last == snapshots_.end() || !last->second.manifest) return false;
  return std::all_of(snapshots_due_.begin(), snapshots_due_.end() - 1, [this](std::uint64_t due) {
    const auto kept = snapshots_.find(due);
    return kept == snapshots_.end() || !kept->second.manifest || kept->second.damage ||
           trimmed_ >= due;
  });
}

// ---- starting behind the log's beginning ----

void World::follow_log(LedgerSeat& seat, std::uint64_t after) {
  seat.delivered = after;
  seat.behind = false;
  seat.fetching = false;
  seat.watching = false;
  ++seat.subscription;
  agenda.after(draw(options_.hop), [this, s = &seat, life = seat.life, mine = seat.subscription] {
    if (s->life != life || s->subscription != mine) return;
    when_running(*s, [this, s] { restore_log(*s); });
  });
}

void World::restore_tables(LedgerSeat& seat, const ledger::RestoreTables& order) {
  ++counts_.snapshots_loaded;
  probes.hit(Probe::LoadedBehindTrim);
  const auto kept = snapshots_.find(order.index);
  auto damage = kept == snapshots_.end() ? std::nullopt : kept->second.damage;
  if (seat.read_whole.contains(order.index)) damage.reset();  // it came later (seed 9346)
  if (damage && damage != SnapshotDamage::AnotherState) {
    incidents_.push_back(seat.name.text() + " loaded a damaged snapshot");
  } else if (damage) {
    seat.read_damaged = true;  // it finds out when it comes to what the log says of it
  } else if (std::exchange(seat.read_damaged, false)) {
    probes.hit(Probe::DamagedSnapshotRefused);
  }
  if (wiped_together_.erase(seat.name.index) > 0 && wiped_together_.empty()) {
    probes.hit(Probe::AllWipedFromSnapshot);
  }
  trace.note(agenda.now(), seat.name, "loaded", "snapshot", order.index);
  const auto same = [&order](const LedgerSeat::Row& row) {
    return row.index == order.index && row.digest == order.digest;
  };
  if (!order.over && std::any_of(seat.tables.begin(), seat.tables.end(), same)) {
    return forget_altered(seat);  // its memory is the snapshot's; its tables are as they were
  }
  seat.tables = {{order.index, order.digest}};
  if (seat.clean_tables) seat.clean_tables = seat.tables.size();  // nothing altered is left
  forget_altered(seat);
}

// All three folders at once: what the log's store holds has to do (DESIGN 8).
bool World::wipe_replicas(Duration down) {
  if (!options_.over_budget) return false;
  for (LedgerSeat& seat : ledgers_) {
    if (seat.up) die(seat, down + microseconds(prng_.between(0, 20'000)));
    seat.tables.clear();
    forget_altered(seat);  // what was wrong was on its disk
    if (!seat.retired) wiped_together_.insert(seat.name.index);
  }
  ++counts_.disk_faults;
  return true;
}

}  // namespace roulette::sim
