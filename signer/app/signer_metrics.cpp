// Figures and peaks: see signer_metrics.h.
//
// Invariant: every name begins with roulette_signer_; times are in seconds.
#include "signer/app/signer_metrics.h"

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::signer {
namespace {

// A share that cannot be opened ends the process before it serves: whoever started it counts that.
constexpr char kKeyErrors[] = "roulette_signer_key_errors_total";
constexpr char kKeyErrorsHelp[] =
    "Key out of reach (lost: the token went away; refused: a request met that), or a share that "
    "failed its own check (self-check)";

}  // namespace

SignerMetrics::SignerMetrics()
    : request_seconds_(registry_.histogram(
          "roulette_signer_request_seconds",
          "From a sign request's arrival to its answer, the journal's commit included",
          runtime::Metrics::latency_buckets())) {}

void SignerMetrics::message(const char* name) {
  registry_
      .counter("roulette_signer_messages_total", "Messages of coordinators, by name",
               {{"message", name}})
      .increment();
}

void SignerMetrics::dropped(const std::string& why) {
  registry_
      .counter("roulette_signer_dropped_total", "Messages and greetings not accepted",
               {{"reason", why}})
      .increment();
}

void SignerMetrics::answered(Duration since_request) {
  request_seconds_.observe(static_cast<double>(since_request.us) / 1e6);
}

void SignerMetrics::key_lost() {
  registry_.counter(kKeyErrors, kKeyErrorsHelp, {{"error", "lost"}}).increment();
}

void SignerMetrics::observe_peaks(const Gauges& gauges) {
  peaks_.pool = std::max(peaks_.pool, gauges.largest_pool);
  peaks_.pending = std::max(peaks_.pending, gauges.largest_pending);
  peaks_.kept = std::max(peaks_.kept, gauges.kept_responses);
  peaks_.connections = std::max(peaks_.connections, gauges.connections);
  peaks_.waiting = std::max(peaks_.waiting, gauges.waiting_sends);
}

runtime::EventFields SignerMetrics::limits() const {
  runtime::EventFields fields;
  fields.add("pooled_nonces", peaks_.pool)
      .add("pooled_nonces_bound", limits::kNoncePoolPerConnection)
      .add("pending_shares", peaks_.pending)
      .add("pending_shares_bound", limits::kPendingSharesPerConnection)
      .add("kept_responses", peaks_.kept)
      .add("kept_responses_bound", limits::kRetryResponses)
      .add("connections", peaks_.connections)
      .add("connections_bound", limits::kSignerConnections)
      .add("waiting_sends", peaks_.waiting)
      .add("waiting_sends_bound", limits::kWaitingSendsPerConnection * limits::kSignerConnections);
  return fields;
}

void SignerMetrics::set(const char* name, const char* help, double value) {
  registry_.gauge(name, help).set(value);
}

void SignerMetrics::count(const char* name, const char* help, std::uint64_t total,
                          const runtime::Labels& labels) {
  runtime::Counter& counter = registry_.counter(name, help, labels);
  counter.follow(static_cast<double>(total));
}

std::string SignerMetrics::text(const Gauges& now, std::size_t asked, bool key, bool ready) {
  set("roulette_signer_queue_depth_requests", "Sign requests without an answer",
      static_cast<double>(asked));
  set("roulette_signer_key_available", "1 while the share is open or the token signs",
      key ? 1 : 0);
  const auto away = std::find_if(now.refusals.begin(), now.refusals.end(), [](const auto& r) {
    return r.first == wire::RefusalReason::KeyUnavailable;
  });
  (void)registry_.counter(kKeyErrors, kKeyErrorsHelp, {{"error", "lost"}});
  count(kKeyErrors, kKeyErrorsHelp, away == now.refusals.end() ? 0 : away->second,
        {{"error", "refused"}});
  count(kKeyErrors, kKeyErrorsHelp, now.failed_shares, {{"error", "self-check"}});
  set("roulette_signer_ready", "1 while new sessions are accepted", ready ? 1 : 0);
  set("roulette_signer_connections", "Coordinators connected",
      static_cast<double>(now.connections));
  set("roulette_signer_pooled_nonces", "Unused secret nonces over all connections",
      static_cast<double>(now.pooled_nonces));
  set("roulette_signer_pending_shares", "Shares waiting for their record to be durable",
      static_cast<double>(now.pending_shares));
  set("roulette_signer_bound_outpoints", "Outpoints bound to a transaction for ever",
      static_cast<double>(now.bound_outpoints));
  set("roulette_signer_kept_responses", "Answers kept for exact retries",
      static_cast<double>(now.kept_responses));
  set("roulette_signer_journal_length", "Records in the journal",
      static_cast<double>(now.journal_length));
  for (const auto reason : {wire::JournalStanding::Missing, wire::JournalStanding::RolledBack,
                            wire::JournalStanding::Forked})
    registry_
        .gauge("roulette_signer_quarantined", "1 for the reason that keeps the signer from signing",
               {{"reason", wire::standing_name(reason)}})
        .set(now.standing == reason ? 1 : 0);
  count("roulette_signer_shares_total", "Shares computed, one per input", now.shares);
  count("roulette_signer_self_checks_total", "Own shares verified before release", now.self_checks);
  count("roulette_signer_failed_shares_total", "Shares that failed their own check",
        now.failed_shares);
  count("roulette_signer_retries_total", "Exact retries answered from memory",
        now.retries_answered);
  count("roulette_signer_nonces_total", "Secret nonces made", now.nonces_made);
  count("roulette_signer_nonces_evicted_total", "Nonces of full pools that gave way",
        now.nonces_evicted);
  for (const auto& [reason, total] : now.refusals)
    count("roulette_signer_refusals_total", "Refused sign requests, by reason", total,
          {{"reason", wire::refusal_name(reason)}});
  return registry_.text();
}

}  // namespace roulette::signer
