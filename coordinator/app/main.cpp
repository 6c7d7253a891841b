// roulette-coordinator: the wallet's service, stateless between starts (docs/CONFIG.md,
// "coordinator").
//
// Invariant: nothing listens before group, token and certificates were found to be readable. Exit
// codes: 0 stopped in order, 2 something it needs is missing or does not fit (a chain other than
// regtest too), 64 usage or configuration, 70 the control channel failed, 143 a stop that was
// forced.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/secret.h"
#include "common/crypto/schnorr.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/process.h"
#include "coordinator/app/live_coordinator.h"

namespace roulette::coordinator {
namespace {

constexpr const char* kUsage =
    "usage: roulette-coordinator --config FILE [--control-fd N]\n"
    "       roulette-coordinator --version\n";

struct Arguments {
  bool version = false;
  std::string config;
  std::optional<int> control_fd;
};

Result<Arguments> parse(std::span<char*> words) {
  Arguments arguments;
  const auto usage = [](const std::string& what) { return Error{ErrorKind::Usage, what}; };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "--version") {
      arguments.version = true;
      continue;
    }
    if (word != "--config" && word != "--control-fd")
      return usage("unknown argument " + std::string(word));
    if (i + 1 == words.size()) return usage(std::string(word) + " wants a value");
    const std::string_view value = words[++i];
    if (word == "--config") {
      arguments.config = value;
      continue;
    }
    int fd = -1;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), fd);
    if (error != std::errc{} || end != value.data() + value.size() || fd < 0)
      return usage("--control-fd wants a descriptor's number");
    arguments.control_fd = fd;
  }
  if (arguments.config.empty() && !arguments.version) return usage("--config is missing");
  return arguments;
}

// Before anything serves, all that does not fit is one kind of failure (DESIGN 9): 2.
int startup_failure(const Error& error) {
  std::fprintf(stderr, "roulette-coordinator: %s\n", error.message.c_str());
  if (error.kind == ErrorKind::Usage) return exit_code(ErrorKind::Usage);
  return exit_code(error.kind == ErrorKind::Internal ? error.kind : ErrorKind::Preflight);
}

int serve(const Arguments& arguments, const Settings& settings, const runtime::Hygiene& hygiene) {
  auto points = runtime::KillPoints::open(Role::Coordinator, arguments.control_fd);
  if (!points) return startup_failure(points.error());
  if (auto made = runtime::create_folder_durably(settings.folder); !made)
    return startup_failure(made.error());
  runtime::EventLoop loop;
  LiveCoordinator* serving = nullptr;
  bool asked_to_stop = false;
  const runtime::TerminationSignals signals(loop, [&] {
    asked_to_stop = true;
    if (serving != nullptr) serving->begin_shutdown();
  });
  runtime::KernelEntropy entropy;
  const BootId boot = runtime::draw_boot_id(entropy);
  auto log = runtime::EventLog::open(settings.event_file(), settings.name, boot);
  if (!log) return startup_failure(log.error());
  (*log)->write("started", runtime::EventFields()
                               .add("pid", ::getpid())
                               .add("version", ROULETTE_VERSION)
                               .add("memory_locked", hygiene.memory_locked));
  Secret<32> blinding;
  entropy.fill({blinding.data(), blinding.size()});
  crypto::randomize_context(blinding);
  (*points)->attach(loop);
  LiveCoordinator coordinator({loop, **points, **log, entropy, boot}, settings);
  if (auto started = coordinator.start(); !started) return startup_failure(started.error());
  serving = &coordinator;
  if (asked_to_stop) coordinator.begin_shutdown();
  return coordinator.run();
}

int run(std::span<char*> words) {
  const auto arguments = parse(words);
  if (!arguments) {
    std::fprintf(stderr, "roulette-coordinator: %s\n%s", arguments.error().message.c_str(), kUsage);
    return exit_code(ErrorKind::Usage);
  }
  if (arguments->version) {
    std::printf("roulette-coordinator %s\n", ROULETTE_VERSION);
    return 0;
  }
  const auto hygiene = runtime::harden_process({});
  if (!hygiene) return startup_failure(hygiene.error());
  const auto settings = load_settings(arguments->config);
  if (!settings) return startup_failure(settings.error());
  return serve(*arguments, *settings, *hygiene);
}

}  // namespace
}  // namespace roulette::coordinator

int main(int argc, char** argv) {
  return roulette::coordinator::run(std::span(argv + 1, static_cast<std::size_t>(argc - 1)));
}
