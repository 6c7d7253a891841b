// environment.json: what the run ran on: versions, checksums of every program, kernel, cores, the
// disk's commit time.
#pragma once

#include <optional>
#include <string>

#include "chaos/live/cluster.h"

namespace roulette::chaos {

[[nodiscard]] std::string describe_environment(const Binaries& binaries, const std::string& folder);
// Median of 50 small overwrite + fdatasync in `folder`, microseconds; nothing when the folder
// cannot be written.
[[nodiscard]] std::optional<std::int64_t> fdatasync_p50_us(const std::string& folder);
// First line of `argv --version`; empty when it cannot be run.
[[nodiscard]] std::string version_line(const std::vector<std::string>& argv);

}  // namespace roulette::chaos
