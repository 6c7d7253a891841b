// What the supervisor knows and no daemon can: starts, restarts, exits, who is up, and how long it
// takes until all are up again.
//
// Invariant: fed from the supervisor's own records, at the moments at which it writes them; every
// process that is defined has its series from then on. Serves nothing: see app/session.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/runtime/metrics.h"

namespace roulette::chaos {

class SupervisorMetrics {
 public:
  [[nodiscard]] runtime::Metrics& registry() { return registry_; }
  void defined(ProcessName name);
  void spawned(ProcessName name, Instant now);
  void up(ProcessName name, bool up, Instant now);
  void exited(ProcessName name, bool asked);
  void resident(ProcessName name, std::uint64_t peak_kib);
  [[nodiscard]] std::string text() const { return registry_.text(); }

 private:
  struct Life {
    bool up = false;
    std::uint64_t starts = 0;
    std::optional<Instant> starting;  // since when, until it is up
  };
  [[nodiscard]] bool steady() const;

  runtime::Metrics registry_;
  std::map<ProcessName, Life> lives_;
  std::optional<Instant> unsteady_since_;
  bool was_steady_ = false;
};

}  // namespace roulette::chaos
