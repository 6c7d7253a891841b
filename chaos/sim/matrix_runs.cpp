// Cells of the simulated matrix: see matrix_runs.h.
#include "chaos/sim/matrix_runs.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "chaos/plan/cluster_shape.h"

namespace roulette::sim {
namespace {

using chaos::CellResult;
using chaos::CellStatus;

constexpr Duration kBlink = milliseconds(50);
constexpr Duration kAbsence = seconds(2);        // the others must have taken over meanwhile
constexpr Duration kStandstill = milliseconds(600);
constexpr std::uint64_t kPreludePlace = 12;      // of the first process of the role
constexpr Duration kPreludeLoss = milliseconds(400);  // behind the first signatures
constexpr Range kUnhurried{milliseconds(300), milliseconds(300)};  // payments behind the move
constexpr std::uint64_t kOneInFrost = 20;        // pairs
constexpr Role kRoles[] = {Role::Signer, Role::Coordinator, Role::Ledger};

// Nobody is left over: one signer away is a lost quorum.
bool all_sign(const Schedule& schedule) {
  return schedule.world.shape.signers == schedule.world.shape.threshold;
}

Schedule short_story(const MatrixStory& story) {
  Schedule schedule;
  schedule.world.seed = story.seed;
  schedule.world.scheme = story.scheme;
  if (story.scheme != SimScheme::StandIn) {
    chaos::ClusterPlan plan;
    plan.scheme = scheme_name(story.scheme);
    chaos::set_shape(plan, {}, {});
    schedule.world.shape.signers = plan.signers;
    schedule.world.shape.threshold = plan.threshold;
  }
  schedule.world.block_interval = milliseconds(250);
  schedule.world.over_budget = true;  // two strikes may fall on two coordinators at once
  schedule.think = {milliseconds(5), milliseconds(5)};
  return schedule;
}

// Ways to tell it, tried in this order until the second place is passed after the first strike.
struct Telling {
  bool longer = false;            // more payments, further apart: more comes after a late strike
  bool refused = false;           // each followed by another payload under its key: a problem
  bool moved = false;             // to a new share epoch, a while after the first strike
  std::optional<ProcessName> nudge;  // killed a while after the first strike: what is passed at a
                                     // restart, or while somebody is away, is passed again
};
std::vector<Telling> tellings(const MatrixStory& story) {
  const Schedule schedule = short_story(story);
  std::vector<Telling> out{{false, false, false, {}},
                           {true, false, false, {}},
                           {true, true, false, {}}};
  for (const ProcessName name :
       {ProcessName{Role::Coordinator, 0}, ProcessName{Role::Coordinator, 1},
        ProcessName{Role::Signer, 0}, ProcessName{Role::Signer, 1}, ProcessName{Role::Signer, 2},
        ProcessName{Role::Ledger, 0}, ProcessName{Role::Ledger, 1}, ProcessName{Role::Ledger, 2}}) {
    if (name.role != Role::Signer || name.index < schedule.world.shape.signers)
      out.push_back({true, false, false, name});
  }
  if (!all_sign(schedule)) out.push_back({true, false, true, {}});
  return out;
}
constexpr Duration kUntilNudge = milliseconds(150);  // the first victim is back

constexpr const char* kMoved = "reprovisioned";      // a prelude: provisioned again
constexpr Duration kUntilMove = milliseconds(100);   // from the loss on

// `lost` loses its journal at `at`, and the operator moves everybody to a new share epoch.
void add_move(Schedule& schedule, std::uint16_t lost, Duration at) {
  Fault wipe;
  wipe.kind = FaultKind::Wipe;
  wipe.a = {Role::Signer, lost};
  wipe.at = at;
  wipe.down = kBlink;
  Fault move;
  move.kind = FaultKind::Reprovision;
  move.at = at + kUntilMove;
  move.down = kBlink;
  schedule.faults.push_back(wipe);
  schedule.faults.push_back(move);
}

// With what makes processes pass what they pass after it only: a kill, or a move.
Schedule story_after(const std::string& prelude, const MatrixStory& story) {
  Schedule schedule = short_story(story);
  for (const Role role : kRoles) {
    if (prelude == role_name(role))
      schedule.faults.push_back(strike_at_place({role, 0}, kPreludePlace, true, kBlink));
  }
  if (prelude == kMoved) {
    add_move(schedule, 4, kPreludeLoss);
    schedule.think = kUnhurried;
  }
  return schedule;
}

// One pass of a place, in the order of the story.
struct Pass {
  ProcessName who;
  std::string point;
};
struct Down {
  std::size_t passes = 0;  // so many came before
  Instant at;
};
struct Passes {
  std::vector<Pass> all;
  std::vector<Down> downs;
  Outcome outcome;
  [[nodiscard]] std::size_t struck() const { return downs.empty() ? 0 : downs.back().passes; }
};

Passes passes_of(const Schedule& schedule) {
  Passes out;
  struct Line {
    ProcessName who;
    const char* what;
    const char* subject;
    Instant at;
  };
  std::vector<Line> lines;
  out.outcome = run_schedule(schedule, [&](const TraceLine& line) {
    lines.push_back({line.who, line.what, line.subject, line.at});
  });
  std::set<std::pair<Role, std::string>> places;
  for (const auto& [name, list] : out.outcome.places) {
    for (const Place& place : list)
      places.emplace(name.role, std::string(place.effect) + "." + place.subject);
  }
  for (const Line& line : lines) {
    if (std::string_view(line.what) == "down") {
      out.downs.push_back({out.all.size(), line.at});
      continue;
    }
    std::string point = std::string(line.what) + "." + line.subject;
    if (places.contains({line.who.role, point})) out.all.push_back({line.who, std::move(point)});
  }
  return out;
}

Fault kill_at(ProcessName victim, const MatrixPoint& point, std::uint64_t pass) {
  Fault fault = strike_at_place(victim, pass, point.after, kBlink);
  fault.point = point.point;
  return fault;
}

void conclude(CellResult& cell, const Schedule& schedule, const Outcome& outcome,
              const std::vector<std::string>& wanted) {
  if (outcome.struck_at != wanted) {
    cell.status = CellStatus::Unreachable;
    cell.reason = "struck at " + std::to_string(outcome.struck_at.size()) + " places of " +
                  std::to_string(wanted.size()) + ", the last at " +
                  (outcome.struck_at.empty() ? "none" : outcome.struck_at.back());
    return;
  }
  cell.status = outcome.violations.empty() ? CellStatus::Exercised : CellStatus::Failed;
  cell.reason = outcome.violations.empty()
                    ? ""
                    : outcome.violations.front().id + ": " + outcome.violations.front().text +
                          "\n" + to_text(schedule);
  cell.took_ms = static_cast<double>(outcome.took.us) / 1000;
}

std::vector<std::string> preludes(const MatrixStory& story) {
  std::vector<std::string> out{""};
  for (const Role role : kRoles) out.emplace_back(role_name(role));
  if (!all_sign(short_story(story))) out.emplace_back(kMoved);
  return out;
}

// What the log got the signatures of while a process was away, but for what was under way.
constexpr Duration kUnderWay = milliseconds(100);
class Away {
 public:
  explicit Away(ProcessName who) : who_(who) {}
  void see(const TraceLine& line) {
    const std::string_view what(line.what);
    if (line.who == who_ && (what == "down" || what == "paused")) since_ = line.at;
    if (line.who == who_ && (what == "boot" || what == "resumed")) since_.reset();
    if (since_ && line.at - *since_ >= kUnderWay && what == "appended" &&
        std::string_view(line.subject) == "signed")
      ++signed_;
  }
  [[nodiscard]] std::size_t signed_meanwhile() const { return signed_; }

 private:
  ProcessName who_;
  std::optional<Instant> since_;
  std::size_t signed_ = 0;
};

struct Single {
  const char* blow;
  Blow kind;
  Duration down;
};
constexpr Single kSingles[] = {{"SIGTERM", Blow::Stop, kBlink},
                               {"SIGKILL", Blow::Kill, kBlink},
                               {"pause", Blow::Pause, kStandstill},
                               {"kill-without-restart", Blow::Kill, kAbsence}};

// What a story passes at its beginning and never again, whatever is killed: a signer's first start,
// clients that wait for funds. As a second place it is a cell only after another one of these.
bool of_the_start(const MatrixPoint& point) {
  return point.point.ends_with(".provisioned") || point.point == "reply.balances";
}

CellResult pair_cell(const MatrixPoint& first, const MatrixPoint& second, bool same) {
  CellResult cell;
  cell.point = first.name;
  cell.blow = same ? "then-SIGKILL-of-the-same" : "then-SIGKILL-of-another";
  cell.victims = second.name;
  cell.occurrence = "next";
  cell.expected = "progress";
  cell.id = first.name + "/" + cell.blow + "/" + second.name;
  cell.status = CellStatus::Unreachable;
  cell.reason = "never passed after the first strike";
  return cell;
}

// The same cells with FROST whatever else is selected: FNV-1a over the cell's name.
SimScheme pair_scheme(const std::string& id, std::uint64_t seed) {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ seed;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return (hash >> 32) % kOneInFrost == 0 ? SimScheme::Frost : SimScheme::StandIn;
}

// One telling with the first strike alone.
struct FirstStrike {
  std::optional<ProcessName> victim;
  Schedule schedule;
  Passes passes;
  std::size_t from = 0;  // passes up to the first strike
};

FirstStrike strike_first(const MatrixPoint& first, const Telling& telling,
                         const MatrixStory& story) {
  FirstStrike out;
  out.schedule = story_after(first.prelude, story);
  if (telling.longer) {
    out.schedule.payments = 6;
    if (first.prelude != kMoved) out.schedule.think = {milliseconds(60), milliseconds(60)};
    out.schedule.conflict_per_mille = telling.refused ? 1000 : 0;
  }
  const Passes calm = passes_of(out.schedule);
  for (std::size_t i = calm.struck(); i < calm.all.size() && !out.victim; ++i) {
    if (calm.all[i].who.role == first.role && calm.all[i].point == first.point)
      out.victim = calm.all[i].who;
  }
  if (!out.victim) return out;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < calm.struck(); ++i)
    before += calm.all[i].who == *out.victim && calm.all[i].point == first.point ? 1 : 0;
  out.schedule.faults.push_back(kill_at(*out.victim, first, before));
  out.passes = passes_of(out.schedule);
  const std::size_t kills = calm.downs.size() + 1;
  if (out.passes.downs.size() != kills) {
    out.victim.reset();
    return out;
  }
  if (telling.nudge) {
    Fault nudge;
    nudge.kind = FaultKind::Strike;
    nudge.a = *telling.nudge;
    nudge.at = out.passes.downs.back().at - Instant{} + kUntilNudge;
    nudge.down = kBlink;
    out.schedule.faults.push_back(nudge);
    out.passes = passes_of(out.schedule);
  }
  if (telling.moved) {  // whoever was struck goes on in its own journal
    const std::uint16_t lost = *out.victim == ProcessName{Role::Signer, 4} ? 3 : 4;
    add_move(out.schedule, lost, out.passes.downs.back().at - Instant{} + kUntilNudge);
    out.passes = passes_of(out.schedule);
  }
  out.from = out.passes.downs.at(kills - 1).passes;
  return out;
}

// Strikes at the first pass that comes after the first strike; false when this telling has none.
bool strike_second(CellResult& cell, const FirstStrike& first, const MatrixPoint& second,
                   bool same) {
  if (!first.victim) return false;
  for (std::size_t i = first.from; i < first.passes.all.size(); ++i) {
    const Pass& pass = first.passes.all[i];
    if (pass.who.role != second.role || pass.point != second.point ||
        (pass.who == *first.victim) != same)
      continue;
    std::uint64_t passed = 0;
    for (std::size_t k = 0; k < i; ++k)
      passed += first.passes.all[k].who == pass.who && first.passes.all[k].point == pass.point;
    Schedule schedule = first.schedule;
    schedule.faults.push_back(kill_at(pass.who, second, passed));
    std::vector<std::string> wanted = first.passes.outcome.struck_at;
    wanted.push_back(second.name);
    cell.struck = {first.victim->text(), pass.who.text()};
    conclude(cell, schedule, run_schedule(schedule), wanted);
    return true;
  }
  return false;
}

}  // namespace

std::vector<MatrixPoint> matrix_points(const MatrixStory& story) {
  std::vector<MatrixPoint> out;
  std::set<std::string> known;
  for (const std::string& prelude : preludes(story)) {
    for (const auto& [name, places] : run_schedule(story_after(prelude, story)).places) {
      for (const Place& place : places) {
        if (!known.insert(place.text()).second) continue;
        const std::string point = std::string(place.effect) + "." + place.subject;
        for (const bool after : {false, true})
          out.push_back({place.role, point, after,
                         place.text() + (after ? ".after" : ".before"), prelude});
      }
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const MatrixPoint& a, const MatrixPoint& b) {
    return a.role < b.role;
  });
  return out;
}

std::vector<CellResult> run_singles(const MatrixPoint& point, const MatrixStory& story,
                                    const Plants& plants) {
  const Schedule base = story_after(point.prelude, story);
  const Passes calm = passes_of(base);
  // The lowest process that passes it; what the prelude is for comes after it.
  std::optional<ProcessName> victim;
  std::uint64_t before = 0, passes = 0;
  for (std::size_t i = 0; i < calm.all.size(); ++i) {
    const Pass& pass = calm.all[i];
    if (pass.who.role != point.role || pass.point != point.point) continue;
    if (i >= calm.struck() && (!victim || pass.who < *victim)) victim = pass.who;
  }
  for (std::size_t i = 0; i < calm.all.size(); ++i) {
    const Pass& pass = calm.all[i];
    if (!victim || pass.who != *victim || pass.point != point.point) continue;
    ++(i < calm.struck() ? before : passes);
  }
  std::vector<CellResult> out;
  for (const Single& single : kSingles) {
    if (!point.after && single.kind != Blow::Kill) continue;
    std::set<std::uint64_t> numbers;
    for (const auto& [word, number] :
         {std::pair{"first", std::uint64_t{0}}, std::pair{"middle", passes / 2},
          std::pair{"last", passes == 0 ? 0 : passes - 1}}) {
      if (!numbers.insert(number).second) continue;  // passed once: the first is the last
      CellResult cell;
      cell.point = point.name;
      cell.blow = single.blow;
      cell.victims = "one";
      cell.occurrence = word;
      const bool refusal =
          all_sign(base) && point.role == Role::Signer && single.down >= kStandstill;
      cell.expected = chaos::expectation_name(refusal ? chaos::CellExpectation::Refusal
                                                      : chaos::CellExpectation::Progress);
      cell.scheme = scheme_name(story.scheme);
      cell.id = point.name + "/" + single.blow + "/one/" + word;
      cell.status = CellStatus::Unreachable;
      cell.reason = "never passed";
      if (victim) {
        Schedule schedule = base;
        Fault fault = kill_at(*victim, point, before + number);
        fault.blow = single.kind;
        fault.down = single.down;
        schedule.faults.push_back(fault);
        std::vector<std::string> wanted = calm.outcome.struck_at;
        wanted.push_back(point.name);
        cell.struck = {victim->text()};
        Away away(*victim);
        conclude(cell, schedule,
                 run_story({schedule, plants}, [&](const TraceLine& line) { away.see(line); }),
                 wanted);
        if (refusal && cell.status == CellStatus::Exercised && away.signed_meanwhile() > 0) {
          cell.status = CellStatus::Failed;
          cell.reason = "a withdrawal got its signatures without a quorum\n" + to_text(schedule);
        }
      }
      out.push_back(std::move(cell));
    }
  }
  return out;
}

std::vector<CellResult> run_pairs(const MatrixPoint& first, const std::vector<MatrixPoint>& points,
                                  const MatrixStory& story) {
  const std::vector<Telling> tellings_of_story = tellings(story);
  const bool alone = short_story(story).world.shape.signers == 1;  // no signer is another
  std::map<SimScheme, std::vector<FirstStrike>> told_with;  // as far as they were needed
  std::vector<CellResult> out;
  for (const MatrixPoint& second : points) {
    if (of_the_start(second) && !of_the_start(first)) continue;
    for (const bool same : {true, false}) {
      if (same && second.role != first.role) continue;
      if (!same && alone && second.role == Role::Signer && first.role == Role::Signer) continue;
      CellResult cell = pair_cell(first, second, same);
      const SimScheme scheme =
          story.scheme == SimScheme::Frost ? pair_scheme(cell.id, story.seed) : story.scheme;
      cell.scheme = scheme_name(scheme);
      auto& told = told_with[scheme];
      for (std::size_t i = 0; i < tellings_of_story.size(); ++i) {
        if (i == told.size())
          told.push_back(strike_first(first, tellings_of_story[i], {story.seed, scheme}));
        if (strike_second(cell, told[i], second, same)) break;
      }
      out.push_back(std::move(cell));
    }
  }
  return out;
}

}  // namespace roulette::sim
