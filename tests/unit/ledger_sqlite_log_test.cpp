// The SQLite log keeps the contract of replicated_log.h: order, head compare, snapshots that stand,
// trims that a snapshot bears, and a restart that finds all of it.
#include <catch2/catch.hpp>

#include "common/runtime/event_loop.h"
#include "common/runtime/sqlite.h"
#include "ledger/log/sqlite_log.h"
#include "runtime_fixture.h"

namespace roulette::ledger {
namespace {

constexpr Duration kPatience = seconds(20);

wire::Command command_of(std::uint64_t counter) {
  return {{{Role::Coordinator, 0}, BootId(ByteArray<16>{7}), counter},
          wire::Broadcast{WithdrawalId(ByteArray<16>{1}), {}}};
}

// A log with what it handed over.
struct Reader {
  Reader(runtime::EventLoop& loop_given, const std::filesystem::path& file) : loop(loop_given) {
    auto opened = SqliteLog::open(
        loop, {file, "c", [this](const Error& error) { failures.push_back(error.message); }});
    REQUIRE(opened.ok());
    log = std::move(opened).value();
  }

  void subscribe() {
    log->subscribe({[this](std::uint64_t index, std::vector<wire::Command> commands) {
                      CHECK(index == from + entries.size() + 1);
                      entries.push_back(std::move(commands));
                    },
                    [](const std::string&) {}, [this] { ++restored; },
                    [this](std::uint64_t first) { trimmed.push_back(first); }});
    REQUIRE(loop.run_until([&] { return restored > 0 || !trimmed.empty(); }, kPatience));
  }
  ProposeOutcome propose(const std::vector<wire::Command>& batch) {
    std::optional<ProposeOutcome> outcome;
    bool inside = true;
    log->propose(batch, [&](ProposeOutcome result) {
      CHECK_FALSE(inside);  // never inside the call
      outcome = result;
    });
    inside = false;
    REQUIRE(loop.run_until([&] { return outcome.has_value(); }, kPatience));
    return *outcome;
  }
  std::optional<std::uint64_t> barrier() {
    std::optional<std::optional<std::uint64_t>> head;
    log->read_barrier([&head](std::optional<std::uint64_t> index) { head = index; });
    REQUIRE(loop.run_until([&] { return head.has_value(); }, kPatience));
    return *head;
  }
  Status wait(const std::function<void(std::function<void(const Status&)>)>& order) {
    std::optional<Status> result;
    order([&result](const Status& status) { result = status; });
    REQUIRE(loop.run_until([&] { return result.has_value(); }, kPatience));
    return *result;
  }
  Status chunk(std::uint64_t index, std::uint32_t number, const Bytes& bytes) {
    return wait([&](auto done) { log->store_chunk(index, number, bytes, done); });
  }
  Status manifest(std::uint64_t index, const Bytes& bytes) {
    return wait([&](auto done) { log->store_manifest(index, bytes, done); });
  }
  Status trim(std::uint64_t up_to, std::uint64_t newest) {
    return wait([&](auto done) { log->trim(up_to, newest, done); });
  }
  StoredSnapshot snapshot(std::uint64_t at_most = ~std::uint64_t{0}) {
    std::optional<std::optional<StoredSnapshot>> found;
    log->read_snapshot(at_most, [&found](std::optional<StoredSnapshot> read) { found = read; });
    REQUIRE(loop.run_until([&] { return found.has_value(); }, kPatience));
    REQUIRE(found->has_value());
    return **found;
  }

  runtime::EventLoop& loop;
  std::unique_ptr<SqliteLog> log;
  std::vector<std::vector<wire::Command>> entries;
  std::vector<std::uint64_t> trimmed;
  std::vector<std::string> failures;
  std::uint64_t from = 0;
  int restored = 0;
};

struct Disk {
  runtime::test::TemporaryFolder folder;
  runtime::EventLoop loop;
  [[nodiscard]] std::filesystem::path file() const { return folder / "log.sqlite"; }
};

void fill(Reader& log, std::uint64_t count) {
  for (std::uint64_t i = 1; i <= count; ++i)
    REQUIRE(log.propose({command_of(i)}) == ProposeOutcome::Accepted);
  REQUIRE(log.loop.run_until([&] { return log.entries.size() >= count; }, kPatience));
}

}  // namespace

TEST_CASE("a log in a file hands over each entry once, in order, and again after a restart") {
  Disk disk;
  {
    Reader log(disk.loop, disk.file());
    log.subscribe();
    CHECK(log.barrier() == 0U);
    fill(log, 300);  // more than a turn's worth
    CHECK(log.barrier() == 300U);
    CHECK(log.entries.size() == 300);
  }
  Reader again(disk.loop, disk.file());
  again.subscribe();
  REQUIRE(again.entries.size() == 300);
  CHECK(again.entries[299] == std::vector<wire::Command>{command_of(300)});
  CHECK(again.restored == 1);
  CHECK(again.failures.empty());
}

TEST_CASE("a proposer that has not seen the last entry of the file writes nothing") {
  Disk disk;
  Reader first(disk.loop, disk.file());
  Reader second(disk.loop, disk.file());
  first.subscribe();
  second.subscribe();
  REQUIRE(first.propose({command_of(1)}) == ProposeOutcome::Accepted);
  CHECK(second.propose({command_of(2)}) == ProposeOutcome::NotLeader);
  CHECK(first.barrier() == 1U);
  // The refusal makes it look: now it has the entry, and its next proposal stands behind it.
  REQUIRE(disk.loop.run_until([&] { return second.entries.size() == 1; }, kPatience));
  CHECK(second.entries[0] == std::vector<wire::Command>{command_of(1)});
  CHECK(second.propose({command_of(2)}) == ProposeOutcome::Accepted);
}

TEST_CASE("a complete snapshot in the file stands, and the log is trimmed on two of them only") {
  Disk disk;
  Reader log(disk.loop, disk.file());
  log.subscribe();
  fill(log, 10);
  CHECK(log.snapshot().index == 0);
  REQUIRE(log.chunk(4, 0, {1, 2}).ok());
  CHECK(log.snapshot().index == 0);  // no manifest yet
  REQUIRE(log.manifest(4, {9}).ok());
  REQUIRE(log.chunk(4, 0, {7, 7}).ok());  // success, and nothing happened
  const StoredSnapshot four = log.snapshot();
  CHECK(four == StoredSnapshot{4, {9}, {{0, {1, 2}}}});
  CHECK(log.trim(4, 8).error().kind == ErrorKind::Refused);
  REQUIRE(log.chunk(8, 0, {3}).ok());
  REQUIRE(log.manifest(8, {8}).ok());
  CHECK(log.snapshot(7).index == 4);
  CHECK(log.snapshot().index == 8);
  REQUIRE(log.trim(4, 8).ok());
  CHECK(log.snapshot(4).index == 4);  // the last two stay
  CHECK(log.propose({command_of(11)}) == ProposeOutcome::Accepted);

  Reader late(disk.loop, disk.file());
  late.subscribe();
  CHECK(late.trimmed == std::vector<std::uint64_t>{5});
  CHECK(late.entries.empty());
  late.from = 4;
  late.log->follow(4);
  REQUIRE(disk.loop.run_until([&] { return late.restored == 1; }, kPatience));
  CHECK(late.entries.size() == 7);
}

TEST_CASE("a trim of the whole file does not take the head back") {
  Disk disk;
  {
    Reader log(disk.loop, disk.file());
    log.subscribe();
    fill(log, 3);
    REQUIRE(log.manifest(3, {1}).ok());
    REQUIRE(log.trim(3, 3).ok());
  }
  Reader again(disk.loop, disk.file());
  again.subscribe();
  CHECK(again.barrier() == 3U);
  CHECK(again.trimmed == std::vector<std::uint64_t>{4});
}

TEST_CASE("the log of another cluster is refused, a damaged entry and a failed write end the log") {
  Disk disk;
  {
    Reader log(disk.loop, disk.file());
    log.subscribe();
    fill(log, 2);
  }
  const auto other =
      SqliteLog::open(disk.loop, {disk.file(), "another", [](const Error&) { CHECK(false); }});
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().kind == ErrorKind::Preflight);
  auto database = runtime::Database::open(disk.file());
  REQUIRE(database.ok());
  SECTION("an entry that does not parse") {
    REQUIRE(database->execute("UPDATE entries SET batch = x'ff' WHERE idx = 2").ok());
    Reader log(disk.loop, disk.file());
    log.log->subscribe({[&](std::uint64_t, std::vector<wire::Command>) {},
                        [](const std::string&) {}, [] { CHECK(false); },
                        [](std::uint64_t) { CHECK(false); }});
    REQUIRE(disk.loop.run_until([&] { return !log.failures.empty(); }, kPatience));
  }
  SECTION("a write that the file refuses is never answered") {
    Reader log(disk.loop, disk.file());
    log.subscribe();
    REQUIRE(database->execute("DROP TABLE entries").ok());
    bool answered = false;
    log.log->propose({command_of(3)}, [&](ProposeOutcome) { answered = true; });
    CHECK(log.failures.size() == 1);
    CHECK_FALSE(disk.loop.run_until([&] { return answered; }, milliseconds(50)));
  }
}

}  // namespace roulette::ledger
