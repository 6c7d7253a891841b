// A signer whose journal was rolled back, live: quarantined by name, provisioned again under a new
// share epoch by a command that is killed at every step, and signing again with the group.
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "chaos/live/reprovision.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/sqlite.h"
#include "tests/live/small_cluster.h"

using namespace roulette;
using namespace roulette::chaos;
using namespace roulette::chaos::test;
using Catch::Matchers::Contains;

namespace {

const ProcessName kLost{Role::Signer, 0};
const ProcessName kOther{Role::Signer, 1};
const ProcessName kThird{Role::Signer, 2};

class Operator {
 public:
  explicit Operator(Small& small)
      : s(small), work(std::filesystem::path(small.cluster->run_dir()) / "work") {}

  std::vector<ProcessName> of(std::initializer_list<Role> roles) const {
    std::vector<ProcessName> out;
    for (const ProcessName& name : s.supervisor->all())
      for (const Role role : roles)
        if (name.role == role) out.push_back(name);
    return out;
  }
  void stop(const std::vector<ProcessName>& names) {
    for (const ProcessName& name : names) (void)s.supervisor->send_signal(name, SIGTERM);
    REQUIRE(s.until([&] {
      for (const ProcessName& name : names)
        if (s.supervisor->pid(name)) return false;
      return true;
    }));
  }
  void start(const std::vector<ProcessName>& names) {
    for (const ProcessName& name : names) REQUIRE(s.cluster->restart(name, {}).ok());
  }
  bool serving(const std::vector<ProcessName>& names) {
    return s.until([&] {
      for (const ProcessName& name : names)
        if (!s.supervisor->serving(name)) return false;
      return true;
    });
  }
  json config(const ProcessName& name) const {
    std::ifstream in(work / name.text() / "config.json");
    return json::parse(in);
  }
  std::uint64_t journal_length(const ProcessName& name) const {
    runtime::Database database = journal(name);
    auto rows = database.prepare("SELECT max(sequence) FROM records").value();
    REQUIRE(rows.step().ok());
    return static_cast<std::uint64_t>(rows.integer(0));
  }
  std::vector<std::string> journal_kinds(const ProcessName& name) const {
    runtime::Database database = journal(name);
    auto rows = database.prepare("SELECT kind FROM records ORDER BY sequence").value();
    std::vector<std::string> kinds;
    while (rows.step().value()) kinds.push_back(rows.text(0));
    return kinds;
  }
  // As a disk that was restored from a backup: all records after `kept` are gone.
  void roll_back(const ProcessName& name, std::int64_t kept) const {
    runtime::Database database = journal(name);
    auto rows = database.prepare("DELETE FROM records WHERE sequence > ?").value();
    REQUIRE(rows.bind(1, kept).run().ok());
  }
  std::string readyz(const ProcessName& name) {
    const std::string http = config(name)["http"].get<std::string>();
    runtime::HttpClient client(
        s.loop, {.port = static_cast<std::uint16_t>(std::stoi(http.substr(http.rfind(':') + 1)))});
    std::optional<std::string> body;
    client.call({.target = "/readyz"}, [&](Result<runtime::HttpResponse> r) {
      body = r.ok() ? r->body : r.error().message;
    });
    REQUIRE(s.until([&] { return body.has_value(); }));
    return *body;
  }
  ReprovisionPlan plan(std::vector<std::uint16_t> lost) const {
    ReprovisionPlan made;
    made.run_dir = s.cluster->run_dir();
    made.lost = std::move(lost);
    made.signer = binaries().signer;
    made.ledger = binaries().ledger;
    return made;
  }

  Small& s;
  std::filesystem::path work;

 private:
  using fs_path = std::filesystem::path;
  runtime::Database journal(const ProcessName& name) const {
    const json settings = config(name);
    const std::string file = settings.value("journal", "journal.sqlite");
    auto opened = runtime::Database::open(fs_path(settings["folder"].get<std::string>()) / file);
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
};

// Runs the command in a process of its own that kills itself at its `at`-th step. True: finished.
bool finishes(const ReprovisionPlan& plan, int at) {
  runtime::test::Child child([&] {
    ReprovisionPlan mortal = plan;
    int step = 0;
    mortal.on_step = [&](const std::string&) {
      if (step++ == at) ::raise(SIGKILL);
    };
    runtime::KernelEntropy entropy;
    const auto report = reprovision(mortal, entropy);
    if (!report) std::fprintf(stderr, "reprovision: %s\n", report.error().message.c_str());
    return report ? 0 : 1;
  });
  const int status = child.wait();
  if (WIFSIGNALED(status)) return false;
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  return true;
}

}  // namespace

TEST_CASE("a rolled-back signer is quarantined, provisioned again, and pays with the group") {
  Small s;
  Operator op(s);
  std::vector<std::string> keys;
  const auto pay = [&](const std::string& key) {
    keys.push_back(key);
    const Answer answer = s.pay_until_answered(0, key);
    CHECK(answer.status == 202);
    CHECK(answer.body["state"] == "broadcast");
  };
  for (const char* key : {"k1", "k2", "k3", "k4", "k5", "k6"}) pay(key);
  REQUIRE(op.serving({kLost, kOther, kThird}));

  // The others sign on while it is down; it must have signed itself to have something to lose.
  op.stop({kLost});
  REQUIRE(op.journal_length(kLost) >= 4);
  constexpr std::int64_t kKept = 2;  // the first record and one signature
  op.roll_back(kLost, kKept);
  op.start({kLost});
  REQUIRE(s.until([&] { return op.readyz(kLost).find("rolled-back") != std::string::npos; }));
  CHECK_FALSE(s.supervisor->serving(kLost));
  // The coordinator that told the signer hears of it; the other one from the signer's next status.
  const std::string told = "\"quarantined\":{\"signer-0\":\"journal-rolled-back\"}";
  CHECK(s.until([&] {
    return op.readyz({Role::Coordinator, 0}).find(told) != std::string::npos;
  }));
  pay("k7");
  CHECK(op.journal_length(kLost) == kKept);

  // Not while a signer runs: what it signed after it was read would be missed.
  runtime::KernelEntropy entropy;
  const auto running = reprovision(op.plan({0}), entropy);
  REQUIRE_FALSE(running.ok());
  CHECK_THAT(running.error().message, Contains("stop it first"));
  const auto nobody = reprovision(op.plan({}), entropy);
  CHECK_FALSE(nobody.ok());

  const auto all = op.of({Role::Signer, Role::Coordinator});
  op.stop(all);
  // Nor where no replica can tell whose journal went back, until that is said.
  ReprovisionPlan blind = op.plan({0});
  blind.ledger = "/bin/false";
  const auto unseen = reprovision(blind, entropy);
  REQUIRE_FALSE(unseen.ok());
  CHECK(unseen.error().kind == ErrorKind::Preflight);
  CHECK_THAT(unseen.error().message, Contains("--without-ledger"));
  CHECK(op.config(kLost)["share_epoch"] == 1);
  std::filesystem::remove_all(op.work / "reprovision");
  // Killed at each of its steps: those of the dealing, which begins anew without its plan, then
  // those behind the plan, which are found done.
  int kills = 0;
  bool planned = false;
  for (int at = 0; !finishes(op.plan({0}), at);) {
    REQUIRE(++kills < 100);
    ++at;
    const bool now = std::filesystem::exists(op.work / "reprovision/epoch-2/plan.json");
    if (now && !planned) at = 0;
    planned = now;
  }
  CHECK(kills >= 20);
  CHECK(op.config(kLost)["share_epoch"] == 2);
  CHECK(op.config(kThird)["share_epoch"] == 2);
  const auto early = retire_old_shares(op.plan({}));
  REQUIRE_FALSE(early.ok());
  CHECK_THAT(early.error().message, Contains("nothing was erased"));

  op.start(all);
  REQUIRE(op.serving(all));
  pay("k8");
  op.stop({kThird});  // now it takes the one that was lost
  pay("k9");
  op.start({kThird});
  REQUIRE(op.serving(all));
  op.stop({kOther});
  pay("k10");

  const auto kinds = op.journal_kinds(kLost);
  CHECK(kinds.front() == "reprovisioned");
  CHECK(std::count(kinds.begin(), kinds.end(), "imported_binding") >= 7);
  CHECK(kinds.back() == "signing_record");
  const auto others = op.journal_kinds(kThird);
  CHECK(others.front() == "provisioned");
  CHECK(std::count(others.begin(), others.end(), "reprovisioned") == 1);

  // Another spelling of the same folder: the shares in force are the same files.
  ReprovisionPlan spelled = op.plan({});
  spelled.run_dir = (std::filesystem::path(spelled.run_dir) / "work" / "..").string();
  const auto begun = op.work / "reprovision/epoch-3";
  std::filesystem::create_directory(begun);
  std::ofstream(begun / "plan.json") << "{}";
  const auto under_way = retire_old_shares(spelled);
  REQUIRE_FALSE(under_way.ok());
  CHECK_THAT(under_way.error().message, Contains("finish it first"));
  std::filesystem::remove_all(begun);
  const auto in_force = op.config(kThird)["share"].get<std::string>();
  std::filesystem::rename(in_force, in_force + ".away");
  const auto missing = retire_old_shares(spelled);
  std::filesystem::rename(in_force + ".away", in_force);
  REQUIRE_FALSE(missing.ok());
  CHECK_THAT(missing.error().message, Contains("nothing was erased"));
  // Replicas write into their tables what they applied a moment ago; until then they show nothing.
  auto gone = retire_old_shares(spelled);
  for (int i = 0; i < 20 && !gone.ok(); ++i) {
    CHECK_THAT(gone.error().message, Contains("nothing was erased"));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    gone = retire_old_shares(spelled);
  }
  INFO((gone.ok() ? "" : gone.error().message));
  REQUIRE(gone.ok());
  CHECK(gone->size() == 3);
  for (const ProcessName& name : {kLost, kOther, kThird})
    REQUIRE(std::filesystem::exists(op.config(name)["share"].get<std::string>()));
  op.start({kOther});
  REQUIRE(op.serving(all));

  s.mine(4);
  for (const std::string& key : keys) {
    CHECK(s.until([&] {
      return s.ask(0, {.target = "/v1/withdrawals?idempotency_key=" + key}).body["state"] ==
             "settled";
    }));
    CHECK(s.payments(key) == 1);
  }
  CHECK(s.supervisor->unasked_exits().empty());
}

TEST_CASE("where the log was trimmed, the heads that the ledger keeps still refuse a journal") {
  constexpr std::uint64_t kEvery = 64;
  Small s(kEvery);
  Operator op(s);
  const ProcessName ledger{Role::Ledger, 0};
  const auto told = [&](const std::string& event) {
    std::ifstream in(op.work / "ledger-0/events.ndjson");
    for (std::string line; std::getline(in, line);)
      if (line.find("\"" + event + "\"") != std::string::npos) return true;
    return false;
  };
  for (int i = 0; i < 80 && !told("log_trimmed"); ++i) {
    CHECK(s.pay_until_answered(0, "k" + std::to_string(i)).status == 202);
    if (i % 10 == 9) s.mine(1);
  }
  REQUIRE(told("log_trimmed"));
  // Its folder is lost: no entry that told a journal's head is left anywhere.
  op.stop({ledger});
  for (const char* file : {"tables.sqlite", "tables.sqlite-wal", "tables.sqlite-shm"})
    std::filesystem::remove(op.work / "ledger-0" / file);
  op.start({ledger});
  REQUIRE(op.serving({ledger}));
  CHECK(told("snapshot_loaded"));

  op.stop(op.of({Role::Signer, Role::Coordinator}));
  REQUIRE(op.journal_length(kOther) >= 10);
  op.roll_back(kOther, 2);
  runtime::KernelEntropy entropy;
  const auto refused = reprovision(op.plan({0}), entropy);
  REQUIRE_FALSE(refused.ok());
  CHECK_THAT(refused.error().message, Contains("does not hold what the ledger keeps of it"));
}
