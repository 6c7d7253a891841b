// The tool's commands as data, and what is made of them: a bash completion and a man page.
//
// Invariant: knows no flag by name; main.cpp hands over what its parser holds, so neither text can
// lack a command or name one that is not there.
#pragma once

#include <string>
#include <vector>

namespace roulette::chaos {

struct ManualOption {
  std::vector<std::string> names;  // with their dashes; a positional has one, without
  std::string description;
  std::string initial;  // the default, where there is one to show
  bool positional = false;
  bool takes_value = false;
};
struct ManualCommand {
  std::string name;  // all words but the program's: "key new"
  std::string description;
  std::vector<ManualOption> options;
};
// The first is the program itself.
[[nodiscard]] std::string bash_completion(const std::vector<ManualCommand>& commands);
[[nodiscard]] std::string man_page(const std::vector<ManualCommand>& commands,
                                   const std::string& footer);

}  // namespace roulette::chaos
