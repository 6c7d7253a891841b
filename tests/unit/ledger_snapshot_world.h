// Three replicas with short intervals around one log and its store, and forged snapshots for it.
//
// Invariant: what a snapshot at an index must hold is what a replay of the whole log gives; the
// log here keeps its beginning, whatever was trimmed.
#pragma once

#include "tests/unit/ledger_cluster.h"

namespace roulette::ledger {

inline constexpr std::uint64_t kEvery = 16;  // log indices; checkpoints come twice as often

struct SnapshotWorld {
  explicit SnapshotWorld(std::uint16_t replicas = 3)
      : cluster(replicas, test_genesis(), kEvery / 2, kEvery) {
    cluster.run(milliseconds(50));
    talk_to(0);
    fund(cluster, *client, 20);
  }
  void talk_to(std::uint16_t replica) { client = &cluster.client(replica); }
  // One entry each, until the log is at least so long.
  void grow_to(std::uint64_t length) {
    for (int i = 0; i < 400 && cluster.log().size() < length; ++i) {
      (void)cluster.submit(*client, withdraw_of("k" + std::to_string(keys++)));
      cluster.run(milliseconds(10));
    }
    REQUIRE(cluster.log().size() >= length);
    cluster.run(milliseconds(100));
  }
  void require_whole(std::uint16_t i) {
    REQUIRE(cluster.ready(i));
    State replayed;
    for (const auto& entry : cluster.log()) {
      for (const wire::Command& command : entry) (void)replayed.apply(command);
    }
    REQUIRE(cluster.machine(i).gauges().index == cluster.log().size());
    REQUIRE(cluster.state(i).digest() == replayed.digest());
    REQUIRE(cluster.state(i).all() == replayed.all());
    REQUIRE(cluster.state(i).reservations() == replayed.reservations());
  }
  Cluster cluster;
  Cluster::Client* client = nullptr;
  std::size_t keys = 0;
};

// ---- what does not belong into the store ----

inline Cluster::Kept forged(const State& state, const std::string& cluster_id,
                            std::uint64_t index) {
  Cluster::Kept kept;
  const auto chunks = cut_into_chunks(state.encode(), 1000);
  for (std::uint32_t i = 0; i < chunks.size(); ++i) kept.chunks[i] = chunks[i];
  kept.manifest = encode_manifest(make_manifest(cluster_id, index, state.digest(), chunks));
  return kept;
}

// A state with a coin set free: the entries so far but the last withdrawal.
inline State altered(const SnapshotWorld& world, std::uint64_t index) {
  State state;
  for (std::uint64_t i = 0; i < index; ++i) {
    for (const wire::Command& command : world.cluster.log()[i]) {
      const auto* withdraw = std::get_if<wire::Withdraw>(&command.body);
      if (withdraw == nullptr || withdraw->key != "k1") (void)state.apply(command);
    }
  }
  return state;
}

}  // namespace roulette::ledger
