// The one thread that forks. PR_SET_PDEATHSIG fires when the *thread* that forked ends, so it lives
// as long as the tool.
//
// Invariant: a child either runs the asked program with exactly descriptors 0, 1, 2 (and 3, its
// control channel), dies with the tool, and leads its own process group; or spawn() says which step
// failed. It knows nothing of roles.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "common/base/result.h"

namespace roulette::chaos {

struct SpawnRequest {
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  std::string work_dir;
  std::string output_path;        // stdout and stderr, appended
  std::optional<int> control_fd;  // becomes descriptor 3 of the child; stays the caller's to close
};

struct Spawned {
  pid_t pid = -1;
  int pidfd = -1;  // the caller's to close
};

class Spawner {
 public:
  Spawner();
  ~Spawner();  // ends the thread: what still runs is killed by the kernel
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  // Blocks until the child has called execve or failed to (about 1 ms).
  [[nodiscard]] Result<Spawned> spawn(const SpawnRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace roulette::chaos
