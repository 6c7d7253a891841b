// Reading the tokens file again: see token_file.h.
#include "coordinator/app/token_file.h"

#include "common/runtime/durable_file.h"
#include "common/runtime/limits.h"

namespace roulette::coordinator {

TokenFile::Identity TokenFile::identity() const {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) return {};
  return {now.st_ino, now.st_size,
          std::int64_t{now.st_mtim.tv_sec} * 1'000'000'000 + now.st_mtim.tv_nsec};
}

Status TokenFile::read(Tokens& tokens) const {
  const auto bytes = runtime::read_whole_file(path_, runtime::kMaxConfigFileBytes);
  if (!bytes) return Error{ErrorKind::Preflight, path_.string() + ": " + bytes.error().message};
  auto read = tokens_from_json({reinterpret_cast<const char*>(bytes->data()), bytes->size()},
                               path_.string(), rate_);
  if (!read) return read.error();
  tokens.replace(std::move(read).value());
  return {};
}

Status TokenFile::open(Tokens& tokens) {
  if (path_.empty()) return {};
  seen_ = identity();
  return read(tokens);
}

std::optional<TokenFile::Change> TokenFile::look(Tokens& tokens) {
  if (path_.empty()) return std::nullopt;
  // Before it is read: what is written meanwhile is found by the next look.
  const Identity now = identity();
  if (now == seen_) return std::nullopt;
  seen_ = now;
  const auto done = read(tokens);
  return Change{done.ok(), done.ok() ? "" : done.error().message};
}

}  // namespace roulette::coordinator
