// The client's side of TLS for HTTP (an etcd that somebody else runs): whom we trust, who we are,
// and one session on memory buffers.
//
// Invariant: a session is established only with a server whose chain ends at the given authority
// and whose certificate names the host that was asked for. It owns no socket: http_client.cpp
// moves the bytes. Not for the cluster's own peers (tls_transport.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace roulette::runtime {

struct TlsClientFiles {
  std::filesystem::path authority;         // PEM, one certificate or several
  std::filesystem::path certificate, key;  // PEM; both empty: no client certificate
};

class TlsClientContext {
 public:
  // Reads the files, once. Preflight errors name the file.
  [[nodiscard]] static Result<std::shared_ptr<const TlsClientContext>> load(TlsClientFiles files);
  ~TlsClientContext();

 private:
  friend class TlsClientSession;
  struct State;
  explicit TlsClientContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class TlsClientSession {
 public:
  enum class Step { Done, WantInput, Closed, Failed };  // Closed: the server said that it is over

  // `host`: a DNS name or a numeric IPv4 address, as the certificate must have it.
  TlsClientSession(std::shared_ptr<const TlsClientContext> context, const std::string& host);
  ~TlsClientSession();

  [[nodiscard]] Step handshake();
  // Plaintext into `data`; `size` is how much of it there is, then how much came.
  [[nodiscard]] Step read(void* data, std::size_t& size);
  [[nodiscard]] bool write(const void* data, std::size_t size);
  void feed(ByteSpan ciphertext);
  [[nodiscard]] Bytes take_output();  // for the server; also after Failed: the alert
  // Of what Failed: what is wrong and what to do about it.
  [[nodiscard]] const std::string& reason() const;
  // For a connection that ended with `what` before any answer came.
  [[nodiscard]] std::string early_end(const std::string& what) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace roulette::runtime
