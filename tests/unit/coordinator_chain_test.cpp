// The chain enters as facts, and what the node lost is sent again from stored bytes.
//
// Invariant tested: only bytes of the applied ledger are sent, rebroadcast opens no session,
// disconnects go in order.
#include <catch2/catch.hpp>

#include "common/base/limits.h"
#include "coordinator/core/broadcast.h"
#include "coordinator/core/patience.h"
#include "tests/unit/coordinator_world.h"

using namespace roulette;
using namespace roulette::test;
namespace co = roulette::coordinator;
using wire::WithdrawalState;

namespace {

// A payment with bytes, which the stand-in node looks at for their inputs only.
wire::WithdrawalView add_payment(World& w, const std::string& key, WithdrawalState state,
                                 std::size_t owner = 0, std::vector<Hash32> parents = {}) {
  auto view = w.planned_view(key, "alice", CoordinatorId(static_cast<std::uint16_t>(owner)),
                             std::move(parents));
  view.signed_tx = view.planned->unsigned_tx;
  view.state = state;
  w.add_view(view);
  return view;
}

// Payments k0, k1 ... that the node had, the coordinators' by turns.
void lose_many(World& w, std::size_t many, std::size_t coordinators) {
  for (std::size_t i = 0; i < many; ++i)
    add_payment(w, "k" + std::to_string(i), WithdrawalState::Broadcast, i % coordinators);
}

// 100 payments are lost; as many of them as are sent again at once are, and nobody answers.
void resends_hang(World& w) {
  w.start_all();
  w.lost_sends.insert(0);
  lose_many(w, 100, 1);
  w.advance(250);
  REQUIRE(w.sent.size() == co::kMaxResendsInFlight);
}

void accept_sends(World& w, std::size_t from, std::size_t many) {
  for (std::size_t i = from; i < from + many; ++i) {
    const std::uint64_t call = w.send_order[i].first;
    w.step(0, co::NodeAnswered{call, co::SendResult{bitcoin::SendOutcome::Accepted, ""}});
  }
}

}  // namespace

TEST_CASE("the bytes that are sent are those of the applied ledger, not the coordinator's own") {
  World w(2);
  w.start_all();
  // Somebody else's valid signature was applied first: ours is ignored, and theirs is what goes
  // out.
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  auto view = w.view("k1");
  view.signed_tx = w.sign_elsewhere(*view.planned);
  view.state = WithdrawalState::Signed;
  w.hold_feed = true;
  w.add_view(view);
  w.hold_feed = false;
  for (std::uint16_t i = 0; i < 5; ++i) w.release_withheld(i);
  REQUIRE(w.commands<wire::Signed>().size() == 1);
  REQUIRE(w.sent.size() == 1);
  CHECK(w.sent[0].bytes == view.signed_tx);
}

TEST_CASE("nothing is sent before the signature is applied") {
  World w;
  w.start_all();
  w.create(0, "k0");
  w.hold_feed = true;
  auto planned = w.planned_view("k1", "alice", CoordinatorId(0));
  w.hold_feed = false;
  w.sent.clear();
  w.add_view(planned);
  w.hold_applies = true;
  auto second = w.planned_view("k2", "alice", CoordinatorId(0));
  w.sent.clear();
  w.add_view(second);
  w.advance(100);
  CHECK_FALSE(w.facts<co::Aggregated>(0).empty());
  for (const co::SendTransaction& send : w.sent) CHECK(send.withdrawal_id != second.id);
  w.apply_held();
  CHECK(w.sent.back().withdrawal_id == second.id);
}

TEST_CASE("a mined payment is confirmed by blocks reported in order") {
  World w;
  w.start_all();
  w.create(0, "k1");
  w.mine();
  w.mine();
  w.mine();
  w.advance(120);
  CHECK(w.tip.hash == w.chain.back().hash);
  CHECK(w.chain_facts == std::vector<std::string>{"+1", "+2", "+3"});
  CHECK(w.view("k1").state == WithdrawalState::Confirmed);
}

TEST_CASE("a long chain is fetched in bounded pieces") {
  World w;
  for (int i = 0; i < 40; ++i) w.mine();
  w.start_all();
  w.advance(500);
  CHECK(w.tip.height == 40);
  CHECK(w.chain_facts.size() == 40);
  std::size_t calls = 0;
  for (const co::Effect& effect : w.seat(0).effects) {
    const auto* call = std::get_if<co::NodeCall>(&effect);
    calls += call && std::holds_alternative<co::GetBlock>(call->body) ? 1 : 0;
  }
  CHECK(calls == 40);
}

TEST_CASE(
    "un-mined blocks are disconnected one by one, then payments are sent again from stored bytes") {
  World w;
  w.start_all();
  w.create(0, "k1");
  w.mine();
  w.mine();
  w.advance(200);
  REQUIRE(w.view("k1").state == WithdrawalState::Confirmed);
  const Bytes stored = w.view("k1").signed_tx;
  const std::size_t asked = w.asked();
  const std::size_t sessions = w.facts<co::SessionOpened>(0).size();
  w.chain_facts.clear();
  w.sent.clear();
  w.unmine();
  w.unmine();
  w.advance(400);
  CHECK(w.chain_facts == std::vector<std::string>{"-2", "-1"});
  REQUIRE_FALSE(w.sent.empty());
  CHECK(w.sent[0].bytes == stored);
  CHECK(w.mempool.size() == 1);
  CHECK(w.asked() == asked);
  CHECK(w.facts<co::SessionOpened>(0).size() == sessions);
}

TEST_CASE("a replaced block is disconnected before its successor is connected") {
  World w;
  w.start_all();
  w.mine();
  w.mine();
  w.advance(200);
  w.chain_facts.clear();
  w.unmine();
  w.mine();
  w.mine();
  w.advance(300);
  CHECK(w.chain_facts == std::vector<std::string>{"-2", "+2", "+3"});
  CHECK(w.tip.hash == w.chain.back().hash);
}

TEST_CASE("a block that does not stand on the ledger's tip is not reported") {
  World w;
  w.start_all();
  w.mine();
  TestBlock other;  // the chain was reorganised between the two answers
  other.hash.fill(0x77);
  other.prev.fill(0x66);
  w.next_block = other;
  w.advance(300);
  for (const wire::BlockConnected& fact : w.commands<wire::BlockConnected>())
    CHECK(fact.hash != other.hash);
  CHECK(w.tip.hash == w.chain.back().hash);
}

TEST_CASE("a lost mempool is refilled parents first, and no session is opened") {
  World w;
  w.start_all();
  auto parent = w.planned_view("parent", "alice", CoordinatorId(0));
  auto child = w.planned_view("child", "alice", CoordinatorId(0), {parent.planned->txid});
  auto grandchild = w.planned_view("grandchild", "alice", CoordinatorId(0), {child.planned->txid});
  for (auto* view : {&parent, &child, &grandchild}) {
    view->signed_tx = w.sign_elsewhere(*view->planned);
    view->state = WithdrawalState::Broadcast;
  }
  // The youngest is learnt first.
  w.add_view(grandchild);
  w.add_view(child);
  w.add_view(parent);
  w.advance(250);
  REQUIRE(w.mempool.size() == 3);
  CHECK(w.mempool[0] == parent.planned->txid);
  CHECK(w.mempool[1] == child.planned->txid);
  CHECK(w.mempool[2] == grandchild.planned->txid);
  CHECK(w.sent.size() == 3);  // nothing was sent in vain
  CHECK(w.asked() == 0);
  w.lose_mempool();
  w.advance(250);
  CHECK(w.mempool.size() == 3);
  CHECK(w.asked() == 0);
}

TEST_CASE("a child waits while its parent has not arrived at the node") {
  World w;
  w.start_all();
  auto parent = w.planned_view("parent", "alice", CoordinatorId(0));
  auto child = w.planned_view("child", "alice", CoordinatorId(0), {parent.planned->txid});
  for (auto* view : {&parent, &child}) {
    view->signed_tx = w.sign_elsewhere(*view->planned);
    view->state = WithdrawalState::Broadcast;
  }
  w.next_send = bitcoin::SendOutcome::WarmingUp;
  w.add_view(child);
  w.add_view(parent);
  w.advance(400);
  REQUIRE(w.sent.size() == 3);
  CHECK(w.sent[0].txid == parent.planned->txid);
  CHECK(w.sent[1].txid == parent.planned->txid);
  CHECK(w.sent[2].txid == child.planned->txid);
}

TEST_CASE("a big lost mempool is refilled without more than kMaxResendsInFlight sends at once") {
  World w;
  w.start_all();
  constexpr std::size_t kMany = 3 * limits::kMaxSendsInFlight;
  lose_many(w, kMany, 1);
  w.advance(250);
  CHECK(w.mempool.size() == kMany);
  CHECK(w.sent.size() == kMany);
  std::size_t most = 0;
  std::size_t open = 0;
  for (const auto& [call, answered] : w.send_order) {
    open = answered ? open - 1 : open + 1;
    most = std::max(most, open);
  }
  CHECK(most == co::kMaxResendsInFlight);
}

TEST_CASE("a payment's first send waits for nothing that the node lost but its parents") {
  World w;
  w.start_all();
  w.lost_sends.insert(0);  // none of them is answered
  lose_many(w, 3 * limits::kMaxSendsInFlight, 1);
  w.advance(250);
  REQUIRE(w.sent.size() == co::kMaxResendsInFlight);
  // Of all that was lost its parent is the last in the order of ids, so its turn has not come.
  auto last = w.view("k0");
  for (std::size_t i = 1; i < 3 * limits::kMaxSendsInFlight; ++i)
    last = std::max(last, w.view("k" + std::to_string(i)),
                    [](const auto& a, const auto& b) { return a.id < b.id; });
  w.sent.clear();
  add_payment(w, "child", WithdrawalState::Signed, 0, {last.planned->txid});
  const auto alone = add_payment(w, "alone", WithdrawalState::Signed);
  w.advance(120);
  REQUIRE(w.sent.size() == 2);
  CHECK(w.sent[0].txid == last.planned->txid);
  CHECK(w.sent[1].txid == alone.planned->txid);
}

TEST_CASE("what the mempool holds is not sent again") {
  World w;
  w.start_all();
  w.create(0, "k1");
  REQUIRE(w.sent.size() == 1);
  w.advance(2000);
  CHECK(w.sent.size() == 1);
}

TEST_CASE("what a block took out of the mempool is neither sent again nor taken over") {
  World w(2);
  w.start_all();
  w.create(0, "k1");
  w.advance(700);  // longer than the grace: what counts is the time it is missing
  w.hold_applies = true;
  w.mine();
  w.advance(250);
  w.apply_held();
  w.advance(900);
  CHECK(w.sent.size() == 1);
  CHECK(w.facts<co::TookOver>(1).empty());
}

TEST_CASE("a block found between two answers of the node makes nothing missing") {
  World w;
  w.start_all();
  w.create(0, "k1");
  w.advance(300);
  w.mine_at_mempool = true;
  w.advance(500);
  CHECK(w.view("k1").state == WithdrawalState::Confirmed);
  CHECK(w.sent.size() == 1);
}

TEST_CASE("what is missing only now is the owner's for the grace, however old it is") {
  World w(2);
  w.start_all();
  w.create(0, "k1");
  w.advance(2000);
  w.lose_mempool();
  w.next_send = bitcoin::SendOutcome::Rejected;  // the owner fails once and waits
  w.advance(500);
  CHECK(w.sent.size() == 2);
  CHECK(w.facts<co::TookOver>(1).empty());
}

TEST_CASE("what the node lost is sent again by the lowest live coordinator, each once") {
  World w(2);
  w.start_all();
  lose_many(w, 100, 2);
  w.advance(3000);
  CHECK(w.mempool.size() == 100);
  CHECK(w.sent.size() == 100);
  CHECK(w.sent_by(1).empty());
  // Nothing was taken over: there was nobody's work to continue.
  CHECK(w.facts<co::TookOver>(0).empty());
}

TEST_CASE("what the node lost is sent again by another coordinator when nothing comes back") {
  World w(2);
  w.start_all();
  w.lost_sends.insert(0);  // alive, and its sends lead nowhere
  lose_many(w, 100, 2);
  w.advance(450);
  CHECK(w.mempool.empty());
  CHECK(w.sent_by(1).empty());
  w.advance(1000);
  CHECK(w.mempool.size() == 100);
}

TEST_CASE("while what the node lost comes back slowly the other coordinator waits, to a bound") {
  World w(2);
  w.start_all();
  w.lost_sends.insert(0);
  add_payment(w, "stuck", WithdrawalState::Broadcast);
  // Somebody else sends one of them in each grace.
  std::size_t others = 0;
  const auto one_comes_back = [&] {
    const auto other =
        add_payment(w, "o" + std::to_string(others++), WithdrawalState::Broadcast);
    w.advance(300);  // missed
    w.mempool.push_back(other.planned->txid);
  };
  const Instant begun = w.now();
  while (w.now() - begun < co::kResendPatienceMost - milliseconds(500)) one_comes_back();
  CHECK(w.sent_by(1).empty());
  while (w.now() - begun < co::kResendPatienceMost + milliseconds(500)) one_comes_back();
  CHECK_FALSE(w.sent_by(1).empty());
}

TEST_CASE("others' first sends are no sign that somebody sends again what the node lost") {
  World w(3);
  w.start_all();
  w.lost_sends.insert(0);
  lose_many(w, 10, 1);
  // Coordinator 2 pays on, once in each grace; 0, whose turn it is, brings nothing back.
  for (int i = 0; i < 4; ++i) {
    w.create(2, "n" + std::to_string(i));
    w.advance(250);
  }
  CHECK(w.mempool.size() == 14);
  CHECK_FALSE(w.sent_by(1).empty());
}

TEST_CASE("what the node lost is sent again beside first sends that it does not answer") {
  World w;
  w.start_all();
  lose_many(w, 4, 1);
  w.lost_sends.insert(0);
  for (std::size_t i = 0; i < co::kMaxResendsInFlight + 4; ++i)
    add_payment(w, "n" + std::to_string(i), WithdrawalState::Signed);
  REQUIRE(w.sent.size() == co::kMaxResendsInFlight + 4);
  w.advance(250);
  CHECK(w.sent.size() == co::kMaxResendsInFlight + 8);
}

TEST_CASE("first sends that were held back go on while none that is sent again is answered") {
  World w;
  resends_hang(w);
  for (std::size_t i = 0; i < limits::kMaxSendsInFlight; ++i)
    add_payment(w, "n" + std::to_string(i), WithdrawalState::Signed);
  REQUIRE(w.sent.size() == limits::kMaxSendsInFlight);
  constexpr std::size_t kAnswered = limits::kMaxSendsInFlight / 4;
  accept_sends(w, co::kMaxResendsInFlight, kAnswered);
  CHECK(w.sent.size() == limits::kMaxSendsInFlight + kAnswered);
}

TEST_CASE("a draining coordinator sends nothing again") {
  World w;
  resends_hang(w);
  w.step(0, co::ShutdownRequested{});
  accept_sends(w, 0, co::kMaxResendsInFlight);
  CHECK(w.sent.size() == co::kMaxResendsInFlight);
  w.advance(100);
  CHECK(w.seat(0).drained);
}

TEST_CASE("the other coordinator's grace begins when it is the first one's turn") {
  World w(2);
  w.start_all();
  w.mine();
  w.advance(200);
  lose_many(w, 1, 1);
  w.lost_sends.insert(0);
  w.hold_applies = true;  // the block's end explains what is absent, for a grace
  w.unmine();
  w.advance(1000);
  CHECK(w.sent_by(0).size() == 1);
  CHECK(w.sent_by(1).empty());
  w.advance(500);
  CHECK(w.sent_by(1).size() == 1);
}

TEST_CASE("a coordinator that stood still reads nothing of what another one sends again") {
  World w(2);
  w.start_all();
  lose_many(w, 50, 2);
  w.advance(1000);
  REQUIRE(w.mempool.size() == 50);
  w.pause_coordinator(1);
  w.advance(600);
  w.lose_mempool();
  w.resume_coordinator(1);
  w.advance(450);
  CHECK(w.mempool.size() == 50);
  CHECK(w.facts<co::TookOver>(1).empty());
  CHECK(w.sent_by(1).empty());
  // Nor does the first one itself, which sends them: they are the applied ledger's bytes.
  w.pause_coordinator(0);
  w.advance(450);
  w.resume_coordinator(0);
  w.sent.clear();
  w.lose_mempool();
  w.advance(450);
  CHECK(w.sent.size() == 50);
  CHECK(w.facts<co::TookOver>(0).empty());
}

TEST_CASE("a coordinator that stood still does not take that for others' silence") {
  World w(2);
  w.start_all();
  w.lost_sends.insert(0);
  lose_many(w, 10, 1);
  w.advance(350);
  REQUIRE(w.sent_by(0).size() == 10);
  w.pause_coordinator(1);
  w.advance(1000);
  w.resume_coordinator(1);
  w.advance(350);
  CHECK(w.sent_by(1).empty());
  w.advance(350);
  CHECK(w.sent_by(1).size() == 10);
}

TEST_CASE("what a block took and lost again is missing only since then") {
  World w(2);
  w.start_all();
  w.create(0, "k0");
  w.mine();
  w.advance(1000);
  REQUIRE(w.view("k0").state == WithdrawalState::Confirmed);
  w.lost_sends.insert(0);
  w.unmine();
  w.advance(450);
  CHECK(w.sent_by(1).empty());
  w.advance(600);
  CHECK(w.sent_by(1).size() == 1);
}

TEST_CASE("a child waits for a parent in a block that the node lost and the ledger still has") {
  World w;
  w.start_all();
  w.create(0, "parent");
  w.mine();
  w.advance(200);
  REQUIRE(w.view("parent").state == WithdrawalState::Confirmed);
  const Hash32 parent = w.view("parent").planned->txid;
  auto child = w.planned_view("child", "alice", CoordinatorId(0), {parent});
  child.signed_tx = w.sign_elsewhere(*child.planned);
  child.state = WithdrawalState::Broadcast;
  w.sent.clear();
  w.hold_applies = true;  // the block's end is submitted, not applied
  w.unmine();
  w.advance(120);
  w.add_view(child);
  w.advance(1500);
  CHECK(w.sent.empty());
  w.hold_applies = false;
  w.apply_held();
  w.advance(300);
  REQUIRE(w.sent.size() == 2);
  CHECK(w.sent[0].txid == parent);
  CHECK(w.sent[1].txid == child.planned->txid);
}

TEST_CASE("a node that is down or warming up is asked again until it takes the transaction") {
  World w;
  w.start_all();
  w.next_send = bitcoin::SendOutcome::WarmingUp;
  w.create(0, "k1");
  CHECK(w.view("k1").state == WithdrawalState::Signed);
  w.node_up = false;
  w.advance(1000);
  w.node_up = true;
  w.advance(300);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
  CHECK(w.mempool.size() == 1);
}

TEST_CASE("a too long mempool chain waits for the next block") {
  World w;
  w.start_all();
  w.next_send = bitcoin::SendOutcome::MempoolChainTooLong;
  w.create(0, "k1");
  w.advance(2000);
  CHECK(w.sent.size() == 1);
  w.mine();
  w.advance(250);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("missing inputs are tried again at a bounded pace") {
  World w;
  w.start_all();
  auto orphan = w.planned_view("orphan", "alice", CoordinatorId(0), {Hash32{1, 2, 3}});
  orphan.signed_tx = w.sign_elsewhere(*orphan.planned);
  orphan.state = WithdrawalState::Broadcast;
  w.add_view(orphan);
  w.advance(1000);
  CHECK(w.sent.size() >= 2);
  CHECK(w.sent.size() <= 11);
}

TEST_CASE("a transaction confirmed before the ledger knows the block does no harm") {
  World w;
  w.start_all();
  w.hold_applies = true;
  w.create(0, "k1");
  w.apply_held();
  w.mine();
  w.next_send = std::nullopt;
  w.advance(300);
  CHECK(w.view("k1").state == WithdrawalState::Confirmed);
  CHECK(w.mempool.empty());
}

TEST_CASE("only the lowest coordinator reports blocks, the other acts when nobody does") {
  World w(2);
  w.start_all();
  w.advance(200);
  w.mine();
  w.advance(200);
  for (const auto& s : w.submitted) {
    if (std::holds_alternative<wire::BlockConnected>(s.command.body))
      CHECK(s.command.id.proposer.index == 0);
  }
  CHECK(w.tip.height == 1);
  w.pause_coordinator(0);
  w.mine();
  w.advance(1200);
  CHECK(w.tip.height == 2);
  CHECK(w.submitted.back().command.id.proposer.index == 1);
}

TEST_CASE("an answer about an older tip un-mines nothing") {
  World w;
  w.start_all();
  w.mine();
  w.advance(200);
  REQUIRE(w.tip.height == 1);
  w.chain_facts.clear();
  // The ledger learns block 2 from another coordinator; our last tip of the node is still block 1.
  w.mine();
  const Hash32 before = w.tip.hash;
  w.tip = wire::ChainTip{w.chain.back().hash, 2};
  CHECK(before != w.tip.hash);
  auto nudge = w.planned_view("nudge", "alice", CoordinatorId(0));
  w.add_view(nudge);  // feeds the new tip
  w.advance(300);
  CHECK(w.commands<wire::BlockDisconnected>().empty());
  CHECK(w.tip.height == 2);
}
