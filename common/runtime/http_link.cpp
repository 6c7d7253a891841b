// The HTTP client's connection: see http_link.h.
#include "common/runtime/http_link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace roulette::runtime {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t kCiphertextBytes = 32 * 1024;

}  // namespace

void HttpLink::connect(const tcp::endpoint& endpoint, std::shared_ptr<const TlsClientContext> tls,
                       const std::string& host, std::function<void(bool)> done) {
  socket_.async_connect(endpoint, [this, tls = std::move(tls), host,
                                   done = std::move(done)](const ErrorCode& error) {
    if (error) {
      why_ = "connect: " + error.message();
      return done(false);
    }
    (void)::fcntl(socket_.native_handle(), F_SETFD, FD_CLOEXEC);
    ErrorCode ignored;
    (void)socket_.set_option(tcp::no_delay(true), ignored);
    if (!tls) return done(true);
    tls_.emplace(tls, host);
    ciphertext_in_.resize(kCiphertextBytes);
    shake_hands(done);
  });
}

void HttpLink::shake_hands(std::function<void(bool)> done) {
  const auto step = tls_->handshake();
  if (step == TlsClientSession::Step::Failed || step == TlsClientSession::Step::Closed) {
    why_ = tls_->reason().empty() ? "TLS: closed within the handshake" : tls_->reason();
    send_alert();
    return done(false);
  }
  send([this, step, done](const ErrorCode& failed) {
    if (failed) {
      why_ = "TLS handshake: " + failed.message();
      return done(false);
    }
    if (step == TlsClientSession::Step::Done) return done(true);
    fetch([this, done](const ErrorCode& error) {
      if (!error) return shake_hands(done);
      why_ = "TLS handshake: " + error.message();
      done(false);
    });
  });
}

void HttpLink::close() {
  ErrorCode ignored;
  (void)socket_.close(ignored);
}

// TLS 1.3 tickets and the like came with the answer: what comes behind it, nobody asked for.
bool HttpLink::silent() {
  char byte = 0;
  const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

std::string HttpLink::why(const ErrorCode& error) const {
  if (!why_.empty()) return why_;
  return tls_ && !heard_ ? tls_->early_end(error.message()) : error.message();
}

void HttpLink::read(asio::mutable_buffer into, Moved done) {
  if (!tls_) return socket_.async_read_some(into, std::move(done));
  std::size_t size = into.size();
  const auto ended = [&](const ErrorCode& error, std::size_t bytes) {
    asio::post(socket_.get_executor(),
               [error, bytes, done = std::move(done)] { done(error, bytes); });
  };
  switch (tls_->read(into.data(), size)) {
    case TlsClientSession::Step::Done:
      heard_ = true;
      return ended({}, size);
    case TlsClientSession::Step::Closed: return ended(asio::error::eof, 0);
    case TlsClientSession::Step::Failed:
      why_ = tls_->reason();
      send_alert();
      return ended(asio::error::connection_aborted, 0);
    case TlsClientSession::Step::WantInput: break;
  }
  fetch([this, into, done = std::move(done)](const ErrorCode& error) {
    if (!error) return read(into, done);
    // An end without TLS's own may be anybody's doing: no end of a message (RFC 8446, 6.1).
    if (error == asio::error::eof) return done(asio::error::connection_reset, 0);
    done(error, 0);
  });
}

void HttpLink::write(asio::const_buffer from, Moved done) {
  if (!tls_) return socket_.async_write_some(from, std::move(done));
  if (!tls_->write(from.data(), from.size())) {
    why_ = tls_->reason();
    return asio::post(socket_.get_executor(),
                      [done = std::move(done)] { done(asio::error::connection_aborted, 0); });
  }
  send([this, size = from.size(), done = std::move(done)](const ErrorCode& error) {
    if (error) hear_last_words();
    done(error, error ? 0 : size);
  });
}

void HttpLink::fetch(std::function<void(const ErrorCode&)> fetched) {
  socket_.async_read_some(
      asio::buffer(ciphertext_in_),
      [this, fetched = std::move(fetched)](const ErrorCode& error, std::size_t size) {
        if (!error) tls_->feed(ByteSpan(ciphertext_in_.data(), size));
        fetched(error);
      });
}

void HttpLink::send(std::function<void(const ErrorCode&)> sent) {
  ciphertext_out_ = tls_->take_output();
  asio::async_write(socket_, asio::buffer(ciphertext_out_),
                    [sent = std::move(sent)](const ErrorCode& error, std::size_t) { sent(error); });
}

// A server that refuses us says so and closes: our own write fails before we have read it.
void HttpLink::hear_last_words() {
  const ssize_t n = ::recv(socket_.native_handle(), ciphertext_in_.data(), ciphertext_in_.size(),
                           MSG_DONTWAIT);
  if (n <= 0) return;
  tls_->feed(ByteSpan(ciphertext_in_.data(), static_cast<std::size_t>(n)));
  char byte = 0;
  std::size_t size = 1;
  if (tls_->read(&byte, size) == TlsClientSession::Step::Failed) why_ = tls_->reason();
}

// So that the server's log says it, too; the connection ends anyway.
void HttpLink::send_alert() {
  const Bytes alert = tls_->take_output();
  (void)::send(socket_.native_handle(), alert.data(), alert.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace roulette::runtime
