// Reads one NDJSON record file strictly: its header by name and version, then each line's fields by
// name and type.
//
// Invariant: a defect (missing file, other format or version, torn or malformed line, missing or
// ill-typed field) is noted in the Source with its line, and the line is not delivered. It knows no
// record's meaning.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "chaos/check/history.h"

namespace roulette::check {

// Of the file's header. `roulette-ledger`: 2 tells the base and the journal heads, 3 the form of
// signatures, 4 who asked. `roulette-history`: 2 tells the client's key.
[[nodiscard]] constexpr int record_version(std::string_view format) {
  if (format == "roulette-ledger") return 4;
  return format == "roulette-history" ? 2 : 1;
}
inline constexpr std::size_t kMaxDefectsKept = 5;

void note_defect(Source& source, std::uint32_t line, const std::string& what);

// One JSON object of a line. A field that is missing or of another type makes the line defective;
// the getters then return an empty value and `good()` is false.
class Fields {
 public:
  Fields(const nlohmann::json& object, Source& source, At at);

  [[nodiscard]] std::string text(const char* name);
  [[nodiscard]] std::string text_or_empty(const char* name);  // absent and null are empty
  [[nodiscard]] std::string hex(const char* name,
                                std::size_t bytes);  // lower case, exactly this long
  [[nodiscard]] std::string hex_or_empty(const char* name, std::size_t bytes);
  [[nodiscard]] std::string any_hex(const char* name);  // lower case, any length, may be empty
  [[nodiscard]] std::string any_hex_or_empty(const char* name);
  [[nodiscard]] std::string outpoint(const char* name);  // "<txid>:<vout>"
  [[nodiscard]] std::int64_t integer(const char* name);
  [[nodiscard]] std::uint64_t count(const char* name);  // an integer >= 0
  [[nodiscard]] std::optional<std::int64_t> maybe_integer(
      const char* name);  // absent and null are nothing
  [[nodiscard]] bool boolean(const char* name);
  [[nodiscard]] bool boolean_or_false(const char* name);
  [[nodiscard]] std::vector<std::string> text_list(const char* name);
  [[nodiscard]] std::vector<std::string> hex_list(const char* name, std::size_t bytes);
  // Each of 1 to `most` bytes.
  [[nodiscard]] std::vector<std::string> any_hex_list(const char* name, std::size_t most);
  [[nodiscard]] bool has(const char* name) const;  // present and not null
  // Each object of an array.
  void each(const char* name, const std::function<void(Fields&)>& take);
  // A nested object; nothing when absent or null.
  [[nodiscard]] std::optional<Fields> object(const char* name);
  [[nodiscard]] const nlohmann::json& raw() const { return object_; }

  [[nodiscard]] bool good() const { return *good_; }
  void fail(const std::string& what);
  [[nodiscard]] At at() const { return at_; }

 private:
  [[nodiscard]] std::vector<std::string> hex_between(const char* name, std::size_t least,
                                                     std::size_t most, const std::string& wanted);
  Fields(const nlohmann::json& object, Source& source, At at, bool* good);
  const nlohmann::json* find(const char* name, bool required);
  const nlohmann::json& object_;
  Source& source_;
  At at_;
  bool own_good_ = true;
  bool* good_ = &own_good_;
};

// Registers the file as a source and delivers its lines. `take` must look at fields.good() before
// it keeps anything.
std::uint16_t read_records(const std::string& run_dir, const std::string& file,
                           const std::string& format, History& history,
                           const std::function<void(Fields&)>& take);

}  // namespace roulette::check
