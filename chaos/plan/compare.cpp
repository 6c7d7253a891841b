// Deriving variants: see compare.h.
#include "chaos/plan/compare.h"

#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "chaos/plan/cluster_shape.h"
#include "chaos/plan/schedule.h"
#include "chaos/plan/yaml_tree.h"
#include "common/crypto/schemes.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr char kExtension[] = "/extensions/0";
constexpr Role kRoles[] = {Role::Signer, Role::Coordinator, Role::Ledger, Role::Etcd,
                           Role::Bitcoind};

std::string budget_key(Role role) {
  return role == Role::Etcd || role == Role::Bitcoind ? role_name(role)
                                                      : std::string(role_name(role)) + "s";
}

// What is to be compared, before anything is derived from it.
struct Wanted {
  std::string name, scheme;
  json cluster = json::object();  // overrides
  int line = 1;
};

std::string shape_of(const ClusterPlan& c) {
  return std::to_string(c.threshold) + " of " + std::to_string(c.signers) + " signers, " +
         std::to_string(c.coordinators) +
         (c.coordinators == 1 ? " coordinator, " : " coordinators, ") +
         std::to_string(c.ledgers) + (c.ledgers == 1 ? " ledger on " : " ledgers on ") + c.log;
}

class Deriver {
 public:
  Deriver(const json& document, const Experiment& experiment)
      : document_(document), e_(experiment), schedule_(draw_schedule(experiment)) {}

  [[nodiscard]] const Schedule& schedule() const { return schedule_; }

  Result<Variant> derive(const Wanted& wanted) {
    Variant out;
    out.name = wanted.name;
    out.scheme = wanted.scheme;
    const json made = variant_document(wanted, out.notes);
    const std::string label = e_.path + " as " + wanted.name;
    Result<Experiment> parsed = parse_experiment(made.dump(1) + "\n", label);
    if (!parsed) {
      return error_at(e_.path, wanted.line,
                      "variant '" + wanted.name + "': " + parsed.error().message);
    }
    out.experiment = std::move(parsed).value();
    out.shape = shape_of(out.experiment.cluster);
    return out;
  }

 private:
  // The one place where a shape decides anything: compare.h lists it.
  json variant_document(const Wanted& wanted, std::vector<std::string>& notes) {
    json out = document_;
    json& extension = out[json::json_pointer(kExtension)];
    out.erase("steady-state-hypothesis");
    out["title"] = e_.title + " (" + wanted.name + ")";
    extension.erase("compare");
    extension.erase("stop");
    extension["seed"] = e_.seed;
    extension["workload"]["duration_s"] = e_.workload.duration_s;
    extension["cluster"] = cluster_of(wanted, extension.value("cluster", json::object()));
    const ClusterPlan plan = plan_of(extension["cluster"]);
    const json faults = faults_of(plan, notes);
    extension["faults"] = faults;
    extension["blast_radius"] = budget_of(plan);
    extension["floor"] = floor_of(plan, faults);
    extension["require"] = required_of(plan);
    if (lost_for_good(plan) > spares(plan, Role::Signer)) extension["expect"] = "refusal";
    return out;
  }

  json cluster_of(const Wanted& wanted, json cluster) const {
    const crypto::SchemeKind* kind = crypto::scheme_by_name(wanted.scheme);
    ROULETTE_ASSERT(kind != nullptr);
    cluster.update(wanted.cluster);
    cluster["scheme"] = wanted.scheme;
    if (cluster.value("log", "etcd") != "etcd") cluster.erase("etcd");
    const bool said = wanted.cluster.contains("signers") || wanted.cluster.contains("threshold");
    if (said) return cluster;
    const bool threshold_file = facts_of(e_.cluster).form == crypto::SignerForm::AnyThreshold;
    cluster.erase("signers");
    cluster.erase("threshold");
    switch (kind->facts().form) {
      case crypto::SignerForm::AnyThreshold:
        cluster["signers"] = threshold_file ? e_.cluster.signers : ClusterPlan{}.signers;
        cluster["threshold"] = threshold_file ? e_.cluster.threshold : ClusterPlan{}.threshold;
        break;
      case crypto::SignerForm::AllSigners:
        cluster["signers"] = std::max<std::uint16_t>(e_.cluster.signers, 2);
        cluster["threshold"] = cluster["signers"];
        break;
      case crypto::SignerForm::OneSigner:
        cluster["signers"] = cluster["threshold"] = 1;
        break;
    }
    return cluster;
  }

  static ClusterPlan plan_of(const json& cluster) {
    ClusterPlan plan;
    plan.scheme = cluster.at("scheme").get<std::string>();
    const auto number = [&](const char* key, std::uint16_t otherwise) {
      return cluster.value(key, otherwise);
    };
    plan.log = cluster.value("log", plan.log);
    std::optional<std::uint16_t> signers, threshold;
    if (cluster.contains("signers")) signers = cluster.at("signers").get<std::uint16_t>();
    if (cluster.contains("threshold")) threshold = cluster.at("threshold").get<std::uint16_t>();
    set_shape(plan, signers, threshold);
    plan.coordinators = number("coordinators", plan.coordinators);
    plan.ledgers = number("ledgers", plan.ledgers);
    plan.etcd = plan.log == "etcd" ? number("etcd", plan.etcd) : std::uint16_t{0};
    return plan;
  }

  static std::vector<std::uint16_t> mapped(const std::vector<ProcessName>& victims,
                                           std::uint16_t count) {
    std::vector<std::uint16_t> out;
    for (const ProcessName& victim : victims) {
      const auto index = static_cast<std::uint16_t>(victim.index % count);
      if (std::find(out.begin(), out.end(), index) == out.end()) out.push_back(index);
    }
    return out;
  }

  json faults_of(const ClusterPlan& plan, std::vector<std::string>& notes) const {
    json out = json::array();
    const json& rules = document_.at(json::json_pointer(kExtension)).value("faults", json::array());
    std::set<Role> absent;
    for (const FaultInstance& instance : schedule_.instances) {
      const Role role = instance.victims.front().role;
      const std::uint16_t count = instances_of(plan, role);
      if (count == 0) {
        absent.insert(role);
        continue;
      }
      json rule = rules.at(instance.rule);
      rule["target"] = {{"role", role_name(role)}, {"index", mapped(instance.victims, count)}};
      const auto* point = std::get_if<PointTrigger>(&e_.faults[instance.rule].trigger);
      if (!instance.trigger_process) {
        rule["trigger"] = {{"at_ms", instance.at_ms.value_or(0)}};
      } else {
        const Role at = instance.trigger_process->role;
        const auto index =
            static_cast<std::uint16_t>(instance.trigger_process->index % instances_of(plan, at));
        rule["trigger"] = {{"point", instance.point},
                           {"occurrence", point != nullptr ? point->occurrence : 1},
                           {"process", ProcessName{at, index}.text()}};
      }
      out.push_back(std::move(rule));
    }
    for (const Role role : absent)
      notes.push_back(std::string("it has no ") + role_name(role) + ": those faults are left out");
    return out;
  }

  // What dies without harm, by default (DESIGN 5).
  static std::uint32_t spares(const ClusterPlan& plan, Role role) {
    switch (role) {
      case Role::Signer: return plan.signers - std::min(plan.signers, plan.threshold);
      case Role::Coordinator: return plan.coordinators - 1u;
      case Role::Ledger: return (plan.ledgers - 1u) / 2;
      case Role::Etcd: return plan.etcd == 0 ? 0 : (plan.etcd - 1u) / 2;
      case Role::Bitcoind: return 1;
      case Role::Tool: return 0;
    }
    return 0;
  }

  json budget_of(const ClusterPlan& plan) const {
    json out;
    for (const Role role : kRoles) {
      out[budget_key(role)] = std::min<std::uint32_t>(
          instances_of(plan, role), std::max(spares(plan, role), e_.blast_radius.at(role)));
    }
    return out;
  }

  json floor_of(const ClusterPlan& plan, const json& faults) const {
    json floor = document_.at(json::json_pointer(kExtension)).value("floor", json::object());
    const bool as_strong = std::all_of(std::begin(kRoles), std::end(kRoles), [&](Role role) {
      return spares(plan, role) >= spares(e_.cluster, role) || instances_of(plan, role) == 0;
    });
    const bool lost = lost_for_good(plan) > spares(plan, Role::Signer);
    if (!as_strong || lost) floor["settled"] = 1;
    std::uint32_t strikes = 0;
    for (const json& rule : faults)
      strikes += static_cast<std::uint32_t>(rule.at("target").at("index").size());
    floor["kills"] = std::min(e_.floor.kills, strikes);
    return floor;
  }

  json required_of(const ClusterPlan& plan) const {
    json out = json::array();
    for (const std::string& id : e_.require) {
      if (id != "nonce-never-reused" || facts_of(plan).nonce_size > 0) out.push_back(id);
    }
    return out;
  }

  // Different signers that the schedule takes and that do not sign again in this run.
  std::uint32_t lost_for_good(const ClusterPlan& plan) const {
    std::set<std::uint16_t> lost;
    for (const FaultInstance& instance : schedule_.instances) {
      const bool gone =
          instance.recover.how == RecoverHow::None || takes_records(instance.recover.how);
      if (!gone || instance.victims.front().role != Role::Signer) continue;
      for (const std::uint16_t index : mapped(instance.victims, plan.signers)) lost.insert(index);
    }
    return static_cast<std::uint32_t>(lost.size());
  }

  const json& document_;
  const Experiment& e_;
  Schedule schedule_;
};

// Every scheme of this build, the file's own first: the others are held against it.
std::vector<Wanted> wanted_schemes(const std::string& own) {
  std::vector<Wanted> out{{own, own, json::object(), 1}};
  for (const crypto::SchemeKind& kind : crypto::all_schemes()) {
    const std::string name(kind.facts().name);
    if (name != own) out.push_back({name, name, json::object(), 1});
  }
  return out;
}

int line_of(const LineMap& lines, const std::string& pointer) {
  const auto found = lines.find(pointer);
  return found == lines.end() ? 1 : found->second;
}

Result<std::vector<Wanted>> wanted_variants(const json& compare, const Experiment& e,
                                            const LineMap& lines) {
  std::vector<Wanted> out;
  std::map<std::string, int> seen;
  for (std::size_t i = 0; i < compare.at("variants").size(); ++i) {
    const json& variant = compare.at("variants").at(i);
    const int line =
        line_of(lines, std::string(kExtension) + "/compare/variants/" + std::to_string(i));
    const json cluster = variant.value("cluster", json::object());
    Wanted wanted{variant.at("name").get<std::string>(), cluster.value("scheme", e.cluster.scheme),
                  cluster, line};
    const auto [first, fresh] = seen.emplace(wanted.name, line);
    if (!fresh) {
      return error_at(e.path, line,
                      "variant '" + wanted.name + "' is named on line " +
                          std::to_string(first->second) + " already");
    }
    out.push_back(std::move(wanted));
  }
  return out;
}

std::string names(const std::vector<Wanted>& all) {
  std::string out;
  for (const Wanted& one : all) out += (out.empty() ? "" : ", ") + one.name;
  return out;
}

// The named ones of `all`, in the order named.
Result<std::vector<Wanted>> chosen(const std::vector<Wanted>& all,
                                   const std::vector<std::string>& named) {
  if (named.empty()) return all;
  std::vector<Wanted> out;
  for (const std::string& name : named) {
    const auto is = [&](const Wanted& w) { return w.name == name; };
    if (std::any_of(out.begin(), out.end(), is))
      return Error{ErrorKind::Usage, "--schemes names '" + name + "' twice"};
    const auto found = std::find_if(all.begin(), all.end(), is);
    if (found == all.end()) {
      return Error{ErrorKind::Usage, "--schemes: '" + name + "' is none of " + names(all)};
    }
    out.push_back(*found);
  }
  return out;
}

Status apply(const CompareChoice& choice, Experiment& e) {
  if (choice.seed) e.seed = *choice.seed;
  if (choice.duration_s) e.workload.duration_s = *choice.duration_s;
  if (e.workload.duration_s > e.workload.undisturbed_s) return {};
  return Error{ErrorKind::Usage, "--duration " + std::to_string(e.workload.duration_s) +
                                     " leaves no time for faults after undisturbed_s"};
}

}  // namespace

Result<ComparePlan> plan_compare(const std::string& text, const std::string& name,
                                 const CompareChoice& choice) {
  Result<Experiment> experiment = parse_experiment(text, name);
  if (!experiment) return experiment.error();
  if (const Status status = apply(choice, *experiment); !status) return status.error();
  json document;
  const Result<LineMap> lines = parse_yaml(text, name, document);
  if (!lines) return lines.error();
  const json compare =
      document.at(json::json_pointer(kExtension)).value("compare", json::object());
  Result<std::vector<Wanted>> all = wanted_schemes(experiment->cluster.scheme);
  if (compare.contains("variants")) all = wanted_variants(compare, *experiment, *lines);
  if (!all) return all.error();
  const auto wanted = chosen(*all, choice.schemes);
  if (!wanted) return wanted.error();
  ComparePlan plan;
  plan.experiment = std::move(experiment).value();
  plan.late_ms = compare.value("late_ms", plan.late_ms);
  Deriver deriver(document, plan.experiment);
  plan.schedule_hash = deriver.schedule().hash;
  // One that cannot be is never left out silently: the reader would not miss it.
  std::string refused, able;
  for (const Wanted& one : *wanted) {
    Result<Variant> variant = deriver.derive(one);
    if (!variant) {
      refused += (refused.empty() ? "" : "\n") + variant.error().message;
      continue;
    }
    able += (able.empty() ? "" : ",") + one.name;
    plan.variants.push_back(std::move(variant).value());
  }
  if (!refused.empty() && !able.empty())
    refused += "\nnothing is run; without what cannot be: --schemes " + able;
  if (!refused.empty()) return Error{ErrorKind::Usage, refused};
  plan.reference = plan.variants.front().name;
  return plan;
}

}  // namespace roulette::chaos
