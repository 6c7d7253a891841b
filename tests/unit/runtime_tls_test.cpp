// Behaviour of the TLS transport: who may connect, what a frame is, what ends a connection, and
// where a send can be stopped.
//
// Hostile peers are blocking OpenSSL clients on a thread of their own (RawPeer), so that they can
// break every rule; honest ones are TlsTransports on the test's loop.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

#include <map>
#include <thread>

#include "common/runtime/certificates.h"
#include "common/runtime/crowding.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/metrics.h"
#include "common/runtime/process.h"
#include "common/runtime/tls_transport.h"
#include "tests/unit/runtime_fixture.h"

using namespace roulette;
using namespace roulette::runtime;
using namespace roulette::runtime::test;

namespace {

constexpr ProcessName kSigner0{Role::Signer, 0};
constexpr ProcessName kSigner1{Role::Signer, 1};
constexpr ProcessName kCoordinator{Role::Coordinator, 0};
constexpr Duration kPatience = seconds(20);

// One cluster's authority and credential files.
class Cluster {
 public:
  explicit Cluster(const std::string& name = "c1") : name_(name), authority_(make(name)) {
    REQUIRE(authority_.write_certificate(folder_.path()).ok());
  }
  TlsIdentity identity(ProcessName process, Validity validity = {}) {
    REQUIRE(authority_.issue_into(folder_.path(), process, validity).ok());
    return {name_, process, folder_ / "ca.pem", folder_ / (process.text() + ".pem"),
            folder_ / (process.text() + ".key")};
  }

 private:
  static ClusterAuthority make(const std::string& name) {
    auto made = ClusterAuthority::create(name);
    REQUIRE(made.ok());
    return std::move(*made);
  }
  TemporaryFolder folder_;
  std::string name_;
  ClusterAuthority authority_;
};

// A transport that remembers what it was told.
struct Node {
  Node(EventLoop& loop, TlsIdentity identity, TlsLimits limits = {},
       std::function<bool(ProcessName)> accepts = [](ProcessName) { return true; },
       KillPoints* points = nullptr) {
    TlsTransport::Options options;
    options.identity = std::move(identity);
    options.limits = limits;
    options.accepts = std::move(accepts);
    options.points = points;
    options.metrics = &metrics;
    options.callbacks.on_connected = [this](ConnectionId id, ProcessName peer) {
      peers[id] = peer;
      last = id;
      ++connected;
    };
    options.callbacks.on_frame = [this](ConnectionId id, ByteSpan bytes) {
      frames.emplace_back(bytes.begin(), bytes.end());
      if (on_frame) on_frame(id, bytes);
    };
    options.callbacks.on_lost = [this](ConnectionId id, ProcessName peer, const std::string& why) {
      REQUIRE(peers.at(id) == peer);
      lost.push_back(why);
    };
    auto made = TlsTransport::create(loop, std::move(options));
    INFO((made.ok() ? "" : made.error().message));
    REQUIRE(made.ok());
    transport = std::move(*made);
  }
  std::uint16_t listen(std::uint16_t port = 0) {
    const auto bound = transport->listen("127.0.0.1", port);
    REQUIRE(bound.ok());
    return *bound;
  }
  double ended(const std::string& reason) {
    return metrics.counter("roulette_connections_lost_total", "Connections by reason of their end.",
                           {{"reason", reason}}).value();
  }

  Metrics metrics;
  std::unique_ptr<TlsTransport> transport;
  std::map<ConnectionId, ProcessName> peers;
  ConnectionId last;
  int connected = 0;
  std::vector<Bytes> frames;
  std::function<void(ConnectionId, ByteSpan)> on_frame;
  std::vector<std::string> lost;
};

int dial(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

// A blocking TLS client that obeys nothing.
class RawPeer {
 public:
  RawPeer(std::uint16_t port, const TlsIdentity* identity, int max_version = TLS1_3_VERSION)
      : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_max_proto_version(context_, max_version);
    if (identity != nullptr) {
      SSL_CTX_use_certificate_file(context_, identity->certificate_file.c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context_, identity->key_file.c_str(), SSL_FILETYPE_PEM);
    }
    fd_ = dial(port);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, fd_);
  }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;
  ~RawPeer() {
    ::close(fd_);
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  bool handshake() { return SSL_connect(ssl_) == 1; }
  void send(ByteSpan bytes) {
    std::size_t n = 0;
    SSL_write_ex(ssl_, bytes.data(), bytes.size(), &n);
  }
  // Up to `most` bytes; empty at the end of the connection.
  Bytes receive(std::size_t most = 4096) {
    Bytes bytes(most);
    std::size_t n = 0;
    if (SSL_read_ex(ssl_, bytes.data(), most, &n) != 1) n = 0;
    bytes.resize(n);
    return bytes;
  }
  bool nothing_to_read() {
    char c;
    return SSL_pending(ssl_) == 0 && ::recv(fd_, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  int fd_ = -1;
};

// Runs `body` beside the loop until it is done.
void beside(EventLoop& loop, const std::function<void()>& body) {
  std::atomic<bool> done = false;
  std::thread thread([&] {
    body();
    done = true;
    loop.post([] {});
  });
  const bool finished = loop.run_until([&] { return done.load(); }, kPatience);
  thread.join();
  REQUIRE(finished);
}

Bytes header_of(std::uint32_t size) {
  return {static_cast<std::uint8_t>(size >> 24), static_cast<std::uint8_t>(size >> 16),
          static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)};
}

}  // namespace

TEST_CASE("two processes of a cluster exchange frames of every size both ways") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner0));
  Node coordinator(loop, cluster.identity(kCoordinator));
  coordinator.transport->connect(kSigner0, "127.0.0.1", signer.listen());
  REQUIRE(loop.run_until([&] { return signer.connected == 1 && coordinator.connected == 1; },
                         kPatience));
  CHECK(signer.peers.at(signer.last) == kCoordinator);
  CHECK(coordinator.peers.at(coordinator.last) == kSigner0);
  CHECK(signer.transport->peer_of(signer.last) == kCoordinator);

  signer.on_frame = [&](ConnectionId id, ByteSpan bytes) { signer.transport->send(id, bytes); };
  const std::size_t sizes[] = {0, 1, 300, 16 * 1024, 70000, kMaxFramePayloadBytes, 5};
  for (const std::size_t size : sizes) {
    const Bytes frame(size, static_cast<std::uint8_t>(size % 251));
    REQUIRE(coordinator.transport->send(coordinator.last, frame));
  }
  REQUIRE(loop.run_until([&] { return coordinator.frames.size() == std::size(sizes); }, kPatience));
  for (std::size_t i = 0; i < std::size(sizes); ++i) {
    CHECK(signer.frames[i] == Bytes(sizes[i], static_cast<std::uint8_t>(sizes[i] % 251)));
    CHECK(coordinator.frames[i] == signer.frames[i]);
  }
  CHECK(coordinator.transport->unsent_bytes() == 0);
  CHECK(signer.lost.empty());
}

TEST_CASE("a role that is not expected never connects") {
  EventLoop loop;
  Cluster cluster;
  Node ledger(loop, cluster.identity({Role::Ledger, 0}), {},
              [](ProcessName name) { return name.role == Role::Coordinator; });
  Node signer(loop, cluster.identity(kSigner0));
  signer.transport->connect({Role::Ledger, 0}, "127.0.0.1", ledger.listen());
  REQUIRE(loop.run_until([&] { return ledger.ended("wrong_role") >= 1; }, kPatience));
  CHECK(ledger.connected == 0);
}

TEST_CASE("a connector hangs up when another process answers at the address") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner1));
  Node coordinator(loop, cluster.identity(kCoordinator));
  coordinator.transport->connect(kSigner0, "127.0.0.1", signer.listen());
  REQUIRE(loop.run_until([&] { return coordinator.ended("wrong_peer") >= 1; }, kPatience));
  CHECK(coordinator.connected == 0);
}

TEST_CASE("a certificate of another authority is refused on both sides") {
  EventLoop loop;
  Cluster ours;
  Cluster theirs;  // the same cluster name
  Node signer(loop, ours.identity(kSigner0));
  Node coordinator(loop, theirs.identity(kCoordinator));
  const std::uint16_t port = signer.listen();
  coordinator.transport->connect(kSigner0, "127.0.0.1", port);
  REQUIRE(loop.run_until([&] { return coordinator.ended("bad_certificate") >= 1; }, kPatience));
  // A client that does not check the server shows its certificate, and the server refuses that.
  const TlsIdentity stranger = theirs.identity(kSigner1);
  beside(loop, [&] {
    RawPeer raw(port, &stranger);
    raw.handshake();
    raw.receive();
  });
  CHECK(signer.ended("bad_certificate") >= 1);
  CHECK(signer.connected == 0);
  CHECK(coordinator.connected == 0);
}

TEST_CASE("an expired certificate is refused") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner0));
  const std::uint16_t port = signer.listen();
  const TlsIdentity expired = cluster.identity(kCoordinator, {.from_s = -7200, .until_s = -3600});
  beside(loop, [&] {
    RawPeer raw(port, &expired);
    raw.handshake();
    raw.receive();
  });
  REQUIRE(loop.run_until([&] { return signer.ended("bad_certificate") >= 1; }, kPatience));
  CHECK(signer.connected == 0);
}

TEST_CASE("a client without a certificate or with TLS 1.2 is refused") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner0));
  const std::uint16_t port = signer.listen();
  const TlsIdentity good = cluster.identity(kCoordinator);
  bool old_version = true;
  beside(loop, [&] {
    RawPeer nobody(port, nullptr);
    nobody.handshake();
    nobody.receive();
    old_version = RawPeer(port, &good, TLS1_2_VERSION).handshake();
  });
  CHECK_FALSE(old_version);
  CHECK(signer.connected == 0);
  CHECK(signer.ended("tls_error") >= 2);
}

TEST_CASE("credentials that name another process or cluster are refused at start") {
  EventLoop loop;
  Cluster cluster;
  for (const bool other_cluster : {true, false}) {
    TlsTransport::Options options;
    options.identity = cluster.identity(kSigner0);
    if (other_cluster) options.identity.cluster = "c2";
    else options.identity.self = kSigner1;
    options.accepts = [](ProcessName) { return true; };
    options.callbacks = {[](auto, auto) {}, [](auto, auto) {}, [](auto, auto, const auto&) {}};
    const auto made = TlsTransport::create(loop, std::move(options));
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().kind == ErrorKind::Preflight);
    CHECK(made.error().message.find("signer-0.pem") != std::string::npos);
  }
}

TEST_CASE("an oversized frame, a truncated frame and rubbish end the connection with a reason") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner0));
  const std::uint16_t port = signer.listen();
  const TlsIdentity coordinator = cluster.identity(kCoordinator);
  const auto send_raw = [&](const Bytes& bytes) {
    beside(loop, [&] {
      RawPeer raw(port, &coordinator);
      if (!raw.handshake()) return;
      raw.send(bytes);
      // A frame that is too big is answered by the end of the connection, a short one is ours to
      // end.
      if (bytes.size() > 4 && bytes[0] != 0) (void)raw.receive();
    });
  };
  SECTION("one byte over the limit") {
    Bytes bytes = header_of(kMaxFramePayloadBytes + 1);
    bytes.resize(20);
    beside(loop, [&] {
      RawPeer raw(port, &coordinator);
      REQUIRE(raw.handshake());
      raw.send(bytes);
      CHECK(raw.receive().empty());
    });
    REQUIRE(loop.run_until([&] { return signer.lost.size() == 1; }, kPatience));
    CHECK_THAT(signer.lost[0], Catch::StartsWith("oversized_frame"));
    CHECK(signer.ended("oversized_frame") == 1);
  }
  SECTION("rubbish inside TLS announces an absurd size") {
    send_raw(Bytes(50, 0xee));
    REQUIRE(loop.run_until([&] { return signer.lost.size() == 1; }, kPatience));
    CHECK_THAT(signer.lost[0], Catch::StartsWith("oversized_frame"));
  }
  SECTION("the end comes inside a frame") {
    Bytes bytes = header_of(10);
    bytes.resize(9);
    send_raw(bytes);
    REQUIRE(loop.run_until([&] { return signer.lost.size() == 1; }, kPatience));
    CHECK_THAT(signer.lost[0], Catch::StartsWith("truncated_frame"));
  }
  SECTION("the end comes inside a header") {
    send_raw({0, 0});
    REQUIRE(loop.run_until([&] { return signer.lost.size() == 1; }, kPatience));
    CHECK_THAT(signer.lost[0], Catch::StartsWith("truncated_frame"));
  }
  CHECK(signer.frames.empty());
}

TEST_CASE("random bytes instead of TLS are refused, and honest peers still connect") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner0));
  const std::uint16_t port = signer.listen();
  KernelEntropy entropy;
  for (int round = 0; round < 20; ++round) {
    Bytes noise(200);
    entropy.fill(noise);
    beside(loop, [&] {
      const int fd = dial(port);
      (void)::send(fd, noise.data(), noise.size(), MSG_NOSIGNAL);
      char c;
      // A plausible record length makes the other side wait for more: this end stops sending.
      ::shutdown(fd, SHUT_WR);
      while (::recv(fd, &c, 1, 0) > 0) continue;
      ::close(fd);
    });
  }
  CHECK(signer.connected == 0);
  CHECK(signer.ended("tls_error") + signer.ended("eof") + signer.ended("reset") == 20);
  Node coordinator(loop, cluster.identity(kCoordinator));
  coordinator.transport->connect(kSigner0, "127.0.0.1", port);
  CHECK(loop.run_until([&] { return signer.connected == 1; }, kPatience));
}

TEST_CASE("bits flipped in flight end the connection and deliver nothing") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner0));
  const std::uint16_t port = signer.listen();
  const TlsIdentity coordinator = cluster.identity(kCoordinator);
  beside(loop, [&] {
    const int fd = dial(port);
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_use_certificate_file(context, coordinator.certificate_file.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, coordinator.key_file.c_str(), SSL_FILETYPE_PEM);
    SSL* const ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) == 1) {
      BIO* const memory = BIO_new(BIO_s_mem());
      SSL_set0_wbio(ssl, memory);
      SSL_write(ssl, "\0\0\0\1x", 5);
      char* data = nullptr;
      const long size = BIO_get_mem_data(memory, &data);
      data[size - 1] = static_cast<char>(data[size - 1] ^ 1);
      (void)::send(fd, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
      char c;
      while (::recv(fd, &c, 1, 0) > 0) continue;
    }
    ::close(fd);
    SSL_free(ssl);
    SSL_CTX_free(context);
  });
  REQUIRE(loop.run_until([&] { return signer.lost.size() == 1; }, kPatience));
  CHECK_THAT(signer.lost[0], Catch::StartsWith("tls_error"));
  CHECK(signer.frames.empty());
}

TEST_CASE("a peer that connects and says nothing is given up") {
  EventLoop loop;
  Cluster cluster;
  TlsLimits limits;
  limits.handshake_timeout = milliseconds(30);
  Node signer(loop, cluster.identity(kSigner0), limits);
  const std::uint16_t port = signer.listen();
  ssize_t n = -2;
  beside(loop, [&] {
    const int fd = dial(port);
    char c;
    n = ::recv(fd, &c, 1, 0);
    ::close(fd);
  });
  CHECK(n == 0);
  CHECK(signer.ended("handshake_timeout") == 1);
}

TEST_CASE("silent connections over the bound keep no honest peer out: the oldest gives way") {
  EventLoop loop;
  Cluster cluster;
  TlsLimits limits;
  limits.pending_handshakes = 2;
  SECTION("of handshakes") {}
  SECTION("of all connections") { limits = TlsLimits{.inbound_connections = 2}; }
  Node signer(loop, cluster.identity(kSigner0), limits);
  const std::uint16_t port = signer.listen();
  const TlsIdentity coordinator = cluster.identity(kCoordinator);
  ssize_t oldest = -2;
  bool good = false, younger_is_open = false;
  beside(loop, [&] {
    const int first = dial(port);
    const int second = dial(port);
    RawPeer honest(port, &coordinator);
    good = honest.handshake();
    char c;
    oldest = ::recv(first, &c, 1, 0);
    younger_is_open = ::recv(second, &c, 1, MSG_DONTWAIT) < 0;
    ::close(first);
    ::close(second);
  });
  CHECK(good);
  CHECK(oldest == 0);
  CHECK(younger_is_open);
  CHECK(signer.ended("crowded_out") == 1);
}

TEST_CASE("without a silent connection to close, one over the bound is refused") {
  EventLoop loop;
  Cluster cluster;
  TlsLimits limits;
  limits.inbound_connections = 1;
  Node signer(loop, cluster.identity(kSigner0), limits);
  const std::uint16_t port = signer.listen();
  const TlsIdentity coordinator = cluster.identity(kCoordinator);
  signer.on_frame = [&](ConnectionId id, ByteSpan bytes) { signer.transport->send(id, bytes); };
  ssize_t refused = -2;
  bool first_good = false;
  beside(loop, [&] {
    RawPeer first(port, &coordinator);
    first_good = first.handshake();
    first.send(header_of(0));
    CHECK(first.receive().size() == kFrameHeaderBytes);  // so it is established there, too
    const int second = dial(port);
    char c;
    refused = ::recv(second, &c, 1, 0);
    ::close(second);
  });
  CHECK(first_good);
  CHECK(refused == 0);
}

TEST_CASE("of many addresses the one with most places gives up its oldest") {
  const std::vector<Place> places = {
      {1, 10, {5}}, {2, 20, {90}}, {3, 20, {70}}, {4, 20, {80}}, {5, 30, {1}}, {6, 10, {2}}};
  CHECK(most_crowding(places) == 3U);
  CHECK(most_crowding(std::span(places).first(2)) == 1U);  // as many: whoever waits longer
  CHECK_FALSE(most_crowding({}).has_value());
}

TEST_CASE("a peer that shows its certificate and says nothing is given up, one that spoke stays") {
  EventLoop loop;
  Cluster cluster;
  TlsLimits limits;
  limits.first_frame_timeout = milliseconds(50);
  Node signer(loop, cluster.identity(kSigner0), limits);
  const std::uint16_t port = signer.listen();
  const TlsIdentity one = cluster.identity(kCoordinator);
  const TlsIdentity other = cluster.identity(kSigner1);
  bool spoke_is_open = false;
  beside(loop, [&] {
    RawPeer spoke(port, &one);
    REQUIRE(spoke.handshake());
    spoke.send(header_of(0));
    RawPeer silent(port, &other);
    REQUIRE(silent.handshake());
    CHECK(silent.receive().empty());
    spoke_is_open = spoke.nothing_to_read();
  });
  CHECK(spoke_is_open);
  REQUIRE(loop.run_until([&] { return signer.lost.size() == 2; }, kPatience));
  CHECK(signer.lost[0] == "silent");
  CHECK(signer.ended("silent") == 1);
  CHECK(signer.frames.size() == 1);
}

TEST_CASE("a frame that is held back or dribbled is given up") {
  EventLoop loop;
  Cluster cluster;
  TlsLimits limits;
  limits.frame_timeout = milliseconds(60);
  Node signer(loop, cluster.identity(kSigner0), limits);
  const std::uint16_t port = signer.listen();
  const TlsIdentity coordinator = cluster.identity(kCoordinator);
  SECTION("held after a whole one") {
    beside(loop, [&] {
      RawPeer raw(port, &coordinator);
      REQUIRE(raw.handshake());
      Bytes bytes = header_of(1);
      bytes.push_back(7);
      append(bytes, header_of(1000));
      raw.send(bytes);
      CHECK(raw.receive().empty());
    });
  }
  SECTION("a byte at a time: no byte makes it wait longer") {
    beside(loop, [&] {
      RawPeer raw(port, &coordinator);
      REQUIRE(raw.handshake());
      raw.send(header_of(0));
      raw.send(header_of(100'000));
      for (int i = 0; i < 5000 && raw.nothing_to_read(); ++i) {
        raw.send(Bytes(1));
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      CHECK(raw.receive().empty());
    });
  }
  REQUIRE(loop.run_until([&] { return signer.lost.size() == 1; }, kPatience));
  CHECK(signer.lost[0] == "slow_frame");
  CHECK(signer.frames.size() == 1);
}

TEST_CASE("one certificate holds so many connections and no more, and the earlier ones stay") {
  EventLoop loop;
  Cluster cluster;
  TlsLimits limits;
  limits.connections_per_peer = 2;
  Node signer(loop, cluster.identity(kSigner0), limits);
  const std::uint16_t port = signer.listen();
  const TlsIdentity coordinator = cluster.identity(kCoordinator);
  const TlsIdentity another = cluster.identity(kSigner1);
  bool earlier_open = false, another_open = false;
  beside(loop, [&] {
    RawPeer first(port, &coordinator), second(port, &coordinator), third(port, &coordinator);
    REQUIRE(first.handshake());
    REQUIRE(second.handshake());
    (void)third.handshake();
    CHECK(third.receive().empty());
    RawPeer peer(port, &another);
    another_open = peer.handshake() && peer.nothing_to_read();
    earlier_open = first.nothing_to_read() && second.nothing_to_read();
  });
  CHECK(earlier_open);
  CHECK(another_open);
  CHECK(signer.ended("too_many") == 1);
  CHECK(signer.connected == 3);
}

TEST_CASE("a peer that stops reading overflows its own queue only") {
  EventLoop loop;
  Cluster cluster;
  TlsLimits limits;
  limits.unsent_bytes = 300000;
  Node signer(loop, cluster.identity(kSigner0), limits);
  const std::uint16_t port = signer.listen();
  const TlsIdentity identity = cluster.identity(kCoordinator);
  auto stuck = std::make_unique<RawPeer>(port, &identity);
  beside(loop, [&] { stuck->handshake(); });
  REQUIRE(loop.run_until([&] { return signer.connected == 1; }, kPatience));
  const ConnectionId slow = signer.last;
  Node other(loop, cluster.identity(kSigner1));
  other.transport->connect(kSigner0, "127.0.0.1", port);
  REQUIRE(loop.run_until([&] { return signer.connected == 2; }, kPatience));

  int sent = 0;
  while (sent < 10000 && signer.transport->send(slow, Bytes(100000, 1))) ++sent;
  CHECK(sent < 10000);  // kernel buffers and then the bound
  CHECK(signer.lost.empty());  // never called inside send()
  REQUIRE(loop.run_until([&] { return signer.lost.size() == 1; }, kPatience));
  CHECK_THAT(signer.lost[0], Catch::StartsWith("queue_overflow"));
  CHECK_FALSE(signer.transport->send(slow, Bytes(1)));
  REQUIRE(signer.transport->send(signer.last, Bytes(3)));
  CHECK(loop.run_until([&] { return other.frames.size() == 1; }, kPatience));
}

TEST_CASE("a connector comes back under a new number when its peer restarts on the same port") {
  EventLoop loop;
  Cluster cluster;
  const TlsIdentity identity = cluster.identity(kSigner0);
  auto signer = std::make_unique<Node>(loop, identity);
  const std::uint16_t port = signer->listen();
  Node coordinator(loop, cluster.identity(kCoordinator));
  coordinator.transport->connect(kSigner0, "127.0.0.1", port);
  REQUIRE(loop.run_until([&] { return coordinator.connected == 1; }, kPatience));
  const ConnectionId first = coordinator.last;
  signer.reset();
  REQUIRE(loop.run_until([&] { return coordinator.lost.size() == 1; }, kPatience));
  signer = std::make_unique<Node>(loop, identity);
  REQUIRE(signer->listen(port) == port);
  REQUIRE(loop.run_until([&] { return coordinator.connected == 2; }, kPatience));
  CHECK(coordinator.last != first);
  CHECK_FALSE(coordinator.transport->send(first, Bytes(1)));
  CHECK(coordinator.transport->send(coordinator.last, Bytes(1)));

  // And no longer after stop_connecting().
  coordinator.transport->stop_connecting(kSigner0);
  REQUIRE(loop.run_until([&] { return coordinator.lost.size() == 2; }, kPatience));
  CHECK_FALSE(loop.run_until([&] { return coordinator.connected == 3; }, milliseconds(60)));
}

TEST_CASE("a taken port is a preflight error that names it") {
  EventLoop loop;
  Cluster cluster;
  Node first(loop, cluster.identity(kSigner0));
  const std::uint16_t port = first.listen();
  Node second(loop, cluster.identity(kSigner1));
  const auto bound = second.transport->listen("127.0.0.1", port);
  REQUIRE_FALSE(bound.ok());
  CHECK(bound.error().kind == ErrorKind::Preflight);
  CHECK(bound.error().message.find(std::to_string(port)) != std::string::npos);
}

TEST_CASE("closing a connection inside its own frame callback is safe") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner0));
  signer.on_frame = [&](ConnectionId id, ByteSpan) { signer.transport->close(id, "enough"); };
  Node coordinator(loop, cluster.identity(kCoordinator));
  coordinator.transport->connect(kSigner0, "127.0.0.1", signer.listen());
  REQUIRE(loop.run_until([&] { return coordinator.connected == 1; }, kPatience));
  for (int i = 0; i < 3; ++i) coordinator.transport->send(coordinator.last, Bytes(10));
  REQUIRE(loop.run_until([&] { return signer.lost.size() == 1; }, kPatience));
  CHECK(signer.frames.size() == 1);
  CHECK(signer.lost[0] == "closed_here: enough");
}

TEST_CASE("destroying the transport inside a callback is safe") {
  EventLoop loop;
  Cluster cluster;
  Node signer(loop, cluster.identity(kSigner0));
  bool gone = false;
  signer.on_frame = [&](ConnectionId, ByteSpan) {
    signer.transport.reset();
    gone = true;
  };
  Node coordinator(loop, cluster.identity(kCoordinator));
  coordinator.transport->connect(kSigner0, "127.0.0.1", signer.listen());
  REQUIRE(loop.run_until([&] { return coordinator.connected == 1; }, kPatience));
  coordinator.transport->send(coordinator.last, Bytes(10));
  coordinator.transport->send(coordinator.last, Bytes(10));
  REQUIRE(loop.run_until([&] { return gone; }, kPatience));
  CHECK(loop.run_until([&] { return !coordinator.lost.empty(); }, kPatience));
  CHECK(signer.frames.size() == 1);
}

namespace {

// A signer process that sends one frame of 100 bytes to whoever connects.
int one_frame_signer(ControlChannel& channel, const TlsIdentity& identity) {
  channel.close_tool_end();
  auto points = KillPoints::open(Role::Signer, channel.take_process_end());
  if (!points.ok()) return 1;
  EventLoop loop;
  (*points)->attach(loop);
  std::unique_ptr<TlsTransport> transport;
  TlsTransport::Options options;
  options.identity = identity;
  options.accepts = [](ProcessName) { return true; };
  options.points = points->get();
  options.callbacks.on_connected = [&](ConnectionId id, ProcessName) {
    transport->send(id, Bytes(100, 0x5a), "partial_signature");
    (*points)->event("sent");
  };
  options.callbacks.on_frame = [](ConnectionId, ByteSpan) {};
  options.callbacks.on_lost = [&](ConnectionId, ProcessName, const std::string&) { loop.stop(); };
  auto made = TlsTransport::create(loop, std::move(options));
  if (!made.ok()) return 1;
  transport = std::move(*made);
  const auto port = transport->listen("127.0.0.1", 0);
  if (!port.ok()) return 1;
  (*points)->ready(std::to_string(*port));
  loop.run();
  return 0;
}

}  // namespace

TEST_CASE("a send stopped before, during and after has written nothing, a proper prefix and all") {
  struct Stop {
    const char* when;
    std::size_t bytes;
  };
  Cluster cluster;
  const TlsIdentity signer = cluster.identity(kSigner0);
  const TlsIdentity coordinator = cluster.identity(kCoordinator);
  for (const Stop stop : {Stop{"before", 0}, Stop{"during", 52}, Stop{"after", 104}}) {
    for (const bool killed : {false, true}) {
      INFO(stop.when << (killed ? " killed" : " released"));
      ControlChannel channel;
      channel.tell(std::string("arm s signer.send.partial_signature.") + stop.when + " 1");
      Child child([&] { return one_frame_signer(channel, signer); });
      channel.close_process_end();
      const std::string ready = channel.hear();
      REQUIRE(ready.starts_with("ready "));
      const auto port = static_cast<std::uint16_t>(std::stoi(ready.substr(6)));
      auto peer = std::make_unique<RawPeer>(port, &coordinator);
      REQUIRE(peer->handshake());
      const std::string point = std::string("signer.send.partial_signature.") + stop.when;
      REQUIRE(channel.hear() == "hit s " + point + " 1 1");
      // The whole process stands: what was written is there now, and nothing follows.
      Bytes got;
      while (got.size() < stop.bytes) {
        const Bytes more = peer->receive();
        REQUIRE_FALSE(more.empty());
        append(got, more);
      }
      CHECK(got.size() == stop.bytes);
      ::usleep(10000);
      CHECK(peer->nothing_to_read());
      if (killed) {
        child.signal(SIGKILL);
        CHECK(peer->receive().empty());
        CHECK(WTERMSIG(child.wait()) == SIGKILL);
        continue;
      }
      channel.tell("release 1");
      while (got.size() < 104) {
        const Bytes more = peer->receive();
        REQUIRE_FALSE(more.empty());
        append(got, more);
      }
      Bytes expected = header_of(100);
      expected.resize(104, 0x5a);
      CHECK(got == expected);
      CHECK(channel.hear() == "event sent");
      peer.reset();
      CHECK(child.wait() == 0);
    }
  }
}

TEST_CASE("a send passes its three points in order even when none of them stops it") {
  EventLoop loop;
  Cluster cluster;
  ControlChannel channel;
  for (const char* when : {"after", "during", "before"}) {
    channel.tell(std::string("arm ") + when + " signer.send.refusal." + when + " 100");
  }
  auto points = KillPoints::open(Role::Signer, channel.take_process_end());
  REQUIRE(points.ok());
  Node signer(loop, cluster.identity(kSigner0), {}, [](ProcessName) { return true; },
              points->get());
  Node coordinator(loop, cluster.identity(kCoordinator));
  coordinator.transport->connect(kSigner0, "127.0.0.1", signer.listen());
  REQUIRE(loop.run_until([&] { return signer.connected == 1; }, kPatience));
  REQUIRE(signer.transport->send(signer.last, Bytes(10, 4), "refusal"));
  for (const char* when : {"before", "during", "after"}) {
    CHECK(channel.hear() == std::string("seen ") + when + " signer.send.refusal." + when);
  }
  REQUIRE(loop.run_until([&] { return coordinator.frames.size() == 1; }, kPatience));
  CHECK(coordinator.frames[0] == Bytes(10, 4));
}
