// The replica's figures for /metrics, and the highest values that `limits` events report.
//
// Invariant: gauges are the machine's own counts at the moment of asking; a peak is the highest
// value seen at the end of any batch since start.
#pragma once

#include <cstdint>
#include <string>

#include "common/runtime/event_log.h"
#include "common/runtime/metrics.h"
#include "ledger/core/ledger.h"
#include "ledger/log/replicated_log.h"

namespace roulette::ledger {

class LedgerMetrics {
 public:
  LedgerMetrics();

  [[nodiscard]] runtime::Metrics& registry() { return registry_; }
  void message(const char* name);
  void dropped(const std::string& why);
  void proposed(std::size_t commands, Duration time, ProposeOutcome outcome);
  void tables_written(Duration time);
  void applied(const WriteTables& entry);  // one that was not in the log when this process started
  void observe_peaks(const Gauges& gauges);
  [[nodiscard]] std::string text(const Gauges& gauges, const LogCounters& log, bool ready);
  [[nodiscard]] runtime::EventFields limits() const;

 private:
  void set(const char* name, const char* help, double value);
  void count(const char* name, const char* help, std::uint64_t total);
  runtime::Metrics registry_;
  runtime::Histogram& batch_commands_;
  runtime::Histogram& commit_seconds_;
  runtime::Histogram& tables_seconds_;
  runtime::Counter& blocks_connected_;
  runtime::Counter& blocks_disconnected_;
  runtime::Counter& reorgs_;
  bool disconnecting_ = false;  // the last block fact took a block away
  Gauges peaks_;
};

}  // namespace roulette::ledger
