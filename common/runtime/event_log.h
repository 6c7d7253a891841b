// The evidence of one process: NDJSON, one event = one write(2), made before the event's effect.
//
// Invariant: a line is whole or absent, and `seq` grows by one per event of a boot, also for events
// that could not be written, so a loss is visible to the checker. Lines:
//   {"format":"roulette-events","version":1}
//   {"t_us":..,"wall_us":..,"process":"signer-1","boot":"<hex>","seq":1,"event":"started", ...}
// t_us is CLOCK_MONOTONIC (comparable between processes of one machine). It never
// carries secrets.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace roulette::runtime {

// Writes `"key":value` pairs as JSON text. Keys are ours and must need no escaping (asserted).
class EventFields {
 public:
  EventFields& add(std::string_view key, std::string_view text);  // escaped; bad UTF-8 -> U+FFFD
  EventFields& add(std::string_view key, const char* text) {
    return add(key, std::string_view(text));
  }
  EventFields& add(std::string_view key, bool value);
  template <std::integral T>
  EventFields& add(std::string_view key, T value) {
    if constexpr (std::is_signed_v<T>) return add_signed(key, static_cast<std::int64_t>(value));
    else return add_unsigned(key, static_cast<std::uint64_t>(value));
  }
  EventFields& add(std::string_view key, double value);  // not finite -> null
  EventFields& add_hex(std::string_view key, ByteSpan bytes);
  EventFields& add_json(std::string_view key, std::string_view json);  // one line, valid JSON
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  EventFields& add_signed(std::string_view key, std::int64_t value);
  EventFields& add_unsigned(std::string_view key, std::uint64_t value);
  void open_key(std::string_view key);
  std::string text_;
};

// Appends `text` as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

class EventLog {
 public:
  // O_APPEND|O_CLOEXEC; the header line is written when the file is new. Several boots of a process
  // may append to one file.
  [[nodiscard]] static Result<std::unique_ptr<EventLog>> open(const std::filesystem::path& path,
                                                              ProcessName process, BootId boot);
  // A log that keeps nothing.
  [[nodiscard]] static std::unique_ptr<EventLog> disabled();
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  void write(std::string_view event, const EventFields& fields = {});
  // Events that could not be written whole (full disk): reported on stderr once.
  [[nodiscard]] std::uint64_t lost() const;

 private:
  struct State;
  explicit EventLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::runtime
