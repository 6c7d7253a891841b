// What is asked of the node, and where its answers go.
//
// Invariant: calls_ remembers every call without an answer; at most one tip and one mempool
// question are open. An answer of another shape than the question counts as no answer.
#include "common/base/limits.h"
#include "coordinator/core/machine.h"

namespace roulette::coordinator {

void Coordinator::Machine::call(Step& s, CallPurpose purpose, NodeCallBody body) {
  calls_.emplace(++call_counter_, purpose);
  s.out.push_back(NodeCall{call_counter_, std::move(body)});
}

void Coordinator::Machine::poll(Step& s) {
  if (!tip_asked_) {
    tip_asked_ = true;
    call(s, ForTip{}, GetTip{});
  }
}

// Asked after each tip, so that a block which took the transactions away is known before they are
// missed.
void Coordinator::Machine::ask_mempool(Step& s) {
  bool any = false;
  for (const auto& [id, item] : working_.items()) any = any || Broadcaster::unconfirmed(item.view);
  if (!any || mempool_asked_ || draining_since_) return;
  mempool_asked_ = true;
  call(s, ForMempool{s.now}, GetMempool{});
}

void Coordinator::Machine::issue_wishes(Step& s) {
  for (auto& wish : chain_.take_wishes()) {
    const auto* block = std::get_if<GetBlock>(&wish.call);
    call(s, ForChainRound{wish.round, block ? block->height : 0}, std::move(wish.call));
  }
  for (auto& wish : broadcaster_.take_wishes()) call(s, ForSend{wish.id}, std::move(wish.call));
}

void Coordinator::Machine::node_news(Step& s, const CallPurpose& purpose,
                                     const NodeAnswerBody& body) {
  std::visit([&](const auto& p) { node_answer(s, p, body); }, purpose);
}

void Coordinator::Machine::node_answer(Step& s, const ForTip&, const NodeAnswerBody& body) {
  tip_asked_ = false;
  const auto* facts = std::get_if<bitcoin::TipFacts>(&body);
  node_up_ = facts != nullptr;
  if (!facts) return;
  node_known_ = true;
  const auto before = chain_.node_tip();
  chain_.tip(*facts);
  broadcaster_.node_height(facts->height);
  if (!before || before->hash != facts->hash) broadcaster_.block_seen();
  compare_chain(s);
  ask_mempool(s);
}

void Coordinator::Machine::node_answer(Step& s, const ForChainRound& purpose,
                                       const NodeAnswerBody& body) {
  if (const auto* hash = std::get_if<BlockHashAt>(&body))
    return chain_.hash_at(s, purpose.round, *hash);
  if (const auto* block = std::get_if<bitcoin::BlockFacts>(&body)) {
    return chain_.block(s, purpose.round, purpose.height, *block);
  }
  chain_.unavailable(purpose.round);
}

void Coordinator::Machine::node_answer(Step& s, const ForMempool& purpose,
                                       const NodeAnswerBody& body) {
  mempool_asked_ = false;
  const auto* mempool = std::get_if<MempoolTxids>(&body);
  if (!mempool) return;
  broadcaster_.mempool(purpose.asked_at, mempool->txids);
  sweep(s);
}

void Coordinator::Machine::node_answer(Step& s, const ForSend& purpose,
                                       const NodeAnswerBody& body) {
  const auto* result = std::get_if<SendResult>(&body);
  const auto outcome = result ? result->outcome : bitcoin::SendOutcome::NodeUnavailable;
  const bool held = broadcaster_.result(s, purpose.id, outcome);
  send_held_back(s, broadcaster_.take_room());
  const WorkingSet::Item* item = working_.find(purpose.id);
  if (!held || !item) return;
  announce(s, item->view);
  // Children that waited for this parent.
  for (const WithdrawalId& id : working_.children(item->view.planned->txid)) {
    const WorkingSet::Item* child = working_.find(id);
    if (child && Broadcaster::unconfirmed(child->view)) keep_broadcast(s, child->view);
  }
}

void Coordinator::Machine::compare_chain(Step& s) {
  if (draining_since_) return;
  chain_.compare(s, working_.tip(), takeover_.lowest_alive(s.now));
}

}  // namespace roulette::coordinator
