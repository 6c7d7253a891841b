// See ledger_metrics.h.
#include "ledger/app/ledger_metrics.h"

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::ledger {
namespace {

double in_seconds(Duration span) {
  return static_cast<double>(span.us) / 1e6;
}

const char* name_of(ProposeOutcome outcome) {
  switch (outcome) {
    case ProposeOutcome::Accepted:
      return "accepted";
    case ProposeOutcome::NotLeader:
      return "not-leader";
    case ProposeOutcome::NoSpace:
      return "no-space";
    case ProposeOutcome::Unknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace

LedgerMetrics::LedgerMetrics()
    : batch_commands_(registry_.histogram("roulette_ledger_batch_commands", "Commands per proposal",
                                          {1, 2, 4, 8, 16, 32, 64})),
      commit_seconds_(registry_.histogram("roulette_ledger_commit_seconds",
                                          "From a proposal to its outcome",
                                          runtime::Metrics::latency_buckets())),
      tables_seconds_(registry_.histogram("roulette_ledger_tables_seconds",
                                          "One transaction of the tables",
                                          runtime::Metrics::latency_buckets())) {}

void LedgerMetrics::message(const char* name) {
  registry_.counter("roulette_ledger_messages_total", "Messages taken", {{"message", name}})
      .increment();
}

void LedgerMetrics::dropped(const std::string& why) {
  registry_.counter("roulette_ledger_dropped_total", "Messages not taken", {{"why", why}})
      .increment();
}

void LedgerMetrics::proposed(std::size_t commands, Duration time, ProposeOutcome outcome) {
  batch_commands_.observe(static_cast<double>(commands));
  commit_seconds_.observe(in_seconds(time));
  registry_
      .counter("roulette_ledger_proposals_total", "Proposals by outcome",
               {{"outcome", name_of(outcome)}})
      .increment();
}

void LedgerMetrics::tables_written(Duration time) {
  tables_seconds_.observe(in_seconds(time));
}

void LedgerMetrics::observe_peaks(const Gauges& gauges) {
  peaks_.queued_commands = std::max(peaks_.queued_commands, gauges.queued_commands);
  peaks_.waiting_requests = std::max(peaks_.waiting_requests, gauges.waiting_requests);
  peaks_.waiting_reads = std::max(peaks_.waiting_reads, gauges.waiting_reads);
}

void LedgerMetrics::set(const char* name, const char* help, double value) {
  registry_.gauge(name, help).set(value);
}

std::string LedgerMetrics::text(const Gauges& gauges, const LogCounters& log, bool ready) {
  const auto number = [](auto value) { return static_cast<double>(value); };
  set("roulette_ready", "1 while this process serves", ready ? 1 : 0);
  set("roulette_ledger_index", "Index of the last applied entry", number(gauges.index));
  set("roulette_ledger_lag", "Entries known to exist and not applied here",
      number(gauges.known_head - gauges.index));
  set("roulette_ledger_queued_commands", "Commands on their way into the log",
      number(gauges.queued_commands));
  set("roulette_ledger_waiting_requests", "Coordinators' commands without an answer",
      number(gauges.waiting_requests));
  set("roulette_ledger_waiting_reads", "Reads without an answer", number(gauges.waiting_reads));
  set("roulette_ledger_withdrawals", "Withdrawals in the books", number(gauges.withdrawals));
  set("roulette_ledger_refused_messages", "Messages of a wrong kind or over a bound",
      number(gauges.dropped));
  set("roulette_ledger_snapshot_index", "Index of the newest snapshot stored or loaded here",
      number(gauges.newest_snapshot));
  set("roulette_ledger_trimmed_to", "Entries up to this index were removed by this replica",
      number(gauges.trimmed_to));
  set("roulette_ledger_snapshots_given_up", "Snapshots begun here and not finished",
      number(gauges.snapshots_given_up));
  set("roulette_ledger_log_no_space", "Proposals answered with a full store",
      number(log.no_space));
  set("roulette_ledger_log_failovers", "Changes of the etcd member asked", number(log.failovers));
  set("roulette_ledger_log_subscriptions", "Times the log was followed anew",
      number(log.subscriptions));
  return registry_.text();
}

runtime::EventFields LedgerMetrics::limits() const {
  runtime::EventFields fields;
  fields.add("queued_commands", peaks_.queued_commands)
      .add("queued_commands_bound", limits::kMaxQueuedCommands)
      .add("waiting_requests", peaks_.waiting_requests)
      .add("waiting_requests_bound", limits::kMaxQueuedCommands)
      .add("queued_reads", peaks_.waiting_reads)
      .add("queued_reads_bound", limits::kMaxQueuedReads);
  return fields;
}

}  // namespace roulette::ledger
