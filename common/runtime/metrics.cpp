// The only file that includes prometheus-cpp.
//
// Invariant: one instrument per (name, labels); the wrappers point into the registry's families,
// which live as long as the registry.
#include "common/runtime/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <map>

namespace roulette::runtime {
namespace {

std::string key_of(std::string_view name, const Labels& labels) {
  std::string key(name);
  for (const auto& [label, value] : labels) {
    key.append("\n").append(label).append("=").append(value);
  }
  return key;
}

prometheus::Labels to_labels(const Labels& labels) { return {labels.begin(), labels.end()}; }

}  // namespace

struct Metrics::State {
  prometheus::Registry registry;
  std::map<std::string, Counter> counters;
  std::map<std::string, Gauge> gauges;
  std::map<std::string, Histogram> histograms;
};

void Counter::increment(double by) {
  static_cast<prometheus::Counter*>(counter_)->Increment(by);
}
void Counter::follow(double total) {
  if (total > value()) increment(total - value());
}
double Counter::value() const { return static_cast<prometheus::Counter*>(counter_)->Value(); }
void Gauge::set(double value) { static_cast<prometheus::Gauge*>(gauge_)->Set(value); }
void Gauge::add(double by) { static_cast<prometheus::Gauge*>(gauge_)->Increment(by); }
double Gauge::value() const { return static_cast<prometheus::Gauge*>(gauge_)->Value(); }
void Histogram::observe(double value) {
  static_cast<prometheus::Histogram*>(histogram_)->Observe(value);
}

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

// prometheus-cpp throws on a bad name and on one name with two types: our own bugs, so it is not
// caught and ends the process.
Counter& Metrics::counter(std::string_view name, std::string_view help, Labels labels) {
  Counter& counter = state_->counters[key_of(name, labels)];
  if (counter.counter_ == nullptr) {
    counter.counter_ = &prometheus::BuildCounter()
                            .Name(std::string(name))
                            .Help(std::string(help))
                            .Register(state_->registry)
                            .Add(to_labels(labels));
  }
  return counter;
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, Labels labels) {
  Gauge& gauge = state_->gauges[key_of(name, labels)];
  if (gauge.gauge_ == nullptr) {
    gauge.gauge_ = &prometheus::BuildGauge()
                        .Name(std::string(name))
                        .Help(std::string(help))
                        .Register(state_->registry)
                        .Add(to_labels(labels));
  }
  return gauge;
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help,
                              std::vector<double> buckets, Labels labels) {
  Histogram& histogram = state_->histograms[key_of(name, labels)];
  if (histogram.histogram_ == nullptr) {
    histogram.histogram_ = &prometheus::BuildHistogram()
                                .Name(std::string(name))
                                .Help(std::string(help))
                                .Register(state_->registry)
                                .Add(to_labels(labels), std::move(buckets));
  }
  return histogram;
}

std::vector<double> Metrics::latency_buckets() {
  return {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01,
          0.02,    0.05,   0.1,    0.2,    0.5,   1.0,   2.0,   5.0};
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace roulette::runtime
