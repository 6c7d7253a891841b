// roulette-ledger as a process: replicas, restarts, kill points, the end of a run and the export.
#include <sys/wait.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "common/runtime/kill_point_table.h"
#include "common/runtime/sqlite.h"
#include "tests/live/ledger_caller.h"

namespace roulette::ledger::test {
namespace {

using nlohmann::json;

TEST_CASE(
    "three replica processes agree, survive a kill, end the run, drain and export equal books") {
  const EtcdCluster etcd(1);
  const LedgerFiles files(etcd, 3);
  std::vector<std::unique_ptr<LedgerProcess>> ledgers;
  for (std::uint16_t i = 0; i < 3; ++i) {
    ledgers.push_back(std::make_unique<LedgerProcess>(files.config(i)));
    REQUIRE(ledgers[i]->hear("ready") == "ready {}");
  }
  {
    TestCoordinator coordinator(files);
    for (std::uint16_t i = 0; i < 3; ++i) REQUIRE(coordinator.connect(i));
    Caller caller(coordinator);
    caller.fund(0);
    // One key at two replicas at once.
    (void)caller.submit(0, withdraw_of("same", 1));
    (void)caller.submit(2, withdraw_of("same", 2));
    const auto one = coordinator.receive<wire::LedgerApplied>(0);
    const auto two = coordinator.receive<wire::LedgerApplied>(2);
    REQUIRE(one.has_value());
    REQUIRE(two.has_value());
    CHECK(one->view->id == two->view->id);
    CHECK(one->view->planned->txid == two->view->planned->txid);
    // A read elsewhere sees what was answered here.
    const auto read = caller.ask(1, wire::QueryByKey{"same"});
    REQUIRE(read.has_value());
    CHECK(read->available);
    CHECK(read->view->planned->txid == one->view->planned->txid);

    ledgers[1]->kill();
    for (int i = 0; i < 10; ++i) {
      REQUIRE(caller.give(0, withdraw_of("away" + std::to_string(i))).has_value());
    }
    ledgers[1] = std::make_unique<LedgerProcess>(files.config(1));
    REQUIRE(ledgers[1]->hear("ready") == "ready {}");
    REQUIRE(coordinator.connect(1));
    const auto again = caller.ask(1, wire::QueryByKey{"away9"});
    REQUIRE(again.has_value());
    CHECK(again->view.has_value());
    coordinator.send(1, wire::LedgerFollow{});
    const auto feed = coordinator.receive<wire::LedgerFeed>(1);
    REQUIRE(feed.has_value());
    CHECK(feed->changed.size() == 11);
    CHECK(feed->tip.height == 3);

    ledgers[0]->tell("command end_of_run");
    ledgers[2]->tell("command nonsense");
    CHECK(ledgers[2]->hear("error") == "error command nonsense");
    std::set<std::string> ends;
    for (const auto& ledger : ledgers) ends.insert(ledger->hear("event end_of_run_applied"));
    CHECK(ends.size() == 1);
    CHECK(caller.give(0, withdraw_of("late"))->outcome.kind == wire::OutcomeKind::Closed);
  }
  std::set<std::string> states;
  for (std::uint16_t i = 0; i < 3; ++i) {
    ledgers[i]->signal(SIGTERM);
    CHECK(ledgers[i]->hear("event shutdown_started") == "event shutdown_started");
    const int status = ledgers[i]->wait();
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    const Finished exported = run_ledger(files, {"export", "--config", files.config(i).string()});
    CHECK(exported.exit_code == 0);
    const auto lines = lines_of(exported.out);
    CHECK(lines[0] == json({{"format", "roulette-ledger"}, {"version", 4}}));
    const json state = line_of(lines, "state");
    const json tables = line_of(lines, "tables");
    CHECK(tables["why"] == "");
    CHECK(tables["digest"] == state["digest"]);
    CHECK(state["closed"] == true);
    states.insert(state["digest"].get<std::string>());
    std::map<std::string, std::size_t> types;
    for (const json& line : lines) ++types[line.value("type", "")];
    CHECK(types["withdrawal"] == 11);
    CHECK(types["reservation"] == 11);
    CHECK(types["posting"] == 31);  // 20 deposits, 11 holds
    CHECK(types["balance"] == 6);
  }
  CHECK(states.size() == 1);
}

// What a coordinator does to make a replica pass each of its points.
void converse(const LedgerFiles& files, const std::vector<std::uint16_t>& replicas) {
  TestCoordinator coordinator(files);
  for (const std::uint16_t i : replicas) {
    if (!coordinator.connect(i)) return;
  }
  Caller caller(coordinator);
  const std::uint16_t victim = replicas.back();
  coordinator.send(victim, wire::LedgerFollow{});
  if (!coordinator.receive<wire::LedgerFeed>(victim)) return;
  if (!caller.give(victim, withdraw_of("k"))) return;
  (void)caller.ask(victim, wire::QueryByKey{"k"});
}

bool of_snapshots(const runtime::KillPoint& point) {
  return point.subject.starts_with("snapshot") || point.subject == "trim";
}

TEST_CASE("a replica stands still at every one of its points, and is whole after the kill there") {
  const EtcdCluster etcd(1);
  std::size_t points = 0;
  for (const auto& point : runtime::list_kill_points()) {
    if (point.role != Role::Ledger || point.when == runtime::PointWhen::AtTime) continue;
    if (of_snapshots(point)) continue;  // ledger_snapshots_test.cpp passes those
    CAPTURE(point.point);
    // Only a replica that is not preferred forwards.
    const bool pair = point.subject == "forward";
    const std::string cluster = "point-" + std::to_string(++points);
    const LedgerFiles files(etcd, pair ? 2 : 1, cluster);
    std::optional<LedgerProcess> other;
    if (pair) {
      other.emplace(files.config(0));
      REQUIRE(other->hear("ready") == "ready {}");
    }
    const std::uint16_t i = pair ? 1 : 0;
    LedgerProcess victim(files.config(i), {"arm 1 " + point.point + " 1"});
    std::string line = victim.hear_ready_or_hit();
    {
      // Speaks in a process of its own: the replica that stands still is killed here meanwhile.
      runtime::test::Child mouth([&] {
        try {
          if (line.starts_with("ready"))
            converse(files,
                     pair ? std::vector<std::uint16_t>{0, 1} : std::vector<std::uint16_t>{0});
        } catch (...) {
          return 1;
        }
        return 0;
      });
      if (line.starts_with("ready")) line = victim.hear("hit");
      CHECK(line.starts_with("hit 1 " + point.point + " 1 "));
      victim.kill();
    }
    LedgerProcess again(files.config(i));
    CHECK(again.hear("ready") == "ready {}");
    again.signal(SIGTERM);
    CHECK(WEXITSTATUS(again.wait()) == 0);
    const auto lines =
        lines_of(run_ledger(files, {"export", "--config", files.config(i).string()}).out);
    CHECK(line_of(lines, "tables")["digest"] == line_of(lines, "state")["digest"]);
    CHECK(line_of(lines, "tables")["why"] == "");
    if (other) other->kill();
  }
  CHECK(points == 27);
}

// Every row with a digest that no replay gives and a sum that fits it, as tables.cpp makes it.
void falsify_digests(const std::filesystem::path& file) {
  auto database = runtime::Database::open(file);
  REQUIRE(database.ok());
  struct Row {
    std::int64_t index, closed, height;
    Bytes tip;
  };
  std::vector<Row> rows;
  {
    auto read = database->prepare("SELECT idx, closed, tip, height FROM digests");
    REQUIRE(read.ok());
    while (read->step().value()) {
      rows.push_back({read->integer(0), read->integer(1), read->integer(3), read->blob(2)});
    }
  }
  const Hash32 false_digest = hash_of("no replay gives this");
  for (const Row& row : rows) {
    CanonicalWriter w;
    w.text("digests");
    w.u8(1);
    w.i64(row.index);
    w.u8(3);
    w.bytes(false_digest);
    w.u8(1);
    w.i64(row.closed);
    w.u8(3);
    w.bytes(row.tip);
    w.u8(1);
    w.i64(row.height);
    const Hash32 sum = crypto::sha256(w.view());
    auto update = database->prepare("UPDATE digests SET digest = ?, sum = ? WHERE idx = ?");
    REQUIRE(update.ok());
    update->bind(1, ByteSpan(false_digest));
    update->bind(2, ByteSpan(sum).first(16));
    update->bind(3, row.index);
    REQUIRE(update->run().ok());
  }
}

TEST_CASE("a replica whose tables were wiped replays, one whose tables lie refuses to serve") {
  const EtcdCluster etcd(1);
  const LedgerFiles files(etcd, 1);
  const auto serve_once = [&files](bool pay) {
    LedgerProcess ledger(files.config(0));
    REQUIRE(ledger.hear("ready") == "ready {}");
    if (pay) converse(files, {0});
    ledger.signal(SIGTERM);
    CHECK(WEXITSTATUS(ledger.wait()) == 0);
  };
  serve_once(true);
  std::filesystem::remove_all(files / "ledger-0");
  serve_once(false);
  const auto lines =
      lines_of(run_ledger(files, {"export", "--config", files.config(0).string()}).out);
  CHECK(line_of(lines, "withdrawal")["key"] == "k");
  CHECK(line_of(lines, "withdrawal")["reject"] == "insufficient-funds");
  falsify_digests(files / "ledger-0/tables.sqlite");
  LedgerProcess liar(files.config(0));
  CHECK(
      liar.hear("not_ready diverged").starts_with("not_ready diverged: replay and tables differ"));
  const int status = liar.wait();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 70);
}

TEST_CASE("an export tells tables that were changed behind its back") {
  const EtcdCluster etcd(1);
  const LedgerFiles files(etcd, 1);
  {
    LedgerProcess ledger(files.config(0));
    REQUIRE(ledger.hear("ready") == "ready {}");
    converse(files, {0});
    ledger.signal(SIGTERM);
    CHECK(WEXITSTATUS(ledger.wait()) == 0);
  }
  {
    auto database = runtime::Database::open(files / "ledger-0/tables.sqlite");
    REQUIRE(database.ok());
    REQUIRE(database->execute("UPDATE balances SET amount_sat = 1 WHERE account = 'fees'").ok());
  }
  const auto lines =
      lines_of(run_ledger(files, {"export", "--config", files.config(0).string()}).out);
  const std::string why = line_of(lines, "tables")["why"];
  CHECK(why.find("of balances is damaged") != std::string::npos);
  CHECK(line_of(lines, "tables")["digest"] != line_of(lines, "state")["digest"]);
}

TEST_CASE("without etcd a replica says why it is not ready and stops in order when told") {
  EtcdCluster etcd(1);
  etcd.kill(0);
  const LedgerFiles files(etcd, 1);
  LedgerProcess ledger(files.config(0));
  CHECK(ledger.hear("not_ready log lost").starts_with("not_ready log lost: "));
  etcd.start(0);
  CHECK(ledger.hear("ready") == "ready {}");
  ledger.signal(SIGTERM);
  CHECK(WEXITSTATUS(ledger.wait()) == 0);
}

TEST_CASE("wrong arguments and configurations end with 64, unfitting ones with 2") {
  const EtcdCluster etcd(1);
  const LedgerFiles files(etcd, 1);
  const std::string config = files.config(0).string();
  CHECK(run_ledger(files, {}).exit_code == 64);
  CHECK(run_ledger(files, {"--config", config, "--nonsense"}).exit_code == 64);
  CHECK(run_ledger(files, {"--version"}).exit_code == 0);
  CHECK(run_ledger(files, {"export", "--config", config}).exit_code == 2);  // no tables yet
  files.write_config(0, {{"surprise", "1"}});
  const Finished unknown_key = run_ledger(files, {"--config", config});
  CHECK(unknown_key.exit_code == 64);
  CHECK(unknown_key.out.find("surprise") != std::string::npos);
  files.write_config(0, {{"replicas", "0"}});
  CHECK(run_ledger(files, {"--config", config}).exit_code == 64);
  files.write_config(0, {{"cert", "\"absent.pem\""}});
  const Finished absent = run_ledger(files, {"--config", config});
  CHECK(absent.exit_code == 2);
  CHECK(absent.out.find("absent.pem") != std::string::npos);
}

}  // namespace
}  // namespace roulette::ledger::test
