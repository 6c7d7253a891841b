// fork and exec on a thread of its own: see spawner.h.
#include "chaos/live/spawner.h"

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace roulette::chaos {
namespace {

constexpr int kControlFd = 3;

// What the child tells through the pipe when it could not become the program.
struct Failure {
  int step = 0;
  int error = 0;
};
constexpr const char* kSteps[] = {"",
                                  "setpgid",
                                  "PR_SET_PDEATHSIG",
                                  "the tool is gone",
                                  "chdir",
                                  "open of the output file",
                                  "open of /dev/null",
                                  "dup2",
                                  "close_range",
                                  "execve"};

struct ChildPlan {
  std::vector<char*> argv;
  std::vector<char*> envp;
  const char* work_dir;
  const char* output_path;
  int control_fd;
  int report_fd;
  pid_t parent;
};

[[noreturn]] void fail_in_child(int report_fd, int step) {
  const Failure failure{step, errno};
  [[maybe_unused]] const auto written = write(report_fd, &failure, sizeof failure);
  _exit(127);
}

// Only async-signal-safe calls: the tool has threads.
[[noreturn]] void become(const ChildPlan& plan) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (setpgid(0, 0) != 0) fail_in_child(plan.report_fd, 1);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail_in_child(plan.report_fd, 2);
  if (getppid() != plan.parent) fail_in_child(plan.report_fd, 3);  // died between fork and prctl
  if (chdir(plan.work_dir) != 0) fail_in_child(plan.report_fd, 4);
  const int output = open(plan.output_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (output < 0) fail_in_child(plan.report_fd, 5);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) fail_in_child(plan.report_fd, 6);
  // Out of the way of the low numbers first, so that no dup2 overwrites one that is still needed.
  const int report = fcntl(plan.report_fd, F_DUPFD_CLOEXEC, 10);
  const int control = plan.control_fd < 0 ? -1 : fcntl(plan.control_fd, F_DUPFD_CLOEXEC, 10);
  const int out = fcntl(output, F_DUPFD_CLOEXEC, 10);
  const int in = fcntl(null, F_DUPFD_CLOEXEC, 10);
  if (report < 0 || out < 0 || in < 0 || (plan.control_fd >= 0 && control < 0))
    fail_in_child(plan.report_fd, 7);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) fail_in_child(report, 7);
  if (control >= 0 && dup2(control, kControlFd) < 0) fail_in_child(report, 7);
  const unsigned first = control >= 0 ? kControlFd + 1 : kControlFd;
  if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail_in_child(report, 8);
  execve(plan.argv[0], plan.argv.data(), plan.envp.data());
  fail_in_child(report, 9);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

Result<Spawned> fork_and_exec(const SpawnRequest& request) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0)
    return Error{ErrorKind::Io, std::string("pipe: ") + strerror(errno)};
  const ChildPlan plan{pointers(request.argv),
                       pointers(request.environment),
                       request.work_dir.c_str(),
                       request.output_path.c_str(),
                       request.control_fd.value_or(-1),
                       report[1],
                       getpid()};
  const pid_t pid = fork();
  if (pid == 0) become(plan);
  close(report[1]);
  if (pid < 0) {
    close(report[0]);
    return Error{ErrorKind::Io, std::string("fork: ") + strerror(errno)};
  }
  Failure failure;
  ssize_t got = 0;
  do {
    got = read(report[0], &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  close(report[0]);
  if (got == static_cast<ssize_t>(sizeof failure)) {
    waitpid(pid, nullptr, 0);
    return Error{ErrorKind::Preflight,
                 request.argv[0] + ": " + kSteps[failure.step] + ": " + strerror(failure.error)};
  }
  // Not reaped yet, so the number cannot have been given to another process.
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return Error{ErrorKind::Preflight, std::string("pidfd_open: ") + strerror(errno)};
  }
  return Spawned{pid, pidfd};
}

}  // namespace

struct Spawner::State {
  std::mutex mutex;
  std::condition_variable changed;
  const SpawnRequest* request = nullptr;
  std::optional<Result<Spawned>> answer;
  bool ending = false;
  std::thread thread;

  void serve() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return ending || (request != nullptr && !answer); });
      if (ending) return;
      answer = fork_and_exec(*request);
      changed.notify_all();
    }
  }
};

Spawner::Spawner() : state_(std::make_unique<State>()) {
  state_->thread = std::thread([state = state_.get()] { state->serve(); });
}

Spawner::~Spawner() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

Result<Spawned> Spawner::spawn(const SpawnRequest& request) {
  ROULETTE_ASSERT(!request.argv.empty());
  std::unique_lock lock(state_->mutex);
  state_->request = &request;
  state_->changed.notify_all();
  state_->changed.wait(lock, [this] { return state_->answer.has_value(); });
  Result<Spawned> answer = std::move(*state_->answer);
  state_->answer.reset();
  state_->request = nullptr;
  return answer;
}

}  // namespace roulette::chaos
