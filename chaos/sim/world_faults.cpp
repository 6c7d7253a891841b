// Every kind of fault, from the schedule's element to what happens in the world.
//
// Invariant: a fault that the budget forbids does not happen and is counted as skipped; what lasts
// is one window that ends by itself. A process that a window weakens counts as down for the budget.
#include "chaos/sim/world.h"
#include "common/base/assert.h"
#include "common/base/mutants.h"
#include "signer/core/founding.h"

namespace roulette::sim {

// ---- the budget: how many of a role may be down, weak or away at once ----

bool World::within_budget(Role role) const {
  const auto down = [](const auto& seats) {
    return static_cast<std::size_t>(
        std::count_if(seats.begin(), seats.end(), [](const auto& seat) {
          bool out = !seat.up || seat.paused || seat.stopping || seat.weak > 0;
          if constexpr (requires { seat.quarantined; }) out = out || seat.quarantined;
          return seat.life > 0 && out;
        }));
  };
  if (options_.over_budget) return true;
  switch (role) {
    case Role::Signer: return down(signers_) + options_.shape.threshold < signers_.size();
    case Role::Coordinator: return down(coordinators_) + 1 < coordinators_.size();
    case Role::Ledger: return down(ledgers_) < (ledgers_.size() - 1) / 2;
    case Role::Etcd:
    case Role::Bitcoind:
    case Role::Tool: break;
  }
  return false;
}

bool World::may_strike(const Seat& seat) {
  const bool down = !seat.up || seat.paused || seat.stopping || seat.weak > 0;
  if (down || within_budget(seat.name.role)) return true;
  ++counts_.skipped_strikes;
  return false;
}

// ---- windows ----

const World::Window* World::window(FaultKind kind) const {
  for (const Window& window : windows_) {
    if (window.fault.kind == kind) return &window;
  }
  return nullptr;
}

const World::Window* World::window(FaultKind kind, ProcessName of) const {
  for (const Window& window : windows_) {
    if (window.fault.kind == kind && window.fault.a == of) return &window;
  }
  return nullptr;
}

bool World::dice(const Window* window) {
  return window != nullptr && prng_.below(1000) < window->fault.amount;
}

void World::open_window(const Fault& fault) {
  trace.note(agenda.now(), fault.a, "begins", fault_kind_name(fault.kind), fault.amount);
  windows_.push_back({fault, agenda.now() + fault.down, ++window_numbers_});
  ++counts_.windows;
  agenda.after(fault.down, [this, number = window_numbers_] { close_window(number); });
}

void World::close_window(std::uint64_t number) {
  const auto at = std::find_if(windows_.begin(), windows_.end(),
                               [&](const Window& window) { return window.number == number; });
  const Fault fault = at->fault;
  windows_.erase(at);
  trace.note(agenda.now(), fault.a, "ends", fault_kind_name(fault.kind), 0);
  if (Seat* seat = find_seat(fault.a); seat != nullptr && weakens(fault.kind)) --seat->weak;
  if (fault.kind == FaultKind::Partition) {
    const auto weak = [&](auto& seats) {
      for (auto& seat : seats) {
        if (fault.group.contains(seat.name)) --seat.weak;
      }
    };
    weak(signers_);
    weak(coordinators_);
    weak(ledgers_);
    const auto call = [&](auto& seats) {
      for (auto& seat : seats) call_peers(seat, {});
    };
    call(coordinators_);
    for (LedgerSeat& seat : ledgers_) {
      call_peers(seat, {});
      recover_log(seat);
    }
  }
  if (fault.kind == FaultKind::BadSigner) {  // mended, and known by its new epoch
    if (Seat* seat = find_seat(fault.a); seat->up) die(*seat, milliseconds(10));
  }
  if (fault.kind == FaultKind::SplitNode) join_node(fault.a.index);
  if (fault.kind == FaultKind::TokenAway && window(FaultKind::TokenAway, fault.a) == nullptr)
    return_token(signers_[fault.a.index]);
}

bool World::weakens(FaultKind kind) {
  return kind == FaultKind::BadSigner || kind == FaultKind::FullDisk ||
         kind == FaultKind::SlowLink || kind == FaultKind::LagLog ||
         kind == FaultKind::TokenAway;
}

// Everybody on one side is away from the other; the budget lets only few be away.
bool World::part(const Fault& fault) {
  std::vector<Seat*> away;
  const auto collect = [&](auto& seats) {
    for (auto& seat : seats) {
      if (fault.group.contains(seat.name)) away.push_back(&seat);
    }
  };
  collect(signers_);
  collect(coordinators_);
  collect(ledgers_);
  std::size_t weakened = 0;
  while (weakened < away.size() && may_strike(*away[weakened])) ++away[weakened++]->weak;
  const bool outside = !fault.group.contains({Role::Etcd, 0}) || options_.over_budget;
  if (weakened == away.size() && outside) {
    open_window(fault);
    ++counts_.partitions;
    for (LedgerSeat& seat : ledgers_) {
      if (blocked({Role::Etcd, 0}, seat.name)) miss_log(seat);
    }
    return true;
  }
  while (weakened > 0) --away[--weakened]->weak;
  return false;
}

// ---- the kinds ----

bool World::inject(const Fault& fault) {
  Seat* seat = find_seat(fault.a);
  switch (fault.kind) {
    case FaultKind::StrikePlace: return false;  // armed from the start
    case FaultKind::Strike: return strike(fault.a, fault.blow, fault.down);
    case FaultKind::Retire: return retire(fault.a);
    case FaultKind::KillAll: return kill_all(fault.group, fault.down);
    case FaultKind::PowerLoss: return seat != nullptr && lose_power(*seat, fault.down);
    case FaultKind::RollBack:
    case FaultKind::Wipe: return seat != nullptr && lose_disk(*seat, fault);
    case FaultKind::Reprovision: return reprovision(fault);
    case FaultKind::WipeReplicas: return wipe_replicas(fault.down);
    case FaultKind::CutLink: return cut_link(fault.a, fault.b);
    case FaultKind::HalfOpen: return half_open(fault.a, fault.b, fault.down);
    case FaultKind::Partition: return part(fault);
    case FaultKind::Trim: return force_trim();
    case FaultKind::DamageSnapshot: return damage_snapshot(fault);
    case FaultKind::LoseLog: return lose_log(fault.a.index, fault.down);
    case FaultKind::KillNode: return kill_node(fault.down);
    case FaultKind::PauseNode: pause_node(fault.down); return true;
    case FaultKind::LoseMempool:
      chain_->lose_mempool();
      ++counts_.node_faults;
      return true;
    case FaultKind::SplitNode: return split_node(fault);
    case FaultKind::AlterReplica: return seat != nullptr && alter_replica(*seat);
    case FaultKind::BadCoordinator:
      if (fault.a.role != Role::Coordinator || seat == nullptr) return false;
      open_window(fault);
      attack_later(window_numbers_);
      return true;
    case FaultKind::TokenAway:
      return fault.a.role == Role::Signer && seat != nullptr && take_token(fault);
    case FaultKind::BadSigner:
      if (fault.a.role != Role::Signer) return false;
      [[fallthrough]];
    case FaultKind::FullDisk:
    case FaultKind::SlowLink:
    case FaultKind::LagLog:
      if (seat == nullptr || !may_strike(*seat)) return false;
      if (fault.kind == FaultKind::BadSigner) liars_.insert(fault.a.index);
      ++seat->weak;
      open_window(fault);
      return true;
    case FaultKind::NoLeader:
    case FaultKind::BlurLog:
    case FaultKind::LoseReplies:
    case FaultKind::SlowNode:
    case FaultKind::HangNode:
    case FaultKind::RefuseSends: open_window(fault); return true;
    case FaultKind::Count: break;
  }
  ROULETTE_ASSERT(!"no kind of fault");
}

// Noticed by who tries to sign, or by the host, which looks four times a second.
bool World::take_token(const Fault& fault) {
  SignerSeat& seat = signers_[fault.a.index];
  if (seat.token == nullptr || !may_strike(seat)) return false;
  ++seat.weak;
  seat.token->away = true;
  open_window(fault);
  agenda.after(limits::kKeyProbe, [token = seat.token] { token->missed = token->away; });
  return true;
}

void World::return_token(SignerSeat& seat) {
  if (seat.token->failures > 0) probes.hit(Probe::KeyAwayInRound);
  *seat.token = SimToken{};
}

bool World::strike(ProcessName victim, Blow blow, Duration down) {
  Seat* found = find_seat(victim);
  if (found == nullptr) return false;
  Seat& struck = *found;
  const bool already = struck.paused || struck.stopping;
  if (!struck.up || (already && blow != Blow::Kill) || !may_strike(struck)) return false;
  switch (blow) {
    case Blow::Kill: die(struck, down); return true;
    case Blow::Pause: pause(struck, down); return true;
    case Blow::Stop: stop(struck, down); return true;
  }
  return false;
}

// Never more than may be lost for good, whatever the budget says: the end needs a quorum.
bool World::retire(ProcessName victim) {
  Seat* seat = find_seat(victim);
  if (seat == nullptr || !seat->up || seat->retired || !may_strike(*seat)) return false;
  const auto gone = [](const auto& seats) {
    return static_cast<std::size_t>(std::count_if(
        seats.begin(), seats.end(), [](const auto& other) {
          if constexpr (requires { other.taken; }) return other.retired || !other.taken.empty();
          return other.retired;
        }));
  };
  const std::size_t spare = victim.role == Role::Signer
                                ? signers_.size() - options_.shape.threshold - gone(signers_)
                            : victim.role == Role::Coordinator
                                ? coordinators_.size() - 1 - gone(coordinators_)
                                : spare_replicas();
  if (spare == 0) return false;
  seat->retired = true;
  ++counts_.retired;
  die(*seat, {});
  return true;
}

bool World::kill_all(const ProcessSet& group, Duration down) {
  if (!options_.over_budget) return false;
  const auto kill = [&](auto& seats) {
    for (auto& seat : seats) {
      if (seat.up && (group.empty() || group.contains(seat.name))) {
        die(seat, down + microseconds(prng_.between(0, 20'000)));
      }
    }
  };
  kill(signers_);
  kill(coordinators_);
  kill(ledgers_);
  if (group.empty()) probes.hit(Probe::AllDownAtOnce);
  return true;
}

// ---- disks ----

// A transaction survives whole or not at all: SQLite finds a torn one by its checksum.
bool World::lose_power(Seat& seat, Duration down) {
  if (!seat.up || !may_strike(seat) || seat.name.role == Role::Coordinator) return false;
  ++counts_.disk_faults;
  if (seat.name.role == Role::Signer) {
    auto& signer = static_cast<SignerSeat&>(seat);
    if (signer.committing && prng_.below(2) == 0) {
      probes.hit(Probe::CommitSurvivedPowerLoss);
      write(signer);
    }
    if (ROULETTE_MUTANT("synchronous-off")) {  // the page cache goes with the machine
      signer.durable.resize(signer.durable.size() - std::min<std::size_t>(
                                                        2, signer.durable.size()));
    }
  } else {
    auto& ledger = static_cast<LedgerSeat&>(seat);  // synchronous=NORMAL: a tail may be gone
    ledger.tables.resize(ledger.tables.size() - prng_.below(std::min<std::size_t>(
                                                    3, ledger.tables.size() + 1)));
  }
  die(seat, down);
  return true;
}

// The operator's bad restore: an older copy of the folder, or none. A signer is quarantined by it
// (DESIGN 6.8), until it is provisioned again: never more of them than may be lost.
bool World::lose_disk(Seat& seat, const Fault& fault) {
  if (!seat.up || seat.name.role == Role::Coordinator) return false;
  std::size_t kept = fault.kind == FaultKind::Wipe ? 0 : fault.amount;
  if (seat.name.role == Role::Ledger) {
    auto& ledger = static_cast<LedgerSeat&>(seat);
    if (ledger.tables.size() <= kept || !may_strike(seat)) return false;
    die(seat, fault.down);
    ledger.tables.resize(kept);
  } else {
    auto& loser = static_cast<SignerSeat&>(seat);
    // A journal was founded in one transaction: no copy of it ends inside.
    const auto* founded = signer::founding_of(loser.durable);
    if (kept > 0 && founded != nullptr) kept = std::max<std::size_t>(kept, 1 + founded->imported);
    if (loser.durable.size() <= kept || !may_lose(loser) || !may_strike(seat)) return false;
    die(seat, fault.down);
    const auto first = loser.durable.begin() + static_cast<std::ptrdiff_t>(kept);
    loser.taken.insert(loser.taken.end(), first, loser.durable.end());
    loser.durable.erase(first, loser.durable.end());
    trace.note(agenda.now(), seat.name, "records_taken", "", kept);
    probes.hit(Probe::JournalWentBack);
  }
  ++counts_.disk_faults;
  return true;
}

bool World::may_lose(const SignerSeat& signer) const {
  std::size_t lost = 0;
  for (const SignerSeat& other : signers_) {
    lost += other.name != signer.name && (other.retired || !other.taken.empty()) ? 1 : 0;
  }
  return lost + options_.shape.threshold < signers_.size();
}

}  // namespace roulette::sim
