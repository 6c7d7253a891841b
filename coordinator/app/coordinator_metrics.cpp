// Figures and peaks: see coordinator_metrics.h.
//
// Invariant: every name begins with roulette_coordinator_; times are in seconds.
#include "coordinator/app/coordinator_metrics.h"

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::coordinator {

namespace {

constexpr std::size_t kMostAwaited = 64;  // a ledger farther behind is measured from then on

double in_seconds(Duration span) {
  return static_cast<double>(span.us) / 1e6;
}

// By its key in the configuration.
const char* node_label(std::size_t node) {
  return node == 0 ? "node" : "fallback_node";
}

constexpr char kCallSeconds[] = "roulette_coordinator_node_call_seconds";
constexpr char kCallSecondsHelp[] = "One JSON-RPC call of a node to its answer or time-out";
constexpr char kCallErrors[] = "roulette_coordinator_node_call_errors_total";
constexpr char kCallErrorsHelp[] =
    "JSON-RPC calls without a usable answer; a refused transaction is an answer";
constexpr char kToMempool[] = "roulette_coordinator_send_to_mempool_seconds";
constexpr char kToMempoolHelp[] = "From sending a transaction to the node's acceptance";
constexpr char kTipSeconds[] = "roulette_coordinator_tip_to_ledger_seconds";
constexpr char kTipSecondsHelp[] = "From a height first seen at the node to the ledger's tip there";

}  // namespace

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

void CoordinatorMetrics::nodes(std::size_t count) {
  const auto buckets = runtime::Metrics::latency_buckets();
  for (std::size_t node = 0; node < count; ++node)
    for (const char* method : kNodeMethods) {
      (void)registry_.histogram(kCallSeconds, kCallSecondsHelp, buckets,
                                {{"node", node_label(node)}, {"method", method}});
      for (const char* error : kNodeErrors)
        (void)registry_.counter(
            kCallErrors, kCallErrorsHelp,
            {{"node", node_label(node)}, {"method", method}, {"error", error}});
    }
  (void)registry_.histogram(kToMempool, kToMempoolHelp, buckets);
  (void)registry_.histogram(kTipSeconds, kTipSecondsHelp, buckets);
}

void CoordinatorMetrics::called_node(const NodeCallFacts& call) {
  registry_
      .histogram(kCallSeconds, kCallSecondsHelp, runtime::Metrics::latency_buckets(),
                 {{"node", node_label(call.node)}, {"method", call.method}})
      .observe(in_seconds(call.took));
  if (call.error == nullptr) return;
  registry_
      .counter(kCallErrors, kCallErrorsHelp,
               {{"node", node_label(call.node)}, {"method", call.method}, {"error", call.error}})
      .increment();
}

void CoordinatorMetrics::observe_heights(Instant now, const Gauges& gauges) {
  if (gauges.node_height > newest_height_) {
    // At the start all heights are new, and how long they waited is not known.
    if (newest_height_ > 0 && awaited_.size() < kMostAwaited)
      awaited_.emplace_back(gauges.node_height, now);
    newest_height_ = gauges.node_height;
  }
  for (; !awaited_.empty() && awaited_.front().first <= gauges.ledger_height; awaited_.pop_front())
    registry_.histogram(kTipSeconds, kTipSecondsHelp, runtime::Metrics::latency_buckets())
        .observe(in_seconds(now - awaited_.front().second));
}

void CoordinatorMetrics::sent_to_node(const char* outcome, Duration took) {
  if (outcome == std::string_view("accepted"))
    registry_.histogram(kToMempool, kToMempoolHelp, runtime::Metrics::latency_buckets())
        .observe(in_seconds(took));
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

void CoordinatorMetrics::count(const char* name, const char* help, std::uint64_t total) {
  registry_.counter(name, help).follow(static_cast<double>(total));
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
  set("roulette_coordinator_pending_withdrawals", "Withdrawals neither settled nor rejected",
      number(now.unfinished));
  set("roulette_coordinator_open_sessions", "Signing sessions without a result",
      number(now.open_sessions));
  set("roulette_coordinator_pooled_nonces", "Public nonces at hand, all signers",
      number(now.pooled_nonces));
  set("roulette_coordinator_pending_commands", "Own commands and reads without the ledger's answer",
      number(now.pending_commands));
  set("roulette_coordinator_ledger_height_blocks", "Block height of the ledger's chain tip",
      number(now.ledger_height));
  set("roulette_coordinator_node_height_blocks", "Block height of the node's chain tip",
      number(now.node_height));
  set("roulette_coordinator_height_lag_blocks", "Blocks of the node that the ledger lacks",
      number(std::max<std::int64_t>(0, now.node_height - now.ledger_height)));
  set("roulette_coordinator_busiest_signer_requests",
      "Sign requests without an answer, of the busiest signer", number(now.most_outstanding));
  count("roulette_coordinator_sessions_total", "Signing sessions opened", now.sessions);
  count("roulette_coordinator_signatures_total", "Transactions signed", now.signatures);
  count("roulette_coordinator_signer_timeouts_total",
        "Signers' answers that were not there when a session's patience ended",
        now.signer_timeouts);
  return registry_.text();
}

}  // namespace roulette::coordinator
