// Carrying one cell out: see cell_run.h.
#include "chaos/app/cell_run.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "chaos/live/node.h"

namespace roulette::chaos {
namespace {

constexpr std::size_t kAtOnce = 4;  // withdrawals under way while a point is waited for
constexpr std::size_t kMostPerCell = 48;
constexpr std::size_t kMostUntilTrim = 120;  // two snapshots of 64 entries, some for each payment
constexpr std::size_t kBatch = 8;  // withdrawals over which the passes of a point are counted
constexpr std::uint64_t kNeverReached = 1'000'000'000;
constexpr Duration kHitLimit = seconds(6);
constexpr Duration kTrimLimit = seconds(20);
constexpr Duration kBatchLimit = seconds(10);
constexpr Duration kGoneLimit = seconds(6);  // SIGTERM: the drain, and what escalates it
constexpr Duration kBackLimit = seconds(15);
constexpr Duration kSettleLimit = seconds(15);
constexpr Duration kKnownLimit = seconds(3);
constexpr std::uint32_t kRestartAfterMs = 100;
constexpr Duration kClientRetry = milliseconds(600);  // a client gives up and asks elsewhere
constexpr Duration kEtcdLoss = milliseconds(1500);    // DESIGN 9: after an etcd kill
// As safe-refusal counts (chaos/check/refusal.cpp): detection, then half a second of refusing.
constexpr Duration kDetection = seconds(1);
constexpr Duration kRefusing = milliseconds(600);
constexpr Duration kAnswered = seconds(2);  // at most, besides

std::string names_of(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

Signal signal_of(CellBlow blow) {
  switch (blow) {
    case CellBlow::Term: return Signal::Term;
    case CellBlow::Kill:
    case CellBlow::Remove: return Signal::Kill;
    case CellBlow::Pause: return Signal::Stop;
  }
  return Signal::Kill;
}

}  // namespace

CellRun::CellRun(MatrixCluster& cluster, const Cell& cell)
    : c_(cluster),
      cell_(cell),
      supervisor_(*cluster.session().supervisor),
      payments_(cluster.session().loop, cluster.load(), supervisor_,
                cluster.plan().coordinators) {
  arm_id_ = c_.next_fault_id();
  c_.session().on_hit = [this](ProcessName name, const HitFacts& facts) {
    return on_hit(name, facts);
  };
  c_.more_control_lines = [this](ProcessName name) {
    std::vector<std::string> lines;
    if (armed_at_start_ == name && !hit_)
      lines.push_back("arm " + std::to_string(arm_id_) + " " + cell_.point.point + " " +
                      std::to_string(remaining_));
    return lines;
  };
}

CellRun::~CellRun() {
  c_.session().on_hit = {};
  c_.session().on_seen = {};
  c_.more_control_lines = {};
}

CellResult CellRun::execute() {
  CellResult result = result_of(cell_);
  const Instant began = c_.session().loop.now();
  note("begin");
  const auto end = [&](CellStatus status, const std::string& reason) {
    leave_no_trace();
    result.status = status;
    result.reason = reason;
    if (status == CellStatus::Exercised && !c_.faults().proven(fault_id_)) {
      result.status = CellStatus::Unproven;
      result.reason = "the blow has no proof of its kind (faults.ndjson, fault " +
                      std::to_string(fault_id_) + ")";
    }
    for (const ProcessName& name : victims_) result.struck.push_back(name.text());
    result.fault_id = fault_id_;
    result.took_ms = static_cast<double>((c_.session().loop.now() - began).us) / 1000;
    note("end");
    return result;
  };
  if (const Trouble why = reach_point()) return end(CellStatus::Unreachable, *why);
  if (const Trouble why = choose_victims()) return end(CellStatus::Unreachable, *why);
  strike();
  if (const Trouble why = outcome()) return end(CellStatus::Failed, *why);
  return end(CellStatus::Exercised, "");
}

// ---- the point ----

void CellRun::arm(const ProcessName& name, std::uint64_t remaining) {
  armed_.insert(name);
  supervisor_.write_control(name, "arm " + std::to_string(arm_id_) + " " + cell_.point.point +
                                      " " + std::to_string(remaining));
}

void CellRun::disarm_all() {
  for (const ProcessName& name : armed_) {
    if (name != trigger_ && supervisor_.pid(name))
      supervisor_.write_control(name, "disarm " + std::to_string(arm_id_));
  }
  armed_.clear();
  armed_at_start_.reset();
}

// The first that passes is the one; who comes second goes on at once.
bool CellRun::on_hit(const ProcessName& name, const HitFacts& facts) {
  if (facts.arm_id != arm_id_) return false;
  if (!hit_ && armed_.contains(name)) {
    hit_ = facts;
    trigger_ = name;
    disarm_all();
    return true;
  }
  supervisor_.write_control(name, "release " + std::to_string(facts.sequence));
  supervisor_.mark_released(name);
  return true;
}

CellRun::Trouble CellRun::reach_point() {
  if (cell_.provocation == Provocation::Clock) {
    payments_.feed(kAtOnce, kMostPerCell);
    if (!c_.wait([&] { return payments_.made() >= kAtOnce && !payments_.all_signed(); },
                 kHitLimit))
      return "no withdrawal was outstanding";
    return {};
  }
  if (cell_.occurrence != CellOccurrence::First) {
    if (const Trouble why = measure_passes(arm_id_)) return why;
    arm_id_ = c_.next_fault_id();
    arm(*trigger_, remaining_);
    trigger_.reset();
  }
  if (const Trouble why = provoke()) return why;
  const bool grows = cell_.provocation == Provocation::Snapshot;
  payments_.feed(kAtOnce, grows ? kMostUntilTrim : kMostPerCell);
  Instant again = c_.session().loop.now() + milliseconds(200);
  const bool reached = c_.wait(
      [&] {
        if (!hit_ && cell_.provocation == Provocation::Request &&
            c_.session().loop.now() >= again) {
          c_.stranger()->ask(cell_.point.role);
          again = again + milliseconds(200);
        }
        return hit_.has_value();
      },
      grows ? kTrimLimit : kHitLimit);
  if (reached) return {};
  disarm_all();
  return "the point was not passed within " + std::to_string(kHitLimit.us / 1'000'000) +
         " s, provoked by " + std::string(provocation_name(cell_.provocation)) + ", over " +
         std::to_string(payments_.made()) + " withdrawals";
}

// How often each process passes the point while a batch of withdrawals is signed: the middle and
// the last pass of such a batch are what the cell is about. The batch after this one is another,
// so the load goes on until the pass comes.
CellRun::Trouble CellRun::measure_passes(std::uint64_t arm_id) {
  std::map<ProcessName, std::uint64_t> passes;
  c_.session().on_seen = [&passes, arm_id](ProcessName name, std::uint32_t id) {
    if (id != arm_id) return false;
    ++passes[name];
    return true;
  };
  for (const ProcessName& name : c_.alive(cell_.point.role)) arm(name, kNeverReached);
  payments_.feed(kAtOnce, kBatch);
  const bool signed_in_time =
      c_.wait([&] { return payments_.made() == kBatch && payments_.all_signed(); }, kBatchLimit);
  payments_.stop_feeding();
  disarm_all();
  c_.session().on_seen = {};
  if (!signed_in_time) return "a batch of withdrawals was not signed in time";
  std::uint64_t most = 0;
  for (const auto& [name, count] : passes) {
    if (count <= most) continue;
    most = count;
    trigger_ = name;
  }
  if (most < 2)
    return "the point was passed " + std::to_string(most) + " times over " +
           std::to_string(kBatch) + " withdrawals: it has no middle and no last pass";
  remaining_ = cell_.occurrence == CellOccurrence::Last ? most : (most + 1) / 2;
  return {};
}

CellRun::Trouble CellRun::provoke() {
  const auto arm_running = [this] {
    if (cell_.occurrence != CellOccurrence::First) return;  // armed already, at one
    for (const ProcessName& name : c_.alive(cell_.point.role)) arm(name, 1);
  };
  switch (cell_.provocation) {
    case Provocation::Payments:
      arm_running();
      return {};
    case Provocation::Block:
      arm_running();
      return c_.mine(1) ? Trouble{} : Trouble{"no block could be mined"};
    case Provocation::Reorganisation: {
      arm_running();
      Node& node = c_.session().cluster->node();
      const auto tip = node.wait("getbestblockhash", nlohmann::json::array(), seconds(5));
      if (!tip) return "the node's tip: " + tip.error().message;
      const auto gone = node.wait("invalidateblock", nlohmann::json::array({*tip}), seconds(5));
      if (!gone) return "invalidateblock: " + gone.error().message;
      return {};
    }
    case Provocation::Request:
      return ask_as_stranger();
    case Provocation::Restart: {
      const std::vector<ProcessName> all = c_.alive(cell_.point.role);
      return restart(all.at(c_.prng().below(all.size())));
    }
    case Provocation::SignerRestart: {
      arm_running();
      const std::vector<ProcessName> all = c_.alive(Role::Signer);
      return restart(all.at(c_.prng().below(all.size())));
    }
    case Provocation::FirstStart: {
      if (!matrix_scheme(c_.plan()).spare)
        return "where all signers sign, a cluster without one that never ran pays nothing";
      if (c_.unstarted().empty()) return "every signer of this cluster has been started before";
      const ProcessName name = *c_.unstarted().rbegin();
      armed_.insert(name);
      armed_at_start_ = name;
      const Status started = c_.start_process(name);
      return started ? Trouble{} : Trouble{started.error().message};
    }
    case Provocation::Reprovision:
      return "passed only by a start under a new share epoch, which no cluster of a matrix has";
    case Provocation::Snapshot:
      arm_running();
      return {};
    case Provocation::SnapshotRestart: {
      if (const Trouble why = grow_log()) return why;
      const std::vector<ProcessName> all = c_.alive(cell_.point.role);
      return restart(all.at(c_.prng().below(all.size())));
    }
    case Provocation::Clock:
      return {};
  }
  return {};
}

// Until this life's log was trimmed, by what the replicas told.
CellRun::Trouble CellRun::grow_log() {
  payments_.feed(kAtOnce, kMostUntilTrim);
  const bool trimmed = c_.wait(
      [&] {
        c_.watch().read();
        return c_.watch().trimmed();
      },
      kTrimLimit);
  payments_.stop_feeding();
  return trimmed ? Trouble{} : Trouble{"the log was not trimmed"};
}

// A kill of its own, recorded like any other fault.
CellRun::Trouble CellRun::restart(ProcessName name) {
  if (name.role == cell_.point.role) {
    armed_.insert(name);
    armed_at_start_ = name;
  }
  FaultInstance kill;
  kill.id = provocation_id_ = c_.next_fault_id();
  kill.victims = {name};
  kill.point = std::string(role_name(name.role)) + ".process.at_time";
  kill.signal = Signal::Kill;
  kill.recover = {RecoverHow::Restart, 0};
  kill.over_budget = true;
  c_.faults().strike(kill, std::nullopt);
  return {};
}

CellRun::Trouble CellRun::ask_as_stranger() {
  Stranger* stranger = c_.stranger();
  if (stranger == nullptr) return "the tool could not open its own end of the protocol";
  const Role role = cell_.point.role;
  const std::size_t wanted = c_.alive(role).size();
  if (!c_.wait([&] { return stranger->connected(role) >= wanted; }, kBackLimit))
    return "the tool reached " + std::to_string(stranger->connected(role)) + " of " +
           std::to_string(wanted) + " processes";
  for (const ProcessName& name : c_.alive(cell_.point.role)) arm(name, 1);
  stranger->ask(cell_.point.role);
  return {};
}

// ---- the blow ----

// `count` of `from`, none of them chosen before, drawn.
void CellRun::draw_others(std::vector<ProcessName> from, std::size_t count) {
  std::erase_if(from, [&](const ProcessName& name) {
    return std::count(victims_.begin(), victims_.end(), name) > 0;
  });
  for (; count > 0 && !from.empty(); --count) {
    const std::size_t i = c_.prng().below(from.size());
    victims_.push_back(from[i]);
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

CellRun::Trouble CellRun::choose_victims() {
  c_.watch().read();
  const std::vector<ProcessName> all = c_.alive(cell_.point.role);
  const ClusterPlan& plan = c_.plan();
  std::size_t wanted = 1;
  const auto first = [&] {
    if (trigger_)
      victims_.push_back(*trigger_);
    else
      draw_others(all, 1);
  };
  std::vector<ProcessName> others = all;
  std::erase_if(others, [&](const ProcessName& name) { return name == trigger_; });
  switch (cell_.victims) {
    case CellVictims::SignerInSession:
      if (!trigger_) {
        std::vector<ProcessName> inside;
        for (const std::uint16_t id : c_.watch().latest()) inside.push_back({Role::Signer, id});
        draw_others(inside, 1);
      }
      if (victims_.empty()) first();
      break;
    case CellVictims::SignerOutside: {
      const std::set<std::uint16_t> session =
          trigger_ ? c_.watch().session_of(trigger_->index) : c_.watch().latest();
      std::erase_if(others, [&](const ProcessName& n) { return session.contains(n.index); });
      draw_others(others, 1);
      break;
    }
    case CellVictims::SignersSpare:
    case CellVictims::SignersTooMany:
      first();
      wanted = plan.signers - plan.threshold + (cell_.victims == CellVictims::SignersTooMany);
      // Who has not been started yet is away already.
      wanted -= std::min(wanted - 1, c_.unstarted().size());
      draw_others(others, wanted - victims_.size());
      break;
    case CellVictims::CoordinatorAtWork:
    case CellVictims::LedgerAsked:
      first();
      break;
    case CellVictims::CoordinatorOther:
    case CellVictims::LedgerAnother:
      draw_others(others, 1);
      break;
    case CellVictims::EtcdLeader:
    case CellVictims::EtcdFollower: {
      const auto leader = c_.session().cluster->etcd_leader();
      if (!leader) return "no etcd member said that it leads";
      std::erase(others, *leader);
      if (cell_.victims == CellVictims::EtcdLeader)
        victims_.push_back(*leader);
      else
        draw_others(others, 1);
      break;
    }
    case CellVictims::Node:
      victims_ = all;
      break;
  }
  if (victims_.size() == wanted) return {};
  return std::to_string(victims_.size()) + " victims of " + std::to_string(wanted) +
         " were to be had";
}

bool CellRun::held() const {
  return cell_.blow == CellBlow::Pause || cell_.blow == CellBlow::Remove ||
         cell_.expected != CellExpectation::Progress;
}

void CellRun::strike() {
  // Whatever the load was doing: two withdrawals are outstanding at the blow.
  for (std::size_t i = 0; i < c_.plan().coordinators; ++i)
    payments_.request(i);
  payments_.stop_feeding();
  outstanding_ = payments_.unsigned_ones();
  FaultInstance blow;
  blow.id = fault_id_ = trigger_ ? arm_id_ : c_.next_fault_id();
  blow.victims = victims_;
  blow.point = cell_.point.point;
  blow.trigger_process = trigger_;
  blow.occurrence = static_cast<std::uint32_t>(remaining_);
  blow.signal = signal_of(cell_.blow);
  blow.recover.how = cell_.blow == CellBlow::Pause ? RecoverHow::Continue : RecoverHow::Restart;
  blow.recover.after_ms = held() ? kRecoverWhenTold : kRestartAfterMs;
  blow.over_budget = true;
  c_.faults().strike(blow, hit_);
}

bool CellRun::gone(const ProcessName& name) const {
  return supervisor_.state(name) == ProcessState::Paused || !supervisor_.pid(name);
}

// ---- what the others do ----

CellRun::Trouble CellRun::outcome() {
  const Instant struck = c_.session().loop.now();
  const auto all_gone = [&] {
    return std::all_of(victims_.begin(), victims_.end(),
                       [&](const ProcessName& name) { return gone(name); });
  };
  if (held() && !c_.wait(all_gone, kGoneLimit)) return "not every victim ended or stopped";
  switch (cell_.expected) {
    case CellExpectation::Progress:
      if (!held()) c_.pause(milliseconds(20));  // the new ones are sent after the blow has struck
      for (std::size_t i = 0; i < c_.plan().coordinators; ++i)
        fresh_.push_back(payments_.request(i));
      return progress(struck, "after the blow");
    case CellExpectation::Refusal:
      return refusal();
    case CellExpectation::Down: {
      c_.pause(kDetection);
      if (!bring_back()) return "not every victim came back";
      return progress(c_.session().loop.now(), "after the victims were back");
    }
    case CellExpectation::Quarantine:
      return "nobody taught the matrix how to see a quarantine";
  }
  return {};
}

CellRun::Trouble CellRun::progress(Instant since, const std::string& when) {
  Duration limit = c_.bound() + kClientRetry;
  if (cell_.point.role == Role::Etcd) limit = limit + kEtcdLoss;
  std::vector<std::size_t> wanted = outstanding_;
  wanted.insert(wanted.end(), fresh_.begin(), fresh_.end());
  const Duration left = since + limit - c_.session().loop.now();
  if (c_.wait([&] { return payments_.signed_all(wanted); }, left)) return {};
  std::vector<std::string> late;
  for (const std::size_t number : wanted) {
    const WithdrawalSeen seen = payments_.seen(number);
    if (seen.is_signed()) continue;
    late.push_back(seen.key.substr(0, 8) + " (" +
                   (seen.state.empty() ? "status " + std::to_string(seen.status) + " " +
                                             seen.problem
                                       : seen.state) +
                   ")");
  }
  return std::to_string(late.size()) + " of " + std::to_string(wanted.size()) +
         " withdrawals were not signed within " + std::to_string(limit.us / 1000) + " ms " + when +
         ": " + names_of(late);
}

// New keys are refused, nothing more gets signed; with the victims back, everything goes on.
CellRun::Trouble CellRun::refusal() {
  c_.pause(kDetection);
  const std::size_t before = payments_.unsigned_ones().size();
  for (std::size_t i = 0; i < c_.plan().coordinators; ++i)
    fresh_.push_back(payments_.request(i));
  c_.pause(kRefusing);
  // An answer that a busy machine gives late is an answer.
  (void)c_.wait(
      [&] {
        return std::all_of(fresh_.begin(), fresh_.end(),
                           [&](std::size_t number) { return payments_.seen(number).status != 0; });
      },
      kAnswered);
  std::vector<std::string> wrong;
  for (const std::size_t number : fresh_) {
    const WithdrawalSeen seen = payments_.seen(number);
    if (seen.acknowledged || seen.status != 503 ||
        seen.problem.find("quorum-lost") == std::string::npos)
      wrong.push_back(seen.key.substr(0, 8) + " (status " + std::to_string(seen.status) + " " +
                      seen.problem + ")");
  }
  const std::size_t after = payments_.unsigned_ones().size();
  if (!wrong.empty()) return "a new key was not refused with 503 quorum-lost: " + names_of(wrong);
  if (after < before + fresh_.size()) return "a withdrawal was signed without a quorum";
  if (!bring_back()) return "not every victim came back";
  return progress(c_.session().loop.now(), "after the victims were back");
}

// ---- no trace ----

bool CellRun::everyone_serves() const {
  const auto all = supervisor_.all();
  return std::all_of(all.begin(), all.end(), [&](const ProcessName& name) {
    return c_.unstarted().contains(name) || supervisor_.serving(name);
  });
}

bool CellRun::bring_back() {
  c_.faults().recover_now();
  return c_.wait([&] { return c_.faults().settled() && everyone_serves(); }, kBackLimit);
}

void CellRun::leave_no_trace() {
  payments_.stop_feeding();
  disarm_all();
  if (hit_ && fault_id_ == 0) {  // a hit that found no victims: nobody else releases it
    supervisor_.write_control(*trigger_, "release " + std::to_string(hit_->sequence));
    supervisor_.mark_released(*trigger_);
  }
  const std::size_t signers = c_.plan().signers - c_.unstarted().size();
  const auto known = [&] {
    c_.watch().read();
    return c_.watch().all_know(signers);
  };
  clean_ = bring_back() && c_.wait([&] { return payments_.all_broadcast(); }, kSettleLimit) &&
           c_.settle(kSettleLimit) && c_.wait(known, kKnownLimit);
}

void CellRun::note(const char* moment) {
  runtime::EventFields fields;
  fields.add("cell", cell_.id()).add("moment", moment).add("arm_id", arm_id_);
  c_.session().log->write("cell", fields);
}

}  // namespace roulette::chaos
