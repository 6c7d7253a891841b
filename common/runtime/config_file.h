// One JSON configuration file per daemon (`--config FILE`), written by the launcher.
//
// Use: read every key, then finish(). Readers return an empty value after an error and remember the
// first one, so a daemon's parsing is a straight list. Invariant: finish() is ok only if every
// value read was present and well typed and no key of the file was left unread. Errors name file
// and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace roulette::runtime {

// One JSON object of the file; copies share the same file. `path` in errors: "peers[2].port".
class ConfigObject {
 public:
  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] std::string text(std::string_view key);
  [[nodiscard]] std::string text(std::string_view key, std::string_view fallback);
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t least, std::int64_t most);
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t least, std::int64_t most,
                                     std::int64_t fallback);
  [[nodiscard]] std::uint16_t port(std::string_view key);
  [[nodiscard]] bool boolean(std::string_view key);
  [[nodiscard]] bool boolean(std::string_view key, bool fallback);
  [[nodiscard]] std::vector<std::string> texts(std::string_view key);
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key);
  [[nodiscard]] ConfigObject object(std::string_view key);
  [[nodiscard]] std::vector<ConfigObject> objects(std::string_view key);
  // Reads `format` and `version`, which must be these.
  void expect_format(std::string_view format, std::int64_t version);
  // Any JSON value, as compact text (to hand to another parser).
  [[nodiscard]] std::string json(std::string_view key);
  // Records an error found by the caller: "<file>: <path>.<key>: <what>".
  void fail(std::string_view key, std::string_view what);

 private:
  friend class ConfigFile;
  struct State;
  ConfigObject(std::shared_ptr<State> state, std::size_t node);
  std::shared_ptr<State> state_;
  std::size_t node_ = 0;
};

class ConfigFile {
 public:
  [[nodiscard]] static Result<ConfigFile> load(const std::filesystem::path& path);
  // `name` stands in errors where a file's path would.
  [[nodiscard]] static Result<ConfigFile> parse(std::string_view json, std::string name);
  [[nodiscard]] ConfigObject root();
  // The first error, or the first key nobody read (ErrorKind::Usage).
  [[nodiscard]] Status finish() const;

 private:
  explicit ConfigFile(std::shared_ptr<ConfigObject::State> state);
  std::shared_ptr<ConfigObject::State> state_;
};

}  // namespace roulette::runtime
