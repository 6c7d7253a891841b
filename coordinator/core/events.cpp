// Tells each event to the part it concerns.
//
// Invariant: a message counts only from a connection whose peer may send it; anything else is
// dropped (the host counts it). Nothing is decided here about what to work on: touched_ only marks
// what work() must look at.
#include "common/base/mutants.h"
#include "common/bitcoin/spend.h"
#include "coordinator/core/machine.h"

namespace roulette::coordinator {
namespace {

// For a planted bug only (common/base/mutants.h): what must never leave.
[[maybe_unused]] SendTransaction unread_bytes(const CoordinatorConfig& config,
                                              const wire::Template& plan,
                                              const wire::Signed& made) {
  auto tx = bitcoin::parse_transaction(plan.unsigned_tx);
  for (std::size_t i = 0; i < made.signatures.size(); ++i) {
    tx->inputs[i].witness = bitcoin::witness(config.group->scheme().facts().signatures,
                                             config.wallet_output_key, made.signatures[i]);
  }
  return {made.withdrawal_id, made.txid, bitcoin::serialize(*tx)};
}

}  // namespace

void Coordinator::Machine::on(Step& s, const Started&) {
  started_ = true;
  takeover_.started(s.now);
  next_poll_ = s.now;
}

void Coordinator::Machine::on(Step& s, const ClientRequest& event) {
  clients_.request(s, event.request, event.body, {draining_since_.has_value(), quorum(s.now)});
}

void Coordinator::Machine::on(Step&, const ClientGone& event) {
  clients_.gone(event.request);
}

void Coordinator::Machine::on(Step& s, const PeerConnected& event) {
  const std::uint16_t index = event.peer.index;
  switch (event.peer.role) {
    case Role::Signer:
      if (index >= signers_.size()) return;   // not of this group
      signing_.signer_lost(SignerId(index));  // an older connection of the same signer is void
      journals_.left(SignerId(index));
      return signers_.connected(s, SignerId(index), event.connection);
    case Role::Coordinator:
      return takeover_.connected(s, event.connection, CoordinatorId(index));
    case Role::Ledger:
      return ledger_.connected(s, event.connection, LedgerId(index));
    case Role::Etcd:
    case Role::Bitcoind:
    case Role::Tool:
      return;
  }
}

void Coordinator::Machine::on(Step& s, const PeerLost& event) {
  if (const auto signer = signers_.of(event.connection)) {
    signers_.lost(*signer);
    journals_.left(*signer);
    report_quorum(s);
    signing_.signer_lost(*signer);
    return;
  }
  if (ledger_.lost(s, event.connection)) return;
  takeover_.lost(event.connection);
  // Whatever the lost coordinator owned may be worked on now.
  for (const auto& [id, item] : working_.items()) touched_.insert(id);
}

void Coordinator::Machine::on(Step& s, const MessageReceived& event) {
  if (const auto signer = signers_.of(event.connection))
    return from_signer(s, *signer, event.message);
  if (const auto* beat = std::get_if<wire::CoordinatorHeartbeat>(&event.message)) {
    return takeover_.heartbeat(event.connection, *beat, s.now);
  }
  from_ledger(s, event.connection, event.message);
}

void Coordinator::Machine::on(Step& s, const NodeAnswered& event) {
  const auto at = calls_.find(event.call);
  if (at == calls_.end()) return;
  const CallPurpose purpose = at->second;
  calls_.erase(at);
  node_news(s, purpose, event.body);
}

void Coordinator::Machine::on(Step& s, const ShutdownRequested&) {
  if (draining_since_) return;
  draining_since_ = s.now;
  takeover_.beat_at_once();
  signers_.stop_refilling();
  clients_.drain(s);
}

void Coordinator::Machine::on(Step&, const DeadlineReached&) {}

void Coordinator::Machine::from_signer(Step& s, SignerId from, const wire::Message& message) {
  signers_.heard(from, s.now);
  if (const auto* status = std::get_if<wire::SignerStatus>(&message)) {
    if (signers_.status(s, from, *status)) {
      signing_.signer_rejoined(from);
      journals_.left(from);
    }
    journals_.joined(from);
  } else if (const auto* journal = std::get_if<wire::JournalAnswer>(&message)) {
    signers_.journal(s, from, *journal);
  } else if (const auto* batch = std::get_if<wire::NonceBatch>(&message)) {
    signers_.nonces(s, from, *batch);
  } else if (const auto* refusal = std::get_if<wire::SignRefusal>(&message)) {
    signing_.refusal(s, from, *refusal);
  } else if (const auto* response = std::get_if<wire::SignResponse>(&message)) {
    auto complete = signing_.share(s, from, *response);
    if (!complete) return;
    const WithdrawalId id = complete->withdrawal_id;
    const WorkingSet::Item* item = working_.find(id);
    if (ROULETTE_MUTANT("own-aggregate-sent") && item != nullptr)
      call(s, ForSend{id}, unread_bytes(config_, *item->view.planned, *complete));
    ledger_.submit(s, std::move(*complete), ForSigned{id});
  }
}

void Coordinator::Machine::from_ledger(Step& s, ConnectionId connection,
                                       const wire::Message& message) {
  if (const auto* status = std::get_if<wire::LedgerStatus>(&message)) {
    ledger_.status(s, connection, *status);
  } else if (const auto* answer = std::get_if<wire::LedgerApplied>(&message)) {
    if (const auto purpose = ledger_.applied(s, connection, *answer)) applied(s, *purpose, *answer);
  } else if (const auto* read = std::get_if<wire::LedgerAnswer>(&message)) {
    if (const auto purpose = ledger_.answered(s, connection, *read)) answered(s, *purpose, *read);
  } else if (const auto* changes = std::get_if<wire::LedgerFeed>(&message)) {
    if (ledger_.accepts_feed(s, connection)) feed(s, *changes);
  }
}

void Coordinator::Machine::applied(Step& s, const Purpose& purpose,
                                   const wire::LedgerApplied& answer) {
  if (const auto* own = std::get_if<ForSigned>(&purpose)) {
    if (answer.view && !answer.view->signed_tx.empty()) {
      s.fact(SignedApplied{own->id, answer.view->planned->txid});
    } else {
      signing_.give_up(s, own->id,
                       "the ledger did not take the signatures: " + answer.outcome.detail);
    }
  }
  // The view first: who waits for this withdrawal is answered from the newest state.
  if (answer.view) learn(s, *answer.view, answer.index);
  if (const auto* client = std::get_if<ForClient>(&purpose))
    clients_.applied(s, client->request, answer);
  if (const auto* sent = std::get_if<ForBroadcast>(&purpose)) announcing_.erase(sent->id);
  if (const auto* fact = std::get_if<ForChain>(&purpose)) {
    chain_.applied(fact->round);
    // Before the feed brings the new tip a comparison would only fetch the same blocks again.
    if (working_.tip() && working_.tip()->hash == chain_.expected_tip()) compare_chain(s);
  }
}

void Coordinator::Machine::answered(Step& s, const Purpose& purpose,
                                    const wire::LedgerAnswer& answer) {
  if (answer.view) learn(s, *answer.view, answer.index);
  if (const auto* client = std::get_if<ForClient>(&purpose))
    clients_.answered(s, client->request, answer);
  if (std::holds_alternative<ForJournals>(purpose)) journals_.answered(s, answer.journals);
  if (const auto* read = std::get_if<ForTakeover>(&purpose)) {
    takeover_.was_read(read->id);
    touched_.insert(read->id);
  }
}

void Coordinator::Machine::feed(Step& s, const wire::LedgerFeed& feed) {
  const auto tip = working_.tip();
  working_.begin_frame(feed);
  for (const wire::WithdrawalView& view : feed.changed) learn(s, view, feed.index);
  working_.end_frame(feed);
  if (working_.tip() == tip) return;
  broadcaster_.block_seen();
  compare_chain(s);
}

void Coordinator::Machine::learn(Step& s, const wire::WithdrawalView& view, std::uint64_t index) {
  if (!working_.learn(view, index, s.now)) return;
  touched_.insert(view.id);
  clients_.learnt(s, view);
}

}  // namespace roulette::coordinator
