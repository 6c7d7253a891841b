// The tokens file on disk, read again when it changed: tokens rotate without a restart.
//
// Invariant: looked at once a tick, read when its identity (inode, size, time) changed and then
// once, bounded in size. A file that is missing, unreadable or does not parse leaves the old set in
// force and is reported by name, once for each change.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "coordinator/app/tokens.h"

namespace roulette::coordinator {

class TokenFile {
 public:
  // `path` empty: there is none, and look() does nothing.
  TokenFile(std::filesystem::path path, std::optional<Rate> rate)
      : path_(std::move(path)), rate_(rate) {}

  // At the start, where a broken file is an error; without one there is nothing to do.
  [[nodiscard]] Status open(Tokens& tokens);
  // Nothing when nothing changed; else what became of it.
  struct Change {
    bool taken = false;
    std::string why;  // when it was not
  };
  [[nodiscard]] std::optional<Change> look(Tokens& tokens);
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  struct Identity {
    ::ino_t inode = 0;
    ::off_t size = -1;
    std::int64_t time_ns = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  [[nodiscard]] Identity identity() const;
  [[nodiscard]] Status read(Tokens& tokens) const;

  std::filesystem::path path_;
  std::optional<Rate> rate_;
  Identity seen_;
};

}  // namespace roulette::coordinator
