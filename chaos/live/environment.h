// environment.json: what the run ran on: versions, checksums of every program, kernel, cores, the
// disk's commit time.
#pragma once

#include <optional>
#include <string>

#include "chaos/live/cluster.h"

namespace roulette::chaos {

[[nodiscard]] std::string describe_environment(const Binaries& binaries, const std::string& folder,
                                               const std::string& scheme);
// `{kernel, machine, cores, fdatasync_p50_us}`: what figures of this machine stand beside.
[[nodiscard]] std::string machine_json(const std::string& folder);
// The folder of runs, absolute: made when it is missing, writable by nobody's promise but with room
// for a run. Usage when the name is empty, Preflight when it cannot be or has no room.
[[nodiscard]] Result<std::string> runs_folder(const std::string& runs_dir);
// Median of 50 small overwrite + fdatasync in `folder`, microseconds; nothing when the folder
// cannot be written.
[[nodiscard]] std::optional<std::int64_t> fdatasync_p50_us(const std::string& folder);
// First line of `argv --version`; empty when it cannot be run.
[[nodiscard]] std::string version_line(const std::vector<std::string>& argv);

}  // namespace roulette::chaos
