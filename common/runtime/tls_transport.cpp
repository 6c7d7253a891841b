// TLS 1.3 over TCP: OpenSSL with memory BIOs, Asio only for readiness and connecting.
//
// Driving OpenSSL ourselves (instead of asio::ssl) is what makes the kill points exact: the bytes
// of a frame are handed to send(2) here, so "no byte", "a proper prefix" and "the last byte" are
// facts. Invariant: a Connection is in the map exactly while it may call back; end() takes it out
// at once and reports on_lost in a later turn.
#include "common/runtime/tls_transport.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "common/base/assert.h"
#include "common/base/freed_by.h"
#include "common/runtime/certificates.h"
#include "common/runtime/crowding.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/frames.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/metrics.h"
#include "common/runtime/traffic.h"

namespace roulette::runtime {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kTlsRecordBytes = 16 * 1024;  // RFC 8446, 5.1
constexpr int kPrefixWaitMs = 1000;            // for a full socket at `during`
constexpr std::size_t kControlBytes = 64 * 1024;  // records of TLS itself, above the queue's limit

using Context = std::unique_ptr<SSL_CTX, FreedBy<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, FreedBy<SSL_free>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, FreedBy<GENERAL_NAMES_free>>;

std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* const reason = ERR_reason_error_string(code);
  return reason == nullptr ? "protocol error" : reason;
}

// Why a connection ended: `word` labels the metric (a bounded set), `detail` is for people.
struct Ending {
  const char* word;
  std::string detail;
  [[nodiscard]] std::string text() const {
    return detail.empty() ? std::string(word) : std::string(word) + ": " + detail;
  }
};

// A peer whose host went away without a word is noticed, and its descriptor comes back.
void keep_alive(int fd) {
  const auto set = [fd](int level, int name, int value) {
    (void)::setsockopt(fd, level, name, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleS);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalS);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

// The process named by the only URI of the certificate, if it is one of our cluster.
std::optional<ProcessName> name_in(X509* certificate, const std::string& cluster) {
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names || sk_GENERAL_NAME_num(names.get()) != 1) return std::nullopt;
  const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_URI) return std::nullopt;
  const ASN1_IA5STRING* const uri = name->d.uniformResourceIdentifier;
  return parse_process_uri({reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                            static_cast<std::size_t>(ASN1_STRING_length(uri))},
                           cluster);
}

Result<Context> make_context(const TlsIdentity& identity) {
  Context context(SSL_CTX_new(TLS_method()));
  if (!context) return Error{ErrorKind::Internal, "TLS context: " + openssl_reason()};
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_verify_depth(raw, 1);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);  // every connection proves its key anew
  const auto bad = [](const std::filesystem::path& file) {
    return Error{ErrorKind::Preflight, file.string() + ": " + openssl_reason()};
  };
  if (SSL_CTX_load_verify_file(raw, identity.authority_file.c_str()) != 1) {
    return bad(identity.authority_file);
  }
  if (SSL_CTX_use_certificate_file(raw, identity.certificate_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return bad(identity.certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(raw, identity.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1) {
    return bad(identity.key_file);
  }
  if (name_in(SSL_CTX_get0_certificate(raw), identity.cluster) != identity.self) {
    return Error{ErrorKind::Preflight, identity.certificate_file.string() + ": does not name " +
                                           process_uri(identity.cluster, identity.self)};
  }
  return context;
}

struct PendingAfter {  // `.after` of a send whose last byte is still queued here
  std::uint64_t at;    // count of ciphertext bytes
  std::string subject;
};

struct Connection {
  Connection(asio::io_context& io) : socket(io.get_executor()) {}
  ConnectionId id;
  Socket socket;
  Session ssl;
  BIO* from_peer = nullptr;  // owned by ssl
  BIO* to_peer = nullptr;
  bool outbound = false;
  bool answered = false;  // inbound: its hello, and that cost a signature
  bool established = false;
  bool reported = false;  // on_connected was called
  bool open = true;
  bool waiting_to_write = false;
  ProcessName peer;                // outbound: who it must be; inbound: known when established
  std::uint32_t address = 0;       // inbound: from where
  Instant since;                   // it was accepted or dialled
  std::unique_ptr<Timer> deadline;  // of the handshake, then of an inbound peer's first frame
  std::unique_ptr<Timer> frame_deadline;  // of the frame that `in` begins with
  std::uint64_t frames = 0;        // delivered
  std::uint64_t watched_frame = 0;  // `frame_deadline` is for the one after so many
  Bytes in;                        // plaintext of incomplete frames
  std::vector<std::uint8_t> out;   // ciphertext the kernel did not take
  std::size_t out_sent = 0;        // of `out`
  std::uint64_t encrypted = 0;     // ciphertext bytes made since the start
  std::uint64_t taken = 0;         // ciphertext bytes the kernel took
  std::deque<PendingAfter> after;
};
using ConnectionPtr = std::shared_ptr<Connection>;

}  // namespace

struct TlsTransport::State : std::enable_shared_from_this<TlsTransport::State> {
  struct Target {  // a peer we keep connected to
    tcp::endpoint address;
    Duration delay;
    std::unique_ptr<Timer> timer;
    ConnectionPtr connection;
  };

  State(EventLoop& event_loop, Options given, Context made)
      : loop(event_loop), options(std::move(given)), context(std::move(made)),
        accept_timer(loop, [this] {
          if (acceptor) accept();
        }) {
    if (options.metrics == nullptr) return;
    Metrics& metrics = *options.metrics;
    open_gauge = &metrics.gauge("roulette_connections", "Authenticated peer connections.");
    frames_in = &metrics.counter("roulette_frames_total", "Frames.", {{"direction", "in"}});
    frames_out = &metrics.counter("roulette_frames_total", "Frames.", {{"direction", "out"}});
  }

  EventLoop& loop;
  Options options;
  Context context;
  bool closed = false;
  std::uint64_t last_id = 0;
  std::map<ConnectionId, ConnectionPtr> connections;  // handshaking and established
  std::map<ProcessName, Target> targets;
  std::unique_ptr<Acceptor> acceptor;
  Timer accept_timer;
  std::size_t pending_handshakes = 0;   // inbound, their hello not answered
  std::size_t answered_handshakes = 0;  // inbound, answered, no certificate yet
  std::size_t inbound = 0;
  Gauge* open_gauge = nullptr;
  Counter* frames_in = nullptr;
  Counter* frames_out = nullptr;
  Bytes ciphertext = Bytes(kReadBytes);        // one recv(2)
  Bytes plaintext = Bytes(kTlsRecordBytes);    // one SSL_read

  void shut();
  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  void accept();
  void accepted(Socket socket);
  void accept_what_waits();
  bool make_room(bool answered);
  void leaves_handshake(const ConnectionPtr& c);
  void close_unless(const ConnectionPtr& c, std::unique_ptr<Timer>& timer, Duration patience,
                    const char* word, std::function<bool(const Connection&)> done);
  void dial(ProcessName peer);
  void dial_later(ProcessName peer);
  ConnectionPtr add_connection(bool outbound);
  void start_tls(const ConnectionPtr& c);
  void open_session(const ConnectionPtr& c);
  void wait_readable(const ConnectionPtr& c);
  void on_readable(const ConnectionPtr& c);
  void advance(const ConnectionPtr& c);
  void handshake(const ConnectionPtr& c);
  void established(const ConnectionPtr& c);
  void read_frames(const ConnectionPtr& c);
  bool deliver_frames(const ConnectionPtr& c);
  void watch_frame(const ConnectionPtr& c);
  [[nodiscard]] std::size_t inbound_of(ProcessName peer) const;
  bool send(const ConnectionPtr& c, ByteSpan payload, std::string_view subject);
  bool encrypt(const ConnectionPtr& c, ByteSpan bytes);
  void collect(const ConnectionPtr& c);
  void flush(const ConnectionPtr& c);
  bool flush_prefix(const ConnectionPtr& c);
  void announce_taken(const ConnectionPtr& c);
  void end(const ConnectionPtr& c, Ending ending);
};

void TlsTransport::State::shut() {
  closed = true;
  acceptor.reset();
  targets.clear();
  for (auto& [id, c] : connections) {
    c->open = false;
    c->deadline.reset();
    c->frame_deadline.reset();
    error_code ignored;
    c->socket.close(ignored);
  }
  connections.clear();
}

Result<std::uint16_t> TlsTransport::State::listen(const std::string& address, std::uint16_t port) {
  error_code error;
  const auto ip = asio::ip::make_address_v4(address, error);
  const std::string where = address + ":" + std::to_string(port);
  if (error) return Error{ErrorKind::Usage, where + ": not a numeric IPv4 address"};
  auto made = std::make_unique<Acceptor>(loop.io().get_executor());
  const tcp::endpoint endpoint(ip, port);
  (void)made->open(tcp::v4(), error);
  if (!error) (void)::fcntl(made->native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error) (void)made->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) (void)made->bind(endpoint, error);
  if (!error) (void)made->listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Error{ErrorKind::Preflight, "cannot listen on " + where + ": " + error.message()};
  }
  if (!error) (void)made->non_blocking(true, error);
  const std::uint16_t bound = made->local_endpoint(error).port();
  acceptor = std::move(made);
  accept();
  return bound;
}

void TlsTransport::State::accept() {
  acceptor->async_accept([self = shared_from_this()](const error_code& error, Socket socket) {
    if (self->closed || !self->acceptor || error == asio::error::operation_aborted) return;
    if (error) {
      // Out of descriptors: asking again at once would only spin, and whoever holds them while it
      // shows no certificate gives one back.
      if (error.value() == EMFILE || error.value() == ENFILE) {
        if (!self->make_room(false)) (void)self->make_room(true);
      }
      return self->accept_timer.arm(self->loop.now() + kAcceptRetryDelay);
    }
    self->accepted(std::move(socket));
    self->accept_what_waits();
    if (self->acceptor) self->accept();
  });
}

// A newcomer costs microseconds, its hello a signature: were they taken one by one, a flood of
// hellos would fill the kernel's queue, and an honest peer's patience would end in there.
void TlsTransport::State::accept_what_waits() {
  error_code error;
  for (std::size_t i = 0; acceptor && i < kMaxAcceptsPerTurn; ++i) {
    Socket socket(loop.io().get_executor());
    (void)acceptor->accept(socket, error);
    if (error) return;  // would block, or what the next accept() says
    accepted(std::move(socket));
  }
}

void TlsTransport::State::accepted(Socket socket) {
  const bool full = pending_handshakes >= options.limits.pending_handshakes ||
                    inbound >= options.limits.inbound_connections;
  if (full && !make_room(false) && !make_room(true)) {
    if (options.metrics != nullptr) {
      options.metrics->counter("roulette_connections_refused_total",
                               "Inbound connections over a limit.").increment();
    }
    return;  // the socket closes here
  }
  const ConnectionPtr c = add_connection(false);
  error_code ignored;
  const tcp::endpoint from = socket.remote_endpoint(ignored);
  if (from.address().is_v4()) c->address = from.address().to_v4().to_uint();
  c->socket = std::move(socket);
  ++inbound;
  ++pending_handshakes;
  start_tls(c);
}

// Takes back a place of somebody who has not shown a certificate. A refusal of the newcomer would
// be simpler: then 64 silent sockets keep every coordinator away from a signer that restarted.
// Who was answered is met only by others that were: they come no faster than hellos are answered.
bool TlsTransport::State::make_room(bool answered) {
  std::vector<Place> places;
  for (const auto& [id, c] : connections) {
    if (!c->outbound && !c->established && c->answered == answered)
      places.push_back({id.value(), c->address, c->since});
  }
  const auto holder = most_crowding(places);
  if (!holder) return false;
  end(ConnectionPtr(connections.at(ConnectionId(*holder))), {"crowded_out", ""});
  return true;
}

void TlsTransport::State::dial(ProcessName peer) {
  Target& target = targets.at(peer);
  const ConnectionPtr c = add_connection(true);
  c->peer = peer;
  target.connection = c;
  c->socket.async_connect(target.address, [self = shared_from_this(), c](const error_code& error) {
    if (!c->open) return;
    if (error) self->end(c, {"connect_failed", error.message()});
    else self->start_tls(c);
  });
}

void TlsTransport::State::dial_later(ProcessName peer) {
  Target& target = targets.at(peer);
  target.connection.reset();
  target.timer->arm(loop.now() + target.delay);
  target.delay = std::min(target.delay * 2, options.limits.reconnect_most);
}

ConnectionPtr TlsTransport::State::add_connection(bool outbound) {
  const auto c = std::make_shared<Connection>(loop.io());
  c->id = ConnectionId(++last_id);
  c->outbound = outbound;
  connections.emplace(c->id, c);
  c->since = loop.now();
  // Counts from the connect, so that a peer that accepts and says nothing is given up as well.
  close_unless(c, c->deadline, options.limits.handshake_timeout, "handshake_timeout",
               [](const Connection& now) { return now.established; });
  return c;
}

// Ends `c` after `patience` unless `done` holds then. What lies in the socket by that time counts:
// it may be this process that stood still meanwhile, and not its peer.
void TlsTransport::State::close_unless(const ConnectionPtr& c, std::unique_ptr<Timer>& timer,
                                       Duration patience, const char* word,
                                       std::function<bool(const Connection&)> done) {
  timer = std::make_unique<Timer>(loop, [this, id = c->id, word, done = std::move(done)] {
    const auto found = connections.find(id);
    if (found == connections.end()) return;
    const ConnectionPtr alive = found->second;
    if (alive->ssl || !alive->outbound) on_readable(alive);
    if (alive->open && !done(*alive)) end(alive, {word, ""});
  });
  timer->arm(loop.now() + patience);
}

void TlsTransport::State::start_tls(const ConnectionPtr& c) {
  error_code ignored;
  (void)::fcntl(c->socket.native_handle(), F_SETFD, FD_CLOEXEC);
  (void)c->socket.set_option(tcp::no_delay(true), ignored);
  keep_alive(c->socket.native_handle());
  (void)c->socket.non_blocking(true, ignored);
  // Who calls is given a TLS session when it says something: most of a flood never does.
  if (c->outbound) open_session(c);
  if (c->outbound) advance(c);
  if (c->open) wait_readable(c);
}

void TlsTransport::State::open_session(const ConnectionPtr& c) {
  c->ssl = Session(SSL_new(context.get()));
  c->from_peer = BIO_new(BIO_s_mem());
  c->to_peer = BIO_new(BIO_s_mem());
  ROULETTE_ASSERT(c->ssl && c->from_peer != nullptr && c->to_peer != nullptr);
  SSL_set_bio(c->ssl.get(), c->from_peer, c->to_peer);
  if (c->outbound) SSL_set_connect_state(c->ssl.get());
  else SSL_set_accept_state(c->ssl.get());
}

void TlsTransport::State::wait_readable(const ConnectionPtr& c) {
  c->socket.async_wait(Socket::wait_read, [self = shared_from_this(), c](const error_code& error) {
    if (!c->open) return;
    if (error) return self->end(c, {"reset", error.message()});
    self->on_readable(c);
    if (c->open) self->wait_readable(c);
  });
}

void TlsTransport::State::on_readable(const ConnectionPtr& c) {
  for (std::size_t turn = 0; turn < kMaxReadsPerTurn; ++turn) {
    const ssize_t n = ::recv(c->socket.native_handle(), ciphertext.data(), ciphertext.size(),
                             MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) return end(c, {"reset", std::strerror(errno)});
    if (n == 0) {
      return end(c, c->in.empty() ? Ending{"eof", ""} : Ending{"truncated_frame", "eof inside"});
    }
    if (!c->ssl) open_session(c);
    ROULETTE_ASSERT(BIO_write(c->from_peer, ciphertext.data(), static_cast<int>(n)) == n);
    advance(c);
    // A short read emptied the socket: asking again would only cost a system call.
    if (!c->open || static_cast<std::size_t>(n) < ciphertext.size()) return;
  }
}

void TlsTransport::State::advance(const ConnectionPtr& c) {
  if (!c->established) handshake(c);
  if (c->open && c->established) read_frames(c);
}

void TlsTransport::State::handshake(const ConnectionPtr& c) {
  ERR_clear_error();
  const int code = SSL_do_handshake(c->ssl.get());
  const int error = SSL_get_error(c->ssl.get(), code);
  flush(c);  // our flight, or the alert that explains a refusal
  if (!c->open) return;
  if (code == 1) return established(c);
  if (error == SSL_ERROR_WANT_READ) {
    if (c->outbound || c->answered || c->encrypted == 0) return;
    leaves_handshake(c);
    c->answered = true;
    c->since = loop.now();
    if (++answered_handshakes > options.limits.answered_handshakes) make_room(true);
    return;
  }
  const long verified = SSL_get_verify_result(c->ssl.get());
  if (verified != X509_V_OK) {
    return end(c, {"bad_certificate", X509_verify_cert_error_string(verified)});
  }
  end(c, {"tls_error", openssl_reason()});
}

// Out of the count that it is in.
void TlsTransport::State::leaves_handshake(const ConnectionPtr& c) {
  if (c->outbound || c->established) return;
  --(c->answered ? answered_handshakes : pending_handshakes);
}

void TlsTransport::State::established(const ConnectionPtr& c) {
  c->deadline.reset();
  leaves_handshake(c);
  const Certificate certificate(SSL_get1_peer_certificate(c->ssl.get()));
  ROULETTE_ASSERT(certificate);  // SSL_VERIFY_FAIL_IF_NO_PEER_CERT
  const auto name = name_in(certificate.get(), options.identity.cluster);
  c->established = true;
  if (!name) return end(c, {"bad_name", "no process of this cluster in the certificate"});
  if (c->outbound && *name != c->peer) {
    return end(c, {"wrong_peer", "it is " + name->text() + ", not " + c->peer.text()});
  }
  c->peer = *name;
  if (!c->outbound) {
    if (!options.accepts(*name)) return end(c, {"wrong_role", name->text()});
    // The newcomer goes: with one stolen certificate nobody ends the connection that works.
    if (inbound_of(*name) > options.limits.connections_per_peer)
      return end(c, {"too_many", name->text()});
    close_unless(c, c->deadline, options.limits.first_frame_timeout, "silent",
                 [](const Connection& now) { return now.frames > 0; });
  }
  if (open_gauge != nullptr) open_gauge->add(1);
  c->reported = true;
  options.callbacks.on_connected(c->id, c->peer);
}

std::size_t TlsTransport::State::inbound_of(ProcessName peer) const {
  std::size_t count = 0;
  for (const auto& [id, c] : connections) {
    if (!c->outbound && c->established && c->peer == peer) ++count;
  }
  return count;
}

void TlsTransport::State::read_frames(const ConnectionPtr& c) {
  for (;;) {
    std::size_t n = 0;
    ERR_clear_error();
    const int code = SSL_read_ex(c->ssl.get(), plaintext.data(), plaintext.size(), &n);
    if (code == 1) {
      append(c->in, ByteSpan(plaintext).first(n));
      if (!deliver_frames(c)) return;
      continue;
    }
    const int error = SSL_get_error(c->ssl.get(), code);
    if (error == SSL_ERROR_WANT_READ) return flush(c);  // a key update may have queued an answer
    if (error == SSL_ERROR_ZERO_RETURN) {
      return end(c, c->in.empty() ? Ending{"eof", "closed by peer"}
                                  : Ending{"truncated_frame", "closed inside"});
    }
    return end(c, {"tls_error", openssl_reason()});
  }
}

// False when the connection was closed meanwhile.
bool TlsTransport::State::deliver_frames(const ConnectionPtr& c) {
  std::size_t used = 0;
  for (;;) {
    const NextFrame next =
        next_frame(ByteSpan(c->in).subspan(used), options.limits.frame_payload_bytes);
    if (next.state == FrameState::Oversized) {
      end(c, {"oversized_frame", std::to_string(next.size) + " bytes announced"});
      return false;
    }
    if (next.state == FrameState::Incomplete) break;
    ++c->frames;
    if (frames_in != nullptr) frames_in->increment();
    if (options.traffic != nullptr)
      options.traffic->count(c->peer.role, kFrameHeaderBytes + next.size);
    if (c->outbound) {
      // It speaks: the next loss is a new one and is retried at once.
      const auto target = targets.find(c->peer);
      if (target != targets.end()) target->second.delay = options.limits.reconnect_first;
    }
    options.callbacks.on_frame(c->id, next.payload);
    if (!c->open) return false;
    used += kFrameHeaderBytes + next.size;
  }
  c->in.erase(c->in.begin(), c->in.begin() + static_cast<std::ptrdiff_t>(used));
  watch_frame(c);
  return true;
}

// A byte now and then would hold a megabyte and a descriptor for ever.
void TlsTransport::State::watch_frame(const ConnectionPtr& c) {
  if (c->in.empty()) return c->frame_deadline.reset();
  if (c->frame_deadline && c->watched_frame == c->frames) return;
  c->watched_frame = c->frames;
  close_unless(c, c->frame_deadline, options.limits.frame_timeout, "slow_frame",
               [frame = c->frames](const Connection& now) { return now.frames > frame; });
}

bool TlsTransport::State::send(const ConnectionPtr& c, ByteSpan payload, std::string_view subject) {
  ROULETTE_ASSERT(payload.size() <= options.limits.frame_payload_bytes);
  const std::size_t queued = c->out.size() - c->out_sent;
  if (queued + kFrameHeaderBytes + payload.size() > options.limits.unsent_bytes) {
    end(c, {"queue_overflow", std::to_string(queued) + " bytes unsent"});
    return false;
  }
  Bytes frame;
  frame.reserve(kFrameHeaderBytes + payload.size());
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<std::uint8_t>(payload.size() >> shift));
  }
  append(frame, payload);

  KillPoints* const points = subject.empty() ? nullptr : options.points;
  ROULETTE_ASSERT(subject.empty() || points != nullptr);
  ByteSpan rest = frame;
  if (points != nullptr) {
    points->announce(PointEffect::Send, subject, PointWhen::Before);
    if (points->is_armed(PointEffect::Send, subject, PointWhen::During)) {
      // Half of the frame travels as a TLS record of its own, so the peer really sees a prefix.
      if (!encrypt(c, rest.first(frame.size() / 2)) || !flush_prefix(c)) return false;
      rest = rest.subspan(frame.size() / 2);
    }
    points->announce(PointEffect::Send, subject, PointWhen::During);
  }
  if (!encrypt(c, rest)) return false;
  if (points != nullptr) c->after.push_back({c->encrypted, std::string(subject)});
  if (frames_out != nullptr) frames_out->increment();
  flush(c);
  return c->open;
}

bool TlsTransport::State::encrypt(const ConnectionPtr& c, ByteSpan bytes) {
  ERR_clear_error();
  std::size_t n = 0;
  if (SSL_write_ex(c->ssl.get(), bytes.data(), bytes.size(), &n) != 1) {
    end(c, {"tls_error", openssl_reason()});  // a memory BIO takes everything
    return false;
  }
  collect(c);
  return true;
}

// Moves what OpenSSL produced behind the unsent ciphertext.
void TlsTransport::State::collect(const ConnectionPtr& c) {
  char* data = nullptr;
  const long made = BIO_get_mem_data(c->to_peer, &data);
  if (made <= 0) return;
  c->encrypted += static_cast<std::uint64_t>(made);
  c->out.insert(c->out.end(), data, data + made);
  ROULETTE_ASSERT(BIO_reset(c->to_peer) == 1);
}

// Hands the kernel what it takes now and waits for room when it does not take all.
void TlsTransport::State::flush(const ConnectionPtr& c) {
  collect(c);  // handshake and control records
  while (c->out_sent < c->out.size()) {
    const ssize_t n = ::send(c->socket.native_handle(), c->out.data() + c->out_sent,
                             c->out.size() - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) return end(c, {"reset", std::strerror(errno)});
    c->out_sent += static_cast<std::size_t>(n);
    c->taken += static_cast<std::uint64_t>(n);
  }
  if (c->out.size() - c->out_sent > options.limits.unsent_bytes + kControlBytes) {
    // Answers of TLS itself (key updates) to a peer that asks and never reads.
    return end(c, {"queue_overflow", "by records of TLS itself"});
  }
  if (c->out_sent == c->out.size()) {
    c->out.clear();
    c->out_sent = 0;
  } else if (!c->waiting_to_write) {
    c->waiting_to_write = true;
    c->socket.async_wait(Socket::wait_write,
                         [self = shared_from_this(), c](const error_code& error) {
                           c->waiting_to_write = false;
                           if (!c->open) return;
                           if (error) self->end(c, {"reset", error.message()});
                           else self->flush(c);
                         });
  }
  announce_taken(c);
}

// Until the kernel has everything: only before an armed `during`, where the process is about to
// stand still anyway. A peer that does not read for a second is lost instead.
bool TlsTransport::State::flush_prefix(const ConnectionPtr& c) {
  flush(c);
  while (c->open && !c->out.empty()) {
    pollfd room{c->socket.native_handle(), POLLOUT, 0};
    const int n = ::poll(&room, 1, kPrefixWaitMs);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) end(c, {"queue_overflow", "no room for a frame's prefix"});
    else flush(c);
  }
  return c->open;
}

void TlsTransport::State::announce_taken(const ConnectionPtr& c) {
  while (!c->after.empty() && c->taken >= c->after.front().at) {
    const std::string subject = std::move(c->after.front().subject);
    c->after.pop_front();
    options.points->announce(PointEffect::Send, subject, PointWhen::After);
  }
}

void TlsTransport::State::end(const ConnectionPtr& c, Ending ending) {
  if (!c->open) return;
  c->open = false;
  if (c->ssl && c->established && c->out.empty()) {
    // Best effort: tells the peer that this was on purpose.
    SSL_shutdown(c->ssl.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(c->to_peer, &data);
    if (size > 0) {
      [[maybe_unused]] const ssize_t n =
          ::send(c->socket.native_handle(), data, static_cast<std::size_t>(size),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
    }
  }
  error_code ignored;
  c->socket.close(ignored);
  c->deadline.reset();
  c->frame_deadline.reset();
  c->after.clear();
  connections.erase(c->id);
  if (!c->outbound) {
    --inbound;
    leaves_handshake(c);
  }
  if (options.metrics != nullptr) {
    options.metrics
        ->counter("roulette_connections_lost_total", "Connections by reason of their end.",
                  {{"reason", ending.word}})
        .increment();
  }
  if (c->outbound) {
    const auto target = targets.find(c->peer);
    if (target != targets.end() && target->second.connection == c) dial_later(c->peer);
  }
  if (!c->reported) return;
  if (open_gauge != nullptr) open_gauge->add(-1);
  loop.post([self = shared_from_this(), id = c->id, peer = c->peer, reason = ending.text()] {
    if (!self->closed) self->options.callbacks.on_lost(id, peer, reason);
  });
}

TlsTransport::TlsTransport(std::shared_ptr<State> state) : state_(std::move(state)) {}
TlsTransport::~TlsTransport() { state_->shut(); }

Result<std::unique_ptr<TlsTransport>> TlsTransport::create(EventLoop& loop, Options options) {
  ROULETTE_ASSERT(options.accepts && options.callbacks.on_connected && options.callbacks.on_frame &&
                  options.callbacks.on_lost);
  auto context = make_context(options.identity);
  if (!context) return context.error();
  return std::unique_ptr<TlsTransport>(new TlsTransport(
      std::make_shared<State>(loop, std::move(options), std::move(*context))));
}

Result<std::uint16_t> TlsTransport::listen(const std::string& address, std::uint16_t port) {
  return state_->listen(address, port);
}

void TlsTransport::stop_listening() { state_->acceptor.reset(); }

void TlsTransport::connect(ProcessName peer, const std::string& address, std::uint16_t port) {
  error_code error;
  const auto ip = asio::ip::make_address_v4(address, error);
  ROULETTE_ASSERT(!error);  // the configuration reader checked it
  State::Target& target = state_->targets[peer];
  target.address = tcp::endpoint(ip, port);
  target.delay = state_->options.limits.reconnect_first;
  if (target.timer) return;  // the next attempt uses the new address
  target.timer = std::make_unique<Timer>(state_->loop, [state = state_.get(), peer] {
    state->dial(peer);
  });
  target.timer->arm(state_->loop.now());
}

void TlsTransport::stop_connecting(ProcessName peer) {
  const auto target = state_->targets.find(peer);
  if (target == state_->targets.end()) return;
  const ConnectionPtr c = target->second.connection;
  state_->targets.erase(target);
  if (c) state_->end(c, {"closed_here", "no longer wanted"});
}

bool TlsTransport::send(ConnectionId connection, ByteSpan payload, std::string_view subject) {
  const auto found = state_->connections.find(connection);
  if (found == state_->connections.end() || !found->second->established) return false;
  return state_->send(ConnectionPtr(found->second), payload, subject);
}

void TlsTransport::close(ConnectionId connection, const std::string& reason) {
  const auto found = state_->connections.find(connection);
  if (found == state_->connections.end()) return;
  state_->end(ConnectionPtr(found->second), {"closed_here", reason});
}

std::size_t TlsTransport::unsent_bytes() const {
  std::size_t total = 0;
  for (const auto& [id, c] : state_->connections) total += c->out.size() - c->out_sent;
  return total;
}

std::optional<ProcessName> TlsTransport::peer_of(ConnectionId connection) const {
  const auto found = state_->connections.find(connection);
  if (found == state_->connections.end() || !found->second->established) return std::nullopt;
  return found->second->peer;
}

}  // namespace roulette::runtime
