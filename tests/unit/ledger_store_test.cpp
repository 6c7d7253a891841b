// A log's store that answers what nobody asked: replicas drop it, or take it for no answer.
#include <algorithm>

#include "tests/unit/ledger_snapshot_world.h"

namespace roulette::ledger {
namespace {

StoredSnapshot stored(const Cluster& cluster, std::uint64_t index) {
  const Cluster::Kept& kept = cluster.snapshots.at(index);
  return {index, *kept.manifest, kept.chunks};
}

std::size_t reads(const Cluster& cluster, std::uint16_t i) {
  const auto& orders = cluster.orders(i);
  return static_cast<std::size_t>(std::count_if(
      orders.begin(), orders.end(), [](const std::string& o) { return o.starts_with("read"); }));
}

// Complete, and damaged; between the ones that the replicas made.
void add_damaged(Cluster& cluster, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t index = first; index <= last; ++index) {
    Cluster::Kept& kept = cluster.snapshots[index];
    kept.manifest = Bytes{1, 2, 3};
    kept.chunks[0] = {4};
  }
}

TEST_CASE("the newest snapshot where an older one was asked for is no answer: nothing is trimmed") {
  SnapshotWorld world;
  world.grow_to(2 * kEvery + 2);
  Cluster& cluster = world.cluster;
  REQUIRE(cluster.trimmed() == 16);
  cluster.answers_read = [&cluster](const ReadSnapshot& order, SnapshotRead& answer) {
    if (order.at_most == 3 * kEvery - 1) answer.snapshot = stored(cluster, 3 * kEvery);
  };
  world.grow_to(3 * kEvery + 2);
  cluster.run(seconds(5));
  CHECK(cluster.complete_snapshots() == std::vector<std::uint64_t>{16, 32, 48});
  CHECK(cluster.trimmed() == 16);
  CHECK(cluster.machine(0).gauges().snapshots_given_up == 1);
  const auto& orders = cluster.orders(0);
  CHECK(std::count(orders.begin(), orders.end(), "read 47") == limits::kSnapshotTries);
  world.grow_to(4 * kEvery + 2);  // the next interval is the next chance
  CHECK(cluster.trimmed() == 48);
}

TEST_CASE("a store that answers every search with its newest snapshot keeps nobody busy") {
  SnapshotWorld world;
  world.cluster.kill(2);
  world.grow_to(4 * kEvery + 3);
  Cluster& cluster = world.cluster;
  cluster.snapshots[64].chunks[1][100] ^= 0x10;
  cluster.answers_read = [&cluster](const ReadSnapshot&, SnapshotRead& answer) {
    answer.snapshot = stored(cluster, 64);
  };
  cluster.boot(2);
  const std::size_t before = reads(cluster, 2);
  cluster.run(seconds(2));
  CHECK(reads(cluster, 2) - before <= 2 * 8 + 2);  // two reads a rest of 250 ms
  CHECK_FALSE(cluster.ready(2));
  CHECK(cluster.why_not(2) ==
        "no usable snapshot: snapshot 64: chunk 1 is damaged; "
        "the store answers with a snapshot nobody asked for");
  cluster.answers_read = {};
  cluster.run(milliseconds(700));
  world.require_whole(2);
  CHECK(cluster.restored(2)->index == 48);
}

TEST_CASE("an answer of another kind than the order changes nothing") {
  SnapshotWorld calm;
  calm.grow_to(3 * kEvery + 4);
  SnapshotWorld world;
  Cluster& cluster = world.cluster;
  cluster.beside = [&cluster](std::uint16_t i, std::uint64_t order, bool read) {
    if (read) cluster.inject(i, SnapshotOrderDone{order, true, ""});
    else cluster.inject(i, SnapshotRead{order, StoredSnapshot{}});
  };
  world.grow_to(3 * kEvery + 4);
  CHECK(cluster.orders(0) == calm.cluster.orders(0));
  CHECK(cluster.trimmed() == 32);
  // Nor while a snapshot is looked for.
  cluster.kill(2);
  cluster.boot(2);
  const std::size_t before = reads(cluster, 2);
  cluster.run(milliseconds(300));
  world.require_whole(2);
  CHECK(reads(cluster, 2) == before + 1);
}

TEST_CASE("an answer to an order that was given up changes nothing") {
  SnapshotWorld world;
  Cluster& cluster = world.cluster;
  std::uint64_t last = 0;
  cluster.beside = [&](std::uint16_t i, std::uint64_t order, bool) {
    if (i != 0) return;
    for (std::uint64_t old = 1; old < order; ++old) {
      cluster.inject(i, SnapshotOrderDone{old, true, ""});
      cluster.inject(i, SnapshotRead{old, StoredSnapshot{}});
    }
    last = order;
  };
  SnapshotWorld calm;
  calm.grow_to(3 * kEvery + 4);
  world.grow_to(3 * kEvery + 4);
  CHECK(last > 10);
  CHECK(cluster.orders(0) == calm.cluster.orders(0));
}

TEST_CASE("a search rests behind many damaged snapshots and goes on below them") {
  SnapshotWorld world;
  world.cluster.kill(2);
  world.grow_to(5 * kEvery + 4);
  Cluster& cluster = world.cluster;
  REQUIRE(cluster.trimmed() == 64);
  add_damaged(cluster, 65, 84);
  cluster.boot(2);
  const std::size_t before = reads(cluster, 2);
  cluster.run(milliseconds(500));
  CHECK(reads(cluster, 2) - before == limits::kSnapshotTries);
  CHECK_FALSE(cluster.ready(2));
  CHECK(cluster.why_not(2).starts_with("no usable snapshot: snapshot 84: its manifest is damaged"));
  cluster.run(seconds(2));  // two rests
  world.require_whole(2);
  CHECK(cluster.restored(2)->index == 64);
  CHECK(reads(cluster, 2) - before == 21);
}

TEST_CASE("a store that takes longer than an interval still gets whole snapshots, and trims") {
  SnapshotWorld world;
  Cluster& cluster = world.cluster;
  cluster.store_time = milliseconds(150);
  world.grow_to(14 * kEvery + 4);
  CHECK_FALSE(cluster.complete_snapshots().empty());
  CHECK(cluster.machine(0).gauges().snapshots_given_up > 0);  // those that a newer one overtook
  cluster.run(seconds(10));
  CHECK(cluster.complete_snapshots().back() == 14 * kEvery);  // the last one is none of them
  CHECK(cluster.trimmed() > 7 * kEvery);
  CHECK(cluster.complete_snapshots().size() == 2);
}

TEST_CASE("the log is trimmed up to the last snapshot, however many intervals passed since") {
  SnapshotWorld world;
  Cluster& cluster = world.cluster;
  world.grow_to(kEvery + 4);
  REQUIRE(cluster.complete_snapshots() == std::vector<std::uint64_t>{16});
  cluster.store_faults[0] = Cluster::StoreFault::Fails;
  const std::uint64_t intervals = limits::kSnapshotsConfirmed + 4;
  world.grow_to(intervals * kEvery + 4);
  cluster.run(seconds(5));
  REQUIRE(cluster.complete_snapshots() == std::vector<std::uint64_t>{16});
  cluster.store_faults[0] = Cluster::StoreFault::None;
  world.grow_to((intervals + 1) * kEvery + 4);
  CHECK(cluster.trimmed() == 16);
  CHECK(cluster.complete_snapshots().back() == (intervals + 1) * kEvery);
}

TEST_CASE("a writer below whose snapshot many are damaged trims nothing on its account") {
  SnapshotWorld world;
  world.grow_to(5 * kEvery + 4);
  Cluster& cluster = world.cluster;
  add_damaged(cluster, 65, 84);
  const std::size_t before = reads(cluster, 0);
  world.grow_to(6 * kEvery + 4);
  CHECK(cluster.trimmed() == 64);
  CHECK(reads(cluster, 0) - before == 1 + limits::kSnapshotTries);
  world.grow_to(7 * kEvery + 4);
  CHECK(cluster.trimmed() == 96);
  CHECK(cluster.complete_snapshots() == std::vector<std::uint64_t>{96, 112});
}

}  // namespace
}  // namespace roulette::ledger
