// The way to the books: one replica is followed, every own command and read is kept until it was
// answered.
//
// Invariant: a command keeps its CommandId through every resubmission, so the log can hold it twice
// but apply it once; an answer counts from whichever replica it comes, the first one for a request
// wins and the rest are dropped. Does not know what commands mean: the caller gets its Purpose back
// with the answer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <variant>

#include "coordinator/core/step.h"

namespace roulette::coordinator {

// Why something was sent to the ledger.
struct ForClient {
  RequestId request;
};
struct ForSigned {
  WithdrawalId id;
};
struct ForBroadcast {
  WithdrawalId id;
};
struct ForChain {
  std::uint64_t round = 0;
};  // of ChainWatch
struct ForTakeover {
  WithdrawalId id;
};
struct ForProbe {};     // is the followed replica alive?
struct ForJournals {};  // of JournalWatch
using Purpose = std::variant<ForClient, ForSigned, ForBroadcast, ForChain, ForTakeover, ForProbe,
                             ForJournals>;

class LedgerLink {
 public:
  LedgerLink(ProcessName self, BootId boot) : self_(self), boot_(boot) {}

  void connected(Step& s, ConnectionId connection, LedgerId replica);
  // False when the connection is none of a replica's.
  bool lost(Step& s, ConnectionId connection);
  void status(Step& s, ConnectionId connection, const wire::LedgerStatus& status);
  // The purpose of the request this answers; nothing for a late or repeated answer.
  [[nodiscard]] std::optional<Purpose> applied(Step& s, ConnectionId connection,
                                               const wire::LedgerApplied& answer);
  [[nodiscard]] std::optional<Purpose> answered(Step& s, ConnectionId connection,
                                                const wire::LedgerAnswer& answer);
  // True when this is the feed of the replica followed now; another's is dropped.
  [[nodiscard]] bool accepts_feed(Step& s, ConnectionId connection);

  void submit(Step& s, wire::CommandBody body, Purpose purpose);
  void query(Step& s, wire::Query query, Purpose purpose);

  // Resends what waited too long, probes a silent replica.
  void tick(Step& s);
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  [[nodiscard]] bool available() const { return followed_.has_value(); }
  [[nodiscard]] std::optional<ConnectionId> followed() const;
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  // Commands without their answer; reads do not count.
  [[nodiscard]] std::size_t pending_commands() const { return pending_commands_; }
  // True once each time the followed replica changed: the working set must be read anew.
  [[nodiscard]] bool take_followed_changed();

 private:
  struct Replica {
    ConnectionId connection;
    bool ready = false;
    bool suspect = false;  // a request waited too long and nothing at all was heard since
    Instant last_heard;
  };
  struct Pending {
    std::variant<wire::LedgerSubmit, wire::LedgerQuery> message;
    Purpose purpose;
    std::optional<LedgerId> sent_to;
    Instant sent_at;
    Duration patience;
    Instant due;                     // when it is sent elsewhere
    std::set<LedgerId> unavailable;  // replicas that said they cannot read now
  };

  void add(Step& s, std::uint64_t request, Pending pending);
  void dispatch(Step& s, std::uint64_t request, Pending& pending, std::optional<LedgerId> avoid);
  [[nodiscard]] std::optional<LedgerId> choose(const Pending& pending,
                                               std::optional<LedgerId> avoid) const;
  void schedule(std::uint64_t request, Pending& pending, Instant due);
  void choose_followed(Step& s);
  void heard(Step& s, ConnectionId connection);
  [[nodiscard]] std::optional<LedgerId> replica_of(ConnectionId connection) const;
  [[nodiscard]] std::optional<Purpose> finish(std::uint64_t request);

  ProcessName self_;
  BootId boot_;
  std::map<LedgerId, Replica> replicas_;
  std::optional<LedgerId> followed_;
  bool followed_changed_ = false;
  std::map<std::uint64_t, Pending> pending_;
  std::set<std::pair<Instant, std::uint64_t>> due_;
  std::size_t pending_commands_ = 0;
  bool probing_ = false;
  std::uint64_t counter_ = 0;  // of requests and own commands
};

}  // namespace roulette::coordinator
