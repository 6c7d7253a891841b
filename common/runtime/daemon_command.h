// The command line that all daemons share: what they may be told, and how they say that they cannot
// start.
//
// Invariant: an argument that is unknown, or that this daemon does not take, is refused with its
// name and the usage (64); nothing is guessed. Reads no file and starts nothing.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "common/base/result.h"

namespace roulette::runtime {

struct DaemonProgram {
  const char* name;     // "roulette-signer"
  const char* version;  // for --version
  // What `export` prints, for the usage; nullptr when this daemon keeps no records.
  const char* exports = nullptr;
  bool takes_passphrase = false;  // --passphrase-fd
};

struct DaemonArguments {
  bool export_records = false;
  bool version = false;
  std::string config;
  std::optional<int> control_fd;
  std::optional<int> passphrase_fd;
};

[[nodiscard]] std::string usage_of(const DaemonProgram& program);
[[nodiscard]] Result<DaemonArguments> parse_daemon_arguments(const DaemonProgram& program,
                                                             std::span<char* const> words);

// Says why on standard error; returns the exit code. Before anything serves, all that does not fit
// is one kind of failure (DESIGN 9): 2.
[[nodiscard]] int startup_failure(const DaemonProgram& program, const Error& error);

// The whole of main(): wrong arguments and --version are answered here, the rest by `run`.
[[nodiscard]] int daemon_main(const DaemonProgram& program, int argc, char** argv,
                              const std::function<int(const DaemonArguments&)>& run);

}  // namespace roulette::runtime
