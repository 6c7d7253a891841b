// Liveness of the other coordinators from connections and heartbeats, and the rules of leave.
//
// Invariant: EOF counts at once, silence after cadence.peer_silent, a loop without steps after
// kPeerStuck; a peer that never connected is given peer_silent from our start. The lowest live
// coordinator goes first, the others after a grace (of what is sent again: while nothing comes
// back).
#include "coordinator/core/takeover.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "coordinator/core/patience.h"

namespace roulette::coordinator {

void Takeover::connected(Step& s, ConnectionId connection, CoordinatorId peer) {
  peers_[peer] = Peer{connection, s.now, s.now, 0, false};
}

void Takeover::lost(ConnectionId connection) {
  for (auto& [id, peer] : peers_) {
    if (peer.connection == connection) peer.connection.reset();
  }
}

void Takeover::heartbeat(ConnectionId connection, const wire::CoordinatorHeartbeat& beat,
                         Instant now) {
  for (auto& [id, peer] : peers_) {
    if (peer.connection != connection) continue;
    peer.last_heard = now;
    peer.draining = beat.draining;
    if (beat.steps == peer.steps) continue;
    peer.steps = beat.steps;
    peer.last_progress = now;
  }
}

void Takeover::resumed(Instant now, const std::set<WithdrawalId>& held) {
  for (auto& [id, peer] : peers_) peer.last_heard = peer.last_progress = now;
  read_.clear();
  unread_ = held;
}

void Takeover::beat(Step& s, bool draining) {
  if (next_beat_ > s.now) return;
  next_beat_ = s.now + cadence_.heartbeat;
  if (ROULETTE_MUTANT("control-heartbeat")) next_beat_ = next_beat_ + cadence_.heartbeat;
  for (const auto& [id, peer] : peers_) {
    if (peer.connection) s.send(*peer.connection, wire::CoordinatorHeartbeat{steps_, draining});
  }
}

bool Takeover::presumed_alive(CoordinatorId id, Instant now) const {
  if (id == self_) return true;
  const auto at = peers_.find(id);
  if (at == peers_.end()) return now - started_ < cadence_.peer_silent;
  const Peer& peer = at->second;
  return peer.connection && !peer.draining && now - peer.last_heard <= cadence_.peer_silent &&
         now - peer.last_progress <= limits::kPeerStuck;
}

bool Takeover::lowest_alive(Instant now) const {
  for (const auto& [id, peer] : peers_) {
    if (id < self_ && presumed_alive(id, now)) return false;
  }
  return true;
}

Leave Takeover::leave(const wire::WithdrawalView& view, Instant since, Duration patience,
                      Instant now) const {
  const bool unread = !ROULETTE_MUTANT("takeover-unread");
  if (view.owner == self_)
    return unread && unread_.contains(view.id) ? Leave::ReadFirst : Leave::Work;
  if (presumed_alive(view.owner, now)) {
    if (now - since < patience) return Leave::Wait;
  } else if (!lowest_alive(now) && now - since < limits::kForeignWorkGrace) {
    return Leave::Wait;
  }
  return unread && !read_.contains(view.id) ? Leave::ReadFirst : Leave::Work;
}

bool Takeover::may_resend(Instant lost_since, Instant others_sent, Instant now) const {
  return lowest_alive(now) || now - lost_since >= kResendPatienceMost ||
         now - std::max(lost_since, others_sent) >= limits::kForeignWorkGrace;
}

const char* Takeover::why(const wire::WithdrawalView& view, Instant now) const {
  if (view.owner == self_) return "resumed after a pause";
  return presumed_alive(view.owner, now) ? "its owner makes no progress"
                                         : "its owner is gone or silent";
}

void Takeover::was_read(const WithdrawalId& id) {
  reading_.erase(id);
  if (unread_.erase(id) == 0) read_.insert(id);
}

void Takeover::forget(const WithdrawalId& id) {
  read_.erase(id);
  unread_.erase(id);
}

std::optional<Instant> Takeover::next_deadline() const {
  for (const auto& [id, peer] : peers_) {
    if (peer.connection) return next_beat_;
  }
  return std::nullopt;
}

}  // namespace roulette::coordinator
