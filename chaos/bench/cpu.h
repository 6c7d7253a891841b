// CPU time of processes, user and system together.
//
// Invariant: a process that is not there has no figure, never zero.
#pragma once

#include <optional>

#include <sys/types.h>

namespace roulette::chaos::bench {

[[nodiscard]] double own_cpu_us();                         // of this process, all its threads
[[nodiscard]] std::optional<double> cpu_us_of(pid_t pid);  // in ticks of the kernel (10 ms)

}  // namespace roulette::chaos::bench
