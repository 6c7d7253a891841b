// Frames received from each role, counted in a mapped file, so that a process that is killed takes
// no count with it and its next start goes on where it was.
//
// Invariant: what was counted stands in the file when count() returns, whatever ends the process
// (SIGKILL keeps the page cache; a power loss does not). One writer at a time: the process whose
// folder it is. It decides nothing: a file that cannot be made is an error of the start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace roulette::runtime {

struct TrafficCount {
  std::uint64_t messages = 0, bytes = 0;
};

class Traffic {
 public:
  // Makes the file when it is missing; one of another size or make is refused.
  [[nodiscard]] static Result<std::unique_ptr<Traffic>> open(const std::filesystem::path& file);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  void count(Role peer, std::size_t bytes);

 private:
  explicit Traffic(std::uint64_t* words) : words_(words) {}
  std::uint64_t* words_;
};

// By sender, as the process left it.
[[nodiscard]] Result<std::map<Role, TrafficCount>> read_traffic(const std::filesystem::path& file);

}  // namespace roulette::runtime
