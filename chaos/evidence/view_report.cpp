// report.json: all that a report shows. See views.h; web/render.mjs makes the page of it.
#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "chaos/check/coverage.h"
#include "chaos/check/latency.h"
#include "chaos/check/timelines.h"
#include "chaos/evidence/controls_text.h"
#include "chaos/evidence/report_lanes.h"
#include "chaos/evidence/views.h"

namespace roulette::evidence {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kCurvePoints = 160;  // of a distribution
constexpr double kSoonMs = 1'000;  // as the verdict's availability has it
constexpr std::size_t kMostListed = 200;   // indeterminate operations

Json parsed(std::string_view text) {
  Json read = Json::parse(text, nullptr, false);
  return read.is_discarded() ? Json() : read;
}

// ---- what was asked for ----

Json plan_json(const chaos::Experiment& e) {
  Json radius = Json::object(), hypothesis = Json::array();
  for (const auto& [role, count] : e.blast_radius) radius[role_name(role)] = count;
  for (const chaos::SteadyProbe& probe : e.steady_state)
    hypothesis.push_back({{"name", probe.name},
                          {"metric", probe.metric},
                          {"least", probe.least},
                          {"most", probe.most}});
  return {{"title", e.title},
          {"description", e.description},
          {"tags", e.tags},
          {"expect", chaos::expectation_name(e.expect)},
          {"cluster",
           {{"scheme", e.cluster.scheme},
            {"vault", e.cluster.vault},
            {"signers", e.cluster.signers},
            {"threshold", e.cluster.threshold},
            {"coordinators", e.cluster.coordinators},
            {"ledgers", e.cluster.ledgers},
            {"etcd", e.cluster.etcd},
            {"log", e.cluster.log},
            {"block_interval_ms", e.cluster.block_interval_ms}}},
          {"workload",
           {{"clients", e.workload.clients},
            {"rate_per_s", e.workload.rate_per_s},
            {"duration_s", e.workload.duration_s},
            {"undisturbed_s", e.workload.undisturbed_s},
            {"duplicate_share", e.workload.duplicate_share},
            {"conflict_share", e.workload.conflict_share}}},
          {"blast_radius", std::move(radius)},
          {"floor",
           {{"settled", e.floor.settled}, {"kills", e.floor.kills}, {"points", e.floor.points}}},
          {"require", e.require},
          {"hypothesis", std::move(hypothesis)}};
}

// ---- what happened ----

Json faults_json(const check::History& history, const EventLines& lines, const RunSpan& span) {
  std::map<std::uint64_t, std::map<std::string, const check::FaultMoment*>> moments;
  for (const check::FaultMoment& moment : history.events.moments)
    moments[moment.fault_id].emplace(moment.moment, &moment);
  Json out = Json::array();
  for (const check::FaultRecord& fault : history.faults) {
    const std::string defect = check::proof_defect(fault);
    const auto at = [&](const std::optional<std::int64_t>& t_us) {
      return t_us && *t_us > 0 ? Json(span.ms(*t_us)) : Json(nullptr);
    };
    Json records = Json::array();
    for (const auto& [name, moment] : moments[fault.fault_id])
      records.push_back({{"moment", name},
                         {"ms", span.ms(moment->t_us)},
                         {"record", history.where(moment->at)},
                         {"hash", lines.leaf_hash(moment->at.line)}});
    out.push_back({{"id", fault.fault_id},
                   {"rule", fault.rule},
                   {"victim", fault.victim},
                   {"role", fault.role},
                   {"signal", fault.signal},
                   {"recover", fault.recover},
                   {"point", fault.point},
                   {"occurrence", fault.occurrence},
                   {"trigger_process", fault.trigger_process},
                   {"fired", fault.fired},
                   {"proven", fault.fired && defect.empty()},
                   {"why_not", fault.fired ? defect : fault.why_not},
                   {"sent_ms", at(fault.sent_us)},
                   {"reaped_ms", at(fault.reaped_us)},
                   {"ready_ms", at(fault.ready_us)},
                   {"record", history.where(fault.at)},
                   {"moments", std::move(records)}});
  }
  return out;
}

Json phases_json(const check::Events& events, const RunSpan& span) {
  Json out = Json::array();
  for (const check::Phase& phase : events.phases)
    out.push_back({{"name", phase.name}, {"ms", span.ms(phase.t_us)}});
  return out;
}

Json curve(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  Json points = Json::array();
  const std::size_t n = values.size();
  for (std::size_t i = 0; i < std::min(n, kCurvePoints); ++i) {
    const std::size_t rank = n <= kCurvePoints ? i : i * (n - 1) / (kCurvePoints - 1);
    points.push_back({values[rank], static_cast<double>(rank + 1) / static_cast<double>(n)});
  }
  return {{"n", n}, {"points", std::move(points)}};
}

// Client's intended start to the ledger's signature, by phase and by second.
struct Payment {
  std::int64_t intended_us = 0;
  double ms = 0;
};
std::vector<Payment> payments_of(const check::History& history) {
  const auto ids = check::ids_by_key(history);
  const auto signed_at = check::first_signed(history);
  std::set<std::string> seen;
  std::vector<Payment> out;
  for (const check::Operation& op : history.operations) {
    if (op.intent != "new" || !seen.insert(op.key).second) continue;
    const auto id = ids.find(op.key);
    const auto when = id == ids.end() ? signed_at.end() : signed_at.find(id->second);
    if (when == signed_at.end()) continue;
    out.push_back({op.intended_us, static_cast<double>(when->second - op.intended_us) / 1000.0});
  }
  return out;
}

// The last thing that any fault did or undid, a return too; nothing when none was recorded.
std::optional<std::int64_t> last_fault_us(const check::History& history) {
  std::optional<std::int64_t> last;
  for (const check::FaultMoment& moment : history.events.moments)
    last = std::max(last.value_or(moment.t_us), moment.t_us);
  return last;
}

Json phase_figures(std::vector<double> values) {
  const auto quick = std::count_if(values.begin(), values.end(),
                                   [](double ms) { return ms <= kSoonMs; });
  const double share = static_cast<double>(quick) / static_cast<double>(values.size());
  const check::Quantiles q = check::quantiles(std::move(values));
  return {{"n", q.n}, {"p50", q.p50}, {"p99", q.p99}, {"max", q.max}, {"signed_within_1_s", share}};
}

Json latency_json(const check::History& history, const RunSpan& span) {
  const check::Phases phases = check::phases_of(history.events);
  std::map<std::string, std::vector<double>> by_phase;
  std::map<std::int64_t, std::vector<double>> by_second;
  const std::optional<std::int64_t> last_fault = last_fault_us(history);
  for (const Payment& payment : payments_of(history)) {
    const char* phase = "during";
    if (phases.disturbed && payment.intended_us < *phases.disturbed) phase = "before";
    else if (last_fault && payment.intended_us > *last_fault) phase = "after";
    by_phase[phase].push_back(payment.ms);
    by_second[(payment.intended_us - span.begin) / 1'000'000].push_back(payment.ms);
  }
  Json curves = Json::object(), figures = Json::object(), seconds = Json::array();
  for (const auto& [phase, values] : by_phase) figures[phase] = phase_figures(values);
  for (auto& [phase, values] : by_phase) curves[phase] = curve(std::move(values));
  for (auto& [second, values] : by_second) {
    const check::Quantiles q = check::quantiles(std::move(values));
    seconds.push_back({second, q.n, q.p50, q.p99, q.max});
  }
  return {{"curves", std::move(curves)},
          {"phases", std::move(figures)},
          {"seconds", std::move(seconds)}};
}

// Keys whose first request told the client nothing, and what became of them.
Json indeterminate_json(const check::History& history, const RunSpan& span) {
  struct Story {
    const check::Operation* first = nullptr;
    const check::Operation* resolved = nullptr;
  };
  std::map<std::string, Story> stories;
  std::vector<std::string> order;
  for (const check::Operation& op : history.operations) {
    if (op.conflict()) continue;
    const bool unknown = op.unanswered || (op.answered && op.status >= 500);
    auto story = stories.find(op.key);
    if (story == stories.end()) {
      if (op.get()) continue;
      story = stories.emplace(op.key, Story{}).first;
      if (unknown) {
        story->second.first = &op;
        order.push_back(op.key);
      }
      continue;
    }
    if (story->second.first != nullptr && story->second.resolved == nullptr && op.ok())
      story->second.resolved = &op;
  }
  Json rows = Json::array();
  for (const std::string& key : order) {
    if (rows.size() == kMostListed) break;
    const Story& story = stories[key];
    const check::Operation* end = story.resolved;
    rows.push_back({{"key", key},
                    {"ms", span.ms(story.first->invoked_us)},
                    {"record", history.where(story.first->at)},
                    {"coordinator", story.first->coordinator},
                    {"status", story.first->answered ? Json(story.first->status) : Json(nullptr)},
                    {"resolved_ms", end ? Json(span.ms(end->answered_us)) : Json(nullptr)},
                    {"resolved_by", end ? end->intent : ""},
                    {"resolved_record", end ? history.where(end->answer_at) : ""},
                    {"txid", end ? end->txid : ""},
                    {"state", end ? end->state : "unknown to the client to the end"}});
  }
  return {{"total", order.size()}, {"rows", std::move(rows)}};
}

}  // namespace

std::string report_json(const Facts& facts) {
  const EventLines lines(facts.events);
  const RunSpan span = span_of(facts.history.events);
  const Json out = {{"format", "roulette-report"},
                    {"version", 1},
                    {"run", facts.run},
                    {"plan", plan_json(facts.history.experiment)},
                    {"verdict", parsed(check::verdict_json(facts.verdict))},
                    {"steady_state", facts.verdict.steady_state},
                    {"environment", parsed(facts.environment)},
                    {"journal", parsed(facts.journal)},
                    {"duration_ms", span.ms(span.end)},
                    {"slices", kSlices},
                    {"phases", phases_json(facts.history.events, span)},
                    {"lanes", lanes_json(facts.history, lines, span)},
                    {"quorum", quorum_json(facts.history.events, span)},
                    {"faults", faults_json(facts.history, lines, span)},
                    {"latency", latency_json(facts.history, span)},
                    {"indeterminate", indeterminate_json(facts.history, span)},
                    {"attached", attached_json(facts.attached)},
                    {"controls", parsed(kControlsText)}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace roulette::evidence
