// An HTTP/1.1 client over a small pool of persistent connections to one address, plain or TLS.
//
// Invariant: a request is sent at most once: nothing is retried here, since only the caller knows
// what a retry means. Each callback is called exactly once (streams: on_end exactly once), from
// the loop, never from inside the call. Used for bitcoind's RPC, etcd's JSON gateway and the load
// generator.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/runtime/http_message.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {

class EventLoop;
class TlsClientContext;

struct HttpCall {
  std::string method = "GET";
  std::string target = "/";  // path and query as they go on the wire
  HttpFields headers = {};   // Host, Content-Length and Connection are set by the client
  std::string body = {};
  std::string content_type = "application/json";  // sent when the body is not empty
  Duration deadline = kHttpRequestDeadline;       // from call() to the last byte of the answer
};

// Ends the stream when destroyed, without another callback.
class HttpStream {
 public:
  struct State;
  explicit HttpStream(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~HttpStream();
  HttpStream(const HttpStream&) = delete;
  HttpStream& operator=(const HttpStream&) = delete;

 private:
  std::shared_ptr<State> state_;
};

class HttpClient {
 public:
  struct Options {
    std::string address = "127.0.0.1";  // numeric IPv4
    std::uint16_t port = 0;
    std::string host = {};  // in Host and, under TLS, in the certificate; empty: the address
    std::shared_ptr<const TlsClientContext> tls = {};  // null: plain
    std::size_t connections = kMaxHttpClientConnections;
    std::size_t queue = kMaxHttpClientQueue;
    std::size_t response_bytes = kMaxHttpResponseBodyBytes;
    Duration idle = kHttpClientIdle;  // a connection unused for longer is closed before reuse
  };

  HttpClient(EventLoop& loop, Options options);
  ~HttpClient();  // outstanding calls end without callback
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Errors are ErrorKind::Network; any HTTP status is a response. "not sent: ..." at the front of
  // the message promises that no byte of the request left (connect refused, queue full, deadline
  // while queued); every other error means the outcome is unknown.
  using Callback = std::function<void(Result<HttpResponse>)>;
  void call(HttpCall request, Callback done);

  // Own connection, outside the pool's bound. `deadline` counts until the response's header only.
  // on_data gets decoded body bytes as they come (chunk borders mean nothing). on_end: ok for an
  // orderly end of a 2xx body; another status ends with ErrorKind::Refused and the body's
  // beginning.
  struct StreamCallbacks {
    std::function<void()> on_open;  // 2xx header received; may be empty
    std::function<void(std::string_view)> on_data;
    std::function<void(Status)> on_end;
  };
  [[nodiscard]] std::unique_ptr<HttpStream> stream(HttpCall request, StreamCallbacks callbacks);

  [[nodiscard]] static bool not_sent(const Error& error);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Splits streamed bytes into lines (etcd's watch: one JSON value per line). Lines over the limit
// fail.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line_bytes) : max_line_bytes_(max_line_bytes) {}
  // Calls `line` for each complete line, without its newline; empty lines are skipped. False: too
  // long.
  [[nodiscard]] bool feed(std::string_view data, const std::function<void(std::string_view)>& line);

 private:
  std::size_t max_line_bytes_;
  std::string rest_;
};

}  // namespace roulette::runtime
