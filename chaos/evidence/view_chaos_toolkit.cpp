// The run as a journal of the Chaos Toolkit: see views.h.
//
// Source: the Chaos Toolkit's reference, "Experiment Journal". `output` is a string there, so what
// is more than one number is JSON text inside it.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "chaos/check/coverage.h"
#include "chaos/check/timelines.h"
#include "chaos/evidence/view_times.h"
#include "chaos/plan/yaml_tree.h"

namespace roulette::evidence {
namespace {

using nlohmann::json;

// What happened between two moments of the records.
json activity(const RunClock& clock, const json& what, bool succeeded, std::int64_t from_us,
              std::int64_t to_us) {
  to_us = std::max(from_us, to_us);
  return {{"activity", what},
          {"status", succeeded ? "succeeded" : "failed"},
          {"start", clock.at(from_us)},
          {"end", clock.at(to_us)},
          {"duration", double(to_us - from_us) / 1e6},
          {"output", nullptr}};
}

// An array within the experiment, empty where it has none.
json list_of(const json& experiment, const char* name) {
  const auto found = experiment.find(name);
  return found != experiment.end() && found->is_array() ? *found : json::array();
}

struct Span {
  std::int64_t from = 0, to = 0;
};

// The hypothesis as measured in one span; `suffix` as the verdict names its measurements.
json steady_state(const Facts& facts, const RunClock& clock, const json& experiment,
                  const std::string& suffix, Span span) {
  const auto hypothesis = experiment.find("steady-state-hypothesis");
  const json written =
      hypothesis == experiment.end() ? json::array() : list_of(*hypothesis, "probes");
  json probes = json::array();
  bool met = true;
  const auto& planned = facts.history.experiment.steady_state;
  for (std::size_t i = 0; i < planned.size(); ++i) {
    const auto found = facts.verdict.steady_state.find(planned[i].metric + suffix);
    const bool measured = found != facts.verdict.steady_state.end();
    const bool within = measured && found->second >= planned[i].least &&
                        found->second <= planned[i].most;
    json probe = activity(clock, i < written.size() ? written[i] : json::object(), measured,
                          span.from, span.to);
    if (measured) probe["output"] = json(found->second).dump();
    probe["tolerance_met"] = within;
    met = met && within;
    probes.push_back(std::move(probe));
  }
  return {{"steady_state_met", met}, {"probes", std::move(probes)}};
}

json fault_activity(const RunClock& clock, const check::FaultRecord& fault, Span load) {
  const json what{{"type", "action"},
                  {"name", "fault " + std::to_string(fault.fault_id) + ": " + fault.signal +
                               " to " + fault.victim + " at " + fault.point},
                  {"provider",
                   {{"type", "roulette"},
                    {"fault_id", fault.fault_id},
                    {"signal", fault.signal},
                    {"victim", fault.victim},
                    {"point", fault.point},
                    {"recover", fault.recover}}}};
  const std::string defect = fault.fired ? check::proof_defect(fault) : fault.why_not;
  const std::int64_t from = fault.fired ? fault.sent_us : load.from;
  const std::int64_t to = fault.ready_us.value_or(fault.reaped_us.value_or(from));
  json out = activity(clock, what, fault.fired && defect.empty(), from, to);
  out["output"] = fault.fired && defect.empty() ? "proven" : "not proven: " + defect;
  return out;
}

json run_of(const Facts& facts, const RunClock& clock, const json& experiment, Span load) {
  const json said{{"verdict", check::verdict_name(facts.verdict.verdict)},
                  {"reasons", facts.verdict.reasons},
                  {"requested", facts.verdict.load_requested},
                  {"settled", facts.verdict.load_settled},
                  {"rejected", facts.verdict.load_rejected},
                  {"indeterminate", facts.verdict.load_indeterminate}};
  json out = json::array();
  for (const json& step : list_of(experiment, "method")) {
    json done = activity(clock, step, !clock.interrupted(), load.from, load.to);
    done["output"] = said.dump(-1, ' ', false, json::error_handler_t::replace);
    out.push_back(std::move(done));
  }
  for (const check::FaultRecord& fault : facts.history.faults)
    out.push_back(fault_activity(clock, fault, load));
  return out;
}

std::string platform_of(const Facts& facts) {
  const json environment = json::parse(facts.environment, nullptr, false);
  std::string out;
  for (const char* name : {"kernel", "machine"}) {
    if (environment.is_object() && environment.contains(name) && environment[name].is_string())
      out += (out.empty() ? "" : " ") + environment[name].get<std::string>();
  }
  return out;
}

}  // namespace

std::string chaos_toolkit_journal(const Facts& facts) {
  json experiment = json::object();
  const auto& plan = facts.history.experiment;
  if (!chaos::parse_yaml(plan.text, "experiment.yaml", experiment) || !experiment.is_object())
    experiment = {{"title", plan.title}, {"description", plan.description}};
  const RunClock clock(facts);
  const check::Phases phases = check::phases_of(facts.history.events);
  const std::int64_t from = phases.undisturbed.value_or(0);
  const Span before{from, phases.disturbed.value_or(from)}, load{from, phases.drain.value_or(from)};
  json states = json::object();
  bool met = true;
  if (!plan.steady_state.empty()) {
    states["before"] = steady_state(facts, clock, experiment, "_undisturbed", before);
    states["after"] = steady_state(facts, clock, experiment, "", load);
    met = states["after"]["steady_state_met"].get<bool>();
  }
  return view_text({{"chaoslib-version", "none: written by quorum-roulette"},
                    {"platform", platform_of(facts)},
                    {"node", "localhost"},
                    {"experiment", experiment},
                    {"start", clock.start()},
                    {"end", clock.end()},
                    {"duration", clock.duration_s()},
                    {"status", clock.interrupted() ? "aborted" : "completed"},
                    {"deviated", !met || facts.verdict.verdict == check::VerdictKind::Fail},
                    {"steady_states", std::move(states)},
                    {"run", run_of(facts, clock, experiment, load)},
                    {"rollbacks", json::array()}});
}

}  // namespace roulette::evidence
