// Mutually authenticated TLS 1.3 connections that carry frames (u32 big-endian length + payload).
//
// Invariant: on_connected is called only for a peer whose chain ends at the cluster's authority,
// whose SAN URI names this cluster, and whom `accepts` accepted; on_frame only between
// on_connected and on_lost of the same ConnectionId. Malformed, oversized or truncated input
// closes that connection with a reason and is counted. It does not know Envelope, Hello or
// protocol versions: the apps do.

// Nobody without a certificate keeps anybody out: where all places for handshakes are taken, one
// of them is taken back (crowding.h). Every wait for a peer's bytes has a deadline, except the one
// for the next frame of an authenticated peer whose host answers.
//
// Sends: when the queue is empty the bytes go to the kernel inside send(). With a subject, the
// points `<role>.send.<subject>.before|during|after` are passed (DESIGN 5); `during` splits the
// frame only when it is armed, and then the first half is in the kernel before the point is
// announced. `after` is announced when the kernel has taken the last byte: inside send() unless
// the socket was full.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {

class EventLoop;
class KillPoints;
class Metrics;
class Traffic;

struct TlsIdentity {
  std::string cluster;
  ProcessName self;
  std::filesystem::path authority_file;    // ca.pem
  std::filesystem::path certificate_file;  // <name>.pem
  std::filesystem::path key_file;          // <name>.key
};

struct TlsLimits {
  std::size_t frame_payload_bytes = kMaxFramePayloadBytes;
  std::size_t unsent_bytes = kMaxUnsentBytesPerConnection;
  std::size_t pending_handshakes = kMaxPendingHandshakes;
  std::size_t answered_handshakes = kMaxAnsweredHandshakes;
  std::size_t inbound_connections = kMaxInboundConnections;
  std::size_t connections_per_peer = kMaxConnectionsPerPeer;
  Duration handshake_timeout = kHandshakeTimeout;
  Duration first_frame_timeout = kFirstFrameTimeout;
  Duration frame_timeout = kFrameTimeout;
  Duration reconnect_first = kReconnectDelayFirst;
  Duration reconnect_most = kReconnectDelayMost;
};

class TlsTransport {
 public:
  // Called from the loop, never from inside send(), connect() or close().
  struct Callbacks {
    std::function<void(ConnectionId, ProcessName)> on_connected;
    std::function<void(ConnectionId, ByteSpan)> on_frame;  // the bytes live for the call only
    std::function<void(ConnectionId, ProcessName, const std::string& reason)> on_lost;
  };
  struct Options {
    TlsIdentity identity;
    TlsLimits limits = {};
    // Of who calls, after chain and URI were verified. Whoever is called must be exactly that peer.
    std::function<bool(ProcessName)> accepts = {};  // required
    Callbacks callbacks = {};  // all three required
    KillPoints* points = nullptr;  // needed when send() is given subjects
    // roulette_connections, roulette_frames_total{direction},
    // roulette_connections_lost_total{reason}
    Metrics* metrics = nullptr;
    Traffic* traffic = nullptr;  // frames received, by the sender's role
  };

  // Reads and checks the PEM files: errors name them.
  [[nodiscard]] static Result<std::unique_ptr<TlsTransport>> create(EventLoop& loop,
                                                                    Options options);
  ~TlsTransport();  // closes everything without callbacks
  TlsTransport(const TlsTransport&) = delete;
  TlsTransport& operator=(const TlsTransport&) = delete;

  // Numeric IPv4 address, port 0 = any. Returns the port. Preflight error when it is taken.
  [[nodiscard]] Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  void stop_listening();
  // Keeps a connection to `peer`: reconnects for ever with a delay that grows 10 -> 250 ms. The
  // certificate there must be exactly `peer`'s. A second call changes the address.
  void connect(ProcessName peer, const std::string& address, std::uint16_t port);
  void stop_connecting(ProcessName peer);

  // False when the connection is gone or its queue would overflow (it is then closed and on_lost
  // follows). A payload over the frame limit is an assert: it is our own bug.
  bool send(ConnectionId connection, ByteSpan payload, std::string_view subject = {});
  // on_lost follows in a later turn. Queued bytes are dropped.
  void close(ConnectionId connection, const std::string& reason);
  // Bytes the kernel has not taken yet, over all connections: for draining at shutdown.
  [[nodiscard]] std::size_t unsent_bytes() const;
  [[nodiscard]] std::optional<ProcessName> peer_of(ConnectionId connection) const;

 private:
  struct State;
  explicit TlsTransport(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace roulette::runtime
