// Where an HTTP server is, as people write it: http://HOST:PORT or https://HOST:PORT.
//
// Invariant: what parse_http_url() returns has a host of letters, digits, dots and hyphens and a
// port; no path, query or credentials (those would end up in logs and process lists).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace roulette::runtime {

struct HttpUrl {
  bool tls = false;
  std::string host;  // a name, or a numeric IPv4 address
  std::uint16_t port = 0;
  [[nodiscard]] std::string text() const;
};

// Usage errors, without the text that was given: it may hold a password.
[[nodiscard]] Result<HttpUrl> parse_http_url(std::string_view text);

// The first IPv4 address of a name, by the system's resolver, which may block for seconds: for
// starts only. A numeric address is returned as it is. Preflight errors name the host.
[[nodiscard]] Result<std::string> resolve_ipv4(const std::string& host);

}  // namespace roulette::runtime
