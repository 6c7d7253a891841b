// Replica processes on a real etcd whose log is trimmed: snapshots, wiped folders, flipped bits, a
// proposer that wakes with an old head, and kills at the points of all this.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "common/base/base64.h"
#include "common/runtime/kill_point_table.h"
#include "ledger/log/etcd_messages.h"
#include "tests/live/ledger_caller.h"

namespace roulette::ledger::test {
namespace {

using nlohmann::json;

constexpr std::uint64_t kEvery = 64;  // the least: checkpoints stand there
constexpr const char* kCluster = "snap";

std::string key_of(std::size_t number) { return "key-" + std::to_string(number); }

// Replicas with small intervals, and what the store holds of them.
class Cluster {
 public:
  explicit Cluster(std::uint16_t replicas) : etcd(1), files(etcd, replicas, kCluster) {
    for (std::uint16_t i = 0; i < replicas; ++i) {
      files.write_config(i, {{"snapshot_interval", std::to_string(kEvery)}});
      ledgers.emplace_back();
    }
  }
  void start(std::uint16_t i, const std::vector<std::string>& lines = {}) {
    ledgers[i] = std::make_unique<LedgerProcess>(files.config(i), lines);
  }
  void start_all() {
    for (std::uint16_t i = 0; i < ledgers.size(); ++i) start(i);
    for (auto& ledger : ledgers) REQUIRE(ledger->hear("ready") == "ready {}");
  }
  void stop(std::uint16_t i) {
    ledgers[i]->signal(SIGTERM);
    CHECK(WEXITSTATUS(ledgers[i]->wait()) == 0);
    ledgers[i].reset();
  }
  void kill(std::uint16_t i) {
    ledgers[i]->kill();
    ledgers[i].reset();
  }
  void wipe(std::uint16_t i) { std::filesystem::remove_all(folder(i)); }
  [[nodiscard]] std::filesystem::path folder(std::uint16_t i) const {
    return files / ("ledger-" + std::to_string(i));
  }
  // Withdrawals through replica `by` until the log's end reaches `index`; each is an entry.
  void grow_to(std::uint16_t by, std::uint64_t index) {
    TestCoordinator coordinator(files);
    REQUIRE(coordinator.connect(by));
    Caller caller(coordinator);
    if (keys == 0) caller.fund(by);
    for (std::uint64_t at = 0; at < index;) {
      const auto applied = caller.give(by, withdraw_of(key_of(keys++)));
      REQUIRE(applied.has_value());
      CHECK(applied->outcome.kind == wire::OutcomeKind::Applied);
      at = applied->index;
    }
  }
  // The books of a stopped replica, whose tables agree with its entries.
  std::vector<json> exported(std::uint16_t i) {
    const Finished done = run_ledger(files, {"export", "--config", files.config(i).string()});
    REQUIRE(done.exit_code == 0);
    auto lines = lines_of(done.out);
    CHECK(line_of(lines, "tables")["why"] == "");
    CHECK(line_of(lines, "tables")["digest"] == line_of(lines, "state")["digest"]);
    return lines;
  }
  std::string digest(std::uint16_t i) { return line_of(exported(i), "state")["digest"]; }
  // The events of a replica named so, of all its lives since its folder was made.
  std::vector<json> events(std::uint16_t i, const std::string& name) const {
    std::ifstream in(folder(i) / "events.ndjson");
    std::vector<json> found;
    for (std::string line; std::getline(in, line);) {
      json event = json::parse(line, nullptr, false);
      if (event.is_object() && event.value("event", "") == name) found.push_back(std::move(event));
    }
    return found;
  }
  std::uint64_t first_entry() {
    const json answer = etcd.call(loop, 0, "/v3/kv/range", etcd::first_entry_request(kCluster));
    const auto first = etcd::parse_first_entry(answer.dump(), kCluster);
    REQUIRE(first.ok());
    return *first;
  }
  std::uint64_t newest_snapshot(std::uint64_t at_most = ~std::uint64_t{0}) {
    const json answer =
        etcd.call(loop, 0, "/v3/kv/range", etcd::snapshots_request(kCluster, at_most));
    const auto newest = etcd::parse_newest_snapshot(answer.dump(), kCluster);
    REQUIRE(newest.ok());
    return *newest;
  }
  bool entry_exists(std::uint64_t index) {
    const std::string key = encode_base64(as_bytes(etcd::entry_key(kCluster, index)));
    return etcd.call(loop, 0, "/v3/kv/range", R"({"key":")" + key + "\"}").contains("kvs");
  }
  void wait_for_trim(std::uint64_t first) {
    REQUIRE(loop.run_until([&] { return true; }, milliseconds(1)));
    for (int tries = 0; tries < 200 && first_entry() < first; ++tries) ::usleep(20'000);
    REQUIRE(first_entry() >= first);
  }
  void flip_chunk(std::uint64_t index) {
    const std::string key = encode_base64(as_bytes(etcd::chunk_key(kCluster, index, 0)));
    const json found = etcd.call(loop, 0, "/v3/kv/range", R"({"key":")" + key + "\"}");
    auto bytes = decode_base64(found.at("kvs").at(0).at("value").get<std::string>());
    REQUIRE(bytes.has_value());
    (*bytes)[bytes->size() / 2] ^= 0x10;
    REQUIRE(etcd.call(loop, 0, "/v3/kv/put",
                      R"({"key":")" + key + R"(","value":")" + encode_base64(*bytes) + "\"}")
                .is_object());
  }

  void drop_chunk(std::uint64_t index) {
    const std::string key = encode_base64(as_bytes(etcd::chunk_key(kCluster, index, 0)));
    const json gone = etcd.call(loop, 0, "/v3/kv/deleterange", R"({"key":")" + key + "\"}");
    REQUIRE(gone.value("deleted", "") == "1");
  }

  const EtcdCluster etcd;
  const LedgerFiles files;
  std::vector<std::unique_ptr<LedgerProcess>> ledgers;
  runtime::EventLoop loop;
  std::size_t keys = 0;
};

TEST_CASE("a trimmed log serves replicas that lost one folder, or all three at once") {
  Cluster cluster(3);
  cluster.start_all();
  cluster.grow_to(0, 3 * kEvery + 5);
  cluster.wait_for_trim(2 * kEvery + 1);
  CHECK(cluster.newest_snapshot() == 3 * kEvery);
  CHECK(cluster.newest_snapshot(3 * kEvery - 1) == 2 * kEvery);  // the last two stay
  CHECK(cluster.newest_snapshot(2 * kEvery - 1) == 0);
  CHECK_FALSE(cluster.entry_exists(2 * kEvery));
  CHECK(cluster.entry_exists(2 * kEvery + 1));

  // One: it loads, and says so; those that kept theirs do not need to begin at a snapshot.
  cluster.kill(2);
  cluster.wipe(2);
  cluster.start(2);
  REQUIRE(cluster.ledgers[2]->hear("ready") == "ready {}");
  REQUIRE(cluster.events(2, "snapshot_loaded").size() == 1);
  CHECK(cluster.events(2, "snapshot_loaded")[0]["index"] == 3 * kEvery);
  for (std::uint16_t i = 0; i < 3; ++i) cluster.stop(i);
  const std::string before = cluster.digest(0);
  CHECK(cluster.digest(1) == before);
  CHECK(cluster.digest(2) == before);
  CHECK(line_of(cluster.exported(2), "base")["index"] == 3 * kEvery);
  CHECK(line_of(cluster.exported(0), "entry")["index"] == 1);  // its tables hold what is trimmed

  // All: nothing but the store is left, and the books are the same.
  for (std::uint16_t i = 0; i < 3; ++i) cluster.wipe(i);
  cluster.start_all();
  {
    TestCoordinator coordinator(cluster.files);
    REQUIRE(coordinator.connect(1));
    Caller caller(coordinator);
    const auto again = caller.give(1, withdraw_of(key_of(0), 9));
    REQUIRE(again.has_value());
    CHECK(again->outcome.kind == wire::OutcomeKind::Duplicate);  // a key is answered for ever
    CHECK(again->outcome.withdrawal == withdraw_of(key_of(0)).id);
  }
  for (std::uint16_t i = 0; i < 3; ++i) cluster.stop(i);
  for (std::uint16_t i = 0; i < 3; ++i) CHECK(cluster.digest(i) == before);
  cluster.start_all();
  cluster.grow_to(2, 4 * kEvery + 5);  // it goes on, and so do snapshots
  cluster.wait_for_trim(3 * kEvery + 1);
  for (std::uint16_t i = 0; i < 3; ++i) cluster.stop(i);
  const std::string after = cluster.digest(0);
  CHECK(after != before);
  for (std::uint16_t i = 1; i < 3; ++i) CHECK(cluster.digest(i) == after);
}

TEST_CASE("a snapshot with a flipped bit in the store is named and never loaded") {
  Cluster cluster(3);
  cluster.start_all();
  cluster.grow_to(0, 2 * kEvery + 5);
  cluster.wait_for_trim(kEvery + 1);
  cluster.kill(2);
  cluster.wipe(2);
  cluster.flip_chunk(2 * kEvery);
  cluster.start(2);
  REQUIRE(cluster.ledgers[2]->hear("ready") == "ready {}");
  REQUIRE(cluster.events(2, "snapshot_loaded").size() == 1);
  CHECK(cluster.events(2, "snapshot_loaded")[0]["index"] == kEvery);  // the older one does
  cluster.kill(2);
  cluster.wipe(2);
  cluster.flip_chunk(kEvery);
  cluster.start(2);
  const std::string why = cluster.ledgers[2]->hear("not_ready no usable snapshot");
  CHECK(why.find("snapshot 128: chunk 0 is damaged") != std::string::npos);
  CHECK(why.find("snapshot 64: chunk 0 is damaged") != std::string::npos);
  CHECK(cluster.events(2, "snapshot_loaded").empty());
  cluster.flip_chunk(2 * kEvery);  // mended: it looks again
  REQUIRE(cluster.ledgers[2]->hear("ready") == "ready {}");
  for (std::uint16_t i = 0; i < 3; ++i) cluster.stop(i);
  const std::string digest = cluster.digest(0);
  for (std::uint16_t i = 1; i < 3; ++i) CHECK(cluster.digest(i) == digest);
}

TEST_CASE("where both snapshots are damaged a wiped replica serves nothing until the next one") {
  Cluster cluster(3);
  cluster.start_all();
  cluster.grow_to(0, 2 * kEvery + 5);
  cluster.wait_for_trim(kEvery + 1);
  cluster.kill(2);
  cluster.wipe(2);
  cluster.flip_chunk(kEvery);
  cluster.drop_chunk(2 * kEvery);
  cluster.start(2);
  const std::string why = cluster.ledgers[2]->hear("not_ready no usable snapshot");
  CHECK(why.find("snapshot 128: chunk 0 is missing") != std::string::npos);
  CHECK(why.find("snapshot 64: chunk 0 is damaged") != std::string::npos);
  {
    TestCoordinator coordinator(cluster.files);
    REQUIRE(coordinator.dial(2));
    Caller caller(coordinator);
    const auto answer = caller.ask(2, wire::QueryByKey{key_of(0)});
    REQUIRE(answer.has_value());
    CHECK_FALSE(answer->available);
  }
  // The others know the books, and the next interval heals the store.
  cluster.grow_to(0, 3 * kEvery + 5);
  REQUIRE(cluster.ledgers[2]->hear("ready") == "ready {}");
  REQUIRE(cluster.events(2, "snapshot_loaded").size() == 1);
  CHECK(cluster.events(2, "snapshot_loaded")[0]["index"] == 3 * kEvery);
  CHECK(cluster.first_entry() == kEvery + 1);  // by the damaged ones nothing goes
  cluster.grow_to(2, 4 * kEvery + 5);
  cluster.wait_for_trim(3 * kEvery + 1);
  CHECK(cluster.newest_snapshot(3 * kEvery - 1) == 0);  // and they go themselves
  for (std::uint16_t i = 0; i < 3; ++i) cluster.stop(i);
  const std::string digest = cluster.digest(0);
  for (std::uint16_t i = 1; i < 3; ++i) CHECK(cluster.digest(i) == digest);
}

TEST_CASE("a replica refuses tables with a flipped bit by name, and is whole once they are wiped") {
  Cluster cluster(1);
  cluster.start_all();
  cluster.grow_to(0, 2 * kEvery + 5);
  cluster.wait_for_trim(kEvery + 1);
  cluster.stop(0);
  const std::string digest = cluster.digest(0);
  const auto file = cluster.folder(0) / "tables.sqlite";
  std::ifstream in(file, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  // In rows of several tables: the key of a withdrawal and of its entry, an account's name.
  std::vector<std::size_t> places;
  for (const char* text : {"key-5", "key-77", "customer:alice", "roulette-ledger-tables"}) {
    for (auto at = whole.find(text); at != std::string::npos; at = whole.find(text, at + 1)) {
      places.push_back(at + 4);
    }
  }
  REQUIRE(places.size() >= 6);
  const std::size_t step = std::max<std::size_t>(1, places.size() / 10);
  for (std::size_t i = 0; i < places.size(); i += step) {
    std::string damaged = whole;
    damaged[places[i]] = static_cast<char>(damaged[places[i]] ^ 1);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
    const Finished refused =
        run_ledger(cluster.files, {"--config", cluster.files.config(0).string()});
    INFO("byte " << places[i] << ": " << refused.out);
    CHECK(refused.exit_code == 2);
    CHECK(refused.out.find("tables.sqlite") != std::string::npos);
  }
  cluster.wipe(0);
  cluster.start(0);
  REQUIRE(cluster.ledgers[0]->hear("ready") == "ready {}");
  CHECK(cluster.events(0, "snapshot_loaded").size() == 1);
  cluster.stop(0);
  CHECK(cluster.digest(0) == digest);
}

TEST_CASE("a proposer that stood still over a trim wakes with an old head, and nothing is twice") {
  Cluster cluster(3);
  cluster.start_all();
  cluster.grow_to(0, kEvery + 2);
  // It stands still in front of the transaction that would write the next entry.
  cluster.ledgers[0]->tell("arm 1 ledger.append.command_batch.before 1");
  TestCoordinator late(cluster.files);
  REQUIRE(late.connect(0));
  Caller caller(late);
  (void)caller.submit(0, withdraw_of("late"));
  const std::string hit = cluster.ledgers[0]->hear("hit");
  INFO(hit);
  REQUIRE(hit.starts_with("hit 1 ledger.append.command_batch.before "));
  const std::string sequence = hit.substr(hit.rfind(' ') + 1);
  cluster.grow_to(1, 3 * kEvery + 5);
  cluster.wait_for_trim(2 * kEvery + 1);
  const std::uint64_t first = cluster.first_entry();
  cluster.ledgers[0]->tell("release " + sequence);
  // It follows the log again and proposes at its end, where the answer comes from.
  const auto answered = late.receive<wire::LedgerApplied>(0);
  REQUIRE(answered.has_value());
  CHECK(answered->outcome.kind == wire::OutcomeKind::Applied);
  CHECK(answered->index > 3 * kEvery);
  // The keys that it was about to write were free again, and stayed so.
  for (std::uint64_t index = kEvery; index < first; ++index) {
    REQUIRE_FALSE(cluster.entry_exists(index));
  }
  for (std::uint16_t i = 0; i < 3; ++i) cluster.stop(i);
  std::size_t applied = 0;
  for (const json& line : cluster.exported(1)) {
    if (line.value("type", "") != "entry") continue;
    for (const json& command : line["commands"]) {
      applied += command.value("key", "") == "late" && command["outcome"] == "applied" ? 1 : 0;
    }
  }
  CHECK(applied == 1);
  const std::string digest = cluster.digest(1);
  CHECK(cluster.digest(0) == digest);
  CHECK(cluster.digest(2) == digest);
}

TEST_CASE("a replica stands still at every point of snapshots and trims, and is whole afterwards") {
  Cluster cluster(1);
  cluster.start_all();
  std::size_t points = 0;
  std::size_t manifests = 0;
  std::size_t trims = 0;
  for (const auto& point : runtime::list_kill_points()) {
    const bool ours = point.subject.starts_with("snapshot") || point.subject == "trim";
    if (point.role != Role::Ledger || !ours) continue;
    CAPTURE(point.point);
    ++points;
    const std::string arm = "arm 1 " + point.point + " 1";
    if (point.subject == "snapshot_loaded") {
      cluster.kill(0);
      cluster.start(0, {arm});
      CHECK(cluster.ledgers[0]->hear("hit").starts_with("hit 1 " + point.point + " 1 "));
    } else {
      cluster.ledgers[0]->tell(arm);
      // Speaks in a process of its own: the replica that stands still answers nobody.
      const std::size_t keys = cluster.keys;
      runtime::test::Child mouth([&] {
        try {
          TestCoordinator coordinator(cluster.files);
          if (!coordinator.connect(0)) return 1;
          Caller caller(coordinator);
          for (std::size_t i = 0; i < 3 * kEvery; ++i) {
            if (!caller.give(0, withdraw_of(key_of(keys + i)))) return 1;
          }
        } catch (...) {
          return 1;
        }
        return 0;
      });
      CHECK(cluster.ledgers[0]->hear("hit").starts_with("hit 1 " + point.point + " 1 "));
      // It dies with an order told, and nothing that says what became of it.
      const auto untold = [&](const char* ordered, const char* done) {
        return cluster.events(0, ordered).size() - cluster.events(0, done).size();
      };
      if (point.subject == "snapshot_manifest") {
        CHECK(untold("snapshot_ordered", "snapshot_stored") == ++manifests);
      }
      if (point.subject == "trim") CHECK(untold("trim_ordered", "log_trimmed") == ++trims);
      cluster.keys += 3 * kEvery;
    }
    cluster.kill(0);
    cluster.start(0);
    REQUIRE(cluster.ledgers[0]->hear("ready") == "ready {}");
  }
  CHECK(points == 8);
  cluster.stop(0);
  const std::string digest = cluster.digest(0);
  cluster.wipe(0);
  cluster.start(0);
  REQUIRE(cluster.ledgers[0]->hear("ready") == "ready {}");
  cluster.stop(0);
  CHECK(cluster.digest(0) == digest);
}

}  // namespace
}  // namespace roulette::ledger::test
