// The service part of `roulette bench`.
//
// Invariant: every row is there or there is an error; the table goes to `to`, the JSON is returned.
#pragma once

#include <cstdio>

#include <nlohmann/json.hpp>

#include "chaos/app/commands.h"

namespace roulette::chaos {

[[nodiscard]] Result<nlohmann::json> bench_service(const BenchOptions& options, std::FILE* to);

}  // namespace roulette::chaos
