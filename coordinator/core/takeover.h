// Who works on which withdrawal: heartbeats of the other coordinators, and leave to continue
// somebody else's work.
//
// Invariant: ownership decides only who goes first; safety never depends on it (DESIGN 7). Before a
// withdrawal is continued that another coordinator proposed, or that we held while we were paused
// ourselves, it is read through a barrier; not before bytes are sent again that a node had: those
// are the applied ledger's, whoever sends them. Does not decide what the work is.
#pragma once

#include <map>
#include <set>

#include "coordinator/core/cadence.h"
#include "coordinator/core/step.h"

namespace roulette::coordinator {

enum class Leave : std::uint8_t { Work, ReadFirst, Wait };

class Takeover {
 public:
  Takeover(CoordinatorId self, const Cadence& cadence) : self_(self), cadence_(cadence) {}

  void started(Instant now) { started_ = now; }
  void connected(Step& s, ConnectionId connection, CoordinatorId peer);
  void lost(ConnectionId connection);
  void heartbeat(ConnectionId connection, const wire::CoordinatorHeartbeat& beat, Instant now);
  // We stood still for longer than a peer may be silent: nobody's silence was observed, and what we
  // held may be done.
  void resumed(Instant now, const std::set<WithdrawalId>& held);
  void beat(Step& s, bool draining);               // to every peer, every cadence.heartbeat
  void beat_at_once() { next_beat_ = Instant{}; }  // the next beat() has news
  void count_step() { ++steps_; }

  [[nodiscard]] bool presumed_alive(CoordinatorId id, Instant now) const;
  [[nodiscard]] bool lowest_alive(Instant now) const;
  // `since`: when it began to stand still; `patience`: how long that is left to a live owner.
  [[nodiscard]] Leave leave(const wire::WithdrawalView& view, Instant since, Duration patience,
                            Instant now) const;
  // Whether it is our turn to send again what a node lost: that is nobody's own work, and each sent
  // twice costs the node's time. The lowest live coordinator does it; another one when nothing has
  // come back for a grace, `others_sent` being when something last did.
  [[nodiscard]] bool may_resend(Instant lost_since, Instant others_sent, Instant now) const;
  [[nodiscard]] const char* why(const wire::WithdrawalView& view, Instant now) const;
  [[nodiscard]] bool reading(const WithdrawalId& id) const { return reading_.contains(id); }
  void start_reading(const WithdrawalId& id) { reading_.insert(id); }
  void was_read(const WithdrawalId& id);
  void forget(const WithdrawalId& id);
  [[nodiscard]] std::optional<Instant> next_deadline() const;

 private:
  struct Peer {
    std::optional<ConnectionId> connection;
    Instant last_heard;
    Instant last_progress;  // when `steps` last grew
    std::uint64_t steps = 0;
    bool draining = false;
  };
  CoordinatorId self_;
  Cadence cadence_;
  Instant started_;
  Instant next_beat_;
  std::uint64_t steps_ = 0;
  std::map<CoordinatorId, Peer> peers_;  // all that ever connected
  std::set<WithdrawalId> reading_;
  std::set<WithdrawalId> read_;    // foreign ones read through a barrier
  std::set<WithdrawalId> unread_;  // own ones that were held during a pause
};

}  // namespace roulette::coordinator
