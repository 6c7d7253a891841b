// Parsing and writing of scenario files: see scenario_file.h.
//
// Invariant: parse_scenario(s.text()) is s.
#include "tests/scenario/scenario_file.h"

#include <sstream>
#include <stdexcept>

namespace roulette::scenario {
namespace {

constexpr const char* kRule = "----";

Command parse_command(const std::string& line) {
  Command command;
  command.text = line;
  std::istringstream words(line);
  words >> command.verb;
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) command.words.push_back(word);
    else command.options[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return command;
}

}  // namespace

std::string Command::word(std::size_t i) const {
  if (i < words.size()) return words[i];
  throw std::runtime_error("'" + text + "' lacks word " + std::to_string(i + 1));
}

std::string Command::option(const std::string& name, const std::string& other) const {
  const auto found = options.find(name);
  return found == options.end() ? other : found->second;
}

long long Command::number(const std::string& name, long long other) const {
  const auto found = options.find(name);
  return found == options.end() ? other : std::stoll(found->second);
}

Scenario parse_scenario(const std::string& text) {
  Scenario scenario;
  std::istringstream lines(text);
  Block block;
  bool output = false;
  std::size_t number = 0;
  const auto end_block = [&] {
    if (block.commands.empty() && block.comments.empty()) return;
    if (!output && !block.commands.empty()) {
      throw std::runtime_error("line " + std::to_string(number) + ": a block without ----");
    }
    scenario.blocks.push_back(std::move(block));
    block = {};
    output = false;
  };
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty()) {
      end_block();
    } else if (output) {
      block.expected += line + "\n";
    } else if (line.starts_with("#")) {
      block.comments.push_back(line);
    } else if (line == kRule) {
      output = true;
    } else {
      if (block.commands.empty()) block.line = number;
      block.commands.push_back(parse_command(line));
    }
  }
  ++number;
  end_block();
  return scenario;
}

std::string Scenario::text() const {
  std::string text;
  for (const Block& block : blocks) {
    if (!text.empty()) text += "\n";
    for (const std::string& comment : block.comments) text += comment + "\n";
    for (const Command& command : block.commands) text += command.text + "\n";
    if (!block.commands.empty()) text += std::string(kRule) + "\n" + block.expected;
  }
  return text;
}

}  // namespace roulette::scenario
