// See report_lanes.h.
#include "chaos/evidence/report_lanes.h"

#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

using Json = nlohmann::ordered_json;

// Protocol steps, the one that is later in a payment counts for a slice that has several.
constexpr const char* kSteps[] = {"answer",    "session",   "share",
                                  "aggregate", "broadcast", "checkpoint"};
constexpr std::size_t step_number(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kSteps); ++i) {
    if (name == kSteps[i]) return i;
  }
  return std::size(kSteps);
}

struct Slice {
  std::size_t step = 0;
  std::uint64_t records = 0;
  std::uint32_t line = 0;
};
struct Away {
  std::int64_t from = 0, to = 0;
  std::string why;
  std::uint32_t line = 0;
};
struct Lane {
  std::map<int, Slice> slices;
  std::vector<Away> away;
};

class Lanes {
 public:
  Lanes(const check::History& history, const RunSpan& span) : span_(span) {
    const check::Events& e = history.events;
    for (const auto& one : e.answers) add(one, "answer");
    for (const auto& one : e.opened) add(one, "session");
    for (const auto& one : e.released) add(one, "share");
    for (const auto& one : e.aggregated) add(one, "aggregate");
    for (const auto& one : e.broadcasts) add(one, "broadcast");
    for (const auto& one : e.digests) add(one, "checkpoint");
    absences(e);
  }
  [[nodiscard]] const std::map<std::string, Lane>& all() const { return lanes_; }

 private:
  void add(const check::EventHead& event, std::string_view step) {
    if (event.t_us < span_.begin || event.t_us >= span_.end) return;
    const auto number = static_cast<int>((event.t_us - span_.begin) * kSlices /
                                         std::max<std::int64_t>(1, span_.end - span_.begin));
    Slice& slice = lanes_[event.process].slices[number];
    if (slice.records++ == 0) slice.line = event.at.line;
    slice.step = std::max(slice.step, step_number(step));
  }

  void absences(const check::Events& events) {
    std::map<std::string, Away> open;
    for (const check::UpDown& change : events.up_down) {
      lanes_[change.name];
      const auto away = open.find(change.name);
      if (!change.up && away == open.end()) {
        open[change.name] = {change.t_us, span_.end, change.why, change.at.line};
      } else if (change.up && away != open.end()) {
        away->second.to = change.t_us;
        lanes_[change.name].away.push_back(away->second);
        open.erase(away);
      }
    }
    for (const auto& [name, away] : open) lanes_[name].away.push_back(away);
  }

  RunSpan span_;
  std::map<std::string, Lane> lanes_;
};

std::string role_of(const std::string& process) {
  return process.substr(0, process.rfind('-'));
}

// Clients' side first, then down the way of a payment.
int rank(const std::string& process) {
  constexpr const char* kOrder[] = {"coordinator", "signer", "ledger", "etcd", "bitcoind"};
  const std::string role = role_of(process);
  const auto* found = std::find(std::begin(kOrder), std::end(kOrder), role);
  return static_cast<int>(found - std::begin(kOrder));
}

}  // namespace

EventLines::EventLines(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines_.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string EventLines::leaf_hash(std::uint32_t line) const {
  if (line == 0 || line > lines_.size()) return {};
  return to_hex(crypto::Sha256().update_u8(0).update(as_bytes(lines_[line - 1])).finish());
}

RunSpan span_of(const check::Events& events) {
  RunSpan span;
  for (const check::Phase& phase : events.phases) {
    if (phase.name == "undisturbed") span.begin = phase.t_us;
    if (phase.name == "export") span.end = phase.t_us;
  }
  if (span.begin == 0 && !events.phases.empty()) span.begin = events.phases.front().t_us;
  if (span.end <= span.begin && !events.phases.empty()) span.end = events.phases.back().t_us;
  return span;
}

Json lanes_json(const check::History& history, const EventLines& lines, const RunSpan& span) {
  const Lanes made(history, span);
  std::vector<std::string> names;
  for (const auto& [name, lane] : made.all()) {
    if (role_of(name) != "tool") names.push_back(name);
  }
  std::stable_sort(names.begin(), names.end(),
                   [](const auto& a, const auto& b) { return rank(a) < rank(b); });
  Json out = Json::array();
  for (const std::string& name : names) {
    const Lane& lane = made.all().at(name);
    Json slices = Json::array(), away = Json::array();
    for (const auto& [number, slice] : lane.slices)
      slices.push_back({number, kSteps[slice.step], slice.records, slice.line,
                        lines.leaf_hash(slice.line).substr(0, 16)});
    for (const Away& one : lane.away) {
      if (one.to <= span.begin || one.from >= span.end) continue;
      away.push_back({span.ms(std::max(one.from, span.begin)), span.ms(std::min(one.to, span.end)),
                      one.why, one.line});
    }
    out.push_back({{"process", name},
                   {"role", role_of(name)},
                   {"slices", std::move(slices)},
                   {"away", std::move(away)}});
  }
  return out;
}

Json quorum_json(const check::Events& events, const RunSpan& span) {
  std::set<std::string> up;
  Json out = Json::array();
  for (const check::UpDown& change : events.up_down) {
    if (role_of(change.name) != "signer") continue;
    if (change.up) up.insert(change.name);
    else up.erase(change.name);
    const double at = std::max(0.0, span.ms(change.t_us));
    if (!out.empty() && out.back().at(0) == at) out.back().at(1) = up.size();
    else out.push_back({at, up.size()});
  }
  return out;
}

}  // namespace roulette::evidence
