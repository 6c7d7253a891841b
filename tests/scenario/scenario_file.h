// Scenarios as text: commands, and under each block the output that is expected.
//
// A file is blocks, divided by empty lines: comment lines (#), one command a line, `----`, the
// output up to the next empty line. The first block's first command is `stage NAME ...` and decides
// what the commands mean (stage.h).
// Invariant: with rewriting off nothing is written; with it on only the outputs change. Idea:
// etcd-io/raft's rafttest and cockroachdb/datadriven.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace roulette::scenario {

struct Command {
  std::string text;  // as it stands in the file
  std::string verb;
  std::vector<std::string> words;              // after the verb, without options
  std::map<std::string, std::string> options;  // name=value

  [[nodiscard]] std::string word(std::size_t i) const;  // fails the scenario when it is missing
  [[nodiscard]] std::string option(const std::string& name, const std::string& other = "") const;
  [[nodiscard]] long long number(const std::string& name, long long other) const;
};

struct Block {
  std::vector<std::string> comments;
  std::vector<Command> commands;
  std::string expected;  // whole lines
  std::size_t line = 0;  // of its first command
};

struct Scenario {
  std::vector<Block> blocks;
  [[nodiscard]] std::string text() const;
};

// Throws std::runtime_error with the line of what is wrong.
[[nodiscard]] Scenario parse_scenario(const std::string& text);

}  // namespace roulette::scenario
