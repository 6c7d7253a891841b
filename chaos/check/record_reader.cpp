// NDJSON records, strictly: see record_reader.h.
#include "chaos/check/record_reader.h"

#include <algorithm>
#include <fstream>

#include <nlohmann/json.hpp>

namespace roulette::check {
namespace {

using nlohmann::json;

bool lower_hex(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_outpoint(const std::string& text) {
  const auto colon = text.find(':');
  if (colon != 64 || !lower_hex(text.substr(0, 64))) return false;
  const std::string vout = text.substr(65);
  return !vout.empty() && vout.size() <= 10 &&
         std::all_of(vout.begin(), vout.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The header's word on what the file is; an empty text when it is what was expected.
std::string header_defect(const json& header, const std::string& format) {
  if (!header.is_object() || !header.contains("format") || !header.at("format").is_string()) {
    return "the first line names no format; expected {\"format\":\"" + format +
           "\",\"version\":" + std::to_string(record_version(format)) + "}";
  }
  const std::string found = header.at("format").get<std::string>();
  if (found != format) return "format '" + found + "' where '" + format + "' was expected";
  const auto version = header.find("version");
  if (version == header.end() || !version->is_number_integer())
    return "format '" + format + "' without a version";
  if (version->get<std::int64_t>() != record_version(format)) {
    return "format '" + format + "' version " + version->dump() +
           ", which this reader does not know (it knows " +
           std::to_string(record_version(format)) + ")";
  }
  return "";
}

}  // namespace

void note_defect(Source& source, std::uint32_t line, const std::string& what) {
  if (source.defects.size() >= kMaxDefectsKept) {
    ++source.more_defects;
    return;
  }
  source.defects.push_back(source.file + (line > 0 ? ":" + std::to_string(line) : "") + ": " +
                           what);
}

Fields::Fields(const json& object, Source& source, At at)
    : object_(object), source_(source), at_(at) {}
Fields::Fields(const json& object, Source& source, At at, bool* good)
    : object_(object), source_(source), at_(at), good_(good) {}

void Fields::fail(const std::string& what) {
  if (*good_) note_defect(source_, at_.line, what);  // one defect a line says enough
  *good_ = false;
}

const json* Fields::find(const char* name, bool required) {
  const auto found = object_.find(name);
  if (found != object_.end() && !found->is_null()) return &*found;
  if (required) fail(std::string("field '") + name + "' is missing");
  return nullptr;
}

bool Fields::has(const char* name) const {
  const auto found = object_.find(name);
  return found != object_.end() && !found->is_null();
}

std::string Fields::text(const char* name) {
  const json* value = find(name, true);
  if (value == nullptr) return "";
  if (value->is_string()) return value->get<std::string>();
  fail(std::string("field '") + name + "' is not a text");
  return "";
}

std::string Fields::text_or_empty(const char* name) {
  return has(name) ? text(name) : "";
}

std::string Fields::any_hex(const char* name) {
  std::string value = text(name);
  if (good() && (value.size() % 2 != 0 || !lower_hex(value)))
    fail(std::string("field '") + name + "' is not lower-case hex");
  return value;
}

std::string Fields::any_hex_or_empty(const char* name) {
  return has(name) ? any_hex(name) : "";
}

std::string Fields::hex(const char* name, std::size_t bytes) {
  std::string value = any_hex(name);
  if (good() && value.size() != 2 * bytes) {
    fail(std::string("field '") + name + "' is not " + std::to_string(bytes) + " bytes of hex");
  }
  return value;
}

std::string Fields::hex_or_empty(const char* name, std::size_t bytes) {
  if (!has(name)) return "";
  std::string value = text(name);
  return value.empty() ? value : hex(name, bytes);
}

std::string Fields::outpoint(const char* name) {
  std::string value = text(name);
  if (good() && !is_outpoint(value))
    fail(std::string("field '") + name + "' is not \"<txid>:<vout>\"");
  return value;
}

std::int64_t Fields::integer(const char* name) {
  const json* value = find(name, true);
  if (value == nullptr) return 0;
  if (value->is_number_integer()) return value->get<std::int64_t>();
  fail(std::string("field '") + name + "' is not an integer");
  return 0;
}

std::uint64_t Fields::count(const char* name) {
  const std::int64_t value = integer(name);
  if (value >= 0) return static_cast<std::uint64_t>(value);
  fail(std::string("field '") + name + "' is negative");
  return 0;
}

std::optional<std::int64_t> Fields::maybe_integer(const char* name) {
  if (!has(name)) return std::nullopt;
  return integer(name);
}

bool Fields::boolean(const char* name) {
  const json* value = find(name, true);
  if (value == nullptr) return false;
  if (value->is_boolean()) return value->get<bool>();
  fail(std::string("field '") + name + "' is not true or false");
  return false;
}

bool Fields::boolean_or_false(const char* name) {
  return has(name) && boolean(name);
}

std::vector<std::string> Fields::text_list(const char* name) {
  const json* value = find(name, true);
  if (value == nullptr) return {};
  const bool texts = value->is_array() && std::all_of(value->begin(), value->end(),
                                                      [](const json& e) { return e.is_string(); });
  if (texts) return value->get<std::vector<std::string>>();
  fail(std::string("field '") + name + "' is not a list of texts");
  return {};
}

std::vector<std::string> Fields::hex_list(const char* name, std::size_t bytes) {
  return hex_between(name, bytes, bytes, std::to_string(bytes));
}

std::vector<std::string> Fields::any_hex_list(const char* name, std::size_t most) {
  return hex_between(name, 1, most, "1 to " + std::to_string(most));
}

std::vector<std::string> Fields::hex_between(const char* name, std::size_t least, std::size_t most,
                                             const std::string& wanted) {
  std::vector<std::string> out;
  const json* value = find(name, true);
  if (value == nullptr) return out;
  if (!value->is_array()) {
    fail(std::string("field '") + name + "' is not a list");
    return out;
  }
  for (const json& element : *value) {
    const std::string text = element.is_string() ? element.get<std::string>() : "?";
    if (!lower_hex(text) || text.size() % 2 != 0 || text.size() < 2 * least ||
        text.size() > 2 * most) {
      fail(std::string("field '") + name + "' holds something else than " + wanted +
           " bytes of hex");
      return {};
    }
    out.push_back(text);
  }
  return out;
}

void Fields::each(const char* name, const std::function<void(Fields&)>& take) {
  const json* value = find(name, true);
  if (value == nullptr) return;
  if (!value->is_array()) return fail(std::string("field '") + name + "' is not a list");
  for (const json& element : *value) {
    if (!element.is_object())
      return fail(std::string("field '") + name + "' holds something else than objects");
    Fields inner(element, source_, at_, good_);
    take(inner);
  }
}

std::optional<Fields> Fields::object(const char* name) {
  if (!has(name)) return std::nullopt;
  const json& value = object_.at(name);
  if (value.is_object()) return Fields(value, source_, at_, good_);
  fail(std::string("field '") + name + "' is not an object");
  return std::nullopt;
}

std::uint16_t read_records(const std::string& run_dir, const std::string& file,
                           const std::string& format, History& history,
                           const std::function<void(Fields&)>& take) {
  const auto index = static_cast<std::uint16_t>(history.sources.size());
  history.sources.push_back({file, false, {}, 0});
  std::ifstream in(run_dir + "/" + file, std::ios::binary);
  if (!in) return index;
  history.sources[index].present = true;
  std::string line;
  std::uint32_t number = 0;
  while (std::getline(in, line)) {
    ++number;
    Source& source = history.sources[index];
    if (in.eof()) {  // no newline behind it: whoever wrote it died inside the write
      note_defect(source, number, "the last line is torn");
      break;
    }
    const json value = json::parse(line, nullptr, false);
    if (number == 1) {
      const std::string defect = header_defect(value, format);
      if (defect.empty()) continue;
      note_defect(source, number, defect);
      return index;  // what follows is in a language this reader does not speak
    }
    if (!value.is_object()) {
      note_defect(source, number, "not a JSON object");
      continue;
    }
    Fields fields(value, source, At{index, number});
    take(fields);
  }
  if (in.bad()) note_defect(history.sources[index], number, "reading it failed");
  if (number == 0) note_defect(history.sources[index], 0, "the file is empty");
  return index;
}

}  // namespace roulette::check
