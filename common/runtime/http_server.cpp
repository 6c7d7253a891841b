// The HTTP server on Beast; Beast's own sources are compiled here, too.
//
// Invariant: a Session reads a request, hands it out, and reads the next one only after the answer
// was written, so answers keep their order. Every wait has a deadline of Options.
#include "common/runtime/http_server.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/assert.h"
#include "common/runtime/crowding.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/metrics.h"

namespace roulette::runtime {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;
using Parser = http::request_parser<http::string_body>;
using Answer = http::response<http::string_body>;

constexpr std::size_t kDiscardBytes = 4096;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing for a broken escape or a NUL: such a target is answered 400.
std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    out.push_back(c);
  }
  return out;
}

bool split_target(std::string_view target, HttpRequest& request) {
  const std::size_t mark = target.find('?');
  auto path = percent_decoded(target.substr(0, mark), false);
  if (!path || path->empty() || path->front() != '/') return false;
  request.path = std::move(*path);
  std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = pair.find('=');
    auto name = percent_decoded(pair.substr(0, equals), true);
    auto value = percent_decoded(
        equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1), true);
    if (!name || !value) return false;
    if (!pair.empty()) request.query.emplace_back(std::move(*name), std::move(*value));
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
  }
  return true;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

bool fill_request(const Parser::value_type& message, HttpRequest& request) {
  request.method = std::string(view(message.method_string()));
  for (const auto& field : message) {
    request.headers.emplace_back(lower(view(field.name_string())),
                                 std::string(view(field.value())));
  }
  return split_target(view(message.target()), request);
}

HttpResponse plain_error(int status, std::string_view words) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/plain";
  response.body = std::string(words) + "\n";
  return response;
}

}  // namespace

struct HttpServer::State : std::enable_shared_from_this<HttpServer::State> {
  struct Session;
  struct Ticket;
  State(EventLoop& event_loop, Options given);

  EventLoop& loop;
  Options options;
  bool closed = false;
  std::unique_ptr<Acceptor> acceptor;
  Timer accept_timer;
  std::set<std::shared_ptr<Session>> sessions;
  std::uint64_t last_request = 0;
  std::uint64_t last_session = 0;
  std::size_t in_flight = 0;
  Gauge* connections_gauge = nullptr;
  std::map<int, Counter*> by_status;

  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  void accept();
  void accepted(Socket socket);
  bool make_room();
  void count(int status);
  void announce(const std::string& subject, PointWhen when);
};

// One connection.
struct HttpServer::State::Session : std::enable_shared_from_this<Session> {
  Session(std::shared_ptr<State> owner, Socket taken);

  std::shared_ptr<State> server;
  Socket socket;
  beast::flat_buffer buffer;
  std::optional<Parser> parser;
  Answer answer;
  std::string subject;
  Timer timer;
  std::uint64_t number = 0;
  std::uint32_t address = 0;
  Instant since;              // of what it waits for now: a request, its end, the answer's end
  bool answering = false;     // the handler has a request of it
  std::uint64_t request = 0;  // the one that waits for its answer, 0 = none
  bool head = false;
  bool keep_alive = false;
  bool open = true;

  void read_next();
  void read_message();
  void on_message(const error_code& error);
  void respond(std::uint64_t to, HttpResponse response);
  void write(HttpResponse response);
  void on_written(const error_code& error);
  void discard();
  void close();
};

// What a responder holds. Dropped unused, it answers 500, so that no client waits for ever.
struct HttpServer::State::Ticket {
  std::weak_ptr<Session> session;
  std::uint64_t request;
  bool used = false;
  void use(HttpResponse response) {
    if (std::exchange(used, true)) return;
    if (const auto alive = session.lock()) alive->respond(request, std::move(response));
  }
  Ticket(std::weak_ptr<Session> s, std::uint64_t r) : session(std::move(s)), request(r) {}
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  ~Ticket() { use(plain_error(500, "no answer")); }
};

HttpServer::State::State(EventLoop& event_loop, Options given)
    : loop(event_loop), options(std::move(given)), accept_timer(loop, [this] {
        if (acceptor) accept();
      }) {
  ROULETTE_ASSERT(options.handler);
  if (options.metrics == nullptr) return;
  connections_gauge =
      &options.metrics->gauge("roulette_http_connections", "Open HTTP connections.");
}

Result<std::uint16_t> HttpServer::State::listen(const std::string& address, std::uint16_t port) {
  error_code error;
  const auto ip = asio::ip::make_address_v4(address, error);
  const std::string where = address + ":" + std::to_string(port);
  if (error) return Error{ErrorKind::Usage, where + ": not a numeric IPv4 address"};
  auto made = std::make_unique<Acceptor>(loop.io().get_executor());
  (void)made->open(tcp::v4(), error);
  if (!error) (void)::fcntl(made->native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error) (void)made->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) (void)made->bind(tcp::endpoint(ip, port), error);
  if (!error) (void)made->listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Error{ErrorKind::Preflight, "cannot listen on " + where + ": " + error.message()};
  }
  const std::uint16_t bound = made->local_endpoint(error).port();
  acceptor = std::move(made);
  accept();
  return bound;
}

void HttpServer::State::accept() {
  acceptor->async_accept([self = shared_from_this()](const error_code& error, Socket socket) {
    if (self->closed || !self->acceptor || error == asio::error::operation_aborted) return;
    if (error) {
      // Out of descriptors: asking again at once would only spin.
      if (error.value() == EMFILE || error.value() == ENFILE) self->make_room();
      return self->accept_timer.arm(self->loop.now() + kAcceptRetryDelay);
    }
    self->accepted(std::move(socket));
    if (self->acceptor) self->accept();
  });
}

void HttpServer::State::accepted(Socket socket) {
  if (sessions.size() >= options.connections && !make_room()) {
    return count(503);  // the socket closes here
  }
  (void)::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  error_code ignored;
  (void)socket.set_option(tcp::no_delay(true), ignored);
  const tcp::endpoint from = socket.remote_endpoint(ignored);
  const auto session = std::make_shared<Session>(shared_from_this(), std::move(socket));
  session->number = ++last_session;
  if (from.address().is_v4()) session->address = from.address().to_v4().to_uint();
  sessions.insert(session);
  if (connections_gauge != nullptr) connections_gauge->add(1);
  session->read_next();
}

// Takes back the place of a connection whose request nobody works on: one that says nothing, says
// it slowly, or does not read. Refusing the newcomer instead would let idle sockets keep every
// client out; its request, once read, is never given up for another one.
bool HttpServer::State::make_room() {
  std::vector<Place> places;
  for (const auto& session : sessions) {
    if (!session->answering) places.push_back({session->number, session->address, session->since});
  }
  const auto holder = most_crowding(places);
  if (!holder) return false;
  const auto chosen = std::find_if(sessions.begin(), sessions.end(),
                                   [&](const auto& s) { return s->number == *holder; });
  std::shared_ptr<Session>(*chosen)->close();
  if (options.metrics != nullptr) {
    options.metrics
        ->counter("roulette_http_connections_crowded_out_total",
                  "Connections without a request in work that gave up their place.")
        .increment();
  }
  return true;
}

void HttpServer::State::count(int status) {
  if (options.metrics == nullptr) return;
  Counter*& counter = by_status[status];
  if (counter == nullptr) {
    counter = &options.metrics->counter("roulette_http_requests_total", "Answers by status.",
                                        {{"status", std::to_string(status)}});
  }
  counter->increment();
}

void HttpServer::State::announce(const std::string& subject, PointWhen when) {
  if (options.points != nullptr && !subject.empty()) {
    options.points->announce(PointEffect::Reply, subject, when);
  }
}

HttpServer::State::Session::Session(std::shared_ptr<State> owner, Socket taken)
    : server(std::move(owner)), socket(std::move(taken)),
      timer(server->loop, [this] { close(); }) {}

// Waits for the first byte under the idle limit, then reads under the read limit.
void HttpServer::State::Session::read_next() {
  parser.emplace();
  parser->body_limit(server->options.body_bytes);
  parser->header_limit(static_cast<std::uint32_t>(server->options.header_bytes));
  since = server->loop.now();
  if (buffer.size() > 0) return read_message();
  timer.arm(server->loop.now() + server->options.idle_timeout);
  socket.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    if (!self->open) return;
    if (error) self->close();
    else self->read_message();
  });
}

void HttpServer::State::Session::read_message() {
  since = server->loop.now();
  timer.arm(since + server->options.read_timeout);
  http::async_read(socket, buffer, *parser,
                   [self = shared_from_this()](const error_code& error, std::size_t) {
                     if (self->open) self->on_message(error);
                   });
}

void HttpServer::State::Session::on_message(const error_code& error) {
  timer.cancel();
  keep_alive = false;
  head = false;
  if (error == http::error::header_limit) return write(plain_error(431, "header too large"));
  if (error == http::error::body_limit) return write(plain_error(413, "body too large"));
  // An end or a reset between or inside requests: nobody is there to be answered.
  if (error && error.category() != http::make_error_code(http::error::bad_version).category()) {
    return close();
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return close();
  if (error) return write(plain_error(400, error.message()));

  HttpRequest message;
  if (!fill_request(parser->get(), message)) return write(plain_error(400, "bad target"));
  keep_alive = parser->get().keep_alive();
  head = parser->get().method() == http::verb::head;
  message.body = std::move(parser->get().body());
  message.id = request = ++server->last_request;
  ++server->in_flight;
  answering = true;
  auto ticket = std::make_shared<Ticket>(weak_from_this(), message.id);
  server->options.handler(std::move(message),
                          [ticket](HttpResponse response) { ticket->use(std::move(response)); });
}

void HttpServer::State::Session::respond(std::uint64_t to, HttpResponse response) {
  if (!open || request != to || server->closed) return;
  write(std::move(response));
}

void HttpServer::State::Session::write(HttpResponse response) {
  server->count(response.status);
  answering = false;
  since = server->loop.now();
  answer = Answer(static_cast<http::status>(response.status), 11);
  answer.set(http::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) answer.insert(name, value);
  answer.keep_alive(keep_alive);
  answer.content_length(response.body.size());
  if (!head) answer.body() = std::move(response.body);
  subject = std::move(response.subject);
  timer.arm(server->loop.now() + server->options.write_timeout);
  server->announce(subject, PointWhen::Before);
  http::async_write(socket, answer,
                    [self = shared_from_this()](const error_code& error, std::size_t) {
                      if (self->open) self->on_written(error);
                    });
}

void HttpServer::State::Session::on_written(const error_code& error) {
  timer.cancel();
  if (error) return close();
  server->announce(subject, PointWhen::After);
  if (request != 0) --server->in_flight;
  request = 0;
  if (keep_alive) return read_next();
  // Closing with unread bytes would reset the connection under the answer (a 413 mostly): say that
  // we are done and let the client finish, for a bounded time.
  error_code ignored;
  (void)socket.shutdown(tcp::socket::shutdown_send, ignored);
  timer.arm(server->loop.now() + kHttpLingerTimeout);
  discard();
}

void HttpServer::State::Session::discard() {
  buffer.clear();
  socket.async_read_some(buffer.prepare(kDiscardBytes),
                         [self = shared_from_this()](const error_code& error, std::size_t) {
                           if (!self->open) return;
                           if (error) self->close();
                           else self->discard();
                         });
}

void HttpServer::State::Session::close() {
  if (!std::exchange(open, false)) return;
  const auto alive = shared_from_this();
  timer.cancel();
  error_code ignored;
  (void)socket.close(ignored);
  if (request != 0) --server->in_flight;
  if (server->connections_gauge != nullptr) server->connections_gauge->add(-1);
  server->sessions.erase(alive);
}

HttpServer::HttpServer(EventLoop& loop, Options options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}

HttpServer::~HttpServer() {
  state_->closed = true;
  state_->acceptor.reset();
  while (!state_->sessions.empty()) (*state_->sessions.begin())->close();
}

Result<std::uint16_t> HttpServer::listen(const std::string& address, std::uint16_t port) {
  return state_->listen(address, port);
}

void HttpServer::stop_listening() { state_->acceptor.reset(); }
std::size_t HttpServer::requests_in_flight() const { return state_->in_flight; }

}  // namespace roulette::runtime
