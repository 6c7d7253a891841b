// Children on pipes, one counter in shared memory: see fan_out.h.
//
// Invariant: every child is reaped, and none outlives the tool (PDEATHSIG, the parent re-checked).
#include "chaos/app/fan_out.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace roulette::chaos {
namespace {

constexpr std::size_t kMaxBroken = 8;  // after so many broken pieces no child is started again
constexpr std::uint32_t kMaxResult = 256U << 20;
constexpr int kTickMs = 100;
constexpr auto kGather = std::chrono::milliseconds(3);

// What parent and children share.
struct Board {
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> stop{false};
};

volatile std::sig_atomic_t g_interrupted = 0;
void note_interrupt(int) { g_interrupted = 1; }

double now_s() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

Error system_error(const char* what) {
  return Error{ErrorKind::Internal, std::string(what) + ": " + std::strerror(errno)};
}

bool write_all(int fd, const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

struct Header {
  std::uint64_t piece = 0;
  std::uint32_t size = 0;
  std::uint32_t begun = 0;  // 1: the piece begins, without a result yet
};

// The tool decides when it ends: Ctrl-C goes to the whole group of the terminal, and the SIGTERM of
// timeout(1) to the whole group as well. A child that died of it would count as a broken piece.
void become_child(pid_t parent) {
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
}

void append(std::string& to, const Header& header) {
  to.append(reinterpret_cast<const char*>(&header), sizeof header);
}

// A result leaves together with the word that the next piece begins: whenever this process dies it
// is known which piece it had.
[[noreturn]] void child_loop(Board& board, const FanOutPlan& plan, const FanOutHooks& hooks,
                             int out) {
  const auto begin_next = [&](std::string& bytes) {
    const std::uint64_t piece = board.stop.load() ? plan.pieces : board.next.fetch_add(1);
    if (piece < plan.pieces) append(bytes, {piece, 0, 1});
    return piece;
  };
  std::string bytes;
  std::uint64_t piece = begin_next(bytes);
  while (piece < plan.pieces) {
    if (!write_all(out, bytes.data(), bytes.size())) _exit(1);
    const std::string result = hooks.work(piece);
    bytes.clear();
    append(bytes, {piece, static_cast<std::uint32_t>(result.size()), 0});
    bytes += result;
    piece = begin_next(bytes);
  }
  _exit(write_all(out, bytes.data(), bytes.size()) ? 0 : 1);
}

struct Child {
  pid_t pid = -1;
  int fd = -1;
  std::string buffer;
  bool busy = false;
  std::uint64_t piece = 0;
  double since_s = 0;
  bool timed_out = false;
};

class FanOut {
 public:
  FanOut(const FanOutPlan& plan, const FanOutHooks& hooks) : plan_(plan), hooks_(hooks) {}
  FanOut(const FanOut&) = delete;
  FanOut& operator=(const FanOut&) = delete;
  ~FanOut() {
    for (Child& child : children_) {
      if (child.pid > 0) ::kill(child.pid, SIGKILL);
      reap(child);
    }
    if (board_ != nullptr) munmap(board_, sizeof(Board));
  }

  Result<std::uint64_t> run() {
    void* shared = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return system_error("mmap");
    board_ = new (shared) Board;
    const std::uint64_t jobs = std::min<std::uint64_t>(plan_.jobs, plan_.pieces);
    for (std::uint64_t i = 0; i < jobs; ++i) {
      if (const Status begun = start(); !begun) return begun.error();
    }
    while (!children_.empty()) {
      if (hooks_.go_on && !hooks_.go_on()) board_->stop.store(true);
      if (const Status turned = turn(); !turned) return turned.error();
    }
    return ran_;
  }

 private:
  Status start() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return system_error("pipe");
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) {
      const Error error = system_error("fork");
      close(ends[0]);
      close(ends[1]);
      return error;
    }
    if (pid == 0) {
      become_child(parent);
      close(ends[0]);
      child_loop(*board_, plan_, hooks_, ends[1]);
    }
    close(ends[1]);
    Child child;
    child.pid = pid;
    child.fd = ends[0];
    children_.push_back(std::move(child));
    return {};
  }

  static int reap(Child& child) {
    int status = 0;
    if (child.pid > 0) {
      while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
      }
    }
    child.pid = -1;
    if (child.fd >= 0) close(child.fd);
    child.fd = -1;
    return status;
  }

  Status turn() {
    std::vector<pollfd> fds;
    for (const Child& child : children_) fds.push_back({child.fd, POLLIN, 0});
    const int ready = poll(fds.data(), fds.size(), kTickMs);
    if (ready < 0 && errno != EINTR) return system_error("poll");
    // Short pieces' results are read several at a time: each wake-up takes a worker's core.
    if (ready > 0) std::this_thread::sleep_for(kGather);
    std::size_t ended = 0;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      Child& child = children_[i];
      if (ready > 0 && fds[i].revents != 0 && !read_some(child)) {
        ++ended;
        if (const Status closed = on_end(child); !closed) return closed;
        continue;
      }
      if (child.busy && !child.timed_out && now_s() - child.since_s > plan_.answer_within_s) {
        child.timed_out = true;
        ::kill(child.pid, SIGKILL);  // not reaped yet, so the pid is still ours
      }
    }
    if (ended > 0) {
      std::erase_if(children_, [](const Child& child) { return child.pid < 0; });
      for (; restarts_ > 0; --restarts_) {
        if (const Status begun = start(); !begun) return begun;
      }
    }
    return {};
  }

  // False at the end of the child's pipe.
  bool read_some(Child& child) {
    char bytes[65536];
    const ssize_t n = ::read(child.fd, bytes, sizeof bytes);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    if (n == 0) return false;
    child.buffer.append(bytes, static_cast<std::size_t>(n));
    std::size_t used = 0;
    while (child.buffer.size() - used >= sizeof(Header)) {
      Header header;
      std::memcpy(&header, child.buffer.data() + used, sizeof header);
      if (header.size > kMaxResult) return false;
      if (child.buffer.size() - used < sizeof header + header.size) break;
      used += sizeof header;
      child.busy = header.begun != 0;
      child.piece = header.piece;
      child.since_s = now_s();
      if (header.begun == 0) {
        ++ran_;
        hooks_.done(header.piece, child.buffer.substr(used, header.size));
        used += header.size;
      }
    }
    child.buffer.erase(0, used);
    return true;
  }

  Status on_end(Child& child) {
    const bool timed_out = child.timed_out;
    const int status = reap(child);
    const bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!child.busy) {
      if (clean) return {};
      return Error{ErrorKind::Internal, "a child ended between two pieces"};
    }
    std::string why = "the process ended with status " + std::to_string(WEXITSTATUS(status));
    if (WIFSIGNALED(status)) {
      why = "the process ended by signal " + std::to_string(WTERMSIG(status)) + " (" +
            strsignal(WTERMSIG(status)) + ")";
    }
    if (timed_out) {
      why = "no answer within " + std::to_string(static_cast<int>(plan_.answer_within_s)) + " s";
    }
    ++ran_;
    hooks_.broke(child.piece, why);
    if (++broken_ < kMaxBroken) ++restarts_;
    else board_->stop.store(true);
    return {};
  }

  const FanOutPlan& plan_;
  const FanOutHooks& hooks_;
  Board* board_ = nullptr;
  std::vector<Child> children_;
  std::uint64_t ran_ = 0;
  std::size_t broken_ = 0;
  std::size_t restarts_ = 0;
};

}  // namespace

Result<std::uint64_t> fan_out(const FanOutPlan& plan, const FanOutHooks& hooks) {
  return FanOut(plan, hooks).run();
}

Result<Isolated> isolated(const std::function<std::string()>& work, double answer_within_s) {
  Isolated end;
  FanOutHooks hooks;
  hooks.work = [&work](std::uint64_t) { return work(); };
  hooks.done = [&end](std::uint64_t, std::string result) { end.result = std::move(result); };
  hooks.broke = [&end](std::uint64_t, const std::string& why) { end.broke = why; };
  const auto ran = fan_out({1, 1, answer_within_s}, hooks);
  if (!ran) return ran.error();
  return end;
}

bool interrupted() {
  static const bool set = [] {
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGINT, &action, nullptr) == 0 && sigaction(SIGTERM, &action, nullptr) == 0;
  }();
  return set && g_interrupted != 0;
}

unsigned usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count < 1 ? 1U : static_cast<unsigned>(count);
}

}  // namespace roulette::chaos
