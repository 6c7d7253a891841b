// What a seed means.
//
// Invariant: the draws depend on the seed alone; a schedule is drawn whole before anything runs.
#include "chaos/sim/schedule.h"

#include <algorithm>

#include "chaos/plan/prng.h"

namespace roulette::sim {
namespace {

class Drawing {
 public:
  Drawing(std::uint64_t seed, SimScheme scheme) : prng_(seed * 0x9e3779b97f4a7c15 + 1) {
    schedule_.world.seed = seed;
    schedule_.world.scheme = scheme;
  }

  Schedule draw() {
    // Breadth is many small stories: of the stand-in's, one in eight is as large as FROST's.
    small_ = schedule_.world.scheme == SimScheme::StandIn && prng_.below(8) != 0;
    shape();
    const bool spare_none = all_sign();
    weather();
    clients();
    schedule_.world.over_budget = prng_.below(5) == 0 || spare_none;
    const std::uint64_t most = small_ ? 5 : 10;
    for (std::uint64_t n = prng_.below(most); n > 0; --n) strike_somewhere();
    for (std::uint64_t n = 1 + prng_.below(most); n > 0; --n) timed();
    snapshots();
    provisioning();
    pace();
    damages();
    tokens();
    requests();
    Duration over = microseconds(faults_us());
    for (const Fault& fault : schedule_.faults) over = std::max(over, over_at(fault));
    schedule_.safety = over;
    return std::move(schedule_);
  }

 private:
  Range range(std::int64_t low_us, std::int64_t high_us) {
    const std::int64_t low = prng_.between(low_us, high_us);
    return {microseconds(low), microseconds(prng_.between(low, high_us))};
  }

  // Half of all large clusters are the default one: 3 of 5, two coordinators, three replicas. The
  // small one has one of each to spare; a quarter of them one replica.
  void shape() {
    Shape& shape = schedule_.world.shape;
    if (small_) {
      shape.signers = 3;
      shape.threshold = 2;
      if (prng_.below(4) == 0) shape.ledgers = 1;
      return;
    }
    if (prng_.below(2) == 0) return;
    shape.signers = static_cast<std::uint16_t>(prng_.between(3, 7));
    const std::int64_t least = shape.signers / 2 + 1;
    shape.threshold = static_cast<std::uint16_t>(prng_.between(least, shape.signers - 1));
    shape.coordinators = static_cast<std::uint16_t>(prng_.between(1, 3));
    shape.ledgers = static_cast<std::uint16_t>(1 + 2 * prng_.below(3));
    shape.nonce_pool = static_cast<std::uint32_t>(
        prng_.below(8) == 0 ? prng_.between(5, 16) : prng_.between(1, 4));
  }

  // Whether there is nobody to spare.
  bool all_sign() {
    Shape& shape = schedule_.world.shape;
    switch (schedule_.world.scheme) {
      case SimScheme::Frost:
      case SimScheme::StandIn:
      case SimScheme::FrostTr: return false;
      case SimScheme::Musig2:
        shape.signers = static_cast<std::uint16_t>(prng_.between(2, 4));
        break;
      case SimScheme::Single:
      case SimScheme::Hsm: shape.signers = 1; break;
    }
    shape.threshold = shape.signers;
    return true;
  }

  void weather() {
    WorldOptions& world = schedule_.world;
    // Now and then so slow that signers are overdue and coordinators presume each other dead.
    const bool slow = !small_ && prng_.below(6) == 0;
    world.hop = slow ? range(5'000, 120'000) : range(50, 5'000);
    if (!slow && prng_.below(3) == 0) {
      world.spread = static_cast<std::uint32_t>(prng_.between(2, 10));
    }
    if (!slow && prng_.below(3) == 0) {
      world.late_per_mille = static_cast<std::uint32_t>(prng_.below(20));
    }
    world.disk = range(100, 10'000);
    world.engine = range(500, 20'000);
    world.node = range(200, 10'000);
    // Most stories hurry, and their faults with them: idle virtual time is all heartbeats. Slow
    // messages need slow blocks, or the books never reach the tip.
    brisk_ = small_ || (!slow && prng_.below(10) != 0);
    world.block_interval = milliseconds(brisk_ ? prng_.between(120, 300)
                                               : prng_.between(300, 1000));
    world.flush_every = 1 + prng_.below(5);
    world.unknown_per_mille =
        prng_.below(2) == 0 ? 0 : 1 + static_cast<std::uint32_t>(prng_.below(200));
  }

  void clients() {
    schedule_.duplicate_per_mille = 300;
    schedule_.conflict_per_mille = 300;
    schedule_.think = range(1'000, brisk_ ? 100'000 : 500'000);
    if (!small_ && prng_.below(10) == 0) {
      schedule_.payments = 4 + prng_.below(20);
      schedule_.think = range(0, 100'000);
      schedule_.world.flush_every = 1 + prng_.below(9);
    }
    schedule_.wait = milliseconds(prng_.below(2) == 0 ? 0 : 500);
  }

  ProcessName one_of(Role role, std::uint16_t count) {
    return {role, static_cast<std::uint16_t>(prng_.below(count))};
  }
  ProcessName anybody() {
    const Shape& shape = schedule_.world.shape;
    const std::uint64_t pick = prng_.below(shape.signers + shape.coordinators + shape.ledgers);
    if (pick < shape.signers) return {Role::Signer, static_cast<std::uint16_t>(pick)};
    const std::uint64_t rest = pick - shape.signers;
    if (rest < shape.coordinators) return {Role::Coordinator, static_cast<std::uint16_t>(rest)};
    return {Role::Ledger, static_cast<std::uint16_t>(rest - shape.coordinators)};
  }
  Blow any_blow() {
    const std::uint64_t pick = prng_.below(4);
    return pick == 0 ? Blow::Stop : pick == 1 ? Blow::Pause : Blow::Kill;
  }

  void strike_somewhere() {
    Fault fault;
    fault.kind = FaultKind::StrikePlace;
    fault.a = anybody();
    fault.deeds = prng_.below(3) != 0;
    const std::uint64_t most = fault.a.role == Role::Signer ? (fault.deeds ? 16 : 80)
                                                            : (fault.deeds ? 150 : 600);
    fault.place = prng_.below(most);
    fault.after = prng_.below(2) == 0;
    fault.down = milliseconds(prng_.between(1, brisk_ ? 500 : 1'500));
    fault.blow = any_blow();
    schedule_.faults.push_back(fault);
  }

  [[nodiscard]] std::int64_t faults_us() const {
    if (small_) return 900'000;
    return brisk_ ? 1'800'000 : 4'000'000;
  }
  Fault fault_of(FaultKind kind) {
    Fault fault;
    fault.kind = kind;
    fault.at = microseconds(prng_.between(0, faults_us()));
    fault.down = milliseconds(prng_.between(1, brisk_ ? 400 : 1'000));
    return fault;
  }
  ProcessName disk() {
    const Shape& shape = schedule_.world.shape;
    return prng_.below(3) == 0 ? one_of(Role::Ledger, shape.ledgers)
                               : one_of(Role::Signer, shape.signers);
  }

  // Processes first: a third; then disks, network, log and node alike.
  void timed() {
    switch (prng_.below(7)) {
      case 0:
      case 1: return of_processes();
      case 6: return of_liars();
      case 2: return of_disks();
      case 3: return of_the_network();
      case 4: return of_the_log();
      default: return of_the_node();
    }
  }

  void of_processes() {
    Fault fault = fault_of(FaultKind::Strike);
    fault.a = anybody();
    fault.blow = any_blow();
    const std::uint64_t pick = prng_.below(8);
    if (pick == 0) {
      fault.kind = FaultKind::Retire;
      fault.blow = Blow::Kill;
    } else if (pick == 1 && schedule_.world.over_budget) {
      fault.kind = FaultKind::KillAll;
      fault.blow = Blow::Kill;
      fault.a = {};
      if (prng_.below(2) == 0) fault.group = any_group();
    }
    schedule_.faults.push_back(fault);
  }

  void of_disks() {
    constexpr FaultKind kinds[] = {FaultKind::PowerLoss, FaultKind::PowerLoss, FaultKind::FullDisk,
                                   FaultKind::RollBack, FaultKind::Wipe};
    Fault fault = fault_of(kinds[prng_.below(std::size(kinds))]);
    fault.a = disk();
    if (fault.kind == FaultKind::RollBack) {
      fault.amount = static_cast<std::uint32_t>(prng_.below(6));
    }
    schedule_.faults.push_back(fault);
  }

  // One process, some, the log, the node or the clients, on one side.
  ProcessSet any_group() {
    ProcessSet group;
    const std::uint64_t pick = prng_.below(8);
    if (pick == 0) group.insert({Role::Bitcoind, 0});
    else if (pick == 1) group.insert({Role::Tool, 0});
    else if (pick == 2) group.insert({Role::Etcd, 0});
    else group.insert(anybody());
    if (schedule_.world.over_budget) {
      for (std::uint64_t more = prng_.below(4); more > 0; --more) group.insert(anybody());
    }
    return group;
  }

  void of_the_network() {
    constexpr FaultKind kinds[] = {FaultKind::CutLink,   FaultKind::HalfOpen,
                                   FaultKind::Partition, FaultKind::Partition,
                                   FaultKind::SlowLink,  FaultKind::LoseReplies};
    Fault fault = fault_of(kinds[prng_.below(std::size(kinds))]);
    const Shape& shape = schedule_.world.shape;
    fault.a = anybody();
    switch (fault.kind) {
      case FaultKind::CutLink:
      case FaultKind::HalfOpen:
        fault.b = one_of(Role::Coordinator, shape.coordinators);
        if (fault.a == fault.b) fault.a = {Role::Ledger, 0};
        if (prng_.below(2) == 0) std::swap(fault.a, fault.b);
        break;
      case FaultKind::Partition:
        fault.a = {};
        fault.group = any_group();
        fault.one_way = prng_.below(3) == 0;
        break;
      case FaultKind::SlowLink: fault.amount = 2U << prng_.below(6); break;
      default:
        fault.a = one_of(Role::Coordinator, shape.coordinators);
        fault.amount = 500;
        break;
    }
    schedule_.faults.push_back(fault);
  }

  void of_the_log() {
    constexpr FaultKind kinds[] = {FaultKind::LoseLog, FaultKind::LagLog, FaultKind::NoLeader,
                                   FaultKind::BlurLog};
    Fault fault = fault_of(kinds[prng_.below(std::size(kinds))]);
    switch (fault.kind) {
      case FaultKind::LoseLog:
        fault.a = one_of(Role::Ledger, schedule_.world.shape.ledgers);
        break;
      case FaultKind::LagLog:
        fault.a = one_of(Role::Ledger, schedule_.world.shape.ledgers);
        fault.amount = static_cast<std::uint32_t>(prng_.between(5, 400));
        break;
      default: fault.amount = static_cast<std::uint32_t>(prng_.between(100, 900)); break;
    }
    schedule_.faults.push_back(fault);
  }

  // Drawn last: what a seed meant before there were snapshots, it means with them.
  void snapshots() {
    WorldOptions& world = schedule_.world;
    constexpr std::uint64_t intervals[] = {1, 1, 2, 2, 3, 0};
    world.snapshot_interval = kCheckpointEvery * intervals[prng_.below(std::size(intervals))];
    world.snapshot_chunk_bytes = 256U << prng_.below(6);
    if (world.snapshot_interval == 0) return;
    const std::uint64_t pick = prng_.below(8);
    if (pick == 0) return;
    if (pick > 4) return late(FaultKind::Trim);
    if (world.over_budget && pick == 1) {  // with nothing but the newest snapshot to start from
      late(FaultKind::Trim);
      schedule_.faults.push_back(schedule_.faults.back());
      Fault& wipe = schedule_.faults.back();
      wipe.kind = FaultKind::WipeReplicas;
      wipe.at = wipe.at + milliseconds(prng_.between(0, 20));
      return;
    }
    // The log's beginning goes while its proposer stands still: it wakes with a head of before.
    late(FaultKind::Strike);
    Fault& pause = schedule_.faults.back();
    pause.a = {Role::Ledger, 0};
    pause.blow = Blow::Pause;
    pause.down = milliseconds(prng_.between(400, brisk_ ? 1'000 : 2'000));
    Fault trim = pause;
    trim.kind = FaultKind::Trim;
    trim.a = {};
    trim.blow = Blow::Kill;
    trim.at = pause.at + pause.down - milliseconds(1);
    trim.down = milliseconds(1);
    schedule_.faults.push_back(trim);
  }
  // Drawn last, for the same reason: half of those who lose a journal are provisioned again, and a
  // few lose it for that alone, early, so that payments are still to be signed behind it.
  void provisioning() {
    std::vector<Fault> lost;
    for (const Fault& fault : schedule_.faults) {
      const bool goes = fault.kind == FaultKind::RollBack || fault.kind == FaultKind::Wipe;
      if (goes && fault.a.role == Role::Signer) lost.push_back(fault);
    }
    if (prng_.below(lost.empty() ? 12 : 2) != 0) return;
    if (lost.empty()) {
      Fault wipe = fault_of(prng_.below(2) == 0 ? FaultKind::Wipe : FaultKind::RollBack);
      wipe.at = microseconds(prng_.between(100'000, faults_us() / 3));
      wipe.a = one_of(Role::Signer, schedule_.world.shape.signers);
      if (wipe.kind == FaultKind::RollBack)
        wipe.amount = static_cast<std::uint32_t>(prng_.below(6));
      schedule_.faults.push_back(wipe);
      lost.push_back(wipe);
    }
    Fault move = fault_of(FaultKind::Reprovision);
    move.at = lost.back().at + milliseconds(prng_.between(1, 400));
    move.blow = prng_.below(2) == 0 ? Blow::Stop : Blow::Kill;
    const Shape& shape = schedule_.world.shape;
    if (prng_.below(3) == 0) {
      move.b = prng_.below(2) == 0 ? one_of(Role::Coordinator, shape.coordinators)
                                   : one_of(Role::Signer, shape.signers);
      move.amount = static_cast<std::uint32_t>(prng_.between(1, brisk_ ? 400 : 1'000));
    }
    schedule_.faults.push_back(move);
  }
  // A story at the live pace is half heartbeats, and they hide nothing that slower ones show: most
  // stories have slower ones, a quarter has the live ones.
  void pace() {
    constexpr std::uint32_t paces[] = {1, 2, 4, 4};
    schedule_.world.pace = paces[prng_.below(std::size(paces))] * (small_ ? 2 : 1);
  }
  // Drawn last, for the same reason: a snapshot rots in the store, mostly the newest, and mostly
  // somebody starts and reads it.
  void damages() {
    if (schedule_.world.snapshot_interval == 0 || prng_.below(4) != 0) return;
    late(FaultKind::DamageSnapshot);
    Fault damage = schedule_.faults.back();
    damage.down = milliseconds(1);
    damage.amount = static_cast<std::uint32_t>(prng_.below(kSnapshotDamages));
    damage.place = prng_.below(4) == 0 ? 1 : 0;
    schedule_.faults.back() = damage;
    if (prng_.below(4) == 0) return;
    // With its own tables it knows another state from the right one, without them it must wait.
    Fault kill = fault_of(prng_.below(2) == 0 ? FaultKind::Strike : FaultKind::Wipe);
    kill.at = damage.at + milliseconds(prng_.between(0, 40));
    kill.a = one_of(Role::Ledger, schedule_.world.shape.ledgers);
    schedule_.faults.push_back(kill);
    if (prng_.below(4) != 0) return;
    Fault again = strike_at_place(kill.a, 0, true, milliseconds(prng_.between(1, 40)));
    again.point = "restore.snapshot_loaded";
    schedule_.faults.push_back(again);
  }
  // Drawn last, for the same reason: a token is away for a while; over the budget all may be.
  void tokens() {
    if (prng_.below(8) != 0) return;
    Fault away = fault_of(FaultKind::TokenAway);
    const std::uint16_t signers = schedule_.world.shape.signers;
    away.a = one_of(Role::Signer, signers);
    const bool many = schedule_.world.over_budget && prng_.below(2) == 0;
    for (std::uint16_t i = 0; i < (many ? signers : 1); ++i) {
      schedule_.faults.push_back(away);
      away.a.index = static_cast<std::uint16_t>((away.a.index + 1) % signers);
      away.at = away.at + milliseconds(prng_.between(0, 20));
    }
  }
  // Drawn last, for the same reason. Half of all clusters take anybody's word, so that what is
  // checked without the clients' is tried as well.
  void requests() {
    schedule_.world.clients_sign = prng_.below(2) == 0;
    if (!schedule_.world.clients_sign || prng_.below(4) != 0) return;
    Fault theft = fault_of(FaultKind::BadCoordinator);
    theft.a = one_of(Role::Coordinator, schedule_.world.shape.coordinators);
    theft.amount = static_cast<std::uint32_t>(CoordinatorLie::Unrequested);
    theft.down = milliseconds(prng_.between(500, brisk_ ? 1'500 : 4'000));
    schedule_.faults.push_back(theft);
  }
  // In the second half, when there are snapshots.
  void late(FaultKind kind) {
    Fault fault = fault_of(kind);
    fault.at = microseconds(faults_us() / 2 + fault.at.us / 2);
    schedule_.faults.push_back(fault);
  }

  void of_liars() {
    constexpr FaultKind kinds[] = {FaultKind::BadSigner, FaultKind::BadSigner,
                                   FaultKind::BadCoordinator, FaultKind::BadCoordinator,
                                   FaultKind::AlterReplica};
    Fault fault = fault_of(kinds[prng_.below(std::size(kinds))]);
    const Shape& shape = schedule_.world.shape;
    fault.down = milliseconds(prng_.between(500, brisk_ ? 1'500 : 4'000));
    if (fault.kind == FaultKind::BadSigner) {
      fault.a = one_of(Role::Signer, shape.signers);
      fault.amount = static_cast<std::uint32_t>(prng_.below(kSignerLies));
    } else if (fault.kind == FaultKind::BadCoordinator) {
      fault.a = one_of(Role::Coordinator, shape.coordinators);
      fault.amount = static_cast<std::uint32_t>(
          prng_.below(static_cast<std::uint64_t>(CoordinatorLie::Unrequested)));
    } else {
      fault.a = one_of(Role::Ledger, shape.ledgers);
    }
    schedule_.faults.push_back(fault);
  }

  void of_the_node() {
    constexpr FaultKind kinds[] = {FaultKind::KillNode,    FaultKind::KillNode,
                                   FaultKind::KillNode,    FaultKind::PauseNode,
                                   FaultKind::LoseMempool, FaultKind::SlowNode,
                                   FaultKind::HangNode,    FaultKind::RefuseSends,
                                   FaultKind::SplitNode};
    Fault fault = fault_of(kinds[prng_.below(std::size(kinds))]);
    switch (fault.kind) {
      case FaultKind::SlowNode: fault.amount = 2U << prng_.below(6); break;
      case FaultKind::HangNode: fault.amount = prng_.below(2) == 0 ? 0 : 500; break;
      case FaultKind::RefuseSends: fault.amount = static_cast<std::uint32_t>(prng_.below(4)); break;
      case FaultKind::SplitNode:
        fault.a = one_of(Role::Coordinator, schedule_.world.shape.coordinators);
        fault.amount = static_cast<std::uint32_t>(prng_.below(2));
        fault.down = milliseconds(prng_.between(200, brisk_ ? 1'200 : 4'000));
        break;
      default: break;
    }
    schedule_.faults.push_back(fault);
  }

  chaos::Prng prng_;
  Schedule schedule_;
  bool brisk_ = false;
  bool small_ = false;
};

}  // namespace

Fault strike_at_place(ProcessName victim, std::uint64_t place, bool after, Duration down,
                      Blow blow, bool deeds) {
  Fault fault;
  fault.kind = FaultKind::StrikePlace;
  fault.a = victim;
  fault.place = place;
  fault.after = after;
  fault.down = down;
  fault.blow = blow;
  fault.deeds = deeds;
  return fault;
}

Duration over_at(const Fault& fault) {
  if (fault.kind == FaultKind::StrikePlace) return {};
  const bool lags = fault.kind == FaultKind::Reprovision;
  return fault.at + fault.down + milliseconds(lags ? fault.amount : 0);
}

bool keeps_signing(const Schedule& schedule) {
  const WorldOptions& world = schedule.world;
  if (world.over_budget || world.late_per_mille > 0 || world.spread > 1) return false;
  return std::all_of(schedule.faults.begin(), schedule.faults.end(), [](const Fault& fault) {
    switch (fault.kind) {
      case FaultKind::StrikePlace:
      case FaultKind::Strike:
      case FaultKind::Retire:
      case FaultKind::PowerLoss:
      case FaultKind::RollBack:
      case FaultKind::Wipe:
      case FaultKind::CutLink:
      case FaultKind::LoseLog:
      case FaultKind::Trim:
      case FaultKind::DamageSnapshot:
      case FaultKind::KillNode:
      case FaultKind::PauseNode:
      case FaultKind::LoseMempool:
      case FaultKind::SlowNode:
      case FaultKind::HangNode:
      case FaultKind::RefuseSends: return true;
      default: return false;
    }
  });
}

Schedule draw_schedule(std::uint64_t seed, SimScheme scheme) {
  return Drawing(seed, scheme).draw();
}

}  // namespace roulette::sim
