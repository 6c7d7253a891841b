// YAML events to a JSON tree with lines: see yaml_tree.h.
#include "chaos/plan/yaml_tree.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>
#include <vector>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>
#include <nlohmann/json.hpp>

#include "common/base/utf8.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

inline constexpr std::size_t kMaxDepth = 64;
inline constexpr std::size_t kMaxTextBytes = 1 << 20;

struct Problem {
  int line = 0;
  std::string what;
};

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<json> integer(std::string_view text, int base) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return json(value);
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?   (YAML 1.2.2, section 10.3.2)
bool looks_like_float(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const auto e = text.find_first_of("eE");
  if (e != std::string_view::npos) {
    std::string_view exponent = text.substr(e + 1);
    if (!exponent.empty() && (exponent[0] == '-' || exponent[0] == '+')) exponent.remove_prefix(1);
    if (!all_digits(exponent)) return false;
    text = text.substr(0, e);
  }
  const auto dot = text.find('.');
  if (dot == std::string_view::npos) return all_digits(text);
  const std::string_view whole = text.substr(0, dot);
  const std::string_view part = text.substr(dot + 1);
  if (whole.empty()) return all_digits(part);
  return all_digits(whole) && (part.empty() || all_digits(part));
}

// A plain (unquoted) scalar by the core schema of YAML 1.2.
json resolve_plain(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (text.starts_with("0o"))
    return integer(std::string_view(text).substr(2), 8).value_or(json(text));
  if (text.starts_with("0x"))
    return integer(std::string_view(text).substr(2), 16).value_or(json(text));
  const bool plus = text[0] == '+';
  const std::string_view digits = std::string_view(text).substr(plus ? 1 : 0);
  const std::string_view unsigned_part =
      digits.starts_with('-') && !plus ? digits.substr(1) : digits;
  if (all_digits(unsigned_part)) return integer(digits, 10).value_or(json(text));
  if (looks_like_float(text)) {
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc{} && end == digits.data() + digits.size()) return value;
  }
  return text;
}

// c-printable (YAML 1.2.2, section 5.1) as far as single bytes go.
bool not_printable(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

int line_of(const std::string& text, std::size_t at) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(at);
  return 1 + static_cast<int>(std::count(text.begin(), end, '\n'));
}

std::string escape_pointer(const std::string& key) {
  std::string out;
  for (const char c : key) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

// Builds the tree bottom-up; throws Problem, which parse_yaml turns into an Error.
class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    must_be_text(mark);
    value(mark, nullptr);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Problem{mark.line + 1, "aliases are not supported: write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& text) override {
    if (expecting_key()) return key(mark, text);
    if (tag == "?" || tag.empty()) return value(mark, resolve_plain(text));
    if (tag == "!" || tag == "tag:yaml.org,2002:str") return value(mark, text);
    throw Problem{mark.line + 1, "tag " + tag + " is not supported"};
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    must_be_text(mark);
    open(mark, json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    must_be_text(mark);
    open(mark, json::object());
  }
  void OnMapEnd() override { close(); }

  json root;
  LineMap lines;
  bool any = false;

 private:
  struct Level {
    json node;
    std::string pointer;
    std::optional<std::string> key;
  };

  [[nodiscard]] bool expecting_key() const {
    return !levels_.empty() && levels_.back().node.is_object() && !levels_.back().key;
  }
  // What stands where a key is due: YAML admits anything there, we only text.
  void must_be_text(const YAML::Mark& mark) const {
    if (expecting_key()) throw Problem{mark.line + 1, "a key must be plain text"};
  }
  [[nodiscard]] std::string next_pointer() const {
    if (levels_.empty()) return "";
    const Level& top = levels_.back();
    if (top.node.is_object()) return top.pointer + "/" + escape_pointer(*top.key);
    return top.pointer + "/" + std::to_string(top.node.size());
  }
  void key(const YAML::Mark& mark, const std::string& text) {
    Level& top = levels_.back();
    if (top.node.contains(text)) throw Problem{mark.line + 1, "key '" + text + "' occurs twice"};
    top.key = text;
    lines[next_pointer()] = mark.line + 1;
  }
  void value(const YAML::Mark& mark, json v) {
    lines.emplace(next_pointer(), mark.line + 1);
    attach(std::move(v));
  }
  void open(const YAML::Mark& mark, json empty) {
    if (levels_.size() >= kMaxDepth) throw Problem{mark.line + 1, "nested too deeply"};
    const std::string pointer = next_pointer();
    lines.emplace(pointer, mark.line + 1);
    levels_.push_back(Level{std::move(empty), pointer, std::nullopt});
  }
  void close() {
    json done = std::move(levels_.back().node);
    levels_.pop_back();
    attach(std::move(done));
  }
  void attach(json v) {
    any = true;
    if (levels_.empty()) {
      root = std::move(v);
      return;
    }
    Level& top = levels_.back();
    if (top.node.is_array()) {
      top.node.push_back(std::move(v));
      return;
    }
    top.node[*top.key] = std::move(v);
    top.key.reset();
  }

  std::vector<Level> levels_;
};

}  // namespace

Error error_at(const std::string& name, int line, const std::string& what) {
  return Error{ErrorKind::Usage, name + ":" + std::to_string(line) + ": " + what};
}

Result<LineMap> parse_yaml(const std::string& text, const std::string& name, json& out) {
  if (text.size() > kMaxTextBytes) return error_at(name, 1, "larger than 1 MiB");
  if (const std::size_t bad = first_not_utf8(text); bad != text.size())
    return error_at(name, line_of(text, bad), "a byte that is no UTF-8; save the file as UTF-8");
  // Not only for the rule's sake: the parser takes NUL bytes near the beginning for UTF-16 or 32.
  if (const auto bad = std::ranges::find_if(text, not_printable); bad != text.end())
    return error_at(name, line_of(text, static_cast<std::size_t>(bad - text.begin())),
                    "a control character; is this a text file?");
  try {
    std::istringstream input(text);
    YAML::Parser parser(input);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder) || !builder.any)
      return error_at(name, 1, "the file is empty");
    TreeBuilder second;
    if (parser.HandleNextDocument(second) && second.any) {
      return error_at(name, 1, "more than one document in the file");
    }
    out = std::move(builder.root);
    return std::move(builder.lines);
  } catch (const Problem& problem) {
    return error_at(name, problem.line, problem.what);
  } catch (const YAML::Exception& error) {
    return error_at(name, error.mark.is_null() ? 1 : error.mark.line + 1, error.msg);
  }
}

}  // namespace roulette::chaos
