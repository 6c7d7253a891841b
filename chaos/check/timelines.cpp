// Timelines of processes from the tool's events: see timelines.h.
#include "chaos/check/timelines.h"

#include <algorithm>

#include "chaos/check/checkers.h"
#include "chaos/check/token_faults.h"
#include "chaos/plan/cluster_shape.h"
#include "common/wire/messages.h"

namespace roulette::check {
namespace {

// SIGCONT takes effect before the tool has seen it do so (it polls, on a busy machine).
constexpr std::int64_t kContinueSlackUs = 250'000;

// One change of one process, in the order the tool wrote them.
struct Turn {
  std::int64_t t_us = 0;
  std::uint32_t line = 0;
  std::string name;
  bool up = false;
  std::int64_t slack_us = 0;
};

void in_order(std::vector<Turn>& turns) {
  std::stable_sort(turns.begin(), turns.end(), [](const Turn& a, const Turn& b) {
    return a.t_us != b.t_us ? a.t_us < b.t_us : a.line < b.line;
  });
}

bool ends_life(const std::string& why) {
  return why.starts_with("SIG") || why == "exited" || why.starts_with("stands still");
}

// The tool took its token away just then.
bool token_taken(const History& history, const UpDown& e) {
  return std::any_of(history.faults.begin(), history.faults.end(), [&](const FaultRecord& fault) {
    return fault.victim == e.name && fault.token_back_us && fault.signal == e.why &&
           fault.sent_us <= e.t_us && e.t_us <= *fault.token_back_us;
  });
}

// When a signer whose key lies in a token provably could not sign: from the first call that the
// token's own record says met the fault until the tool gave the token back. A slow one signs on.
std::optional<Interval> without_key(const History& history, const FaultRecord& fault) {
  if (!chaos::key_in_token(history.experiment.cluster) ||
      token_fault(fault.signal) == chaos::Signal::TokenSlow)
    return std::nullopt;
  const auto calls = calls_met(history, fault);
  if (calls.empty()) return std::nullopt;
  return Interval{calls.front()->t_us, *fault.token_back_us};
}

// It ended meanwhile: then it is gone until it is started again.
bool ended_within(const History& history, const std::string& name, Interval within) {
  const auto& exits = history.events.exited;
  return std::any_of(exits.begin(), exits.end(), [&](const Exited& e) {
    return e.name == name && within.contains(e.t_us, e.t_us);
  });
}

// A signer may call itself quarantined only when a fault took its records, and keyless only while
// one took its token.
bool excused(const History& history, const UpDown& e) {
  if (token_taken(history, e)) return true;
  return wire::quarantine_name(e.why) &&
         std::any_of(history.faults.begin(), history.faults.end(), [&](const FaultRecord& fault) {
           return fault.victim == e.name && fault.restarted_us && *fault.restarted_us <= e.t_us &&
                  (fault.recover == "wiped" || fault.recover == "rolled-back");
         });
}

// Turns into intervals of `up`; what is open at the end stays open.
std::map<std::string, std::vector<Interval>> intervals(const std::vector<Turn>& turns) {
  std::map<std::string, std::vector<Interval>> out;
  std::map<std::string, std::int64_t> since;
  for (const Turn& turn : turns) {
    const auto open = since.find(turn.name);
    if (turn.up && open == since.end()) since.emplace(turn.name, turn.t_us);
    if (turn.up || open == since.end()) continue;
    const std::int64_t end = std::max(open->second, turn.t_us - turn.slack_us);
    if (end > open->second) out[turn.name].push_back({open->second, end});
    since.erase(open);
  }
  for (const auto& [name, from] : since) out[name].push_back({from, kForever});
  return out;
}

std::string role_of(const std::string& name) {
  return name.substr(0, name.find('-'));
}

// Maximal intervals in which `holds(counts)` is true, counts being processes per role that are
// inside an interval.
template <class Holds>
std::vector<Interval> sweep(const std::map<std::string, std::vector<Interval>>& lines,
                            Interval within, const Holds& holds) {
  struct Edge {
    std::int64_t t_us;
    int delta;
    std::string role;
  };
  std::vector<Edge> edges;
  for (const auto& [name, list] : lines) {
    for (const Interval& i : list) {
      edges.push_back({i.from, 1, role_of(name)});
      if (i.to != kForever) edges.push_back({i.to, -1, role_of(name)});
    }
  }
  std::stable_sort(edges.begin(), edges.end(),
                   [](const Edge& a, const Edge& b) { return a.t_us < b.t_us; });
  std::vector<Interval> out;
  std::map<std::string, int> counts;
  bool open = false;
  std::int64_t since = 0;
  const auto close = [&](std::int64_t at) {
    const Interval clipped{std::max(since, within.from), std::min(at, within.to)};
    if (clipped.from < clipped.to) out.push_back(clipped);
    open = false;
  };
  for (std::size_t i = 0; i < edges.size();) {
    const std::int64_t at = edges[i].t_us;
    for (; i < edges.size() && edges[i].t_us == at; ++i) counts[edges[i].role] += edges[i].delta;
    const bool now = holds(counts);
    if (now && !open) since = at;
    open = open || now;
    if (!now && open) close(at);
  }
  if (open) close(kForever);
  return out;
}

bool can_sign(const chaos::ClusterPlan& plan, std::map<std::string, int>& up) {
  const bool log = plan.log != "etcd" || up["etcd"] >= plan.etcd / 2 + 1;
  return up["signer"] >= plan.threshold && up["coordinator"] >= 1 && up["ledger"] >= 1 && log;
}

}  // namespace

Timelines::Timelines(const History& history) {
  build_up(history);
  build_gone(history);
  for (const auto& [name, list] : up_) {
    if (!name.starts_with("etcd-")) continue;
    for (const Interval& i : list) {
      if (i.to != kForever) etcd_losses_.push_back(i.to);
    }
  }
  std::sort(etcd_losses_.begin(), etcd_losses_.end());
}

void Timelines::build_up(const History& history) {
  const Events& events = history.events;
  std::vector<Turn> turns;
  for (const UpDown& e : events.up_down) {
    if (e.up || ends_life(e.why) || excused(history, e))
      turns.push_back({e.t_us, e.at.line, e.name, e.up, 0});
  }
  for (const Exited& e : events.exited) turns.push_back({e.t_us, e.at.line, e.name, false, 0});
  for (const FaultMoment& e : events.moments) {
    if (e.moment == "hit" || e.moment == "sent")
      turns.push_back({e.t_us, e.at.line, e.name, false, 0});
  }
  in_order(turns);
  up_ = intervals(turns);
}

void Timelines::build_gone(const History& history) {
  const Events& events = history.events;
  std::vector<Turn> turns;  // here `up` means: begins to be gone
  const auto signer = [](const std::string& name) { return name.starts_with("signer-"); };
  for (const Exited& e : events.exited) {
    if (signer(e.name)) turns.push_back({e.t_us, e.at.line, e.name, true, 0});
  }
  for (const FaultMoment& e : events.moments) {
    if (signer(e.name) && e.moment == "stopped")
      turns.push_back({e.t_us, e.at.line, e.name, true, 0});
    if (signer(e.name) && e.moment == "continued")
      turns.push_back({e.t_us, e.at.line, e.name, false, kContinueSlackUs});
  }
  for (const UpDown& e : events.up_down) {
    if (signer(e.name) && e.up)
      turns.push_back({e.t_us, e.at.line, e.name, false, kContinueSlackUs});
  }
  for (const Spawned& e : events.spawned) {
    if (signer(e.name)) turns.push_back({e.t_us, e.at.line, e.name, false, 0});
  }
  for (const FaultRecord& fault : history.faults) {
    const auto keyless = without_key(history, fault);
    if (!keyless) continue;
    turns.push_back({keyless->from, fault.at.line, fault.victim, true, 0});
    if (!ended_within(history, fault.victim, *keyless))
      turns.push_back({keyless->to, fault.at.line, fault.victim, false, kContinueSlackUs});
  }
  in_order(turns);
  gone_ = intervals(turns);
}

bool Timelines::up_throughout(const std::string& name, std::int64_t from, std::int64_t to) const {
  const auto found = up_.find(name);
  if (found == up_.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(),
                     [&](const Interval& i) { return i.contains(from, to); });
}

std::size_t Timelines::steady(const std::string& role, std::int64_t from, std::int64_t to) const {
  std::size_t count = 0;
  for (const auto& [name, list] : up_)
    count += role_of(name) == role && up_throughout(name, from, to) ? 1 : 0;
  return count;
}

std::vector<Interval> Timelines::quorate(const chaos::ClusterPlan& plan, Interval within) const {
  return sweep(up_, within, [&](std::map<std::string, int>& up) { return can_sign(plan, up); });
}

std::vector<Interval> Timelines::quorate_with_node(const chaos::ClusterPlan& plan,
                                                   Interval within) const {
  return sweep(up_, within, [&](std::map<std::string, int>& up) {
    return can_sign(plan, up) && up["bitcoind"] >= 1;
  });
}

std::vector<Interval> Timelines::quorum_lost(const chaos::ClusterPlan& plan,
                                             Interval within) const {
  return sweep(gone_, within, [&](std::map<std::string, int>& gone) {
    return gone["signer"] > plan.signers - plan.threshold;
  });
}

std::optional<Interval> Phases::load_and_drain() const {
  if (!undisturbed) return std::nullopt;
  return Interval{*undisturbed, settle.value_or(kForever)};
}

Phases phases_of(const Events& events) {
  Phases out;
  for (const Phase& phase : events.phases) {
    if (phase.name == "undisturbed" && !out.undisturbed) out.undisturbed = phase.t_us;
    if (phase.name == "disturbed" && !out.disturbed) out.disturbed = phase.t_us;
    if (phase.name == "drain" && !out.drain) out.drain = phase.t_us;
    if (phase.name == "settle" && !out.settle) out.settle = phase.t_us;
  }
  return out;
}

std::map<std::string, std::int64_t> first_signed(const History& history) {
  std::map<std::string, std::int64_t> out;
  const auto note = [&](const std::string& id, std::int64_t t_us) {
    const auto [found, first] = out.emplace(id, t_us);
    if (!first) found->second = std::min(found->second, t_us);
  };
  const std::int64_t enough = state_rank("signed");
  for (const SignedApplied& e : history.events.signed_applied) note(e.withdrawal_id, e.t_us);
  for (const BroadcastEvent& e : history.events.broadcasts) note(e.withdrawal_id, e.t_us);
  for (const BroadcastResult& e : history.events.broadcast_results) note(e.withdrawal_id, e.t_us);
  for (const Answered& e : history.events.answers) {
    if (!e.id.empty() && state_rank(e.state) >= enough) note(e.id, e.t_us);
  }
  for (const Operation& op : history.operations) {
    if (op.ok() && !op.id.empty() && state_rank(op.state) >= enough) note(op.id, op.answered_us);
  }
  return out;
}

std::map<std::string, std::string> ids_by_key(const History& history) {
  std::map<std::string, std::string> out;
  for (const Replica& replica : history.replicas) {
    for (const WithdrawalRow& row : replica.withdrawals) out.emplace(row.key, row.withdrawal_id);
  }
  for (const Operation& op : history.operations) {
    if (op.ok() && !op.id.empty() && !op.conflict()) out.emplace(op.key, op.id);
  }
  return out;
}

}  // namespace roulette::check
