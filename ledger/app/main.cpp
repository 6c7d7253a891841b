// roulette-ledger: one replica of the books (docs/CONFIG.md, "ledger").
//
// Invariant: nothing listens before configuration, folder and tables were found to belong together.
// Exit codes: 0 stopped in order, 2 something it needs is missing or does not fit, 64 usage or
// configuration, 70 the disk or the control channel failed or the state diverged, 143 a stop that
// was forced.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/runtime/durable_file.h"
#include "common/runtime/process.h"
#include "ledger/app/export.h"
#include "ledger/app/live_ledger.h"

namespace roulette::ledger {
namespace {

constexpr const char* kUsage =
    "usage: roulette-ledger --config FILE [--control-fd N]\n"
    "       roulette-ledger export --config FILE     the tables as NDJSON on stdout\n"
    "       roulette-ledger --version\n";

struct Arguments {
  bool export_tables = false;
  bool version = false;
  std::string config;
  std::optional<int> control_fd;
};

Result<Arguments> parse(std::span<char*> words) {
  Arguments arguments;
  const auto usage = [](const std::string& what) { return Error{ErrorKind::Usage, what}; };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "export" && i == 0) {
      arguments.export_tables = true;
    } else if (word == "--version") {
      arguments.version = true;
    } else if (word == "--config" || word == "--control-fd") {
      if (i + 1 == words.size()) return usage(std::string(word) + " wants a value");
      const std::string_view value = words[++i];
      if (word == "--config") {
        arguments.config = value;
        continue;
      }
      int fd = -1;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), fd);
      if (error != std::errc{} || end != value.data() + value.size() || fd < 0) {
        return usage("--control-fd wants a descriptor's number");
      }
      arguments.control_fd = fd;
    } else {
      return usage("unknown argument " + std::string(word));
    }
  }
  if (arguments.config.empty() && !arguments.version) return usage("--config is missing");
  return arguments;
}

// Before anything serves, all that does not fit is one kind of failure (DESIGN 9): 2.
int startup_failure(const Error& error) {
  std::fprintf(stderr, "roulette-ledger: %s\n", error.message.c_str());
  if (error.kind == ErrorKind::Usage) return exit_code(ErrorKind::Usage);
  return exit_code(error.kind == ErrorKind::Internal ? error.kind : ErrorKind::Preflight);
}

int serve(const Arguments& arguments, const Settings& settings) {
  auto points = runtime::KillPoints::open(Role::Ledger, arguments.control_fd);
  if (!points) return startup_failure(points.error());
  if (auto made = runtime::create_folder_durably(settings.folder); !made) {
    return startup_failure(made.error());
  }
  // From here on SIGTERM is an orderly stop.
  runtime::EventLoop loop;
  LiveLedger* serving = nullptr;
  const runtime::TerminationSignals signals(loop, [&serving] {
    if (serving != nullptr) serving->begin_shutdown();
  });
  runtime::KernelEntropy entropy;
  const BootId boot = runtime::draw_boot_id(entropy);
  auto log = runtime::EventLog::open(settings.event_file(), settings.name, boot);
  if (!log) return startup_failure(log.error());
  (*log)->write("started", runtime::EventFields()
                               .add("pid", ::getpid())
                               .add("version", ROULETTE_VERSION)
                               .add("memory_locked", false));
  (*points)->attach(loop);
  LiveLedger ledger({loop, **points, **log, entropy, boot}, settings);
  if (auto started = ledger.start(); !started) return startup_failure(started.error());
  serving = &ledger;
  return ledger.run();
}

int run(std::span<char*> words) {
  const auto arguments = parse(words);
  if (!arguments) {
    std::fprintf(stderr, "roulette-ledger: %s\n%s", arguments.error().message.c_str(), kUsage);
    return exit_code(ErrorKind::Usage);
  }
  if (arguments->version) {
    std::printf("roulette-ledger %s\n", ROULETTE_VERSION);
    return 0;
  }
  // No secret but the TLS key lives here: memory is not locked.
  const auto hygiene = runtime::harden_process({});
  if (!hygiene) return startup_failure(hygiene.error());
  const auto settings = load_settings(arguments->config);
  if (!settings) return startup_failure(settings.error());
  if (!arguments->export_tables) return serve(*arguments, *settings);
  if (auto exported = export_tables(*settings); !exported) return startup_failure(exported.error());
  return 0;
}

}  // namespace
}  // namespace roulette::ledger

int main(int argc, char** argv) {
  return roulette::ledger::run(std::span(argv + 1, static_cast<std::size_t>(argc - 1)));
}
