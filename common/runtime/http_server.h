// A small HTTP/1.1 server with keep-alive: the coordinator's API and every daemon's /healthz etc.
//
// Invariant: each request gets exactly one answer, on its own connection, in order; a responder
// that is dropped unused answers 500, one that is used after its connection is gone does nothing.
// Tokens, routes and problem documents are the handler's. No TLS: it binds to loopback addresses.
// Where all places are taken, a connection whose request nobody works on gives up its own
// (crowding.h): idle, slow or unread sockets keep nobody out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/runtime/http_message.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {

class EventLoop;
class KillPoints;
class Metrics;

// May be called at once or later, from the loop's thread; the first call counts.
using HttpResponder = std::function<void(HttpResponse)>;

class HttpServer {
 public:
  struct Options {
    std::function<void(HttpRequest, HttpResponder)> handler = {};  // required
    std::size_t body_bytes = kMaxHttpRequestBodyBytes;   // more: 413
    std::size_t header_bytes = kMaxHttpHeaderBytes;      // more: 431
    std::size_t connections = kMaxHttpServerConnections;  // all answering: closed at accept
    Duration idle_timeout = kHttpIdleTimeout;
    Duration read_timeout = kHttpReadTimeout;
    Duration write_timeout = kHttpWriteTimeout;
    KillPoints* points = nullptr;
    Metrics* metrics = nullptr;  // roulette_http_requests_total{status}, roulette_http_connections,
                                 // roulette_http_connections_crowded_out_total
  };

  HttpServer(EventLoop& loop, Options options);
  ~HttpServer();  // closes everything; outstanding responders become no-ops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Numeric IPv4 address, port 0 = any. Returns the port.
  [[nodiscard]] Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  void stop_listening();  // open connections go on
  // Requests whose answer the kernel has not taken yet: for draining at shutdown.
  [[nodiscard]] std::size_t requests_in_flight() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace roulette::runtime
