// What a seed means.
//
// Invariant: the draws depend on the seed alone; a schedule is drawn whole before anything runs.
#include "chaos/sim/schedule.h"

#include "chaos/plan/prng.h"

namespace roulette::sim {
namespace {

class Drawing {
 public:
  explicit Drawing(std::uint64_t seed) : prng_(seed * 0x9e3779b97f4a7c15 + 1) {
    schedule_.world.seed = seed;
  }

  Schedule draw() {
    shape();
    weather();
    clients();
    schedule_.world.over_budget = prng_.below(5) == 0;
    for (std::uint64_t n = prng_.below(12); n > 0; --n) strike_somewhere();
    for (std::uint64_t n = prng_.below(10); n > 0; --n) timed();
    return std::move(schedule_);
  }

 private:
  Range range(std::int64_t low_us, std::int64_t high_us) {
    const std::int64_t low = prng_.between(low_us, high_us);
    return {microseconds(low), microseconds(prng_.between(low, high_us))};
  }

  // Half of all clusters are the default one: 3 of 5, two coordinators, three replicas.
  void shape() {
    Shape& shape = schedule_.world.shape;
    if (prng_.below(2) == 0) return;
    shape.signers = static_cast<std::uint16_t>(prng_.between(3, 7));
    const std::int64_t least = shape.signers / 2 + 1;
    shape.threshold = static_cast<std::uint16_t>(prng_.between(least, shape.signers - 1));
    shape.coordinators = static_cast<std::uint16_t>(prng_.between(1, 3));
    shape.ledgers = static_cast<std::uint16_t>(1 + 2 * prng_.below(3));
    shape.nonce_pool = static_cast<std::uint32_t>(
        prng_.below(8) == 0 ? prng_.between(5, 16) : prng_.between(1, 4));
  }

  void weather() {
    WorldOptions& world = schedule_.world;
    // Now and then so slow that signers are overdue and coordinators presume each other dead.
    const bool slow = prng_.below(6) == 0;
    world.hop = slow ? range(5'000, 120'000) : range(50, 5'000);
    // Most stories hurry, and their faults with them: idle virtual time is all heartbeats. Slow
    // messages need slow blocks, or the books never reach the tip.
    brisk_ = !slow && prng_.below(10) != 0;
    world.disk = range(100, 10'000);
    world.engine = range(500, 20'000);
    world.node = range(200, 10'000);
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
    if (prng_.below(10) == 0) {
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

  void timed() {
    const Shape& shape = schedule_.world.shape;
    Fault fault;
    fault.at = microseconds(prng_.between(0, brisk_ ? 1'800'000 : 4'000'000));
    fault.down = milliseconds(prng_.between(1, brisk_ ? 400 : 1'000));
    switch (prng_.below(6)) {
      case 0:
        fault.a = anybody();
        fault.blow = any_blow();
        break;
      case 1:
        fault.kind = FaultKind::CutLink;
        fault.a = anybody();
        fault.b = one_of(Role::Coordinator, shape.coordinators);
        if (fault.a == fault.b) fault.a = {Role::Ledger, 0};
        break;
      case 2:
        fault.kind = FaultKind::LoseLog;
        fault.a = one_of(Role::Ledger, shape.ledgers);
        break;
      case 3: fault.kind = FaultKind::KillNode; break;
      case 4:
        fault.a = one_of(Role::Signer, shape.signers);
        // A quarantine lasts until an operator ends it (DESIGN 6.8): more than n - t of them would
        // be a quorum that is lost for good, and no story that must settle.
        if (taken_ == shape.signers - shape.threshold) break;
        ++taken_;
        fault.kind = FaultKind::TakeRecords;
        fault.amount = static_cast<std::uint32_t>(prng_.below(4));
        break;
      default: fault.kind = FaultKind::PauseNode; break;
    }
    schedule_.faults.push_back(fault);
  }

  chaos::Prng prng_;
  Schedule schedule_;
  bool brisk_ = false;
  int taken_ = 0;  // journals put back
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
  return fault.at + fault.down;
}

Schedule draw_schedule(std::uint64_t seed) { return Drawing(seed).draw(); }

}  // namespace roulette::sim
