// Records that cannot be there without another one: see told.h.
#include "chaos/check/told.h"

#include <algorithm>
#include <map>
#include <set>

#include "common/base/limits.h"

namespace roulette::check {
namespace {

bool same_words(const Operation& op, const Answered& told) {
  return told.status == op.status && told.id == op.id && told.state == op.state &&
         told.txid == op.txid;
}

std::uint64_t last_checkpoint(std::uint64_t index) {
  return index - index % limits::kCheckpointInterval;
}

// The checkpoints of one replica, life by life.
class Checkpoints {
 public:
  Checkpoints(const History& history, const std::string& name) {
    for (const DigestEvent& e : history.events.digests) {
      if (e.process != name) continue;
      // Of an index that it passed before.
      if (e.event == "snapshot_ordered" || e.event == "snapshot_stored") continue;
      if (e.event == "checkpoint") told_.insert(e.index);
      if (e.event == "snapshot_loaded") loaded_ = std::max(loaded_, e.index);
      if (e.event == "end_of_run_applied") end_ = &e;
      lives_[e.boot].push_back(&e);
    }
    for (const Lifecycle& e : history.events.lifecycle) {
      if (e.process == name && e.event == "started") last_start_us_ = e.t_us;
    }
  }

  // Between two digests of one life no checkpoint is left out; `due` was told by others at
  // `due_since_us`, and whoever lived on since then passed it, too.
  void check(const std::string& name, std::uint64_t due, std::int64_t due_since_us,
             Findings& out) const {
    for (const auto& [boot, told] : lives_) {
      for (std::size_t i = 1; i < told.size(); ++i) {
        const std::uint64_t next =
            last_checkpoint(told[i - 1]->index) + limits::kCheckpointInterval;
        if (told[i]->index <= next) continue;
        if (told[i]->event == "snapshot_loaded") continue;  // it passed none on its way there
        out.violation(told[i]->at, name + " told a digest at " + std::to_string(told[i]->index) +
                                       ", but none at its checkpoint " + std::to_string(next));
      }
    }
    if (end_ == nullptr || end_->index < due || due == 0) return;
    if (told_.contains(due) || last_start_us_ > due_since_us || loaded_ >= due) return;
    out.violation(end_->at, name + " applied " + std::to_string(end_->index) +
                                " and never told its digest at checkpoint " + std::to_string(due));
  }

 private:
  std::map<std::string, std::vector<const DigestEvent*>> lives_;  // by boot, in time
  std::set<std::uint64_t> told_;
  std::uint64_t loaded_ = 0;  // the latest snapshot that it started from
  const DigestEvent* end_ = nullptr;
  std::int64_t last_start_us_ = 0;
};

}  // namespace

void check_answers_told(const History& history, Findings& out) {
  std::map<std::string, std::vector<const Answered*>> told;  // by coordinator, in time
  for (const Answered& e : history.events.answers) told[e.process].push_back(&e);
  std::set<const Answered*> used;
  std::vector<const Operation*> answered;
  for (const Operation& op : history.operations) {
    if (op.answered && op.status != 0) answered.push_back(&op);
  }
  // The earliest answer takes the earliest telling that fits: then no later one lacks its own.
  std::stable_sort(answered.begin(), answered.end(), [](const Operation* a, const Operation* b) {
    return a->answered_us < b->answered_us;
  });
  for (const Operation* op : answered) {
    const auto& list = told[op->coordinator];
    const auto from = std::lower_bound(
        list.begin(), list.end(), op->invoked_us,
        [](const Answered* e, std::int64_t t_us) { return e->t_us < t_us; });
    const auto found = std::find_if(from, list.end(), [&](const Answered* e) {
      return e->t_us > op->answered_us || (same_words(*op, *e) && !used.contains(e));
    });
    if (found != list.end() && (*found)->t_us <= op->answered_us) {
      used.insert(*found);
      continue;
    }
    out.violation(op->answer_at, "op " + std::to_string(op->op) + " was answered with " +
                                     std::to_string(op->status) + ", but " + op->coordinator +
                                     " told no such answer");
  }
}

void check_requests_told(const History& history, Findings& out) {
  std::set<std::pair<std::string, std::uint64_t>> received, answered;  // boot, request
  for (const RequestReceived& e : history.events.requests) received.emplace(e.boot, e.request);
  for (const Answered& e : history.events.answers) {
    if (!answered.emplace(e.boot, e.request).second)
      out.violation(e.at, e.process + " answered request " + std::to_string(e.request) + " twice");
    if (received.contains({e.boot, e.request})) continue;
    out.violation(e.at, e.process + " answered request " + std::to_string(e.request) +
                            ", which it never told to have got");
  }
}

void check_checkpoints_told(const History& history, Findings& out) {
  std::uint64_t end = 0;
  std::map<std::uint64_t, std::int64_t> first_told;  // checkpoint -> when
  for (const DigestEvent& e : history.events.digests) {
    if (e.event == "checkpoint") first_told.emplace(e.index, e.t_us);
    if (e.event == "end_of_run_applied") end = std::max(end, e.index);
  }
  for (std::uint64_t due = limits::kCheckpointInterval; due <= end;
       due += limits::kCheckpointInterval) {
    if (!first_told.contains(due))
      out.violation("no replica told its digest at checkpoint " + std::to_string(due));
  }
  const std::uint64_t due = last_checkpoint(end);
  const auto since = first_told.find(due);
  if (since == first_told.end()) return;
  for (const Replica& replica : history.replicas)
    Checkpoints(history, replica.name).check(replica.name, due, since->second, out);
}

std::string untold_moment(const History& history, const FaultRecord& fault) {
  constexpr std::int64_t kSlackUs = 250'000;  // between what happened and its line
  const auto near = [&](const EventHead& e, std::int64_t t_us) {
    return e.t_us >= t_us - kSlackUs && e.t_us <= t_us + kSlackUs;
  };
  const auto moment = [&](const char* name, std::int64_t t_us) {
    const auto& all = history.events.moments;
    return std::any_of(all.begin(), all.end(), [&](const FaultMoment& e) {
      return e.fault_id == fault.fault_id && e.name == fault.victim && e.moment == name &&
             near(e, t_us);
    });
  };
  if (!moment("sent", fault.sent_us)) return "the tool's log tells no signal at that time";
  if (fault.restarted_us && !moment("restarted", *fault.restarted_us))
    return "the tool's log tells no restart at that time";
  if (fault.token_back_us && !moment("token_back", *fault.token_back_us))
    return "the tool's log tells no return of its token at that time";
  const auto& exits = history.events.exited;
  if (fault.reaped_us && std::none_of(exits.begin(), exits.end(), [&](const Exited& e) {
        return e.name == fault.victim && near(e, *fault.reaped_us) &&
               e.signal == fault.wtermsig.value_or(0) && e.code == fault.exit_code.value_or(-1);
      }))
    return "the tool's log tells no such end of its victim at that time";
  const auto& ups = history.events.up_down;
  if (fault.ready_us && std::none_of(ups.begin(), ups.end(), [&](const UpDown& e) {
        return e.up && e.name == fault.victim && near(e, *fault.ready_us);
      }))
    return "the tool's log tells no return of its victim at that time";
  return "";
}

void check_planned(const History& history, Findings& out) {
  std::map<std::string, std::string> planned;  // withdrawal -> txid
  for (const WithdrawalRow& row : history.reference()->withdrawals)
    planned.emplace(row.withdrawal_id, row.txid);
  const auto check = [&](const auto& e, const char* did) {
    const auto found = planned.find(e.withdrawal_id);
    if (found != planned.end() && found->second == e.txid) return;
    out.violation(e.at, e.process + " " + did + " withdrawal " + e.withdrawal_id +
                            " with transaction " + e.txid + ", which the ledger did not plan");
  };
  for (const SessionOpened& e : history.events.opened) check(e, "opened a session for");
  for (const ShareEvent& e : history.events.released) check(e, "released a share for");
  for (const ShareEvent& e : history.events.received) check(e, "received a share for");
  for (const Aggregated& e : history.events.aggregated) check(e, "aggregated");
  for (const SignedApplied& e : history.events.signed_applied) check(e, "saw signatures of");
  for (const BroadcastEvent& e : history.events.broadcasts) check(e, "sent");
  for (const BroadcastResult& e : history.events.broadcast_results) check(e, "had sent");
}

void check_export_index(const History& history, Findings& out) {
  for (const Replica& replica : history.replicas) {
    if (replica.entries.empty()) continue;
    const std::uint64_t last = replica.entries.back().index;
    if (replica.state && replica.state->index != last) {
      out.violation(replica.state->at, replica.name + " exports its state at " +
                                           std::to_string(replica.state->index) +
                                           ", its entries end at " + std::to_string(last));
    }
    for (const TablesDigest& tables : replica.tables) {
      if (tables.index == last) continue;
      out.violation(tables.at, replica.name + " exports its tables at " +
                                   std::to_string(tables.index) + ", its entries end at " +
                                   std::to_string(last));
    }
  }
}

void check_stops_told(const History& history, Findings& out) {
  std::set<std::string> begun;
  for (const Lifecycle& e : history.events.lifecycle) {
    if (e.event == "shutdown_started") begun.insert(e.boot);
  }
  for (const Lifecycle& e : history.events.lifecycle) {
    if (e.event == "stopped" && !begun.contains(e.boot))
      out.violation(e.at, e.process + " stopped and never told that it began to");
  }
}

}  // namespace roulette::check
