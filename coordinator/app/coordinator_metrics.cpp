// Figures and peaks: see coordinator_metrics.h.
//
// Invariant: every name begins with roulette_coordinator_; times are in seconds.
#include "coordinator/app/coordinator_metrics.h"

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::coordinator {

CoordinatorMetrics::CoordinatorMetrics() = default;

void CoordinatorMetrics::answered(const char* kind, int status, Duration since_arrival) {
  registry_
      .counter("roulette_coordinator_requests_total", "Answered client requests",
               {{"kind", kind}, {"status", std::to_string(status)}})
      .increment();
  registry_
      .histogram("roulette_coordinator_request_seconds", "From a request's arrival to its answer",
                 runtime::Metrics::latency_buckets(), {{"kind", kind}})
      .observe(static_cast<double>(since_arrival.us) / 1e6);
}

void CoordinatorMetrics::dropped(const std::string& why) {
  registry_
      .counter("roulette_coordinator_dropped_total", "Messages and greetings not accepted",
               {{"reason", why}})
      .increment();
}

void CoordinatorMetrics::refused(const char* reason) {
  registry_
      .counter("roulette_coordinator_refusals_total", "Sign requests that signers refused",
               {{"reason", reason}})
      .increment();
}

void CoordinatorMetrics::sent_to_node(const char* outcome) {
  registry_
      .counter("roulette_coordinator_broadcasts_total", "Transactions sent to the node",
               {{"outcome", outcome}})
      .increment();
}

void CoordinatorMetrics::observe_peaks(const Gauges& gauges) {
  peaks_.open_requests = std::max(peaks_.open_requests, gauges.open_requests);
  peaks_.signing = std::max(peaks_.signing, gauges.signing);
  peaks_.most_outstanding = std::max(peaks_.most_outstanding, gauges.most_outstanding);
  peaks_.sends_in_flight = std::max(peaks_.sends_in_flight, gauges.sends_in_flight);
}

runtime::EventFields CoordinatorMetrics::limits() const {
  runtime::EventFields fields;
  fields.add("open_requests", peaks_.open_requests)
      .add("open_requests_bound", limits::kMaxOpenRequests)
      .add("signing_withdrawals", peaks_.signing)
      .add("signing_withdrawals_bound", limits::kMaxSigningWithdrawals)
      .add("outstanding_per_signer", peaks_.most_outstanding)
      .add("outstanding_per_signer_bound", limits::kMaxOutstandingPerSigner)
      .add("sends_in_flight", peaks_.sends_in_flight)
      .add("sends_in_flight_bound", limits::kMaxSendsInFlight);
  return fields;
}

void CoordinatorMetrics::set(const char* name, const char* help, double value) {
  registry_.gauge(name, help).set(value);
}

std::string CoordinatorMetrics::text(const Gauges& now, bool ready) {
  const auto number = [](auto value) { return static_cast<double>(value); };
  set("roulette_coordinator_ready", "1 while new withdrawals are accepted", ready ? 1 : 0);
  set("roulette_coordinator_ready_signers", "Signers known and answering",
      number(now.known_signers));
  set("roulette_coordinator_quarantined_signers",
      "Signers whose journal does not hold what the ledger keeps", number(now.quarantined.size()));
  set("roulette_coordinator_open_requests", "Client requests without an answer",
      number(now.open_requests));
  set("roulette_coordinator_unfinished", "Withdrawals neither settled nor rejected",
      number(now.unfinished));
  set("roulette_coordinator_open_sessions", "Signing sessions without a result",
      number(now.open_sessions));
  set("roulette_coordinator_pooled_nonces", "Public nonces at hand, all signers",
      number(now.pooled_nonces));
  set("roulette_coordinator_pending_commands", "Own commands and reads without the ledger's answer",
      number(now.pending_commands));
  set("roulette_coordinator_ledger_height", "Block height of the ledger's chain tip",
      number(now.ledger_height));
  set("roulette_coordinator_node_height", "Block height of the node's chain tip",
      number(now.node_height));
  set("roulette_coordinator_sessions", "Signing sessions opened since start", number(now.sessions));
  set("roulette_coordinator_signatures", "Transactions signed since start", number(now.signatures));
  return registry_.text();
}

}  // namespace roulette::coordinator
