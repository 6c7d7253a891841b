// Wiring of one cluster under the tool: see session.h.
#include "chaos/app/session.h"

#include <cstring>
#include <ctime>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "chaos/live/environment.h"
#include "chaos/live/remote_etcd.h"
#include "chaos/plan/cluster_shape.h"
#include "common/base/bytes.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

}  // namespace

Result<std::unique_ptr<Session>> Session::create(const std::string& runs_dir,
                                                 const std::string& label) {
  std::unique_ptr<Session> session(new Session());
  runtime::KernelEntropy entropy;
  ByteArray<2> tag{};
  entropy.fill(tag);
  const Result<std::string> runs = runs_folder(runs_dir);
  if (!runs) return runs.error();
  const std::filesystem::path folder =
      std::filesystem::path(*runs) / (utc_now() + "-" + label + "-" + to_hex(tag));
  if (std::filesystem::exists(folder))
    return Error{ErrorKind::Preflight, folder.string() + " exists already"};
  if (const Status made = runtime::create_folder_durably(folder / "work"); !made) {
    return Error{ErrorKind::Preflight, "the run folder cannot be made: " + made.error().message};
  }
  auto lock = runtime::FolderLock::take(folder / "work");
  if (!lock) return lock.error();
  session->lock.emplace(std::move(lock).value());
  session->run_dir = folder.string();
  auto log = runtime::EventLog::open(folder / "work" / "tool-0.events.ndjson",
                                     ProcessName{Role::Tool, 0}, runtime::draw_boot_id(entropy));
  if (!log) return log.error();
  session->log = std::move(log).value();
  Supervisor::Hooks hooks;
  Session* s = session.get();
  hooks.may_end = [s](ProcessName name, const ExitFacts& facts) {
    return s->faults != nullptr && s->faults->may_end(name, facts);
  };
  hooks.on_exit = [s](ProcessName name, const ExitFacts& facts) {
    if (s->faults != nullptr) s->faults->on_exit(name, facts);
    if (s->on_exit) s->on_exit(name, facts);
  };
  hooks.on_hit = [s](ProcessName name, const HitFacts& facts) {
    if (s->on_hit && s->on_hit(name, facts)) return;
    if (s->faults != nullptr)
      s->faults->on_hit(name, facts);
    else
      s->supervisor->write_control(name, "release " + std::to_string(facts.sequence));
  };
  hooks.on_seen = [s](ProcessName name, std::uint32_t arm_id) {
    if (s->on_seen && s->on_seen(name, arm_id)) return;
    if (s->faults != nullptr) s->faults->on_seen(name, arm_id);
  };
  hooks.on_ready = [s](ProcessName name, bool ready, const std::string& reason) {
    if (s->faults != nullptr) s->faults->on_ready(name, ready, reason);
  };
  hooks.on_event = [s](ProcessName name, const std::string& event, const std::string& args) {
    if (s->cluster) s->cluster->on_event(name, event, args);
    if (s->faults != nullptr) s->faults->on_event(name, event);
  };
  hooks.on_stop_continue = [s](ProcessName name, bool stopped) {
    if (s->faults != nullptr) s->faults->on_stop_continue(name, stopped);
  };
  session->supervisor =
      std::make_unique<Supervisor>(session->loop, *session->log, std::move(hooks));
  return session;
}

Result<Binaries> Session::preflight(const ClusterPlan& plan, const BinaryOptions& options) {
  if (const Status kernel = Supervisor::check_kernel(); !kernel) return kernel.error();
  const bool remote = plan.log == kRemoteEtcd;
  if (remote && !names_members(options))
    return Error{ErrorKind::Usage, "log: remote-etcd is an etcd that you run: name its members "
                                   "with --etcd https://HOST:PORT,..."};
  if (!remote && names_members(options))
    return Error{ErrorKind::Usage, "--etcd with URLs is for `up` and `run`: this command starts "
                                   "and ends etcd members of its own"};
  auto found = find_binaries(options, plan.chain == "bitcoind");
  if (!found || !remote) return found;
  if (const Status members = check_members(found->remote_etcd); !members) return members.error();
  return found;
}

Status Session::prepare(const ClusterPlan& plan, std::uint64_t coins, const Binaries& binaries) {
  auto made = Cluster::prepare(plan, coins, run_dir, binaries, loop, *log, *supervisor);
  if (!made) return made.error();
  cluster = std::move(made).value();
  return serve_metrics();
}

Status Session::serve_metrics() {
  metrics_server_ = std::make_unique<runtime::HttpServer>(
      loop, runtime::HttpServer::Options{
                .handler = [this](const runtime::HttpRequest& request,
                                  const runtime::HttpResponder& respond) {
                  if (request.method != "GET" || request.path != "/metrics")
                    return respond({.status = 404, .content_type = "text/plain", .body = ""});
                  respond({.status = 200,
                           .content_type = "text/plain; version=0.0.4",
                           .body = supervisor->metrics().text()});
                }});
  const auto port = metrics_server_->listen("127.0.0.1", 0);
  if (!port) return port.error();
  nlohmann::json targets = nlohmann::json::array();
  const auto add = [&](ProcessName name, const Endpoint& at) {
    const std::string text = name.text();
    targets.push_back({{"targets", {at.host + ":" + std::to_string(at.port)}},
                       {"labels",
                        {{"instance", text}, {"role", text.substr(0, text.find('-'))}}}});
  };
  add({Role::Tool, 0}, {"127.0.0.1", *port});
  for (const auto& [name, at] : cluster->monitored()) add(name, at);
  const std::string text = targets.dump(1) + "\n";
  return runtime::write_file_durably(
      std::filesystem::path(run_dir) / "work" / "prometheus-targets.json", as_bytes(text));
}

void Session::phase(const std::string& name) {
  runtime::EventFields fields;
  fields.add("name", name);
  log->write("phase", fields);
}

}  // namespace roulette::chaos
