// Figures of the supervisor: see supervisor_metrics.h.
#include "chaos/live/supervisor_metrics.h"

#include <algorithm>

namespace roulette::chaos {
namespace {

constexpr char kRestarts[] = "roulette_supervisor_restarts_total";
constexpr char kRestartsHelp[] = "Times this process was started again";
constexpr char kReady[] = "roulette_supervisor_ready_seconds";
constexpr char kReadyHelp[] = "From a process's spawn until it was recorded as up";
constexpr char kSteady[] = "roulette_supervisor_steady_state_seconds";
constexpr char kSteadyHelp[] = "From the first process down until all are up again";
constexpr char kExits[] = "roulette_supervisor_exits_total";
constexpr char kExitsHelp[] = "Ends of this process; asked: by a signal of the tool";

double in_seconds(Duration span) {
  return static_cast<double>(span.us) / 1e6;
}

// Starts of daemons and of a node: 10 ms to a minute.
std::vector<double> start_buckets() {
  return {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0};
}

std::string role_of(ProcessName name) {
  const std::string text = name.text();
  return text.substr(0, text.find('-'));
}

runtime::Labels labels_of(ProcessName name) {
  return {{"process", name.text()}, {"process_role", role_of(name)}};
}

}  // namespace

void SupervisorMetrics::defined(ProcessName name) {
  lives_.try_emplace(name);
  registry_.gauge("roulette_supervisor_up", "1 while recorded as up", labels_of(name)).set(0);
  (void)registry_.counter(kRestarts, kRestartsHelp, labels_of(name));
  for (const char* start : {"first", "again"})
    (void)registry_.histogram(kReady, kReadyHelp, start_buckets(),
                              {{"process_role", role_of(name)}, {"start", start}});
  for (const char* asked : {"yes", "no"}) {
    runtime::Labels labels = labels_of(name);
    labels.emplace_back("asked", asked);
    (void)registry_.counter(kExits, kExitsHelp, labels);
  }
  (void)registry_.histogram(kSteady, kSteadyHelp, start_buckets());
}

void SupervisorMetrics::spawned(ProcessName name, Instant now) {
  Life& life = lives_.at(name);
  if (life.starts++ > 0) registry_.counter(kRestarts, kRestartsHelp, labels_of(name)).increment();
  life.starting = now;
}

void SupervisorMetrics::up(ProcessName name, bool up, Instant now) {
  Life& life = lives_.at(name);
  life.up = up;
  registry_.gauge("roulette_supervisor_up", "1 while recorded as up", labels_of(name))
      .set(up ? 1 : 0);
  if (up && life.starting) {
    registry_
        .histogram(kReady, kReadyHelp, start_buckets(),
                   {{"process_role", role_of(name)},
                    {"start", life.starts > 1 ? "again" : "first"}})
        .observe(in_seconds(now - *life.starting));
    life.starting.reset();
  }
  if (!steady()) {
    // The first start of a cluster is no loss.
    if (was_steady_ && !unsteady_since_) unsteady_since_ = now;
    return;
  }
  was_steady_ = true;
  if (!unsteady_since_) return;
  registry_.histogram(kSteady, kSteadyHelp, start_buckets())
      .observe(in_seconds(now - *unsteady_since_));
  unsteady_since_.reset();
}

void SupervisorMetrics::exited(ProcessName name, bool asked) {
  runtime::Labels labels = labels_of(name);
  labels.emplace_back("asked", asked ? "yes" : "no");
  registry_.counter(kExits, kExitsHelp, labels).increment();
}

void SupervisorMetrics::resident(ProcessName name, std::uint64_t peak_kib) {
  registry_
      .gauge("roulette_supervisor_peak_resident_bytes",
             "Highest resident set seen, over all lives", labels_of(name))
      .set(static_cast<double>(peak_kib) * 1024);
}

bool SupervisorMetrics::steady() const {
  return std::all_of(lives_.begin(), lives_.end(),
                     [](const auto& entry) { return entry.second.up; });
}

}  // namespace roulette::chaos
