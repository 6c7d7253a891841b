// The process side of the control channel: arms, passes, standing still.
//
// Invariant: between the `hit` line and its `release` nothing of this process runs but the blocking
// read in stand_still(). Lines are parsed strictly; a bad line arms nothing and is answered
// `error`.
#include "common/runtime/kill_points.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "common/runtime/event_loop.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {
namespace {

struct Point {
  std::string name;
  PointEffect effect;
  std::string_view subject;
  PointWhen when;
  std::uint64_t passes = 0;
  std::size_t arms = 0;
};

struct Arm {
  std::string id;
  std::size_t point;
  std::uint64_t remaining;
};

[[noreturn]] void control_lost() { _exit(kControlLostExitCode); }

std::string_view next_word(std::string_view& line) {
  const std::size_t end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line = end == std::string_view::npos ? std::string_view{} : line.substr(end + 1);
  return word;
}

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

struct KillPoints::State {
  Role role;
  int fd = -1;
  std::vector<Point> points;  // of this role, table order
  std::vector<Arm> arms;
  std::string unread;         // an incomplete line
  std::uint64_t sequence = 0;
  std::uint64_t standing = 0;  // sequence of the hit we stand at, 0 = none
  std::unique_ptr<ReadWatch> watch;
  EventLoop* loop = nullptr;  // set by attach()
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::function<bool(std::string_view)> on_command;

  ~State() {
    watch.reset();
    if (fd >= 0) ::close(fd);
  }

  Point* find(PointEffect effect, std::string_view subject, PointWhen when) {
    for (Point& point : points) {
      if (point.effect == effect && point.when == when && point.subject == subject) return &point;
    }
    return nullptr;
  }
  Point* find(std::string_view name) {
    for (Point& point : points) {
      if (point.name == name) return &point;
    }
    return nullptr;
  }

  void write_line(std::string line) {
    line.push_back('\n');
    std::string_view rest = line;
    while (!rest.empty()) {
      const ssize_t n = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        wait_for(POLLOUT);
        continue;
      }
      if (n <= 0) control_lost();
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  // The loop's watch made the socket non-blocking, so blocking is done here.
  void wait_for(short events) const {
    pollfd poll_fd{fd, events, 0};
    (void)::poll(&poll_fd, 1, -1);
  }

  // One recv and all lines in it. False when nothing was there.
  bool read_commands() {
    std::array<char, 4096> buffer;
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) return true;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (n <= 0) control_lost();
    unread.append(buffer.data(), static_cast<std::size_t>(n));
    std::size_t begin = 0;
    for (std::size_t end; (end = unread.find('\n', begin)) != std::string::npos; begin = end + 1) {
      command(std::string_view(unread).substr(begin, end - begin));
    }
    unread.erase(0, begin);
    if (unread.size() > kMaxControlLineBytes) control_lost();  // not our tool
    return true;
  }

  void command(std::string_view line) {
    std::string_view rest = line;
    const std::string_view verb = next_word(rest);
    const std::string_view id = next_word(rest);
    bool understood = false;
    if (verb == "arm") {
      Point* const point = find(next_word(rest));
      const auto remaining = to_number(next_word(rest));
      understood = point != nullptr && remaining && *remaining > 0 && rest.empty() && !id.empty() &&
                   point->when != PointWhen::AtTime && arms.size() < kMaxArmedPoints;
      if (understood) {
        ++point->arms;
        arms.push_back({std::string(id), static_cast<std::size_t>(point - points.data()),
                        *remaining});
      }
    } else if (verb == "disarm") {
      understood = !id.empty() && rest.empty();
      if (understood) disarm(id);
    } else if (verb == "release") {
      const auto released = to_number(id);
      understood = released && rest.empty() && standing != 0 && *released == standing;
      if (understood) standing = 0;
    } else if (verb == "command") {
      understood = !id.empty() && rest.empty() && loop != nullptr;
      if (understood) dispatch_later(std::string(id));
    }
    if (!understood) write_line("error " + std::string(line));
  }

  // In a later turn: a command may arrive while the process stands still, and then nothing may run.
  void dispatch_later(std::string word) {
    loop->post([this, word = std::move(word), weak = std::weak_ptr(alive)] {
      if (weak.expired()) return;
      if (!on_command || !on_command(word)) write_line("error command " + word);
    });
  }

  void disarm(std::string_view id) {
    std::erase_if(arms, [&](const Arm& arm) {
      if (arm.id != id) return false;
      --points[arm.point].arms;
      return true;
    });
  }

  void pass(Point& point) {
    ++point.passes;
    if (point.arms != 0) pass_armed(point);
  }

  void pass_armed(Point& point) {
    const std::size_t index = static_cast<std::size_t>(&point - points.data());
    std::vector<std::string> hits;
    std::erase_if(arms, [&](Arm& arm) {
      if (arm.point != index) return false;
      if (--arm.remaining != 0) {
        write_line("seen " + arm.id + " " + point.name);
        return false;
      }
      hits.push_back(std::move(arm.id));
      --point.arms;
      return true;
    });
    for (const std::string& id : hits) stand_still(id, point);
  }

  void stand_still(const std::string& id, const Point& point) {
    standing = ++sequence;
    write_line("hit " + id + " " + point.name + " " + std::to_string(point.passes) + " " +
               std::to_string(sequence));
    while (standing != 0) {
      wait_for(POLLIN);
      read_commands();
    }
  }
};

KillPoints::KillPoints(std::unique_ptr<State> state) : state_(std::move(state)) {}
KillPoints::~KillPoints() = default;

Result<std::unique_ptr<KillPoints>> KillPoints::open(Role role, std::optional<int> control_fd) {
  auto state = std::make_unique<State>();
  state->role = role;
  for (KillPoint& point : list_kill_points()) {
    if (point.role != role) continue;
    state->points.push_back({std::move(point.point), point.effect, point.subject, point.when});
  }
  if (control_fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(*control_fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
      return Error{ErrorKind::Usage, "control fd " + std::to_string(*control_fd) +
                                         " is not a socket: " + std::strerror(errno)};
    }
    if (::fcntl(*control_fd, F_SETFD, FD_CLOEXEC) != 0) {
      return Error{ErrorKind::Io, std::string("control fd: ") + std::strerror(errno)};
    }
    state->fd = *control_fd;
    while (state->read_commands()) continue;
  }
  return std::unique_ptr<KillPoints>(new KillPoints(std::move(state)));
}

void KillPoints::attach(EventLoop& loop) {
  if (state_->fd < 0) return;
  state_->loop = &loop;
  state_->watch = std::make_unique<ReadWatch>(loop, state_->fd, [state = state_.get()] {
    while (state->read_commands()) continue;
  });
}

void KillPoints::announce(PointEffect effect, std::string_view subject, PointWhen when) {
  Point* const point = state_->find(effect, subject, when);
  ROULETTE_ASSERT(point != nullptr && when != PointWhen::AtTime);
  state_->pass(*point);
}

void KillPoints::announce(std::string_view point) {
  Point* const found = state_->find(point);
  ROULETTE_ASSERT(found != nullptr && found->when != PointWhen::AtTime);
  state_->pass(*found);
}

bool KillPoints::is_armed(PointEffect effect, std::string_view subject, PointWhen when) const {
  const Point* const point = state_->find(effect, subject, when);
  ROULETTE_ASSERT(point != nullptr);
  return point->arms != 0;
}

void KillPoints::on_command(std::function<bool(std::string_view)> handler) {
  state_->on_command = std::move(handler);
}

void KillPoints::not_ready(std::string_view reason) {
  if (connected()) state_->write_line("not_ready " + std::string(reason));
}

void KillPoints::ready(std::string_view json) {
  if (connected()) state_->write_line("ready " + std::string(json));
}

void KillPoints::event(std::string_view name, std::string_view text) {
  if (!connected()) return;
  std::string line = "event " + std::string(name);
  if (!text.empty()) line.append(" ").append(text);
  state_->write_line(std::move(line));
}

bool KillPoints::connected() const { return state_->fd >= 0; }

}  // namespace roulette::runtime
