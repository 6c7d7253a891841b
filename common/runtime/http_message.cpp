// Look-ups in header and query fields.
//
// Invariant: names are compared as they are: the server lower-cases header names when it fills
// them in.
#include "common/runtime/http_message.h"

#include <algorithm>

namespace roulette::runtime {

std::string_view find_field(const HttpFields& fields, std::string_view name) {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return {};
}

bool HttpRequest::header_repeated(std::string_view name) const {
  const auto same = [name](const auto& field) { return field.first == name; };
  return std::count_if(headers.begin(), headers.end(), same) > 1;
}

bool HttpRequest::has_query(std::string_view name) const {
  const auto same = [name](const auto& field) { return field.first == name; };
  return std::any_of(query.begin(), query.end(), same);
}

}  // namespace roulette::runtime
