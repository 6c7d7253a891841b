// Starts, signals, reaps and restarts the processes of a run, and speaks their control channels.
//
// Invariants: only processes spawned here are signalled, through their pidfd; all are spawned by
// one thread that lives as long as the tool (PDEATHSIG is per thread); a dead tool leaves no
// process; an exit nobody asked for is recorded as such. What to kill and when is faults.h's
// business; what a process is made of is cluster.h's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "chaos/live/supervisor_metrics.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/runtime/event_log.h"
#include "common/runtime/event_loop.h"

namespace roulette::chaos {

struct ProcessSpec {
  ProcessName name;
  std::vector<std::string> argv;         // argv[0] is the program's path
  std::vector<std::string> environment;  // "K=V", nothing is inherited
  std::string work_dir;
  std::string stderr_path;  // stdout too; appended over restarts
  bool control = false;     // passes --control-fd 3 as last argument
};

enum class ProcessState : std::uint8_t { Down, Starting, Up, Paused };

struct ExitFacts {
  std::optional<int> code;
  std::optional<int> signal;
  bool asked = false;
  Instant at{};
};

struct HitFacts {
  std::uint32_t arm_id = 0;
  std::string point;
  std::uint64_t occurrence = 0;
  std::uint64_t sequence = 0;
  Instant at{};
};

class Supervisor {
 public:
  struct Hooks {  // all called on the loop
    // Whether an exit that was not asked for is due to a fault under way, and so not unasked.
    std::function<bool(ProcessName, const ExitFacts&)> may_end = {};
    std::function<void(ProcessName, const ExitFacts&)> on_exit;
    std::function<void(ProcessName, const HitFacts&)>
        on_hit;  // the process stands still until release()
    std::function<void(ProcessName, std::uint32_t arm_id)> on_seen;
    std::function<void(ProcessName, bool ready, const std::string& reason)> on_ready;
    std::function<void(ProcessName, const std::string& name, const std::string& args)> on_event;
    std::function<void(ProcessName, bool stopped)>
        on_stop_continue;  // WIFSTOPPED / WIFCONTINUED seen
  };

  Supervisor(runtime::EventLoop& loop, runtime::EventLog& log, Hooks hooks);
  ~Supervisor();  // SIGKILLs and reaps all that is left

  // pidfds are needed: without them nothing could be signalled safely. ErrorKind::Preflight on an
  // old kernel.
  [[nodiscard]] static Status check_kernel();

  // Declares a process; does not start it.
  void define(ProcessSpec spec);
  // Spawns it; `control_lines` are in its control channel before it runs its first instruction.
  [[nodiscard]] Status start(ProcessName name, const std::vector<std::string>& control_lines);
  // Sends through the pidfd; returns pidfd_send_signal's result (0 or -errno; -ESRCH when it does
  // not run). Records the process as down before a signal that ends or stops it leaves.
  int send_signal(ProcessName name, int signal);
  // Marks the next exit as asked for (a signal sent here does so itself when it is SIGKILL or
  // SIGTERM).
  void expect_exit(ProcessName name);
  void write_control(ProcessName name, const std::string& line);
  // For processes without a control channel (etcd, bitcoind): whoever probes them says when they
  // serve.
  void mark_ready(ProcessName name, bool ready, const std::string& reason);
  // The process was released from a hit without harm: it is up again.
  void mark_released(ProcessName name);
  // A fault of its token began, ended: between them it is recorded as down, whatever it says.
  void token_goes(ProcessName name, const std::string& why);
  void token_returns(ProcessName name);

  [[nodiscard]] ProcessState state(ProcessName name) const;
  // Recorded as up: it said ready and nobody killed, paused or stopped it since.
  [[nodiscard]] bool serving(ProcessName name) const;
  // Its own last word; empty when it is ready, or said nothing.
  [[nodiscard]] std::string why_not_ready(ProcessName name) const;
  [[nodiscard]] std::optional<pid_t> pid(ProcessName name) const;
  [[nodiscard]] std::vector<ProcessName> all() const;
  // Exits nobody asked for, as text; each makes the verdict fail.
  [[nodiscard]] const std::vector<std::string>& unasked_exits() const;
  // Highest resident set seen per process, KiB (sampled from /proc by pid).
  [[nodiscard]] std::uint64_t peak_rss_kib(ProcessName name) const;
  [[nodiscard]] SupervisorMetrics& metrics();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace roulette::chaos
