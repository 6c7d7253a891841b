// The replica machine: stories of two or three replicas around one log.
#include "ledger/core/command_queue.h"
#include "tests/unit/ledger_cluster.h"

namespace roulette::ledger {
namespace {

using wire::OutcomeKind;

std::optional<wire::LedgerApplied> answer_to(const Cluster::Client& client, std::uint64_t request) {
  for (const auto& answer : client.all<wire::LedgerApplied>()) {
    if (answer.request == request) return answer;
  }
  return std::nullopt;
}
std::optional<wire::LedgerAnswer> read_of(const Cluster::Client& client, std::uint64_t request) {
  for (const auto& answer : client.all<wire::LedgerAnswer>()) {
    if (answer.request == request) return answer;
  }
  return std::nullopt;
}

// ---- start ----

TEST_CASE("an empty log gets one genesis and all replicas become ready") {
  Cluster cluster(3);
  CHECK_FALSE(cluster.ready(0));
  cluster.run(milliseconds(50));
  for (std::uint16_t i = 0; i < 3; ++i) CHECK(cluster.ready(i));
  REQUIRE(!cluster.log().empty());
  CHECK(std::holds_alternative<wire::Genesis>(cluster.log()[0][0].body));
  CHECK(cluster.count_in_log<wire::Genesis>() == 1);
  cluster.require_agreement();
}

TEST_CASE("a replica on a log of another genesis stops") {
  Cluster cluster(2);
  wire::Genesis other = test_genesis();
  other.cluster_id = "somebody else's";
  cluster.append_foreign({{{}, other}});
  cluster.run(milliseconds(50));
  CHECK(cluster.stop_reason(0) == "the log's genesis is not the configured one");
  CHECK_FALSE(cluster.ready(0));
}

TEST_CASE("a restarted replica replays the log and ends with the same digest") {
  Cluster cluster(3);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  fund(cluster, client, 10);
  for (int i = 0; i < 10; ++i) (void)cluster.submit(client, withdraw_of("k" + std::to_string(i)));
  cluster.run(milliseconds(100));
  cluster.kill(2);
  (void)cluster.submit(client, withdraw_of("while away"));
  cluster.run(milliseconds(100));
  cluster.boot(2);
  CHECK_FALSE(cluster.ready(2));
  cluster.run(milliseconds(100));
  CHECK(cluster.ready(2));
  CHECK(cluster.state(2).by_key("while away").has_value());
  cluster.require_agreement();
}

// ---- commands ----

TEST_CASE("a command is answered when it was applied, with the view after it") {
  Cluster cluster(3);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  fund(cluster, client, 2);
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(2));
  CHECK_FALSE(answer_to(client, request).has_value());
  cluster.run(milliseconds(20));
  const auto answer = answer_to(client, request);
  REQUIRE(answer.has_value());
  CHECK(answer->outcome.kind == OutcomeKind::Applied);
  REQUIRE(answer->view.has_value());
  CHECK(answer->view->state == wire::WithdrawalState::Planned);
  CHECK(answer->index == cluster.log().size());
}

TEST_CASE("commands that arrive during a proposal share the next batch") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  const std::size_t before = cluster.log().size();
  for (int i = 0; i < 200; ++i) (void)cluster.submit(client, withdraw_of("k" + std::to_string(i)));
  cluster.run(milliseconds(100));
  CHECK(client.all<wire::LedgerApplied>().size() == 200);
  CHECK(cluster.log().size() - before == 5);  // 1, then 64, 64, 64, 7
}

TEST_CASE("a large batch is cut by bytes") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  const std::size_t before = cluster.log().size();
  wire::BlockConnected big;
  big.txids.resize(7000);  // 224 kB each: two in one batch, three exceed it
  for (int i = 0; i < 7; ++i) (void)cluster.submit(client, big);
  big.txids.resize(22000);  // alone over the bound
  (void)cluster.submit(client, big);
  cluster.run(milliseconds(100));
  CHECK(client.all<wire::LedgerApplied>().size() == 7);
  CHECK(cluster.log().size() - before == 4);
  CHECK(cluster.machine(0).gauges().dropped == 1);
}

TEST_CASE("a batch never exceeds what a replica reads, whatever its commands add up to") {
  // Two commands that together end just below, at and above the bound.
  const std::size_t bare = wire::encode_command({{}, wire::BlockConnected{}}).size();
  for (std::size_t over = 0; over <= 2 * wire::kBatchOverheadBytes; ++over) {
    CommandQueue queue;
    wire::BlockConnected block;
    block.txids.resize(8000);
    wire::Genesis rest;  // its cluster id fills up to the byte
    const std::size_t first = bare + 8000 * 32;
    const std::size_t left = limits::kMaxBatchBytes - 2 * wire::kBatchOverheadBytes - first;
    rest.cluster_id.assign(left + over - wire::encode_command({{}, wire::Genesis{}}).size(), 'c');
    REQUIRE(queue.add({{{Role::Coordinator, 0}, {}, 1}, block}, Instant{}, false));
    REQUIRE(queue.add({{{Role::Coordinator, 0}, {}, 2}, rest}, Instant{}, false));
    const auto batch = queue.take_batch([](const QueuedCommand&) { return true; });
    INFO(over);
    CHECK(batch.size() == (over <= wire::kBatchOverheadBytes ? 2U : 1U));
    CHECK(wire::encode_batch(batch).size() <= limits::kMaxBatchBytes);
  }
}

TEST_CASE("a replica forwards to the lowest ready one and answers when it applied") {
  Cluster cluster(3);
  auto& client = cluster.client(2);
  cluster.run(milliseconds(200));
  const std::size_t by_zero = cluster.proposals(0);
  const std::size_t by_two = cluster.proposals(2);
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(20));
  CHECK(answer_to(client, request).has_value());
  CHECK(cluster.proposals(0) == by_zero + 1);
  CHECK(cluster.proposals(2) == by_two);
}

TEST_CASE("a preferred proposer that stands still is passed over after the patience") {
  Cluster cluster(3);
  auto& client = cluster.client(1);
  cluster.run(milliseconds(200));
  cluster.pause(0);
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(95));
  CHECK_FALSE(answer_to(client, request).has_value());
  cluster.run(milliseconds(20));
  REQUIRE(answer_to(client, request).has_value());
  CHECK(answer_to(client, request)->outcome.kind == OutcomeKind::Rejected);
  // Silent for longer than a heartbeat allows, it is no longer waited for.
  cluster.run(milliseconds(200));
  const auto next = cluster.submit(client, withdraw_of("k2"));
  cluster.run(milliseconds(20));
  CHECK(answer_to(client, next).has_value());
  // Back again, it proposes what it was sent: known by key, it changes nothing.
  cluster.resume(0);
  cluster.run(milliseconds(500));
  CHECK(cluster.state(1).withdrawals() == 2);
  cluster.require_agreement();
}

TEST_CASE("a preferred proposer that dies is passed over at once") {
  Cluster cluster(3);
  auto& client = cluster.client(1);
  cluster.run(milliseconds(200));
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(microseconds(1500));  // forwarded, not proposed yet
  cluster.kill(0);
  cluster.run(milliseconds(20));
  CHECK(answer_to(client, request).has_value());
}

TEST_CASE("the same command at two replicas is answered by both and paid once") {
  Cluster cluster(3);
  auto& a = cluster.client(0);
  auto& b = cluster.client(2);
  cluster.run(milliseconds(50));
  fund(cluster, a, 3);
  const wire::Command command = cluster.command(withdraw_of("k"));
  const auto first = cluster.submit(a, command);
  const auto second = cluster.submit(b, command);
  cluster.run(milliseconds(50));
  REQUIRE(answer_to(a, first).has_value());
  REQUIRE(answer_to(b, second).has_value());
  CHECK(answer_to(a, first)->view->id == answer_to(b, second)->view->id);
  CHECK(cluster.state(0).withdrawals() == 1);
  CHECK(cluster.state(0).reservations().size() == 1);
}

TEST_CASE("one key at two replicas at once gives one withdrawal with one txid") {
  Cluster cluster(3);
  auto& a = cluster.client(0);
  auto& b = cluster.client(1);
  cluster.run(milliseconds(50));
  fund(cluster, a, 3);
  const auto first = cluster.submit(a, withdraw_of("k", 50'000, 1));
  const auto second = cluster.submit(b, withdraw_of("k", 50'000, 2));
  const auto conflict = cluster.submit(b, withdraw_of("k", 60'000, 3));
  cluster.run(milliseconds(50));
  const auto one = answer_to(a, first);
  const auto two = answer_to(b, second);
  REQUIRE(one.has_value());
  REQUIRE(two.has_value());
  CHECK(one->view->id == two->view->id);
  CHECK(one->view->planned->txid == two->view->planned->txid);
  CHECK((one->outcome.kind == OutcomeKind::Duplicate) !=
        (two->outcome.kind == OutcomeKind::Duplicate));
  CHECK(answer_to(b, conflict)->outcome.kind == OutcomeKind::KeyConflict);
}

// ---- outcomes of a proposal ----

TEST_CASE("unknown but committed: the command is found in the log and not proposed again") {
  Cluster cluster(2);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  cluster.propose_faults[0] = {ProposeFault::UnknownCommitted};
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(50));
  CHECK(answer_to(client, request).has_value());
  CHECK(cluster.count_in_log<wire::Withdraw>() == 1);
}

TEST_CASE("unknown and lost: the command is proposed again") {
  Cluster cluster(2);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  cluster.propose_faults[0] = {ProposeFault::UnknownLost, ProposeFault::UnknownLost};
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(50));
  CHECK(answer_to(client, request).has_value());
  CHECK(cluster.count_in_log<wire::Withdraw>() == 1);
}

TEST_CASE("unknown and committed after the barrier: the head comparison keeps the second one out") {
  Cluster cluster(2);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  cluster.propose_faults[0] = {ProposeFault::UnknownCommittedLate};
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(50));
  CHECK(answer_to(client, request).has_value());
  CHECK(cluster.count_in_log<wire::Withdraw>() == 1);
}

TEST_CASE("unknown with an unreadable log waits for a barrier before it proposes again") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  cluster.propose_faults[0] = {ProposeFault::UnknownLost};
  cluster.barrier_fails[0] = true;
  const std::size_t proposals = cluster.proposals(0);
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(300));
  CHECK(cluster.proposals(0) == proposals + 1);
  CHECK_FALSE(answer_to(client, request).has_value());
  cluster.barrier_fails[0] = false;
  cluster.run(milliseconds(50));
  CHECK(answer_to(client, request).has_value());
}

TEST_CASE("a moved head refuses the proposal, which comes again after catching up") {
  Cluster cluster(2);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  cluster.before_propose[0] = [&cluster] {
    cluster.append_foreign({cluster.command(withdraw_of("foreign"))});
  };
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(50));
  CHECK(answer_to(client, request).has_value());
  CHECK(cluster.count_in_log<wire::Withdraw>() == 2);
  CHECK(cluster.state(0).withdrawals() == 2);
}

TEST_CASE("two proposers at once lose no command and repeat none") {
  Cluster cluster(2);
  auto& a = cluster.client(0);
  auto& b = cluster.client(1);
  cluster.run(milliseconds(200));
  cluster.kill(0);
  cluster.boot(0);  // both hold themselves preferred until the heartbeats arrive
  cluster.run(microseconds(100));
  for (int i = 0; i < 40; ++i) {
    (void)cluster.submit(a, withdraw_of("a" + std::to_string(i)));
    (void)cluster.submit(b, withdraw_of("b" + std::to_string(i)));
  }
  auto& again = cluster.client(0);
  for (int i = 0; i < 40; ++i) (void)cluster.submit(again, withdraw_of("c" + std::to_string(i)));
  cluster.run(milliseconds(500));
  CHECK(b.all<wire::LedgerApplied>().size() == 40);
  CHECK(again.all<wire::LedgerApplied>().size() == 40);
  CHECK(cluster.state(0).withdrawals() == 80);
  CHECK(cluster.count_in_log<wire::Withdraw>() == 80);
  cluster.require_agreement();
}

TEST_CASE("after unknown nothing is proposed before everything up to the head was applied") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(200));
  cluster.propose_faults[0] = {ProposeFault::UnknownCommitted};
  cluster.stall_watch(0);
  const std::size_t before = cluster.proposals(0);
  const auto request = cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(200));
  CHECK(cluster.proposals(0) == before + 1);
  CHECK_FALSE(answer_to(client, request).has_value());
  cluster.resume_watch(0);
  cluster.run(milliseconds(20));
  CHECK(answer_to(client, request).has_value());
  CHECK(cluster.proposals(0) == before + 1);
}

TEST_CASE("a barrier that was under way before the outcome does not resolve it") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(200));
  cluster.barrier_time[0] = milliseconds(10);
  cluster.propose_faults[0] = {ProposeFault::UnknownCommitted};
  cluster.stall_watch(0);
  const std::size_t before = cluster.proposals(0);
  (void)cluster.ask(client, wire::QueryBalances{});  // its barrier reads the head after 5 ms
  cluster.run(milliseconds(4));
  const auto request = cluster.submit(client, withdraw_of("k"));  // committed after 7 ms
  cluster.run(milliseconds(100));
  CHECK(cluster.proposals(0) == before + 1);
  cluster.resume_watch(0);
  cluster.run(milliseconds(20));
  CHECK(answer_to(client, request).has_value());
  CHECK(cluster.proposals(0) == before + 1);
}

// ---- reads ----

TEST_CASE("a read is answered at or after a barrier taken behind its arrival") {
  Cluster cluster(2);
  auto& writer = cluster.client(0);
  auto& reader = cluster.client(1);
  cluster.run(milliseconds(200));
  cluster.stall_watch(1);
  const auto write = cluster.submit(writer, withdraw_of("k"));
  cluster.run(milliseconds(20));
  REQUIRE(answer_to(writer, write).has_value());
  const auto read = cluster.ask(reader, wire::QueryByKey{"k"});
  cluster.run(milliseconds(100));
  CHECK_FALSE(read_of(reader, read).has_value());  // not from what it knew before
  cluster.resume_watch(1);
  cluster.run(milliseconds(20));
  REQUIRE(read_of(reader, read).has_value());
  CHECK(read_of(reader, read)->available);
  REQUIRE(read_of(reader, read)->view.has_value());
  CHECK(read_of(reader, read)->view->key == "k");
  CHECK(read_of(reader, read)->index >= answer_to(writer, write)->index);
}

TEST_CASE("a read that arrives during a barrier waits for the next one") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(200));
  cluster.barrier_time[0] = milliseconds(10);
  const std::size_t before = cluster.barriers(0);
  const auto first = cluster.ask(client, wire::QueryBalances{});
  cluster.run(milliseconds(3));
  REQUIRE(cluster.barriers(0) == before + 1);
  std::vector<std::uint64_t> later;
  for (int i = 0; i < 50; ++i) later.push_back(cluster.ask(client, wire::QueryBalances{}));
  cluster.run(milliseconds(9));
  CHECK(read_of(client, first).has_value());
  CHECK_FALSE(read_of(client, later[0]).has_value());
  cluster.run(milliseconds(12));
  for (const std::uint64_t request : later) CHECK(read_of(client, request).has_value());
  CHECK(cluster.barriers(0) == before + 2);
}

TEST_CASE("a barrier that fails refuses its reads instead of letting them wait") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(200));
  cluster.barrier_fails[0] = true;
  const auto read = cluster.ask(client, wire::QueryBalances{});
  cluster.run(milliseconds(20));
  REQUIRE(read_of(client, read).has_value());
  CHECK_FALSE(read_of(client, read)->available);
}

TEST_CASE("an unknown key is answered as unknown, balances as they are") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  fund(cluster, client, 2);
  const auto unknown = cluster.ask(client, wire::QueryByKey{"never"});
  const auto balances = cluster.ask(client, wire::QueryBalances{});
  cluster.run(milliseconds(20));
  CHECK(read_of(client, unknown)->available);
  CHECK_FALSE(read_of(client, unknown)->view.has_value());
  CHECK(read_of(client, balances)->balances == cluster.state(0).balances());
}

// ---- feeds ----

TEST_CASE("a follower gets everything unfinished, then every change") {
  Cluster cluster(2);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  fund(cluster, client, 5);
  (void)cluster.submit(client, withdraw_of("before"));
  cluster.run(milliseconds(50));
  auto& follower = cluster.client(1);
  cluster.send(follower, wire::LedgerFollow{});
  cluster.run(milliseconds(20));
  auto feeds = follower.all<wire::LedgerFeed>();
  REQUIRE(feeds.size() == 1);
  CHECK(feeds[0].first);
  CHECK(feeds[0].complete);
  REQUIRE(feeds[0].changed.size() == 1);
  CHECK(feeds[0].changed[0].key == "before");
  CHECK(feeds[0].tip == cluster.state(0).tip());
  (void)cluster.submit(client, withdraw_of("after"));
  cluster.run(milliseconds(50));
  feeds = follower.all<wire::LedgerFeed>();
  REQUIRE(feeds.size() == 2);
  CHECK_FALSE(feeds[1].first);
  REQUIRE(feeds[1].changed.size() == 1);
  CHECK(feeds[1].changed[0].key == "after");
  CHECK(feeds[1].changed[0].state == wire::WithdrawalState::Planned);
}

TEST_CASE("a long list comes in frames of bounded size, the last one marked complete") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  fund(cluster, client, 300);
  for (int i = 0; i < 300; ++i) (void)cluster.submit(client, withdraw_of("k" + std::to_string(i)));
  cluster.run(milliseconds(300));
  auto& follower = cluster.client(0);
  cluster.send(follower, wire::LedgerFollow{});
  cluster.run(milliseconds(20));
  const auto feeds = follower.all<wire::LedgerFeed>();
  REQUIRE(feeds.size() == 3);
  CHECK(feeds[0].changed.size() == limits::kMaxFeedViewsPerFrame);
  CHECK(feeds[0].first);
  CHECK_FALSE(feeds[1].first);
  CHECK_FALSE(feeds[1].complete);
  CHECK(feeds[2].complete);
  CHECK(feeds[0].changed.size() + feeds[1].changed.size() + feeds[2].changed.size() == 300);
}

TEST_CASE("a replica that is not ready lets a follower wait until it is") {
  Cluster cluster(2);
  cluster.run(milliseconds(50));
  cluster.lose_log(1);
  auto& follower = cluster.client(1);
  cluster.send(follower, wire::LedgerFollow{});
  cluster.run(milliseconds(100));
  CHECK(follower.all<wire::LedgerFeed>().empty());
  cluster.restore_log(1);
  cluster.run(milliseconds(50));
  REQUIRE(follower.all<wire::LedgerFeed>().size() == 1);
  CHECK(follower.all<wire::LedgerFeed>()[0].first);
}

// ---- readiness ----

TEST_CASE("a replica without its log serves nothing until it is back and caught up") {
  Cluster cluster(2);
  auto& client = cluster.client(1);
  auto& other = cluster.client(0);
  cluster.run(milliseconds(200));
  REQUIRE(cluster.ready(1));
  cluster.lose_log(1);
  (void)cluster.submit(other, withdraw_of("k"));
  cluster.run(milliseconds(20));
  CHECK_FALSE(cluster.ready(1));
  CHECK(client.last<wire::LedgerStatus>()->ready == false);
  CHECK(client.last<wire::LedgerStatus>()->reason == "log lost: gap");
  const auto read = cluster.ask(client, wire::QueryByKey{"k"});
  cluster.run(milliseconds(20));
  CHECK_FALSE(read_of(client, read)->available);
  cluster.restore_log(1);
  cluster.run(milliseconds(50));
  CHECK(cluster.ready(1));
  CHECK(client.last<wire::LedgerStatus>()->ready);
  CHECK(cluster.state(1).by_key("k").has_value());
}

TEST_CASE("a silent watch is noticed by the barriers: the replica is not ready after the bound") {
  Cluster cluster(2);
  auto& writer = cluster.client(0);
  cluster.run(milliseconds(200));
  cluster.stall_watch(1);
  cluster.run(seconds(3));
  CHECK(cluster.ready(1));  // an idle log: nothing was missed
  (void)cluster.submit(writer, withdraw_of("k"));
  cluster.run(milliseconds(700));
  CHECK(cluster.ready(1));
  cluster.run(milliseconds(600));
  CHECK_FALSE(cluster.ready(1));
  CHECK(cluster.why_not(1) == "behind the log");
  cluster.resume_watch(1);
  cluster.run(milliseconds(300));
  CHECK(cluster.ready(1));
}

TEST_CASE("a replica that cannot read the head is not ready after the bound") {
  Cluster cluster(1);
  cluster.run(milliseconds(200));
  cluster.barrier_fails[0] = true;
  cluster.run(milliseconds(1300));
  CHECK_FALSE(cluster.ready(0));
  cluster.barrier_fails[0] = false;
  cluster.run(milliseconds(50));
  CHECK(cluster.ready(0));
}

TEST_CASE("a paused replica that wakes up says it is not ready before it answers anything") {
  Cluster cluster(2);
  auto& client = cluster.client(0);
  auto& follower = cluster.client(1);
  cluster.run(milliseconds(200));
  cluster.pause(1);
  (void)cluster.submit(client, withdraw_of("k"));
  cluster.run(seconds(3));
  cluster.send(follower, wire::LedgerFollow{});
  cluster.run(milliseconds(2));
  follower.got.clear();
  cluster.resume(1);
  cluster.run(milliseconds(50));
  CHECK(cluster.ready(1));
  REQUIRE(follower.got.size() >= 3);
  REQUIRE(std::holds_alternative<wire::LedgerStatus>(follower.got[0]));
  CHECK_FALSE(std::get<wire::LedgerStatus>(follower.got[0]).ready);
  // What it then tells its follower is the caught-up list.
  REQUIRE(follower.all<wire::LedgerFeed>().size() == 1);
  CHECK(follower.all<wire::LedgerFeed>()[0].index == cluster.log().size());
}

TEST_CASE("a log shorter than what was applied stops the replica") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  (void)cluster.submit(client, withdraw_of("k"));
  cluster.run(milliseconds(400));
  cluster.barrier_time[0] = seconds(10);  // the test answers itself
  (void)cluster.ask(client, wire::QueryBalances{});
  cluster.run(milliseconds(300));
  cluster.inject(0, BarrierDone{cluster.barriers(0), 1});
  cluster.run(milliseconds(5));
  CHECK(cluster.stop_reason(0) == "the log is shorter than what was applied from it");
}

// ---- checkpoints ----

TEST_CASE("every replica reports each checkpoint once and the log comes to rest") {
  Cluster cluster(3, test_genesis(), 8);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  for (int i = 0; i < 8; ++i) {
    (void)cluster.submit(client, withdraw_of("k" + std::to_string(i)));
    cluster.run(milliseconds(20));
  }
  cluster.run(milliseconds(500));
  const std::size_t length = cluster.log().size();
  CHECK(length >= 8);
  CHECK(cluster.count_in_log<wire::Checkpoint>() == 3 * (length / 8));
  cluster.run(seconds(2));
  CHECK(cluster.log().size() == length);
  for (std::uint16_t i = 0; i < 3; ++i) {
    CHECK(cluster.stop_reason(i).empty());
    for (const WriteTables& entry : cluster.tables(i)) {
      CHECK((entry.digest != Hash32{}) == (entry.index % 8 == 0));
    }
  }
}

wire::Command report(std::uint16_t replica, std::uint64_t index, const char* digest) {
  return {{{Role::Ledger, replica}, BootId(ByteArray<16>{0xee}), index},
          wire::Checkpoint{LedgerId(replica), index, hash_of(digest)}};
}

void fill_to(Cluster& cluster, std::size_t length) {
  int i = 0;
  while (cluster.log().size() < length) {
    cluster.append_foreign({cluster.command(withdraw_of("fill" + std::to_string(i++)))});
  }
}

TEST_CASE("a replica that differs from a majority stops and refuses to serve") {
  Cluster cluster(3, test_genesis(), 8);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  cluster.kill(1);
  cluster.kill(2);
  fill_to(cluster, 8);
  cluster.append_foreign({report(1, 8, "what both others found")});
  cluster.run(milliseconds(20));
  CHECK(cluster.ready(0));  // one against one: nobody knows yet
  cluster.append_foreign({report(2, 8, "what both others found")});
  cluster.run(milliseconds(20));
  CHECK(cluster.stop_reason(0) == "the state at index 8 differs from the majority's");
  CHECK_FALSE(cluster.ready(0));
  CHECK_FALSE(client.last<wire::LedgerStatus>()->ready);
}

TEST_CASE("without any majority all stop") {
  Cluster cluster(3, test_genesis(), 8);
  cluster.run(milliseconds(50));
  cluster.kill(1);
  cluster.kill(2);
  fill_to(cluster, 8);
  cluster.append_foreign({report(1, 8, "x"), report(2, 8, "y")});
  cluster.run(milliseconds(20));
  CHECK(cluster.stop_reason(0) == "no majority agrees on the state at index 8");
}

TEST_CASE("one deviating replica does not stop the two that agree") {
  Cluster cluster(3, test_genesis(), 8);
  cluster.run(milliseconds(50));
  cluster.kill(2);
  fill_to(cluster, 8);
  cluster.append_foreign({report(2, 8, "deviant")});
  cluster.run(milliseconds(200));
  CHECK(cluster.ready(0));
  CHECK(cluster.ready(1));
}

TEST_CASE("a digest that differs in an old checkpoint is found on replay") {
  Cluster cluster(3, test_genesis(), 8);
  cluster.run(milliseconds(50));
  cluster.kill(0);
  cluster.kill(1);
  cluster.kill(2);
  fill_to(cluster, 8);
  cluster.append_foreign({report(1, 8, "z"), report(2, 8, "z")});
  cluster.boot(0);
  cluster.run(milliseconds(50));
  CHECK(cluster.stop_reason(0) == "the state at index 8 differs from the majority's");
}

TEST_CASE("tables that differ from the replay stop the replica, equal ones do not") {
  Cluster cluster(1, test_genesis(), 8);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  for (int i = 0; i < 10; ++i) {
    (void)cluster.submit(client, withdraw_of("k" + std::to_string(i)));
    cluster.run(milliseconds(20));
  }
  LoadedTables loaded;
  for (const WriteTables& entry : cluster.tables(0)) {
    if (entry.digest != Hash32{}) loaded = LoadedTables{entry.index, entry.digest, {}, 0};
  }
  REQUIRE(loaded.index == 8);
  cluster.boot(0, loaded);
  cluster.run(milliseconds(50));
  CHECK(cluster.ready(0));
  loaded.digest[0] ^= 1;
  cluster.boot(0, loaded);
  cluster.run(milliseconds(50));
  CHECK(cluster.stop_reason(0) == "replay and tables differ at index 8");
  loaded.index = 1000;
  cluster.boot(0, loaded);
  cluster.run(milliseconds(50));
  CHECK(cluster.stop_reason(0) == "the log is shorter than the tables");
}

// ---- end and drain ----

TEST_CASE("the end of the run enters the log once and its digest is given") {
  Cluster cluster(3);
  cluster.run(milliseconds(50));
  cluster.inject(1, EndOfRunRequested{});
  cluster.inject(1, EndOfRunRequested{});
  cluster.run(milliseconds(100));
  CHECK(cluster.count_in_log<wire::EndOfRun>() == 1);
  for (std::uint16_t i = 0; i < 3; ++i) {
    CHECK(cluster.state(i).closed());
    CHECK(cluster.tables(i).back().digest == cluster.state(i).digest());
  }
}

TEST_CASE("a draining replica finishes what it took, takes nothing new and then says so") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  const auto taken = cluster.submit(client, withdraw_of("taken"));
  cluster.run(milliseconds(1));
  cluster.inject(0, ShutdownRequested{});
  const auto late = cluster.submit(client, withdraw_of("late"));
  cluster.run(microseconds(1500));
  CHECK_FALSE(cluster.drained(0));
  CHECK(client.last<wire::LedgerStatus>()->reason == "draining");
  cluster.run(milliseconds(50));
  CHECK(cluster.drained(0));
  CHECK(answer_to(client, taken).has_value());
  CHECK_FALSE(answer_to(client, late).has_value());
}

TEST_CASE("an idle replica drains at once") {
  Cluster cluster(2);
  cluster.run(milliseconds(50));
  cluster.inject(1, ShutdownRequested{});
  cluster.run(milliseconds(1));
  CHECK(cluster.drained(1));
}

// ---- hostile or odd input ----

TEST_CASE("messages from the wrong role and commands that are the ledger's own are dropped") {
  Cluster cluster(2);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  const auto before = cluster.machine(0).gauges().dropped;
  cluster.send(client, wire::LedgerHeartbeat{99, true});
  cluster.send(client, wire::LedgerForward{{cluster.command(withdraw_of("k"))}});
  cluster.send(client, wire::SignerPing{});
  (void)cluster.submit(client, wire::Checkpoint{LedgerId(1), 64, {}});
  (void)cluster.submit(client, test_genesis());
  cluster.inject(0, MessageReceived{ConnectionId(777), wire::LedgerFollow{}});
  cluster.run(milliseconds(50));
  CHECK(cluster.machine(0).gauges().dropped == before + 6);
  CHECK(cluster.count_in_log<wire::Withdraw>() == 0);
}

TEST_CASE("a withdrawal that no listed client asked for never gets into the log") {
  const auto says = [](const crypto::Ed25519PublicKey&, ByteSpan text, ByteSpan signature) {
    const Hash32 digest = crypto::sha256(text);
    return std::equal(digest.begin(), digest.end(), signature.begin());
  };
  auto list = wire::ClientList::make("test", {{"shop", {}, {"alpha"}}, {"bank", {}, {"bravo"}}},
                                     {{"alpha", {60'000, {}}}, {"bravo", {60'000, {}}}}, says);
  REQUIRE(list.ok());
  const auto asked = [](const std::string& client, const std::string& key,
                        const std::string& account, std::int64_t amount_sat = 50'000) {
    wire::Withdraw w = withdraw_of(key, amount_sat);
    w.id = wire::withdrawal_id_of(key);
    w.account = account;
    w.payload_digest = wire::payload_digest(account, w.script, amount_sat);
    w.client = wire::ClientSignature{client, {}};
    const Hash32 digest =
        crypto::sha256(wire::signed_text("test", client, {key, account, w.script, amount_sat}));
    std::copy(digest.begin(), digest.end(), w.client->signature.begin());
    return w;
  };
  Cluster cluster(2);
  cluster.clients = std::make_shared<const wire::ClientList>(std::move(list).value());
  for (std::uint16_t i = 0; i < 2; ++i) {
    cluster.kill(i);
    cluster.boot(i);
  }
  cluster.run(milliseconds(300));
  auto& coordinator = cluster.client(0);
  std::vector<wire::Withdraw> made_up(6, asked("shop", "k", "alpha"));
  made_up[0].client.reset();
  made_up[1].client->signature[0] ^= 1;
  made_up[2] = asked("shop", "k", "bravo");             // debits another account
  made_up[3].account = "bravo";                         // signed for alpha
  made_up[3].payload_digest = wire::payload_digest("bravo", made_up[3].script, 50'000);
  made_up[4].id = wire::withdrawal_id_of("another");    // no signer would take it: a key for ever
  made_up[5] = asked("shop", "k", "alpha", 60'001);
  for (const wire::Withdraw& withdraw : made_up) (void)cluster.submit(coordinator, withdraw);
  cluster.run(milliseconds(100));
  CHECK(cluster.count_in_log<wire::Withdraw>() == 0);
  CHECK(cluster.machine(0).gauges().unrequested == made_up.size());
  const auto refused = coordinator.all<wire::LedgerApplied>();
  REQUIRE(refused.size() == made_up.size());
  for (const wire::LedgerApplied& answer : refused) {
    CHECK(answer.outcome.kind == OutcomeKind::Invalid);
    CHECK_FALSE(answer.view.has_value());
  }
  // The key is still the client's.
  (void)cluster.submit(coordinator, asked("shop", "k", "alpha"));
  cluster.run(milliseconds(100));
  CHECK(cluster.count_in_log<wire::Withdraw>() == 1);
  REQUIRE(cluster.state(1).by_key("k").has_value());
  CHECK(cluster.state(1).by_key("k")->account == "alpha");
}

TEST_CASE("a coordinator that is gone gets no answer and holds nothing up") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  (void)cluster.submit(client, withdraw_of("k"));
  (void)cluster.ask(client, wire::QueryBalances{});
  cluster.run(milliseconds(1));
  cluster.disconnect(client);
  cluster.run(milliseconds(50));
  CHECK(client.all<wire::LedgerApplied>().empty());
  CHECK(client.all<wire::LedgerAnswer>().empty());
  CHECK(cluster.state(0).by_key("k").has_value());
  CHECK(cluster.machine(0).gauges().waiting_requests == 0);
  CHECK(cluster.machine(0).gauges().waiting_reads == 0);
}

TEST_CASE("more commands than the queue holds are dropped and counted, never kept") {
  Cluster cluster(1);
  auto& client = cluster.client(0);
  cluster.run(milliseconds(50));
  cluster.propose_faults[0] = {ProposeFault::UnknownLost};
  cluster.barrier_fails[0] = true;
  for (std::size_t i = 0; i < limits::kMaxQueuedCommands + 10; ++i) {
    (void)cluster.submit(client, wire::Broadcast{});
  }
  cluster.run(milliseconds(10));
  CHECK(cluster.machine(0).gauges().queued_commands == limits::kMaxQueuedCommands);
  CHECK(cluster.machine(0).gauges().dropped == 10);
}

TEST_CASE("an entry delivered twice is applied once, a skipped index stops the replica") {
  Cluster cluster(1);
  cluster.run(milliseconds(50));
  const Hash32 digest = cluster.state(0).digest();
  cluster.inject(0, EntryDelivered{1, cluster.log()[0]});
  cluster.run(milliseconds(5));
  CHECK(cluster.state(0).digest() == digest);
  cluster.inject(0, EntryDelivered{3, {}});
  cluster.run(milliseconds(5));
  CHECK(cluster.stop_reason(0) == "the log engine skipped an index");
}

}  // namespace
}  // namespace roulette::ledger
