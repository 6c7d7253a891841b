// Counters, gauges and histograms of one process, printed in the Prometheus text format.
//
// Invariant: references that this class returns stay valid as long as it lives; asking again for
// the same name and labels returns the same instrument. prometheus-cpp stays in the .cpp. No
// thread, no socket: a host serves text() at /metrics.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roulette::runtime {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void increment(double by = 1);
  void follow(double total);  // a count that somebody else keeps; it never falls
  [[nodiscard]] double value() const;

 private:
  friend class Metrics;
  void* counter_ = nullptr;  // prometheus::Counter
};

class Gauge {
 public:
  void set(double value);
  void add(double by);
  [[nodiscard]] double value() const;

 private:
  friend class Metrics;
  void* gauge_ = nullptr;  // prometheus::Gauge
};

class Histogram {
 public:
  void observe(double value);

 private:
  friend class Metrics;
  void* histogram_ = nullptr;  // prometheus::Histogram
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Names as `roulette_journal_commit_seconds`; a name that Prometheus refuses ends the process.
  // Keep the reference where it is used often: a look-up builds strings.
  [[nodiscard]] Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  [[nodiscard]] Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  [[nodiscard]] Histogram& histogram(std::string_view name, std::string_view help,
                                     std::vector<double> buckets, Labels labels = {});
  // Buckets for latencies in seconds, 50 us to 5 s.
  [[nodiscard]] static std::vector<double> latency_buckets();

  [[nodiscard]] std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace roulette::runtime
