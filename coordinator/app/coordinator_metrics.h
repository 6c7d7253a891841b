// The coordinator's figures for /metrics, and the highest values that `limits` events report.
//
// Invariant: counters follow the machine's own counts, so /metrics and the records cannot disagree;
// a peak is the highest value seen at the end of any batch since start.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "common/runtime/event_log.h"
#include "common/runtime/metrics.h"
#include "coordinator/app/node_client.h"
#include "coordinator/core/coordinator.h"

namespace roulette::coordinator {

class CoordinatorMetrics {
 public:
  CoordinatorMetrics();

  [[nodiscard]] runtime::Metrics& registry() { return registry_; }
  void answered(const char* kind, int status, Duration since_arrival);
  void dropped(const std::string& why);      // a message or greeting not accepted
  void refused(const char* reason);          // by a signer
  void nodes(std::size_t count);             // so many will be called: their series exist from now
  void called_node(const NodeCallFacts& call);
  void sent_to_node(const char* outcome, Duration took);  // one transaction, all tries
  // At the end of a batch: how long a tip of the node takes into the ledger.
  void observe_heights(Instant now, const Gauges& gauges);
  void observe_peaks(const Gauges& gauges);  // at the end of a batch
  [[nodiscard]] std::string text(const Gauges& gauges, bool ready);
  [[nodiscard]] runtime::EventFields limits() const;

 private:
  void set(const char* name, const char* help, double value);
  void count(const char* name, const char* help, std::uint64_t total);

  struct Peaks {
    std::size_t open_requests = 0, signing = 0, most_outstanding = 0, sends_in_flight = 0;
  };
  runtime::Metrics registry_;
  Peaks peaks_;
  std::int64_t newest_height_ = 0;          // highest that the node said
  std::deque<std::pair<std::int64_t, Instant>> awaited_;  // heights that the ledger lacks, since
};

}  // namespace roulette::coordinator
