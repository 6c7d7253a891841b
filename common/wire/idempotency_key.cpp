// Parses the Idempotency-Key field (RFC 8941 section 4.2.5, strings).
//
// Invariant: whatever is accepted has exactly one reading. So a bare key may hold neither quotes
// nor backslashes (they need the quoted form), and parameters after a quoted key are refused
// instead of ignored.
#include "common/wire/idempotency_key.h"

#include "common/base/limits.h"

namespace roulette::wire {
namespace {

Error refused(std::string what) {
  return Error{ErrorKind::Refused, "Idempotency-Key: " + std::move(what)};
}

bool visible(char c) {
  return c >= 0x21 && c <= 0x7e;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

Result<std::string> unquoted(std::string_view field) {
  std::string key;
  std::size_t i = 1;
  for (; i < field.size() && field[i] != '"'; ++i) {
    char c = field[i];
    if (c == '\\') {
      if (++i == field.size()) return refused("ends inside an escape");
      c = field[i];
      if (c != '"' && c != '\\') return refused("only \\\" and \\\\ are escapes (RFC 8941)");
    }
    key.push_back(c);
  }
  if (i == field.size()) return refused("the closing quote is missing");
  if (i + 1 != field.size()) return refused("something follows the closing quote");
  return key;
}

}  // namespace

Result<std::string> parse_idempotency_key(std::string_view field) {
  field = trimmed(field);
  if (field.empty()) return refused("empty");
  std::string key;
  if (field.front() == '"') {
    auto parsed = unquoted(field);
    if (!parsed) return parsed.error();
    key = std::move(*parsed);
  } else {
    if (field.find_first_of("\"\\") != std::string_view::npos) {
      return refused("quotes and backslashes need the quoted form");
    }
    key = std::string(field);
  }
  if (key.empty()) return refused("empty");
  if (key.size() > limits::kMaxIdempotencyKeyBytes) {
    return refused("longer than " + std::to_string(limits::kMaxIdempotencyKeyBytes) +
                   " characters");
  }
  for (const char c : key) {
    if (!visible(c)) return refused("only visible ASCII characters are allowed");
  }
  return key;
}

}  // namespace roulette::wire
