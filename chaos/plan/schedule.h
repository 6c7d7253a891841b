// The schedule: every draw an experiment's seed decides, made before anything starts.
//
// Invariant: the same file and seed give the same schedule and the same hash, on every machine.
// Points that a run reaches at different moments are still the same schedule: what is drawn is who,
// where and (for timed faults) when.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chaos/plan/experiment.h"
#include "common/base/bytes.h"

namespace roulette::chaos {

struct FaultInstance {
  std::uint32_t id = 0;  // 1, 2, ... in the schedule's order
  std::size_t rule = 0;  // index into Experiment::faults
  std::vector<ProcessName> victims;
  std::string point;                           // "<role>.process.at_time" for timed ones
  std::optional<ProcessName> trigger_process;  // of a point
  std::uint32_t occurrence =
      1;  // passes of the point in the trigger process since it was armed, over its restarts
  std::optional<std::uint32_t>
      at_ms;  // after the load began: when a timed fault strikes, a point is armed
  Signal signal = Signal::Kill;
  Recover recover;
  bool over_budget = false;
};

struct Schedule {
  std::vector<FaultInstance> instances;
  Hash32 hash{};  // SHA-256 of the canonical text of all instances
};

[[nodiscard]] Schedule draw_schedule(const Experiment& experiment);
// One readable line an instance.
[[nodiscard]] std::string describe(const FaultInstance& instance);

}  // namespace roulette::chaos
