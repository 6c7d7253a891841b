// `roulette up`: a cluster that stays until it is told to stop. See commands.h.
#include <iostream>

#include "chaos/app/commands.h"
#include "chaos/app/session.h"
#include "chaos/live/remote_etcd.h"
#include "chaos/plan/cluster_shape.h"

namespace roulette::chaos {
namespace {

constexpr Duration kStartLimit = seconds(60);
constexpr Duration kRestartDelay = milliseconds(500);

// The bounds of the experiment file (docs/schemas/), for flags.
Status check_plan(const UpOptions& options, const ClusterPlan& plan) {
  const auto refuse = [](const std::string& what) { return Error{ErrorKind::Usage, what}; };
  if (plan.signers < 1 || plan.signers > 128) return refuse("--signers must be 1 to 128");
  if (plan.threshold < 1) return refuse("--threshold must be at least 1");
  if (const Status shape = check_shape(plan); !shape) return shape.error();
  if (const Status log = check_log(plan); !log) return log.error();
  if (plan.coordinators < 1 || plan.coordinators > 8)
    return refuse("--coordinators must be 1 to 8");
  if (plan.block_interval_ms < 50) return refuse("--block-interval-ms must be at least 50");
  if (plan.snapshot_interval % limits::kCheckpointInterval != 0)
    return refuse("--snapshot-interval must be a multiple of " +
                  std::to_string(limits::kCheckpointInterval));
  if (options.coins < 1 || options.coins > 20'000) return refuse("--coins must be 1 to 20000");
  return {};
}

}  // namespace

int up_command(const UpOptions& options) {
  ClusterPlan plan = options.plan;
  if (names_members(options.binaries)) {
    if (plan.log != "etcd")
      return report_error(Error{ErrorKind::Usage, "--log sqlite uses no etcd: leave --etcd out"});
    plan.log = kRemoteEtcd;
  }
  set_shape(plan, options.signers, options.threshold);
  if (plan.log != "etcd" && plan.log != kRemoteEtcd && plan.log != "sqlite")
    return report_error(Error{ErrorKind::Usage, "--log must be etcd or sqlite"});
  set_log(plan);
  if (const Status sense = check_plan(options, plan); !sense) return report_error(sense.error());
  const Result<Binaries> binaries = Session::preflight(plan, options.binaries);
  if (!binaries) return report_error(binaries.error());
  auto created = Session::create(options.runs_dir, "up");
  if (!created) return report_error(created.error());
  Session& s = **created;
  bool stopping = false;
  runtime::TerminationSignals signals(s.loop, [&] {
    stopping = true;
    if (s.cluster) s.cluster->cancel_start();
    s.loop.stop();
  });
  if (const Status status = s.prepare(plan, options.coins, *binaries); !status)
    return report_error(status.error());
  if (options.keep) s.cluster->keep_remote_keys();
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
  if (!started) {
    stopping = true;
    s.cluster->stop_all();
    return report_error(
        Error{ErrorKind::Preflight, "the cluster did not start: " + started.error().message});
  }
  s.cluster->start_mining(options.plan.block_interval_ms);
  s.cluster->start_reconciling();
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
