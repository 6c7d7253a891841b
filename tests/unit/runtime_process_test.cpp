// Behaviour of the loop, the kill points, process hygiene and metrics.
//
// Kill points are tested on real forked processes: standing still and dying cannot be shown
// otherwise.
#include <sys/prctl.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "common/runtime/event_loop.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/metrics.h"
#include "common/runtime/process.h"
#include "tests/unit/runtime_fixture.h"

using namespace roulette;
using namespace roulette::runtime;
using namespace roulette::runtime::test;

namespace {

constexpr PointEffect kPersist = PointEffect::Persist;
constexpr const char* kRecordBefore = "signer.persist.signing_record.before";

void pass_record_before(KillPoints& points) {
  points.announce(kPersist, "signing_record", PointWhen::Before);
}

std::unique_ptr<KillPoints> open_signer_points(ControlChannel& channel) {
  auto points = KillPoints::open(Role::Signer, channel.take_process_end());
  REQUIRE(points.ok());
  return std::move(*points);
}

}  // namespace

TEST_CASE("the batch hook runs after all ready handlers and before the loop waits") {
  EventLoop loop;
  std::vector<std::string> trace;
  loop.set_batch_hook([&] { trace.push_back("hook"); });
  for (const char* name : {"a", "b", "c"}) {
    loop.post([&trace, name] { trace.push_back(name); });
  }
  REQUIRE(loop.run_until([&] { return trace.size() >= 4; }, seconds(20)));
  CHECK(trace == std::vector<std::string>{"a", "b", "c", "hook"});
}

TEST_CASE("what the batch hook posts runs without another event") {
  EventLoop loop;
  bool posted = false;
  bool ran = false;
  loop.set_batch_hook([&] {
    if (std::exchange(posted, true)) return;
    loop.post([&] { ran = true; });
  });
  loop.post([] {});
  CHECK(loop.run_until([&] { return ran; }, seconds(20)));
}

TEST_CASE("handlers that post for ever do not keep the batch hook from running") {
  EventLoop loop;
  int hooks = 0;
  std::function<void()> again = [&] { loop.post(again); };
  loop.set_batch_hook([&] { ++hooks; });
  loop.post(again);
  CHECK(loop.run_until([&] { return hooks == 3; }, seconds(20)));
}

TEST_CASE("a batch hook that arms the same deadline again does not keep the loop awake") {
  EventLoop loop;
  int hooks = 0;
  Timer deadline(loop, [] {});
  const Instant far = loop.now() + seconds(3600);
  loop.set_batch_hook([&] {
    ++hooks;
    deadline.arm(far);
  });
  bool done = false;
  Timer last(loop, [&] { done = true; });
  last.arm(loop.now() + milliseconds(30));
  REQUIRE(loop.run_until([&] { return done; }, seconds(20)));
  CHECK(hooks < 10);  // thousands, when each re-arming wakes the loop
}

TEST_CASE("run returns after stop and may be called again") {
  EventLoop loop;
  int runs = 0;
  for (int i = 0; i < 2; ++i) {
    loop.post([&] {
      ++runs;
      loop.stop();
    });
    loop.run();
  }
  CHECK(runs == 2);
}

TEST_CASE("a timer fires once at its instant and not after it was cancelled or destroyed") {
  EventLoop loop;
  std::vector<std::string> fired;
  Timer kept(loop, [&] { fired.push_back("kept"); });
  Timer cancelled(loop, [&] { fired.push_back("cancelled"); });
  auto destroyed = std::make_unique<Timer>(loop, [&] { fired.push_back("destroyed"); });
  const Instant past{0};
  kept.arm(past);
  cancelled.arm(past);
  destroyed->arm(past);
  // The expiry may be queued already: cancelling must still hold it back.
  loop.post([&] {
    cancelled.cancel();
    destroyed.reset();
  });
  bool done = false;
  Timer last(loop, [&] { done = true; });
  last.arm(loop.now() + milliseconds(20));
  REQUIRE(loop.run_until([&] { return done; }, seconds(20)));
  CHECK_FALSE(kept.armed());
  CHECK(std::count(fired.begin(), fired.end(), "kept") == 1);
  CHECK(std::count(fired.begin(), fired.end(), "destroyed") == 0);
}

TEST_CASE("re-arming a timer replaces its earlier instant") {
  EventLoop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.arm(loop.now() + milliseconds(1));
  timer.arm(loop.now() + milliseconds(30));
  bool early = false;
  Timer probe(loop, [&] { early = fired > 0; });
  probe.arm(loop.now() + milliseconds(10));
  REQUIRE(loop.run_until([&] { return fired > 0; }, seconds(20)));
  CHECK_FALSE(early);
  CHECK(fired == 1);
}

TEST_CASE("a read watch reports bytes and end of file until it is destroyed") {
  EventLoop loop;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  int bytes = 0;
  int eofs = 0;
  std::unique_ptr<ReadWatch> watch;
  watch = std::make_unique<ReadWatch>(loop, ends[0], [&] {
    char c;
    const ssize_t n = ::read(ends[0], &c, 1);
    if (n == 1) ++bytes;
    if (n == 0) ++eofs;
    if (n == 0) watch.reset();
  });
  REQUIRE(::write(ends[1], "ab", 2) == 2);
  REQUIRE(loop.run_until([&] { return bytes == 2; }, seconds(20)));
  ::close(ends[1]);
  REQUIRE(loop.run_until([&] { return eofs == 1; }, seconds(20)));
  CHECK_FALSE(loop.run_until([&] { return eofs == 2; }, milliseconds(20)));
  ::close(ends[0]);
}

TEST_CASE("a read watch that outlives its loop is silent") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  auto loop = std::make_unique<EventLoop>();
  int calls = 0;
  auto watch = std::make_unique<ReadWatch>(*loop, ends[0], [&] { ++calls; });
  loop.reset();
  watch.reset();
  CHECK(calls == 0);
  CHECK(::write(ends[1], "x", 1) == 1);  // its owner's fd is still open
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("the kill point table names at least forty different points and prints them as JSON") {
  const auto parsed = nlohmann::json::parse(kill_points_json());
  REQUIRE(parsed.is_array());
  CHECK(parsed.size() >= 40);
  std::set<std::string> names;
  for (const auto& row : parsed) {
    REQUIRE(row.size() == 5);
    const std::string subject = row.at("subject");
    std::string expected = row.at("role").get<std::string>() + "." +
                           row.at("effect").get<std::string>() + "." +
                           (subject.empty() ? "" : subject + ".") +
                           row.at("when").get<std::string>();
    CHECK(row.at("point") == expected);
    CHECK(names.insert(expected).second);
  }
  CHECK(names.contains("signer.send.partial_signature.during"));
  CHECK(names.contains("coordinator.broadcast.transaction.before"));
  CHECK(names.contains("ledger.append.command_batch.after"));
  CHECK(names.contains("etcd.process.at_time"));
}

TEST_CASE("a process at an armed point stands still until the tool releases it") {
  ControlChannel channel;
  channel.tell(std::string("arm a1 ") + kRecordBefore + " 2");
  Child child([&] {
    channel.close_tool_end();
    const auto points = open_signer_points(channel);
    for (int i = 0; i < 3; ++i) {
      pass_record_before(*points);
      points->event("passed", std::to_string(i));
    }
    return 0;
  });
  channel.close_process_end();
  CHECK(channel.hear() == std::string("seen a1 ") + kRecordBefore);
  CHECK(channel.hear() == "event passed 0");
  CHECK(channel.hear() == std::string("hit a1 ") + kRecordBefore + " 2 1");
  ::usleep(20000);
  CHECK(channel.silent());
  channel.tell("release 7");  // not ours: still standing
  CHECK(channel.hear() == "error release 7");
  channel.tell("release 1");
  CHECK(channel.hear() == "event passed 1");
  CHECK(channel.hear() == "event passed 2");  // one-shot
  CHECK(child.wait() == 0);
}

TEST_CASE("a process that stands still obeys arms that arrive meanwhile") {
  ControlChannel channel;
  channel.tell(std::string("arm a1 ") + kRecordBefore + " 1");
  Child child([&] {
    channel.close_tool_end();
    const auto points = open_signer_points(channel);
    pass_record_before(*points);
    pass_record_before(*points);
    return 0;
  });
  channel.close_process_end();
  CHECK(channel.hear() == std::string("hit a1 ") + kRecordBefore + " 1 1");
  channel.tell(std::string("arm a2 ") + kRecordBefore + " 1");
  channel.tell("release 1");
  CHECK(channel.hear() == std::string("hit a2 ") + kRecordBefore + " 2 2");
  channel.tell("release 2");
  CHECK(child.wait() == 0);
}

TEST_CASE("a standing process exits 70 when the control channel closes") {
  ControlChannel channel;
  channel.tell(std::string("arm a1 ") + kRecordBefore + " 1");
  Child child([&] {
    channel.close_tool_end();
    pass_record_before(*open_signer_points(channel));
    return 0;
  });
  channel.close_process_end();
  CHECK(channel.hear().starts_with("hit a1"));
  channel.close_tool_end();
  const int status = child.wait();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == kControlLostExitCode);
}

TEST_CASE("a running process exits 70 when the control channel closes") {
  ControlChannel channel;
  Child child([&] {
    channel.close_tool_end();
    const auto points = open_signer_points(channel);
    EventLoop loop;
    points->attach(loop);
    points->ready("{\"port\":1}");
    loop.run();
    return 0;
  });
  channel.close_process_end();
  CHECK(channel.hear() == "ready {\"port\":1}");
  channel.close_tool_end();
  CHECK(WEXITSTATUS(child.wait()) == kControlLostExitCode);
}

TEST_CASE("the loop takes arms while it runs") {
  ControlChannel channel;
  EventLoop loop;
  const auto points = open_signer_points(channel);
  points->attach(loop);
  const auto armed = [&] {
    return points->is_armed(kPersist, "signing_record", PointWhen::Before);
  };
  CHECK_FALSE(armed());
  channel.tell(std::string("arm x ") + kRecordBefore + " 9");
  REQUIRE(loop.run_until(armed, seconds(20)));
  channel.tell("disarm x");
  CHECK(loop.run_until([&] { return !armed(); }, seconds(20)));
}

TEST_CASE("a command that arrives while the process stands still is obeyed after the release") {
  ControlChannel channel;
  channel.tell(std::string("arm a1 ") + kRecordBefore + " 1");
  Child child([&] {
    channel.close_tool_end();
    const auto points = open_signer_points(channel);
    EventLoop loop;
    points->attach(loop);
    points->on_command([&](std::string_view word) {
      if (word != "finish") return false;
      points->event("finished");
      loop.stop();
      return true;
    });
    pass_record_before(*points);
    points->event("passed");
    loop.run();
    return 0;
  });
  channel.close_process_end();
  CHECK(channel.hear().starts_with("hit a1"));
  channel.tell("command dance");
  channel.tell("command finish");
  ::usleep(20000);
  CHECK(channel.silent());
  channel.tell("release 1");
  CHECK(channel.hear() == "event passed");
  CHECK(channel.hear() == "error command dance");
  CHECK(channel.hear() == "event finished");
  CHECK(child.wait() == 0);
}

TEST_CASE("control lines that are not understood arm nothing and are answered") {
  ControlChannel channel;
  const std::vector<std::string> bad = {
      "arm a signer.persist.signing_record 1", "arm a coordinator.reply.withdrawal.before 1",
      "arm a signer.process.at_time 1",        std::string("arm a ") + kRecordBefore + " 0",
      std::string("arm a ") + kRecordBefore,   std::string("arm a ") + kRecordBefore + " 1 1",
      std::string("arm a ") + kRecordBefore + " -1", "release 1", "", "hello"};
  for (const std::string& line : bad) channel.tell(line);
  const auto points = open_signer_points(channel);
  for (const std::string& line : bad) CHECK(channel.hear() == "error " + line);
  pass_record_before(*points);
  CHECK(channel.silent());
}

TEST_CASE("announcing a point outside the table is an assertion") {
  Child child([] {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    silence_stderr();
    const auto points = KillPoints::open(Role::Signer, std::nullopt);
    (*points)->announce("signer.persist.shopping_list.before");
    return 0;
  });
  const int status = child.wait();
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("without a control channel every point passes and messages go nowhere") {
  const auto points = KillPoints::open(Role::Signer, std::nullopt);
  REQUIRE(points.ok());
  pass_record_before(**points);
  (*points)->announce(kRecordBefore);
  (*points)->ready("{}");
  CHECK_FALSE((*points)->connected());
}

TEST_CASE("a control descriptor that is no socket is refused") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  CHECK_FALSE(KillPoints::open(Role::Signer, ends[0]).ok());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("SIGTERM calls back on the loop and a second one exits at once even if it is busy") {
  ControlChannel channel;
  Child child([&] {
    channel.close_tool_end();
    const auto points = open_signer_points(channel);
    EventLoop loop;
    TerminationSignals signals(loop, [&] {
      points->event("shutdown_started");
      for (;;) ::pause();  // a drain that never ends
    });
    points->ready("{}");
    loop.run();
    return 0;
  });
  channel.close_process_end();
  CHECK(channel.hear() == "ready {}");
  child.signal(SIGTERM);
  CHECK(channel.hear() == "event shutdown_started");
  child.signal(SIGTERM);
  const int status = child.wait();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == kForcedStopExitCode);
}

TEST_CASE("a hardened process is not dumpable and leaves no core file") {
  Child child([] {
    const auto hygiene = harden_process({.lock_memory = true, .launcher = ::getppid()});
    rlimit core{1, 1};
    ::getrlimit(RLIMIT_CORE, &core);
    const bool good = hygiene.ok() && ::prctl(PR_GET_DUMPABLE) == 0 && core.rlim_max == 0;
    return good ? 0 : 1;
  });
  CHECK(child.wait() == 0);
}

TEST_CASE("a launched process dies with its launcher") {
  ControlChannel channel;
  Child launcher([&] {
    channel.close_tool_end();
    const pid_t self = ::getpid();
    if (::fork() == 0) {
      if (!harden_process({.launcher = self}).ok()) ::_exit(1);
      const auto points = open_signer_points(channel);
      points->ready("{}");
      for (;;) ::pause();
    }
    channel.close_process_end();
    for (;;) ::pause();
    return 0;
  });
  channel.close_process_end();
  CHECK(channel.hear() == "ready {}");
  launcher.signal(SIGKILL);
  CHECK(channel.hear().empty());  // EOF: nobody holds the other end any more
}

TEST_CASE("a process whose launcher is already gone refuses to start") {
  Child child([] { return harden_process({.launcher = ::getpid()}).ok() ? 1 : 0; });
  CHECK(child.wait() == 0);
}

TEST_CASE("kernel entropy fills everything and boot ids differ") {
  KernelEntropy entropy;
  Bytes long_buffer(1 << 20, 0);
  entropy.fill(long_buffer);
  CHECK(std::count(long_buffer.end() - 64, long_buffer.end(), 0) < 16);
  CHECK(draw_boot_id(entropy) != draw_boot_id(entropy));
}

TEST_CASE("metrics with one name and labels are one instrument and appear in the text") {
  Metrics metrics;
  Counter& refused = metrics.counter("roulette_refusals_total", "Refusals.", {{"reason", "fee"}});
  refused.increment();
  metrics.counter("roulette_refusals_total", "Refusals.", {{"reason", "fee"}}).increment(2);
  metrics.counter("roulette_refusals_total", "Refusals.", {{"reason", "stale"}}).increment();
  metrics.gauge("roulette_pool_depth", "Nonces.").set(17);
  metrics.histogram("roulette_commit_seconds", "Commits.", {0.1, 1}).observe(0.5);
  CHECK(refused.value() == 3);
  const std::string text = metrics.text();
  for (const char* line : {"roulette_refusals_total{reason=\"fee\"} 3\n",
                           "roulette_refusals_total{reason=\"stale\"} 1\n",
                           "roulette_pool_depth 17\n", "roulette_commit_seconds_bucket{le=\"1\"} 1",
                           "# TYPE roulette_refusals_total counter"}) {
    INFO(text);
    CHECK(text.find(line) != std::string::npos);
  }
}
