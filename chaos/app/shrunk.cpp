// See shrunk.h.
//
// Invariant: files are written whole (temporary file, fsync, rename) or not at all.
#include "chaos/app/shrunk.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "chaos/app/fan_out.h"
#include "chaos/sim/shrink.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

constexpr double kAnswerWithinS = 120;
constexpr std::size_t kMaxFileBytes = 8U << 20;

bool violates(const sim::SeedRecord& record, const std::string& id) {
  return std::any_of(record.violations.begin(), record.violations.end(),
                     [&](const sim::Violation& violation) { return violation.id == id; });
}

}  // namespace

Result<sim::SeedRecord> run_apart(const sim::Schedule& schedule,
                                  const sim::Trace::Listener& listener) {
  const auto end = isolated(
      [&] {
        const auto outcome = sim::run_schedule(schedule, listener);
        (void)std::fflush(stdout);
        return sim::encode_record(sim::record_of(schedule, outcome));
      },
      kAnswerWithinS);
  if (!end) return end.error();
  if (end->broke.empty()) return sim::decode_record(end->result);
  sim::SeedRecord record;
  record.seed = schedule.world.seed;
  record.violations.push_back({kProcessEnded, end->broke});
  return record;
}

Result<ShrunkFile> shrink_to_file(const sim::Schedule& failing, const std::string& scheme,
                                  const std::string& id, const std::string& folder,
                                  const ShrinkLimits& limits) {
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(static_cast<std::int64_t>(limits.seconds * 1000));
  sim::ShrinkBudget budget;
  budget.runs = limits.runs;
  budget.go_on = [until] { return !interrupted() && std::chrono::steady_clock::now() < until; };
  const auto still_fails = [&](const sim::Schedule& candidate) {
    const auto record = run_apart(candidate);
    return record.ok() && violates(*record, id);
  };
  ShrunkFile out;
  out.runs = 1;
  out.fails_again = still_fails(failing);  // a process may have been ended from outside
  if (!out.fails_again) return out;
  const sim::Shrunk shrunk = sim::shrink(failing, still_fails, budget);
  out.runs += shrunk.runs;
  out.minimal = shrunk.minimal;
  out.faults_before = failing.faults.size();
  out.file = {scheme, shrunk.schedule, {id},
              "shrunk from seed " + std::to_string(failing.world.seed) + " in " +
                  std::to_string(shrunk.runs) + " runs"};
  out.path = (std::filesystem::path(folder) /
              ("seed-" + std::to_string(failing.world.seed) + "-" + id + ".json"))
                 .string();
  if (const Status made = runtime::create_folder_durably(folder); !made) return made.error();
  if (const Status written = write_schedule_file(out.path, out.file); !written) {
    return written.error();
  }
  return out;
}

Result<sim::ScheduleFile> read_schedule_file(const std::string& path) {
  const auto bytes = runtime::read_whole_file(path, kMaxFileBytes);
  if (!bytes) return Error{ErrorKind::Usage, bytes.error().message};
  return sim::decode_schedule_file(std::string(bytes->begin(), bytes->end()), path);
}

Status write_schedule_file(const std::string& path, const sim::ScheduleFile& file) {
  return runtime::write_file_durably(path, as_bytes(sim::encode_schedule_file(file)), 0644);
}

}  // namespace roulette::chaos
