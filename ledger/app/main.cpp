// roulette-ledger: one replica of the books (docs/CONFIG.md, "ledger").
//
// Invariant: nothing listens before configuration, folder and tables were found to belong together.
// Exit codes: 0 stopped in order, 2 something it needs is missing or does not fit, 64 usage or
// configuration, 70 the disk or the control channel failed or the state diverged, 143 a stop that
// was forced.
#include <unistd.h>

#include <cstdio>

#include "common/runtime/daemon_command.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/process.h"
#include "ledger/app/export.h"
#include "ledger/app/live_ledger.h"

namespace roulette::ledger {
namespace {

constexpr runtime::DaemonProgram kProgram{
    .name = "roulette-ledger",
    .version = ROULETTE_VERSION,
    .exports = "the tables as NDJSON on stdout",
};

int failed(const Error& error) {
  return runtime::startup_failure(kProgram, error);
}

int serve(const runtime::DaemonArguments& arguments, const Settings& settings) {
  auto points = runtime::KillPoints::open(Role::Ledger, arguments.control_fd);
  if (!points) return failed(points.error());
  if (auto made = runtime::create_folder_durably(settings.folder); !made) {
    return failed(made.error());
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
  if (!log) return failed(log.error());
  (*log)->write("started", runtime::EventFields()
                               .add("pid", ::getpid())
                               .add("version", ROULETTE_VERSION)
                               .add("memory_locked", false));
  (*points)->attach(loop);
  LiveLedger ledger({loop, **points, **log, entropy, boot}, settings);
  if (auto started = ledger.start(); !started) return failed(started.error());
  serving = &ledger;
  return ledger.run();
}

int run(const runtime::DaemonArguments& arguments) {
  // No secret but the TLS key lives here: memory is not locked.
  const auto hygiene = runtime::harden_process({});
  if (!hygiene) return failed(hygiene.error());
  const auto settings = load_settings(arguments.config);
  if (!settings) return failed(settings.error());
  if (!arguments.export_records) return serve(arguments, *settings);
  if (auto exported = export_tables(*settings); !exported) return failed(exported.error());
  return 0;
}

}  // namespace
}  // namespace roulette::ledger

int main(int argc, char** argv) {
  return roulette::runtime::daemon_main(roulette::ledger::kProgram, argc, argv,
                                        roulette::ledger::run);
}
