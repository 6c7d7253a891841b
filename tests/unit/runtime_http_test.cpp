// Behaviour of the HTTP server and client, against each other and against peers that break the
// rules.
//
// Broken clients and servers are plain sockets, on a thread where they must block.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <atomic>
#include <optional>
#include <thread>

#include "common/runtime/event_loop.h"
#include "common/runtime/http_client.h"
#include "common/runtime/http_server.h"
#include "common/runtime/http_url.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/metrics.h"
#include "tests/unit/runtime_fixture.h"

using namespace roulette;
using namespace roulette::runtime;
using namespace roulette::runtime::test;

namespace {

constexpr Duration kPatience = seconds(20);

int open_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  const timeval patience{20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int dial(std::uint16_t port) {
  const int fd = open_socket();
  const sockaddr_in address = loopback(port);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

void send_text(int fd, std::string_view text) {
  (void)::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

std::string receive_until(int fd, std::string_view end) {
  std::string got;
  char c;
  while (got.find(end) == std::string::npos && ::recv(fd, &c, 1, 0) == 1) got.push_back(c);
  return got;
}

std::string receive_all(int fd) {
  std::string got;
  char buffer[4096];
  for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) {
    got.append(buffer, static_cast<std::size_t>(n));
  }
  return got;
}

// A server written by hand: `script` gets each accepted connection.
class RawServer {
 public:
  explicit RawServer(std::function<void(int fd)> script, int connections = 1)
      : listener_(open_socket()) {
    const sockaddr_in address = loopback(0);
    REQUIRE(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_, 8) == 0);
    sockaddr_in bound{};
    socklen_t size = sizeof bound;
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    port_ = ntohs(bound.sin_port);
    thread_ = std::thread([this, script = std::move(script), connections] {
      for (int i = 0; i < connections; ++i) {
        const int fd = ::accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        script(fd);
        ::close(fd);
      }
    });
  }
  ~RawServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  int listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

struct Pair {
  explicit Pair(HttpServer::Options options = {}, HttpClient::Options client_options = {}) {
    options.metrics = &metrics;
    if (!options.handler) {
      options.handler = [this](HttpRequest request, HttpResponder respond) {
        requests.push_back(std::move(request));
        responders.push_back(std::move(respond));
        if (on_request) on_request();
      };
    }
    server = std::make_unique<HttpServer>(loop, std::move(options));
    const auto bound = server->listen("127.0.0.1", 0);
    REQUIRE(bound.ok());
    port = *bound;
    client_options.port = port;
    client = std::make_unique<HttpClient>(loop, client_options);
  }
  void answer_at_once() {
    on_request = [this] {
      HttpResponse response;
      response.body = requests.back().body;
      responders.back()(std::move(response));
    };
  }
  void call(HttpCall request) {
    client->call(std::move(request), [this](Result<HttpResponse> r) { answers.push_back(r); });
  }
  Result<HttpResponse> ask(HttpCall request) {
    const std::size_t had = answers.size();
    call(std::move(request));
    REQUIRE(loop.run_until([&] { return answers.size() > had; }, kPatience));
    return answers.back();
  }
  [[nodiscard]] bool wait_requests(std::size_t n) {
    return loop.run_until([&] { return requests.size() >= n; }, kPatience);
  }
  double open_connections() {
    return metrics.gauge("roulette_http_connections", "Open HTTP connections.").value();
  }
  // What a hand-written request gets back, read to the end of the connection.
  std::string raw(const std::string& text) {
    std::string got;
    std::atomic<bool> done = false;
    std::thread thread([&] {
      const int fd = dial(port);
      send_text(fd, text);
      got = receive_all(fd);
      ::close(fd);
      done = true;
      loop.post([] {});
    });
    const bool finished = loop.run_until([&] { return done.load(); }, kPatience);
    thread.join();
    REQUIRE(finished);
    return got;
  }

  Metrics metrics;
  EventLoop loop;
  std::vector<HttpRequest> requests;
  std::vector<HttpResponder> responders;
  std::function<void()> on_request;
  std::vector<Result<HttpResponse>> answers;
  std::uint16_t port = 0;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
};

}  // namespace

TEST_CASE("a request arrives decoded and its answer comes back whole") {
  Pair pair;
  pair.on_request = [&] {
    HttpResponse response;
    response.status = 202;
    response.headers = {{"Location", "/v1/withdrawals/7"}};
    response.body = std::string(300000, 'y');
    pair.responders.back()(std::move(response));
  };
  HttpCall call;
  call.method = "POST";
  call.target = "/v1/with%20drawals?idempotency_key=%22a+b%22&wait=5&flag";
  call.headers = {{"Idempotency-Key", "\"k1\""}, {"PREFER", "wait=5"}};
  call.body = std::string(50000, 'x');
  const auto answer = pair.ask(std::move(call));
  REQUIRE(answer.ok());
  CHECK(answer.value().status == 202);
  CHECK(find_field(answer.value().headers, "location") == "/v1/withdrawals/7");
  CHECK(answer.value().content_type == "application/json");
  CHECK(answer.value().body == std::string(300000, 'y'));
  const HttpRequest& seen = pair.requests.at(0);
  CHECK(seen.method == "POST");
  CHECK(seen.path == "/v1/with drawals");
  CHECK(seen.query_value("idempotency_key") == "\"a b\"");
  CHECK(seen.query_value("wait") == "5");
  CHECK(seen.has_query("flag"));
  CHECK_FALSE(seen.has_query("none"));
  CHECK(seen.header("idempotency-key") == "\"k1\"");
  CHECK(seen.header("prefer") == "wait=5");
  CHECK(seen.body == std::string(50000, 'x'));
  CHECK(seen.id == 1);
}

TEST_CASE("calls one after the other share one connection") {
  Pair pair;
  pair.answer_at_once();
  for (int i = 0; i < 20; ++i) REQUIRE(pair.ask({}).ok());
  CHECK(pair.open_connections() == 1);
  CHECK(pair.requests.back().id == 20);
}

TEST_CASE("answers may be given later and in another order") {
  Pair pair;
  for (const char* target : {"/a", "/b", "/c"}) {
    HttpCall call;
    call.target = target;
    pair.call(call);
  }
  REQUIRE(pair.wait_requests(3));
  CHECK(pair.server->requests_in_flight() == 3);
  std::size_t answered = 0;
  for (const std::size_t i : {2U, 0U, 1U}) {
    ++answered;
    HttpResponse response;
    response.body = pair.requests[i].path;
    pair.responders[i](std::move(response));
    REQUIRE(pair.loop.run_until([&] { return pair.answers.size() == answered; }, kPatience));
  }
  for (const std::size_t i : {0U, 1U, 2U}) {
    // Requests arrive in any order, but each answer belongs to its own.
    CHECK(pair.answers[i]->body == pair.requests[i == 0 ? 2 : i - 1].path);
  }
  CHECK(pair.server->requests_in_flight() == 0);
}

TEST_CASE("only the first answer counts and a forgotten one becomes 500") {
  Pair pair;
  pair.call({});
  REQUIRE(pair.wait_requests(1));
  pair.responders[0](HttpResponse{.body = "first"});
  pair.responders[0](HttpResponse{.body = "second"});
  REQUIRE(pair.loop.run_until([&] { return pair.answers.size() == 1; }, kPatience));
  CHECK(pair.answers[0]->body == "first");
  pair.call({});
  REQUIRE(pair.wait_requests(2));
  pair.responders.clear();
  REQUIRE(pair.loop.run_until([&] { return pair.answers.size() == 2; }, kPatience));
  CHECK(pair.answers[1]->status == 500);
}

TEST_CASE("an answer to a client that has gone or by a server that has gone does nothing") {
  Pair pair;
  pair.call({});
  REQUIRE(pair.wait_requests(1));
  pair.client.reset();
  pair.responders[0]({});
  REQUIRE(pair.loop.run_until([&] { return pair.open_connections() == 0; }, kPatience));
  CHECK(pair.server->requests_in_flight() == 0);
  HttpClient client(pair.loop, {.port = pair.port});
  client.call({}, [](Result<HttpResponse>) {});
  REQUIRE(pair.wait_requests(2));
  pair.server.reset();
  pair.responders[1]({});
  CHECK(pair.answers.empty());
}

TEST_CASE("requests over the limits or out of form are refused with their status") {
  Pair pair({.body_bytes = 1000, .header_bytes = 2000});
  pair.answer_at_once();
  const std::string end = "\r\nHost: x\r\nConnection: close\r\n\r\n";
  struct Case {
    std::string text;
    const char* status;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1" + end, "HTTP/1.1 200 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x'),
       "HTTP/1.1 413 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
           std::string(2000, 'x') + "\r\n0\r\n\r\n",
       "HTTP/1.1 413 "},
      {"GET / HTTP/1.1\r\nA: " + std::string(3000, 'a') + end, "HTTP/1.1 431 "},
      {"rubbish\r\n\r\n", "HTTP/1.1 400 "},
      {"GET /%zz HTTP/1.1" + end, "HTTP/1.1 400 "},
      {"GET /%00 HTTP/1.1" + end, "HTTP/1.1 400 "},
      {"GET nowhere HTTP/1.1" + end, "HTTP/1.1 400 "},
      {"GET /?a=%2 HTTP/1.1" + end, "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "HTTP/1.1 400 "}};
  for (const Case& wrong : cases) {
    INFO(wrong.text.substr(0, 60));
    CHECK_THAT(pair.raw(wrong.text), Catch::StartsWith(wrong.status));
  }
  CHECK(pair.requests.size() == 1);
}

TEST_CASE("a repeated header is seen as repeated") {
  Pair pair;
  pair.answer_at_once();
  (void)pair.raw("GET / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\nidempotency-key: b\r\n"
                 "Connection: close\r\n\r\n");
  REQUIRE(pair.requests.size() == 1);
  CHECK(pair.requests[0].header_repeated("idempotency-key"));
  CHECK_FALSE(pair.requests[0].header_repeated("host"));
}

TEST_CASE("pipelined requests are answered in order") {
  Pair pair;
  pair.on_request = [&] {
    pair.responders.back()(HttpResponse{.body = "<" + pair.requests.back().path + ">"});
  };
  const std::string got = pair.raw(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(got.find("</1>") < got.find("</2>"));
  CHECK(got.find("</2>") != std::string::npos);
}

TEST_CASE("idle and slow connections over the bound keep no client out: the oldest gives way") {
  Pair pair({.connections = 2});
  pair.answer_at_once();
  const int idle = dial(pair.port);
  const int slow = dial(pair.port);
  send_text(slow, "GET / HT");
  REQUIRE(pair.loop.run_until([&] { return pair.open_connections() == 2; }, kPatience));
  CHECK(pair.raw("GET /a HTTP/1.1\r\nConnection: close\r\n\r\n").find(" 200 ") !=
        std::string::npos);
  CHECK(receive_all(idle).empty());
  CHECK(pair.raw("GET /b HTTP/1.1\r\nConnection: close\r\n\r\n").find(" 200 ") !=
        std::string::npos);
  ::close(idle);
  ::close(slow);
  REQUIRE(pair.loop.run_until([&] { return pair.open_connections() == 0; }, kPatience));
  CHECK(pair.metrics
            .counter("roulette_http_connections_crowded_out_total",
                     "Connections without a request in work that gave up their place.")
            .value() >= 1);
}

TEST_CASE("a request in work keeps its connection, and one over the bound is closed") {
  Pair pair({.connections = 1});
  const int working = dial(pair.port);
  send_text(working, "GET /work HTTP/1.1\r\nConnection: close\r\n\r\n");
  REQUIRE(pair.wait_requests(1));
  CHECK(pair.raw("GET / HTTP/1.1\r\n\r\n").empty());
  CHECK(pair.requests.size() == 1);
  HttpResponse response;
  response.body = "done";
  pair.responders.front()(std::move(response));
  REQUIRE(pair.loop.run_until([&] { return pair.open_connections() == 0; }, kPatience));
  CHECK(receive_all(working).find("done") != std::string::npos);
  ::close(working);
}

TEST_CASE("an idle connection is given up") {
  Pair pair({.idle_timeout = milliseconds(30)});
  CHECK(pair.raw("").empty());
  CHECK(pair.open_connections() == 0);
}

TEST_CASE("a request that never ends is given up") {
  Pair pair({.read_timeout = milliseconds(30)});
  CHECK(pair.raw("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc").empty());
  CHECK(pair.requests.empty());
}

TEST_CASE("a reply passes its kill points around the write") {
  ControlChannel channel;
  for (const char* when : {"before", "after"}) {
    channel.tell(std::string("arm ") + when + " coordinator.reply.withdrawal." + when + " 100");
  }
  auto points = KillPoints::open(Role::Coordinator, channel.take_process_end());
  REQUIRE(points.ok());
  Pair pair({.points = points->get()});
  pair.call({});
  REQUIRE(pair.wait_requests(1));
  CHECK(channel.silent());
  pair.responders[0](HttpResponse{.subject = "withdrawal"});
  CHECK(channel.hear() == "seen before coordinator.reply.withdrawal.before");
  CHECK(channel.silent());
  REQUIRE(pair.loop.run_until([&] { return pair.answers.size() == 1; }, kPatience));
  CHECK(channel.hear() == "seen after coordinator.reply.withdrawal.after");
}

TEST_CASE("a refused connection is reported as not sent") {
  std::uint16_t port = 0;
  {
    Pair pair;
    port = pair.port;
  }
  EventLoop loop;
  HttpClient client(loop, {.port = port});
  std::optional<Result<HttpResponse>> answer;
  client.call({}, [&](Result<HttpResponse> r) { answer = std::move(r); });
  CHECK_FALSE(answer.has_value());  // never from inside call()
  REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatience));
  REQUIRE_FALSE(answer->ok());
  CHECK(answer->error().kind == ErrorKind::Network);
  CHECK(HttpClient::not_sent(answer->error()));
}

TEST_CASE("the pool is bounded, the rest waits in a bounded queue") {
  Pair pair({}, {.connections = 2, .queue = 3});
  for (int i = 0; i < 6; ++i) pair.call({});
  REQUIRE(pair.wait_requests(2));
  // The sixth call found no room.
  REQUIRE(pair.loop.run_until([&] { return pair.answers.size() == 1; }, kPatience));
  CHECK(HttpClient::not_sent(pair.answers[0].error()));
  CHECK_FALSE(pair.loop.run_until([&] { return pair.requests.size() > 2; }, milliseconds(20)));
  for (std::size_t i = 0; i < 5; ++i) {
    REQUIRE(pair.wait_requests(i + 1));
    pair.responders[i]({});
  }
  REQUIRE(pair.loop.run_until([&] { return pair.answers.size() == 6; }, kPatience));
  CHECK(pair.open_connections() == 2);
}

TEST_CASE("a deadline ends a queued call as not sent and a sent one as unknown") {
  Pair pair({}, {.connections = 1});
  HttpCall slow;
  slow.deadline = milliseconds(400);
  pair.call(slow);
  slow.deadline = milliseconds(100);
  pair.call(slow);
  REQUIRE(pair.loop.run_until([&] { return pair.answers.size() == 2; }, kPatience));
  CHECK(HttpClient::not_sent(pair.answers[0].error()));
  CHECK_FALSE(HttpClient::not_sent(pair.answers[1].error()));
  CHECK(pair.answers[1].error().kind == ErrorKind::Network);
  // The late connection is not reused.
  pair.answer_at_once();
  CHECK(pair.ask({}).ok());
  CHECK(pair.answers.size() == 3);
}

TEST_CASE("a connection that the server closed while idle is not reused") {
  int closed[2];
  REQUIRE(::pipe2(closed, O_CLOEXEC) == 0);
  RawServer server(
      [&](int fd) {
        (void)receive_until(fd, "\r\n\r\n");
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        ::shutdown(fd, SHUT_RDWR);
        (void)!::write(closed[1], "x", 1);
      },
      3);
  EventLoop loop;
  HttpClient client(loop, {.port = server.port()});
  for (int i = 0; i < 3; ++i) {
    std::optional<Result<HttpResponse>> answer;
    client.call({}, [&](Result<HttpResponse> r) { answer = std::move(r); });
    REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatience));
    INFO((answer->ok() ? "" : answer->error().message));
    REQUIRE(answer->ok());
    char c;
    REQUIRE(::read(closed[0], &c, 1) == 1);
  }
  ::close(closed[0]);
  ::close(closed[1]);
}

TEST_CASE("answers that are cut short, too big or no HTTP are errors with unknown outcome") {
  const std::string texts[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "",
      "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'x'),
      "SSH-2.0-nope\r\n\r\n"};
  for (const std::string& text : texts) {
    RawServer server([&text](int fd) {
      (void)receive_until(fd, "\r\n\r\n");
      send_text(fd, text);
    });
    EventLoop loop;
    HttpClient client(loop, {.port = server.port(), .response_bytes = 100});
    std::optional<Result<HttpResponse>> answer;
    client.call({}, [&](Result<HttpResponse> r) { answer = std::move(r); });
    REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatience));
    INFO(text);
    REQUIRE_FALSE(answer->ok());
    CHECK_FALSE(HttpClient::not_sent(answer->error()));
  }
}

TEST_CASE("destroying the client inside a callback is safe") {
  Pair pair({}, {.connections = 1});
  pair.answer_at_once();
  bool called = false;
  pair.client->call({}, [&](Result<HttpResponse>) {
    called = true;
    pair.client.reset();
  });
  pair.call({});
  REQUIRE(pair.loop.run_until([&] { return called; }, kPatience));
  CHECK_FALSE(pair.loop.run_until([&] { return !pair.answers.empty(); }, milliseconds(20)));
}

TEST_CASE("a stream hands over chunked bytes as they come and reports its end") {
  int hold[2];
  REQUIRE(::pipe2(hold, O_CLOEXEC) == 0);
  RawServer server([&](int fd) {
    (void)receive_until(fd, "\r\n\r\n");
    send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"a\":1}\n\r\n");
    char c;
    (void)!::read(hold[0], &c, 1);  // nothing more until the client has seen the first line
    send_text(fd, "4\r\n{\"b\"\r\n5\r\n:22}\n\r\n0\r\n\r\n");
  });
  EventLoop loop;
  HttpClient client(loop, {.port = server.port()});
  LineSplitter splitter(100);
  std::vector<std::string> lines;
  bool opened = false;
  std::optional<Status> ended;
  const auto stream = client.stream(
      {.method = "POST", .target = "/v3/watch", .body = "{}"},
      {[&] { opened = true; },
       [&](std::string_view data) {
         CHECK(splitter.feed(data, [&](std::string_view line) { lines.emplace_back(line); }));
       },
       [&](Status status) { ended = std::move(status); }});
  REQUIRE(loop.run_until([&] { return lines.size() == 1; }, kPatience));
  CHECK(opened);
  CHECK(lines[0] == "{\"a\":1}");
  CHECK_FALSE(ended.has_value());
  REQUIRE(::write(hold[1], "x", 1) == 1);
  REQUIRE(loop.run_until([&] { return ended.has_value(); }, kPatience));
  CHECK(lines == std::vector<std::string>{"{\"a\":1}", "{\"b\":22}"});
  CHECK(ended->ok());
  ::close(hold[0]);
  ::close(hold[1]);
}

TEST_CASE("a refused, cut or silent stream ends with an error and a destroyed one with nothing") {
  struct Case {
    const char* text;
    ErrorKind kind;
    const char* message;
  };
  const Case cases[] = {
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", ErrorKind::Refused,
       "HTTP 404: nope"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabc", ErrorKind::Network, "read"},
      {"", ErrorKind::Network, "no response header"}};
  for (const Case& wrong : cases) {
    const bool silent = std::string_view(wrong.text).empty();
    RawServer server([&](int fd) {
      (void)receive_until(fd, "\r\n\r\n");
      send_text(fd, wrong.text);
      char c;
      if (silent) (void)::recv(fd, &c, 1, 0);
    });
    EventLoop loop;
    HttpClient client(loop, {.port = server.port()});
    std::optional<Status> ended;
    const auto stream = client.stream({.deadline = silent ? milliseconds(30) : seconds(20)},
                                      {{}, [](std::string_view) {}, [&](Status s) { ended = s; }});
    REQUIRE(loop.run_until([&] { return ended.has_value(); }, kPatience));
    REQUIRE_FALSE(ended->ok());
    CHECK(ended->error().kind == wrong.kind);
    CHECK_THAT(ended->error().message, Catch::StartsWith(wrong.message));
  }
  Pair pair;
  bool called = false;
  auto stream = pair.client->stream({}, {{}, [&](std::string_view) { called = true; },
                                         [&](Status) { called = true; }});
  REQUIRE(pair.wait_requests(1));
  stream.reset();
  pair.responders[0]({});
  REQUIRE(pair.loop.run_until([&] { return pair.open_connections() == 0; }, kPatience));
  CHECK_FALSE(called);
}

TEST_CASE("a stream hands over a body larger than its buffer whole") {
  const std::string body(300000, 'z');
  RawServer server([&](int fd) {
    (void)receive_until(fd, "\r\n\r\n");
    send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body);
  });
  EventLoop loop;
  HttpClient client(loop, {.port = server.port()});
  std::string got;
  std::optional<Status> ended;
  const auto stream = client.stream(
      {}, {{}, [&](std::string_view data) { got.append(data); }, [&](Status s) { ended = s; }});
  REQUIRE(loop.run_until([&] { return ended.has_value(); }, kPatience));
  CHECK(ended->ok());
  CHECK(got == body);
}

TEST_CASE("a line splitter joins pieces, skips empty lines and refuses endless ones") {
  LineSplitter splitter(5);
  std::vector<std::string> lines;
  const auto keep = [&](std::string_view line) { lines.emplace_back(line); };
  for (const char* piece : {"ab", "c\n\nde\nf", "", "g", "\n", "12345\n"}) {
    REQUIRE(splitter.feed(piece, keep));
  }
  CHECK(lines == std::vector<std::string>{"abc", "de", "fg", "12345"});
  CHECK(splitter.feed("1234", keep));
  CHECK_FALSE(splitter.feed("56", keep));
}

TEST_CASE("an HTTP server's address is taken whole or refused without repeating it") {
  const auto url = parse_http_url("https://etcd-1.example:2379/");
  REQUIRE(url);
  CHECK(url->text() == "https://etcd-1.example:2379");
  CHECK(url->tls);
  CHECK(parse_http_url("http://10.0.0.1:1")->text() == "http://10.0.0.1:1");
  for (const char* wrong :
       {"", "10.0.0.1:2379", "ftp://h:1", "https://h", "https://:1", "https://h:", "https://h:0",
        "https://h:65536", "https://h:1x", "https://h:-1", "https://h:1/v3", "https://h:1?a=b",
        "https://[::1]:1", "https://h h:1", "https://user:word@h:1"}) {
    INFO(wrong);
    const auto refused = parse_http_url(wrong);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::Usage);
    CHECK(refused.error().message.find("word") == std::string::npos);
  }
  CHECK(resolve_ipv4("127.0.0.9").value() == "127.0.0.9");
}
