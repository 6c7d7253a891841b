// Holds a JSON tree against the experiment schema (draft-07) and reports the deepest violation with
// its place.
//
// valijson stays in schema.cpp: it is the most expensive header of the tree.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace roulette::chaos {

struct SchemaViolation {
  std::string pointer;  // JSON pointer of the value (or of the unknown key)
  std::string what;
};

[[nodiscard]] std::optional<SchemaViolation> check_experiment_schema(
    const nlohmann::json& document);

}  // namespace roulette::chaos
