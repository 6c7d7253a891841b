// Experiment files: YAML -> schema -> values -> sense. See experiment.h.
#include "chaos/plan/experiment.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "chaos/plan/cluster_shape.h"
#include "chaos/plan/schema.h"
#include "chaos/plan/variables.h"
#include "chaos/plan/yaml_tree.h"
#include "common/runtime/kill_point_table.h"

namespace roulette::chaos {

const char* signal_name(Signal signal) {
  switch (signal) {
    case Signal::Kill: return "SIGKILL";
    case Signal::Term: return "SIGTERM";
    case Signal::Stop: return "SIGSTOP";
    case Signal::TokenRemoved: return "token-removed";
    case Signal::TokenSessionLost: return "token-session-lost";
    case Signal::TokenRefusing: return "token-refusing";
    case Signal::TokenSlow: return "token-slow";
    case Signal::TokenHangs: return "token-hangs";
  }
  return "";
}

const char* token_answer(Signal signal) {
  switch (signal) {
    case Signal::Kill:
    case Signal::Term:
    case Signal::Stop: return "";
    case Signal::TokenRemoved: return "removed";
    case Signal::TokenSessionLost: return "session-lost";
    case Signal::TokenRefusing: return "refuse";
    case Signal::TokenSlow: return "slow";
    case Signal::TokenHangs: return "hang";
  }
  return "";
}

const char* recover_name(RecoverHow how) {
  switch (how) {
    case RecoverHow::Restart: return "restart";
    case RecoverHow::Continue: return "continue";
    case RecoverHow::None: return "none";
    case RecoverHow::Wiped: return "wiped";
    case RecoverHow::RolledBack: return "rolled-back";
  }
  return "";
}

namespace {

using nlohmann::json;

constexpr char kExtension[] = "/extensions/0";

// Everything needed to say "file:line: what".
struct Source {
  const std::string& name;
  const LineMap& lines;

  // The line of the value at `pointer`, or of the nearest enclosing one that has a line.
  [[nodiscard]] int line(std::string pointer) const {
    while (true) {
      const auto found = lines.find(pointer);
      if (found != lines.end()) return found->second;
      const auto slash = pointer.rfind('/');
      if (slash == std::string::npos) return 1;
      pointer.resize(slash);
    }
  }
  [[nodiscard]] Error error(const std::string& pointer, const std::string& what) const {
    return error_at(name, line(pointer), what);
  }
};

template <class T>
void read(const json& object, const char* key, T& out) {
  if (const auto found = object.find(key); found != object.end()) out = found->get<T>();
}

Role role_of(const std::string& name) {
  for (const Role role :
       {Role::Signer, Role::Coordinator, Role::Ledger, Role::Etcd, Role::Bitcoind}) {
    if (name == role_name(role)) return role;
  }
  return Role::Tool;  // the schema admits only the five
}

Target read_target(const json& object) {
  Target target;
  target.role = role_of(object.at("role").get<std::string>());
  read(object, "value", target.value);
  read(object, "index", target.index);
  std::string mode = "one";
  read(object, "mode", mode);
  if (mode == "all") target.mode = TargetMode::All;
  if (mode == "fixed") target.mode = TargetMode::Fixed;
  if (mode == "fixed-percent") target.mode = TargetMode::FixedPercent;
  if (mode == "random-max-percent") target.mode = TargetMode::RandomMaxPercent;
  return target;
}

Trigger read_trigger(const json& object) {
  if (object.contains("point")) {
    PointTrigger trigger;
    read(object, "point", trigger.point);
    read(object, "occurrence", trigger.occurrence);
    if (object.contains("process")) {
      const std::string name = object.at("process").get<std::string>();
      const auto dash = name.rfind('-');
      const int index = std::min(std::stoi(name.substr(dash + 1, 5)), 65535);
      trigger.process =
          ProcessName{role_of(name.substr(0, dash)), static_cast<std::uint16_t>(index)};
    }
    return trigger;
  }
  if (object.contains("at_ms")) return AtTrigger{object.at("at_ms").get<std::uint32_t>()};
  if (object.contains("every_ms")) {
    EveryTrigger trigger;
    read(object, "every_ms", trigger.every_ms);
    read(object, "jitter_ms", trigger.jitter_ms);
    return trigger;
  }
  RouletteTrigger trigger;
  const json& roulette = object.at("roulette");
  read(roulette, "points", trigger.points);
  read(roulette, "every_ms", trigger.every_ms);
  read(roulette, "jitter_ms", trigger.jitter_ms);
  return trigger;
}

FaultRule read_fault(const json& object) {
  FaultRule rule;
  rule.target = read_target(object.at("target"));
  rule.trigger = read_trigger(object.at("trigger"));
  const std::string signal = object.at("signal").get<std::string>();
  for (const Signal known : kSignals)
    if (signal == signal_name(known)) rule.signal = known;
  const bool lives_on = rule.signal == Signal::Stop || of_token(rule.signal);
  rule.recover.how = lives_on ? RecoverHow::Continue : RecoverHow::Restart;
  if (object.contains("recover")) {
    const std::string how = object.at("recover").at("how").get<std::string>();
    for (const RecoverHow known : kRecoverHow)
      if (how == recover_name(known)) rule.recover.how = known;
    read(object.at("recover"), "after_ms", rule.recover.after_ms);
  }
  read(object, "over_budget", rule.over_budget);
  return rule;
}

void read_cluster(const json& object, ClusterPlan& plan) {
  read(object, "scheme", plan.scheme);
  read(object, "vault", plan.vault);
  read(object, "client_signatures", plan.client_signatures);
  std::optional<std::uint16_t> signers, threshold;
  if (object.contains("signers")) signers = object.at("signers").get<std::uint16_t>();
  if (object.contains("threshold")) threshold = object.at("threshold").get<std::uint16_t>();
  set_shape(plan, signers, threshold);
  read(object, "log", plan.log);
  set_log(plan);
  read(object, "coordinators", plan.coordinators);
  read(object, "ledgers", plan.ledgers);
  read(object, "etcd", plan.etcd);
  read(object, "chain", plan.chain);
  read(object, "nodes", plan.nodes);
  read(object, "block_interval_ms", plan.block_interval_ms);
  read(object, "snapshot_interval", plan.snapshot_interval);
  read(object, "token_patience_ms", plan.token_patience_ms);
}

void read_workload(const json& object, WorkloadPlan& plan) {
  read(object, "clients", plan.clients);
  read(object, "rate_per_s", plan.rate_per_s);
  read(object, "duration_s", plan.duration_s);
  read(object, "undisturbed_s", plan.undisturbed_s);
  read(object, "duplicate_share", plan.duplicate_share);
  read(object, "conflict_share", plan.conflict_share);
  read(object, "min_amount_sat", plan.min_amount_sat);
  read(object, "max_amount_sat", plan.max_amount_sat);
  read(object, "think_ms", plan.think_ms);
  if (const auto found = object.find("idempotency"); found != object.end())
    plan.idempotency = found->get<std::string>() != "off";
}

void read_extension(const json& object, Experiment& out) {
  read(object, "seed", out.seed);
  read_cluster(object.at("cluster"), out.cluster);
  read_workload(object.at("workload"), out.workload);
  // What must survive by default (DESIGN 5): signers n-t, coordinators all but one, ledger and etcd
  // a minority.
  const ClusterPlan& c = out.cluster;
  out.blast_radius[Role::Signer] = static_cast<std::uint32_t>(std::max(0, c.signers - c.threshold));
  out.blast_radius[Role::Coordinator] = c.coordinators - 1u;
  out.blast_radius[Role::Ledger] = (c.ledgers - 1u) / 2;
  out.blast_radius[Role::Etcd] = c.etcd == 0 ? 0 : (c.etcd - 1u) / 2;
  out.blast_radius[Role::Bitcoind] = 1;
  if (const auto found = object.find("blast_radius"); found != object.end()) {
    read(*found, "signers", out.blast_radius[Role::Signer]);
    read(*found, "coordinators", out.blast_radius[Role::Coordinator]);
    read(*found, "ledgers", out.blast_radius[Role::Ledger]);
    read(*found, "etcd", out.blast_radius[Role::Etcd]);
    read(*found, "bitcoind", out.blast_radius[Role::Bitcoind]);
  }
  if (const auto found = object.find("faults"); found != object.end()) {
    for (const json& fault : *found) {
      out.faults.push_back(read_fault(fault));
      out.cluster.faulty_tokens |= of_token(out.faults.back().signal);
    }
  }
  if (const auto found = object.find("stop"); found != object.end()) {
    for (const json& rule : *found) {
      out.stop.push_back({rule.at("metric").get<std::string>(), rule.at("above").get<double>(),
                          rule.at("for_ms").get<std::uint32_t>()});
    }
  }
  if (const auto found = object.find("floor"); found != object.end()) {
    read(*found, "settled", out.floor.settled);
    read(*found, "kills", out.floor.kills);
    read(*found, "points", out.floor.points);
    std::uint32_t unmined = 0;
    read(*found, "unmined_payments", unmined);
    out.requires_unmined_payment = unmined > 0;
  }
  read(object, "require", out.require);
  std::string expect = expectation_name(Expectation::Progress);
  read(object, "expect", expect);
  for (const auto known : {Expectation::Refusal, Expectation::Duplicate})
    if (expect == expectation_name(known)) out.expect = known;
}

void read_steady_state(const json& document, Experiment& out) {
  const auto found = document.find("steady-state-hypothesis");
  if (found == document.end()) return;
  for (const json& probe : found->at("probes")) {
    out.steady_state.push_back(
        {probe.at("name").get<std::string>(), probe.at("provider").at("metric").get<std::string>(),
         probe.at("tolerance").at(0).get<double>(), probe.at("tolerance").at(1).get<double>()});
  }
}

// How many processes the rule can hit at once.
std::uint32_t victims_at_most(const Target& target, std::uint32_t count) {
  if (!target.index.empty()) return static_cast<std::uint32_t>(target.index.size());
  switch (target.mode) {
    case TargetMode::One:
      return 1;
    case TargetMode::All:
      return count;
    case TargetMode::Fixed:
      return target.value;
    case TargetMode::FixedPercent:
    case TargetMode::RandomMaxPercent:
      return count * std::min(target.value, 100u) / 100;
  }
  return 0;
}

Status check_trigger(const FaultRule& rule, const Experiment& e, const Source& source,
                     const std::string& at) {
  const auto known = runtime::list_kill_points();
  if (const auto* point = std::get_if<PointTrigger>(&rule.trigger)) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const auto& k) { return k.point == point->point; });
    if (found == known.end()) {
      return source.error(at + "/trigger/point",
                          "unknown point '" + point->point + "': see `roulette killpoints`");
    }
    if (found->when == runtime::PointWhen::AtTime) {
      return source.error(at + "/trigger/point",
                          "'" + point->point + "' names timed faults: use at_ms or every_ms");
    }
    if (point->process && (point->process->role != found->role ||
                           point->process->index >= instances_of(e.cluster, found->role))) {
      return source.error(at + "/trigger/process",
                          "'" + point->process->text() + "' is no process that passes this point");
    }
  }
  if (const auto* roulette = std::get_if<RouletteTrigger>(&rule.trigger)) {
    for (const std::string& glob : roulette->points) {
      const bool any = std::any_of(known.begin(), known.end(), [&](const auto& k) {
        return k.when != runtime::PointWhen::AtTime && k.role == rule.target.role &&
               glob_match(glob, k.point);
      });
      if (!any) {
        return source.error(
            at + "/trigger/roulette/points",
            "'" + glob + "' matches no point of role " + role_name(rule.target.role));
      }
    }
  }
  if (const auto* timed = std::get_if<AtTrigger>(&rule.trigger)) {
    if (timed->at_ms >= e.workload.duration_s * 1000) {
      return source.error(at + "/trigger/at_ms",
                          "after the load's end (duration_s): it could not fire");
    }
  }
  return {};
}

constexpr char kNotOurEtcd[] =
    "this fault strikes etcd, whose members you run: the tool signals only what it started. Leave "
    "the fault out, or run without --etcd URL";

bool has_token(const ClusterPlan& cluster) {
  return key_in_token(cluster) || cluster.vault == "token";
}

Status check_token_fault(const FaultRule& rule, const Experiment& e, const Source& source,
                         const std::string& at) {
  if (rule.target.role != Role::Signer || !has_token(e.cluster))
    return source.error(at + "/signal", std::string(signal_name(rule.signal)) +
                                            " is of a signer with a token: scheme hsm, or vault "
                                            "token (which is asked at a start only)");
  if (rule.recover.how == RecoverHow::Continue) return {};
  return source.error(at, "a token comes back by `continue`, and its signer with it");
}

Status check_fault(const FaultRule& rule, const Experiment& e, const Source& source,
                   const std::string& at) {
  if (rule.target.role == Role::Etcd && e.cluster.log == kRemoteEtcd)
    return source.error(at + "/target", kNotOurEtcd);
  const std::uint32_t count = instances_of(e.cluster, rule.target.role);
  const std::uint32_t victims = victims_at_most(rule.target, count);
  const std::string role = role_name(rule.target.role);
  for (const std::uint16_t index : rule.target.index) {
    if (index >= count) {
      return source.error(at + "/target/index", "there is no " + role + "-" +
                                                    std::to_string(index) + ": the cluster has " +
                                                    std::to_string(count));
    }
  }
  if (victims > count) {
    return source.error(at + "/target", std::to_string(victims) + " victims of role " + role +
                                            ", but the cluster has " + std::to_string(count));
  }
  if (victims == 0) return source.error(at + "/target", "this target selects nobody");
  const std::uint32_t budget = e.blast_radius.at(rule.target.role);
  if (victims > budget && !rule.over_budget) {
    return source.error(at + "/target", std::to_string(victims) +
                                            " victims at once go over the blast radius (" + role +
                                            ": " + std::to_string(budget) +
                                            "): declare it with `over_budget: true`");
  }
  if (rule.signal == Signal::Stop && rule.recover.how == RecoverHow::Restart) {
    return source.error(at, "a paused process is recovered by `continue`, not `restart`");
  }
  if (of_token(rule.signal)) {
    if (const Status token = check_token_fault(rule, e, source, at); !token) return token;
  } else if (rule.signal != Signal::Stop && rule.recover.how == RecoverHow::Continue) {
    return source.error(at, "only a paused process (SIGSTOP) and a token are recovered by "
                            "`continue`");
  }
  const bool has_records = rule.target.role == Role::Signer || rule.target.role == Role::Ledger;
  if (takes_records(rule.recover.how) && (!has_records || rule.signal == Signal::Stop)) {
    return source.error(at, "only a signer or a ledger that is ended (SIGKILL, SIGTERM) comes back "
                            "`wiped` or `rolled-back`");
  }
  return check_trigger(rule, e, source, at);
}

Status check_sense(const Experiment& e, const Source& source) {
  const std::string cluster = std::string(kExtension) + "/cluster";
  if (const Status shape = check_shape(e.cluster); !shape)
    return source.error(cluster + "/threshold", shape.error().message);
  if (const Status log = check_log(e.cluster); !log)
    return source.error(cluster + "/log", log.error().message);
  if (e.cluster.token_patience_ms != ClusterPlan().token_patience_ms && !has_token(e.cluster))
    return source.error(cluster + "/token_patience_ms",
                        "no signer of this cluster has a token: scheme hsm, or vault token");
  const WorkloadPlan& w = e.workload;
  const std::string workload = std::string(kExtension) + "/workload";
  if (w.min_amount_sat > w.max_amount_sat) {
    return source.error(workload + "/min_amount_sat", "min_amount_sat is more than max_amount_sat");
  }
  if (w.clients == 0 && w.rate_per_s == 0)
    return source.error(workload, "no clients and no rate: nothing would be asked");
  if (w.undisturbed_s >= w.duration_s) {
    return source.error(workload, "undisturbed_s (" + std::to_string(w.undisturbed_s) +
                                      ") leaves no time for faults in duration_s");
  }
  if (e.expect == Expectation::Duplicate && w.idempotency) {
    return source.error(std::string(kExtension) + "/expect",
                        "duplicate is what `workload: {idempotency: off}` brings out");
  }
  for (std::size_t i = 0; i < e.faults.size(); ++i) {
    const Status status = check_fault(e.faults[i], e, source,
                                      std::string(kExtension) + "/faults/" + std::to_string(i));
    if (!status) return status;
  }
  return {};
}

const std::vector<std::string>& all_invariants() {
  static const std::vector<std::string> ids{"no-duplicate-payment",
                                            "no-lost-withdrawal",
                                            "no-partial-transaction",
                                            "idempotency-key-respected",
                                            "no-conflicting-signature",
                                            "share-has-its-record",
                                            "nonce-never-reused",
                                            "signing-policy-respected",
                                            "quorum-continuity",
                                            "safe-refusal",
                                            "orderly-stop-finishes",
                                            "ledger-replicas-agree",
                                            "books-balance",
                                            "chain-matches-ledger",
                                            "limits-respected"};
  return ids;
}

}  // namespace

const char* expectation_name(Expectation expectation) {
  switch (expectation) {
    case Expectation::Progress: return "progress";
    case Expectation::Refusal: return "refusal";
    case Expectation::Duplicate: return "duplicate";
  }
  return "progress";
}

Result<Experiment> parse_experiment(const std::string& written, const std::string& name,
                                    const Variables& variables) {
  const Result<std::string> filled = write_out_variables(written, name, variables);
  if (!filled) return filled.error();
  const std::string& text = *filled;
  json document;
  const Result<LineMap> lines = parse_yaml(text, name, document);
  if (!lines) return lines.error();
  const Source source{name, *lines};
  if (const auto violation = check_experiment_schema(document)) {
    return source.error(violation->pointer, violation->what);
  }
  Experiment out;
  out.path = name;
  out.text = text;
  out.title = document.at("title").get<std::string>();
  out.description = document.at("description").get<std::string>();
  read(document, "tags", out.tags);
  read_steady_state(document, out);
  read_extension(document.at(json::json_pointer(kExtension)), out);
  for (std::size_t i = 0; i < out.faults.size(); ++i) {
    out.faults[i].line = source.line(std::string(kExtension) + "/faults/" + std::to_string(i));
  }
  if (out.require.empty()) out.require = all_invariants();
  if (const Status status = check_sense(out, source); !status) return status.error();
  return out;
}

Result<Experiment> load_experiment(const std::string& path, const Variables& variables) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return Error{ErrorKind::Usage, path + ": cannot be read: no such file, or not readable"};
  std::ostringstream text;
  text << file.rdbuf();
  if (!file.good() && !file.eof()) return Error{ErrorKind::Usage, path + ": reading it failed"};
  return parse_experiment(text.str(), path, variables);
}

Result<Experiment> on_remote_etcd(const Experiment& experiment) {
  if (experiment.cluster.log == kRemoteEtcd) return experiment;
  const auto refuse = [&](int line, const std::string& what) {
    return error_at(experiment.path, line, what);
  };
  if (experiment.cluster.log != "etcd")
    return refuse(1, "log: " + experiment.cluster.log + " uses no etcd: run it without --etcd URL");
  for (const FaultRule& rule : experiment.faults)
    if (rule.target.role == Role::Etcd) return refuse(rule.line, kNotOurEtcd);
  json document;
  const Result<LineMap> lines = parse_yaml(experiment.text, experiment.path, document);
  if (!lines) return lines.error();
  json& extension = document.at(json::json_pointer(kExtension));
  extension["cluster"]["log"] = kRemoteEtcd;
  extension["cluster"].erase("etcd");
  if (extension.contains("blast_radius")) extension["blast_radius"].erase("etcd");
  return parse_experiment(document.dump(1) + "\n", experiment.path);
}

}  // namespace roulette::chaos
