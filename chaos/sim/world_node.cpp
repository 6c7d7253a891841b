// Coordinators' effects, their clients, and the node.
//
// Invariant: nothing answers inside the step that asked; each call to the node is answered once, at
// the latest after the deadline of the live client, and may have been done though nobody was told.
#include "chaos/sim/world.h"
#include "common/base/assert.h"
#include "common/bitcoin/transaction.h"

namespace roulette::sim {
namespace {

constexpr ProcessName kNode{Role::Bitcoind, 0};
constexpr ProcessName kClients{Role::Tool, 0};
constexpr Duration kNodeDeadline = seconds(2);  // node_client.cpp

const char* node_call_name(const coordinator::NodeCallBody& body) {
  struct Name {
    const char* operator()(const coordinator::GetTip&) const { return "get_tip"; }
    const char* operator()(const coordinator::GetBlockHash&) const { return "get_block_hash"; }
    const char* operator()(const coordinator::GetBlock&) const { return "get_block"; }
    const char* operator()(const coordinator::GetMempool&) const { return "get_mempool"; }
    const char* operator()(const coordinator::SendTransaction&) const { return "transaction"; }
  };
  return std::visit(Name{}, body);
}

const char* fact_name(const coordinator::Fact& fact) {
  struct Name {
    const char* operator()(const coordinator::SessionOpened&) const { return "session_opened"; }
    const char* operator()(const coordinator::ShareReceived&) const { return "share_received"; }
    const char* operator()(const coordinator::Aggregated&) const { return "aggregated"; }
    const char* operator()(const coordinator::Blamed&) const { return "blamed"; }
    const char* operator()(const coordinator::TookOver&) const { return "took_over"; }
    const char* operator()(const coordinator::QuorumChanged&) const { return "quorum"; }
    const char* operator()(const coordinator::SignerRefused&) const { return "signer_refused"; }
    const char* operator()(const coordinator::SigningGivenUp&) const { return "given_up"; }
    const char* operator()(const coordinator::SignedApplied&) const { return "signed_applied"; }
    const char* operator()(const coordinator::SignerQuarantined&) const {
      return "signer_quarantined";
    }
  };
  return std::visit(Name{}, fact);
}

const char* reply_name(const coordinator::ReplyBody& body) {
  struct Name {
    const char* operator()(const coordinator::WithdrawalAnswer&) const { return "withdrawal"; }
    const char* operator()(const coordinator::BalancesAnswer&) const { return "balances"; }
    const char* operator()(const coordinator::PageAnswer&) const { return "page"; }
    const char* operator()(const coordinator::EventsAnswer&) const { return "events"; }
    const char* operator()(const coordinator::Problem&) const { return "problem"; }
  };
  return std::visit(Name{}, body);
}

coordinator::NodeAnswerBody unavailable(const coordinator::NodeCallBody& call, const char* why) {
  if (std::holds_alternative<coordinator::SendTransaction>(call)) {
    return coordinator::SendResult{bitcoin::SendOutcome::NodeUnavailable, why};
  }
  return coordinator::NodeUnavailable{why};
}

bitcoin::SendOutcome refusal(std::uint32_t amount) {
  using bitcoin::SendOutcome;
  switch (amount) {
    case 0: return SendOutcome::FeeTooLow;
    case 1: return SendOutcome::MissingInputs;
    case 2: return SendOutcome::MempoolConflict;
    default: return SendOutcome::Rejected;
  }
}

}  // namespace

void World::execute(CoordinatorSeat& seat, coordinator::Effect& effect) {
  struct Visit {
    World& world;
    CoordinatorSeat& seat;
    void operator()(coordinator::Send& order) const {
      world.at_place(seat, "send", wire::message_name(order.message),
                     [this, &order] {
                       world.send(seat, order.connection, std::move(order.message));
                     });
    }
    void operator()(const coordinator::Reply& order) const {
      world.at_place(seat, "reply", reply_name(order.body), [this, &order] {
        const auto open = seat.open.find(order.request);
        if (open == seat.open.end()) return;
        const std::shared_ptr<Ask> ask = std::move(open->second);
        seat.open.erase(open);
        world.end_later(seat, ask, order.body);
      });
    }
    void operator()(const coordinator::NodeCall& order) const {
      const bool sends = std::holds_alternative<coordinator::SendTransaction>(order.body);
      world.at_place(seat, sends ? "broadcast" : "call", node_call_name(order.body),
                     [this, &order] { world.call_node(seat, order); });
    }
    void operator()(const coordinator::Fact& fact) const {
      world.at_place(seat, "record", fact_name(fact),
                     [this, &fact] { world.note_fact(seat, fact); });
    }
    void operator()(const coordinator::ReadinessChanged&) const {}
    void operator()(const coordinator::Drained&) const { world.drained(seat); }
  };
  std::visit(Visit{*this, seat}, effect);
}

void World::note_signer_gone(const Seat& seat, const Seat& peer) {
  if (seat.name.role != Role::Coordinator || peer.name.role != Role::Signer) return;
  notes_.push_back(
      {CoordinatorId(seat.name.index), seat.life, SignerGone{SignerId(peer.name.index)}});
}

// What the judge needs to know of what a coordinator knew.
void World::note_heard(const CoordinatorSeat& seat, ProcessName from,
                       const wire::Message& message) {
  const CoordinatorLife life{seat.name.index, seat.life};
  const auto note = [&](auto what) {
    notes_.push_back({CoordinatorId(seat.name.index), seat.life, what});
  };
  const auto signatures = [&](const wire::WithdrawalView& view) {
    if (!view.signed_tx.empty() && signatures_heard_.insert({life, view.id}).second)
      note(SignaturesHeard{view.id});
  };
  if (const auto* status = std::get_if<wire::SignerStatus>(&message)) {
    const auto [known, first] = boots_heard_.try_emplace({life, from.index}, status->epoch);
    if (!first && known->second != status->epoch) note(SignerReborn{SignerId(from.index)});
    known->second = status->epoch;
    if (status->key_unavailable) probes.hit(Probe::KeyAwayTold);
  } else if (const auto* applied = std::get_if<wire::LedgerApplied>(&message)) {
    if (applied->view) signatures(*applied->view);
  } else if (const auto* answer = std::get_if<wire::LedgerAnswer>(&message)) {
    if (answer->view) signatures(*answer->view);
  } else if (const auto* feed = std::get_if<wire::LedgerFeed>(&message)) {
    for (const wire::WithdrawalView& view : feed->changed) signatures(view);
  }
}

void World::note_fact(CoordinatorSeat& seat, const coordinator::Fact& fact) {
  notes_.push_back({CoordinatorId(seat.name.index), seat.life, fact, seat.share_epoch});
  if (const auto* blamed = std::get_if<coordinator::Blamed>(&fact)) {
    if (liars_.contains(blamed->signer.value())) probes.hit(Probe::BadSignerBlamed);
    else incidents_.push_back("an honest signer was blamed: " + blamed->why);
  } else if (const auto* aggregated = std::get_if<coordinator::Aggregated>(&fact)) {
    const auto first = aggregated_by_.emplace(aggregated->txid, seat.name).first->second;
    if (first != seat.name) probes.hit(Probe::TwoAggregateOneTemplate);
  } else if (std::holds_alternative<coordinator::TookOver>(fact)) {
    probes.hit(Probe::TakeoverOfSigning);
  } else if (const auto* quorum = std::get_if<coordinator::QuorumChanged>(&fact)) {
    const bool quorate = quorum->known >= options_.shape.threshold;
    if (seat.quorate && !quorate) probes.hit(Probe::QuorumLost);
    seat.quorate = quorate;
  } else if (const auto* opened = std::get_if<coordinator::SessionOpened>(&fact)) {
    auto& opened_here = sessions_[{seat.name.index, seat.life, opened->withdrawal_id}];
    most_sessions_ = std::max(most_sessions_, ++opened_here);
  } else if (const auto* share = std::get_if<coordinator::ShareReceived>(&fact)) {
    if (liars_.contains(share->signer.value())) return;  // its word proves nothing
    ShareSeen seen{*share, false};
    const SignerSeat& signer = signers_[share->signer.value()];
    for (const auto* records : {&signer.durable, &signer.taken, &signer.superseded}) {
      for (const signer::Record& record : *records) {
        const auto* signing = std::get_if<signer::SigningRecord>(&record.body);
        if (signing != nullptr && signing->own_nonces == share->nonces) {
          seen.durable_on_arrival = true;
        }
      }
    }
    shares_seen_.push_back(std::move(seen));
  }
}

void World::call_node(CoordinatorSeat& seat, const coordinator::NodeCall& call) {
  const auto* sent = std::get_if<coordinator::SendTransaction>(&call.body);
  if (sent != nullptr) {
    broadcasts_.push_back(*sent);
    if (unmined_.contains(sent->txid)) probes.hit(Probe::RebroadcastAfterUnmining);
  }
  const auto answered = std::make_shared<bool>(false);
  const auto answer = [this, s = &seat, life = seat.life, number = call.call, answered](
                          Duration delay, coordinator::NodeAnswerBody body) {
    agenda.after(delay, [this, s, life, number, answered, body = std::move(body)] {
      if (s->life != life || std::exchange(*answered, true)) return;
      step(*s, coordinator::Event{coordinator::NodeAnswered{number, body}});
    });
  };
  if (sent != nullptr && plants_.swallow_send && plants_.swallow_send(*sent)) {
    return answer(draw(options_.node),
                  coordinator::SendResult{bitcoin::SendOutcome::Accepted, ""});
  }
  answer(kNodeDeadline, unavailable(call.body, "no answer"));
  if (blocked(seat.name, kNode)) return;
  // The call reaches the node in any case; an answer is lost when the node dies meanwhile.
  const Instant there = std::max(agenda.now() + node_delay(), node_resumes_);
  agenda.at(there, [this, answer, s = &seat, body = call.body] {
    const Window* hung = window(FaultKind::HangNode);
    if (hung != nullptr && !dice(hung)) return;
    auto result = node_answer(chain_of(s->name.index), body);
    if (hung != nullptr || blocked(kNode, s->name)) return;
    answer(node_delay(), std::move(result));
  });
}

Duration World::node_delay() {
  const Window* slow = window(FaultKind::SlowNode);
  const std::int64_t times = slow == nullptr ? 1 : slow->fault.amount;
  return draw(options_.node) * std::max<std::int64_t>(1, times);
}

ToyChain& World::chain_of(std::uint16_t coordinator) {
  const auto& own = splits_[coordinator % splits_.size()];
  return own ? *own : *chain_;
}

coordinator::NodeAnswerBody World::node_answer(ToyChain& chain,
                                                const coordinator::NodeCallBody& body) {
  struct Visit {
    World& world;
    ToyChain& chain;
    coordinator::NodeAnswerBody operator()(const coordinator::GetTip&) const {
      return chain.tip();
    }
    coordinator::NodeAnswerBody operator()(const coordinator::GetBlockHash& get) const {
      const auto& blocks = chain.blocks();
      if (get.height >= blocks.size()) return coordinator::BlockHashAt{};
      return coordinator::BlockHashAt{blocks[get.height].hash};
    }
    coordinator::NodeAnswerBody operator()(const coordinator::GetBlock& get) const {
      auto facts = chain.block(get.height, world.genesis_.wallet_script);
      if (!facts) return coordinator::NodeUnavailable{"no such height"};
      return std::move(*facts);
    }
    coordinator::NodeAnswerBody operator()(const coordinator::GetMempool&) const {
      return coordinator::MempoolTxids{chain.mempool()};
    }
    coordinator::NodeAnswerBody operator()(const coordinator::SendTransaction& send) const {
      if (const Window* refuses = world.window(FaultKind::RefuseSends)) {
        ++world.counts_.node_faults;
        return coordinator::SendResult{refusal(refuses->fault.amount), "refused"};
      }
      const auto tx = bitcoin::parse_transaction(send.bytes);
      if (!tx) return coordinator::SendResult{bitcoin::SendOutcome::Rejected, "does not parse"};
      const auto outcome = chain.send(*tx);
      if (outcome == bitcoin::SendOutcome::Rejected ||
          outcome == bitcoin::SendOutcome::MempoolConflict) {
        world.incidents_.push_back(std::string("the node refused a transaction: ") +
                                   bitcoin::send_outcome_name(outcome));
      }
      return coordinator::SendResult{outcome, ""};
    }
  };
  if (!node_up_) return unavailable(body, "connection refused");
  return std::visit(Visit{*this, chain}, body);
}

void World::mine_later() {
  agenda.after(options_.block_interval, [this] {
    if (mining_ && node_up_ && agenda.now() >= node_resumes_) {
      chain_->mine();
      for (const Hash32& txid : chain_->blocks().back().txids) unmined_.erase(txid);
      if (chain_->unflushed() >= options_.flush_every) chain_->flush();
      trace.note(agenda.now(), kNode, "mined", "", chain_->blocks().size() - 1);
    }
    for (std::uint16_t i = 0; i < splits_.size(); ++i) {
      if (splits_[i] && forks_[i]) splits_[i]->mine();
    }
    watch_limits();
    mine_later();
  });
}

bool World::kill_node(Duration down) {
  if (!node_up_) return false;
  const auto payments = [this] {
    std::size_t count = 0;
    for (const ToyBlock& block : chain_->blocks()) count += block.txids.size();
    return count;
  };
  const std::size_t before = payments();
  const std::size_t height = chain_->blocks().size();
  node_up_ = false;
  for (std::size_t i = height - chain_->unflushed(); i < height; ++i) {
    const std::vector<Hash32>& txids = chain_->blocks()[i].txids;
    unmined_.insert(txids.begin(), txids.end());
  }
  counts_.unmined_blocks += chain_->kill();
  counts_.unmined_payments += before - payments();
  if (before > payments() && height - chain_->blocks().size() >= genesis_.settle_depth) {
    probes.hit(Probe::SettledTakenBack);
  }
  ++counts_.node_kills;
  trace.note(agenda.now(), kNode, "killed", "", chain_->blocks().size() - 1);
  agenda.after(down, [this] { node_up_ = true; });
  return true;
}

void World::pause_node(Duration down) {
  trace.note(agenda.now(), kNode, "paused", "", 0);
  ++counts_.node_faults;
  node_resumes_ = std::max(node_resumes_, agenda.now() + down);
}

// The coordinator's node is cut off from the network: it gets no blocks, and mines its own or none.
bool World::split_node(const Fault& fault) {
  const std::uint16_t own = fault.a.index;
  if (fault.a.role != Role::Coordinator || own >= coordinators_.size()) return false;
  if (splits_[own] || !node_up_) return false;
  splits_[own] = std::make_unique<ToyChain>(*chain_);
  splits_[own]->fork(own + 1U);
  forks_[own] = fault.amount != 0;
  ++counts_.node_faults;
  open_window(fault);
  return true;
}

// It follows the network again, and hands on the transactions that the network does not know.
void World::join_node(std::uint16_t coordinator) {
  const auto own = std::move(splits_[coordinator]);
  splits_[coordinator].reset();
  if (!own || !node_up_) return;
  if (own->blocks().size() > 1 && own->blocks().back().hash != chain_->tip().hash &&
      forks_[coordinator]) {
    probes.hit(Probe::ForkLeft);
  }
  for (const bitcoin::Transaction& tx : own->unknown_to(*chain_)) (void)chain_->send(tx);
}

// ---- clients ----

void World::ask(std::uint16_t coordinator, coordinator::ClientRequestBody body, Duration patience,
                Answered answered) {
  CoordinatorSeat& seat = coordinators_.at(coordinator);
  auto ask = std::make_shared<Ask>();
  ask->answered = std::move(answered);
  agenda.after(patience, [this, s = &seat, ask] {
    if (ask->done) return;
    ask->end(std::nullopt);
    if (s->open.erase(ask->request) == 0 || blocked(kClients, s->name)) return;
    step(*s, coordinator::Event{coordinator::ClientGone{ask->request}});
  });
  if (blocked(kClients, seat.name)) return;
  agenda.after(hop(kClients, seat.name), [this, s = &seat, body = std::move(body), ask] {
    if (ask->done) return;
    if (!s->up) return end_later(*s, ask, std::nullopt);
    ask->request = coordinator::RequestId(next_request_++);
    s->open.emplace(ask->request, ask);
    step(*s, coordinator::Event{coordinator::ClientRequest{ask->request, body}});
  });
}

// An answer, or the end of the connection, on its way to the client.
void World::end_later(const CoordinatorSeat& seat, const std::shared_ptr<Ask>& ask,
                      std::optional<coordinator::ReplyBody> reply) {
  if (blocked(seat.name, kClients)) return;  // the client's patience ends it
  if (dice(window(FaultKind::LoseReplies, seat.name))) {
    ++counts_.lost_replies;
    reply.reset();  // the connection is reset before the answer is through
  }
  agenda.after(hop(seat.name, kClients), [ask, reply = std::move(reply)] {
    if (!ask->done) ask->end(reply);
  });
}

}  // namespace roulette::sim
