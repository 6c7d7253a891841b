// Chooses the replica, keeps requests until they are answered, sends them elsewhere when they are
// not.
//
// Invariant: due_ holds exactly one entry per pending request. The lowest ready replica that is not
// suspected of being paused is followed; if all are suspected the lowest ready one is as good as
// any.
#include "coordinator/core/ledger_link.h"

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::coordinator {

void LedgerLink::connected(Step& s, ConnectionId connection, LedgerId replica) {
  const auto known = replicas_.find(replica);
  if (known != replicas_.end()) lost(s, known->second.connection);
  // Nothing is sent before the replica says it is ready (LedgerStatus).
  replicas_[replica] = Replica{connection, false, false, s.now};
}

bool LedgerLink::lost(Step& s, ConnectionId connection) {
  const auto replica = replica_of(connection);
  if (!replica) return false;
  replicas_.erase(*replica);
  if (followed_ == replica) followed_.reset();
  choose_followed(s);
  // Unknown outcome: the same commands, with the same ids, go to another replica at once
  // (idempotent by id and state).
  for (auto& [request, pending] : pending_) {
    if (pending.sent_to != replica) continue;
    pending.sent_to.reset();
    dispatch(s, request, pending, replica);
  }
  return true;
}

void LedgerLink::status(Step& s, ConnectionId connection, const wire::LedgerStatus& status) {
  heard(s, connection);
  const auto replica = replica_of(connection);
  if (!replica) return;
  replicas_[*replica].ready = status.ready;
  choose_followed(s);
  if (!status.ready) return;
  for (auto& [request, pending] : pending_) {
    if (!pending.sent_to) dispatch(s, request, pending, std::nullopt);
  }
}

std::optional<Purpose> LedgerLink::applied(Step& s, ConnectionId connection,
                                           const wire::LedgerApplied& answer) {
  heard(s, connection);
  const auto at = pending_.find(answer.request);
  if (at == pending_.end() || !std::holds_alternative<wire::LedgerSubmit>(at->second.message))
    return std::nullopt;
  return finish(answer.request);
}

std::optional<Purpose> LedgerLink::answered(Step& s, ConnectionId connection,
                                            const wire::LedgerAnswer& answer) {
  heard(s, connection);
  const auto at = pending_.find(answer.request);
  if (at == pending_.end() || !std::holds_alternative<wire::LedgerQuery>(at->second.message))
    return std::nullopt;
  if (answer.available) return finish(answer.request);
  const auto replica = replica_of(connection);
  if (!replica || at->second.sent_to != replica) return std::nullopt;
  at->second.unavailable.insert(*replica);
  at->second.sent_to.reset();
  dispatch(s, answer.request, at->second, replica);
  return std::nullopt;
}

bool LedgerLink::accepts_feed(Step& s, ConnectionId connection) {
  heard(s, connection);
  return followed() == connection;
}

void LedgerLink::submit(Step& s, wire::CommandBody body, Purpose purpose) {
  const std::uint64_t number = ++counter_;
  wire::Command command{wire::CommandId{self_, boot_, number}, std::move(body)};
  Pending pending;
  pending.message = wire::LedgerSubmit{number, std::move(command)};
  pending.purpose = purpose;
  ++pending_commands_;
  add(s, number, std::move(pending));
}

void LedgerLink::query(Step& s, wire::Query query, Purpose purpose) {
  const std::uint64_t number = ++counter_;
  Pending pending;
  pending.message = wire::LedgerQuery{number, std::move(query)};
  pending.purpose = purpose;
  add(s, number, std::move(pending));
}

void LedgerLink::add(Step& s, std::uint64_t request, Pending pending) {
  pending.patience = limits::kLedgerRetry;
  pending.due = s.now + pending.patience;
  due_.insert({pending.due, request});
  dispatch(s, request, pending_.emplace(request, std::move(pending)).first->second, std::nullopt);
}

// Sends it, if any replica can take it; else it waits for one to become ready.
void LedgerLink::dispatch(Step& s, std::uint64_t request, Pending& pending,
                          std::optional<LedgerId> avoid) {
  const auto replica = choose(pending, avoid);
  if (!replica) {
    pending.unavailable.clear();
    schedule(request, pending, s.now + pending.patience);
    return;
  }
  pending.sent_to = *replica;
  pending.sent_at = s.now;
  schedule(request, pending, s.now + pending.patience);
  const ConnectionId connection = replicas_[*replica].connection;
  std::visit([&](const auto& message) { s.send(connection, message); }, pending.message);
}

std::optional<LedgerId> LedgerLink::choose(const Pending& pending,
                                           std::optional<LedgerId> avoid) const {
  if (followed_ && followed_ != avoid && !pending.unavailable.contains(*followed_))
    return followed_;
  std::optional<LedgerId> fallback;
  for (const auto& [id, replica] : replicas_) {
    if (!replica.ready || pending.unavailable.contains(id)) continue;
    if (id == avoid || replica.suspect) {
      if (!fallback) fallback = id;
      continue;
    }
    return id;
  }
  return fallback;
}

void LedgerLink::schedule(std::uint64_t request, Pending& pending, Instant due) {
  due_.erase({pending.due, request});
  pending.due = due;
  due_.insert({due, request});
}

void LedgerLink::choose_followed(Step& s) {
  std::optional<LedgerId> best;
  std::optional<LedgerId> fallback;
  for (const auto& [id, replica] : replicas_) {
    if (!replica.ready) continue;
    if (!replica.suspect && !best) best = id;
    if (!fallback) fallback = id;
  }
  if (!best) best = followed_ && replicas_[*followed_].ready ? followed_ : fallback;
  if (best == followed_) return;
  followed_ = best;
  followed_changed_ = true;
  if (followed_) s.send(replicas_[*followed_].connection, wire::LedgerFollow{});
}

void LedgerLink::heard(Step& s, ConnectionId connection) {
  const auto replica = replica_of(connection);
  if (!replica) return;
  Replica& r = replicas_[*replica];
  r.last_heard = s.now;
  if (!r.suspect) return;
  r.suspect = false;
  choose_followed(s);
}

void LedgerLink::tick(Step& s) {
  while (!due_.empty() && due_.begin()->first <= s.now) {
    const std::uint64_t request = due_.begin()->second;
    Pending& pending = pending_.at(request);
    const auto before = pending.sent_to;
    if (before) {
      const auto replica = replicas_.find(*before);
      if (replica != replicas_.end() && replica->second.last_heard <= pending.sent_at)
        replica->second.suspect = true;
      choose_followed(s);
    }
    pending.patience = std::min(pending.patience + pending.patience, limits::kLedgerRetryMost);
    pending.unavailable.clear();
    dispatch(s, request, pending, before);
  }
  // An idle link tells nothing: a paused replica is found by asking it something.
  if (!followed_ || probing_) return;
  if (replicas_[*followed_].last_heard + limits::kLedgerRetry > s.now) return;
  probing_ = true;
  query(s, wire::QueryById{}, ForProbe{});
}

std::optional<Instant> LedgerLink::next_deadline() const {
  std::optional<Instant> due;
  if (!due_.empty()) due = due_.begin()->first;
  if (!followed_ || probing_) return due;
  return earlier(due, replicas_.at(*followed_).last_heard + limits::kLedgerRetry);
}

std::optional<ConnectionId> LedgerLink::followed() const {
  if (!followed_) return std::nullopt;
  return replicas_.at(*followed_).connection;
}

bool LedgerLink::take_followed_changed() {
  return std::exchange(followed_changed_, false);
}

std::optional<LedgerId> LedgerLink::replica_of(ConnectionId connection) const {
  for (const auto& [id, replica] : replicas_) {
    if (replica.connection == connection) return id;
  }
  return std::nullopt;
}

std::optional<Purpose> LedgerLink::finish(std::uint64_t request) {
  const auto at = pending_.find(request);
  const Purpose purpose = at->second.purpose;
  if (std::holds_alternative<wire::LedgerSubmit>(at->second.message)) --pending_commands_;
  due_.erase({at->second.due, request});
  pending_.erase(at);
  if (std::holds_alternative<ForProbe>(purpose)) probing_ = false;
  return purpose;
}

}  // namespace roulette::coordinator
