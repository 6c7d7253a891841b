// Carries a schedule out: arms points, sends signals, collects the proof of each fault, recovers
// the victims.
//
// Invariants: a signal leaves only while the blast radius holds (or the rule declares that it goes
// over); a fault counts as fired only with the proof of its kind (DESIGN 5); every scheduled
// instance ends as exactly one line a victim in faults.ndjson, the ones that never fired with the
// reason. Whether that suffices is the verdict's business.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chaos/live/supervisor.h"
#include "chaos/plan/schedule.h"

namespace roulette::chaos {

inline constexpr std::uint32_t kRecoverWhenTold = UINT32_MAX;

class FaultEngine {
 public:
  struct Hooks {
    // Starts a process again with these lines in its control channel (cluster.h knows how).
    std::function<Status(ProcessName, const std::vector<std::string>& control_lines)> restart;
    // Around a fault of a node: writes `node_height` to the tool's log. May be empty.
    std::function<void(ProcessName node, const std::string& why)> note_node_height;
    // What a running replica will be put back to by take_records(RolledBack).
    std::function<Status(ProcessName)> keep_records;
    // Of a process that is down: wiped or put back, as RecoverHow says (DESIGN 5).
    std::function<Status(ProcessName, RecoverHow, std::uint64_t fault_id)> take_records;
    // Makes a signer's token fail in this way, or (nothing) no longer.
    std::function<Status(ProcessName, std::optional<Signal>)> set_token = {};
    // How many calls the token's module says it answered so, within a time: its own record.
    std::function<std::uint64_t(ProcessName, Signal, Instant from, Instant to)> token_calls = {};
  };

  FaultEngine(runtime::EventLoop& loop, runtime::EventLog& log, Supervisor& supervisor,
              const Experiment& experiment, const Schedule& schedule, Hooks hooks);
  ~FaultEngine();

  // The load began: everything scheduled is relative to `began`.
  void begin(Instant began);
  // What a process must find armed when it starts (points still armed for it).
  [[nodiscard]] std::vector<std::string> control_lines(ProcessName name) const;

  // It ended so because a fault of its token under way let a call hang: no unasked exit.
  [[nodiscard]] bool may_end(ProcessName name, const ExitFacts& facts) const;
  // Fed by the supervisor's hooks.
  void on_exit(ProcessName name, const ExitFacts& facts);
  void on_hit(ProcessName name, const HitFacts& facts);
  void on_seen(ProcessName name, std::uint32_t arm_id);
  void on_ready(ProcessName name, bool ready, const std::string& reason);
  void on_event(ProcessName name, const std::string& event);
  void on_stop_continue(ProcessName name, bool stopped);

  // One more instance, outside the schedule, that strikes now, whatever the blast radius: at the
  // hit of a point that the caller armed (its process is released here, or dies), or untimed.
  // `recover.after_ms == kRecoverWhenTold` keeps the victims away until recover_now().
  void strike(const FaultInstance& plan, const std::optional<HitFacts>& hit);
  void recover_now();
  [[nodiscard]] std::vector<FaultInstance> unscheduled() const;  // by strike(), in order
  // Every victim of this instance was struck and shows the proof of its kind (DESIGN 5).
  [[nodiscard]] bool proven(std::uint32_t fault_id) const;

  // Disarms and cancels what has not fired. Recoveries under way go on.
  void end();
  // No victim is on its way back.
  [[nodiscard]] bool settled() const;
  // Victims declared lost (`recover: none`).
  [[nodiscard]] std::vector<ProcessName> lost() const;
  [[nodiscard]] std::size_t fired() const;
  // The lines of faults.ndjson, header included. Complete once settled().
  [[nodiscard]] std::vector<std::string> records() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace roulette::chaos
