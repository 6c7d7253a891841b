// One process at a time in a folder: an exclusive flock on `<folder>/lock`.
//
// Invariant: held from take() until the object or the process goes, however it ends; it never
// waits. It protects from a second start by mistake, not from a program that does not ask.
#pragma once

#include <filesystem>

#include "common/base/result.h"

namespace roulette::runtime {

class FolderLock {
 public:
  // The folder must exist. Held by another process: ErrorKind::Preflight, naming the folder.
  [[nodiscard]] static Result<FolderLock> take(const std::filesystem::path& folder);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace roulette::runtime
