// Start-up hygiene of a daemon, its termination signals and its entropy.
//
// Invariant: after harden_process() the process is not dumpable, leaves no core file, ignores
// SIGPIPE and dies with its launcher when it was launched. Call it first in main, before secrets
// are read.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <sys/types.h>

#include "common/base/entropy.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace roulette::runtime {

class EventLoop;

// A second SIGTERM: as safe as SIGKILL, so no destructor runs.
inline constexpr int kForcedStopExitCode = 143;

struct HygieneOptions {
  bool lock_memory = false;                 // signers
  std::optional<pid_t> launcher = {};       // set: PDEATHSIG SIGKILL, refused if it is already gone
};
struct Hygiene {
  bool memory_locked = false;  // for the log, /readyz and the records
};
[[nodiscard]] Result<Hygiene> harden_process(const HygieneOptions& options);

// SIGTERM and SIGINT: the first calls back on the loop, the second exits at once (143) even while
// the loop is busy. At most one object per process.
class TerminationSignals {
 public:
  TerminationSignals(EventLoop& loop, std::function<void()> on_terminate);
  ~TerminationSignals();
  TerminationSignals(const TerminationSignals&) = delete;
  TerminationSignals& operator=(const TerminationSignals&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// getrandom(2). Never seeded, never falls back; a failure ends the process (exit 70).
class KernelEntropy final : public EntropySource {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

[[nodiscard]] BootId draw_boot_id(EntropySource& entropy);

// CLOCK_REALTIME in microseconds: for records that people read, never for decisions.
[[nodiscard]] std::int64_t wall_clock_us();

}  // namespace roulette::runtime
