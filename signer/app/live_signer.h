// The signer's live host: executes the machine's effects over TLS and SQLite, one by one.
//
// Invariant: a step's records are committed, in one transaction with all others of the batch,
// before RecordDurable is stepped; every record of evidence is written before the send it
// announces; a failed commit ends the process at once. It decides nothing that the machine could
// decide (DESIGN 4).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/entropy.h"
#include "common/runtime/event_log.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/http_server.h"
#include "common/runtime/journal.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/metrics.h"
#include "common/runtime/process.h"
#include "common/runtime/tls_transport.h"
#include "common/runtime/traffic.h"
#include "signer/app/key_material.h"
#include "signer/app/settings.h"
#include "signer/app/signer_metrics.h"
#include "signer/core/signer.h"

namespace roulette::signer {

class LiveSigner {
 public:
  // What main() made before the share was opened; all outlive the host.
  struct Environment {
    runtime::EventLoop& loop;
    runtime::KillPoints& points;
    runtime::EventLog& log;
    EntropySource& entropy;
    BootId boot;
    runtime::Hygiene hygiene;
  };
  LiveSigner(Environment environment, Settings settings, KeyProbe probe);
  ~LiveSigner();
  LiveSigner(const LiveSigner&) = delete;
  LiveSigner& operator=(const LiveSigner&) = delete;

  // Journal, machine, listeners. After an error nothing was announced.
  [[nodiscard]] Status start(SignerConfig config);
  // Serves until it is told to stop; the process's exit code.
  [[nodiscard]] int run();
  // SIGTERM: refuse new sessions, finish what is in flight, end run(). Called on the loop.
  void begin_shutdown();

 private:
  struct Peer {
    ProcessName name;
    bool greeted = false;
    std::deque<Instant> asked;  // arrival of each unanswered SignRequest; answers keep the order
  };

  [[nodiscard]] Status open_journal(SignerConfig config);
  [[nodiscard]] Status open_transport();
  [[nodiscard]] Status open_http();
  // Ready is who serves: its journal was checked, its key is at hand, it does not stop.
  void tell_readiness();
  void set_not_ready(const std::string& reason);
  void look_at_key();

  void on_connected(ConnectionId id, ProcessName name);
  void on_frame(ConnectionId id, ByteSpan payload);
  void on_greeting(ConnectionId id, Peer& peer, const wire::Hello& hello);
  void on_message(ConnectionId id, Peer& peer, wire::Message message);
  void on_lost(ConnectionId id);
  void drop(ConnectionId id, const std::string& reason);

  void step(const Event& event);
  void execute(const Persist& effect);
  void execute(Send& effect);
  void execute(const CloseConnection& effect);
  void execute(const StandingChanged& effect);
  void execute(const Drained& effect);
  void log_answer(const Peer& peer, const Send& effect);
  // End of a batch of events: one transaction for all their records, then what waited for them.
  void commit();

  void finish_when_sent();
  void stop(bool drained);
  void answer_http(const runtime::HttpRequest& request, const runtime::HttpResponder& respond);
  void write_limits();
  void tick();

  Environment env_;
  Settings settings_;
  SignerMetrics metrics_;
  std::unique_ptr<runtime::Journal> journal_;
  std::unique_ptr<Signer> machine_;
  std::unique_ptr<runtime::Traffic> traffic_;
  std::unique_ptr<runtime::TlsTransport> transport_;
  std::unique_ptr<runtime::HttpServer> http_;
  runtime::Timer drain_timer_;
  runtime::Timer tick_timer_;
  runtime::Timer flush_timer_;
  runtime::Timer key_timer_;
  std::map<ConnectionId, Peer> peers_;
  std::vector<runtime::JournalRecord> uncommitted_;
  std::uint64_t last_uncommitted_ = 0;
  std::string not_ready_ = "starting";  // empty: ready
  std::string standing_ = "starting";   // why it does not serve but for its key; empty: it does
  KeyProbe probe_;                      // none: there is no token
  crypto::KeySharePtr key_;             // the machine's, where there is a token to look at
  bool announced_epoch_ = false;
  bool drained_ = false;
  bool stopped_drained_ = false;
};

}  // namespace roulette::signer
