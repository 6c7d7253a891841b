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
                                          runtime::Metrics::latency_buckets())),
      blocks_connected_(registry_.counter("roulette_ledger_blocks_connected_total",
                                          "Blocks that the books took since start")),
      blocks_disconnected_(registry_.counter("roulette_ledger_blocks_disconnected_total",
                                             "Blocks that a reorganisation took away again")),
      reorgs_(registry_.counter("roulette_ledger_reorgs_total",
                                "Reorganisations: blocks taken away in a row count once")) {}

void LedgerMetrics::applied(const WriteTables& entry) {
  for (std::size_t i = 0; i < entry.commands.size(); ++i) {
    if (entry.outcomes[i].kind != wire::OutcomeKind::Applied) continue;
    const bool connected = std::holds_alternative<wire::BlockConnected>(entry.commands[i].body);
    const bool gone = std::holds_alternative<wire::BlockDisconnected>(entry.commands[i].body);
    if (!connected && !gone) continue;
    (connected ? blocks_connected_ : blocks_disconnected_).increment();
    if (gone && !disconnecting_) reorgs_.increment();
    disconnecting_ = gone;
  }
  for (const wire::WithdrawalView& view : entry.changed)
    registry_
        .counter("roulette_ledger_transitions_total", "Withdrawals that reached this state",
                 {{"state", wire::state_name(view.state)}})
        .increment();
}

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

void LedgerMetrics::count(const char* name, const char* help, std::uint64_t total) {
  registry_.counter(name, help).follow(static_cast<double>(total));
}

std::string LedgerMetrics::text(const Gauges& gauges, const LogCounters& log, bool ready) {
  const auto number = [](auto value) { return static_cast<double>(value); };
  set("roulette_ledger_ready", "1 while this process serves", ready ? 1 : 0);
  set("roulette_ledger_index", "Index of the last applied entry", number(gauges.index));
  set("roulette_ledger_lag_entries", "Entries known to exist and not applied here",
      number(gauges.known_head - gauges.index));
  set("roulette_ledger_queued_commands", "Commands on their way into the log",
      number(gauges.queued_commands));
  set("roulette_ledger_waiting_requests", "Coordinators' commands without an answer",
      number(gauges.waiting_requests));
  set("roulette_ledger_waiting_reads", "Reads without an answer", number(gauges.waiting_reads));
  set("roulette_ledger_withdrawals", "Withdrawals in the books", number(gauges.withdrawals));
  count("roulette_ledger_refused_messages_total", "Messages of a wrong kind or over a bound",
      gauges.dropped);
  count("roulette_ledger_unrequested_total", "Withdrawals that no listed client asked for",
        gauges.unrequested);
  set("roulette_ledger_snapshot_index", "Index of the newest snapshot stored or loaded here",
      number(gauges.newest_snapshot));
  set("roulette_ledger_trimmed_to", "Entries up to this index were removed by this replica",
      number(gauges.trimmed_to));
  count("roulette_ledger_snapshots_given_up_total", "Snapshots begun here and not finished",
        gauges.snapshots_given_up);
  count("roulette_ledger_log_no_space_total", "Proposals answered with a full store",
        log.no_space);
  count("roulette_ledger_log_failovers_total", "Changes of the etcd member asked", log.failovers);
  count("roulette_ledger_log_subscriptions_total", "Times the log was followed anew",
        log.subscriptions);
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
