// Drawing a schedule from a seed: see schedule.h.
#include "chaos/plan/schedule.h"

#include <algorithm>

#include "chaos/plan/cluster_shape.h"
#include "chaos/plan/prng.h"
#include "common/crypto/hash.h"
#include "common/runtime/kill_point_table.h"

namespace roulette::chaos {
namespace {

// A wheel's last turn leaves time for its point to be passed, within the budget, and to recover: an
// eighth of the load. Of some hundred turns in a long one some meet a point that is passed rarely.
std::uint64_t wheel_rest_ms(const WorkloadPlan& workload) {
  return std::clamp<std::uint64_t>(std::uint64_t{workload.duration_s} * 1000 / 8, 5'000, 15'000);
}

// Fisher-Yates on our own generator: std::shuffle differs between libraries.
std::vector<std::uint16_t> drawn_order(std::uint16_t count, Prng& prng) {
  std::vector<std::uint16_t> order(count);
  for (std::uint16_t i = 0; i < count; ++i) order[i] = i;
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[prng.below(i)]);
  return order;
}

std::vector<ProcessName> draw_victims(const Target& target, const ClusterPlan& plan, Prng& prng) {
  const std::uint16_t count = instances_of(plan, target.role);
  std::vector<std::uint16_t> chosen = target.index;
  if (chosen.empty()) {
    std::size_t want = 1;
    switch (target.mode) {
      case TargetMode::One:
        want = 1;
        break;
      case TargetMode::All:
        want = count;
        break;
      case TargetMode::Fixed:
        want = target.value;
        break;
      case TargetMode::FixedPercent:
        want = count * std::min(target.value, 100u) / 100;
        break;
      case TargetMode::RandomMaxPercent:
        want = 1 + prng.below(count * std::min(target.value, 100u) / 100);
        break;
    }
    chosen = drawn_order(count, prng);
    chosen.resize(std::min<std::size_t>(want, chosen.size()));
  }
  std::vector<ProcessName> victims;
  for (const std::uint16_t index : chosen) victims.push_back({target.role, index});
  return victims;
}

Role role_of_point(const std::string& point) {
  for (const auto& known : runtime::list_kill_points()) {
    if (known.point == point) return known.role;
  }
  return Role::Tool;
}

class Drawer {
 public:
  explicit Drawer(const Experiment& experiment) : e_(experiment), prng_(experiment.seed) {}

  Schedule draw() {
    for (std::size_t i = 0; i < e_.faults.size(); ++i) draw_rule(i, e_.faults[i]);
    spread_points();
    Schedule out;
    std::stable_sort(instances_.begin(), instances_.end(),
                     [](const FaultInstance& a, const FaultInstance& b) {
                       return a.at_ms.value_or(0) < b.at_ms.value_or(0);
                     });
    std::string canonical;
    std::uint32_t id = 0;
    for (FaultInstance& instance : instances_) {
      instance.id = ++id;
      canonical += describe(instance) + "\n";
    }
    out.instances = std::move(instances_);
    out.hash = crypto::sha256(as_bytes(canonical));
    return out;
  }

 private:
  FaultInstance from_rule(std::size_t index, const FaultRule& rule) {
    FaultInstance instance;
    instance.rule = index;
    instance.victims = draw_victims(rule.target, e_.cluster, prng_);
    instance.signal = rule.signal;
    instance.recover = rule.recover;
    instance.over_budget = rule.over_budget;
    return instance;
  }

  // The process whose pass triggers: as named, else the first victim where it has the point, else
  // drawn.
  ProcessName trigger_process(const FaultInstance& instance, const PointTrigger& trigger) {
    if (trigger.process) return *trigger.process;
    const Role role = role_of_point(trigger.point);
    if (instance.victims.front().role == role) return instance.victims.front();
    return {role, static_cast<std::uint16_t>(prng_.below(instances_of(e_.cluster, role)))};
  }

  void draw_rule(std::size_t index, const FaultRule& rule) {
    if (const auto* point = std::get_if<PointTrigger>(&rule.trigger)) {  // at_ms: see spread_points
      FaultInstance instance = from_rule(index, rule);
      instance.point = point->point;
      instance.occurrence = point->occurrence;
      instance.trigger_process = trigger_process(instance, *point);
      instances_.push_back(std::move(instance));
    } else if (const auto* at = std::get_if<AtTrigger>(&rule.trigger)) {
      add_timed(index, rule, at->at_ms);
    } else if (const auto* every = std::get_if<EveryTrigger>(&rule.trigger)) {
      for (const std::uint32_t at_ms : ticks(every->every_ms, every->jitter_ms))
        add_timed(index, rule, at_ms);
    } else if (const auto* roulette = std::get_if<RouletteTrigger>(&rule.trigger)) {
      for (const std::uint32_t at_ms :
           ticks(roulette->every_ms, roulette->jitter_ms, wheel_rest_ms(e_.workload))) {
        add_roulette(index, rule, *roulette, at_ms);
      }
    }
  }

  // Disturbances begin after the undisturbed phase; `rest` is what the last one leaves of the load.
  std::vector<std::uint32_t> ticks(std::uint32_t every_ms, std::uint32_t jitter_ms,
                                   std::uint64_t rest = 0) {
    std::vector<std::uint32_t> out;
    const std::uint64_t load = std::uint64_t{e_.workload.duration_s} * 1000;
    const std::uint64_t end = load > rest ? load - rest : 0;
    for (std::uint64_t at = std::uint64_t{e_.workload.undisturbed_s} * 1000 + every_ms;
         at + jitter_ms < end; at += every_ms) {
      const std::int64_t jitter = prng_.between(-std::int64_t{jitter_ms}, jitter_ms);
      out.push_back(static_cast<std::uint32_t>(
          std::max<std::int64_t>(0, static_cast<std::int64_t>(at) + jitter)));
    }
    return out;
  }

  // Point faults are armed one after the other, evenly over the first four fifths of the disturbed
  // phase: all at once they would meet in one moment, and what they exercise would be the budget,
  // not the points.
  void spread_points() {
    std::vector<FaultInstance*> points;
    for (FaultInstance& instance : instances_) {
      if (!instance.at_ms) points.push_back(&instance);
    }
    const std::uint64_t begin = std::uint64_t{e_.workload.undisturbed_s} * 1000;
    const std::uint64_t span = (std::uint64_t{e_.workload.duration_s} * 1000 - begin) * 4 / 5;
    for (std::size_t i = 0; i < points.size(); ++i) {
      points[i]->at_ms = static_cast<std::uint32_t>(begin + span * i / points.size());
    }
  }

  void add_timed(std::size_t index, const FaultRule& rule, std::uint32_t at_ms) {
    FaultInstance instance = from_rule(index, rule);
    instance.point = std::string(role_name(rule.target.role)) + ".process.at_time";
    instance.at_ms = at_ms;
    instances_.push_back(std::move(instance));
  }

  void add_roulette(std::size_t index, const FaultRule& rule, const RouletteTrigger& trigger,
                    std::uint32_t at_ms) {
    std::vector<std::string> points;
    for (const auto& known : runtime::list_kill_points()) {
      if (known.role != rule.target.role || known.when == runtime::PointWhen::AtTime) continue;
      const bool wanted =
          std::any_of(trigger.points.begin(), trigger.points.end(),
                      [&](const std::string& glob) { return glob_match(glob, known.point); });
      if (wanted) points.push_back(known.point);
    }
    FaultInstance instance = from_rule(index, rule);
    instance.point = points[prng_.below(points.size())];
    instance.trigger_process = instance.victims.front();
    instance.at_ms = at_ms;
    instances_.push_back(std::move(instance));
  }

  const Experiment& e_;
  Prng prng_;
  std::vector<FaultInstance> instances_;
};

}  // namespace

Schedule draw_schedule(const Experiment& experiment) {
  return Drawer(experiment).draw();
}

std::string describe(const FaultInstance& instance) {
  std::string out = std::to_string(instance.id) + " rule " + std::to_string(instance.rule) + " " +
                    signal_name(instance.signal);
  for (const ProcessName& victim : instance.victims) out += " " + victim.text();
  out += " at " + instance.point;
  if (instance.trigger_process) {
    out += " of " + instance.trigger_process->text() + " occurrence " +
           std::to_string(instance.occurrence);
  }
  if (instance.at_ms) out += " from " + std::to_string(*instance.at_ms) + " ms";
  out += std::string(", ") + recover_name(instance.recover.how) + " after " +
         std::to_string(instance.recover.after_ms) + " ms";
  if (instance.over_budget) out += ", over budget";
  return out;
}

}  // namespace roulette::chaos
