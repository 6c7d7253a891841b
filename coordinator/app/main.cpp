// roulette-coordinator: the wallet's service, stateless between starts (docs/CONFIG.md,
// "coordinator").
//
// Invariant: nothing listens before group, token and certificates were found to be readable. Exit
// codes: 0 stopped in order, 2 something it needs is missing or does not fit (a chain other than
// regtest too), 64 usage or configuration, 70 the control channel failed, 143 a stop that was
// forced.
#include <unistd.h>

#include <cstdio>

#include "common/base/secret.h"
#include "common/crypto/schnorr.h"
#include "common/runtime/daemon_command.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/process.h"
#include "coordinator/app/live_coordinator.h"

namespace roulette::coordinator {
namespace {

constexpr runtime::DaemonProgram kProgram{
    .name = "roulette-coordinator",
    .version = ROULETTE_VERSION,
};

int failed(const Error& error) {
  return runtime::startup_failure(kProgram, error);
}

int serve(const runtime::DaemonArguments& arguments, const Settings& settings,
          const runtime::Hygiene& hygiene) {
  auto points = runtime::KillPoints::open(Role::Coordinator, arguments.control_fd);
  if (!points) return failed(points.error());
  if (auto made = runtime::create_folder_durably(settings.folder); !made)
    return failed(made.error());
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
  if (!log) return failed(log.error());
  (*log)->write("started", runtime::EventFields()
                               .add("pid", ::getpid())
                               .add("version", ROULETTE_VERSION)
                               .add("memory_locked", hygiene.memory_locked));
  Secret<32> blinding;
  entropy.fill({blinding.data(), blinding.size()});
  crypto::randomize_context(blinding);
  (*points)->attach(loop);
  LiveCoordinator coordinator({loop, **points, **log, entropy, boot}, settings);
  if (auto started = coordinator.start(); !started) return failed(started.error());
  serving = &coordinator;
  if (asked_to_stop) coordinator.begin_shutdown();
  return coordinator.run();
}

int run(const runtime::DaemonArguments& arguments) {
  const auto hygiene = runtime::harden_process({});
  if (!hygiene) return failed(hygiene.error());
  const auto settings = load_settings(arguments.config);
  if (!settings) return failed(settings.error());
  return serve(arguments, *settings, *hygiene);
}

}  // namespace
}  // namespace roulette::coordinator

int main(int argc, char** argv) {
  return roulette::runtime::daemon_main(roulette::coordinator::kProgram, argc, argv,
                                        roulette::coordinator::run);
}
