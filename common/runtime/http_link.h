// One connection of the HTTP client, plain or under TLS, in the form that Beast reads and writes.
//
// Invariant: at most one read and one write are under way; each ends with its handler, which owns
// the link's owner, so nothing of a link is stored that would keep it alive. Included by
// http_client.cpp only.
#pragma once

#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "common/runtime/tls_client.h"

namespace roulette::runtime {

class HttpLink {
 public:
  using Socket =
      boost::asio::basic_stream_socket<boost::asio::ip::tcp,
                                       boost::asio::io_context::executor_type>;
  using executor_type = Socket::executor_type;
  using ErrorCode = boost::system::error_code;
  using Moved = std::function<void(const ErrorCode&, std::size_t)>;

  explicit HttpLink(boost::asio::io_context& io) : socket_(io.get_executor()) {}

  // Connects and, with a context, shakes hands as a client of `host`. On an error why() has it.
  void connect(const boost::asio::ip::tcp::endpoint& endpoint,
               std::shared_ptr<const TlsClientContext> tls, const std::string& host,
               std::function<void(bool connected)> done);
  void close();
  // Nothing came that nobody asked for, and the server has not closed.
  [[nodiscard]] bool silent();
  // Of an operation that ended with `error`: the words for it.
  [[nodiscard]] std::string why(const ErrorCode& error) const;
  [[nodiscard]] const std::string& why() const { return why_; }

  [[nodiscard]] executor_type get_executor() { return socket_.get_executor(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    const boost::asio::mutable_buffer into = first_of<boost::asio::mutable_buffer>(buffers);
    return boost::asio::async_initiate<Token, void(ErrorCode, std::size_t)>(
        [this](auto&& handler, boost::asio::mutable_buffer given) {
          read(given, held(std::forward<decltype(handler)>(handler)));
        },
        token, into);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    const boost::asio::const_buffer from = first_of<boost::asio::const_buffer>(buffers);
    return boost::asio::async_initiate<Token, void(ErrorCode, std::size_t)>(
        [this](auto&& handler, boost::asio::const_buffer given) {
          write(given, held(std::forward<decltype(handler)>(handler)));
        },
        token, from);
  }

 private:
  // Beast's handlers move only, and std::function copies.
  template <class Handler>
  static Moved held(Handler&& handler) {
    auto kept = std::make_shared<std::decay_t<Handler>>(std::forward<Handler>(handler));
    return [kept](const ErrorCode& error, std::size_t size) { (*kept)(error, size); };
  }
  // The first buffer that is not empty: "some" need not be all.
  template <class Buffer, class Buffers>
  static Buffer first_of(const Buffers& buffers) {
    for (auto it = boost::asio::buffer_sequence_begin(buffers);
         it != boost::asio::buffer_sequence_end(buffers); ++it) {
      if (Buffer(*it).size() > 0) return Buffer(*it);
    }
    return {};
  }

  void read(boost::asio::mutable_buffer into, Moved done);
  void write(boost::asio::const_buffer from, Moved done);
  void shake_hands(std::function<void(bool)> done);
  void fetch(std::function<void(const ErrorCode&)> fetched);
  void send(std::function<void(const ErrorCode&)> sent);
  void send_alert();
  void hear_last_words();

  Socket socket_;
  std::optional<TlsClientSession> tls_;
  Bytes ciphertext_in_, ciphertext_out_;
  bool heard_ = false;  // plaintext came
  std::string why_;
};

}  // namespace roulette::runtime
