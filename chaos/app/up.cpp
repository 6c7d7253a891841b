// `roulette up`: a cluster that stays until it is told to stop. See commands.h.
#include <iostream>

#include "chaos/app/commands.h"
#include "chaos/app/session.h"

namespace roulette::chaos {
namespace {

constexpr Duration kStartLimit = seconds(60);
constexpr Duration kRestartDelay = milliseconds(500);

}  // namespace

int up_command(const UpOptions& options) {
  auto created = Session::create(options.runs_dir, "up");
  if (!created) return report_error(created.error());
  Session& s = **created;
  bool stopping = false;
  runtime::TerminationSignals signals(s.loop, [&] {
    stopping = true;
    s.loop.stop();
  });
  if (const Status status = s.prepare(options.plan, options.coins, options.binaries); !status)
    return report_error(status.error());
  // Killed from outside, a process comes back as under any supervisor; its number changes.
  std::map<ProcessName, std::unique_ptr<runtime::Timer>> restarts;
  s.on_exit = [&](ProcessName name, const ExitFacts&) {
    if (stopping || options.no_restart) return;
    auto timer = std::make_unique<runtime::Timer>(s.loop, [&s, &stopping, name] {
      if (stopping || s.supervisor->pid(name)) return;
      const Status status = s.cluster->restart(name, {});
      if (!status)
        std::cerr << "restart of " << name.text() << " failed: " << status.error().message
                  << std::endl;
      else
        std::cerr << name.text() << " restarted, pid " << *s.supervisor->pid(name) << std::endl;
    });
    timer->arm(s.loop.now() + kRestartDelay);
    restarts[name] = std::move(timer);
  };
  const Status started = s.cluster->start(
      kStartLimit, [](const std::string& line) { std::cerr << line << std::endl; },
      [](ProcessName) { return std::vector<std::string>{}; });
  if (!started)
    return report_error(
        Error{ErrorKind::Preflight, "the cluster did not start: " + started.error().message});
  s.cluster->start_mining(options.plan.block_interval_ms);
  if (options.json)
    std::cout << s.cluster->up_json() << std::endl;
  else
    std::cerr << "ready: " << s.cluster->up_json() << "\nstop with Ctrl-C or SIGTERM" << std::endl;
  if (!stopping) s.loop.run();
  s.cluster->stop_mining();
  s.cluster->stop_all();
  return kExitPass;
}

}  // namespace roulette::chaos
