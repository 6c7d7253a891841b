// Result<T>: a value, or an Error that says what went wrong, where, and how to mend it.
//
// For what can go wrong in operation (full disk, refused connection, bad file). Expected outcomes
// of a protocol are variants of their own; our own bugs are ROULETTE_ASSERT.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "common/base/assert.h"

namespace roulette {

// The kinds map to the exit codes of DESIGN 9 (see exit_code()).
enum class ErrorKind {
  Usage,      // the user's file or flags: 64
  Preflight,  // binary, port, folder, etcd or node missing: 2
  Io,         // disk or descriptor
  Network,    // a peer or a socket
  Corrupt,    // stored or received bytes that do not parse or do not verify
  Refused,    // a rule said no
  Internal,   // our own bug or a broken environment: 70
};

struct Error {
  ErrorKind kind = ErrorKind::Internal;
  std::string message;

  // The same error with "context: " before its message.
  [[nodiscard]] Error with_context(const std::string& context) const {
    return Error{kind, context + ": " + message};
  }
};

// 64 for Usage, 2 for Preflight, 70 for everything else.
[[nodiscard]] int exit_code(ErrorKind kind) noexcept;

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : value_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error) : value_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  [[nodiscard]] bool ok() const noexcept { return value_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] T& value() & {
    ROULETTE_ASSERT(ok());
    return std::get<0>(value_);
  }
  [[nodiscard]] const T& value() const& {
    ROULETTE_ASSERT(ok());
    return std::get<0>(value_);
  }
  [[nodiscard]] T&& value() && {
    ROULETTE_ASSERT(ok());
    return std::get<0>(std::move(value_));
  }
  [[nodiscard]] const Error& error() const {
    ROULETTE_ASSERT(!ok());
    return std::get<1>(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> value_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  [[nodiscard]] bool ok() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] const Error& error() const {
    ROULETTE_ASSERT(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace roulette
