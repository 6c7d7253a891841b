// Reading and resolving an HTTP server's address: see http_url.h.
#include "common/runtime/http_url.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "common/base/freed_by.h"

namespace roulette::runtime {
namespace {

constexpr std::size_t kMaxHostBytes = 253;  // RFC 1035, 2.3.4

bool host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-';
}

}  // namespace

std::string HttpUrl::text() const {
  return (tls ? "https://" : "http://") + host + ":" + std::to_string(port);
}

Result<HttpUrl> parse_http_url(std::string_view text) {
  const auto refuse = [](const char* why) {
    return Error{ErrorKind::Usage, std::string("not http(s)://HOST:PORT: ") + why};
  };
  HttpUrl url;
  url.tls = text.starts_with("https://");
  if (!url.tls && !text.starts_with("http://")) return refuse("it begins otherwise");
  text.remove_prefix(url.tls ? 8 : 7);
  if (text.find('@') != std::string_view::npos) return refuse("credentials do not belong there");
  if (text.ends_with('/')) text.remove_suffix(1);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse("it has no port");
  url.host = std::string(text.substr(0, colon));
  if (url.host.empty() || url.host.size() > kMaxHostBytes ||
      !std::all_of(url.host.begin(), url.host.end(), host_character))
    return refuse("the host is neither a name nor a numeric IPv4 address");
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (error != std::errc{} || end != port.data() + port.size() || url.port == 0)
    return refuse("the port is no number from 1 to 65535");
  return url;
}

Result<std::string> resolve_ipv4(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  const std::unique_ptr<addrinfo, FreedBy<::freeaddrinfo>> held(found);
  if (failed != 0 || found == nullptr)
    return Error{ErrorKind::Preflight,
                 host + ": the name has no IPv4 address (" + ::gai_strerror(failed) +
                     "): mend the name service, or give the address itself"};
  std::array<char, INET_ADDRSTRLEN> address{};
  const auto* at = reinterpret_cast<const sockaddr_in*>(found->ai_addr);
  ::inet_ntop(AF_INET, &at->sin_addr, address.data(), address.size());
  return std::string(address.data());
}

}  // namespace roulette::runtime
