// The replica's live host: executes the machine's effects over TLS, etcd and SQLite, one by one.
//
// Invariant: effects are executed in the machine's order; the tables are written in one transaction
// at the end of each batch of events, and a failed one ends the process; after Stop nothing is
// served and the exit code is 70. It decides nothing that the machine could decide (DESIGN 4).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/entropy.h"
#include "common/runtime/event_log.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/http_server.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/process.h"
#include "common/runtime/tls_transport.h"
#include "ledger/app/ledger_metrics.h"
#include "ledger/app/settings.h"
#include "ledger/app/tables.h"
#include "ledger/core/ledger.h"
#include "ledger/log/replicated_log.h"

namespace roulette::ledger {

class LiveLedger {
 public:
  // What main() made; all outlive the host.
  struct Environment {
    runtime::EventLoop& loop;
    runtime::KillPoints& points;
    runtime::EventLog& log;
    EntropySource& entropy;
    BootId boot;
  };
  LiveLedger(Environment environment, Settings settings);
  ~LiveLedger();
  LiveLedger(const LiveLedger&) = delete;
  LiveLedger& operator=(const LiveLedger&) = delete;

  // Tables, machine, listeners, log. After an error nothing was announced.
  [[nodiscard]] Status start();
  // Serves until it is told to stop; the process's exit code.
  [[nodiscard]] int run();
  // SIGTERM: finish what is in flight, then leave.
  void begin_shutdown();

 private:
  struct Peer {
    ProcessName name;
    bool greeted = false;
  };

  [[nodiscard]] Status open_tables();
  [[nodiscard]] Status open_transport();
  [[nodiscard]] Status open_http();
  [[nodiscard]] Status open_log();
  [[nodiscard]] Result<std::unique_ptr<ReplicatedLog>> make_log();
  [[nodiscard]] Result<std::unique_ptr<ReplicatedLog>> make_etcd_log();

  void on_connected(ConnectionId id, ProcessName name);
  void on_frame(ConnectionId id, ByteSpan payload);
  void on_greeting(ConnectionId id, Peer& peer, const wire::Hello& hello);
  void on_lost(ConnectionId id);
  void drop(ConnectionId id, const std::string& reason);
  void on_entry(std::uint64_t index, std::vector<wire::Command> commands);

  void step(const Event& event);
  void execute(std::vector<Effect>& effects);
  void perform(const Propose& effect);
  void perform(const ReadBarrier& effect);
  void perform(const Send& effect);
  void perform(WriteTables& effect);
  void perform(const StoreChunk& effect);
  void perform(const StoreManifest& effect);
  void perform(const ReadSnapshot& effect);
  void perform(const TrimLog& effect);
  void perform(const FollowLog& effect);
  void perform(const RestoreTables& effect);
  void perform(const ReadinessChanged& effect);
  void perform(const Stop& effect);
  void perform(const Drained& effect);
  // What an order of the snapshot kinds came to: point, record, event.
  [[nodiscard]] ReplicatedLog::DoneCallback snapshot_done(std::uint64_t order, const char* subject,
                                                          runtime::EventFields fields);
  [[noreturn]] void tables_failed(const Error& error);
  [[noreturn]] void log_failed(const Error& error);
  void record_digest(const WriteTables& entry);
  void end_of_batch();
  void write_tables(bool at_stop);

  void finish_when_sent();
  void stop(int exit_code, bool drained);
  [[nodiscard]] std::string wallet_json() const;
  void answer_http(const runtime::HttpRequest& request, const runtime::HttpResponder& respond);
  void tick();

  Environment env_;
  Settings settings_;
  LedgerMetrics metrics_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<Ledger> machine_;
  std::unique_ptr<ReplicatedLog> log_;
  std::unique_ptr<runtime::TlsTransport> transport_;
  std::unique_ptr<runtime::HttpServer> http_;
  runtime::Timer deadline_timer_;
  runtime::Timer drain_timer_;
  runtime::Timer tick_timer_;
  runtime::Timer flush_timer_;
  runtime::Timer tables_timer_;
  std::map<ConnectionId, Peer> peers_;
  std::vector<WriteTables> unwritten_;
  std::string not_ready_ = "starting";  // empty: ready
  bool restored_ = false;               // was ready once
  bool announcing_ = false;             // inside the first announcement
  bool draining_ = false;
  bool drained_ = false;
  bool stopped_drained_ = false;
  int exit_code_ = 0;
};

}  // namespace roulette::ledger
