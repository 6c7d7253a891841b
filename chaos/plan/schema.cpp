// Schema validation by valijson: see schema.h.
#include "chaos/plan/schema.h"

#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "chaos/plan/schema_text.h"
#include "common/base/assert.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

// valijson's path elements are "<root>", "[name]" and "[3]".
std::string to_pointer(const std::vector<std::string>& context) {
  std::string pointer;
  for (const std::string& element : context) {
    if (element.size() < 2 || element.front() != '[') continue;
    pointer += "/" + element.substr(1, element.size() - 2);
  }
  return pointer;
}

// "... constraints: 'foo'" or "... property 'foo'": the quoted name at the end of a description.
std::optional<std::string> last_quoted(const std::string& text) {
  const auto end = text.rfind('\'');
  if (end == std::string::npos || end == 0) return std::nullopt;
  const auto begin = text.rfind('\'', end - 1);
  if (begin == std::string::npos) return std::nullopt;
  return text.substr(begin + 1, end - begin - 1);
}

SchemaViolation in_plain_words(const std::string& pointer, const std::string& description,
                               const json& document) {
  const bool unknown = description.find("could not be validated using") != std::string::npos;
  const auto name = last_quoted(description);
  if (unknown && name) return {pointer + "/" + *name, "unknown key '" + *name + "'"};
  if (description.find("Missing required property") != std::string::npos && name) {
    return {pointer, "missing key '" + *name + "'"};
  }
  const json::json_pointer place(pointer);
  if (document.contains(place) && document.at(place).is_primitive()) {
    return {pointer, document.at(place).dump() + " is not allowed here: " + description};
  }
  if (pointer.ends_with("/trigger")) {
    return {pointer,
            "a trigger is exactly one of: point (with occurrence), at_ms, every_ms (with "
            "jitter_ms), roulette"};
  }
  return {pointer, description};
}

}  // namespace

std::optional<SchemaViolation> check_experiment_schema(const json& document) {
  const json schema_document = json::parse(kExperimentSchema);
  valijson::Schema schema;
  valijson::SchemaParser parser;
  parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_document), schema);
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  valijson::ValidationResults results;
  if (validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(document), &results)) {
    return std::nullopt;
  }
  // An outer object's failure only repeats the inner one's: the deepest place says what is wrong.
  valijson::ValidationResults::Error error;
  std::optional<SchemaViolation> deepest;
  std::size_t depth = 0;
  while (results.popError(error)) {
    if (deepest && error.context.size() <= depth) continue;
    depth = error.context.size();
    deepest = in_plain_words(to_pointer(error.context), error.description, document);
  }
  ROULETTE_ASSERT(deepest.has_value());
  return deepest;
}

}  // namespace roulette::chaos
