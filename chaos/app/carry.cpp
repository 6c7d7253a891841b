// Names of points on both sides, and the two directions: see carry.h.
//
// Invariant: an experiment that is returned was accepted by the parser that `roulette run` uses.
#include "chaos/app/carry.h"

#include <algorithm>
#include <filesystem>

#include "chaos/app/shrunk.h"
#include "chaos/check/record_reader.h"
#include "chaos/plan/experiment.h"
#include "common/runtime/kill_point_table.h"

namespace roulette::chaos {
namespace {

constexpr std::size_t kMostPayments = 24;  // of a schedule that is carried from a run
constexpr std::uint32_t kUndisturbedS = 3;
// All but refusal and continuity, which faults within the budget need not exercise.
constexpr const char* kRequired =
    "    require: [no-duplicate-payment, no-lost-withdrawal, no-partial-transaction,\n"
    "      idempotency-key-respected, no-conflicting-signature, share-has-its-record,\n"
    "      nonce-never-reused, signing-policy-respected, ledger-replicas-agree, books-balance,\n"
    "      chain-matches-ledger, limits-respected]\n";

// ---- points ----

struct SamePlace {
  std::string_view live;  // "role.effect.subject"
  std::string_view sim;   // "effect.subject" of that role
};
// Where the two hosts call one moment by different names.
constexpr SamePlace kSamePlaces[] = {{"ledger.persist.tables", "write.tables"},
                                     {"ledger.append.command_batch", "append.command_batch"}};

struct Point {
  std::string place;  // "effect.subject"
  bool after = false;
};

// "signer.persist.signing_record.after" as the simulator says it; nothing for what it has not.
std::optional<Point> sim_point(const std::string& live) {
  const auto when_at = live.rfind('.');
  const auto role_end = live.find('.');
  const std::string when = live.substr(when_at + 1);
  if (when != "before" && when != "after") return std::nullopt;
  const std::string place = live.substr(0, when_at);
  for (const SamePlace& same : kSamePlaces) {
    if (place == same.live) return Point{std::string(same.sim), when == "after"};
  }
  const std::string rest = place.substr(role_end + 1);
  const std::string effect = rest.substr(0, rest.find('.'));
  static const std::vector<std::string> shared{"persist", "send", "broadcast", "reply"};
  if (std::find(shared.begin(), shared.end(), effect) == shared.end()) return std::nullopt;
  return Point{rest, when == "after"};
}

std::optional<std::string> live_point(Role role, const std::string& effect,
                                      const std::string& subject, bool after) {
  std::string place = std::string(role_name(role)) + "." + effect + "." + subject;
  for (const SamePlace& same : kSamePlaces) {
    const bool mine = same.live.starts_with(role_name(role));
    if (mine && effect + "." + subject == same.sim) place = same.live;
  }
  // A record that was ordered and not begun to be written.
  if (effect == "order" && !after) place = std::string(role_name(role)) + ".persist." + subject;
  const std::string wanted = place + (after ? ".after" : ".before");
  for (const runtime::KillPoint& point : runtime::list_kill_points()) {
    if (point.point == wanted) return wanted;
  }
  return std::nullopt;
}

std::optional<ProcessName> process_of(const std::string& name) {
  const auto dash = name.rfind('-');
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger, Role::Etcd,
                          Role::Bitcoind}) {
    if (dash == std::string::npos || name.substr(0, dash) != role_name(role)) continue;
    return ProcessName{role, static_cast<std::uint16_t>(std::stoul(name.substr(dash + 1)))};
  }
  return std::nullopt;
}

// ---- from a run ----

struct Fired {
  std::string victim, trigger_process, point, signal, recover;
  std::uint64_t rule = 0;
  std::uint64_t occurrence = 1;
  std::int64_t sent_us = 0;
  bool timed = false;
};

std::vector<Fired> read_fired(const std::string& run_dir, check::History& history) {
  std::vector<Fired> fired;
  check::read_records(run_dir, "faults.ndjson", "roulette-faults", history, [&](check::Fields& f) {
    Fired one;
    one.victim = f.text("victim");
    one.trigger_process = f.text_or_empty("trigger_process");
    one.point = f.text("point");
    one.signal = f.text("signal");
    one.recover = f.text("recover");
    one.rule = f.count("rule");
    one.occurrence = static_cast<std::uint64_t>(f.maybe_integer("occurrence").value_or(1));
    one.timed = one.point.ends_with(".at_time");
    const bool happened = f.boolean("fired");
    if (auto proof = f.object("proof")) one.sent_us = proof->maybe_integer("sent_us").value_or(0);
    if (f.good() && happened) fired.push_back(std::move(one));
  });
  return fired;
}

// The fault as the simulator does it, or why it cannot.
std::variant<sim::Fault, std::string> sim_fault(const Fired& fired, const FaultRule& rule,
                                                std::int64_t began_us) {
  sim::Fault fault;
  const auto victim = process_of(fired.victim);
  if (!victim || victim->role == Role::Etcd) return "the simulator has one log and no members";
  fault.a = *victim;
  fault.down = milliseconds(rule.recover.after_ms);
  fault.blow = fired.signal == "SIGKILL"   ? sim::Blow::Kill
               : fired.signal == "SIGTERM" ? sim::Blow::Stop
                                           : sim::Blow::Pause;
  fault.at = microseconds(std::max<std::int64_t>(fired.sent_us - began_us, 0));
  if (victim->role == Role::Bitcoind) {
    if (fault.blow == sim::Blow::Stop) return "the simulated node knows no orderly stop";
    if (!fired.timed) return "the node is struck at a time only, not at a point of another process";
    fault.kind = fault.blow == sim::Blow::Kill ? sim::FaultKind::KillNode
                                               : sim::FaultKind::PauseNode;
    fault.a = {};
    fault.blow = {};
    return fault;
  }
  if (fired.timed) {
    if (fired.recover == "none") fault.kind = sim::FaultKind::Retire;
    if (fired.recover == "wiped") fault.kind = sim::FaultKind::Wipe;
    if (fired.recover == "rolled-back") fault.kind = sim::FaultKind::RollBack;
    if (fault.kind == sim::FaultKind::RollBack) fault.amount = 1;  // live it keeps the older half
    if (fault.kind != sim::FaultKind::Strike) fault.blow = {};
    if (fault.kind == sim::FaultKind::Retire) fault.down = sim::Fault{}.down;
    return fault;
  }
  if (fired.recover != "restart" && fired.recover != "continue")
    return "a strike at a place is followed by a restart, not by '" + fired.recover + "'";
  if (!fired.trigger_process.empty() && fired.trigger_process != fired.victim) {
    return "its point is another process's (" + fired.trigger_process + ")";
  }
  const auto point = sim_point(fired.point);
  if (!point) return "the simulator has no place for " + fired.point;
  fault.kind = sim::FaultKind::StrikePlace;
  fault.at = {};
  fault.point = point->place;
  fault.after = point->after;
  fault.place = fired.occurrence - 1;
  return fault;
}

// ---- to an experiment ----

Signal signal_of(sim::Blow blow) {
  switch (blow) {
    case sim::Blow::Kill: return Signal::Kill;
    case sim::Blow::Stop: return Signal::Term;
    case sim::Blow::Pause: return Signal::Stop;
  }
  return Signal::Kill;
}

std::string rule_line(const ProcessName& victim, const std::string& trigger, sim::Blow blow,
                      RecoverHow how, Duration down) {
  const bool node = victim.role == Role::Bitcoind;
  return "      - {target: {role: " + std::string(role_name(victim.role)) +
         (node ? "" : ", index: [" + std::to_string(victim.index) + "]") + "}, trigger: {" +
         trigger + "}, signal: " + signal_name(signal_of(blow)) + ", recover: {how: " +
         recover_name(how) + ", after_ms: " +
         std::to_string(std::max<std::int64_t>(down.us / 1000, 1)) + "}}\n";
}

RecoverHow recovery_of(sim::Blow blow) {
  return blow == sim::Blow::Pause ? RecoverHow::Continue : RecoverHow::Restart;
}

// The effect that stands at a numbered place, and the how-manieth of its kind it is.
struct Named {
  sim::Place place;
  std::uint64_t occurrence = 0;
};
std::optional<Named> named(const sim::Outcome& outcome, const sim::Fault& fault) {
  const auto places = outcome.places.find(fault.a);
  if (places == outcome.places.end()) return std::nullopt;
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i < places->second.size(); ++i) {
    const sim::Place& place = places->second[i];
    if (!fault.point.empty() ? !place.is(fault.point) : fault.deeds && place.chatter()) continue;
    if (passed++ != fault.place) continue;
    Named found{place, 0};
    for (std::size_t j = 0; j <= i; ++j) {
      const sim::Place& earlier = places->second[j];
      found.occurrence += std::string_view(earlier.effect) == place.effect &&
                                  std::string_view(earlier.subject) == place.subject
                              ? 1
                              : 0;
    }
    return found;
  }
  return std::nullopt;
}

// The line of a rule, or why there is none.
Result<std::string> live_rule(const sim::Fault& fault, const sim::Outcome& outcome) {
  const auto no = [](const std::string& why) { return Error{ErrorKind::Refused, why}; };
  const std::string at =
      "at_ms: " + std::to_string(fault.at.us / 1000 + 1000 * kUndisturbedS);
  const auto timed = [&](const ProcessName& victim, sim::Blow blow, RecoverHow how) {
    return rule_line(victim, at, blow, how, fault.down);
  };
  switch (fault.kind) {
    case sim::FaultKind::Strike: return timed(fault.a, fault.blow, recovery_of(fault.blow));
    case sim::FaultKind::Retire: return timed(fault.a, sim::Blow::Kill, RecoverHow::None);
    case sim::FaultKind::Wipe: return timed(fault.a, sim::Blow::Kill, RecoverHow::Wiped);
    // How far back it goes is the live tool's rule, not `amount`.
    case sim::FaultKind::RollBack: return timed(fault.a, sim::Blow::Kill, RecoverHow::RolledBack);
    case sim::FaultKind::KillNode:
      return timed({Role::Bitcoind, 0}, sim::Blow::Kill, RecoverHow::Restart);
    case sim::FaultKind::PauseNode:
      return timed({Role::Bitcoind, 0}, sim::Blow::Pause, RecoverHow::Continue);
    case sim::FaultKind::StrikePlace: break;
    default: return no("there is no such fault in a live run");
  }
  const auto found = named(outcome, fault);
  if (!found) return no("the simulated process never came to that place");
  const bool after = fault.after || fault.blow != sim::Blow::Kill;
  const auto point = live_point(fault.a.role, found->place.effect, found->place.subject, after);
  if (!point) return no("no point of a live process is " + found->place.text());
  return rule_line(fault.a,
                   "point: " + *point + ", occurrence: " + std::to_string(found->occurrence),
                   fault.blow, recovery_of(fault.blow), fault.down);
}

std::string head_of(const sim::ScheduleFile& file, std::uint32_t duration_s) {
  const sim::Shape& shape = file.schedule.world.shape;
  const bool stand_in = file.schedule.world.scheme == sim::SimScheme::StandIn;  // it has no coins
  const std::string scheme = stand_in ? "frost" : sim::scheme_name(file.schedule.world.scheme);
  const auto count = [](std::uint16_t n) { return std::to_string(n); };
  const std::string title = "Carried from the simulator, seed " +
                            std::to_string(file.schedule.world.seed);
  return "title: " + title +
         "\ndescription: The faults of one simulated schedule that exist in a live run.\n"
         "tags: [simulated]\n"
         "method: [{type: action, name: quorum-roulette, provider: {type: roulette}}]\n"
         "rollbacks: []\nextensions:\n  - name: quorum-roulette\n    version: 1\n    seed: " +
         std::to_string(file.schedule.world.seed) + "\n    cluster: {scheme: " + scheme +
         ", signers: " +
         count(shape.signers) + ", threshold: " + count(shape.threshold) + ", coordinators: " +
         count(shape.coordinators) + ", ledgers: " + count(shape.ledgers) +
         ", log: etcd, chain: bitcoind, block_interval_ms: " +
         std::to_string(std::max<std::int64_t>(file.schedule.world.block_interval.us / 1000, 100)) +
         "}\n    workload: {clients: 2, rate_per_s: 5, duration_s: " + std::to_string(duration_s) +
         ", undisturbed_s: " + std::to_string(kUndisturbedS) +
         ", duplicate_share: 0.2, conflict_share: 0.1, think_ms: 200}\n";
}

}  // namespace

Result<CarriedSchedule> schedule_of_run(const std::string& run_dir) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(run_dir)) return Error{ErrorKind::Usage, run_dir + " is no run's folder"};
  const auto experiment = load_experiment((fs::path(run_dir) / "experiment.yaml").string());
  if (!experiment) return experiment.error();
  check::History history;
  history.experiment = *experiment;
  const std::vector<Fired> fired = read_fired(run_dir, history);
  check::load::events(run_dir, history);
  check::load::client(run_dir, history);
  for (const check::Source& source : history.sources) {
    if (source.whole()) continue;
    return Error{ErrorKind::Usage, source.present ? source.defects.front()
                                                  : run_dir + "/" + source.file + " is missing"};
  }
  std::int64_t began_us = fired.empty() ? 0 : fired.front().sent_us;
  for (const check::Phase& phase : history.events.phases) {
    if (phase.name == "undisturbed") began_us = phase.t_us;
  }
  CarriedSchedule out;
  sim::Schedule& schedule = out.file.schedule;
  schedule.world.seed = experiment->seed;
  schedule.world.scheme = sim::scheme_named(experiment->cluster.scheme).value();
  out.file.scheme = experiment->cluster.scheme;
  sim::Shape& shape = schedule.world.shape;
  shape.signers = experiment->cluster.signers;
  shape.threshold = experiment->cluster.threshold;
  shape.coordinators = experiment->cluster.coordinators;
  shape.ledgers = experiment->cluster.ledgers;
  schedule.world.block_interval = milliseconds(experiment->cluster.block_interval_ms);
  schedule.payments = std::clamp<std::size_t>(history.keys.size(), 3, kMostPayments);
  Duration last{};
  for (const Fired& one : fired) {
    const auto carried = one.rule < experiment->faults.size()
                             ? sim_fault(one, experiment->faults[one.rule], began_us)
                             : std::variant<sim::Fault, std::string>("the file has no such rule");
    if (const auto* fault = std::get_if<sim::Fault>(&carried)) {
      last = std::max(last, sim::over_at(*fault));
      schedule.faults.push_back(*fault);
    } else {
      out.left.push_back(one.signal + " to " + one.victim + " at " + one.point + ": " +
                         std::get<std::string>(carried));
    }
  }
  const Duration pace = microseconds(last.us / static_cast<std::int64_t>(schedule.payments));
  schedule.think = {pace, pace};
  schedule.bound = last + seconds(60);
  out.file.note = "carried from " + fs::path(run_dir).filename().string();
  // What the simulator cannot parse it cannot run, either.
  const auto checked = sim::parse_schedule(sim::to_text(schedule));
  if (!checked) return checked.error().with_context("the run's cluster");
  return out;
}

Result<CarriedExperiment> experiment_of(const sim::ScheduleFile& file) {
  const sim::Outcome outcome = sim::run_schedule(file.schedule);
  CarriedExperiment out;
  std::string rules;
  Duration last{};
  std::map<Role, std::uint32_t> roles;
  for (const sim::Fault& fault : file.schedule.faults) {
    const auto rule = live_rule(fault, outcome);
    if (!rule) {
      out.left.push_back(sim::to_text(fault) + ": " + rule.error().message);
      continue;
    }
    ++out.carried;
    rules += *rule;
    last = std::max(last, sim::over_at(fault));
  }
  if (out.carried == 0) return Error{ErrorKind::Refused, "no fault of it exists in a live run"};
  const auto duration_s = static_cast<std::uint32_t>(last.us / 1'000'000) + kUndisturbedS + 10;
  out.yaml = head_of(file, duration_s);
  for (const std::string& left : out.left) out.yaml += "    # not carried: " + left + "\n";
  out.yaml += "    faults:\n" + rules + "    floor: {settled: 1}\n" + kRequired +
              "    expect: progress\n";
  const auto parsed = parse_experiment(out.yaml, "the experiment");
  if (!parsed) return parsed.error();
  return out;
}

}  // namespace roulette::chaos
