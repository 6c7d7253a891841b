// Calls that may never come back: run one after the other on a thread of their own, each waited for
// so long and no longer.
//
// Invariant: a call is run only in the process that made this object, and what it touches belongs
// to it: after a call that did not come back in time nothing more is run, and the thread that hangs
// is left behind, never joined. Idle, the thread is parked. Knows nothing of tokens.
#pragma once

#include <functional>
#include <memory>

#include <sys/types.h>

#include "common/base/time.h"

namespace roulette::signer {

class BoundedCalls {
 public:
  explicit BoundedCalls(Duration patience);
  BoundedCalls(const BoundedCalls&) = delete;
  BoundedCalls& operator=(const BoundedCalls&) = delete;
  ~BoundedCalls();  // waits for the thread, unless it hangs

  // False: it did not come back in time, now or earlier. `call` owns all it touches: it may go on
  // after this returned.
  [[nodiscard]] bool run(std::function<void()> call);
  [[nodiscard]] bool hangs() const;
  // A forked child has no such thread: it must not ask.
  [[nodiscard]] bool own_process() const;

 private:
  struct Shared;
  Duration patience_;
  pid_t process_;
  std::shared_ptr<Shared> shared_;
};

// Whether some call of this process never came back. Leave with _exit then: what a module would do
// at exit may wait for the same lock.
[[nodiscard]] bool any_call_hangs();

}  // namespace roulette::signer
