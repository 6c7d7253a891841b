// Probing ports: see ports.h.
#include "chaos/live/ports.h"

#include <fstream>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/runtime/process.h"

namespace roulette::chaos {
namespace {

constexpr std::uint16_t kLowest = 10'000;
constexpr std::uint16_t kFallbackHighest = 32'000;
constexpr int kMaxProbes = 4'000;

// The first port that the kernel may give to an outgoing connection.
std::uint16_t first_ephemeral() {
  std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
  unsigned low = 0;
  if (file >> low && low > kLowest + 2'000 && low <= 65'535) return static_cast<std::uint16_t>(low);
  return kFallbackHighest;
}

bool can_bind(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool ok = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return ok;
}

}  // namespace

Result<std::vector<std::uint16_t>> free_ports(std::size_t count) {
  runtime::KernelEntropy entropy;
  ByteArray<2> draw{};
  entropy.fill(draw);
  const std::uint32_t span = first_ephemeral() - kLowest;
  std::uint32_t at =
      (std::uint32_t{draw[0]} << 8 | draw[1]) % span;  // two runs begin at different places
  std::vector<std::uint16_t> out;
  for (int probe = 0; probe < kMaxProbes && out.size() < count; ++probe) {
    at = (at + 1) % span;
    const auto port = static_cast<std::uint16_t>(kLowest + at);
    if (can_bind(port)) out.push_back(port);
  }
  if (out.size() == count) return out;
  return Error{ErrorKind::Preflight, "no " + std::to_string(count) + " free ports on 127.0.0.1"};
}

}  // namespace roulette::chaos
