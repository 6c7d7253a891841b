// The mapped counts: see traffic.h. Words: a mark, then messages and bytes of each role by number.
#include "common/runtime/traffic.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <span>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace roulette::runtime {
namespace {

constexpr std::uint64_t kMark = 0x3166617274756f72;  // "routraf1"
constexpr std::size_t kRoles = static_cast<std::size_t>(Role::Tool) + 1;
constexpr std::size_t kWords = 1 + 2 * kRoles;
constexpr std::size_t kFileBytes = kWords * sizeof(std::uint64_t);

Error io(const std::filesystem::path& file, const char* what) {
  return Error{ErrorKind::Io, file.string() + ": " + what + ": " + std::strerror(errno)};
}

void add(std::uint64_t& word, std::uint64_t more) {
  std::atomic_ref<std::uint64_t>(word).fetch_add(more, std::memory_order_relaxed);
}

bool write_whole(int fd, std::span<const std::uint64_t> words) {
  const ssize_t n = pwrite(fd, words.data(), words.size_bytes(), 0);
  if (n == static_cast<ssize_t>(words.size_bytes())) return true;
  const int why = n >= 0 ? ENOSPC : errno;
  // A part of it would be "no file of counts" for the next start.
  [[maybe_unused]] const int emptied = ftruncate(fd, 0);
  errno = why;
  return false;
}

// The descriptor stays the caller's.
Result<std::uint64_t*> map_words(int fd, const std::filesystem::path& file) {
  struct stat facts{};
  if (fstat(fd, &facts) != 0) return io(file, "fstat");
  const bool fresh = facts.st_size == 0;
  // Written, not truncated to its size: touching a hole of a full disk is a death by SIGBUS.
  const std::uint64_t zeros[kWords] = {};
  if (fresh && !write_whole(fd, zeros)) return io(file, "write");
  if (!fresh && facts.st_size != static_cast<off_t>(kFileBytes))
    return Error{ErrorKind::Io, file.string() + ": no file of counts"};
  void* mapped = mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return io(file, "mmap");
  auto* words = static_cast<std::uint64_t*>(mapped);
  // A kill between the write and this leaves zeros, which were never counted in.
  if (words[0] == 0) words[0] = kMark;
  if (words[0] == kMark) return words;
  munmap(mapped, kFileBytes);
  return Error{ErrorKind::Io, file.string() + ": no file of counts"};
}

}  // namespace

Result<std::unique_ptr<Traffic>> Traffic::open(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return io(file, "open");
  const Result<std::uint64_t*> words = map_words(fd, file);
  close(fd);
  if (!words) return words.error();
  return std::unique_ptr<Traffic>(new Traffic(*words));
}

Traffic::~Traffic() {
  munmap(words_, kFileBytes);
}

void Traffic::count(Role peer, std::size_t bytes) {
  const std::size_t at = 1 + 2 * static_cast<std::size_t>(peer);
  add(words_[at], 1);
  add(words_[at + 1], bytes);
}

Result<std::map<Role, TrafficCount>> read_traffic(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return io(file, "open");
  std::uint64_t words[kWords] = {};
  const ssize_t got = read(fd, words, sizeof words);
  close(fd);
  if (got != static_cast<ssize_t>(sizeof words) || words[0] != kMark)
    return Error{ErrorKind::Io, file.string() + ": no file of counts"};
  std::map<Role, TrafficCount> out;
  for (std::size_t role = 1; role < kRoles; ++role) {
    const TrafficCount count{words[1 + 2 * role], words[2 + 2 * role]};
    if (count.messages > 0) out.emplace(static_cast<Role>(role), count);
  }
  return out;
}

}  // namespace roulette::runtime
