// What the tests of common/runtime share: a temporary folder, the tool's end of a control channel
// and a forked child process.
//
// Invariant: everything made here is removed or reaped by its destructor, also after a failed
// check.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

namespace roulette::runtime::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "roulette-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The tool's end; process_end() is what `--control-fd` would name.
class ControlChannel {
 public:
  ControlChannel() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    tool_ = ends[0];
    process_ = ends[1];
  }
  ControlChannel(const ControlChannel&) = delete;
  ControlChannel& operator=(const ControlChannel&) = delete;
  ~ControlChannel() {
    close_tool_end();
    close_process_end();
  }
  // The receiver owns it from here on.
  [[nodiscard]] int take_process_end() { return std::exchange(process_, -1); }
  void close_process_end() {
    if (process_ >= 0) ::close(std::exchange(process_, -1));
  }
  void close_tool_end() {
    if (tool_ >= 0) ::close(std::exchange(tool_, -1));
  }
  void tell(const std::string& line) {
    const std::string text = line + "\n";
    REQUIRE(::send(tool_, text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  // The next line; "" at EOF. A child that says nothing for 20 s fails the test.
  [[nodiscard]] std::string hear() {
    for (;;) {
      if (const std::size_t end = unread_.find('\n'); end != std::string::npos) {
        const std::string line = unread_.substr(0, end);
        unread_.erase(0, end + 1);
        return line;
      }
      pollfd readable{tool_, POLLIN, 0};
      REQUIRE(::poll(&readable, 1, 20000) == 1);
      char buffer[1024];
      const ssize_t n = ::recv(tool_, buffer, sizeof buffer, 0);
      if (n <= 0) return "";
      unread_.append(buffer, static_cast<std::size_t>(n));
    }
  }
  // Whether a line is there without waiting for one.
  [[nodiscard]] bool silent() {
    pollfd readable{tool_, POLLIN, 0};
    return unread_.empty() && ::poll(&readable, 1, 0) == 0;
  }

 private:
  int tool_ = -1;
  int process_ = -1;
  std::string unread_;
};

// For children whose complaint on stderr is expected.
inline void silence_stderr() {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(nowhere, 2);
  ::close(nowhere);
}

// Runs `body` in a forked child; its return value is the exit code. Killed if still there at the
// end.
class Child {
 public:
  explicit Child(const std::function<int()>& body) {
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ != 0) return;
    // Catch's own handlers would report a signal that the child is meant to die of.
    for (const int number : {SIGABRT, SIGTERM, SIGINT, SIGSEGV}) ::signal(number, SIG_DFL);
    ::_exit(body());
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const { REQUIRE(::kill(pid_, number) == 0); }
  // The wait status; afterwards nothing is left to clean up.
  [[nodiscard]] int wait() {
    int status = 0;
    REQUIRE(::waitpid(std::exchange(pid_, -1), &status, 0) > 0);
    return status;
  }

 private:
  pid_t pid_ = -1;
};

}  // namespace roulette::runtime::test
