// The signer's figures for /metrics, and the highest values that `limits` events report.
//
// Invariant: counters follow the machine's own counts, so /metrics and the records cannot disagree;
// a peak is the highest value seen at the end of any batch since start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/runtime/event_log.h"
#include "common/runtime/metrics.h"
#include "signer/core/signer.h"

namespace roulette::signer {

class SignerMetrics {
 public:
  SignerMetrics();

  [[nodiscard]] runtime::Metrics& registry() { return registry_; }
  void message(const char* name);            // one accepted message
  void dropped(const std::string& why);      // one message or greeting that was not accepted
  void answered(Duration since_request);     // one sign request, refused or signed
  void observe_peaks(const Gauges& gauges);  // at the end of a batch
  void key_lost();                           // the key went out of reach, as a look at it found
  // `asked`: sign requests without an answer; `key`: it is at hand.
  [[nodiscard]] std::string text(const Gauges& gauges, std::size_t asked, bool key, bool ready);
  [[nodiscard]] runtime::EventFields limits() const;

 private:
  void set(const char* name, const char* help, double value);
  void count(const char* name, const char* help, std::uint64_t total,
             const runtime::Labels& labels = {});

  struct Peaks {
    std::size_t pool = 0, pending = 0, kept = 0, connections = 0, waiting = 0;
  };
  runtime::Metrics registry_;
  runtime::Histogram& request_seconds_;
  Peaks peaks_;
};

}  // namespace roulette::signer
