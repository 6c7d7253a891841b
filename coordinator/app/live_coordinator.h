// The coordinator's live host: executes the machine's effects over TLS, HTTP and the node's RPC.
//
// Invariant: effects are executed in the machine's order; a fact is in the event log before the
// effects that follow it; every open client request gets one answer. It keeps no state that the
// machine could keep, and decides nothing that it could decide (DESIGN 4). No journal: a restarted
// coordinator is empty and reads the ledger.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "common/base/entropy.h"
#include "common/runtime/event_log.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/http_server.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/tls_transport.h"
#include "common/runtime/traffic.h"
#include "coordinator/app/coordinator_metrics.h"
#include "coordinator/app/node_client.h"
#include "coordinator/app/settings.h"
#include "coordinator/app/token_file.h"
#include "coordinator/app/tokens.h"
#include "coordinator/core/coordinator.h"

namespace roulette::coordinator {

class LiveCoordinator {
 public:
  // What main() made; all outlive the host.
  struct Environment {
    runtime::EventLoop& loop;
    runtime::KillPoints& points;
    runtime::EventLog& log;
    EntropySource& entropy;
    BootId boot;
  };
  LiveCoordinator(Environment environment, Settings settings);
  ~LiveCoordinator();
  LiveCoordinator(const LiveCoordinator&) = delete;
  LiveCoordinator& operator=(const LiveCoordinator&) = delete;

  // Group, token, listeners, connections. After an error nothing was announced.
  [[nodiscard]] Status start();
  // Serves until it is told to stop; the process's exit code.
  [[nodiscard]] int run();
  // SIGTERM: finish what is in flight, hand over the rest, then leave.
  void begin_shutdown();

 private:
  struct Peer {
    ProcessName name;
    bool greeted = false;
  };
  struct OpenRequest {
    runtime::HttpResponder respond;
    Instant arrived;
    const char* kind;
    Scope scope;                        // of the token, as it was on arrival
    std::vector<std::string> accounts;
  };

  [[nodiscard]] Status open_tokens();
  [[nodiscard]] Status open_machine();
  [[nodiscard]] Status open_transport();
  [[nodiscard]] Status open_http();

  void on_connected(ConnectionId id, ProcessName name);
  void on_frame(ConnectionId id, ByteSpan payload);
  void on_greeting(ConnectionId id, Peer& peer, const wire::Hello& hello);
  void on_lost(ConnectionId id);
  void drop(ConnectionId id, const std::string& reason);

  void on_http(runtime::HttpRequest request, runtime::HttpResponder respond);
  void on_api(const runtime::HttpRequest& request, const runtime::HttpResponder& respond);
  void refuse(const char* kind, const Problem& problem, const runtime::HttpResponder& respond);
  void look_at_tokens();
  void answer_probe(const runtime::HttpRequest& request, const runtime::HttpResponder& respond);
  void on_node(std::uint64_t call, const NodeCallBody& order, Instant begun,
               NodeAnswerBody answer);

  void step(const Event& event);
  void perform(const Send& effect);
  void perform(const Reply& effect);
  void perform(const NodeCall& effect);
  void perform(const Fact& effect);
  void perform(const ReadinessChanged& effect);
  void perform(const Drained& effect);
  void propose(const Send& effect, const wire::LedgerSubmit& submit);

  void end_of_batch();
  void finish_when_sent();
  void stop(bool drained);
  void tick();

  Environment env_;
  Settings settings_;
  CoordinatorMetrics metrics_;
  std::unique_ptr<Tokens> tokens_;
  TokenFile token_file_;
  std::unique_ptr<Coordinator> machine_;
  std::unique_ptr<NodeClient> node_;
  std::unique_ptr<runtime::Traffic> traffic_;
  std::unique_ptr<runtime::TlsTransport> transport_;
  std::unique_ptr<runtime::HttpServer> http_;
  runtime::Timer deadline_timer_;
  runtime::Timer drain_timer_;
  runtime::Timer tick_timer_;
  runtime::Timer flush_timer_;
  std::map<ConnectionId, Peer> peers_;
  std::map<RequestId, OpenRequest> requests_;
  std::uint64_t next_request_ = 0;
  std::string not_ready_ = "starting";  // empty: ready
  bool announced_ = false;
  bool ledger_read_ = false;
  bool draining_ = false;
  bool drained_ = false;
  bool stopped_drained_ = false;
};

}  // namespace roulette::coordinator
