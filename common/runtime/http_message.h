// The HTTP request and response that the server and the client exchange with their users.
//
// Invariant: header names are lower case. Plain values, no I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roulette::runtime {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

// First value of `name` (lower case), or empty.
[[nodiscard]] std::string_view find_field(const HttpFields& fields, std::string_view name);

struct HttpRequest {
  std::uint64_t id = 0;   // of the server, grows from 1
  std::string method;     // "GET"
  std::string path;       // percent-decoded, without the query: "/v1/withdrawals"
  HttpFields query;       // percent-decoded, in order; '+' is a space
  HttpFields headers;
  std::string body = {};
  [[nodiscard]] std::string_view header(std::string_view name) const {
    return find_field(headers, name);
  }
  // True when the header occurs more than once (a smuggled second Idempotency-Key must not pass).
  [[nodiscard]] bool header_repeated(std::string_view name) const;
  [[nodiscard]] bool has_query(std::string_view name) const;
  [[nodiscard]] std::string_view query_value(std::string_view name) const {
    return find_field(query, name);
  }
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  HttpFields headers = {};
  std::string body = {};
  // Server only: passes `<role>.reply.<subject>.before|after` around the write when not empty.
  std::string subject = {};
};

}  // namespace roulette::runtime
