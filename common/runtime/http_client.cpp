// The HTTP client on Beast.
//
// Invariant: a call is in exactly one place (queued, on one connection, or finished) and finish()
// is the only way out. A pooled connection is reused only if its socket is silent and not closed
// by the peer; the rest of the race (the peer closes while we write) is reported, not retried.
#include "common/runtime/http_client.h"

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/assert.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/http_link.h"

namespace roulette::runtime {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Request = http::request<http::string_body>;

constexpr std::string_view kNotSent = "not sent: ";
constexpr std::uint32_t kResponseHeaderBytes = 64 * 1024;
constexpr std::size_t kStreamReadBytes = 64 * 1024;
constexpr std::size_t kRefusalBodyBytes = 2048;  // of a stream that was answered with an error

Error network_error(std::string message) { return {ErrorKind::Network, std::move(message)}; }

const std::string& host_of(const HttpClient::Options& options) {
  return options.host.empty() ? options.address : options.host;
}

Request to_request(const HttpCall& call, const HttpClient::Options& options) {
  Request request(http::string_to_verb(call.method), call.target, 11);
  if (request.method() == http::verb::unknown) request.method_string(call.method);
  request.set(http::field::host, host_of(options) + ":" + std::to_string(options.port));
  for (const auto& [name, value] : call.headers) request.insert(name, value);
  if (!call.body.empty()) request.set(http::field::content_type, call.content_type);
  request.body() = call.body;
  request.prepare_payload();
  return request;
}

std::string lower(beast::string_view text) {
  std::string out(text.data(), text.size());
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

template <class Message>
HttpResponse header_of(const Message& message) {
  HttpResponse response;
  response.status = static_cast<int>(message.result_int());
  response.content_type = std::string(message[http::field::content_type]);
  for (const auto& field : message) {
    response.headers.emplace_back(lower(field.name_string()), std::string(field.value()));
  }
  return response;
}

}  // namespace

struct HttpClient::State : std::enable_shared_from_this<HttpClient::State> {
  struct Call {
    Call(EventLoop& loop, HttpCall request_, Callback done_, std::function<void()> on_deadline)
        : request(std::move(request_)),
          done(std::move(done_)),
          timer(loop, std::move(on_deadline)) {}
    HttpCall request;
    Callback done;
    Timer timer;
    bool sent = false;  // at least one byte may have left
  };
  using CallPtr = std::shared_ptr<Call>;

  struct Connection {
    explicit Connection(EventLoop& loop) : link(loop.io()) {}
    HttpLink link;
    beast::flat_buffer buffer;
    Request request;
    std::optional<http::response_parser<http::string_body>> parser;
    CallPtr call;
    Instant idle_since{};
    bool open = true;
  };
  using ConnectionPtr = std::shared_ptr<Connection>;

  State(EventLoop& event_loop, Options given) : loop(event_loop), options(std::move(given)) {
    error_code error;
    endpoint = tcp::endpoint(asio::ip::make_address_v4(options.address, error), options.port);
    ROULETTE_ASSERT(!error);  // the configuration reader checked it
  }

  EventLoop& loop;
  Options options;
  tcp::endpoint endpoint;
  bool closed = false;
  std::deque<CallPtr> queue;
  std::set<ConnectionPtr> connections;   // busy and idle
  std::vector<ConnectionPtr> idle;       // last used last

  void start(CallPtr call);
  ConnectionPtr take_idle();
  void dial(CallPtr call);
  void send(const ConnectionPtr& c);
  void on_written(const ConnectionPtr& c, const error_code& error, std::size_t bytes);
  void on_response(const ConnectionPtr& c, const error_code& error);
  void release(const ConnectionPtr& c);
  void drop(const ConnectionPtr& c);
  void fail(const ConnectionPtr& c, const std::string& what);
  void on_deadline(const CallPtr& call);
  void start_next();
  void shut();
  static void finish(const CallPtr& call, Result<HttpResponse> result);
};

void HttpClient::State::start(CallPtr call) {
  if (const ConnectionPtr c = take_idle()) {
    c->call = std::move(call);
    return send(c);
  }
  if (connections.size() < options.connections) return dial(std::move(call));
  queue.push_back(std::move(call));
}

// The most recently used idle connection that the peer has not closed.
HttpClient::State::ConnectionPtr HttpClient::State::take_idle() {
  while (!idle.empty()) {
    const ConnectionPtr c = std::move(idle.back());
    idle.pop_back();
    const bool quiet = c->link.silent() && c->buffer.size() == 0;
    if (quiet && loop.now() - c->idle_since < options.idle) return c;
    drop(c);  // closed, or bytes nobody asked for
  }
  return nullptr;
}

void HttpClient::State::dial(CallPtr call) {
  const auto c = std::make_shared<Connection>(loop);
  c->call = std::move(call);
  connections.insert(c);
  c->link.connect(endpoint, options.tls, host_of(options),
                  [self = shared_from_this(), c](bool connected) {
                    if (!c->open) return;
                    if (!connected) return self->fail(c, c->link.why());
                    self->send(c);
                  });
}

void HttpClient::State::send(const ConnectionPtr& c) {
  c->request = to_request(c->call->request, options);
  c->parser.emplace();
  c->parser->body_limit(options.response_bytes);
  c->parser->header_limit(kResponseHeaderBytes);
  if (c->request.method() == http::verb::head) c->parser->skip(true);
  c->call->sent = true;
  http::async_write(c->link, c->request,
                    [self = shared_from_this(), c](const error_code& error, std::size_t bytes) {
                      if (c->open) self->on_written(c, error, bytes);
                    });
}

void HttpClient::State::on_written(const ConnectionPtr& c, const error_code& error,
                                   std::size_t bytes) {
  if (error) {
    if (bytes == 0) c->call->sent = false;
    return fail(c, "write: " + c->link.why(error));
  }
  http::async_read(c->link, c->buffer, *c->parser,
                   [self = shared_from_this(), c](const error_code& failed, std::size_t) {
                     if (c->open) self->on_response(c, failed);
                   });
}

void HttpClient::State::on_response(const ConnectionPtr& c, const error_code& error) {
  if (error) return fail(c, "read: " + c->link.why(error));
  HttpResponse response = header_of(c->parser->get());
  response.body = std::move(c->parser->get().body());
  const CallPtr call = std::move(c->call);
  c->call.reset();
  if (c->parser->get().keep_alive()) release(c);
  else drop(c);
  const auto alive = shared_from_this();
  finish(call, std::move(response));
  start_next();
}

void HttpClient::State::release(const ConnectionPtr& c) {
  c->parser.reset();
  c->idle_since = loop.now();
  idle.push_back(c);
}

void HttpClient::State::drop(const ConnectionPtr& c) {
  c->open = false;
  c->link.close();
  connections.erase(c);
}

void HttpClient::State::fail(const ConnectionPtr& c, const std::string& what) {
  const CallPtr call = std::move(c->call);
  c->call.reset();
  drop(c);
  const auto alive = shared_from_this();
  finish(call, network_error((call->sent ? "" : std::string(kNotSent)) + what));
  start_next();
}

void HttpClient::State::on_deadline(const CallPtr& call) {
  const auto queued = std::find(queue.begin(), queue.end(), call);
  if (queued != queue.end()) {
    queue.erase(queued);
    return finish(call, network_error(std::string(kNotSent) + "deadline passed while queued"));
  }
  for (const ConnectionPtr& c : connections) {
    if (c->call == call) return fail(ConnectionPtr(c), "deadline passed");
  }
}

void HttpClient::State::start_next() {
  while (!closed && !queue.empty() && (!idle.empty() || connections.size() < options.connections)) {
    CallPtr call = std::move(queue.front());
    queue.pop_front();
    start(std::move(call));
  }
}

void HttpClient::State::shut() {
  closed = true;
  for (const CallPtr& call : queue) call->timer.cancel();
  queue.clear();
  idle.clear();
  while (!connections.empty()) {
    const ConnectionPtr c = *connections.begin();
    if (c->call) c->call->timer.cancel();
    c->call.reset();
    drop(c);
  }
}

void HttpClient::State::finish(const CallPtr& call, Result<HttpResponse> result) {
  call->timer.cancel();
  const Callback done = std::move(call->done);
  done(std::move(result));
}

HttpClient::HttpClient(EventLoop& loop, Options options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}
HttpClient::~HttpClient() { state_->shut(); }

void HttpClient::call(HttpCall request, Callback done) {
  ROULETTE_ASSERT(done);
  State& state = *state_;
  if (state.queue.size() >= state.options.queue) {
    state.loop.post([done = std::move(done), weak = std::weak_ptr(state_)] {
      if (!weak.expired()) done(network_error(std::string(kNotSent) + "queue full"));
    });
    return;
  }
  const Instant deadline = state.loop.now() + request.deadline;
  // The call owns its timer, so the timer must not own the call.
  auto holder = std::make_shared<std::weak_ptr<State::Call>>();
  const auto call = std::make_shared<State::Call>(
      state.loop, std::move(request), std::move(done), [weak = std::weak_ptr(state_), holder] {
        const auto alive = weak.lock();
        const auto late = holder->lock();
        if (alive && late) alive->on_deadline(late);
      });
  *holder = call;
  call->timer.arm(deadline);
  state.start(call);
}

bool HttpClient::not_sent(const Error& error) { return error.message.starts_with(kNotSent); }

// One streaming response on a connection of its own.
struct HttpStream::State : std::enable_shared_from_this<HttpStream::State> {
  State(EventLoop& loop, HttpClient::StreamCallbacks given)
      : link(loop.io()), callbacks(std::move(given)),
        timer(loop, [this] { end(network_error("no response header before the deadline")); }) {}

  HttpLink link;
  HttpClient::StreamCallbacks callbacks;
  Timer timer;
  Request request;
  beast::flat_buffer buffer;
  http::response_parser<http::buffer_body> parser;
  std::array<char, kStreamReadBytes> chunk;
  std::string refusal;
  int status = 0;
  bool open = true;

  void connect(const tcp::endpoint& endpoint, const HttpClient::Options& options);
  void send();
  void read_header();
  void on_header();
  void read_some();
  void on_data(const error_code& error);
  void finish();
  void end(Status result);
  void close();
};

void HttpStream::State::connect(const tcp::endpoint& endpoint,
                                const HttpClient::Options& options) {
  link.connect(endpoint, options.tls, host_of(options),
               [self = shared_from_this()](bool connected) {
                 if (!self->open) return;
                 if (!connected)
                   return self->end(network_error(std::string(kNotSent) + self->link.why()));
                 self->send();
               });
}

void HttpStream::State::send() {
  http::async_write(link, request,
                    [self = shared_from_this()](const error_code& error, std::size_t) {
                      if (!self->open) return;
                      if (error) {
                        return self->end(network_error("write: " + self->link.why(error)));
                      }
                      self->read_header();
                    });
}

void HttpStream::State::read_header() {
  parser.body_limit(boost::none);  // endless on purpose; LineSplitter bounds what is kept
  parser.header_limit(kResponseHeaderBytes);
  http::async_read_header(link, buffer, parser,
                          [self = shared_from_this()](const error_code& error, std::size_t) {
                            if (!self->open) return;
                            if (error) {
                              return self->end(
                                  network_error("read: " + self->link.why(error)));
                            }
                            self->on_header();
                          });
}

void HttpStream::State::on_header() {
  timer.cancel();
  status = static_cast<int>(parser.get().result_int());
  if (status / 100 == 2 && callbacks.on_open) callbacks.on_open();
  if (!open) return;
  if (parser.is_done()) return finish();
  read_some();
}

void HttpStream::State::read_some() {
  parser.get().body().data = chunk.data();
  parser.get().body().size = chunk.size();
  http::async_read_some(link, buffer, parser,
                        [self = shared_from_this()](const error_code& error, std::size_t) {
                          if (self->open) self->on_data(error);
                        });
}

void HttpStream::State::on_data(const error_code& error) {
  // need_buffer says that the chunk is full, not that anything went wrong.
  if (error && error != http::error::need_buffer) {
    return end(network_error("read: " + link.why(error)));
  }
  const std::string_view data(chunk.data(), chunk.size() - parser.get().body().size);
  if (status / 100 == 2) {
    if (!data.empty()) callbacks.on_data(data);
  } else {
    refusal.append(data.substr(0, kRefusalBodyBytes - refusal.size()));
  }
  if (!open) return;
  if (parser.is_done() || refusal.size() == kRefusalBodyBytes) return finish();
  read_some();
}

void HttpStream::State::finish() {
  if (status / 100 == 2) return end({});
  end(Error{ErrorKind::Refused, "HTTP " + std::to_string(status) + ": " + refusal});
}

void HttpStream::State::end(Status result) {
  if (!open) return;
  const auto alive = weak_from_this().lock();
  const auto on_end = std::move(callbacks.on_end);
  close();
  on_end(std::move(result));
}

void HttpStream::State::close() {
  open = false;
  timer.cancel();
  link.close();
}

HttpStream::~HttpStream() { state_->close(); }

std::unique_ptr<HttpStream> HttpClient::stream(HttpCall call, StreamCallbacks callbacks) {
  ROULETTE_ASSERT(callbacks.on_data && callbacks.on_end);
  auto state = std::make_shared<HttpStream::State>(state_->loop, std::move(callbacks));
  state->request = to_request(call, state_->options);
  state->timer.arm(state_->loop.now() + call.deadline);
  state->connect(state_->endpoint, state_->options);
  return std::make_unique<HttpStream>(std::move(state));
}

bool LineSplitter::feed(std::string_view data, const std::function<void(std::string_view)>& line) {
  while (!data.empty()) {
    const std::size_t end = data.find('\n');
    const std::string_view piece = data.substr(0, end);
    if (rest_.size() + piece.size() > max_line_bytes_) return false;
    if (end == std::string_view::npos) {
      rest_.append(piece);
      return true;
    }
    data.remove_prefix(end + 1);
    if (rest_.empty()) {
      if (!piece.empty()) line(piece);
      continue;
    }
    std::string whole = std::exchange(rest_, {});
    whole.append(piece);
    line(whole);
  }
  return true;
}

}  // namespace roulette::runtime
