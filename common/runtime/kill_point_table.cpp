// Derives the list of kill points from the rows of kill_point_table.h and prints it as JSON.
//
// Invariant: the names are built here only; kill_points.cpp matches against the same pieces.
#include "common/runtime/kill_point_table.h"

#include <utility>

#include "common/base/assert.h"

namespace roulette::runtime {
namespace {

constexpr PointWhen kAround[] = {PointWhen::Before, PointWhen::After};
constexpr PointWhen kThrough[] = {PointWhen::Before, PointWhen::During, PointWhen::After};
constexpr PointWhen kTimed[] = {PointWhen::AtTime};

std::string point_name(const KillPointRow& row, PointWhen when) {
  std::string name = role_name(row.role);
  for (const std::string_view part : {effect_name(row.effect), row.subject, when_name(when)}) {
    if (!part.empty()) name.append(".").append(part);
  }
  return name;
}

}  // namespace

std::string_view effect_name(PointEffect effect) {
  switch (effect) {
    case PointEffect::Persist: return "persist";
    case PointEffect::Send: return "send";
    case PointEffect::Propose: return "propose";
    case PointEffect::Broadcast: return "broadcast";
    case PointEffect::Reply: return "reply";
    case PointEffect::Append: return "append";
    case PointEffect::Apply: return "apply";
    case PointEffect::Watch: return "watch";
    case PointEffect::Restore: return "restore";
    case PointEffect::Process: return "process";
  }
  ROULETTE_ASSERT(false);
}

std::string_view when_name(PointWhen when) {
  switch (when) {
    case PointWhen::Before: return "before";
    case PointWhen::During: return "during";
    case PointWhen::After: return "after";
    case PointWhen::AtTime: return "at_time";
  }
  ROULETTE_ASSERT(false);
}

std::span<const PointWhen> whens_of(PointEffect effect) {
  if (effect == PointEffect::Process) return kTimed;
  if (effect == PointEffect::Send) return kThrough;
  return kAround;
}

std::vector<KillPoint> list_kill_points() {
  std::vector<KillPoint> points;
  for (const KillPointRow& row : kKillPointRows) {
    for (const PointWhen when : whens_of(row.effect)) {
      points.push_back({point_name(row, when), row.role, row.effect, row.subject, when});
    }
  }
  return points;
}

std::string kill_points_json() {
  std::string out = "[\n";
  const char* separator = "";
  for (const KillPoint& point : list_kill_points()) {
    const std::pair<std::string_view, std::string_view> fields[] = {
        {"{\"point\": \"", point.point},
        {"\", \"role\": \"", role_name(point.role)},
        {"\", \"effect\": \"", effect_name(point.effect)},
        {"\", \"subject\": \"", point.subject},
        {"\", \"when\": \"", when_name(point.when)}};
    out.append(separator).append("  ");
    for (const auto& [key, value] : fields) out.append(key).append(value);
    out.append("\"}");
    separator = ",\n";
  }
  out.append("\n]\n");
  return out;
}

}  // namespace roulette::runtime
