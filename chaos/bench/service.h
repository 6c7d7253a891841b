// What a whole cluster pays out a second, and what each withdrawal costs its processes: from the
// records of an ordinary run whose load was measured.
//
// Invariant: a withdrawal counts when the node took it inside the window and the chain holds it at
// settle depth at the end; a run that is no `pass`, or a window in which nothing was paid, is an
// error and never an empty row. CPU is that of the same window. Nothing is judged here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "chaos/check/verdict.h"
#include "chaos/live/supervisor.h"

namespace roulette::chaos::bench {

struct ServiceSetup {
  std::uint32_t clients = 8;
  std::uint16_t signers = 5;
  std::uint32_t commit_delay_ms = 0;  // of journals and tables, not of etcd
  [[nodiscard]] std::uint16_t threshold() const {
    return static_cast<std::uint16_t>(signers / 2 + 1);
  }
};

// User and system time so far. Of roles by name, all processes of one together.
struct CpuSample {
  std::map<std::string, double> role_us;
  double own_us = 0;       // of the tool: clients, miner, supervisor
  std::string unreadable;  // a process that had no figure
};
[[nodiscard]] CpuSample sample_cpu(const Supervisor& processes);

struct ServiceRow {
  ServiceSetup setup;
  double seconds = 0;                      // of the window
  std::uint64_t paid = 0, accepted = 0;    // inside it
  std::uint64_t behind = 0;                // accepted and not yet at the node as it ended
  std::uint64_t settled = 0;               // of the whole run
  double inputs = 0;                       // signatures a withdrawal
  double share_min_ms = 0;                   // session to first share, the quickest of the run
  check::Quantiles answer_ms, broadcast_ms;  // of requests made inside it, however long they took
  std::map<std::string, double> role_cpu_us;  // a withdrawal
  double load_cpu_us = 0;                     // the tool's, a withdrawal
  [[nodiscard]] double per_second() const { return static_cast<double>(paid) / seconds; }
  [[nodiscard]] double cpu_us() const;  // of all roles
};

// The experiment of a row, as the text that the run folder keeps.
[[nodiscard]] std::string service_experiment(const ServiceSetup& setup, std::uint32_t warm_up_s,
                                             std::uint32_t seconds);
// `before`, `after`: at the two ends of the window, which are the run's `disturbed` and `drain`.
[[nodiscard]] Result<ServiceRow> service_row(const ServiceSetup& setup, const std::string& run_dir,
                                             const check::Verdict& verdict,
                                             const CpuSample& before, const CpuSample& after);

// Withdrawals a second that `cores` could pay at most, by the row with 8 clients, the default
// number of signers and no delay; nothing without one.
[[nodiscard]] std::optional<double> service_ceiling(const std::vector<ServiceRow>& rows,
                                                    unsigned cores);

}  // namespace roulette::chaos::bench
