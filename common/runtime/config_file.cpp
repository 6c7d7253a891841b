// ConfigFile on nlohmann::json, which stays in this file.
//
// Invariant: every object that was handed out remembers which keys were read; finish() names the
// first key nobody asked for, so a misspelt setting never passes silently.
#include "common/runtime/config_file.h"

#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "common/runtime/durable_file.h"
#include "common/runtime/limits.h"

namespace roulette::runtime {
namespace {

using Json = nlohmann::json;

// Duplicate keys: nlohmann keeps the last one silently; a configuration must not say two things.
class DuplicateKeyFinder {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys_[depth].clear();
    if (event == Json::parse_event_t::key) {
      // Keys of an object at nesting d are reported at depth d + 1.
      const std::string key = parsed.get<std::string>();
      if (!keys_[depth - 1].insert(key).second && !duplicate_) duplicate_ = key;
    }
    return true;
  }
  std::map<int, std::set<std::string>> keys_;
  std::optional<std::string> duplicate_;
};

}  // namespace

struct ConfigObject::State {
  struct Node {
    const Json* value;  // an object
    std::string path;
    std::set<std::string, std::less<>> read;
  };
  std::string name;
  Json document;
  Json empty = Json::object();
  std::deque<Node> nodes;
  std::optional<Error> first_error;

  void fail(std::size_t node, std::string_view key, std::string_view what) {
    if (first_error) return;
    first_error = Error{ErrorKind::Usage, name + ": " + join(node, key) + ": " + std::string(what)};
  }
  [[nodiscard]] std::string join(std::size_t node, std::string_view key) const {
    const std::string& path = nodes[node].path;
    return path.empty() ? std::string(key) : path + "." + std::string(key);
  }
  // The value, or null with the error recorded.
  const Json* find(std::size_t node, std::string_view key) {
    nodes[node].read.emplace(key);
    const auto found = nodes[node].value->find(key);
    if (found != nodes[node].value->end()) return &*found;
    fail(node, key, "missing");
    return nullptr;
  }
  // One node per object, so that asking for it twice does not forget what was read.
  std::size_t add_node(const Json* value, std::string path) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].value == value && value != &empty) return i;
    }
    nodes.push_back({value, std::move(path), {}});
    return nodes.size() - 1;
  }
};

ConfigObject::ConfigObject(std::shared_ptr<State> state, std::size_t node)
    : state_(std::move(state)), node_(node) {}

bool ConfigObject::has(std::string_view key) const {
  return state_->nodes[node_].value->contains(key);
}

std::string ConfigObject::text(std::string_view key) {
  const Json* const value = state_->find(node_, key);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  fail(key, "must be a string");
  return {};
}

std::string ConfigObject::text(std::string_view key, std::string_view fallback) {
  return has(key) ? text(key) : std::string(fallback);
}

std::int64_t ConfigObject::integer(std::string_view key, std::int64_t least, std::int64_t most) {
  const Json* const value = state_->find(node_, key);
  if (value == nullptr) return least;
  // An unsigned above 2^63 - 1 would wrap in get<int64_t>().
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() || value->get<std::uint64_t>() <= INT64_MAX);
  if (fits) {
    const auto number = value->get<std::int64_t>();
    if (number >= least && number <= most) return number;
  }
  fail(key, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
  return least;
}

std::int64_t ConfigObject::integer(std::string_view key, std::int64_t least, std::int64_t most,
                                   std::int64_t fallback) {
  return has(key) ? integer(key, least, most) : fallback;
}

std::uint16_t ConfigObject::port(std::string_view key) {
  return static_cast<std::uint16_t>(integer(key, 0, 65535));
}

bool ConfigObject::boolean(std::string_view key) {
  const Json* const value = state_->find(node_, key);
  if (value == nullptr) return false;
  if (value->is_boolean()) return value->get<bool>();
  fail(key, "must be true or false");
  return false;
}

bool ConfigObject::boolean(std::string_view key, bool fallback) {
  return has(key) ? boolean(key) : fallback;
}

std::vector<std::string> ConfigObject::texts(std::string_view key) {
  std::vector<std::string> out;
  const Json* const value = state_->find(node_, key);
  if (value == nullptr) return out;
  if (!value->is_array()) fail(key, "must be a list of strings");
  for (const Json& item : value->is_array() ? *value : Json::array()) {
    if (item.is_string()) out.push_back(item.get<std::string>());
    else fail(key, "must be a list of strings");
  }
  return out;
}

std::vector<std::int64_t> ConfigObject::integers(std::string_view key) {
  std::vector<std::int64_t> out;
  const Json* const value = state_->find(node_, key);
  if (value == nullptr) return out;
  if (!value->is_array()) fail(key, "must be a list of integers");
  for (const Json& item : value->is_array() ? *value : Json::array()) {
    if (item.is_number_integer()) out.push_back(item.get<std::int64_t>());
    else fail(key, "must be a list of integers");
  }
  return out;
}

ConfigObject ConfigObject::object(std::string_view key) {
  const Json* value = state_->find(node_, key);
  if (value != nullptr && !value->is_object()) {
    fail(key, "must be an object");
    value = nullptr;
  }
  const Json* const shown = value == nullptr ? &state_->empty : value;
  return ConfigObject(state_, state_->add_node(shown, state_->join(node_, key)));
}

std::vector<ConfigObject> ConfigObject::objects(std::string_view key) {
  std::vector<ConfigObject> out;
  const Json* const value = state_->find(node_, key);
  if (value == nullptr) return out;
  if (!value->is_array()) {
    fail(key, "must be a list of objects");
    return out;
  }
  for (const Json& item : *value) {
    const std::string path = state_->join(node_, key) + "[" + std::to_string(out.size()) + "]";
    if (!item.is_object()) {
      fail(key, "must be a list of objects");
      return out;
    }
    out.push_back(ConfigObject(state_, state_->add_node(&item, path)));
  }
  return out;
}

void ConfigObject::expect_format(std::string_view format, std::int64_t version) {
  if (text("format") != format) fail("format", "is not " + std::string(format));
  if (integer("version", 0, 1'000'000) != version)
    fail("version", "this program reads version " + std::to_string(version));
}

std::string ConfigObject::json(std::string_view key) {
  const Json* const value = state_->find(node_, key);
  return value == nullptr ? std::string() : value->dump();
}

void ConfigObject::fail(std::string_view key, std::string_view what) {
  state_->fail(node_, key, what);
}

ConfigFile::ConfigFile(std::shared_ptr<ConfigObject::State> state) : state_(std::move(state)) {}

Result<ConfigFile> ConfigFile::load(const std::filesystem::path& path) {
  const Result<Bytes> content = read_whole_file(path, kMaxConfigFileBytes);
  if (!content) return Error{ErrorKind::Usage, content.error().message};
  return parse({reinterpret_cast<const char*>(content->data()), content->size()}, path.string());
}

Result<ConfigFile> ConfigFile::parse(std::string_view text, std::string name) {
  auto state = std::make_shared<ConfigObject::State>();
  state->name = std::move(name);
  DuplicateKeyFinder finder;
  try {
    state->document = Json::parse(text, std::ref(finder));
  } catch (const Json::exception& error) {
    return Error{ErrorKind::Usage, state->name + ": " + error.what()};
  }
  if (!state->document.is_object()) {
    return Error{ErrorKind::Usage, state->name + ": must hold a JSON object"};
  }
  if (finder.duplicate_) {
    return Error{ErrorKind::Usage, state->name + ": " + *finder.duplicate_ + ": given twice"};
  }
  state->add_node(&state->document, "");
  return ConfigFile(std::move(state));
}

ConfigObject ConfigFile::root() { return ConfigObject(state_, 0); }

Status ConfigFile::finish() const {
  if (state_->first_error) return *state_->first_error;
  for (std::size_t node = 0; node < state_->nodes.size(); ++node) {
    for (const auto& [key, value] : state_->nodes[node].value->items()) {
      if (state_->nodes[node].read.contains(key)) continue;
      return Error{ErrorKind::Usage, state_->name + ": " + state_->join(node, key) +
                                         ": unknown key"};
    }
  }
  return {};
}

}  // namespace roulette::runtime
