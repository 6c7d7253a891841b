// The etcd engine and the replica machine on it, against real etcd members.
#include <functional>
#include <set>

#include "common/base/base64.h"
#include "common/base/limits.h"
#include "common/runtime/http_server.h"
#include "ledger/core/ledger.h"
#include "ledger/log/etcd_log.h"
#include "ledger/log/etcd_messages.h"
#include "tests/live/etcd_cluster.h"
#include "tests/unit/ledger_story.h"

namespace roulette::ledger::test {
namespace {

class NoEntropy final : public EntropySource {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = 0;
  }
};

EtcdLog::Options options_for(const EtcdCluster& etcd, const std::string& cluster,
                             std::size_t first = 0) {
  EtcdLog::Options options;
  options.cluster = cluster;
  for (std::size_t i = 0; i < etcd.size(); ++i) {
    options.members.push_back({"127.0.0.1", etcd.port((first + i) % etcd.size())});
  }
  return options;
}

// A log with what it handed over.
struct Reader {
  Reader(runtime::EventLoop& loop_given, const EtcdCluster& etcd, std::size_t first = 0)
      : loop(loop_given), log(loop, options_for(etcd, "c", first)) {}

  void subscribe() {
    log.subscribe({[this](std::uint64_t index, std::vector<wire::Command> commands) {
                     CHECK(index == followed + entries.size() + 1);
                     entries.push_back(std::move(commands));
                   },
                   [this](const std::string& why) { lost.push_back(why); },
                   [this] { ++restored; },
                   [this](std::uint64_t first) { trimmed.push_back(first); }});
  }
  ProposeOutcome propose(std::vector<wire::Command> batch) {
    std::optional<ProposeOutcome> outcome;
    log.propose(batch, [&outcome](ProposeOutcome result) { outcome = result; });
    REQUIRE(loop.run_until([&] { return outcome.has_value(); }, kPatience));
    return *outcome;
  }
  std::optional<std::uint64_t> barrier() {
    std::optional<std::optional<std::uint64_t>> head;
    log.read_barrier([&head](std::optional<std::uint64_t> index) { head = index; });
    REQUIRE(loop.run_until([&] { return head.has_value(); }, kPatience));
    return *head;
  }
  bool wait_for(std::size_t count) {
    return loop.run_until([&] { return entries.size() >= count; }, kPatience);
  }

  runtime::EventLoop& loop;
  EtcdLog log;
  std::vector<std::vector<wire::Command>> entries;
  std::vector<std::string> lost;
  std::vector<std::uint64_t> trimmed;
  std::uint64_t followed = 0;  // entries come from behind it
  int restored = 0;

  Status chunk(std::uint64_t index, std::uint32_t number, const Bytes& bytes) {
    return wait([&](auto done) { log.store_chunk(index, number, bytes, done); });
  }
  Status manifest(std::uint64_t index, const Bytes& bytes) {
    return wait([&](auto done) { log.store_manifest(index, bytes, done); });
  }
  Status trim(std::uint64_t up_to, std::uint64_t newest) {
    return wait([&](auto done) { log.trim(up_to, newest, done); });
  }
  StoredSnapshot snapshot(std::uint64_t at_most = ~std::uint64_t{0}) {
    std::optional<std::optional<StoredSnapshot>> found;
    log.read_snapshot(at_most, [&found](std::optional<StoredSnapshot> read) { found = read; });
    REQUIRE(loop.run_until([&] { return found.has_value(); }, kPatience));
    REQUIRE(found->has_value());
    return **found;
  }
  Status wait(const std::function<void(std::function<void(const Status&)>)>& order) {
    std::optional<Status> result;
    order([&result](const Status& status) { result = status; });
    REQUIRE(loop.run_until([&] { return result.has_value(); }, kPatience));
    return *result;
  }
};

wire::Command command_of(std::uint64_t counter) {
  return {{{Role::Coordinator, 0}, BootId(ByteArray<16>{7}), counter},
          wire::Broadcast{WithdrawalId(ByteArray<16>{1}), {}}};
}

TEST_CASE("entries come in order, each once, to whoever proposed and whoever watches") {
  const EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Reader a(loop, etcd);
  Reader b(loop, etcd);
  a.subscribe();
  b.subscribe();
  CHECK(a.barrier() == 0U);
  for (std::uint64_t i = 1; i <= 100; ++i) {
    REQUIRE(a.propose({command_of(i)}) == ProposeOutcome::Accepted);
  }
  REQUIRE(b.wait_for(100));
  CHECK(a.entries == b.entries);
  CHECK(a.barrier() == 100U);
  Reader late(loop, etcd);  // reads four pages, then watches
  late.subscribe();
  REQUIRE(late.wait_for(100));
  REQUIRE(a.propose({command_of(101)}) == ProposeOutcome::Accepted);
  REQUIRE(late.wait_for(101));
  CHECK(late.entries == a.entries);
  CHECK(a.lost.empty());
  CHECK(late.lost.empty());
}

TEST_CASE("snapshots are stored once, read as they are, and removed with the log before them") {
  const EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Reader a(loop, etcd);
  a.subscribe();
  CHECK(a.snapshot().index == 0);
  const Bytes full(limits::kSnapshotChunkBytes, 0xab);
  for (std::uint32_t i = 0; i < 20; ++i) {  // more than a page
    Bytes chunk = full;
    chunk[0] = static_cast<std::uint8_t>(i);
    REQUIRE(a.chunk(10, i, chunk).ok());
  }
  CHECK(a.snapshot().index == 0);  // no manifest yet
  REQUIRE(a.manifest(10, {1, 2, 3}).ok());
  const StoredSnapshot stored = a.snapshot();
  CHECK(stored.index == 10);
  CHECK(stored.manifest == Bytes{1, 2, 3});
  REQUIRE(stored.chunks.size() == 20);
  for (const auto& [number, chunk] : stored.chunks) {
    CHECK(chunk.size() == full.size());
    CHECK(chunk[0] == number);
  }
  // Complete: nothing changes it any more.
  CHECK(a.chunk(10, 0, {9}).ok());
  CHECK(a.chunk(10, 20, {9}).ok());
  CHECK(a.manifest(10, {9}).ok());
  CHECK(a.snapshot() == stored);

  for (std::uint64_t i = 1; i <= 30; ++i) {
    REQUIRE(a.propose({command_of(i)}) == ProposeOutcome::Accepted);
  }
  REQUIRE(a.chunk(15, 0, {7}).ok());  // left without its manifest
  CHECK_FALSE(a.trim(10, 20).ok());   // not complete: nothing goes
  CHECK(a.snapshot(9).index == 0);
  REQUIRE(a.chunk(20, 0, {5}).ok());
  REQUIRE(a.manifest(20, {6}).ok());
  CHECK(a.snapshot().index == 20);
  CHECK(a.snapshot(19) == stored);
  REQUIRE(a.trim(10, 20).ok());
  CHECK(a.snapshot(19) == stored);
  Reader late(loop, etcd);
  late.subscribe();
  REQUIRE(loop.run_until([&] { return !late.trimmed.empty(); }, kPatience));
  CHECK(late.trimmed[0] == 11);
  CHECK(late.entries.empty());
  // From behind the snapshot it follows like anybody else, and proposes once it has seen the head.
  late.followed = 10;
  late.log.follow(10);
  REQUIRE(late.wait_for(20));
  CHECK(late.propose({command_of(31)}) == ProposeOutcome::Accepted);
  REQUIRE(loop.run_until([&] { return late.restored == 1; }, kPatience));
  CHECK(a.lost.empty());  // a trim of what was handed over is no loss

  REQUIRE(a.chunk(30, 0, {5}).ok());
  REQUIRE(a.manifest(30, {6}).ok());
  REQUIRE(a.trim(20, 30).ok());
  CHECK(a.snapshot(19).index == 0);
  const auto left = etcd.call(loop, 0, "/v3/kv/range",
                              R"({"key":")" + encode_base64(as_bytes("c/")) + R"(","range_end":")" +
                                  encode_base64(as_bytes("c0")) + R"(","keys_only":true})");
  CHECK(left["kvs"].size() == 1 + 11 + 4);  // head, entries 21 to 31, two snapshots of two keys
}

TEST_CASE("a trim of thousands of entries leaves the log without a gap") {
  const EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Reader a(loop, etcd);
  a.subscribe();
  for (std::uint64_t i = 1; i <= 1300; ++i) {
    REQUIRE(a.propose({command_of(i)}) == ProposeOutcome::Accepted);
  }
  for (const std::uint64_t index : {1200U, 1250U}) {
    REQUIRE(a.chunk(index, 0, {5}).ok());
    REQUIRE(a.manifest(index, {6}).ok());
  }
  REQUIRE(a.trim(1200, 1250).ok());
  REQUIRE(a.trim(1200, 1250).ok());  // again: nothing left to remove
  Reader late(loop, etcd);
  late.subscribe();
  REQUIRE(loop.run_until([&] { return !late.trimmed.empty(); }, kPatience));
  CHECK(late.trimmed[0] == 1201);
  CHECK(a.propose({command_of(9999)}) == ProposeOutcome::Accepted);
  CHECK(a.lost.empty());
}

TEST_CASE("the head comparison keeps a stale proposer out, also where entries were trimmed") {
  const EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Reader current(loop, etcd);
  current.subscribe();
  Reader stale(loop, etcd);  // has seen two entries and nothing since: it would write index 3
  for (std::uint64_t i = 1; i <= 2; ++i) {
    REQUIRE(current.propose({command_of(i)}) == ProposeOutcome::Accepted);
  }
  stale.subscribe();
  REQUIRE(stale.wait_for(2));
  // While it stands still the others go on, store snapshots, and trim.
  Reader others(loop, etcd);
  others.subscribe();
  REQUIRE(others.wait_for(2));
  const auto blind = etcd::append_request(
      "c", 3, [&] {
        const auto head = etcd.call(loop, 0, "/v3/kv/range", etcd::head_request("c"));
        return std::stoll(head["kvs"][0]["mod_revision"].get<std::string>());
      }(), wire::encode_batch({command_of(77)}));  // what the stale one has on its way
  for (std::uint64_t i = 3; i <= 6; ++i) {
    REQUIRE(others.propose({command_of(i)}) == ProposeOutcome::Accepted);
  }
  for (const std::uint64_t index : {4U, 6U}) {
    REQUIRE(others.chunk(index, 0, {5}).ok());
    REQUIRE(others.manifest(index, {6}).ok());
  }
  REQUIRE(others.trim(4, 6).ok());

  // Index 3 is trimmed: its create_revision is 0 again, so the entry's own comparison alone would
  // let the stale proposer write there.
  const std::string key = encode_base64(as_bytes(etcd::entry_key("c", 3)));
  const auto alone = etcd.call(loop, 0, "/v3/kv/txn",
                               R"({"compare":[{"target":"CREATE","result":"EQUAL","key":")" + key +
                                   R"(","create_revision":"0"}],"success":[]})");
  CHECK(alone.value("succeeded", false));
  const auto answer = etcd.call(loop, 0, "/v3/kv/txn", blind);
  REQUIRE(answer.is_object());
  CHECK_FALSE(answer.value("succeeded", false));
  CHECK(current.barrier() == 6U);
  // One that starts behind the trim writes nothing before it has followed the log, either.
  Reader newcomer(loop, etcd);
  newcomer.subscribe();
  CHECK(newcomer.propose({command_of(9)}) == ProposeOutcome::NotLeader);
  REQUIRE(loop.run_until([&] { return !newcomer.trimmed.empty(); }, kPatience));
  newcomer.followed = 4;
  newcomer.log.follow(4);
  CHECK(newcomer.propose({command_of(9)}) == ProposeOutcome::NotLeader);
  const auto written = etcd.call(loop, 0, "/v3/kv/range", R"({"key":")" + key + "\"}");
  CHECK_FALSE(written.contains("kvs"));
}

TEST_CASE("an entry removed before it was handed over is told as a log that begins later") {
  const EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Reader reader(loop, etcd);
  reader.subscribe();
  for (std::uint64_t i = 1; i <= 2; ++i) {
    REQUIRE(reader.propose({command_of(i)}) == ProposeOutcome::Accepted);
  }
  const std::string key = encode_base64(as_bytes(etcd::entry_key("c", 1)));
  REQUIRE(etcd.call(loop, 0, "/v3/kv/deleterange", R"({"key":")" + key + "\"}").is_object());
  CHECK(reader.propose({command_of(3)}) == ProposeOutcome::Accepted);
  CHECK(reader.entries.size() == 3);
  // A newcomer needs what is gone and says so.
  Reader newcomer(loop, etcd);
  newcomer.subscribe();
  REQUIRE(loop.run_until([&] { return !newcomer.trimmed.empty(); }, kPatience));
  CHECK(newcomer.trimmed[0] == 2);
  CHECK(newcomer.entries.empty());
  CHECK(reader.lost.empty());
}

TEST_CASE("a page that was read before the head it meets is not a log that begins later") {
  runtime::EventLoop loop;
  const auto body = [](const std::string& text) {
    runtime::HttpResponse response;
    response.body = text;
    return response;
  };
  // A member that read the page, then took an entry, then answers for the head first.
  const std::string asks_head = etcd::head_request("c");
  std::vector<runtime::HttpResponder> pages;
  int watches = 0;
  runtime::HttpServer::Options options;
  options.handler = [&](const runtime::HttpRequest& request, const runtime::HttpResponder& answer) {
    if (request.path.ends_with("/watch")) {
      ++watches;
      answer(body(""));  // it ends, and the log is read again
    } else if (request.body == asks_head) {
      answer(body(R"({"header":{"revision":"9"},"kvs":[{"value":")" +
                  encode_base64(as_bytes("1")) + R"("}]})"));
    } else {
      pages.push_back(answer);
    }
  };
  runtime::HttpServer member(loop, options);
  const auto port = member.listen("127.0.0.1", 0);
  REQUIRE(port.ok());
  EtcdLog::Options log_options;
  log_options.cluster = "c";
  log_options.members.push_back({"127.0.0.1", *port});
  EtcdLog log(loop, log_options);
  std::vector<std::uint64_t> trimmed;
  log.subscribe({[](std::uint64_t, std::vector<wire::Command>) {}, [](const std::string&) {},
                 [] {}, [&trimmed](std::uint64_t first) { trimmed.push_back(first); }});
  REQUIRE(loop.run_until([&] { return !pages.empty(); }, kPatience));
  std::optional<std::uint64_t> head;
  log.read_barrier([&head](std::optional<std::uint64_t> read) { head = read; });
  REQUIRE(loop.run_until([&] { return head.has_value(); }, kPatience));
  REQUIRE(*head == 1);
  const std::string empty = R"({"header":{"revision":"8"}})";
  pages.at(0)(body(empty));
  REQUIRE(loop.run_until([&] { return watches > 0 || !trimmed.empty(); }, kPatience));
  CHECK(trimmed.empty());
  // The next page is asked for after that head was seen: now its entry must be there.
  REQUIRE(loop.run_until([&] { return pages.size() > 1; }, kPatience));
  pages.at(1)(body(empty));
  REQUIRE(loop.run_until([&] { return !trimmed.empty(); }, kPatience));
  CHECK(trimmed == std::vector<std::uint64_t>{2});
}

TEST_CASE("one batch of exactly the largest size goes through") {
  const EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Reader a(loop, etcd);
  Reader b(loop, etcd);
  a.subscribe();
  b.subscribe();
  wire::BlockConnected block;
  block.hash = hash_of("large");
  const wire::Command small{command_of(1).id, block};
  const std::size_t overhead = wire::encode_batch({small}).size();
  // Outputs of 17 bytes and txids of 32 fill it to the byte.
  std::size_t outputs = 0;
  wire::BlockConnected probe = block;
  probe.txids.resize(1);
  const std::size_t without = wire::encode_batch({{small.id, probe}}).size();
  probe.wallet_outputs.resize(1);
  const std::size_t per_output = wire::encode_batch({{small.id, probe}}).size() - without;
  while ((limits::kMaxBatchBytes - overhead - outputs * per_output) % 32 != 0) {
    ++outputs;
    REQUIRE(outputs < 64);
  }
  block.txids.resize((limits::kMaxBatchBytes - overhead - outputs * per_output) / 32);
  for (std::size_t i = 0; i < block.txids.size(); ++i) {
    block.txids[i] = hash_of(std::to_string(i));
  }
  for (std::size_t i = 0; i < outputs; ++i) {
    block.wallet_outputs.push_back({{block.txids[i], 0}, 1000, false});
  }
  const std::vector<wire::Command> batch = {{small.id, block}};
  REQUIRE(wire::encode_batch(batch).size() == limits::kMaxBatchBytes);
  REQUIRE(a.propose(batch) == ProposeOutcome::Accepted);
  REQUIRE(b.wait_for(1));
  CHECK(b.entries[0] == batch);
  Reader late(loop, etcd);  // by a page, not by the watch
  late.subscribe();
  REQUIRE(late.wait_for(1));
  CHECK(late.entries[0] == batch);
}

TEST_CASE("a database over its quota refuses by name, and the log does not grow") {
  const EtcdCluster etcd(1, {"--quota-backend-bytes", "3000000"});
  runtime::EventLoop loop;
  Reader reader(loop, etcd);
  reader.subscribe();
  ProposeOutcome outcome = ProposeOutcome::Accepted;
  std::uint64_t i = 0;
  wire::BlockConnected block;
  block.txids.resize(10'000);
  while (outcome == ProposeOutcome::Accepted && i < 50) {
    outcome = reader.propose({{command_of(++i).id, block}});
  }
  REQUIRE(outcome == ProposeOutcome::NoSpace);
  // The write that fills the quota is applied by etcd and answered with that error all the same.
  const auto head = reader.barrier();
  REQUIRE(head.has_value());
  CHECK((*head == i - 1 || *head == i));
  CHECK(reader.propose({command_of(999)}) == ProposeOutcome::NoSpace);
  CHECK(reader.barrier() == head);
  CHECK(reader.log.counters().failovers == 0);
  CHECK(reader.log.counters().no_space == 2);
  CHECK_FALSE(reader.chunk(5, 0, {1}).ok());
}

TEST_CASE("a member that stands still is left for another one within the deadline") {
  EtcdCluster etcd(3);
  runtime::EventLoop loop;
  const std::size_t follower = (etcd.leader(loop) + 1) % 3;
  Reader reader(loop, etcd, follower);
  Reader writer(loop, etcd, etcd.leader(loop));
  reader.subscribe();
  writer.subscribe();
  REQUIRE(writer.propose({command_of(1)}) == ProposeOutcome::Accepted);
  REQUIRE(reader.wait_for(1));
  etcd.pause(follower);  // its watch stream is silent now, nothing is closed
  REQUIRE(writer.propose({command_of(2)}) == ProposeOutcome::Accepted);
  CHECK_FALSE(reader.barrier().has_value());  // the deadline
  CHECK(reader.barrier() == 2U);
  CHECK(reader.wait_for(2));
  etcd.resume(follower);
}

// ---- the machine on the real log ----

// One replica in this process; its coordinator is the test.
struct Replica {
  Replica(runtime::EventLoop& loop_given, const EtcdCluster& etcd, std::uint16_t id,
          std::uint16_t replicas, std::uint8_t life = 1)
      : loop(loop_given),
        log(loop, options_for(etcd, "story", id)),
        machine(config_of(id, replicas, life)),
        timer(loop, [this] { step(DeadlineReached{}); }) {
    step(Started{});
    log.subscribe({[this](std::uint64_t index, std::vector<wire::Command> commands) {
                     entries.push_back(commands);
                     step(EntryDelivered{index, std::move(commands)});
                   },
                   [this](const std::string& why) { step(LogLost{why}); },
                   [this] { step(LogRestored{}); },
                   [this](std::uint64_t first) { step(LogTrimmed{first}); }});
    step(PeerConnected{kCoordinator, {Role::Coordinator, 0}, {}});
  }
  static LedgerConfig config_of(std::uint16_t id, std::uint16_t replicas, std::uint8_t life) {
    LedgerConfig config;
    config.id = LedgerId(id);
    config.replicas = replicas;
    config.boot = BootId(ByteArray<16>{static_cast<std::uint8_t>(id + 1), life});
    config.genesis = test_genesis();
    return config;
  }
  void step(const Event& event) {
    Effects effects;
    machine.step(loop.now(), event, entropy, effects);
    for (const Effect& effect : effects) {
      if (const auto* propose = std::get_if<Propose>(&effect)) {
        log.propose(propose->commands, [this, batch = propose->batch](ProposeOutcome outcome) {
          if (outcome == ProposeOutcome::Unknown) ++unknown;
          step(ProposeDone{batch, outcome});
        });
      } else if (const auto* barrier = std::get_if<ReadBarrier>(&effect)) {
        log.read_barrier([this, number = barrier->barrier](std::optional<std::uint64_t> head) {
          step(BarrierDone{number, head});
        });
      } else if (const auto* send = std::get_if<Send>(&effect)) {
        const auto* answer = std::get_if<wire::LedgerApplied>(&send->message);
        if (answer != nullptr) answered[answer->request] = *answer;
      } else if (const auto* readiness = std::get_if<ReadinessChanged>(&effect)) {
        ready = readiness->ready;
      } else if (const auto* stop = std::get_if<Stop>(&effect)) {
        stopped = stop->reason;
      }
    }
    if (const auto deadline = machine.next_deadline())
      timer.arm(*deadline);
    else
      timer.cancel();
  }
  void submit(std::uint64_t request) {
    wire::Withdraw withdraw;
    ByteArray<16> id{};
    id[0] = static_cast<std::uint8_t>(request >> 8);
    id[1] = static_cast<std::uint8_t>(request);
    withdraw.id = WithdrawalId(id);
    withdraw.key = "k" + std::to_string(request);
    withdraw.account = "alice";
    withdraw.script = customer_script(request);
    withdraw.amount_sat = 50'000;
    withdraw.payload_digest =
        wire::payload_digest(withdraw.account, withdraw.script, withdraw.amount_sat);
    const wire::Command command{{{Role::Coordinator, 0}, BootId(ByteArray<16>{9}), request},
                                withdraw};
    step(MessageReceived{kCoordinator, wire::LedgerSubmit{request, command}});
  }
  bool wait_ready() {
    return loop.run_until([this] { return ready; }, kPatience);
  }
  bool wait_answered(std::size_t count) {
    return loop.run_until([&] { return answered.size() >= count; }, kPatience);
  }

  static constexpr ConnectionId kCoordinator{1000};
  runtime::EventLoop& loop;
  EtcdLog log;
  Ledger machine;
  runtime::Timer timer;
  NoEntropy entropy;
  std::vector<std::vector<wire::Command>> entries;
  std::map<std::uint64_t, wire::LedgerApplied> answered;
  bool ready = false;
  int unknown = 0;
  std::string stopped;
};

void check_each_command_once(const Replica& replica, std::size_t withdrawals) {
  std::set<wire::CommandId> ids;
  std::size_t found = 0;
  for (const auto& entry : replica.entries) {
    for (const wire::Command& command : entry) {
      if (!std::holds_alternative<wire::Withdraw>(command.body)) continue;
      ++found;
      CHECK(ids.insert(command.id).second);
    }
  }
  CHECK(found == withdrawals);
}

TEST_CASE(
    "outcomes that were lost with the connection are resolved: each command is in the log once") {
  EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Replica replica(loop, etcd, 0, 1);
  REQUIRE(replica.wait_ready());
  std::uint64_t request = 0;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 5; ++i) replica.submit(++request);  // the first one leaves at once
    // Round by round: before the transaction can be read, and while later ones are under way.
    if (round % 2 == 1) (void)loop.run_until([] { return false; }, milliseconds(1));
    etcd.pause(0);
    for (int i = 0; i < 5; ++i) replica.submit(++request);
    (void)loop.run_until([&] { return replica.unknown > round; }, seconds(2));
    etcd.resume(0);
    REQUIRE(replica.wait_answered(request));
  }
  CHECK(replica.unknown > 0);
  check_each_command_once(replica, request);
  CHECK(replica.machine.state().withdrawals() == request);
}

TEST_CASE("a killed etcd that comes back loses nothing that was answered") {
  EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Replica replica(loop, etcd, 0, 1);
  REQUIRE(replica.wait_ready());
  for (std::uint64_t request = 1; request <= 200; ++request) replica.submit(request);
  REQUIRE(replica.wait_answered(64));
  etcd.kill(0);
  etcd.start(0);
  REQUIRE(replica.wait_answered(200));
  REQUIRE(replica.wait_ready());
  check_each_command_once(replica, 200);
}

TEST_CASE("a replica restarted with nothing replays the log to the same digest") {
  const EtcdCluster etcd(1);
  runtime::EventLoop loop;
  Replica first(loop, etcd, 0, 1);
  REQUIRE(first.wait_ready());
  for (std::uint64_t request = 1; request <= 300; ++request) first.submit(request);
  REQUIRE(first.wait_answered(300));
  Replica second(loop, etcd, 0, 1, 2);
  REQUIRE(second.wait_ready());
  CHECK(second.machine.state().digest() == first.machine.state().digest());
  CHECK(second.machine.state().withdrawals() == 300);
}

TEST_CASE("three members: the log goes on when the leader is killed, and when it stands still") {
  EtcdCluster etcd(3);
  runtime::EventLoop loop;
  Replica replica(loop, etcd, 0, 1);
  REQUIRE(replica.wait_ready());
  std::uint64_t request = 0;
  const auto pay = [&](int count) {
    for (int i = 0; i < count; ++i) replica.submit(++request);
    return replica.wait_answered(request);
  };
  REQUIRE(pay(20));
  const std::size_t killed = etcd.leader(loop);
  etcd.kill(killed);
  REQUIRE(pay(20));
  etcd.start(killed);
  REQUIRE(pay(20));
  const std::size_t paused = etcd.leader(loop);
  // The restarted member must be part of the majority that goes on.
  REQUIRE(loop.run_until(
      [&] { return etcd.call(loop, killed, "/v3/kv/range", R"({"key":"YQ=="})").is_object(); },
      kPatience));
  etcd.pause(paused);
  CHECK(pay(20));
  etcd.resume(paused);
  REQUIRE(pay(20));
  REQUIRE(replica.wait_ready());
  check_each_command_once(replica, request);
  CHECK(replica.stopped.empty());
}

}  // namespace
}  // namespace roulette::ledger::test
