// The JSON form: options as an object of texts, faults as a list of texts.
//
// Invariant: only parse_schedule() gives meaning to an option or a fault.
#include "chaos/sim/schedule_file.h"

#include <set>

#include <nlohmann/json.hpp>

namespace roulette::sim {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kFault = "fault ";

Error refused(const std::string& name, const std::string& what) {
  return {ErrorKind::Usage, name + ": " + what};
}

// One line of the text form, and nothing that would make two of it.
bool one_line(const std::string& text) {
  return !text.empty() && text.find_first_of("\n#") == std::string::npos;
}

Result<ScheduleFile> from_json(const json& from, const std::string& name) {
  ScheduleFile file;
  if (!from.is_object() || from.value("format", "") != kScheduleFormat) {
    return refused(name, std::string("no ") + kScheduleFormat + " file");
  }
  const json version = from.value("version", json());
  if (version != kScheduleVersion) {
    return refused(name, "version " + version.dump() + " of " + kScheduleFormat +
                             "; this tool reads version " + std::to_string(kScheduleVersion));
  }
  static const std::set<std::string> known{"format", "version",  "scheme", "options",
                                           "faults", "violates", "note"};
  for (const auto& [key, value] : from.items()) {
    if (!known.contains(key)) return refused(name, "unknown field '" + key + "'");
  }
  file.scheme = from.at("scheme").get<std::string>();
  file.violates = from.value("violates", std::vector<std::string>());
  file.note = from.value("note", "");
  std::string text;
  const auto take = [&](const std::string& place, const std::string& line) -> Status {
    if (!one_line(line)) return refused(name, place + ": not one line");
    text += line + "\n";
    return {};
  };
  for (const auto& [key, value] : from.at("options").items()) {
    const auto taken = take("options." + key, key + " " + value.get<std::string>());
    if (!taken) return taken.error();
  }
  std::size_t number = 0;
  for (const json& fault : from.at("faults")) {
    const std::string line = kFault + fault.get<std::string>();
    const std::string place = "faults[" + std::to_string(number++) + "]";
    if (const auto taken = take(place, line); !taken) return taken.error();
    if (const auto alone = parse_schedule(line); !alone) {
      return refused(name, place + ": " + alone.error().message);
    }
  }
  auto schedule = parse_schedule(text);
  if (!schedule) return schedule.error().with_context(name);
  file.schedule = std::move(*schedule);
  if (file.scheme != scheme_name(file.schedule.world.scheme)) {
    return refused(name, "scheme: '" + file.scheme + "' is not the one of the options");
  }
  return file;
}

}  // namespace

std::string encode_schedule_file(const ScheduleFile& file) {
  json options = json::object();
  json faults = json::array();
  const std::string text = to_text(file.schedule);
  for (std::size_t at = 0; at < text.size();) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    if (line.starts_with(kFault)) {
      faults.push_back(line.substr(std::string_view(kFault).size()));
    } else if (const auto space = line.find(' '); space != std::string::npos) {
      options[line.substr(0, space)] = line.substr(space + 1);
    }
  }
  return json{{"format", kScheduleFormat},
              {"version", kScheduleVersion},
              {"scheme", file.scheme},
              {"options", std::move(options)},
              {"faults", std::move(faults)},
              {"violates", file.violates},
              {"note", file.note}}
             .dump(2) +
         "\n";
}

Result<ScheduleFile> decode_schedule_file(const std::string& text, const std::string& name) {
  try {
    return from_json(json::parse(text), name);
  } catch (const json::exception& error) {
    return refused(name, error.what());
  }
}

}  // namespace roulette::sim
