// roulette-signer: one key share behind its checks and its journal (docs/CONFIG.md, "signer").
//
// Invariant: the process is hardened before any secret is read; nothing listens before journal,
// group and share were found to belong together. Exit codes: 0 stopped in order, 2 something it
// needs is missing or does not fit, 64 usage or configuration, 70 the disk or the control channel
// failed, 143 a stop that was forced.
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
#include "signer/app/journal_records.h"
#include "signer/app/key_material.h"
#include "signer/app/live_signer.h"

namespace roulette::signer {
namespace {

constexpr const char* kUsage =
    "usage: roulette-signer --config FILE [--control-fd N] [--passphrase-fd N]\n"
    "       roulette-signer export --config FILE     the journal as NDJSON on stdout\n"
    "       roulette-signer --version\n";

struct Arguments {
  bool export_journal = false;
  bool version = false;
  std::string config;
  std::optional<int> control_fd;
  std::optional<int> passphrase_fd;
};

std::optional<int> parse_descriptor(std::string_view text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

Result<Arguments> parse(std::span<char*> words) {
  Arguments arguments;
  const auto usage = [](const std::string& what) { return Error{ErrorKind::Usage, what}; };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "export" && i == 0) {
      arguments.export_journal = true;
    } else if (word == "--version") {
      arguments.version = true;
    } else if (word == "--config" || word == "--control-fd" || word == "--passphrase-fd") {
      if (i + 1 == words.size()) return usage(std::string(word) + " wants a value");
      const std::string_view value = words[++i];
      const auto descriptor = parse_descriptor(value);
      if (word == "--config")
        arguments.config = value;
      else if (!descriptor)
        return usage(std::string(word) + " wants a descriptor's number");
      else if (word == "--control-fd")
        arguments.control_fd = descriptor;
      else
        arguments.passphrase_fd = descriptor;
    } else {
      return usage("unknown argument " + std::string(word));
    }
  }
  if (arguments.config.empty() && !arguments.version) return usage("--config is missing");
  return arguments;
}

// Before anything serves, all that does not fit is one kind of failure (DESIGN 9): 2.
int startup_failure(const Error& error) {
  std::fprintf(stderr, "roulette-signer: %s\n", error.message.c_str());
  if (error.kind == ErrorKind::Usage) return exit_code(ErrorKind::Usage);
  return exit_code(error.kind == ErrorKind::Internal ? error.kind : ErrorKind::Preflight);
}

int serve(const Arguments& arguments, const Settings& settings, const runtime::Hygiene& hygiene) {
  auto points = runtime::KillPoints::open(Role::Signer, arguments.control_fd);
  if (!points) return startup_failure(points.error());
  if (auto made = runtime::create_folder_durably(settings.folder); !made)
    return startup_failure(made.error());
  // From here on SIGTERM is an orderly stop, also while the journal is still being read.
  runtime::EventLoop loop;
  LiveSigner* serving = nullptr;
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
                               .add("memory_locked", hygiene.memory_locked));
  if (!hygiene.memory_locked)
    std::fprintf(stderr, "%s: memory is not locked: the system refused mlockall\n",
                 settings.name.text().c_str());
  Secret<32> blinding;
  entropy.fill({blinding.data(), blinding.size()});
  crypto::randomize_context(blinding);

  auto config = load_config(settings, arguments.passphrase_fd);
  if (!config) return startup_failure(config.error());
  (*points)->attach(loop);
  LiveSigner signer({loop, **points, **log, entropy, boot, hygiene}, settings);
  if (auto started = signer.start(std::move(config).value()); !started)
    return startup_failure(started.error());
  serving = &signer;
  return signer.run();
}

int run(std::span<char*> words) {
  const auto arguments = parse(words);
  if (!arguments) {
    std::fprintf(stderr, "roulette-signer: %s\n%s", arguments.error().message.c_str(), kUsage);
    return exit_code(ErrorKind::Usage);
  }
  if (arguments->version) {
    std::printf("roulette-signer %s\n", ROULETTE_VERSION);
    return 0;
  }
  const auto hygiene = runtime::harden_process({.lock_memory = !arguments->export_journal});
  if (!hygiene) return startup_failure(hygiene.error());
  const auto settings = load_settings(arguments->config);
  if (!settings) return startup_failure(settings.error());
  if (!arguments->export_journal) return serve(*arguments, *settings, *hygiene);
  if (auto exported = export_journal(*settings); !exported)
    return startup_failure(exported.error());
  return 0;
}

}  // namespace
}  // namespace roulette::signer

int main(int argc, char** argv) {
  return roulette::signer::run(std::span(argv + 1, static_cast<std::size_t>(argc - 1)));
}
