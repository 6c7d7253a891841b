// Snapshots, trims and starting from them: stories of three replicas around one log and its store.
#include <algorithm>
#include <set>

#include "tests/unit/ledger_snapshot_world.h"

namespace roulette::ledger {
namespace {

using wire::OutcomeKind;

TEST_CASE("the preferred replica stores a snapshot, waits for the majority, reads it, trims") {
  SnapshotWorld world;
  world.grow_to(3 * kEvery + 4);
  const Cluster& cluster = world.cluster;
  CHECK(cluster.complete_snapshots() == std::vector<std::uint64_t>{32, 48});
  CHECK(cluster.trimmed() == 32);
  CHECK(cluster.orders(1).empty());
  CHECK(cluster.orders(2).empty());
  // The first one finds no older one, so nothing is trimmed.
  const auto& orders = cluster.orders(0);
  const auto position = [&orders](const std::string& what) {
    const auto found = std::find(orders.begin(), orders.end(), what);
    INFO(what);
    REQUIRE(found != orders.end());
    return found - orders.begin();
  };
  CHECK(position("chunk 16/0") == 0);
  CHECK(position("chunk 16/1") == 1);
  CHECK(position("manifest 16") < position("read 16"));
  CHECK(position("read 15") == position("read 16") + 1);
  CHECK(position("chunk 32/0") == position("read 15") + 1);
  CHECK(position("read 31") + 1 == position("trim 16 32"));
  CHECK(position("trim 32 48") > position("read 47"));
  const Gauges gauges = cluster.machine(0).gauges();
  CHECK(gauges.newest_snapshot == 48);
  CHECK(gauges.trimmed_to == 32);
  CHECK(gauges.snapshots_given_up == 0);
  cluster.require_agreement();
}

TEST_CASE("a replica that starts behind the trim loads the newest snapshot and knows everything") {
  SnapshotWorld world;
  world.grow_to(10);
  const wire::WithdrawalView early = *world.cluster.state(0).by_key("k0");
  world.cluster.kill(2);
  world.grow_to(4 * kEvery + 3);
  world.cluster.boot(2);
  world.cluster.run(milliseconds(300));
  world.require_whole(2);
  REQUIRE(world.cluster.restored(2).has_value());
  CHECK(world.cluster.restored(2)->index == 64);
  CHECK_FALSE(world.cluster.restored(2)->over);
  // The tables go on behind it.
  CHECK(world.cluster.tables(2).front().index == 65);
  // The key is known for ever, with its payload and its coins.
  world.talk_to(2);
  (void)world.cluster.submit(*world.client, withdraw_of("k0"));
  world.cluster.run(milliseconds(50));
  const auto again = world.client->last<wire::LedgerApplied>();
  REQUIRE(again.has_value());
  CHECK(again->outcome.kind == OutcomeKind::Duplicate);
  CHECK(again->view == early);
  (void)world.cluster.submit(*world.client, withdraw_of("k0", 60'000));
  world.cluster.run(milliseconds(50));
  CHECK(world.client->last<wire::LedgerApplied>()->outcome.kind == OutcomeKind::KeyConflict);
  world.cluster.require_agreement();
}

TEST_CASE("large snapshots are many intervals apart, and whoever writes one trims by the older") {
  SnapshotWorld world;
  Cluster& cluster = world.cluster;
  const auto again = [&cluster](std::uint16_t i) {
    cluster.kill(i);
    cluster.run(milliseconds(50));
    cluster.boot(i);
    cluster.run(milliseconds(300));
  };
  cluster.snapshot_bytes_per_interval = 800;
  for (std::uint16_t i = 0; i < 3; ++i) again(i);
  world.talk_to(0);
  world.grow_to(21 * kEvery);
  const auto stored = cluster.complete_snapshots();
  REQUIRE(stored.size() == 2);
  CHECK(stored[1] - stored[0] > limits::kSnapshotsConfirmed * kEvery);
  CHECK(cluster.trimmed() == stored[0]);
  // One that did not write them, and one that knows of them from the log only.
  again(1);
  cluster.kill(0);
  world.talk_to(1);
  world.grow_to(44 * kEvery);
  world.grow_to(64 * kEvery);
  const auto later = cluster.complete_snapshots();
  REQUIRE(later.size() == 2);
  CHECK(later[1] - later[0] > limits::kSnapshotsConfirmed * kEvery);
  CHECK(later[0] >= stored[1]);
  CHECK(cluster.trimmed() == later[0]);
  world.require_whole(1);
  world.require_whole(2);
  cluster.require_agreement();
}

TEST_CASE("all three wiped at once start from the snapshot and go on") {
  SnapshotWorld world;
  world.grow_to(4 * kEvery + 3);
  for (std::uint16_t i = 0; i < 3; ++i) world.cluster.kill(i);
  world.cluster.run(milliseconds(50));
  for (std::uint16_t i = 0; i < 3; ++i) world.cluster.boot(i);
  world.cluster.run(milliseconds(500));
  for (std::uint16_t i = 0; i < 3; ++i) {
    world.require_whole(i);
    CHECK(world.cluster.restored(i)->index == 64);
  }
  world.talk_to(0);
  world.grow_to(6 * kEvery + 3);
  CHECK(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{80, 96});
  for (std::uint16_t i = 0; i < 3; ++i) world.require_whole(i);
}

TEST_CASE("a replica that falls behind the trim while it runs loads, and feeds followers anew") {
  SnapshotWorld world;
  world.grow_to(10);
  auto& follower = world.cluster.client(2);
  world.cluster.send(follower, wire::LedgerFollow{});
  world.cluster.run(milliseconds(20));
  REQUIRE(follower.last<wire::LedgerFeed>()->complete);
  world.cluster.stall_watch(2);
  world.grow_to(4 * kEvery + 3);
  REQUIRE(world.cluster.trimmed() > world.cluster.machine(2).gauges().index);
  follower.got.clear();
  world.cluster.resume_watch(2);
  world.cluster.run(milliseconds(300));
  world.require_whole(2);
  CHECK(world.cluster.stop_reason(2).empty());
  std::set<std::string> told;
  const auto feeds = follower.all<wire::LedgerFeed>();
  REQUIRE_FALSE(feeds.empty());
  CHECK(feeds.front().first);
  for (const wire::LedgerFeed& feed : feeds) {
    for (const wire::WithdrawalView& view : feed.changed) told.insert(view.key);
  }
  for (const wire::WithdrawalView& view : world.cluster.state(2).unfinished()) {
    CHECK(told.contains(view.key));
  }
}

TEST_CASE("a proposal that is under way when its replica falls behind is in the log once or twice, "
          "and pays once") {
  for (const ProposeFault fault : {ProposeFault::None, ProposeFault::UnknownLost,
                                   ProposeFault::UnknownCommitted,
                                   ProposeFault::AcceptedToldLate}) {
    SnapshotWorld world;
    world.grow_to(10);
    // Replica 2 proposes by itself: it hears of no other.
    world.cluster.stall_watch(2);
    auto& client = world.cluster.client(2);
    world.cluster.propose_faults[2] = {fault};
    (void)world.cluster.submit(client, withdraw_of("jumped"));
    world.grow_to(4 * kEvery + 3);
    world.cluster.resume_watch(2);
    world.cluster.run(fault == ProposeFault::AcceptedToldLate ? seconds(4) : milliseconds(500));
    world.require_whole(2);
    const auto view = world.cluster.state(2).by_key("jumped");
    REQUIRE(view.has_value());
    std::set<bitcoin::OutPoint> distinct;
    for (const Reservation& line : world.cluster.state(2).reservations()) {
      CHECK(distinct.insert(line.outpoint).second);
    }
    CHECK(world.cluster.machine(2).gauges().queued_commands == 0);
    world.cluster.require_agreement();
  }
}

TEST_CASE("an Accepted that comes behind the jump over its entry holds nothing up") {
  SnapshotWorld world;
  world.grow_to(10);
  Cluster& cluster = world.cluster;
  // Replica 2 is alone when it proposes, and sees neither its entry nor the answer.
  cluster.kill(0);
  cluster.kill(1);
  cluster.stall_watch(2);
  cluster.propose_faults[2] = {ProposeFault::AcceptedToldLate};
  auto& client = cluster.client(2);
  const std::size_t before = cluster.log().size();
  const std::uint64_t request = cluster.submit(client, withdraw_of("jumped"));
  cluster.run(milliseconds(20));
  REQUIRE(cluster.log().size() == before + 1);
  cluster.boot(0);
  cluster.boot(1);
  cluster.run(milliseconds(50));
  world.talk_to(0);
  world.grow_to(4 * kEvery + 3);
  REQUIRE(cluster.trimmed() > before);
  cluster.resume_watch(2);
  cluster.run(milliseconds(100));
  REQUIRE(cluster.restored(2).has_value());
  CHECK(client.all<wire::LedgerApplied>().empty());
  cluster.run(seconds(2));  // the answer comes
  world.require_whole(2);
  const auto first = client.last<wire::LedgerApplied>();
  REQUIRE(first.has_value());
  CHECK(first->request == request);
  CHECK(first->outcome.kind == OutcomeKind::Duplicate);
  // Alone again: nobody else could bring the second one into the log.
  cluster.kill(0);
  cluster.kill(1);
  (void)cluster.submit(client, withdraw_of("second"));
  cluster.run(milliseconds(500));
  REQUIRE(cluster.state(2).by_key("second").has_value());
  CHECK(client.last<wire::LedgerApplied>()->outcome.kind == OutcomeKind::Applied);
  CHECK(cluster.machine(2).gauges().queued_commands == 0);
}

TEST_CASE("without a majority's word no manifest is stored and nothing is trimmed") {
  SnapshotWorld world;
  world.grow_to(kEvery - 4);
  world.cluster.kill(1);
  world.cluster.kill(2);
  world.grow_to(3 * kEvery + 2);
  CHECK(world.cluster.complete_snapshots().empty());
  CHECK(world.cluster.snapshots.size() == 3);  // chunks only
  CHECK(world.cluster.trimmed() == 0);
  CHECK(world.cluster.machine(0).gauges().snapshots_given_up == 2);  // the next one took its place
  world.cluster.boot(1);
  world.cluster.run(milliseconds(300));
  CHECK(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{48});
  world.grow_to(5 * kEvery + 2);
  // What was left without a manifest goes with the trim.
  CHECK(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{64, 80});
  CHECK(world.cluster.snapshots.size() == 2);
}

TEST_CASE("a writer that dies at any of its orders leaves a log that others go on with") {
  SnapshotWorld probe;
  probe.grow_to(3 * kEvery + 2);
  const std::size_t orders = probe.cluster.orders(0).size();
  REQUIRE(orders > 12);
  for (std::size_t deadly = 1; deadly <= orders; ++deadly) {
    INFO("order " << deadly);
    SnapshotWorld world;
    for (int i = 0; i < 400 && world.cluster.orders(0).size() < deadly; ++i) {
      (void)world.cluster.submit(*world.client, withdraw_of("k" + std::to_string(world.keys++)));
      for (int step = 0; step < 20 && world.cluster.orders(0).size() < deadly; ++step) {
        world.cluster.run(microseconds(500));
      }
    }
    REQUIRE(world.cluster.orders(0).size() == deadly);
    world.cluster.kill(0);
    world.talk_to(1);
    world.grow_to(6 * kEvery + 2);
    world.cluster.boot(0);
    world.cluster.run(milliseconds(300));
    for (std::uint16_t i = 0; i < 3; ++i) world.require_whole(i);
    CHECK(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{80, 96});
    CHECK(world.cluster.trimmed() == 80);
  }
}

TEST_CASE("a store that fails is tried again, then left until the next interval") {
  for (const Cluster::StoreFault fault :
       {Cluster::StoreFault::Fails, Cluster::StoreFault::DoneButFails,
        Cluster::StoreFault::CannotRead}) {
    SnapshotWorld world;
    world.cluster.store_faults[0] = fault;
    world.grow_to(kEvery + 2);
    world.cluster.run(milliseconds(600));
    world.cluster.store_faults[0] = Cluster::StoreFault::None;  // in time
    world.cluster.run(milliseconds(600));
    CHECK(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{16});
    world.cluster.store_faults[0] = fault;
    world.grow_to(2 * kEvery + 2);
    world.cluster.run(seconds(5));
    CHECK(world.cluster.machine(0).gauges().snapshots_given_up == 1);
    const std::size_t before = world.cluster.orders(0).size();
    world.cluster.run(seconds(5));
    CHECK(world.cluster.orders(0).size() == before);
    world.cluster.store_faults[0] = Cluster::StoreFault::None;
    world.grow_to(4 * kEvery + 2);
    CHECK(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{48, 64});
    CHECK(world.cluster.trimmed() == 48);
  }
}

TEST_CASE("an older snapshot that is damaged is never trimmed up to") {
  SnapshotWorld world;
  world.grow_to(2 * kEvery + 2);
  REQUIRE(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{16, 32});
  world.cluster.snapshots[32].chunks[1][5] ^= 4;
  world.grow_to(3 * kEvery + 2);
  CHECK(world.cluster.trimmed() == 16);  // still by the good one below it
  CHECK(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{16, 32, 48});
  world.grow_to(4 * kEvery + 2);
  CHECK(world.cluster.trimmed() == 48);
}

// ---- what is refused at loading ----

struct Case {
  std::string name;
  std::string reason;  // how it is refused
  std::function<void(SnapshotWorld&, Cluster::Kept&, std::uint64_t)> damage;
};

std::vector<Case> cases() {
  return {
      {"flipped chunk", "chunk 1 is damaged",
       [](SnapshotWorld&, Cluster::Kept& kept, std::uint64_t) { kept.chunks[1][100] ^= 0x10; }},
      {"missing chunk", "chunk 2 is missing",
       [](SnapshotWorld&, Cluster::Kept& kept, std::uint64_t) { kept.chunks.erase(2); }},
      {"one chunk too many", "more chunks than its manifest names",
       [](SnapshotWorld&, Cluster::Kept& kept, std::uint64_t) { kept.chunks[9999] = {1}; }},
      {"flipped manifest", "its manifest is damaged",
       [](SnapshotWorld&, Cluster::Kept& kept, std::uint64_t) { (*kept.manifest)[50] ^= 1; }},
      {"another cluster", "it is of another cluster, elsewhere",
       [](SnapshotWorld& world, Cluster::Kept& kept, std::uint64_t index) {
         wire::Genesis genesis = test_genesis();
         genesis.cluster_id = "elsewhere";
         State state;
         (void)state.apply({{}, genesis});
         kept = forged(state, "elsewhere", index);
         (void)world;
       }},
      {"another genesis", "its genesis is not the configured one",
       [](SnapshotWorld&, Cluster::Kept& kept, std::uint64_t index) {
         wire::Genesis genesis = test_genesis();
         genesis.withdrawal_fee_sat += 1;
         State state;
         (void)state.apply({{}, genesis});
         kept = forged(state, "story", index);
       }},
      {"another index", "its manifest names index 16",
       [](SnapshotWorld& world, Cluster::Kept& kept, std::uint64_t) {
         kept = forged(altered(world, 16), "story", 16);
       }},
      {"another digest", "its digest is not its state's",
       [](SnapshotWorld& world, Cluster::Kept& kept, std::uint64_t index) {
         const auto chunks = cut_into_chunks(altered(world, index).encode(), 1000);
         Cluster::Kept lie;
         for (std::uint32_t i = 0; i < chunks.size(); ++i) lie.chunks[i] = chunks[i];
         lie.manifest = encode_manifest(
             make_manifest("story", index, decode_manifest(*kept.manifest)->digest, chunks));
         kept = lie;
       }},
      {"another state", "a majority of the log's checkpoints has another digest",
       [](SnapshotWorld& world, Cluster::Kept& kept, std::uint64_t index) {
         kept = forged(altered(world, index), "story", index);
       }},
  };
}

TEST_CASE("what is wrong with the newest snapshot is named, and the older one does") {
  for (const Case& wrong : cases()) {
    INFO(wrong.name);
    SnapshotWorld world;
    world.cluster.kill(2);
    world.grow_to(4 * kEvery + 3);
    REQUIRE(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{48, 64});
    wrong.damage(world, world.cluster.snapshots[64], 64);
    world.cluster.boot(2);
    world.cluster.run(milliseconds(500));
    world.require_whole(2);
    REQUIRE(world.cluster.restored(2).has_value());
    CHECK(world.cluster.restored(2)->index == 48);
    // Once it stood in the tables it is removed from them, whatever they hold by then.
    CHECK(world.cluster.restored(2)->over == (wrong.name == "another state"));
    CHECK(world.cluster.stop_reason(2).empty());
  }
}

TEST_CASE("where no snapshot is fit the replica says why, serves nothing, and looks again") {
  for (const Case& wrong : cases()) {
    INFO(wrong.name);
    SnapshotWorld world;
    world.cluster.kill(2);
    world.grow_to(4 * kEvery + 3);
    const auto good = world.cluster.snapshots;
    wrong.damage(world, world.cluster.snapshots[64], 64);
    world.cluster.snapshots[48].chunks[0][9] ^= 1;
    world.cluster.boot(2);
    world.cluster.run(milliseconds(700));
    CHECK_FALSE(world.cluster.ready(2));
    CHECK(world.cluster.why_not(2) == "no usable snapshot: snapshot 64: " + wrong.reason +
                                          "; snapshot 48: chunk 0 is damaged");
    CHECK(world.cluster.stop_reason(2).empty());
    auto& client = world.cluster.client(2);
    (void)world.cluster.ask(client, wire::QueryByKey{"k0"});
    world.cluster.run(milliseconds(20));
    CHECK_FALSE(client.last<wire::LedgerAnswer>()->available);
    world.cluster.snapshots = good;
    world.cluster.run(seconds(2));
    world.require_whole(2);
  }
}

TEST_CASE("a snapshot from which the log does not go on is never loaded") {
  SnapshotWorld world;
  world.cluster.kill(2);
  world.grow_to(4 * kEvery + 3);
  REQUIRE(world.cluster.trimmed() == 48);
  State right;
  for (std::uint64_t i = 0; i < 32; ++i) {
    for (const wire::Command& command : world.cluster.log()[i]) (void)right.apply(command);
  }
  world.cluster.snapshots.clear();
  world.cluster.snapshots[32] = forged(right, "story", 32);
  world.cluster.boot(2);
  world.cluster.run(milliseconds(700));
  CHECK_FALSE(world.cluster.ready(2));
  CHECK_FALSE(world.cluster.restored(2));
  CHECK(world.cluster.why_not(2) ==
        "no usable snapshot: snapshot 32: the log does not reach back to it");
}

TEST_CASE("an older snapshot whose digest no majority reported is never trimmed up to") {
  SnapshotWorld world;
  world.grow_to(2 * kEvery + 2);
  REQUIRE(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{16, 32});
  world.cluster.snapshots[32] = forged(altered(world, 32), "story", 32);  // whole, and another
  world.grow_to(3 * kEvery + 2);
  CHECK(world.cluster.trimmed() == 16);
  world.grow_to(4 * kEvery + 2);
  CHECK(world.cluster.trimmed() == 48);
}

TEST_CASE("nothing is trimmed when another state than the one written stands as the newest") {
  SnapshotWorld world;
  world.grow_to(3 * kEvery - 4);
  REQUIRE(world.cluster.complete_snapshots() == std::vector<std::uint64_t>{16, 32});
  const std::uint64_t before = world.cluster.trimmed();
  // It opens, so only its digest tells; the store keeps what is complete.
  world.cluster.snapshots[48] = forged(altered(world, 32), "story", 48);
  world.grow_to(3 * kEvery + 10);
  CHECK(world.cluster.trimmed() == before);
  CHECK(world.cluster.machine(0).gauges().snapshots_given_up == 1);
}

TEST_CASE("a snapshot that the log's checkpoints never confirm is refused after catching up") {
  SnapshotWorld world;
  world.cluster.kill(2);
  world.grow_to(4 * kEvery + 3);
  // At an index where nobody reports: the right state, and yet nobody's word for it.
  State right;
  for (std::uint64_t i = 0; i < 65; ++i) {
    for (const wire::Command& command : world.cluster.log()[i]) (void)right.apply(command);
  }
  world.cluster.snapshots[65] = forged(right, "story", 65);
  auto& client = world.cluster.client(0);
  world.cluster.boot(2);
  auto& curious = world.cluster.client(2);
  (void)world.cluster.submit(curious, withdraw_of("asked too early"));
  world.cluster.run(milliseconds(500));
  world.require_whole(2);
  CHECK(world.cluster.restored(2)->index == 64);
  CHECK(world.cluster.restored(2)->over);
  (void)client;
}

TEST_CASE("tables that an earlier life began at a snapshot the log speaks against go with it") {
  SnapshotWorld world;
  world.cluster.kill(2);
  world.grow_to(4 * kEvery + 3);
  world.cluster.snapshots[64] = forged(altered(world, 64), "story", 64);
  const Hash32 lie = altered(world, 64).digest();
  // It died when its tables had it, before it came to what the log says.
  for (const LoadedTables& tables :
       {LoadedTables{64, lie, {}, 64}, LoadedTables{64, lie, {}, 66},
        LoadedTables{66, hash_of("behind it"), {{64, lie}}, 66}}) {
    world.cluster.boot(2, tables);
    world.cluster.run(milliseconds(500));
    CHECK(world.cluster.stop_reason(2).empty());
    world.require_whole(2);
    REQUIRE(world.cluster.restored(2).has_value());
    CHECK(world.cluster.restored(2)->index == 48);
    CHECK(world.cluster.restored(2)->over);
    world.cluster.kill(2);
  }
}

TEST_CASE("a replica that makes no snapshots itself still starts from one, and serves") {
  for (const std::uint64_t interval : {std::uint64_t{0}, 10 * kEvery}) {
    SnapshotWorld world;
    world.cluster.kill(2);
    world.grow_to(4 * kEvery + 3);
    world.cluster.snapshots_every(interval);
    world.cluster.boot(2);
    world.cluster.run(milliseconds(500));
    world.require_whole(2);
    CHECK(world.cluster.restored(2)->index == 64);
  }
}

TEST_CASE("a loaded state is never this replica's own report") {
  SnapshotWorld world;
  world.grow_to(4 * kEvery + 3);
  std::size_t before = 0;
  const auto reports = [&world] {
    std::map<std::uint64_t, std::map<std::uint16_t, std::size_t>> count;
    for (const auto& entry : world.cluster.log()) {
      for (const wire::Command& command : entry) {
        if (const auto* report = std::get_if<wire::Checkpoint>(&command.body)) {
          ++count[report->index][report->replica.value()];
        }
      }
    }
    return count;
  };
  before = reports()[64].size();
  CHECK(before == 3);
  for (std::uint16_t i = 0; i < 3; ++i) world.cluster.kill(i);
  for (std::uint16_t i = 0; i < 3; ++i) world.cluster.boot(i);
  world.cluster.run(milliseconds(500));
  const auto after = reports();
  for (const auto& [replica, count] : after.at(64)) CHECK(count == 1);
}

TEST_CASE("tables that hold another digest for a snapshot's index are never overwritten") {
  SnapshotWorld world;
  world.grow_to(4 * kEvery + 3);
  world.cluster.kill(2);
  LoadedTables lie{66, hash_of("later"), {{64, hash_of("x")}, {48, hash_of("y")}}, 66};
  world.cluster.boot(2, lie);
  world.cluster.run(milliseconds(500));
  CHECK_FALSE(world.cluster.ready(2));
  CHECK(world.cluster.why_not(2) ==
        "no usable snapshot: snapshot 64: the tables hold another digest for its index; "
        "snapshot 48: the tables hold another digest for its index");
  CHECK_FALSE(world.cluster.restored(2).has_value());
}

TEST_CASE("EndOfRun that its replica proposed is applied although it fell behind meanwhile") {
  SnapshotWorld world;
  world.grow_to(10);
  world.cluster.stall_watch(2);
  world.cluster.propose_faults[2] = {ProposeFault::UnknownLost, ProposeFault::UnknownLost};
  world.cluster.inject(2, EndOfRunRequested{});
  world.grow_to(4 * kEvery + 3);
  world.cluster.resume_watch(2);
  world.cluster.run(milliseconds(500));
  CHECK(world.cluster.state(0).closed());
  world.require_whole(2);
}

TEST_CASE("a store without space is a named reason, and over when it takes entries again") {
  SnapshotWorld world(1);
  auto& client = world.cluster.client(0);
  world.cluster.full = true;
  const std::uint64_t request = world.cluster.submit(client, withdraw_of("no room"));
  world.cluster.run(seconds(2));
  CHECK_FALSE(world.cluster.ready(0));
  CHECK(world.cluster.why_not(0) == "log full: its store has no space left");
  CHECK(world.cluster.proposals(0) < 20);  // no busy loop
  world.cluster.full = false;
  world.cluster.run(seconds(1));
  CHECK(world.cluster.ready(0));
  REQUIRE(client.last<wire::LedgerApplied>().has_value());
  CHECK(client.last<wire::LedgerApplied>()->request == request);
}

}  // namespace
}  // namespace roulette::ledger
