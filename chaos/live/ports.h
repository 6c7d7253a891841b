// Free loopback ports, probed by binding: two runs share a machine (DESIGN 5).
//
// Another program may take a port between the probe and the daemon's own bind; then that daemon
// says so and ends, and the run ends before it began.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/result.h"

namespace roulette::chaos {

// `count` distinct ports on 127.0.0.1 outside the kernel's range for outgoing connections, so that
// no client's socket of this run takes one while its daemon restarts.
[[nodiscard]] Result<std::vector<std::uint16_t>> free_ports(std::size_t count);

}  // namespace roulette::chaos
