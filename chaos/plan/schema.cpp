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

// What the schema says about a place of the document, through its references.
const json* schema_of(const json& schema, const json::json_pointer& place) {
  std::vector<std::string> keys;
  for (json::json_pointer at = place; !at.empty(); at.pop_back()) keys.push_back(at.back());
  const json* node = &schema;
  while (true) {
    if (node->contains("$ref"))
      node = &schema.at(json::json_pointer(node->at("$ref").get<std::string>().substr(1)));
    if (keys.empty()) return node;
    const bool list = node->contains("items");
    if (!list && !(node->contains("properties") && node->at("properties").contains(keys.back())))
      return nullptr;
    node = list ? &node->at("items") : &node->at("properties").at(keys.back());
    keys.pop_back();
  }
}

// "integer from 1 to 86400", "one of [..]"; empty where the schema says neither.
std::string what_is_wanted(const json& schema, const json::json_pointer& place) {
  const json* node = schema_of(schema, place);
  if (node == nullptr) return "";
  if (node->contains("enum")) return "one of " + node->at("enum").dump();
  if (!node->contains("type")) return "";
  std::string text = node->at("type").get<std::string>();
  if (node->contains("minimum")) text += " from " + node->at("minimum").dump();
  if (node->contains("maximum")) text += " to " + node->at("maximum").dump();
  return text;
}

SchemaViolation in_plain_words(const std::string& pointer, const std::string& description,
                               const json& schema, const json& document) {
  const bool unknown = description.find("could not be validated using") != std::string::npos;
  const auto name = last_quoted(description);
  if (unknown && name) return {pointer + "/" + *name, "unknown key '" + *name + "'"};
  if (description.find("Missing required property") != std::string::npos && name) {
    return {pointer, "missing key '" + *name + "'"};
  }
  const json::json_pointer place(pointer);
  const std::string wanted = what_is_wanted(schema, place);
  const std::string name_of_place = place.empty() ? "the file" : "'" + place.back() + "'";
  if (document.contains(place) && document.at(place).is_primitive()) {
    return {pointer, name_of_place + " may not be " + document.at(place).dump() + ": " +
                         (wanted.empty() ? description : wanted + " is wanted")};
  }
  if (pointer.ends_with("/trigger")) {
    return {pointer,
            "a trigger is exactly one of: point (with occurrence), at_ms, every_ms (with "
            "jitter_ms), roulette"};
  }
  if (description.find("'type' constraint") != std::string::npos && !wanted.empty())
    return {pointer, name_of_place + " has the wrong type: " + wanted + " is wanted"};
  return {pointer, name_of_place + ": " + description};
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
    deepest =
        in_plain_words(to_pointer(error.context), error.description, schema_document, document);
  }
  ROULETTE_ASSERT(deepest.has_value());
  return deepest;
}

}  // namespace roulette::chaos
