// Quantiles from the records: see latency.h.
#include "chaos/check/latency.h"

#include <algorithm>
#include <cmath>

#include "chaos/check/timelines.h"

namespace roulette::check {
namespace {

constexpr std::int64_t kPromptAnswerUs =
    1'000'000;  // availability: a 2xx within this of the intended start

double ms(std::int64_t us) {
  return static_cast<double>(us) / 1000.0;
}

enum class Weather : std::uint8_t { Undisturbed, Disturbed, Outside };

Weather weather(const Phases& phases, std::int64_t t_us) {
  if (!phases.undisturbed || t_us < *phases.undisturbed) return Weather::Outside;
  if (!phases.disturbed || t_us < *phases.disturbed)
    return phases.drain && t_us >= *phases.drain ? Weather::Outside : Weather::Undisturbed;
  return phases.drain && t_us >= *phases.drain ? Weather::Outside : Weather::Disturbed;
}

// Of an operation from start to end: what a fault may have delayed is not undisturbed.
Weather weather(const Phases& phases, std::int64_t start_us, std::int64_t end_us) {
  const Weather begun = weather(phases, start_us);
  const bool overtaken = phases.disturbed && end_us >= *phases.disturbed;
  return begun == Weather::Undisturbed && overtaken ? Weather::Disturbed : begun;
}

struct Samples {
  std::vector<double> undisturbed, disturbed;
  void add(Weather when, double value) {
    if (when == Weather::Undisturbed) undisturbed.push_back(value);
    if (when == Weather::Disturbed) disturbed.push_back(value);
  }
};

// session_opened to aggregated, of each withdrawal's first completed session.
Samples signing(const History& history, const Phases& phases) {
  std::map<std::pair<std::string, std::string>, std::int64_t>
      opened;  // coordinator boot, session digest
  for (const SessionOpened& e : history.events.opened)
    opened.emplace(std::pair{e.boot, e.session_digest}, e.t_us);
  std::set<std::string> done;
  Samples out;
  for (const Aggregated& e : history.events.aggregated) {
    const auto found = opened.find({e.boot, e.session_digest});
    if (found == opened.end() || !done.insert(e.withdrawal_id).second) continue;
    out.add(weather(phases, found->second, e.t_us), ms(e.t_us - found->second));
  }
  return out;
}

// The node has it. An answer that was lost with its node is followed by one that says so.
bool accepted(const std::string& outcome) {
  return outcome == "accepted" || outcome == "already-in-mempool" || outcome == "already-confirmed";
}

std::map<std::string, const Operation*> first_invokes(const History& history) {
  std::map<std::string, const Operation*> out;
  for (const Operation& op : history.operations) {
    if (op.intent == "new") out.emplace(op.key, &op);
  }
  return out;
}

Samples withdrawals(const History& history, const Phases& phases) {
  const auto sent = first_held(history);
  const auto ids = ids_by_key(history);
  Samples out;
  for (const auto& [key, op] : first_invokes(history)) {
    const auto id = ids.find(key);
    if (id == ids.end()) continue;
    const auto at = sent.find(id->second);
    if (at != sent.end())
      out.add(weather(phases, op->intended_us, at->second), ms(at->second - op->intended_us));
  }
  return out;
}

// From the moment the client first meant to send the key, whichever of its requests was answered.
double availability(const History& history) {
  std::map<std::string, bool> prompt;
  const auto first = first_invokes(history);
  for (const auto& [key, op] : first) prompt.emplace(key, false);
  for (const Operation& op : history.operations) {
    const auto found = prompt.find(op.key);
    if (found == prompt.end() || op.get() || op.conflict() || !op.ok()) continue;
    if (op.answered_us - first.at(op.key)->intended_us <= kPromptAnswerUs) found->second = true;
  }
  if (prompt.empty()) return 0;
  const auto good =
      std::count_if(prompt.begin(), prompt.end(), [](const auto& p) { return p.second; });
  return static_cast<double>(good) / static_cast<double>(prompt.size());
}

}  // namespace

Quantiles quantiles(std::vector<double> values) {
  Quantiles out;
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  const auto rank = [&](double q) {
    const auto n = static_cast<double>(values.size());
    return values[static_cast<std::size_t>(std::max(1.0, std::ceil(q * n))) - 1];
  };
  out.n = values.size();
  out.p50 = rank(0.50);
  out.p95 = rank(0.95);
  out.p99 = rank(0.99);
  out.max = values.back();
  return out;
}

std::map<std::string, std::int64_t> first_held(const History& history) {
  std::map<std::string, std::int64_t> out;
  for (const BroadcastResult& e : history.events.broadcast_results) {
    if (accepted(e.outcome)) out.emplace(e.withdrawal_id, e.t_us);
  }
  return out;
}

std::optional<double> undisturbed_signed_p99_ms(const History& history) {
  const Phases phases = phases_of(history.events);
  const auto ids = ids_by_key(history);
  const auto done = first_signed(history);
  std::vector<double> values;
  for (const auto& [key, op] : first_invokes(history)) {
    const auto id = ids.find(key);
    const auto at = id == ids.end() ? done.end() : done.find(id->second);
    if (at == done.end()) continue;
    if (weather(phases, op->intended_us, at->second) != Weather::Undisturbed) continue;
    values.push_back(ms(at->second - op->intended_us));
  }
  if (values.empty()) return std::nullopt;
  return quantiles(std::move(values)).p99;
}

void measure(const History& history, Verdict& verdict) {
  const Phases phases = phases_of(history.events);
  const Samples sign = signing(history, phases);
  const Samples pay = withdrawals(history, phases);
  verdict.signing_undisturbed = quantiles(sign.undisturbed);
  verdict.signing_disturbed = quantiles(sign.disturbed);
  verdict.withdrawal_undisturbed = quantiles(pay.undisturbed);
  verdict.withdrawal_disturbed = quantiles(pay.disturbed);
  std::map<std::string, std::vector<double>> recovery;
  for (const FaultRecord& fault : history.faults) {
    if (fault.fired && fault.ready_us)
      recovery[fault.role].push_back(ms(*fault.ready_us - fault.sent_us));
  }
  for (const auto& [role, values] : recovery) verdict.recovery_ms[role] = quantiles(values);
  verdict.availability = availability(history);
}

}  // namespace roulette::check
