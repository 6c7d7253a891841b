// Replicas' effects, and the ordered log behind them.
//
// Invariant: nothing answers inside the step that asked, and every order is answered once. The log
// compares heads as the etcd engine does: a proposal is taken only from a replica that has seen the
// whole log; what was trimmed (world_store.cpp) reaches nobody. Not modelled: members of etcd one
// by one; a leader that is lost or cut off is a log that answers nobody for a while.
#include "chaos/sim/world.h"
#include "common/base/assert.h"
#include "common/base/mutants.h"

namespace roulette::sim {
namespace {

constexpr ProcessName kLog{Role::Etcd, 0};
constexpr Duration kLogDeadline = milliseconds(400);  // etcd_log.h
constexpr Duration kEntryGap = microseconds(10);
constexpr std::string_view kNoSnapshot = "no usable snapshot";
constexpr Duration kLogPatience = milliseconds(250);  // etcd_log.cpp: then following is lost

}  // namespace

void World::execute(LedgerSeat& seat, ledger::Effect& effect) {
  struct Visit {
    World& world;
    LedgerSeat& seat;
    void operator()(const ledger::Propose& order) const {
      world.at_place(seat, "append", "command_batch",
                     [this, &order] { world.propose(seat, order); });
    }
    void operator()(const ledger::ReadBarrier& order) const {
      world.at_place(seat, "read", "barrier", [this, &order] { world.read_barrier(seat, order); });
    }
    void operator()(ledger::Send& order) const {
      world.at_place(seat, "send", wire::message_name(order.message),
                     [this, &order] {
                       world.send(seat, order.connection, std::move(order.message));
                     });
    }
    void operator()(const ledger::WriteTables& order) const {
      world.at_place(seat, "write", "tables", [this, &order] { world.write_tables(seat, order); });
    }
    void operator()(const ledger::StoreChunk& order) const {
      world.at_place(seat, "append", "snapshot_chunk",
                     [this, &order] { world.store_chunk(seat, order); });
    }
    void operator()(const ledger::StoreManifest& order) const {
      world.at_place(seat, "append", "snapshot_manifest",
                     [this, &order] { world.store_manifest(seat, order); });
    }
    void operator()(const ledger::ReadSnapshot& order) const {
      world.at_place(seat, "read", "snapshot",
                     [this, &order] { world.read_snapshot(seat, order); });
    }
    void operator()(const ledger::TrimLog& order) const {
      world.at_place(seat, "append", "trim", [this, &order] { world.trim_log(seat, order); });
    }
    void operator()(const ledger::FollowLog& order) const { world.follow_log(seat, order.after); }
    void operator()(const ledger::RestoreTables& order) const {
      world.at_place(seat, "restore", "snapshot_loaded",
                     [this, &order] { world.restore_tables(seat, order); });
    }
    void operator()(const ledger::ReadinessChanged& order) const {
      seat.ready = order.ready;
      if (!order.ready) world.disturb_replicas();
      if (seat.altered != LedgerSeat::Altered::No && order.reason.starts_with(kNoSnapshot)) {
        world.diverged(seat, order.reason);  // its tables contradict every snapshot
      }
    }
    void operator()(const ledger::Stop& order) const { world.diverged(seat, order.reason); }
    void operator()(const ledger::Drained&) const { world.drained(seat); }
  };
  std::visit(Visit{*this, seat}, effect);
}

void World::write_tables(LedgerSeat& seat, const ledger::WriteTables& order) {
  if (window(FaultKind::FullDisk, seat.name) != nullptr) {
    ++counts_.failed_commits;
    return die(seat, milliseconds(50));
  }
  for (const wire::WithdrawalView& view : order.changed) {
    Progress& progress = progress_[view.id];
    if (view.planned && !progress.planned) progress.planned = agenda.now();
    if (view.planned) templates_[view.id].insert(view.planned->txid);
    if (!view.signed_tx.empty() && !progress.signed_at) progress.signed_at = agenda.now();
  }
  if (order.digest == Hash32{}) return;
  if (!seat.tables.empty() && seat.tables.back().index >= order.index) return;  // replayed
  if (seat.altered == LedgerSeat::Altered::Memory && !seat.clean_tables)
    seat.clean_tables = seat.tables.size();
  seat.tables.push_back({order.index, order.digest});
}

// A proposal under way outlives its replica: it may stand in the log without anybody knowing.
void World::propose(LedgerSeat& seat, const ledger::Propose& order) {
  const auto commands = std::make_shared<const std::vector<wire::Command>>(order.commands);
  const auto answer = [this, s = &seat, life = seat.life, batch = order.batch, commands](
                          Instant when, ledger::ProposeOutcome outcome) {
    if (outcome == ledger::ProposeOutcome::Unknown) note_unknown(*commands);
    agenda.at(when, [this, s, life, batch, outcome] {
      if (s->life == life) step(*s, ledger::Event{ledger::ProposeDone{batch, outcome}});
    });
  };
  const auto commit = [this, head = seat.delivered, commands] {
    if (head == log_.size()) {
      append(*commands);
      return true;
    }
    if (ROULETTE_MUTANT("head-not-compared")) {
      log_[head] = *commands;  // a put without a compare
      return true;
    }
    probes.hit(Probe::StaleProposerRefused);
    if (head < trimmed_) {
      // Its entry's key is unused again: only the head tells this proposer from the next one.
      ++counts_.stale_behind_trim;
      probes.hit(Probe::StaleAfterTrimRefused);
    }
    return false;
  };
  const Instant now = agenda.now();
  const auto there_blocked = blocked(seat.name, kLog);
  if (there_blocked || blocked(kLog, seat.name)) {  // sent into silence, or answered into it
    if (!there_blocked) agenda.after(draw(options_.engine), [commit] { (void)commit(); });
    return answer(now + kLogDeadline, ledger::ProposeOutcome::Unknown);
  }
  if (const Window* leaderless = window(FaultKind::NoLeader)) {
    if (dice(leaderless)) {
      agenda.at(leaderless->over + draw(options_.engine), [commit] { (void)commit(); });
    }
    return answer(now + kLogDeadline, ledger::ProposeOutcome::Unknown);
  }
  const bool unknown = prng_.below(1000) < options_.unknown_per_mille ||
                       dice(window(FaultKind::BlurLog));
  enum class Fate { Told, Lost, CommittedUntold, CommittedLate };
  const Fate fate = unknown ? static_cast<Fate>(1 + prng_.below(3)) : Fate::Told;
  const Duration there = draw(options_.engine);
  const Duration back = hop(kLog, seat.name);
  if (fate == Fate::CommittedLate || fate == Fate::Lost) {
    answer(now + there, ledger::ProposeOutcome::Unknown);
    if (fate == Fate::CommittedLate) agenda.after(there + there, [commit] { (void)commit(); });
    return;
  }
  agenda.after(there, [this, commit, answer, back, fate] {
    const bool taken = commit();
    const Instant told = agenda.now() + back;
    if (fate == Fate::CommittedUntold) return answer(told, ledger::ProposeOutcome::Unknown);
    answer(told, taken ? ledger::ProposeOutcome::Accepted : ledger::ProposeOutcome::NotLeader);
  });
}

void World::note_unknown(const std::vector<wire::Command>& commands) {
  ++counts_.unknown_proposals;
  for (const wire::Command& command : commands) {
    const auto* withdraw = std::get_if<wire::Withdraw>(&command.body);
    if (withdraw != nullptr) unknown_withdraws_.insert(withdraw->id);
  }
}

void World::read_barrier(LedgerSeat& seat, const ledger::ReadBarrier& order) {
  const auto answer = [this, s = &seat, life = seat.life, number = order.barrier](
                          Duration delay, std::optional<std::uint64_t> index) {
    agenda.after(delay, [this, s, life, number, index] {
      if (s->life == life) step(*s, ledger::Event{ledger::BarrierDone{number, index}});
    });
  };
  if (window(FaultKind::NoLeader) != nullptr || blocked(seat.name, kLog) ||
      blocked(kLog, seat.name)) {
    return answer(kLogDeadline, std::nullopt);
  }
  agenda.after(hop(seat.name, kLog), [this, answer, s = &seat] {
    const auto head = static_cast<std::uint64_t>(log_.size());
    answer(hop(kLog, s->name), s->watching ? std::optional(head) : std::nullopt);
  });
}

void World::append(const std::vector<wire::Command>& commands) {
  if (++appended_ % kCodecEvery == 1) {
    const auto decoded = wire::decode_batch(wire::encode_batch(commands));
    if (!decoded || *decoded != commands) incidents_.push_back("the log changed a batch");
  }
  for (const wire::Command& command : commands) {
    const auto* withdraw = std::get_if<wire::Withdraw>(&command.body);
    if (withdraw == nullptr) continue;
    const bool again = !withdraws_.insert(withdraw->id).second;
    if (again && unknown_withdraws_.contains(withdraw->id)) {
      probes.hit(Probe::UnknownThenDuplicate);
    }
  }
  log_.push_back(commands);
  appended_at_.push_back(agenda.now());
  trace.note(agenda.now(), kLog, "appended", wire::command_name(commands[0].body), log_.size());
  note_due_snapshot();
  for (LedgerSeat& seat : ledgers_) fetch(seat);
}

// In order, each after a delay of its own since it was appended; what waited comes at once.
void World::fetch(LedgerSeat& seat) {
  if (!seat.up || seat.paused || !seat.watching || seat.fetching || seat.behind) return;
  if (seat.delivered >= log_.size() || blocked(kLog, seat.name)) return;
  seat.fetching = true;
  Instant due = appended_at_[seat.delivered] + hop(kLog, seat.name);
  if (const Window* lag = window(FaultKind::LagLog, seat.name)) {
    due = due + milliseconds(lag->fault.amount);
  }
  due = std::max({due, seat.follows_from, agenda.now() + kEntryGap});
  agenda.at(due, [this, s = &seat, life = seat.life, mine = seat.subscription] {
    if (s->life != life || !s->up || s->subscription != mine) return;
    s->fetching = false;
    if (!s->watching || s->paused || blocked(kLog, s->name)) return;
    if (s->delivered < trimmed_) {
      s->behind = true;
      trace.note(agenda.now(), s->name, "behind", "the trim", trimmed_);
      return step(*s, ledger::Event{ledger::LogTrimmed{trimmed_ + 1}});
    }
    const std::uint64_t index = ++s->delivered;
    if (s->altered == LedgerSeat::Altered::Next) {
      step(*s, ledger::Event{ledger::EntryDelivered{index, altered(*s, log_[index - 1])}});
    } else {
      step(*s, ledger::Event{ledger::EntryDelivered{index, log_[index - 1]}});
    }
    fetch(*s);
  });
}

// A watch that no member carries on is reported lost after a while.
void World::miss_log(LedgerSeat& seat) {
  agenda.after(kLogDeadline + kLogPatience, [this, s = &seat, life = seat.life] {
    if (s->life != life || !s->up || !s->watching || !blocked(kLog, s->name)) return;
    when_running(*s, [this, s] {
      if (!s->watching) return;
      s->watching = false;
      step(*s, ledger::Event{ledger::LogLost{"no member answers"}});
    });
  });
}

// The partition is over: the watch goes on, or is opened again.
void World::recover_log(LedgerSeat& seat) {
  if (!seat.up || seat.log_lost || blocked(kLog, seat.name)) return;
  agenda.after(hop(kLog, seat.name), [this, s = &seat, life = seat.life] {
    if (s->life != life) return;
    when_running(*s, [this, s] { restore_log(*s); });
  });
}

void World::restore_log(LedgerSeat& seat) {
  if (!seat.watching && !seat.log_lost && !blocked(kLog, seat.name)) {
    seat.watching = true;
    seat.follows_from = agenda.now() + hop(seat.name, kLog) + hop(kLog, seat.name);
    step(seat, ledger::Event{ledger::LogRestored{}});
  }
  fetch(seat);
}

bool World::lose_log(std::uint16_t replica, Duration down) {
  if (replica >= ledgers_.size()) return false;
  LedgerSeat& seat = ledgers_[replica];
  if (!seat.up || seat.paused || !seat.watching || !may_strike(seat)) return false;
  trace.note(agenda.now(), seat.name, "log lost", "", seat.delivered);
  ++counts_.lost_logs;
  seat.watching = false;
  seat.log_lost = true;
  step(seat, ledger::Event{ledger::LogLost{"cancelled watch"}});
  agenda.after(down, [this, s = &seat, life = seat.life] {
    if (s->life != life) return;
    s->log_lost = false;
    when_running(*s, [this, s] { restore_log(*s); });
  });
  return true;
}

}  // namespace roulette::sim
