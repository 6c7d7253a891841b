// The named bounds of the live host: every queue, buffer, retry and wait of common/runtime is here.
//
// Invariant: nothing in this folder grows or waits without one of these. Protocol limits (sessions,
// pool sizes, policies) belong to the cores, not here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/time.h"

namespace roulette::runtime {

// Event loop.
inline constexpr std::size_t kMaxHandlersPerBatch = 512;  // then the end-of-batch hook runs anyway

// Frames and TLS connections (DESIGN 2).
inline constexpr std::size_t kFrameHeaderBytes = 4;
inline constexpr std::size_t kMaxFramePayloadBytes = 1024 * 1024;
inline constexpr std::size_t kMaxUnsentBytesPerConnection = 4 * 1024 * 1024;  // ciphertext
inline constexpr std::size_t kMaxPendingHandshakes = 64;    // inbound, their hello not answered
inline constexpr std::size_t kMaxAnsweredHandshakes = 128;  // inbound, without a certificate yet
inline constexpr std::size_t kMaxAcceptsPerTurn = 256;
inline constexpr std::size_t kMaxInboundConnections = 256;
inline constexpr std::size_t kMaxConnectionsPerPeer = 8;  // inbound, by one certificate's name
inline constexpr std::size_t kMaxReadsPerTurn = 16;  // before others get the loop
inline constexpr Duration kAcceptRetryDelay = milliseconds(20);  // after accept(2) failed
inline constexpr Duration kHandshakeTimeout = seconds(2);
inline constexpr Duration kFirstFrameTimeout = seconds(2);  // inbound, after the handshake
inline constexpr Duration kFrameTimeout = seconds(10);      // first byte of a frame to its last
// A peer whose host is gone says nothing, not even that: 25 s (tcp(7)).
inline constexpr int kKeepAliveIdleS = 10;
inline constexpr int kKeepAliveIntervalS = 5;
inline constexpr int kKeepAliveProbes = 3;
inline constexpr Duration kReconnectDelayFirst = milliseconds(10);
inline constexpr Duration kReconnectDelayMost = milliseconds(250);

// HTTP server.
inline constexpr std::size_t kMaxHttpHeaderBytes = 16 * 1024;
inline constexpr std::size_t kMaxHttpRequestBodyBytes = 64 * 1024;
inline constexpr std::size_t kMaxHttpServerConnections = 512;
inline constexpr Duration kHttpIdleTimeout = seconds(60);
inline constexpr Duration kHttpReadTimeout = seconds(10);   // first byte of a request to its last
inline constexpr Duration kHttpWriteTimeout = seconds(10);
inline constexpr Duration kHttpLingerTimeout = seconds(1);  // unread request after a refusal

// HTTP client.
inline constexpr std::size_t kMaxHttpResponseBodyBytes = 32 * 1024 * 1024;  // a big getblock
inline constexpr std::size_t kMaxHttpClientConnections = 8;    // default of the pool
inline constexpr std::size_t kMaxHttpClientQueue = 4096;       // requests waiting for a connection
inline constexpr Duration kHttpRequestDeadline = seconds(10);  // default
inline constexpr Duration kHttpClientIdle = seconds(20);  // below bitcoind's 30 s server timeout

// Files.
inline constexpr std::size_t kMaxConfigFileBytes = 1024 * 1024;
inline constexpr std::size_t kMaxControlLineBytes = 512;
inline constexpr std::size_t kMaxArmedPoints = 64;

}  // namespace roulette::runtime
