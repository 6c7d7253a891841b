// Schedules carried over: what fired in a live run becomes a schedule of the simulator, and a
// schedule becomes an experiment that `roulette run` takes.
//
// Invariant: a fault is carried only to the same victim, the same effect and the same signal;
// whatever cannot be is named in `left`, with the reason, and never dropped in silence. Timing is
// not the same on both sides: the same faults need not bring out the same race.
#pragma once

#include <string>
#include <vector>

#include "chaos/sim/schedule_file.h"

namespace roulette::chaos {

struct CarriedSchedule {
  sim::ScheduleFile file;
  std::vector<std::string> left;
};
// Reads experiment.yaml, faults.ndjson and events.ndjson of a run's folder.
[[nodiscard]] Result<CarriedSchedule> schedule_of_run(const std::string& run_dir);

struct CarriedExperiment {
  std::string yaml;
  std::size_t carried = 0;
  std::vector<std::string> left;
};
// Runs the schedule once: its numbered places get the names of the effects that stood there.
[[nodiscard]] Result<CarriedExperiment> experiment_of(const sim::ScheduleFile& file);

}  // namespace roulette::chaos
