// The one loop of a process: ready handlers, then the end-of-batch hook, then waiting.
//
// Invariant: everything runs on the thread that called run(); the hook runs after each group of
// ready handlers was drained, so a host can step many events, write their records in ONE
// transaction and only then release outputs (DESIGN 4.2). It starts no thread and resolves no
// names. Asio stays in the .cpp files.
#pragma once

#include <functional>
#include <memory>

#include "common/base/time.h"

namespace boost::asio {
class io_context;
}

namespace roulette::runtime {

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // CLOCK_MONOTONIC in microseconds.
  [[nodiscard]] Instant now() const;
  // Runs `task` in the next turn, never inside post(). FIFO. Also allowed before run().
  void post(std::function<void()> task);
  // Called after each batch of ready handlers, while the loop runs. What it posts is run before the
  // loop waits again. One hook per loop; an empty function removes it.
  void set_batch_hook(std::function<void()> hook);

  // Runs until stop(). Without work it waits. May be called again after it returned.
  void run();
  // For tests: runs until `done()` holds at the end of a batch (true) or `limit` passed (false).
  [[nodiscard]] bool run_until(const std::function<bool()>& done, Duration limit);
  // Ends run() after the current batch and its hook.
  void stop();

  [[nodiscard]] boost::asio::io_context& io();

 private:
  friend class ReadWatch;
  struct State;
  std::unique_ptr<State> state_;
};

// A one-shot timer. Destroying or re-arming it guarantees that the old expiry never calls back.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> on_expiry);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Replaces an earlier arming; an instant in the past fires in the next turn.
  void arm(Instant at);
  void cancel();
  [[nodiscard]] bool armed() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Calls back each time `fd` is readable (also at EOF). Does not own the fd and never reads it, but
// makes it non-blocking. May outlive the loop: then it is silent.
class ReadWatch {
 public:
  ReadWatch(EventLoop& loop, int fd, std::function<void()> on_readable);
  ~ReadWatch();
  ReadWatch(const ReadWatch&) = delete;
  ReadWatch& operator=(const ReadWatch&) = delete;

 private:
  friend class EventLoop;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace roulette::runtime
