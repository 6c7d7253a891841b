// One cluster under the tool: loop, log, supervisor, cluster and (in a run) faults, wired to each
// other.
//
// Invariant: destroying a Session leaves no process. It makes the run folder and refuses one that
// exists.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "chaos/live/cluster.h"
#include "chaos/live/faults.h"
#include "chaos/live/supervisor.h"
#include "common/runtime/folder_lock.h"
#include "common/runtime/http_server.h"
#include "common/runtime/process.h"

namespace roulette::chaos {

class Session {
 public:
  // Everything that can be missing but the folder is found here, before anything is made or
  // started (ErrorKind::Preflight).
  [[nodiscard]] static Result<Binaries> preflight(const ClusterPlan& plan,
                                                  const BinaryOptions& options);

  // runs/<UTC time>-<label>-<4 hex digits>
  [[nodiscard]] static Result<std::unique_ptr<Session>> create(const std::string& runs_dir,
                                                               const std::string& label);

  // Writes the cluster's files; starts nothing.
  [[nodiscard]] Status prepare(const ClusterPlan& plan, std::uint64_t coins,
                               const Binaries& binaries);
  void phase(const std::string& name);

  // Set before start(): gets the supervisor's hooks besides the cluster.
  FaultEngine* faults = nullptr;
  std::function<void(ProcessName, const ExitFacts&)> on_exit;
  // Looked at before `faults`: true when the hit (the pass) was somebody else's than the engine's.
  std::function<bool(ProcessName, const HitFacts&)> on_hit;
  std::function<bool(ProcessName, std::uint32_t arm_id)> on_seen;

  // Destroyed in reverse: the supervisor (which ends all processes) before the log and the loop.
  std::string run_dir;
  std::optional<runtime::FolderLock> lock;  // of run_dir/work: `roulette clean` leaves it alone
  runtime::EventLoop loop;
  std::unique_ptr<runtime::EventLog> log;
  std::unique_ptr<Supervisor> supervisor;
  std::unique_ptr<Cluster> cluster;

 private:
  // The supervisor's figures, and work/prometheus-targets.json: where each process has its own.
  [[nodiscard]] Status serve_metrics();
  std::unique_ptr<runtime::HttpServer> metrics_server_;
  Session() = default;
};

}  // namespace roulette::chaos
