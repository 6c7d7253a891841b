// See bounded_calls.h.
#include "signer/token/bounded_calls.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "common/base/assert.h"

namespace roulette::signer {
namespace {

std::atomic<bool> some_call_hangs = false;

}  // namespace

struct BoundedCalls::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::function<void()> call;  // not yet done
  bool stop = false;
  bool hangs = false;
  std::thread thread;

  void serve() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return call || stop; });
      if (!call) return;
      // A copy, so that what was given up on still owns what it touches.
      const std::function<void()> now = call;
      lock.unlock();
      now();
      lock.lock();
      call = nullptr;
      changed.notify_all();
    }
  }
};

BoundedCalls::BoundedCalls(Duration patience)
    : patience_(patience), process_(::getpid()), shared_(std::make_shared<Shared>()) {
  shared_->thread = std::thread([shared = shared_] { shared->serve(); });
}

BoundedCalls::~BoundedCalls() {
  // In a forked child the thread is the parent's; what it held keeps this memory alive there.
  if (!own_process()) return;
  std::unique_lock lock(shared_->mutex);
  shared_->stop = true;
  const bool hangs = shared_->hangs;
  std::thread thread = std::move(shared_->thread);
  lock.unlock();
  shared_->changed.notify_all();
  if (hangs) thread.detach();
  else thread.join();
}

bool BoundedCalls::run(std::function<void()> call) {
  ROULETTE_ASSERT(own_process());
  std::unique_lock lock(shared_->mutex);
  if (shared_->hangs) return false;
  shared_->call = std::move(call);
  shared_->changed.notify_all();
  if (shared_->changed.wait_for(lock, std::chrono::microseconds(patience_.us),
                                [this] { return !shared_->call; }))
    return true;
  shared_->hangs = true;
  some_call_hangs = true;
  return false;
}

bool BoundedCalls::hangs() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->hangs;
}

bool BoundedCalls::own_process() const { return process_ == ::getpid(); }

bool any_call_hangs() { return some_call_hangs; }

}  // namespace roulette::signer
