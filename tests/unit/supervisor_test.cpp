// The tool's record of who is up, on real children that say what a daemon says.
//
// Invariant: every child is a shell that ends by itself within seconds; the supervisor reaps it.
#include <catch2/catch.hpp>

#include <csignal>

#include "chaos/live/supervisor.h"
#include "common/runtime/process.h"
#include "tests/unit/runtime_fixture.h"

using namespace roulette;
using namespace roulette::chaos;

namespace {

constexpr ProcessName kName{Role::Signer, 0};
constexpr Duration kPatience = seconds(10);

// One child that runs `script` with the control channel as descriptor 3.
struct Watched {
  runtime::test::TemporaryFolder folder;
  runtime::EventLoop loop;
  std::unique_ptr<runtime::EventLog> log;
  bool stopped = false, continued = false;
  std::unique_ptr<Supervisor> supervisor;

  explicit Watched(const std::string& script) {
    auto opened = runtime::EventLog::open(folder / "events.ndjson", {Role::Tool, 0}, BootId{});
    REQUIRE(opened.ok());
    log = std::move(opened).value();
    Supervisor::Hooks hooks;
    hooks.on_stop_continue = [this](ProcessName, bool stop) {
      (stop ? stopped : continued) = true;
    };
    supervisor = std::make_unique<Supervisor>(loop, *log, std::move(hooks));
    ProcessSpec spec;
    spec.name = kName;
    spec.argv = {"/bin/sh", "-c", script};
    spec.work_dir = folder.path().string();
    spec.stderr_path = (folder / "stderr.log").string();
    spec.control = true;
    supervisor->define(spec);
    REQUIRE(supervisor->start(kName, {}).ok());
  }
  bool until(const std::function<bool()>& done) { return loop.run_until(done, kPatience); }
};

}  // namespace

TEST_CASE("a released process that was just stopped is not up before it was continued") {
  Watched w("echo 'ready {}' >&3; exec /bin/sleep 20");
  REQUIRE(w.until([&] { return w.supervisor->serving(kName); }));
  REQUIRE(w.supervisor->send_signal(kName, SIGSTOP) == 0);
  w.supervisor->mark_released(kName);  // its release crossed the signal
  CHECK_FALSE(w.supervisor->serving(kName));
  REQUIRE(w.until([&] { return w.stopped; }));
  CHECK_FALSE(w.supervisor->serving(kName));
  REQUIRE(w.supervisor->send_signal(kName, SIGCONT) == 0);
  REQUIRE(w.until([&] { return w.continued; }));
  CHECK(w.supervisor->serving(kName));
}

TEST_CASE("a process that was paused while it started is up when it says so, not before") {
  Watched w("/bin/sleep 0.5; echo 'ready {}' >&3; exec /bin/sleep 20");
  REQUIRE(w.supervisor->send_signal(kName, SIGSTOP) == 0);
  REQUIRE(w.until([&] { return w.stopped; }));
  REQUIRE(w.supervisor->send_signal(kName, SIGCONT) == 0);
  REQUIRE(w.until([&] { return w.continued; }));
  CHECK_FALSE(w.supervisor->serving(kName));
  CHECK(w.supervisor->state(kName) == ProcessState::Starting);
  REQUIRE(w.until([&] { return w.supervisor->serving(kName); }));
}
