// Prints the figures of the live host's building blocks: one mTLS round trip between two
// processes, one journal commit, one HTTP call, one announce(), one event line. Not a test:
// nothing here can fail.
//
// Build the target measure_runtime and run it; the folder for the journal is the first argument.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <vector>

#include "common/runtime/certificates.h"
#include "common/runtime/event_log.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/http_client.h"
#include "common/runtime/http_server.h"
#include "common/runtime/journal.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/tls_transport.h"

using namespace roulette;
using namespace roulette::runtime;

namespace {

constexpr ProcessName kEcho{Role::Signer, 0};
constexpr ProcessName kCaller{Role::Coordinator, 0};
constexpr int kRounds = 5000;

class Samples {
 public:
  void start() { at_ = std::chrono::steady_clock::now(); }
  void stop() {
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - at_;
    us_.push_back(took.count());
  }
  void print(const char* what) {
    std::sort(us_.begin(), us_.end());
    const auto at = [this](std::size_t percent) { return us_[(us_.size() - 1) * percent / 100]; };
    std::printf("%-34s n %6zu  p50 %8.2f us  p99 %8.2f us\n", what, us_.size(), at(50), at(99));
  }

 private:
  std::chrono::steady_clock::time_point at_;
  std::vector<double> us_;
};

std::unique_ptr<TlsTransport> make_transport(EventLoop& loop, const std::filesystem::path& folder,
                                             ProcessName self, TlsTransport::Callbacks callbacks) {
  TlsTransport::Options options;
  options.identity = {"c1", self, folder / "ca.pem", folder / (self.text() + ".pem"),
                      folder / (self.text() + ".key")};
  options.accepts = [](ProcessName) { return true; };
  options.callbacks = std::move(callbacks);
  return std::move(TlsTransport::create(loop, std::move(options)).value());
}

// The child: echoes frames and answers HTTP; writes its two ports first.
void serve(const std::filesystem::path& folder, int to_parent) {
  EventLoop loop;
  std::unique_ptr<TlsTransport> transport;
  transport = make_transport(loop, folder, kEcho,
                             {[](ConnectionId, ProcessName) {},
                              [&](ConnectionId id, ByteSpan bytes) { transport->send(id, bytes); },
                              [&](ConnectionId, ProcessName, const std::string&) { loop.stop(); }});
  HttpServer::Options options;
  options.handler = [](HttpRequest request, HttpResponder respond) {
    HttpResponse response;
    response.body = std::move(request.body);
    respond(std::move(response));
  };
  HttpServer server(loop, std::move(options));
  const std::uint16_t ports[] = {transport->listen("127.0.0.1", 0).value(),
                                 server.listen("127.0.0.1", 0).value()};
  if (::write(to_parent, ports, sizeof ports) == sizeof ports) loop.run();
}

void measure_wire(const std::filesystem::path& folder, const std::uint16_t* ports) {
  EventLoop loop;
  Samples connect;
  Samples round_trip;
  Samples http;
  ConnectionId connection;
  bool arrived = false;
  const auto transport = make_transport(
      loop, folder, kCaller,
      {[&](ConnectionId id, ProcessName) {
         connection = id;
         arrived = true;
       },
       [&](ConnectionId, ByteSpan) { arrived = true; },
       [](ConnectionId, ProcessName, const std::string&) {}});
  const auto wait = [&] {
    (void)loop.run_until([&] { return std::exchange(arrived, false); }, seconds(10));
  };
  connect.start();
  transport->connect(kEcho, "127.0.0.1", ports[0]);
  wait();
  connect.stop();
  const Bytes frame(200, 7);
  for (int i = 0; i < kRounds; ++i) {
    round_trip.start();
    transport->send(connection, frame);
    wait();
    round_trip.stop();
  }
  HttpClient client(loop, {.port = ports[1]});
  for (int i = 0; i < kRounds; ++i) {
    http.start();
    client.call({.method = "POST", .body = std::string(200, 'x')},
                [&](Result<HttpResponse>) { arrived = true; });
    wait();
    http.stop();
  }
  connect.print("mTLS connect (client side)");
  round_trip.print("mTLS round trip, 200 bytes");
  http.print("HTTP call, 200 bytes");
}

void measure_storage(const std::filesystem::path& folder) {
  auto journal = Journal::open({.path = folder / "journal.sqlite", .format = "measure"});
  for (const std::size_t batch : {1U, 16U}) {
    Samples commits;
    const JournalRecord record{"signing_record", Bytes(400, 1), Bytes(32, 2)};
    const std::vector<JournalRecord> records(batch, record);
    for (int i = 0; i < kRounds / 5; ++i) {
      commits.start();
      if (!(*journal)->append(records).ok()) return;
      commits.stop();
    }
    commits.print(batch == 1 ? "journal commit, 1 record" : "journal commit, 16 records");
  }
  const auto events = EventLog::open(folder / "events.ndjson", kEcho, BootId{});
  Samples lines;
  const Bytes digest(32, 9);
  for (int i = 0; i < kRounds; ++i) {
    lines.start();
    (*events)->write("share_sent", EventFields().add_hex("session", digest).add("count", i));
    lines.stop();
  }
  lines.print("event line");
}

void measure_announce() {
  const auto points = KillPoints::open(Role::Signer, std::nullopt);
  constexpr int kPasses = 10000000;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kPasses; ++i) {
    (*points)->announce(PointEffect::Send, "partial_signature", PointWhen::After);
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  std::printf("%-34s n %6d  mean %7.2f ns\n", "announce(), nothing armed", kPasses,
              took.count() / kPasses);
}

}  // namespace

int main(int argc, char** argv) {
  std::string name = std::string(argc > 1 ? argv[1] : "/tmp") + "/measure-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return 2;
  const std::filesystem::path folder = name;
  const auto authority = ClusterAuthority::create("c1");
  bool ready = authority->write_certificate(folder).ok();
  for (const ProcessName process : {kEcho, kCaller}) {
    ready = ready && authority->issue_into(folder, process).ok();
  }
  int ports_pipe[2];
  ready = ready && ::pipe(ports_pipe) == 0;
  const pid_t child = ready ? ::fork() : -1;
  if (child < 0) return 2;
  if (child == 0) {
    serve(folder, ports_pipe[1]);
    ::_exit(0);
  }
  std::uint16_t ports[2];
  if (::read(ports_pipe[0], ports, sizeof ports) == sizeof ports) measure_wire(folder, ports);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  measure_storage(folder);
  measure_announce();
  std::filesystem::remove_all(folder);
  return 0;
}
