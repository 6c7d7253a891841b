// A trace for people: one line an event, with virtual time, process and a mark where a fault is.
//
// Invariant: a line depends on the event alone, so equal runs read equally. Tells, never judges.
#pragma once

#include <string>

#include "chaos/sim/trace.h"

namespace roulette::sim {

// "   1234.567 ms  signer-2       x down", without an end of line.
[[nodiscard]] std::string narrate(const TraceLine& line);
// Heartbeats, pings and polls are not: most lines by number, the least by consequence.
[[nodiscard]] bool worth_telling(const TraceLine& line);
// The mark of what the host did to a process, the node, the log or a link; empty for an effect.
[[nodiscard]] const char* fault_mark(const TraceLine& line);

}  // namespace roulette::sim
