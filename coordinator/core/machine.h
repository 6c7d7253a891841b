// The coordinator's parts and the way news travels between them.
//
// Invariant: news first, work second: an event is told to the part it concerns, what the ledger
// said is learnt, and only then is it decided what to sign, send or answer. Every decision is
// level-triggered from the working set, so a lost message delays work and never loses it.
#pragma once

#include <map>
#include <set>

#include "coordinator/core/broadcast.h"
#include "coordinator/core/chain_watch.h"
#include "coordinator/core/clients.h"
#include "coordinator/core/journal_watch.h"
#include "coordinator/core/ledger_link.h"
#include "coordinator/core/signer_pool.h"
#include "coordinator/core/signing.h"
#include "coordinator/core/takeover.h"
#include "coordinator/core/working_set.h"

namespace roulette::coordinator {

struct Coordinator::Machine {
  explicit Machine(CoordinatorConfig configuration);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void step(Step& s, const Event& event);
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  [[nodiscard]] Gauges gauges() const;

 private:
  // machine.cpp: time, readiness, what is worked on
  void notice_pause(Step& s);
  void tick(Step& s);
  void work(Step& s);
  void reconsider(Step& s, const WithdrawalId& id);
  void sign(Step& s, const WorkingSet::Item& item);
  void keep_broadcast(Step& s, const wire::WithdrawalView& view);
  void sweep(Step& s);
  void send_held_back(Step& s, Broadcaster::Room room);
  [[nodiscard]] bool may_send_first(Step& s, const wire::WithdrawalView& view);
  [[nodiscard]] bool may_resend(const Step& s, const wire::WithdrawalView& view) const;
  [[nodiscard]] bool may_work(Step& s, const wire::WithdrawalView& view, Instant since,
                              Duration patience);
  void announce(Step& s, const wire::WithdrawalView& view);
  void report_quorum(Step& s);
  void report_readiness(Step& s);
  void drain(Step& s);
  [[nodiscard]] bool quorum(Instant now) const;

  // events.cpp: who is told what
  void on(Step& s, const Started&);
  void on(Step& s, const ClientRequest& event);
  void on(Step& s, const ClientGone& event);
  void on(Step& s, const PeerConnected& event);
  void on(Step& s, const PeerLost& event);
  void on(Step& s, const MessageReceived& event);
  void on(Step& s, const NodeAnswered& event);
  void on(Step& s, const ShutdownRequested&);
  void on(Step& s, const DeadlineReached&);
  void from_signer(Step& s, SignerId from, const wire::Message& message);
  void from_ledger(Step& s, ConnectionId connection, const wire::Message& message);
  void applied(Step& s, const Purpose& purpose, const wire::LedgerApplied& answer);
  void answered(Step& s, const Purpose& purpose, const wire::LedgerAnswer& answer);
  void feed(Step& s, const wire::LedgerFeed& feed);
  void learn(Step& s, const wire::WithdrawalView& view, std::uint64_t index);

  // node_calls.cpp: what was asked of the node
  struct ForTip {};
  struct ForChainRound {
    std::uint64_t round = 0;
    std::uint32_t height = 0;
  };
  struct ForMempool {
    Instant asked_at;
  };
  struct ForSend {
    WithdrawalId id;
  };
  using CallPurpose = std::variant<ForTip, ForChainRound, ForMempool, ForSend>;
  void call(Step& s, CallPurpose purpose, NodeCallBody body);
  void poll(Step& s);
  void ask_mempool(Step& s);
  void issue_wishes(Step& s);
  void node_news(Step& s, const CallPurpose& purpose, const NodeAnswerBody& body);
  void node_answer(Step& s, const ForTip&, const NodeAnswerBody& body);
  void node_answer(Step& s, const ForChainRound& purpose, const NodeAnswerBody& body);
  void node_answer(Step& s, const ForMempool& purpose, const NodeAnswerBody& body);
  void node_answer(Step& s, const ForSend& purpose, const NodeAnswerBody& body);
  void compare_chain(Step& s);

  CoordinatorConfig config_;
  WorkingSet working_;
  LedgerLink ledger_;
  SignerPool signers_;
  JournalWatch journals_;
  Signing signing_;
  Takeover takeover_;
  Broadcaster broadcaster_;
  ChainWatch chain_;
  Clients clients_;

  bool started_ = false;
  std::optional<Instant> last_step_;
  Instant next_poll_;
  std::set<WithdrawalId> touched_;              // to reconsider in this step
  std::map<std::uint64_t, CallPurpose> calls_;  // without an answer
  std::uint64_t call_counter_ = 0;
  bool tip_asked_ = false;
  bool mempool_asked_ = false;
  bool node_known_ = false;            // answered at least once
  bool node_up_ = false;               // the last poll was answered
  std::set<WithdrawalId> announcing_;  // Broadcast submitted, not applied yet
  std::optional<std::size_t> reported_quorum_;
  std::optional<std::pair<bool, std::string>> reported_readiness_;
  std::optional<Instant> draining_since_;
  bool drained_ = false;
};

}  // namespace roulette::coordinator
