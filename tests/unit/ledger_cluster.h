// Ledger replicas, an in-memory sequencer and coordinators' connections under virtual time.
//
// Invariant: everything that happens is ordered by (time, number): a test is one deterministic
// schedule. The sequencer compares heads as the etcd engine does: a proposal is taken only from a
// replica whose engine has seen the whole log. Faults are set by the test, one by one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <queue>

#include "common/base/limits.h"
#include "ledger/core/ledger.h"
#include "tests/unit/ledger_story.h"

namespace roulette::ledger {

class NoEntropy final : public EntropySource {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = 0;
  }
};

enum class ProposeFault { None, UnknownLost, UnknownCommitted, UnknownCommittedLate,
                          AcceptedToldLate };

class Cluster {
 public:
  static constexpr Duration kHop = milliseconds(1);
  static constexpr Duration kEngine = milliseconds(2);

  explicit Cluster(std::uint16_t replicas, wire::Genesis genesis = test_genesis(),
                   std::uint64_t checkpoint_interval = 64, std::uint64_t snapshot_interval = 0)
      : genesis_(std::move(genesis)),
        interval_(checkpoint_interval),
        snapshot_interval_(snapshot_interval) {
    for (std::uint16_t i = 0; i < replicas; ++i) nodes_.push_back(std::make_unique<Node>());
    for (std::uint16_t i = 0; i < replicas; ++i) boot(i);
  }

  // ---- what tests do ----

  // Of the replicas that are booted from now on; 0: they make none.
  void snapshots_every(std::uint64_t interval) { snapshot_interval_ = interval; }
  std::uint64_t snapshot_bytes_per_interval = kSnapshotBytesPerInterval;
  std::shared_ptr<const wire::ClientList> clients;

  // Starts (again) with an empty memory; replays from index 1 and reconnects to all others.
  void boot(std::uint16_t i, std::optional<LoadedTables> tables = std::nullopt) {
    Node& node = *nodes_[i];
    ++node.life;
    node.alive = true;
    LedgerConfig config;
    config.id = LedgerId(i);
    config.replicas = static_cast<std::uint16_t>(nodes_.size());
    config.boot =
        BootId(ByteArray<16>{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(node.life)});
    config.genesis = genesis_;
    config.checkpoint_interval = interval_;
    config.snapshot_interval = snapshot_interval_;
    config.clients = clients;
    config.snapshot_chunk_bytes = 1000;
    config.snapshot_bytes_per_interval = snapshot_bytes_per_interval;
    node.machine = std::make_unique<Ledger>(config);
    node.engine_seen = 0;
    node.behind = false;
    ++node.subscription;
    node.ready = false;
    node.restored.reset();
    node.stop_reason.clear();
    node.tables.clear();
    at(now_, i, Started{tables});
    node.watching = true;
    watch(i);
    for (std::uint16_t j = 0; j < nodes_.size(); ++j) {
      if (j != i && nodes_[j]->alive && nodes_[j]->machine) join(i, j);
    }
  }
  void kill(std::uint16_t i) {
    Node& node = *nodes_[i];
    node.alive = false;
    ++node.life;
    node.machine.reset();
    for (std::uint16_t j = 0; j < nodes_.size(); ++j) {
      if (j != i && nodes_[j]->alive) at(now_, j, PeerLost{link(i)});
    }
  }
  // Paused: nothing is delivered and no timer fires until resume; then all at once.
  void pause(std::uint16_t i) { nodes_[i]->paused = true; }
  void resume(std::uint16_t i) {
    nodes_[i]->paused = false;
    auto held = std::move(nodes_[i]->held);
    nodes_[i]->held.clear();
    for (Event& event : held) at(now_, i, std::move(event));
  }
  // The subscription stands still: no entries, and nobody notices but the barrier.
  void stall_watch(std::uint16_t i) { nodes_[i]->watching = false; }
  void resume_watch(std::uint16_t i) {
    nodes_[i]->watching = true;
    watch(i);
  }
  void lose_log(std::uint16_t i) {
    nodes_[i]->watching = false;
    at(now_, i, LogLost{"gap"});
  }
  void restore_log(std::uint16_t i) {
    at(now_, i, LogRestored{});
    resume_watch(i);
  }
  void inject(std::uint16_t i, Event event) { at(now_, i, std::move(event)); }
  // An entry that no replica of ours proposed.
  void append_foreign(std::vector<wire::Command> commands) { append(std::move(commands)); }

  // A coordinator's connection to a replica. Answers are kept in the order of their arrival.
  struct Client {
    std::uint16_t replica = 0;
    ConnectionId connection;
    std::vector<wire::Message> got;

    template <class M>
    [[nodiscard]] std::vector<M> all() const {
      std::vector<M> list;
      for (const wire::Message& message : got) {
        if (const auto* m = std::get_if<M>(&message)) list.push_back(*m);
      }
      return list;
    }
    template <class M>
    [[nodiscard]] std::optional<M> last() const {
      const auto list = all<M>();
      if (list.empty()) return std::nullopt;
      return list.back();
    }
  };
  Client& client(std::uint16_t replica) {
    clients_.push_back(std::make_unique<Client>());
    Client& added = *clients_.back();
    added.replica = replica;
    added.connection = ConnectionId(1000 + clients_.size());
    at(now_, replica, PeerConnected{added.connection, {Role::Coordinator, 0}, {}});
    return added;
  }
  void send(const Client& client, wire::Message message) {
    at(now_ + kHop, client.replica, MessageReceived{client.connection, std::move(message)});
  }
  void disconnect(const Client& client) { at(now_, client.replica, PeerLost{client.connection}); }
  wire::Command command(wire::CommandBody body) {
    return {{{Role::Coordinator, 0}, BootId(ByteArray<16>{0xc0}), ++stamp_}, std::move(body)};
  }
  std::uint64_t submit(const Client& client, wire::Command command) {
    const std::uint64_t request = ++requests_;
    send(client, wire::LedgerSubmit{request, std::move(command)});
    return request;
  }
  std::uint64_t submit(const Client& client, wire::CommandBody body) {
    return submit(client, command(std::move(body)));
  }
  std::uint64_t ask(const Client& client, wire::Query query) {
    const std::uint64_t request = ++requests_;
    send(client, wire::LedgerQuery{request, std::move(query)});
    return request;
  }
  void run(Duration span) {
    const Instant end = now_ + span;
    for (int steps = 0; steps < 1'000'000; ++steps) {
      const std::optional<Instant> deadline = earliest_deadline();
      if (!agenda_.empty() && (!deadline || agenda_.begin()->first.first <= *deadline)) {
        if (agenda_.begin()->first.first > end) break;
        const auto next = agenda_.begin();
        now_ = std::max(now_, next->first.first);
        const std::function<void()> action = std::move(next->second);
        agenda_.erase(next);
        action();
      } else if (deadline && *deadline <= end) {
        now_ = std::max(now_, *deadline);
        fire_deadlines();
      } else {
        break;
      }
    }
    now_ = end;
  }

  // ---- what tests look at ----
  [[nodiscard]] const State& state(std::uint16_t i) const { return nodes_[i]->machine->state(); }
  [[nodiscard]] const Ledger& machine(std::uint16_t i) const { return *nodes_[i]->machine; }
  [[nodiscard]] bool alive(std::uint16_t i) const { return nodes_[i]->alive; }
  [[nodiscard]] bool ready(std::uint16_t i) const { return nodes_[i]->ready; }
  [[nodiscard]] std::string why_not(std::uint16_t i) const { return nodes_[i]->why_not; }
  [[nodiscard]] std::string stop_reason(std::uint16_t i) const { return nodes_[i]->stop_reason; }
  [[nodiscard]] bool drained(std::uint16_t i) const { return nodes_[i]->drained; }
  [[nodiscard]] std::size_t proposals(std::uint16_t i) const { return nodes_[i]->proposals; }
  [[nodiscard]] std::size_t barriers(std::uint16_t i) const { return nodes_[i]->barriers; }
  [[nodiscard]] const std::vector<WriteTables>& tables(std::uint16_t i) const {
    return nodes_[i]->tables;
  }
  [[nodiscard]] const std::vector<std::vector<wire::Command>>& log() const { return log_; }
  template <class Body>
  [[nodiscard]] std::size_t count_in_log() const {
    std::size_t n = 0;
    for (const auto& entry : log_) {
      for (const wire::Command& c : entry) n += std::holds_alternative<Body>(c.body) ? 1 : 0;
    }
    return n;
  }
  [[nodiscard]] Instant now() const { return now_; }

  // ---- the store of snapshots, for tests to look at and to damage ----
  struct Kept {
    std::map<std::uint32_t, Bytes> chunks;
    std::optional<Bytes> manifest;
  };
  std::map<std::uint64_t, Kept> snapshots;
  [[nodiscard]] std::vector<std::uint64_t> complete_snapshots() const {
    std::vector<std::uint64_t> indices;
    for (const auto& [index, kept] : snapshots) {
      if (kept.manifest) indices.push_back(index);
    }
    return indices;
  }
  [[nodiscard]] std::uint64_t trimmed() const { return trimmed_; }
  [[nodiscard]] const std::optional<RestoreTables>& restored(std::uint16_t i) const {
    return nodes_[i]->restored;
  }
  // What this replica ordered from the store, in order: "chunk 32/0", "manifest 32", "read 32",
  // "trim 32 64".
  [[nodiscard]] const std::vector<std::string>& orders(std::uint16_t i) const {
    return nodes_[i]->orders;
  }
  // The store refuses this replica's orders from here on, or loses their answers.
  enum class StoreFault { None, Fails, DoneButFails, CannotRead };
  std::map<std::uint16_t, StoreFault> store_faults;
  Duration store_time = kEngine;  // of snapshots' orders
  // What a broken store answers a read with, and what else is told while an order is under way.
  std::function<void(const ReadSnapshot&, SnapshotRead&)> answers_read;
  std::function<void(std::uint16_t replica, std::uint64_t order, bool read)> beside;
  void require_agreement() const {
    for (std::size_t i = 1; i < nodes_.size(); ++i) {
      if (!nodes_[i]->alive || !nodes_[0]->alive) continue;
      REQUIRE(nodes_[i]->machine->gauges().index == nodes_[0]->machine->gauges().index);
      REQUIRE(nodes_[i]->machine->state().digest() == nodes_[0]->machine->state().digest());
    }
  }

  // ---- faults of the engine ----
  std::map<std::uint16_t, std::deque<ProposeFault>> propose_faults;
  std::map<std::uint16_t, bool> barrier_fails;
  bool full = false;  // the store takes no entry
  std::map<std::uint16_t, Duration> barrier_time;
  // Called just before the sequencer judges a proposal of this replica: the place for a race.
  std::map<std::uint16_t, std::function<void()>> before_propose;


 private:
  struct Node {
    std::unique_ptr<Ledger> machine;
    bool alive = false;
    bool paused = false;
    bool watching = true;
    bool ready = false;
    bool drained = false;
    int life = 0;
    std::uint64_t engine_seen = 0;  // entries handed to the machine (or on their way)
    bool behind = false;            // told so; waits for FollowLog
    std::uint64_t subscription = 0;
    std::optional<RestoreTables> restored;
    std::vector<std::string> orders;
    std::string why_not;
    std::string stop_reason;
    std::size_t proposals = 0;
    std::size_t barriers = 0;
    std::vector<WriteTables> tables;
    std::vector<Event> held;
  };

  static ConnectionId link(std::uint16_t other) { return ConnectionId(1 + std::uint64_t{other}); }
  void join(std::uint16_t a, std::uint16_t b) {
    at(now_, a, PeerConnected{link(b), {Role::Ledger, b}, {}});
    at(now_, b, PeerConnected{link(a), {Role::Ledger, a}, {}});
  }
  void schedule(Instant when, std::function<void()> action) {
    agenda_.emplace(std::make_pair(when, ++order_), std::move(action));
  }
  void at(Instant when, std::uint16_t i, Event event) {
    const int life = nodes_[i]->life;
    schedule(when, [this, i, life, event = std::move(event)] {
      if (nodes_[i]->alive && nodes_[i]->life == life) step(i, event);
    });
  }
  void step(std::uint16_t i, const Event& event) {
    Node& node = *nodes_[i];
    if (node.paused) {
      node.held.push_back(event);
      return;
    }
    Effects effects;
    node.machine->step(now_, event, entropy_, effects);
    for (Effect& effect : effects) {
      std::visit([this, i](auto& what) { perform(i, what); }, effect);
    }
  }
  void perform(std::uint16_t i, const Propose& order) {
    ++nodes_[i]->proposals;
    CHECK(order.commands.size() <= limits::kMaxBatchCommands);
    ProposeFault fault = ProposeFault::None;
    if (auto& faults = propose_faults[i]; !faults.empty()) {
      fault = faults.front();
      faults.pop_front();
    }
    const std::uint64_t compared = nodes_[i]->engine_seen;
    const int life = nodes_[i]->life;
    schedule(now_ + kEngine,
             [this, i, life, order, fault, compared] { judge(i, life, order, fault, compared); });
  }
  void judge(std::uint16_t i, int life, const Propose& order, ProposeFault fault,
             std::uint64_t compared) {
    if (const auto hook = before_propose.find(i); hook != before_propose.end()) {
      const auto action = std::move(hook->second);
      before_propose.erase(hook);
      action();
    }
    const auto answer = [this, i, life, batch = order.batch](ProposeOutcome outcome) {
      if (nodes_[i]->life == life) at(now_, i, ProposeDone{batch, outcome});
    };
    const auto commit = [this, compared](const std::vector<wire::Command>& commands) {
      if (compared != log_.size()) return false;  // the head moved
      append(commands);
      return true;
    };
    if (full) return answer(ProposeOutcome::NoSpace);
    switch (fault) {
      case ProposeFault::None:
        if (commit(order.commands))
          answer(ProposeOutcome::Accepted);
        else
          answer(ProposeOutcome::NotLeader);
        return;
      case ProposeFault::UnknownLost:
        return answer(ProposeOutcome::Unknown);
      case ProposeFault::UnknownCommitted:
        (void)commit(order.commands);
        return answer(ProposeOutcome::Unknown);
      case ProposeFault::AcceptedToldLate: {
        const auto outcome =
            commit(order.commands) ? ProposeOutcome::Accepted : ProposeOutcome::NotLeader;
        return schedule(now_ + seconds(2), [answer, outcome] { answer(outcome); });
      }
      case ProposeFault::UnknownCommittedLate:
        answer(ProposeOutcome::Unknown);
        // Between the barrier that follows and the proposal that would come after it.
        schedule(now_ + microseconds(2500),
                 [commit, commands = order.commands] { (void)commit(commands); });
        return;
    }
  }
  void perform(std::uint16_t i, const ReadBarrier& order) {
    ++nodes_[i]->barriers;
    const Duration time = barrier_time.contains(i) ? barrier_time[i] : kHop;
    const int life = nodes_[i]->life;
    // Reads the head half way.
    schedule(now_ + Duration{time.us / 2}, [this, i, life, order, time] {
      std::optional<std::uint64_t> head;
      if (!barrier_fails[i]) head = log_.size();
      if (nodes_[i]->life == life)
        at(now_ + Duration{time.us / 2}, i, BarrierDone{order.barrier, head});
    });
  }
  void perform(std::uint16_t i, const Send& order) {
    if (order.connection.value() <= nodes_.size()) {
      const auto other = static_cast<std::uint16_t>(order.connection.value() - 1);
      if (nodes_[other]->alive) {
        at(now_ + kHop, other, MessageReceived{link(i), order.message});
      }
      return;
    }
    for (const auto& client : clients_) {
      if (client->connection == order.connection) client->got.push_back(order.message);
    }
  }
  void perform(std::uint16_t i, WriteTables& order) { nodes_[i]->tables.push_back(order); }
  void store(std::uint16_t i, std::uint64_t order, std::string what,
             const std::function<bool()>& action) {
    nodes_[i]->orders.push_back(std::move(what));
    if (beside) beside(i, order, false);
    const StoreFault fault = store_faults[i];
    const bool done = fault != StoreFault::Fails && action();
    const bool told = done && fault != StoreFault::DoneButFails;
    at(now_ + store_time, i, SnapshotOrderDone{order, told, ""});
  }
  void perform(std::uint16_t i, const StoreChunk& order) {
    const std::string what =
        "chunk " + std::to_string(order.index) + "/" + std::to_string(order.number);
    store(i, order.order, what, [&] {
      CHECK(order.bytes.size() <= 1000);
      Kept& kept = snapshots[order.index];
      if (!kept.manifest) kept.chunks[order.number] = order.bytes;
      return true;
    });
  }
  void perform(std::uint16_t i, const StoreManifest& order) {
    store(i, order.order, "manifest " + std::to_string(order.index), [&] {
      Kept& kept = snapshots[order.index];
      if (!kept.manifest) kept.manifest = order.bytes;
      return true;
    });
  }
  void perform(std::uint16_t i, const ReadSnapshot& order) {
    nodes_[i]->orders.push_back("read " + std::to_string(order.at_most));
    SnapshotRead answer{order.order, StoredSnapshot{}};
    for (const auto& [index, kept] : snapshots) {
      if (index <= order.at_most && kept.manifest) {
        answer.snapshot = StoredSnapshot{index, *kept.manifest, kept.chunks};
      }
    }
    if (store_faults[i] == StoreFault::CannotRead) answer.snapshot.reset();
    if (beside) beside(i, order.order, true);
    if (answers_read) answers_read(order, answer);
    at(now_ + store_time, i, answer);
  }
  void perform(std::uint16_t i, const TrimLog& order) {
    const std::string what =
        "trim " + std::to_string(order.up_to) + " " + std::to_string(order.newest);
    store(i, order.order, what, [&] {
      const auto complete = [this](std::uint64_t index) {
        return snapshots.contains(index) && snapshots[index].manifest;
      };
      if (!complete(order.up_to) || !complete(order.newest)) return false;
      CHECK(order.up_to < order.newest);
      trimmed_ = std::max(trimmed_, order.up_to);
      snapshots.erase(snapshots.begin(), snapshots.lower_bound(order.up_to));
      return true;
    });
  }
  void perform(std::uint16_t i, const FollowLog& order) {
    Node& node = *nodes_[i];
    ++node.subscription;
    node.behind = false;
    node.engine_seen = order.after;
    at(now_, i, LogRestored{});
    watch(i);
  }
  void perform(std::uint16_t i, const RestoreTables& order) {
    nodes_[i]->restored = order;
    nodes_[i]->tables.clear();
  }
  void perform(std::uint16_t i, const ReadinessChanged& order) {
    nodes_[i]->ready = order.ready;
    nodes_[i]->why_not = order.reason;
  }
  void perform(std::uint16_t i, const Stop& order) { nodes_[i]->stop_reason = order.reason; }
  void perform(std::uint16_t i, const Drained&) { nodes_[i]->drained = true; }

  void append(std::vector<wire::Command> commands) {
    log_.push_back(std::move(commands));
    for (std::uint16_t i = 0; i < nodes_.size(); ++i) watch(i);
  }
  void watch(std::uint16_t i) {
    Node& node = *nodes_[i];
    if (!node.alive || !node.watching || node.behind) return;
    if (node.engine_seen < trimmed_) {
      node.behind = true;
      at(now_ + kHop, i, LogTrimmed{trimmed_ + 1});
      return;
    }
    while (node.engine_seen < log_.size()) {
      const std::uint64_t index = ++node.engine_seen;
      // What an older subscription had on its way never arrives.
      schedule(now_ + kHop, [this, i, index, life = node.life, mine = node.subscription] {
        Node& later = *nodes_[i];
        if (!later.alive || later.life != life || later.subscription != mine) return;
        step(i, EntryDelivered{index, log_[index - 1]});
      });
    }
  }
  [[nodiscard]] std::optional<Instant> earliest_deadline() const {
    std::optional<Instant> earliest;
    for (const auto& node : nodes_) {
      if (!node->alive || node->paused || !node->machine) continue;
      const auto deadline = node->machine->next_deadline();
      if (deadline && (!earliest || *deadline < *earliest)) earliest = deadline;
    }
    return earliest;
  }
  void fire_deadlines() {
    for (std::uint16_t i = 0; i < nodes_.size(); ++i) {
      if (!nodes_[i]->alive || nodes_[i]->paused || !nodes_[i]->machine) continue;
      const auto deadline = nodes_[i]->machine->next_deadline();
      if (deadline && *deadline <= now_) step(i, DeadlineReached{});
    }
  }

  wire::Genesis genesis_;
  std::uint64_t interval_;
  std::uint64_t snapshot_interval_;
  std::uint64_t trimmed_ = 0;
  NoEntropy entropy_;
  Instant now_{1'000'000};
  std::uint64_t order_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> agenda_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::vector<wire::Command>> log_;
  std::uint64_t stamp_ = 0;
  std::uint64_t requests_ = 0;
};

// ---- what most stories begin with ----

inline constexpr std::int64_t kCoin = 1'000'000;

inline wire::Withdraw withdraw_of(const std::string& key, std::int64_t amount_sat = 50'000,
                           std::uint8_t id = 0) {
  wire::Withdraw withdraw;
  const Hash32 hash = hash_of("id of " + key);
  ByteArray<16> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = hash[i];
  bytes[15] = static_cast<std::uint8_t>(bytes[15] ^ id);
  withdraw.id = WithdrawalId(bytes);
  withdraw.key = key;
  withdraw.account = "alice";
  withdraw.script = bitcoin::p2tr_script(hash_of("address of " + key));
  withdraw.amount_sat = amount_sat;
  withdraw.payload_digest = wire::payload_digest("alice", withdraw.script, amount_sat);
  return withdraw;
}

// Deposits for alice, settled.
inline void fund(Cluster& cluster, const Cluster::Client& client, std::uint32_t coins) {
  Hash32 prev = test_genesis().anchor_block;
  for (std::uint32_t height = 1; height <= 3; ++height) {
    wire::BlockConnected block;
    block.prev = prev;
    block.hash = hash_of("block " + std::to_string(height));
    block.height = height;
    if (height == 1) {
      block.txids = {hash_of("funding")};
      for (std::uint32_t i = 0; i < coins; ++i) {
        block.wallet_outputs.push_back({{block.txids[0], 2 * i}, kCoin, false});
      }
    }
    prev = block.hash;
    (void)cluster.submit(client, block);
  }
  cluster.run(milliseconds(100));
  REQUIRE(cluster.state(client.replica).tip().height == 3);
}

}  // namespace roulette::ledger
