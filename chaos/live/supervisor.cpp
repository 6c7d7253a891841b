// Processes of a run: see supervisor.h.
#include "chaos/live/supervisor.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos/live/spawner.h"

namespace roulette::chaos {
namespace {

constexpr Duration kStopPoll = milliseconds(1);
constexpr int kStopPollsMost = 2000;  // 2 s until a stop or continue must have been seen
constexpr Duration kMemorySample = milliseconds(500);
constexpr std::uint64_t kSamplesPerRecord = 10;  // every 5 s
constexpr std::size_t kMaxControlBuffer = 64 << 10;
constexpr int kReapPollsMost = 5000;

struct Child {
  ProcessSpec spec;
  ProcessState state = ProcessState::Down;
  pid_t pid = -1;
  int pidfd = -1;
  int control = -1;
  bool asked = false;
  bool up = false;               // as recorded by `up` and `down`
  bool says_ready = false;       // its own last word
  bool was_ready = false;        // said so once since it was started
  std::string why_not;           // its own reason, while it says that it is not ready
  bool token_away = false;       // by a fault of the tool: it serves nobody
  bool struck = false;           // a signal that ends or stops it left, and it did not go on since
  bool told_to_go_on = false;    // SIGCONT left, and nothing was seen of it yet
  std::uint64_t generation = 0;  // of starts; late timers of an earlier one do nothing
  std::string input;
  std::unique_ptr<runtime::ReadWatch> exit_watch;
  std::unique_ptr<runtime::ReadWatch> control_watch;
  std::unique_ptr<runtime::Timer> stop_timer;
  int stop_polls = 0;
  std::uint64_t peak_rss_kib = 0;
};

std::vector<std::string> words(const std::string& line, std::size_t most) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < line.size() && out.size() + 1 < most) {
    const auto space = line.find(' ', at);
    if (space == std::string::npos) break;
    out.push_back(line.substr(at, space - at));
    at = space + 1;
  }
  if (at < line.size()) out.push_back(line.substr(at));
  return out;
}

std::uint64_t number(const std::string& text) {
  return std::strtoull(text.c_str(), nullptr, 10);
}

std::int64_t cpu_us(const rusage& usage) {
  const auto us = [](const timeval& t) { return std::int64_t{t.tv_sec} * 1'000'000 + t.tv_usec; };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

// What a process holds, by /proc/<pid>; zeros when it cannot be read.
struct Usage {
  std::uint64_t high_water_kib = 0;  // VmHWM: the highest resident set of this life
  std::uint64_t resident_kib = 0;    // VmRSS
  std::uint64_t descriptors = 0;     // open ones
};

Usage usage_of(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  Usage usage;
  std::ifstream status(folder + "/status");
  std::string line;
  while (std::getline(status, line)) {
    const auto figure = [&line] { return number(line.substr(line.find_first_of("0123456789"))); };
    if (line.starts_with("VmHWM:")) usage.high_water_kib = figure();
    if (line.starts_with("VmRSS:")) usage.resident_kib = figure();
  }
  std::error_code error;  // it ended in between: no figure
  for (std::filesystem::directory_iterator i(folder + "/fd", error), end; !error && i != end;
       i.increment(error))
    ++usage.descriptors;
  return usage;
}

}  // namespace

struct Supervisor::State {
  runtime::EventLoop& loop;
  runtime::EventLog& log;
  Hooks hooks;
  Spawner spawner;
  std::map<ProcessName, Child> children;
  std::vector<std::string> unasked;
  SupervisorMetrics metrics;
  std::unique_ptr<runtime::Timer> memory_timer;
  std::uint64_t samples = 0;

  State(runtime::EventLoop& l, runtime::EventLog& g, Hooks h)
      : loop(l), log(g), hooks(std::move(h)) {
    memory_timer = std::make_unique<runtime::Timer>(loop, [this] { sample_memory(); });
    memory_timer->arm(loop.now() + kMemorySample);
  }

  void sample_memory() {
    const bool record = ++samples % kSamplesPerRecord == 0;
    for (auto& [name, child] : children) {
      const Usage usage = sample(child);
      metrics.resident(name, child.peak_rss_kib);
      if (!record || usage.resident_kib == 0) continue;
      runtime::EventFields fields;
      fields.add("name", name.text())
          .add("resident_kib", usage.resident_kib)
          .add("descriptors", usage.descriptors);
      log.write("usage", fields);
    }
    memory_timer->arm(loop.now() + kMemorySample);
  }
  static Usage sample(Child& child) {
    if (child.pid <= 0) return {};
    const Usage usage = usage_of(child.pid);
    child.peak_rss_kib = std::max(child.peak_rss_kib, usage.high_water_kib);
    return usage;
  }

  void record_up(const ProcessName& name, Child& child, bool up, const std::string& why) {
    // What it wrote before the signal took effect, or a release under way, does not bring it back.
    if (child.up == up || (up && (child.struck || child.token_away))) return;
    child.up = up;
    metrics.up(name, up, loop.now());
    runtime::EventFields fields;
    fields.add("name", name.text()).add("why", why);
    log.write(up ? "up" : "down", fields);
  }

  void on_exit(const ProcessName& name) {
    Child& child = children.at(name);
    siginfo_t info{};
    rusage usage{};  // the system call tells it, the library's waitid() does not
    if (syscall(SYS_waitid, P_PIDFD, child.pidfd, &info, WEXITED | WNOHANG, &usage) != 0 ||
        info.si_pid == 0) {
      return;
    }
    read_control(name);  // what it said before it died
    ExitFacts facts;
    facts.at = loop.now();
    facts.asked = child.asked;
    if (info.si_code == CLD_EXITED)
      facts.code = info.si_status;
    else
      facts.signal = info.si_status;
    record_up(name, child, false, "exited");
    runtime::EventFields fields;
    fields.add("name", name.text())
        .add("pid", child.pid)
        .add("code", facts.code.value_or(-1))
        .add("signal", facts.signal.value_or(0))
        .add("asked", facts.asked)
        .add("cpu_us", cpu_us(usage));
    log.write("exited", fields);
    metrics.exited(name, facts.asked);
    if (!facts.asked && !(hooks.may_end && hooks.may_end(name, facts))) {
      unasked.push_back(name.text() + " (pid " + std::to_string(child.pid) + ") ended by itself: " +
                        (facts.code ? "exit " + std::to_string(*facts.code)
                                    : "signal " + std::to_string(*facts.signal)));
    }
    release_descriptors(child);
    child.state = ProcessState::Down;
    child.pid = -1;
    if (hooks.on_exit) hooks.on_exit(name, facts);
  }

  static void release_descriptors(Child& child) {
    child.exit_watch.reset();
    child.control_watch.reset();
    child.stop_timer.reset();
    if (child.pidfd >= 0) close(child.pidfd);
    if (child.control >= 0) close(child.control);
    child.pidfd = -1;
    child.control = -1;
    child.input.clear();
  }

  void read_control(const ProcessName& name) {
    Child& child = children.at(name);
    char buffer[4096];
    while (child.control >= 0) {
      const ssize_t got = recv(child.control, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got <= 0) {
        if (got == 0) child.control_watch.reset();  // its end is closed: the exit follows
        break;
      }
      child.input.append(buffer, static_cast<std::size_t>(got));
      if (child.input.size() > kMaxControlBuffer && child.input.find('\n') == std::string::npos)
        child.input.clear();
    }
    const std::uint64_t generation = child.generation;
    std::size_t end = 0;
    while (child.generation == generation && (end = child.input.find('\n')) != std::string::npos) {
      const std::string line = child.input.substr(0, end);
      child.input.erase(0, end + 1);
      on_line(name, child, line);
    }
  }

  void on_line(const ProcessName& name, Child& child, const std::string& line) {
    const std::vector<std::string> w = words(line, 5);
    if (w.empty()) return;
    if (w[0] == "hit" && w.size() == 5) {
      // Who passes a point behind its SIGCONT went on, though the kernel's word of it is still to
      // come, and never comes where the point is its end.
      if (child.told_to_go_on) went_on(name, child);
      record_up(name, child, false, "stands still at " + w[2]);
      if (hooks.on_hit) {
        hooks.on_hit(name, HitFacts{static_cast<std::uint32_t>(number(w[1])), w[2], number(w[3]),
                                    number(w[4]), loop.now()});
      }
    } else if (w[0] == "seen" && w.size() >= 3) {
      if (hooks.on_seen) hooks.on_seen(name, static_cast<std::uint32_t>(number(w[1])));
    } else if (w[0] == "ready") {
      mark_ready(name, child, true, "");
    } else if (w[0] == "not_ready") {
      mark_ready(name, child, false, line.size() > 10 ? line.substr(10) : "");
    } else if (w[0] == "event" && w.size() >= 2) {
      const std::size_t head = 6 + w[1].size() + 1;
      if (hooks.on_event) hooks.on_event(name, w[1], line.size() > head ? line.substr(head) : "");
    } else {
      runtime::EventFields fields;
      fields.add("name", name.text()).add("line", line);
      log.write("control_line_not_understood", fields);
    }
  }

  void mark_ready(const ProcessName& name, Child& child, bool ready, const std::string& reason) {
    if (child.pid < 0) return;
    child.says_ready = ready;
    child.was_ready = child.was_ready || ready;
    child.why_not = ready ? "" : reason;
    if (ready && child.state == ProcessState::Starting) child.state = ProcessState::Up;
    if (child.state != ProcessState::Paused)
      record_up(name, child, ready, ready ? "ready" : reason);
    if (hooks.on_ready) hooks.on_ready(name, ready, reason);
  }

  // A pidfd tells of exits only: stops and continues are asked for, briefly, after they were
  // ordered.
  void await_stop(const ProcessName& name, bool stopped) {
    Child& child = children.at(name);
    child.stop_polls = 0;
    const std::uint64_t generation = child.generation;
    child.stop_timer = std::make_unique<runtime::Timer>(
        loop, [this, name, stopped, generation] { poll_stop(name, stopped, generation); });
    child.stop_timer->arm(loop.now());
  }

  void poll_stop(const ProcessName& name, bool stopped, std::uint64_t generation) {
    Child& child = children.at(name);
    if (child.generation != generation || child.pidfd < 0) return;
    if (!stopped && !child.told_to_go_on) return;  // seen already
    siginfo_t info{};
    const int wanted = stopped ? WSTOPPED : WCONTINUED;
    const int result = waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(child.pidfd), &info,
                              wanted | WNOHANG);
    if (result == 0 && info.si_pid != 0) {
      if (!stopped) return went_on(name, child);
      child.state = ProcessState::Paused;
      if (hooks.on_stop_continue) hooks.on_stop_continue(name, true);
      return;
    }
    if (++child.stop_polls < kStopPollsMost) child.stop_timer->arm(loop.now() + kStopPoll);
  }

  void went_on(const ProcessName& name, Child& child) {
    child.told_to_go_on = false;
    child.struck = false;
    // One that was stopped before it was ready goes on starting: it is not up yet.
    child.state = child.was_ready ? ProcessState::Up : ProcessState::Starting;
    if (child.says_ready) record_up(name, child, true, "continued");
    if (hooks.on_stop_continue) hooks.on_stop_continue(name, false);
  }

  void kill_all() {
    for (auto& [name, child] : children) {
      if (child.pidfd < 0) continue;
      child.asked = true;
      syscall(SYS_pidfd_send_signal, child.pidfd, SIGKILL, nullptr, 0);
    }
    for (auto& [name, child] : children) {
      for (int i = 0; child.pidfd >= 0 && i < kReapPollsMost; ++i) {
        siginfo_t info{};
        const int result = waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(child.pidfd),
                                  &info, WEXITED | WNOHANG);
        if (result != 0 || info.si_pid != 0) break;
        usleep(1000);
      }
      release_descriptors(child);
    }
  }
};

Supervisor::Supervisor(runtime::EventLoop& loop, runtime::EventLog& log, Hooks hooks)
    : state_(std::make_unique<State>(loop, log, std::move(hooks))) {}

Supervisor::~Supervisor() {
  state_->kill_all();
}

Status Supervisor::check_kernel() {
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  if (pidfd < 0) {
    return Error{ErrorKind::Preflight,
                 std::string("this kernel has no pidfd (") + strerror(errno) +
                     "): processes could not be signalled safely; Linux 5.4 or later is needed"};
  }
  close(pidfd);
  return {};
}

void Supervisor::define(ProcessSpec spec) {
  const ProcessName name = spec.name;
  state_->children[name].spec = std::move(spec);
  state_->metrics.defined(name);
}

Status Supervisor::start(ProcessName name, const std::vector<std::string>& control_lines) {
  Child& child = state_->children.at(name);
  ROULETTE_ASSERT(child.pid < 0);
  SpawnRequest request{child.spec.argv, child.spec.environment, child.spec.work_dir,
                       child.spec.stderr_path, std::nullopt};
  int ends[2] = {-1, -1};
  if (child.spec.control) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return Error{ErrorKind::Io, std::string("socketpair: ") + strerror(errno)};
    }
    request.control_fd = ends[1];
    request.argv.insert(request.argv.end(), {"--control-fd", "3"});
    child.control = ends[0];
    for (const std::string& line : control_lines) write_control(name, line);
  }
  Result<Spawned> spawned = state_->spawner.spawn(request);
  if (ends[1] >= 0) close(ends[1]);
  if (!spawned) {
    if (ends[0] >= 0) close(ends[0]);
    child.control = -1;
    return spawned.error().with_context(name.text());
  }
  child.pid = spawned->pid;
  child.pidfd = spawned->pidfd;
  child.state = ProcessState::Starting;
  child.asked = false;
  child.up = child.says_ready = child.was_ready = child.struck = child.told_to_go_on = false;
  ++child.generation;
  runtime::EventFields fields;
  fields.add("name", name.text()).add("pid", child.pid);
  state_->log.write("spawned", fields);
  state_->metrics.spawned(name, state_->loop.now());
  State* state = state_.get();
  child.exit_watch = std::make_unique<runtime::ReadWatch>(state_->loop, child.pidfd,
                                                          [state, name] { state->on_exit(name); });
  if (child.control >= 0) {
    child.control_watch = std::make_unique<runtime::ReadWatch>(
        state_->loop, child.control, [state, name] { state->read_control(name); });
  }
  return {};
}

int Supervisor::send_signal(ProcessName name, int signal) {
  Child& child = state_->children.at(name);
  if (child.pidfd < 0) return -ESRCH;
  (void)State::sample(child);
  if (signal == SIGKILL || signal == SIGTERM) {
    child.asked = true;
    state_->record_up(name, child, false, signal == SIGKILL ? "SIGKILL" : "SIGTERM");
  }
  if (signal == SIGSTOP) state_->record_up(name, child, false, "SIGSTOP");
  const bool strikes = signal == SIGKILL || signal == SIGTERM || signal == SIGSTOP;
  const int result =
      static_cast<int>(syscall(SYS_pidfd_send_signal, child.pidfd, signal, nullptr, 0));
  if (result != 0) return -errno;
  child.struck = child.struck || strikes;
  if (signal == SIGSTOP || signal == SIGCONT) child.told_to_go_on = signal == SIGCONT;
  if (signal == SIGSTOP) state_->await_stop(name, true);
  if (signal == SIGCONT) state_->await_stop(name, false);
  return 0;
}

void Supervisor::expect_exit(ProcessName name) {
  state_->children.at(name).asked = true;
}

void Supervisor::write_control(ProcessName name, const std::string& line) {
  const Child& child = state_->children.at(name);
  if (child.control < 0) return;
  const std::string text = line + "\n";
  const ssize_t sent = send(child.control, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == static_cast<ssize_t>(text.size())) return;
  runtime::EventFields fields;
  fields.add("name", name.text()).add("line", line);
  state_->log.write("control_line_not_sent", fields);
}

void Supervisor::mark_ready(ProcessName name, bool ready, const std::string& reason) {
  state_->mark_ready(name, state_->children.at(name), ready, reason);
}

void Supervisor::mark_released(ProcessName name) {
  Child& child = state_->children.at(name);
  if (child.state == ProcessState::Up && child.says_ready)
    state_->record_up(name, child, true, "released");
}

void Supervisor::token_goes(ProcessName name, const std::string& why) {
  Child& child = state_->children.at(name);
  child.token_away = true;
  state_->record_up(name, child, false, why);
}

void Supervisor::token_returns(ProcessName name) {
  Child& child = state_->children.at(name);
  child.token_away = false;
  if (child.state == ProcessState::Up && child.says_ready)
    state_->record_up(name, child, true, "its token answers");
}

ProcessState Supervisor::state(ProcessName name) const {
  return state_->children.at(name).state;
}

std::string Supervisor::why_not_ready(ProcessName name) const {
  return state_->children.at(name).why_not;
}

bool Supervisor::serving(ProcessName name) const {
  return state_->children.at(name).up;
}

std::optional<pid_t> Supervisor::pid(ProcessName name) const {
  const Child& child = state_->children.at(name);
  if (child.pid < 0) return std::nullopt;
  return child.pid;
}

std::vector<ProcessName> Supervisor::all() const {
  std::vector<ProcessName> out;
  for (const auto& [name, child] : state_->children) out.push_back(name);
  return out;
}

const std::vector<std::string>& Supervisor::unasked_exits() const {
  return state_->unasked;
}

SupervisorMetrics& Supervisor::metrics() {
  return state_->metrics;
}

std::uint64_t Supervisor::peak_rss_kib(ProcessName name) const {
  return state_->children.at(name).peak_rss_kib;
}

}  // namespace roulette::chaos
