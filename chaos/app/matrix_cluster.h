// One cluster's life in the matrix: started for cells, used while no cell leaves a trace, closed
// and judged by the fifteen checkers over its records.
//
// Invariant: judge() is called once, after the cells; whatever it finds counts for every cell of
// this life. What a cell does stands in cell_run.h.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "chaos/app/session.h"
#include "chaos/app/session_watch.h"
#include "chaos/check/verdict.h"
#include "chaos/live/load.h"
#include "chaos/live/stranger.h"
#include "chaos/plan/prng.h"

namespace roulette::chaos {

class MatrixCluster {
 public:
  struct Options {
    std::string lives_dir;
    ClusterPlan plan;
    Binaries binaries;
    std::uint64_t seed = 1;
    std::size_t first_starts = 0;  // signers that are not started yet
    bool expects_refusal = false;  // a cell will leave no quorum: safe-refusal must be judged
    bool keep = false;
  };
  explicit MatrixCluster(const Options& options);
  ~MatrixCluster();

  // Cluster up, funded, undisturbed payments measured.
  [[nodiscard]] Status start();
  // Ends the life in the order of DESIGN 9 and judges its records.
  [[nodiscard]] Result<check::Verdict> close();
  void write_cells(const std::string& text) const;

  [[nodiscard]] bool interrupted() const { return interrupted_; }
  [[nodiscard]] const std::string& run_dir() const { return s_->run_dir; }

  // ---- for cells ----
  [[nodiscard]] Session& session() { return *s_; }
  [[nodiscard]] Load& load() { return *load_; }
  [[nodiscard]] FaultEngine& faults() { return *faults_; }
  [[nodiscard]] SessionWatch& watch() { return *watch_; }
  [[nodiscard]] Prng& prng() { return prng_; }
  [[nodiscard]] const ClusterPlan& plan() const { return experiment_.cluster; }
  // Made on first use; null when it cannot be.
  [[nodiscard]] Stranger* stranger();
  // DESIGN 9, quorum-continuity: max(2 s, 20 x the undisturbed p99); here of this life's beginning.
  [[nodiscard]] Duration bound() const { return bound_; }
  // Waits until `done` or the limit; false also when the matrix was interrupted.
  [[nodiscard]] bool wait(const std::function<bool()>& done, Duration limit);
  void pause(Duration time);
  [[nodiscard]] std::uint32_t next_fault_id() { return ++fault_id_; }
  // Control lines that a process gets besides the engine's when it is started again.
  std::function<std::vector<std::string>(ProcessName)> more_control_lines;
  // Signers whose first start is still to come.
  [[nodiscard]] std::set<ProcessName>& unstarted() { return unstarted_; }
  [[nodiscard]] Status start_process(ProcessName name);
  [[nodiscard]] std::vector<ProcessName> alive(Role role) const;
  // Mines and waits until nothing is pending in the books.
  [[nodiscard]] bool settle(Duration limit);
  [[nodiscard]] bool mine(std::uint32_t blocks);

 private:
  [[nodiscard]] Status measure_undisturbed();
  [[nodiscard]] Status start_missing();
  void drain();
  void quiet_end();
  Status resolve();

  Options options_;
  Experiment experiment_;
  Schedule schedule_;
  Prng prng_;
  std::unique_ptr<Session> s_;
  std::unique_ptr<runtime::TerminationSignals> signals_;
  std::unique_ptr<FaultEngine> faults_;
  std::unique_ptr<Load> load_;
  std::unique_ptr<SessionWatch> watch_;
  std::unique_ptr<Stranger> stranger_;
  std::set<ProcessName> unstarted_;
  std::vector<std::string> problems_;
  Duration bound_{};
  std::uint32_t fault_id_ = 0;
  bool interrupted_ = false;
};

}  // namespace roulette::chaos
