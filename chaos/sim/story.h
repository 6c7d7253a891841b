// Three clients or more pay through the simulated cluster, under faults, until all is settled.
//
// What it runs: each client sends one withdrawal under a key of its own; the third of three needs
// change of the first two. Without an answer or after a 5xx it repeats the same key at the other
// coordinator; once acknowledged it asks by id, by key and by exact retry until it is settled.
// When it passes: settled within the bound of virtual time, and judge() finds nothing. The same
// options give the same trace hash. Known gaps: world.h.
#pragma once

#include "chaos/sim/world.h"

namespace roulette::sim {

// A schedule, and what tests break on purpose beside it.
struct StoryOptions : Schedule {
  Plants plants;
};

struct Outcome {
  std::vector<Violation> violations;
  Records records;
  World::Counts counts;
  std::map<ProcessName, std::vector<Place>> places;
  std::vector<std::string> struck_at;
  std::uint64_t trace_hash = 0;
  std::uint64_t unseed = 0;
  std::uint64_t events = 0;
  Duration took;
  Duration slowest_signing;
  Probes probes;
  std::string trace;  // the last lines
};

// `listener` is told every line of the trace.
[[nodiscard]] Outcome run_story(const StoryOptions& options, Trace::Listener listener = {});

[[nodiscard]] Outcome run_schedule(const Schedule& schedule, Trace::Listener listener = {});
// draw_schedule, nothing planted.
[[nodiscard]] StoryOptions draw_story(std::uint64_t seed, SimScheme scheme = SimScheme::Frost);

}  // namespace roulette::sim
