// The log's own store: snapshots and trims, and replicas that start behind its beginning.
//
// Invariant: the store acts on its way, whether or not its asker lives to hear of it; a complete
// snapshot never changes; entries go only while both snapshots that a trim names are complete, as
// the etcd engine's transactions have it. The judge keeps the whole log: nobody else does.
// Not modelled: snapshots damaged in the store (ledger_snapshot_test.cpp has them).
#include "chaos/sim/world.h"

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
  if (prng_.below(1000) < options_.unknown_per_mille) fate = static_cast<Fate>(1 + prng_.below(2));
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
    agenda.at(when, [this, s, life, answer = std::move(answer)] {
      if (s->life == life) step(*s, ledger::Event{answer});
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
    if (prng_.below(1000) < options_.unknown_per_mille) answer.snapshot.reset();
    tell(agenda.now() + hop(kLog, s->name), std::move(answer));
  });
}

// ---- trims ----

void World::trim_log(LedgerSeat& seat, const ledger::TrimLog& order) {
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
  snapshots_.erase(snapshots_.begin(), snapshots_.lower_bound(index));
  trace.note(agenda.now(), kLog, "trimmed", "", trimmed_);
}

// Harder than any replica's trim: nothing but the newest snapshot that opens is left.
bool World::force_trim() {
  for (auto at = snapshots_.rbegin(); at != snapshots_.rend(); ++at) {
    const auto& [index, kept] = *at;
    if (!kept.manifest || index <= trimmed_) continue;
    const ledger::StoredSnapshot stored{index, *kept.manifest, kept.chunks};
    if (!ledger::open_snapshot(stored, genesis_, &scheme_)) continue;
    ++counts_.forced_trims;
    trim_to(index);
    return true;
  }
  return false;
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
