// One cell of the matrix on a living cluster: provoke the point, strike at the hit, see what the
// others do, heal, leave no trace.
//
// Invariant: a cell is `exercised` only with the proof of its fault and the outcome its row
// expects; what it leaves behind (`clean` false) ends the cluster's life. The invariants of the
// money are judged afterwards, over the records of the whole life.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chaos/app/cell_payments.h"
#include "chaos/app/matrix_cluster.h"
#include "chaos/plan/matrix_report.h"

namespace roulette::chaos {

class CellRun {
 public:
  CellRun(MatrixCluster& cluster, const Cell& cell);
  ~CellRun();

  [[nodiscard]] CellResult execute();
  [[nodiscard]] bool clean() const { return clean_; }

 private:
  // Each returns why the cell cannot go on; nothing when it can.
  using Trouble = std::optional<std::string>;
  Trouble reach_point();
  Trouble measure_passes(std::uint64_t arm_id);
  Trouble provoke();
  Trouble grow_log();
  Trouble restart(ProcessName name);
  Trouble ask_as_stranger();
  Trouble choose_victims();
  void strike();
  Trouble outcome();
  Trouble progress(Instant since, const std::string& when);
  Trouble refusal();
  [[nodiscard]] bool bring_back();  // the victims
  void leave_no_trace();
  void arm(const ProcessName& name, std::uint64_t remaining);
  void disarm_all();
  [[nodiscard]] bool on_hit(const ProcessName& name, const HitFacts& facts);
  [[nodiscard]] bool gone(const ProcessName& name) const;
  [[nodiscard]] bool everyone_serves() const;
  [[nodiscard]] bool held() const;
  void draw_others(std::vector<ProcessName> from, std::size_t count);
  void note(const char* moment);

  MatrixCluster& c_;
  Cell cell_;
  Supervisor& supervisor_;
  CellPayments payments_;
  std::uint32_t arm_id_ = 0, fault_id_ = 0, provocation_id_ = 0;
  std::uint64_t remaining_ = 1;
  std::set<ProcessName> armed_;
  std::optional<ProcessName> armed_at_start_;  // gets its arm when it is started
  std::optional<ProcessName> trigger_;
  std::optional<HitFacts> hit_;
  std::vector<ProcessName> victims_;
  std::vector<std::size_t> outstanding_, fresh_;
  bool clean_ = true;
};

}  // namespace roulette::chaos
