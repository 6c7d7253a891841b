// EventLoop, Timer and ReadWatch on an io_context that one thread runs.
//
// Invariant: a callback whose Timer or ReadWatch was destroyed, cancelled or re-armed never runs,
// even when Asio had queued it already: each arming has a generation that the handler compares.
#include "common/runtime/event_loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "common/runtime/limits.h"

namespace roulette::runtime {
namespace asio = boost::asio;
using boost::system::error_code;

struct EventLoop::State {
  // One thread: the hint lets Asio queue follow-up handlers without waking anybody.
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::function<void()> hook;
  std::vector<std::weak_ptr<ReadWatch::State>> watches;  // closed with the loop
  bool stopping = false;

  // What is ready now, then the hook: the group-commit boundary.
  void drain_and_hook() {
    for (std::size_t i = 0; i < kMaxHandlersPerBatch && io.poll_one() != 0; ++i) continue;
    if (hook) hook();
  }
};

EventLoop::EventLoop() : state_(std::make_unique<State>()) {}

Instant EventLoop::now() const {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::microseconds>(since).count()};
}

void EventLoop::post(std::function<void()> task) { asio::post(state_->io, std::move(task)); }

void EventLoop::set_batch_hook(std::function<void()> hook) { state_->hook = std::move(hook); }

void EventLoop::run() {
  state_->io.restart();
  while (!state_->stopping) {
    state_->io.run_one();
    state_->drain_and_hook();
  }
  state_->stopping = false;
}

bool EventLoop::run_until(const std::function<bool()>& done, Duration limit) {
  state_->io.restart();
  const Instant deadline = now() + limit;
  while (!done()) {
    const Duration left = deadline - now();
    if (left.us <= 0) return false;
    state_->io.run_one_for(std::chrono::microseconds(left.us));
    state_->drain_and_hook();
  }
  return true;
}

void EventLoop::stop() { post([state = state_.get()] { state->stopping = true; }); }

asio::io_context& EventLoop::io() { return state_->io; }

struct Timer::State : std::enable_shared_from_this<Timer::State> {
  State(EventLoop& loop, std::function<void()> callback)
      : timer(loop.io()), on_expiry(std::move(callback)) {}
  asio::steady_timer timer;
  std::function<void()> on_expiry;
  std::uint64_t generation = 0;
  bool armed = false;
  Instant due;

  void arm(Instant at) {
    // A cancelled wait is a handler of its own: a batch hook that re-arms its deadline would be
    // woken by its own re-arming, for ever.
    if (armed && at == due) return;
    const std::uint64_t mine = ++generation;
    armed = true;
    due = at;
    timer.expires_at(asio::steady_timer::time_point(std::chrono::microseconds(at.us)));
    timer.async_wait([self = shared_from_this(), mine](const error_code&) {
      if (self->generation != mine) return;
      self->armed = false;
      self->on_expiry();
    });
  }
  void cancel() {
    ++generation;
    if (armed) timer.cancel();
    armed = false;
  }
};

Timer::Timer(EventLoop& loop, std::function<void()> on_expiry)
    : state_(std::make_shared<State>(loop, std::move(on_expiry))) {}
Timer::~Timer() { state_->cancel(); }
void Timer::arm(Instant at) { state_->arm(at); }
void Timer::cancel() { state_->cancel(); }
bool Timer::armed() const { return state_->armed; }

struct ReadWatch::State : std::enable_shared_from_this<ReadWatch::State> {
  State(EventLoop& loop, int fd, std::function<void()> callback)
      : descriptor(std::in_place, loop.io(), fd), on_readable(std::move(callback)) {}
  std::optional<asio::posix::stream_descriptor> descriptor;  // until closed
  std::function<void()> on_readable;

  void wait() {
    descriptor->async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this()](const error_code& error) {
                             if (!self->descriptor || error) return;
                             self->on_readable();
                             if (self->descriptor) self->wait();
                           });
  }
  void close() {
    if (!descriptor) return;
    descriptor->release();  // the fd stays open: its owner closes it
    descriptor.reset();
  }
};

EventLoop::~EventLoop() {
  for (const auto& watch : state_->watches) {
    if (const auto alive = watch.lock()) alive->close();
  }
}

ReadWatch::ReadWatch(EventLoop& loop, int fd, std::function<void()> on_readable)
    : state_(std::make_shared<State>(loop, fd, std::move(on_readable))) {
  std::erase_if(loop.state_->watches, [](const auto& watch) { return watch.expired(); });
  loop.state_->watches.push_back(state_);
  state_->wait();
}
ReadWatch::~ReadWatch() { state_->close(); }

}  // namespace roulette::runtime
