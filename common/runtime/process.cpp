// Start-up hygiene, termination signals and kernel entropy.
//
// Invariant: the signal handler uses async-signal-safe calls only. The handler's two words of
// state are the process's only globals here, since a handler has no other way to find them.
#include "common/runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "common/base/assert.h"
#include "common/runtime/event_loop.h"

namespace roulette::runtime {
namespace {

std::atomic<int> g_wake_fd{-1};
std::atomic<bool> g_stop_requested{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

extern "C" void on_termination_signal(int) {
  if (g_stop_requested.exchange(true)) _exit(kForcedStopExitCode);
  const int saved = errno;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(g_wake_fd.load(), &one, sizeof one);
  errno = saved;
}

Error system_error(const char* what) {
  return Error{ErrorKind::Internal, std::string(what) + ": " + std::strerror(errno)};
}

bool try_to_lock_memory() {
  // MCL_FUTURE turns a low limit into failing allocations later, so it is asked for only where the
  // limit cannot be met. MCL_ONFAULT keeps untouched pages (stacks, arenas) out of memory.
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return false;
  if (limit.rlim_cur != RLIM_INFINITY && ::geteuid() != 0) {
    constexpr rlim_t kEnough = 512UL * 1024 * 1024;
    if (limit.rlim_cur < kEnough) return false;
  }
  return ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

}  // namespace

Result<Hygiene> harden_process(const HygieneOptions& options) {
  // No debugger, no core file, no /proc/self/mem for others of this user.
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return system_error("PR_SET_DUMPABLE");
  const rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) return system_error("RLIMIT_CORE");
  if (::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return system_error("SIGPIPE");
  // A file that may not grow is an error of write(2), with a reason, and no death by a signal.
  if (::signal(SIGXFSZ, SIG_IGN) == SIG_ERR) return system_error("SIGXFSZ");
  if (options.launcher) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return system_error("PR_SET_PDEATHSIG");
    // The launcher may have died between fork and prctl: then the signal never comes.
    if (::getppid() != *options.launcher) {
      return Error{ErrorKind::Preflight, "the launching process is gone"};
    }
  }
  Hygiene hygiene;
  if (options.lock_memory) hygiene.memory_locked = try_to_lock_memory();
  return hygiene;
}

struct TerminationSignals::State {
  int fd = -1;
  std::unique_ptr<ReadWatch> watch;
  std::function<void()> on_terminate;
};

TerminationSignals::TerminationSignals(EventLoop& loop, std::function<void()> on_terminate)
    : state_(std::make_unique<State>()) {
  ROULETTE_ASSERT(g_wake_fd.load() < 0);
  state_->fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  ROULETTE_ASSERT(state_->fd >= 0);
  state_->on_terminate = std::move(on_terminate);
  state_->watch = std::make_unique<ReadWatch>(loop, state_->fd, [state = state_.get()] {
    std::uint64_t count = 0;
    if (::read(state->fd, &count, sizeof count) == sizeof count) state->on_terminate();
  });
  g_stop_requested = false;
  g_wake_fd = state_->fd;
  struct sigaction action {};
  action.sa_handler = on_termination_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT}) {
    ROULETTE_ASSERT(::sigaction(signal, &action, nullptr) == 0);
  }
}

TerminationSignals::~TerminationSignals() {
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  state_->watch.reset();
  g_wake_fd = -1;
  ::close(state_->fd);
}

void KernelEntropy::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      std::fprintf(stderr, "getrandom: %s\n", std::strerror(errno));
      _exit(70);
    }
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

BootId draw_boot_id(EntropySource& entropy) {
  ByteArray<16> bytes{};
  entropy.fill(bytes);
  return BootId(bytes);
}

std::int64_t wall_clock_us() {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return std::int64_t{t.tv_sec} * 1000000 + t.tv_nsec / 1000;
}

}  // namespace roulette::runtime
