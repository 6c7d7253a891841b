// Behaviour of what the runtime keeps on disk: journal, SQLite layer, durable files, event log,
// and of the configuration file and the certificates, which are read from there.
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/runtime/certificates.h"
#include "common/runtime/config_file.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/event_log.h"
#include "common/runtime/journal.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/metrics.h"
#include "common/runtime/sqlite.h"
#include "tests/unit/runtime_fixture.h"

using namespace roulette;
using namespace roulette::runtime;
using namespace roulette::runtime::test;

namespace {

const std::string kFormat = "signer-journal";

JournalRecord record(std::uint8_t n) {
  return {"signing_record", Bytes(40, n), Bytes(32, static_cast<std::uint8_t>(n + 1))};
}

std::unique_ptr<Journal> open_journal(const std::filesystem::path& path,
                                      KillPoints* points = nullptr, Metrics* metrics = nullptr) {
  auto journal = Journal::open({.path = path, .format = kFormat, .points = points,
                                .metrics = metrics});
  INFO((journal.ok() ? "" : journal.error().message));
  REQUIRE(journal.ok());
  return std::move(*journal);
}

std::vector<StoredRecord> records_of(const std::filesystem::path& path) {
  auto all = open_journal(path)->load_all();
  REQUIRE(all.ok());
  return std::move(*all);
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

void limit_file_size(rlim_t bytes) {
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{bytes, RLIM_INFINITY};
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

std::unique_ptr<EventLog> open_events(const std::filesystem::path& path, std::uint8_t boot = 7) {
  ByteArray<16> id{};
  id.fill(boot);
  auto log = EventLog::open(path, {Role::Signer, 1}, BootId(id));
  REQUIRE(log.ok());
  return std::move(*log);
}

std::vector<nlohmann::json> lines_of(const std::filesystem::path& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("a journal gives back every committed record in order after it is reopened") {
  const TemporaryFolder folder;
  const auto path = folder / "state/deep/journal.sqlite";
  Metrics metrics;
  {
    const auto journal = open_journal(path, nullptr, &metrics);
    CHECK(journal->created());
    REQUIRE(journal->append(std::vector{record(1), record(2)}).ok());
    REQUIRE(journal->append(std::vector{record(3)}).ok());
    REQUIRE(journal->append({}).ok());
    CHECK(journal->length() == 3);
  }
  const auto journal = open_journal(path);
  CHECK_FALSE(journal->created());
  REQUIRE(journal->append(std::vector{record(4)}).ok());
  const auto records = records_of(path);
  REQUIRE(records.size() == 4);
  for (std::uint8_t i = 0; i < 4; ++i) {
    CHECK(records[i].sequence == i + 1U);
    CHECK(records[i].record.kind == "signing_record");
    CHECK(records[i].record.payload == record(static_cast<std::uint8_t>(i + 1)).payload);
    CHECK(records[i].record.head == record(static_cast<std::uint8_t>(i + 1)).head);
  }
  // Two batches: two commits, three records.
  CHECK(metrics.text().find("roulette_journal_commit_seconds_count 2") != std::string::npos);
  CHECK(metrics.text().find("roulette_journal_records_total 3") != std::string::npos);
}

TEST_CASE("a batch is one transaction: a process killed before it leaves none of its records") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.sqlite";
  for (const bool before : {true, false}) {
    ControlChannel channel;
    channel.tell(std::string("arm k signer.persist.signing_record.") +
                 (before ? "before" : "after") + " 2");
    Child child([&] {
      channel.close_tool_end();
      auto points = KillPoints::open(Role::Signer, channel.take_process_end());
      const auto journal = open_journal(path, points->get());
      return journal->append(std::vector{record(1), record(2)}).ok() ? 0 : 1;
    });
    channel.close_process_end();
    CHECK(channel.hear().starts_with("seen k"));
    CHECK(channel.hear().starts_with("hit k"));
    child.signal(SIGKILL);
    CHECK(WTERMSIG(child.wait()) == SIGKILL);
    CHECK(records_of(path).size() == (before ? 0 : 2));
  }
}

TEST_CASE("a journal of another format or version is refused by name") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.sqlite";
  (void)open_journal(path);
  const auto other = Journal::open({.path = path, .format = "ledger-journal"});
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().kind == ErrorKind::Refused);
  CHECK(other.error().message.find("signer-journal version 1") != std::string::npos);
  {
    auto database = Database::open(path);
    REQUIRE(database->execute("UPDATE meta SET version = 2").ok());
  }
  const auto newer = Journal::open({.path = path, .format = kFormat});
  REQUIRE_FALSE(newer.ok());
  CHECK(newer.error().message.find("version 2") != std::string::npos);
}

TEST_CASE("a missing journal is an error when one must exist") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.sqlite";
  const auto journal = Journal::open({.path = path, .format = kFormat, .must_exist = true});
  REQUIRE_FALSE(journal.ok());
  CHECK(journal.error().kind == ErrorKind::Preflight);
  CHECK(journal.error().message.find(path.string()) != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a journal with a missing record is refused") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.sqlite";
  REQUIRE(open_journal(path)->append(std::vector{record(1), record(2), record(3)}).ok());
  {
    auto database = Database::open(path);
    REQUIRE(database->execute("DELETE FROM records WHERE sequence = 2").ok());
  }
  const auto journal = Journal::open({.path = path, .format = kFormat});
  REQUIRE_FALSE(journal.ok());
  CHECK(journal.error().kind == ErrorKind::Corrupt);
}

TEST_CASE("a damaged journal is refused at start") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.sqlite";
  {
    const auto journal = open_journal(path);
    for (int i = 0; i < 50; ++i) {
      REQUIRE(journal->append(std::vector(10, record(static_cast<std::uint8_t>(i)))).ok());
    }
  }
  SECTION("overwritten pages") {
    std::string text = read_text(path);
    REQUIRE(text.size() > 4 * 4096);
    for (std::size_t page = 2; page * 4096 < text.size(); ++page) {
      text.replace(page * 4096, 200, 200, '\x5a');
    }
    write_text(path, text);
  }
  SECTION("one page whose header still looks right") {
    std::string text = read_text(path);
    text.replace(5 * 4096 + 8, 40, 40, '\x5a');  // cell pointers of a leaf
    write_text(path, text);
  }
  SECTION("not a database at all") { write_text(path, std::string(9000, 'x')); }
  const auto journal = Journal::open({.path = path, .format = kFormat});
  REQUIRE_FALSE(journal.ok());
  INFO(journal.error().message);
  CHECK(journal.error().kind == ErrorKind::Corrupt);
}

TEST_CASE("a full disk fails the append, and what was acknowledged stays") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.sqlite";
  const auto acknowledged = folder / "acknowledged";
  Child child([&] {
    const auto journal = open_journal(path);
    limit_file_size(200 * 1024);
    int written = 0;
    while (written < 100000 && journal->append(std::vector{record(1)}).ok()) ++written;
    write_text(acknowledged, std::to_string(written));
    // After a failure the journal answers nothing but errors, even when there is room again.
    limit_file_size(RLIM_INFINITY);
    return !journal->append(std::vector{record(2)}).ok() && written < 100000 ? 0 : 1;
  });
  CHECK(child.wait() == 0);
  const auto count = std::stoul(read_text(acknowledged));
  CHECK(count > 10);
  // The failing batch itself may or may not be there: its process ended without an answer.
  CHECK(records_of(path).size() >= count);
  CHECK(records_of(path).size() <= count + 1);
}

TEST_CASE("the write-ahead log has its size from the start, and commits do not make it grow") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.sqlite";
  const auto wal = folder / "journal.sqlite-wal";
  {
    const auto journal = open_journal(path);
    const auto size = std::filesystem::file_size(wal);
    CHECK(size >= 1024U * 1024);
    for (int i = 0; i < 300; ++i) REQUIRE(journal->append(std::vector{record(1)}).ok());
    CHECK(std::filesystem::file_size(wal) == size);
  }
  // A start that was killed in the middle of it: the next one does the whole of it.
  REQUIRE(Database::open(path)->execute("CREATE TABLE wal_filler(b BLOB)").ok());
  REQUIRE_FALSE(std::filesystem::exists(wal));
  const auto journal = open_journal(path);
  CHECK(std::filesystem::file_size(wal) >= 1024U * 1024);
  CHECK_FALSE(Database::open(path)->prepare("SELECT * FROM wal_filler").ok());
  CHECK(records_of(path).size() == 300);
}

TEST_CASE("a journal opened for reading refuses to append") {
  const TemporaryFolder folder;
  const auto path = folder / "journal.sqlite";
  REQUIRE(open_journal(path)->append(std::vector{record(1)}).ok());
  auto journal = Journal::open({.path = path, .format = kFormat, .read_only = true});
  REQUIRE(journal.ok());
  CHECK((*journal)->load_all()->size() == 1);
  CHECK_FALSE((*journal)->append(std::vector{record(2)}).ok());
}

TEST_CASE("statements carry integers, text, blobs and nulls both ways") {
  const TemporaryFolder folder;
  auto database = Database::open(folder / "t.sqlite");
  REQUIRE(database.ok());
  REQUIRE(database->execute("CREATE TABLE t(a, b, c, d)").ok());
  auto insert = database->prepare("INSERT INTO t VALUES(?, ?, ?, ?)");
  REQUIRE(insert.ok());
  const Bytes blob{0, 1, 255};
  REQUIRE(database->begin().ok());
  insert->bind(1, INT64_MIN).bind(2, "it's").bind(3, ByteSpan(blob)).bind_null(4);
  REQUIRE(insert->run().ok());
  insert->bind(1, std::int64_t{2}).bind(2, "").bind(3, ByteSpan{});
  REQUIRE(insert->run().ok());
  REQUIRE(database->commit().ok());
  auto query = database->prepare("SELECT a, b, c, d, typeof(b), typeof(c) FROM t ORDER BY rowid");
  REQUIRE(*query->step());
  CHECK(query->integer(0) == INT64_MIN);
  CHECK(query->text(1) == "it's");
  CHECK(query->blob(2) == blob);
  CHECK(query->is_null(3));
  REQUIRE(*query->step());
  CHECK(query->text(4) == "text");  // empty is not NULL
  CHECK(query->text(5) == "blob");
  CHECK_FALSE(*query->step());
}

TEST_CASE("a rolled back transaction leaves nothing, and SQL errors name the file") {
  const TemporaryFolder folder;
  const auto path = folder / "t.sqlite";
  auto database = Database::open(path);
  REQUIRE(database->execute("CREATE TABLE t(a)").ok());
  REQUIRE(database->begin().ok());
  REQUIRE(database->execute("INSERT INTO t VALUES(1)").ok());
  database->rollback();
  auto count = database->prepare("SELECT count(*) FROM t");
  REQUIRE(*count->step());
  CHECK(count->integer(0) == 0);
  const Status bad = database->execute("NONSENSE");
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.error().message.find(path.string()) != std::string::npos);
}

TEST_CASE("a durable write replaces the whole file with the given mode or leaves the old one") {
  const TemporaryFolder folder;
  const auto path = folder / "share";
  REQUIRE(write_file_durably(path, as_bytes("old"), 0644).ok());
  Child child([&] {
    limit_file_size(100);
    return write_file_durably(path, Bytes(5000, 1), 0600).ok() ? 1 : 0;
  });
  CHECK(child.wait() == 0);
  CHECK(read_text(path) == "old");
  REQUIRE(write_file_durably(path, as_bytes("new"), 0600).ok());
  CHECK(read_text(path) == "new");
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  const auto entries = std::distance(std::filesystem::directory_iterator(folder.path()), {});
  CHECK(entries == 1);  // no temp file left
  CHECK_FALSE(read_whole_file(path, 2).ok());
  CHECK(read_whole_file(path, 3)->size() == 3);
}

TEST_CASE("events are JSON lines with growing numbers and escaped text") {
  const TemporaryFolder folder;
  const auto path = folder / "events.ndjson";
  const auto log = open_events(path);
  log->write("started");
  const std::string nasty =
      std::string("q\" b\\ n\n t\t nul") + '\0' + " \xc3\xa9 \xff \xed\xa0\x80";
  log->write("refused", EventFields()
                            .add("reason", nasty)
                            .add("count", 3)
                            .add("least", INT64_MIN)
                            .add("most", UINT64_MAX)
                            .add("share", 0.5)
                            .add("good", true)
                            .add_hex("txid", Bytes{0xab, 0x01})
                            .add_json("more", "[1,2]"));
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == nlohmann::json{{"format", "roulette-events"}, {"version", 1}});
  CHECK(lines[1].at("event") == "started");
  CHECK(lines[1].at("process") == "signer-1");
  CHECK(lines[1].at("boot") == "07070707070707070707070707070707");
  CHECK(lines[1].at("seq") == 1);
  CHECK(lines[2].at("seq") == 2);
  CHECK(lines[2].at("t_us") >= lines[1].at("t_us"));
  const std::string mended = std::string("q\" b\\ n\n t\t nul") + '\0' +
                             " \xc3\xa9 \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd";
  CHECK(lines[2].at("reason") == mended);
  CHECK(lines[2].at("least") == INT64_MIN);
  CHECK(lines[2].at("most") == UINT64_MAX);
  CHECK(lines[2].at("share") == 0.5);
  CHECK(lines[2].at("txid") == "ab01");
  CHECK(lines[2].at("more") == nlohmann::json::array({1, 2}));
}

TEST_CASE("a killed process leaves whole event lines, and the next boot goes on after them") {
  const TemporaryFolder folder;
  const auto path = folder / "events.ndjson";
  for (std::uint8_t round = 1; round <= 10; ++round) {
    ControlChannel channel;
    Child child([&] {
      channel.close_tool_end();
      const auto points = KillPoints::open(Role::Signer, channel.take_process_end());
      const auto log = open_events(path, round);
      (*points)->ready("{}");
      for (;;) log->write("tick", EventFields().add("pad", std::string(700, 'x')));
      return 0;
    });
    channel.close_process_end();
    CHECK(channel.hear() == "ready {}");
    ::usleep(1000U * round);
    child.signal(SIGKILL);
    (void)child.wait();
  }
  (void)open_events(path);
  std::map<std::string, std::int64_t> last;
  const auto lines = lines_of(path);  // parses every line
  REQUIRE(lines.size() > 10);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    CHECK(lines[i].at("seq") == ++last[lines[i].at("boot").get<std::string>()]);
  }
}

TEST_CASE("an event log with a torn last line is cut back to whole lines") {
  const TemporaryFolder folder;
  const auto path = folder / "events.ndjson";
  open_events(path)->write("started");
  write_text(path, read_text(path) + "{\"t_us\":12,\"wal");
  open_events(path, 8)->write("started");
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 3);
  CHECK(lines[2].at("boot") == "08080808080808080808080808080808");
}

TEST_CASE("events lost to a full disk are counted and leave no torn line") {
  const TemporaryFolder folder;
  const auto path = folder / "events.ndjson";
  Child child([&] {
    silence_stderr();
    limit_file_size(1000);
    const auto log = open_events(path);
    for (int i = 0; i < 50; ++i) log->write("tick");
    return log->lost() > 0 && log->lost() < 50 ? 0 : 1;
  });
  CHECK(child.wait() == 0);
  CHECK(lines_of(path).size() > 2);
}

TEST_CASE("a configuration gives typed values, and lists and objects inside it") {
  auto file = ConfigFile::parse(
      R"({"name":"s","port":8080,"on":true,"peers":[{"host":"a"},{"host":"b"}],
          "in":{"n":-5},"words":["x","y"],"numbers":[1,2],"raw":{"k":[1]}})",
      "c.json");
  REQUIRE(file.ok());
  ConfigObject root = file->root();
  CHECK(root.text("name") == "s");
  CHECK(root.port("port") == 8080);
  CHECK(root.boolean("on"));
  CHECK(root.objects("peers").at(1).text("host") == "b");
  CHECK(root.objects("peers").at(0).text("host") == "a");
  CHECK(root.object("in").integer("n", -10, 10) == -5);
  CHECK(root.texts("words") == std::vector<std::string>{"x", "y"});
  CHECK(root.integers("numbers") == std::vector<std::int64_t>{1, 2});
  CHECK(root.json("raw") == R"({"k":[1]})");
  CHECK(root.integer("absent", 0, 9, 4) == 4);
  CHECK(file->finish().ok());
}

TEST_CASE("a configuration error names the file and the key") {
  struct Wrong {
    const char* text;
    const char* message;
  };
  const Wrong cases[] = {
      {R"({})", "c.json: port: missing"},
      {R"({"port":65536})", "c.json: port: must be an integer from 0 to 65535"},
      {R"({"port":18446744073709551615})", "c.json: port: must be an integer"},
      {R"({"port":1.5})", "c.json: port: must be an integer"},
      {R"({"port":1,"prot":2})", "c.json: prot: unknown key"},
      {R"({"port":1,"peers":[{"host":"a","hots":1}]})", "c.json: peers[0].hots: unknown key"},
      {R"({"port":1,"peers":[{"host":7}]})", "c.json: peers[0].host: must be a string"},
      {R"({"port":1,"peers":[7]})", "c.json: peers: must be a list of objects"}};
  for (const Wrong& wrong : cases) {
    auto file = ConfigFile::parse(wrong.text, "c.json");
    REQUIRE(file.ok());
    ConfigObject root = file->root();
    (void)root.port("port");
    if (root.has("peers")) {
      for (ConfigObject& peer : root.objects("peers")) (void)peer.text("host");
    }
    const Status finished = file->finish();
    REQUIRE_FALSE(finished.ok());
    CHECK(finished.error().kind == ErrorKind::Usage);
    CHECK_THAT(finished.error().message, Catch::StartsWith(wrong.message));
  }
}

TEST_CASE("a configuration that is no JSON object or says one key twice is refused") {
  for (const char* text : {"", "[1]", "{\"a\":1,}", "{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", "{} x"}) {
    const auto file = ConfigFile::parse(text, "c.json");
    INFO(text);
    REQUIRE_FALSE(file.ok());
    CHECK(file.error().kind == ErrorKind::Usage);
    CHECK_THAT(file.error().message, Catch::StartsWith("c.json: "));
  }
  // The same key in two objects is no repetition.
  CHECK(ConfigFile::parse(R"({"a":{"k":1},"b":{"k":1},"c":[{"k":1},{"k":1}]})", "c").ok());
  CHECK(ConfigFile::load("/nonexistent/c.json").error().kind == ErrorKind::Usage);
}

TEST_CASE("process URIs are parsed only in the spelling they are written") {
  const ProcessName name{Role::Coordinator, 12};
  CHECK(process_uri("c1", name) == "roulette://c1/coordinator/12");
  CHECK(parse_process_uri("roulette://c1/coordinator/12", "c1") == name);
  for (const char* uri :
       {"roulette://c2/coordinator/12", "roulette://c1/coordinator/012", "roulette://c1/judge/1",
        "roulette://c1/coordinator/", "roulette://c1/coordinator/65536", "coordinator/12", "",
        "roulette://c1/coordinator/12/", "roulette://c1/coordinator/-1"}) {
    INFO(uri);
    CHECK_FALSE(parse_process_uri(uri, "c1").has_value());
  }
}

TEST_CASE("certificates verify against their own authority only and bind the process by URI") {
  const TemporaryFolder folder;
  auto ours = ClusterAuthority::create("c1");
  const auto theirs = ClusterAuthority::create("c1");
  REQUIRE(ours.ok());
  REQUIRE(theirs.ok());
  CHECK_FALSE(ClusterAuthority::create("C1/evil").ok());
  REQUIRE(ours->write_certificate(folder.path()).ok());
  REQUIRE(ours->issue_into(folder.path(), {Role::Signer, 3}).ok());
  struct stat info {};
  REQUIRE(::stat((folder / "signer-3.key").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);

  const auto parse = [](const std::string& pem) {
    BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    X509* const certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    REQUIRE(certificate != nullptr);
    return std::unique_ptr<X509, decltype(&X509_free)>(certificate, X509_free);
  };
  const auto leaf = parse(read_text(folder / "signer-3.pem"));
  const auto verified_by = [&](const std::string& authority_pem) {
    const auto authority = parse(authority_pem);
    X509_STORE* const store = X509_STORE_new();
    X509_STORE_add_cert(store, authority.get());
    X509_STORE_CTX* const context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, leaf.get(), nullptr);
    const bool good = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return good;
  };
  CHECK(verified_by(ours->certificate_pem()));
  CHECK_FALSE(verified_by(theirs->certificate_pem()));
  CHECK(X509_check_ca(leaf.get()) == 0);
  CHECK((X509_get_extended_key_usage(leaf.get()) & XKU_SSL_SERVER) != 0);
  CHECK((X509_get_extended_key_usage(leaf.get()) & XKU_SSL_CLIENT) != 0);
}
