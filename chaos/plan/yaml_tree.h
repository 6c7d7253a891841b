// YAML (or JSON) text as a JSON tree that remembers the line of every value.
//
// Invariant: what YAML 1.2's core schema calls a string stays a string ("no" is text, 0x1f is a
// number); a duplicate key, an alias or a second document is an error with its line. It knows
// nothing about experiments.
#pragma once

#include <map>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.h"

namespace roulette::chaos {

// Line numbers from 1, by JSON pointer ("/extensions/0/seed"; "" is the root). A key's line where
// the value has one.
using LineMap = std::map<std::string, int>;

// ErrorKind::Usage, "NAME:LINE: what": how everything that is wrong in a file is said.
[[nodiscard]] Error error_at(const std::string& name, int line, const std::string& what);

// Errors are as error_at() makes them.
[[nodiscard]] Result<LineMap> parse_yaml(const std::string& text, const std::string& name,
                                         nlohmann::json& out);

}  // namespace roulette::chaos
