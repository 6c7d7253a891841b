// Runs of single schedules that may end the process that runs them, and the smallest one that still
// fails as a file.
//
// Invariant: every run has a process of its own, so that a failed assert of a machine is a finding
// like any other; a file is written only of a schedule that was seen failing. How candidates are
// made stands in chaos/sim/shrink.h.
#pragma once

#include <string>

#include "chaos/sim/schedule_file.h"
#include "chaos/sim/seed_run.h"

namespace roulette::chaos {

inline constexpr const char* kProcessEnded = "process-ended";  // a violation's id

// The record of one run; that it ended its process or gave no answer is a violation.
[[nodiscard]] Result<sim::SeedRecord> run_apart(const sim::Schedule& schedule,
                                                const sim::Trace::Listener& listener = {});

struct ShrinkLimits {
  std::size_t runs = 500;
  double seconds = 60;
};
struct ShrunkFile {
  std::string path;
  sim::ScheduleFile file;
  std::size_t runs = 0;
  std::size_t faults_before = 0;
  bool minimal = false;
  bool fails_again = false;  // without it nothing was shrunk and no file written
};
// Runs `failing` once more, shrinks it while it violates `id`, and writes `folder`/NAME.json.
[[nodiscard]] Result<ShrunkFile> shrink_to_file(const sim::Schedule& failing,
                                                const std::string& scheme, const std::string& id,
                                                const std::string& folder,
                                                const ShrinkLimits& limits);

[[nodiscard]] Result<sim::ScheduleFile> read_schedule_file(const std::string& path);
[[nodiscard]] Status write_schedule_file(const std::string& path, const sim::ScheduleFile& file);

}  // namespace roulette::chaos
