// Faults under way: see faults.h.
#include "chaos/live/faults.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <errno.h>
#include <signal.h>
#include <nlohmann/json.hpp>

#include "chaos/plan/cluster_shape.h"
#include "common/base/limits.h"
#include "common/wire/messages.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr std::uint32_t kMaxDeferrals = 2000;  // passes let through because the budget was used up
constexpr Duration kDeferral = milliseconds(100);  // timed faults try again then
constexpr Duration kTermGrace = limits::kDrain + seconds(2);
constexpr Duration kHangSlack = milliseconds(kTokenHangSlackMs);

enum class Phase : std::uint8_t { Waiting, Armed, Striking, Over };

// One victim of one instance: becomes one line of the record.
struct Strike {
  ProcessName victim;
  std::optional<pid_t> pid;
  int send_result = 0;
  Instant sent{};
  bool stopped = false, continued = false, shutdown_started = false, escalated = false;
  std::optional<ExitFacts> exit;
  std::optional<Instant> restarted, ready;
  std::uint64_t token_calls = 0;  // that met the fault of a token
  std::optional<Instant> token_back;
  bool records_taken = false;  // where the fault says so, before the restart
  bool over = false;  // nothing more will happen to it
};

struct Instance {
  FaultInstance plan;
  Phase phase = Phase::Waiting;
  std::uint32_t remaining = 1;
  std::uint32_t deferrals = 0;
  std::optional<HitFacts> hit;
  std::vector<Strike> strikes;
  std::string why_not = "its time did not come before the load ended";
  std::unique_ptr<runtime::Timer> timer;
  std::vector<std::unique_ptr<runtime::Timer>> strike_timers;
};

int signal_number(Signal signal) {
  switch (signal) {
    case Signal::Kill:
      return SIGKILL;
    case Signal::Term:
      return SIGTERM;
    case Signal::Stop:
      return SIGSTOP;
    case Signal::TokenRemoved:
    case Signal::TokenSessionLost:
    case Signal::TokenRefusing:
    case Signal::TokenSlow:
    case Signal::TokenHangs:
      break;
  }
  ROULETTE_ASSERT(false);  // nothing is sent to the process
}

bool is_timed(const FaultInstance& plan) {
  return !plan.trigger_process.has_value();
}

// DESIGN 5, proof by kind.
bool strike_proven(const Instance& instance, const Strike& strike) {
  if (strike.send_result != 0) return false;
  if (!is_timed(instance.plan) && !instance.hit) return false;
  if (takes_records(instance.plan.recover.how) && !strike.records_taken) return false;
  switch (instance.plan.signal) {
    case Signal::Kill:
      return strike.exit && strike.exit->signal == SIGKILL;
    case Signal::Term:
      if (!strike.exit) return false;
      if (strike.escalated) return strike.exit->signal == SIGKILL;
      // etcd and the node have no control channel to say that they began to stop: their orderly
      // exit has to do. etcd's last act is to send itself the signal again (pkg/osutil).
      if (strike.victim.role == Role::Etcd && strike.exit->signal == SIGTERM) return true;
      return (strike.shutdown_started || strike.victim.role == Role::Etcd ||
              strike.victim.role == Role::Bitcoind) &&
             strike.exit->code == 0;
    case Signal::Stop:
      return strike.stopped && (strike.continued || instance.plan.recover.how == RecoverHow::None);
    case Signal::TokenRemoved:
    case Signal::TokenSessionLost:
    case Signal::TokenRefusing:
    case Signal::TokenSlow:
    case Signal::TokenHangs:
      return strike.token_back && strike.token_calls > 0;
  }
  return false;
}

json micros(const std::optional<Instant>& at) {
  return at ? json(at->us) : json(nullptr);
}

}  // namespace

struct FaultEngine::State {
  runtime::EventLoop& loop;
  runtime::EventLog& log;
  Supervisor& supervisor;
  const Experiment& experiment;
  Hooks hooks;
  std::deque<Instance> instances;  // timers keep references
  std::vector<std::function<void()>> when_told;
  std::vector<FaultInstance> unscheduled;
  std::set<ProcessName> lost_ones;
  bool ended = false;

  State(runtime::EventLoop& l, runtime::EventLog& g, Supervisor& s, const Experiment& e, Hooks h)
      : loop(l), log(g), supervisor(s), experiment(e), hooks(std::move(h)) {}

  // ---- arming ----

  // What a replica is put back to is kept now: later it would be newer than the fault says.
  void keep_old_records() {
    std::set<ProcessName> kept;
    for (const Instance& instance : instances) {
      if (instance.plan.recover.how != RecoverHow::RolledBack) continue;
      for (const ProcessName& name : instance.plan.victims) {
        if (name.role == Role::Ledger && hooks.keep_records && kept.insert(name).second)
          report("keep_records_failed", name, hooks.keep_records(name));
      }
    }
  }

  void schedule(Instance& instance, Instant at) {
    instance.timer = std::make_unique<runtime::Timer>(loop, [this, &instance] { due(instance); });
    instance.timer->arm(at);
  }

  void due(Instance& instance) {
    if (ended || instance.phase != Phase::Waiting) return;
    if (is_timed(instance.plan)) {
      if (!within_budget(instance, std::nullopt)) return defer_timed(instance);
      return strike_all(instance);
    }
    instance.phase = Phase::Armed;
    instance.why_not = "the point was not passed often enough before the load ended";
    supervisor.write_control(*instance.plan.trigger_process, arm_line(instance));
  }

  static std::string arm_line(const Instance& instance) {
    return "arm " + std::to_string(instance.plan.id) + " " + instance.plan.point + " " +
           std::to_string(instance.remaining);
  }

  // Processes of the role that are down, paused or standing still, plus those this fault would
  // take.
  bool within_budget(const Instance& instance,
                     const std::optional<ProcessName>& standing_still) const {
    if (instance.plan.over_budget) return true;
    const Role role = instance.plan.victims.front().role;
    std::uint32_t down = 0;
    for (const ProcessName& name : supervisor.all()) {
      if (name.role != role) continue;
      const bool victim =
          std::count(instance.plan.victims.begin(), instance.plan.victims.end(), name) > 0;
      const bool serving =
          supervisor.serving(name) || (name == standing_still && !being_struck(name));
      if (victim && !serving) return false;  // it is down already: killing it again proves nothing
      if (victim || !serving) ++down;
    }
    return down <= experiment.blast_radius.at(role);
  }

  // A signal of an earlier fault is under way: whose its end is could not be told.
  bool being_struck(const ProcessName& name) const {
    for (const Instance& instance : instances) {
      if (of_token(instance.plan.signal)) continue;
      for (const Strike& strike : instance.strikes) {
        if (strike.victim == name && !strike.over && !strike.exit) return true;
      }
    }
    return false;
  }

  void defer_timed(Instance& instance) {
    instance.why_not = "the blast radius was used up whenever it was due";
    if (++instance.deferrals < kMaxDeferrals) schedule(instance, loop.now() + kDeferral);
  }

  void on_hit(const ProcessName& name, const HitFacts& facts) {
    Instance* instance = by_id(facts.arm_id);
    const std::string release = "release " + std::to_string(facts.sequence);
    if (instance == nullptr || instance->phase != Phase::Armed || ended ||
        !within_budget(*instance, name)) {
      if (instance != nullptr && instance->phase == Phase::Armed) {
        instance->why_not = "the blast radius was used up whenever the point was passed";
        instance->remaining = 1;
        if (!ended && ++instance->deferrals < kMaxDeferrals)
          supervisor.write_control(name, arm_line(*instance));
      }
      supervisor.write_control(name, release);
      supervisor.mark_released(name);
      return;
    }
    strike_at(*instance, name, facts);
  }

  void strike_at(Instance& instance, const ProcessName& name, const HitFacts& facts) {
    const std::string release = "release " + std::to_string(facts.sequence);
    instance.hit = facts;
    note(instance, name, "hit");
    strike_all(instance);
    const bool is_victim =
        std::count(instance.plan.victims.begin(), instance.plan.victims.end(), name) > 0;
    if (is_victim && instance.plan.signal == Signal::Kill) return;  // never released
    // A victim elsewhere is dead, or stopped, before the trigger process moves on: its send came
    // first, and SIGKILL and SIGSTOP take effect before the victim runs another instruction of its
    // own.
    supervisor.write_control(name, release);
    if (!is_victim) supervisor.mark_released(name);
  }

  void on_seen(std::uint32_t arm_id) {
    Instance* instance = by_id(arm_id);
    if (instance != nullptr && instance->remaining > 1) --instance->remaining;
  }

  // ---- striking ----

  void strike_all(Instance& instance) {
    instance.phase = Phase::Striking;
    instance.why_not.clear();
    for (const ProcessName& victim : instance.plan.victims) {
      if (victim.role == Role::Bitcoind && hooks.note_node_height)
        hooks.note_node_height(victim, "before");
      Strike strike;
      strike.victim = victim;
      strike.pid = supervisor.pid(victim);
      strike.sent = loop.now();
      instance.strikes.push_back(strike);
    }
    for (std::size_t i = 0; i < instance.strikes.size(); ++i) {
      Strike& strike = instance.strikes[i];
      strike.send_result =
          of_token(instance.plan.signal)
              ? strike_token(instance, i)
              : supervisor.send_signal(strike.victim, signal_number(instance.plan.signal));
      note(instance, strike.victim, "sent");
      if (strike.send_result != 0) {
        instance.why_not = "the signal could not be sent: " + std::to_string(strike.send_result);
        strike.over = true;
      }
    }
    if (instance.plan.signal == Signal::Term)
      after(instance, kTermGrace, [this, &instance] { escalate(instance); });
    finish_if_over(instance);
  }

  // ---- tokens ----

  // The process goes on; it counts as down until its token answers again and it says so.
  int strike_token(Instance& instance, std::size_t index) {
    const Strike& strike = instance.strikes[index];
    const Signal how = instance.plan.signal;
    const Status set = hooks.set_token ? hooks.set_token(strike.victim, how)
                                       : Status(Error{ErrorKind::Internal, "no tokens here"});
    report("token_fault_failed", strike.victim, set);
    if (!set) return -EIO;
    supervisor.token_goes(strike.victim, signal_name(how));
    recover_later(instance, [this, &instance, index] { return_token(instance, index); });
    return 0;
  }

  void return_token(Instance& instance, std::size_t index) {
    Strike& strike = instance.strikes[index];
    report("token_return_failed", strike.victim, hooks.set_token(strike.victim, std::nullopt));
    strike.token_back = loop.now();
    strike.token_calls =
        hooks.token_calls(strike.victim, instance.plan.signal, strike.sent, *strike.token_back);
    if (strike.token_calls == 0) instance.why_not = "no call of the token met the fault";
    note(instance, strike.victim, "token_back");
    supervisor.token_returns(strike.victim);
    if (strike.exit) return restart_strike(instance, index);
    // Otherwise it has yet to notice; on_ready() tells.
    if (supervisor.serving(strike.victim)) token_over(instance, index);
  }

  void token_over(Instance& instance, std::size_t index) {
    Strike& strike = instance.strikes[index];
    strike.ready = loop.now();
    if (instance.plan.signal != Signal::TokenHangs) return strike_over(instance, index);
    // Its patience may have ended just before: then its end is seen within the slack.
    after(instance, kHangSlack, [this, &instance, index] {
      if (!instance.strikes[index].exit) strike_over(instance, index);
    });
  }

  void strike_over(Instance& instance, std::size_t index) {
    instance.strikes[index].over = true;
    finish_if_over(instance);
  }

  // By contract (docs/CONFIG.md) a signer whose module does not answer for its patience ends so.
  [[nodiscard]] bool may_end(const Instance& instance, const Strike& strike,
                             const ExitFacts& facts) const {
    return instance.plan.signal == Signal::TokenHangs && strike.send_result == 0 &&
           facts.code == exit_code(ErrorKind::Preflight) &&
           hooks.token_calls(strike.victim, instance.plan.signal, strike.sent,
                             strike.token_back.value_or(loop.now())) > 0;
  }
  [[nodiscard]] bool may_end(const ProcessName& name, const ExitFacts& facts) const {
    for (const Instance& instance : instances) {
      for (const Strike& strike : instance.strikes) {
        if (strike.victim == name && !strike.over && !strike.exit &&
            may_end(instance, strike, facts))
          return true;
      }
    }
    return false;
  }

  void escalate(Instance& instance) {
    for (Strike& strike : instance.strikes) {
      if (strike.over || strike.exit) continue;
      strike.escalated = true;
      supervisor.send_signal(strike.victim, SIGKILL);
    }
  }

  void after(Instance& instance, Duration delay, std::function<void()> action) {
    instance.strike_timers.push_back(std::make_unique<runtime::Timer>(loop, std::move(action)));
    instance.strike_timers.back()->arm(loop.now() + delay);
  }

  void on_exit(const ProcessName& name, const ExitFacts& facts) {
    for (Instance& instance : instances) {
      for (std::size_t i = 0; i < instance.strikes.size(); ++i) {
        Strike& strike = instance.strikes[i];
        if (strike.victim != name || strike.over || strike.exit) continue;
        // A pause asks for no exit: another fault, whose exit this is, met the paused process.
        if (instance.plan.signal == Signal::Stop) {
          strike.over = true;
          finish_if_over(instance);
          continue;
        }
        const bool token = of_token(instance.plan.signal);
        if (token && !may_end(instance, strike, facts)) continue;  // it asked for no such exit
        strike.exit = facts;
        note(instance, name, "reaped");
        if (!token) return recover_after_exit(instance, i);
        strike.ready.reset();
        if (strike.token_back) restart_strike(instance, i);  // else when the token is back
        return;
      }
    }
  }

  void recover_after_exit(Instance& instance, std::size_t index) {
    if (instance.plan.recover.how == RecoverHow::None) {
      lost_ones.insert(instance.strikes[index].victim);
      instance.strikes[index].over = true;
      return finish_if_over(instance);
    }
    recover_later(instance, [this, &instance, index] {
      take_records(instance, instance.strikes[index]);
      restart_strike(instance, index);
    });
  }

  void restart_strike(Instance& instance, std::size_t index) {
    Strike& strike = instance.strikes[index];
    restart(strike.victim);
    strike.restarted = loop.now();
    note(instance, strike.victim, "restarted");
  }

  void recover_later(Instance& instance, std::function<void()> action) {
    const std::uint32_t after_ms = instance.plan.recover.after_ms;
    if (after_ms == kRecoverWhenTold)
      when_told.push_back(std::move(action));
    else
      after(instance, milliseconds(after_ms), std::move(action));
  }

  void take_records(Instance& instance, Strike& strike) {
    const FaultInstance& plan = instance.plan;
    if (!takes_records(plan.recover.how)) return;
    const Status taken = hooks.take_records
                             ? hooks.take_records(strike.victim, plan.recover.how, plan.id)
                             : Status(Error{ErrorKind::Internal, "no way to take records"});
    report("take_records_failed", strike.victim, taken);
    strike.records_taken = taken.ok();
    if (!taken) instance.why_not = "its records were not taken: " + taken.error().message;
  }

  // Quarantined: it is not on its way back any more, and down for good.
  void on_quarantined(const ProcessName& name) {
    for (Instance& instance : instances) {
      for (Strike& strike : instance.strikes) {
        if (strike.victim != name || !strike.restarted || strike.over) continue;
        strike.over = true;
        note(instance, name, "quarantined");
        finish_if_over(instance);
      }
    }
  }

  void restart(const ProcessName& name) {
    report("restart_failed", name, hooks.restart(name, control_lines(name)));
  }

  void report(const char* event, const ProcessName& name, const Status& status) {
    if (status) return;
    runtime::EventFields fields;
    fields.add("name", name.text()).add("error", status.error().message);
    log.write(event, fields);
  }

  void on_ready(const ProcessName& name) {
    for (Instance& instance : instances) {
      for (std::size_t i = 0; i < instance.strikes.size(); ++i) {
        Strike& strike = instance.strikes[i];
        if (strike.victim != name || strike.ready || strike.over) continue;
        if (strike.token_back && !strike.restarted) token_over(instance, i);
        if (!strike.restarted || strike.ready) continue;
        strike.ready = loop.now();
        strike.over = true;
        note(instance, name, "ready");
        if (name.role == Role::Bitcoind && hooks.note_node_height) 
          hooks.note_node_height(name, "after");
        finish_if_over(instance);
      }
    }
  }

  void on_shutdown_started(const ProcessName& name) {
    for (Instance& instance : instances) {
      for (Strike& strike : instance.strikes) {
        if (strike.victim == name && !strike.over && !strike.exit) strike.shutdown_started = true;
      }
    }
  }

  void on_stop_continue(const ProcessName& name, bool stopped) {
    for (Instance& instance : instances) {
      for (std::size_t i = 0; i < instance.strikes.size(); ++i) {
        Strike& strike = instance.strikes[i];
        if (strike.victim != name || strike.over || instance.plan.signal != Signal::Stop) continue;
        note(instance, name, stopped ? "stopped" : "continued");
        if (stopped)
          on_stopped(instance, i);
        else
          on_continued(instance, strike);
      }
    }
  }

  void on_stopped(Instance& instance, std::size_t index) {
    instance.strikes[index].stopped = true;
    if (instance.plan.recover.how == RecoverHow::None) {
      lost_ones.insert(instance.strikes[index].victim);
      instance.strikes[index].over = true;
      return finish_if_over(instance);
    }
    recover_later(instance, [this, &instance, index] {
      Strike& strike = instance.strikes[index];
      if (strike.over) return;
      supervisor.send_signal(strike.victim, SIGCONT);
    });
  }

  void on_continued(Instance& instance, Strike& strike) {
    strike.continued = true;
    strike.ready = loop.now();
    strike.over = true;
    finish_if_over(instance);
  }

  void finish_if_over(Instance& instance) {
    const bool over = std::all_of(instance.strikes.begin(), instance.strikes.end(),
                                  [](const Strike& s) { return s.over; });
    if (over) instance.phase = Phase::Over;
  }

  // ---- records ----

  void note(const Instance& instance, const ProcessName& name, const char* moment) {
    runtime::EventFields fields;
    fields.add("fault_id", instance.plan.id)
        .add("name", name.text())
        .add("point", instance.plan.point)
        .add("moment", moment);
    log.write("fault", fields);
  }

  Instance* by_id(std::uint32_t id) {
    const auto found = std::find_if(instances.begin(), instances.end(),
                                    [&](const Instance& i) { return i.plan.id == id; });
    return found == instances.end() ? nullptr : &*found;
  }

  std::vector<std::string> control_lines(const ProcessName& name) const {
    std::vector<std::string> lines;
    for (const Instance& instance : instances) {
      if (instance.phase == Phase::Armed && instance.plan.trigger_process == name)
        lines.push_back(arm_line(instance));
    }
    return lines;
  }

  [[nodiscard]] json record(const Instance& instance, const ProcessName& victim,
                            const Strike* strike) const {
    const FaultInstance& plan = instance.plan;
    json line{{"fault_id", plan.id},
              {"rule", plan.rule},
              {"role", role_name(victim.role)},
              {"trigger", trigger_kind(instance)},
              {"point", plan.point},
              {"occurrence", plan.occurrence},
              {"trigger_process",
               plan.trigger_process ? json(plan.trigger_process->text()) : json(nullptr)},
              {"victim", victim.text()},
              {"pid", strike != nullptr && strike->pid ? json(*strike->pid) : json(nullptr)},
              {"signal", signal_name(plan.signal)},
              {"recover", recover_name(plan.recover.how)},
              {"over_budget", plan.over_budget},
              {"fired", strike != nullptr && strike->send_result == 0},
              {"hit", nullptr},
              {"proof", nullptr},
              {"proven", strike != nullptr && strike_proven(instance, *strike)},
              {"restarted_us", nullptr},
              {"ready_us", nullptr},
              {"why_not", instance.why_not}};
    if (instance.hit)
      line["hit"] = {{"t_us", instance.hit->at.us},
                     {"sequence", instance.hit->sequence},
                     {"occurrence", instance.hit->occurrence}};
    if (strike == nullptr) return line;
    line["proof"] = proof(*strike);
    line["restarted_us"] = micros(strike->restarted);
    line["ready_us"] = micros(strike->ready);
    return line;
  }

  static json proof(const Strike& strike) {
    json out{{"send_result", strike.send_result},
             {"sent_us", strike.sent.us},
             {"wtermsig", nullptr},
             {"exit_code", nullptr},
             {"stopped", strike.stopped},
             {"continued", strike.continued},
             {"shutdown_started", strike.shutdown_started},
             {"escalated", strike.escalated},
             {"reaped_us", nullptr}};
    if (strike.token_back) {
      out["token_calls"] = strike.token_calls;
      out["token_back_us"] = strike.token_back->us;
    }
    if (!strike.exit) return out;
    out["reaped_us"] = strike.exit->at.us;
    if (strike.exit->signal) out["wtermsig"] = *strike.exit->signal;
    if (strike.exit->code) out["exit_code"] = *strike.exit->code;
    return out;
  }

  [[nodiscard]] const char* trigger_kind(const Instance& instance) const {
    if (instance.plan.rule >= experiment.faults.size())  // struck outside the schedule
      return is_timed(instance.plan) ? "at_ms" : "point";
    const Trigger& trigger = experiment.faults[instance.plan.rule].trigger;
    if (std::holds_alternative<PointTrigger>(trigger)) return "point";
    if (std::holds_alternative<AtTrigger>(trigger)) return "at_ms";
    if (std::holds_alternative<EveryTrigger>(trigger)) return "every_ms";
    return "roulette";
  }
};

FaultEngine::FaultEngine(runtime::EventLoop& loop, runtime::EventLog& log, Supervisor& supervisor,
                         const Experiment& experiment, const Schedule& schedule, Hooks hooks)
    : state_(std::make_unique<State>(loop, log, supervisor, experiment, std::move(hooks))) {
  for (const FaultInstance& plan : schedule.instances) {
    Instance instance;
    instance.plan = plan;
    instance.remaining = plan.occurrence;
    state_->instances.push_back(std::move(instance));
  }
}

FaultEngine::~FaultEngine() = default;

void FaultEngine::begin(Instant began) {
  state_->keep_old_records();
  for (Instance& instance : state_->instances) {
    state_->schedule(instance, began + milliseconds(instance.plan.at_ms.value_or(0)));
  }
}

std::vector<std::string> FaultEngine::control_lines(ProcessName name) const {
  return state_->control_lines(name);
}
bool FaultEngine::may_end(ProcessName name, const ExitFacts& facts) const {
  return state_->may_end(name, facts);
}
void FaultEngine::on_exit(ProcessName name, const ExitFacts& facts) {
  state_->on_exit(name, facts);
}
void FaultEngine::on_hit(ProcessName name, const HitFacts& facts) {
  state_->on_hit(name, facts);
}
void FaultEngine::on_seen(ProcessName, std::uint32_t arm_id) {
  state_->on_seen(arm_id);
}
void FaultEngine::on_ready(ProcessName name, bool ready, const std::string& reason) {
  if (ready) return state_->on_ready(name);
  if (wire::quarantine_name(reason)) state_->on_quarantined(name);
}
void FaultEngine::on_event(ProcessName name, const std::string& event) {
  if (event == "shutdown_started") state_->on_shutdown_started(name);
}
void FaultEngine::on_stop_continue(ProcessName name, bool stopped) {
  state_->on_stop_continue(name, stopped);
}

void FaultEngine::strike(const FaultInstance& plan, const std::optional<HitFacts>& hit) {
  Instance& instance = state_->instances.emplace_back();
  instance.plan = plan;
  state_->unscheduled.push_back(plan);
  if (hit)
    state_->strike_at(instance, *plan.trigger_process, *hit);
  else
    state_->strike_all(instance);
}

std::vector<FaultInstance> FaultEngine::unscheduled() const {
  return state_->unscheduled;
}

void FaultEngine::recover_now() {
  const auto actions = std::exchange(state_->when_told, {});
  for (const auto& action : actions) action();
}

bool FaultEngine::proven(std::uint32_t fault_id) const {
  const Instance* instance = state_->by_id(fault_id);
  return instance != nullptr && !instance->strikes.empty() &&
         std::all_of(instance->strikes.begin(), instance->strikes.end(),
                     [&](const Strike& s) { return strike_proven(*instance, s); });
}

void FaultEngine::end() {
  state_->ended = true;
  for (Instance& instance : state_->instances) {
    if (instance.phase == Phase::Armed) {
      state_->supervisor.write_control(*instance.plan.trigger_process,
                                       "disarm " + std::to_string(instance.plan.id));
    }
    if (instance.phase == Phase::Waiting || instance.phase == Phase::Armed) {
      instance.timer.reset();
      instance.phase = Phase::Over;
    }
  }
}

bool FaultEngine::settled() const {
  return std::all_of(state_->instances.begin(), state_->instances.end(),
                     [](const Instance& i) { return i.phase == Phase::Over; });
}

std::vector<ProcessName> FaultEngine::lost() const {
  return {state_->lost_ones.begin(), state_->lost_ones.end()};
}

std::size_t FaultEngine::fired() const {
  std::size_t n = 0;
  for (const Instance& instance : state_->instances) {
    for (const Strike& strike : instance.strikes) n += strike.send_result == 0 ? 1 : 0;
  }
  return n;
}

std::vector<std::string> FaultEngine::records() const {
  std::vector<std::string> lines{R"({"format":"roulette-faults","version":1})"};
  for (const Instance& instance : state_->instances) {
    if (instance.strikes.empty()) {
      for (const ProcessName& victim : instance.plan.victims)
        lines.push_back(state_->record(instance, victim, nullptr).dump());
    }
    for (const Strike& strike : instance.strikes)
      lines.push_back(state_->record(instance, strike.victim, &strike).dump());
  }
  return lines;
}

}  // namespace roulette::chaos
