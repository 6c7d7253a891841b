// Durable files by temp file + fsync + rename + fsync of the folder.
//
// Invariant: every file descriptor is closed and a failed write removes its temp file; errors
// carry the path and the system's words.
#include "common/runtime/durable_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

namespace roulette::runtime {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Error system_error(const std::filesystem::path& path, const char* what) {
  return Error{ErrorKind::Io, path.string() + ": " + what + ": " + std::strerror(errno)};
}

bool write_all(int fd, ByteSpan content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    content = content.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  const auto parent = path.parent_path();
  return parent.empty() ? std::filesystem::path(".") : parent;
}

Status write_and_sync(const std::filesystem::path& path, ByteSpan content, mode_t mode) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (file.get() < 0) return system_error(path, "cannot create");
  // The umask may have narrowed or an old temp file widened the mode.
  if (::fchmod(file.get(), mode) != 0) return system_error(path, "cannot set mode");
  if (!write_all(file.get(), content)) return system_error(path, "cannot write");
  if (::fsync(file.get()) != 0) return system_error(path, "cannot sync");
  return {};
}

}  // namespace

Status sync_folder(const std::filesystem::path& path) {
  if (path.empty()) return sync_folder(".");
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return system_error(path, "cannot open folder");
  if (::fsync(folder.get()) != 0) return system_error(path, "cannot sync folder");
  return {};
}

Status write_file_durably(const std::filesystem::path& path, ByteSpan content, mode_t mode) {
  std::filesystem::path temporary = path;
  temporary += ".new";
  Status written = write_and_sync(temporary, content, mode);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = system_error(path, "cannot rename into place");
  }
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  return sync_folder(folder_of(path));
}

Status create_folder_durably(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> missing;
  for (std::filesystem::path at = path; !at.empty(); at = at.parent_path()) {
    struct stat info {};
    if (::stat(at.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode)) break;
      return Error{ErrorKind::Io, at.string() + ": is not a folder"};
    }
    missing.push_back(at);
  }
  for (auto folder = missing.rbegin(); folder != missing.rend(); ++folder) {
    if (::mkdir(folder->c_str(), 0700) != 0 && errno != EEXIST) {
      return system_error(*folder, "cannot create folder");
    }
    if (Status synced = sync_folder(folder_of(*folder)); !synced) return synced;
  }
  return {};
}

Result<Bytes> read_whole_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error(path, "cannot open");
  Bytes content;
  for (;;) {
    const std::size_t had = content.size();
    content.resize(had + 64 * 1024);
    const ssize_t n = ::read(file.get(), content.data() + had, content.size() - had);
    if (n < 0 && errno != EINTR) return system_error(path, "cannot read");
    content.resize(had + static_cast<std::size_t>(n > 0 ? n : 0));
    if (content.size() > max_bytes) {
      return Error{ErrorKind::Refused,
                   path.string() + ": larger than " + std::to_string(max_bytes) + " bytes"};
    }
    if (n == 0) return content;
  }
}

}  // namespace roulette::runtime
