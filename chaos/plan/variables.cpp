// Text in, text out: see variables.h.
#include "chaos/plan/variables.h"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "chaos/plan/yaml_tree.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr std::string_view kOpen = "\"${";
constexpr std::string_view kClose = "}\"";
constexpr std::string_view kNameLetters = "abcdefghijklmnopqrstuvwxyz0123456789_";
constexpr std::string_view kValueLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+";

bool made_of(std::string_view text, std::string_view letters) {
  return !text.empty() && text.find_first_not_of(letters) == std::string_view::npos;
}

std::string names_of(const Variables& known) {
  std::string out;
  for (const auto& [name, value] : known) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "it has none" : "it has " + out;
}

// The `configuration` of the file.
Result<Variables> read_configuration(const json& document, const LineMap& lines,
                                     const std::string& name) {
  Variables out;
  const auto found = document.find("configuration");
  if (found == document.end()) return out;
  if (!found->is_object())
    return error_at(name, lines.at("/configuration"), "configuration is `{name: value, ...}`");
  for (const auto& [key, value] : found->items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (!made_of(key, kNameLetters) || !made_of(text, kValueLetters))
      return error_at(name, lines.at("/configuration/" + key),
                "configuration/" + key + ": a variable is a name of a-z, 0-9 and _ with a number "
                "or a word");
    out.emplace(key, text);
  }
  return out;
}

std::string with_uses_replaced(const std::string& line, const Variables& values,
                               std::optional<std::string>& unknown, Variables& unused) {
  std::string out;
  std::size_t done = 0;
  while (true) {
    const std::size_t open = line.find(kOpen, done);
    if (open == std::string::npos) break;
    const std::size_t begin = open + kOpen.size();
    const std::size_t close = line.find(kClose, begin);
    if (close == std::string::npos) break;
    const std::string used = line.substr(begin, close - begin);
    const auto value = values.find(used);
    if (value == values.end()) {
      unknown = used;
      return line;
    }
    unused.erase(used);
    out += line.substr(done, open - done) + value->second;
    done = close + kClose.size();
  }
  return out + line.substr(done);
}

// `key: VALUE` or `"key": VALUE` within a line, the value given anew; nothing where the line has
// no such thing.
std::optional<std::string> with_value(const std::string& line, const std::string& key,
                                      const std::string& value) {
  for (const std::string& lead : {"\"" + key + "\":", key + ":"}) {
    const std::size_t found = line.find(lead);
    if (found == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", found + lead.size());
    if (begin == std::string::npos) return std::nullopt;
    const std::size_t end = std::min(line.find_first_of(" \t,}#\r", begin), line.size());
    if (begin == end) return std::nullopt;
    return line.substr(0, begin) + value + line.substr(end);
  }
  return std::nullopt;
}

}  // namespace

Result<Variables> parse_variables(const std::vector<std::string>& given) {
  Variables out;
  for (const std::string& one : given) {
    const std::size_t equals = one.find('=');
    const std::string key = one.substr(0, equals);
    if (equals == std::string::npos || !made_of(key, kNameLetters))
      return Error{ErrorKind::Usage, "--var " + one + ": write NAME=VALUE, as duration_s=600"};
    const std::string value = one.substr(equals + 1);
    if (!made_of(value, kValueLetters))
      return Error{ErrorKind::Usage, "--var " + one + ": a value is a number or a word"};
    if (!out.emplace(key, value).second)
      return Error{ErrorKind::Usage, "--var " + one + ": '" + key + "' was given before"};
  }
  return out;
}

Result<std::string> write_out_variables(const std::string& text, const std::string& name,
                                        const Variables& variables) {
  if (variables.empty() && text.find(kOpen) == std::string::npos) return text;
  json document;
  const Result<LineMap> lines = parse_yaml(text, name, document);
  if (!lines) return lines.error();
  Result<Variables> values = read_configuration(document, *lines, name);
  if (!values) return values.error();
  for (const auto& [key, value] : variables) {
    const auto known = values->find(key);
    if (known == values->end())
      return Error{ErrorKind::Usage, name + ": no variable '" + key + "' in its configuration; " +
                                         names_of(*values)};
    known->second = value;
  }

  Variables unused = variables;
  std::string out;
  int number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    std::optional<std::string> unknown;
    std::string line =
        with_uses_replaced(text.substr(begin, end - begin), *values, unknown, unused);
    if (unknown)
      return error_at(name, number,
                      "'" + *unknown + "' is no variable of the file's configuration; " +
                          names_of(*values));
    for (const auto& [key, value] : variables) {
      if (lines->at("/configuration/" + key) != number) continue;
      const auto given = with_value(line, key, value);
      if (!given)
        return error_at(name, number,
                        "configuration/" + key + ": write name and value on one line");
      line = *given;
    }
    out += line;
    if (end < text.size()) out += '\n';
    begin = end + 1;
  }
  if (!unused.empty())
    return Error{ErrorKind::Usage,
                 name + ": nothing in the file uses the variable '" + unused.begin()->first + "'"};
  return out;
}

}  // namespace roulette::chaos
