// Runs one scenario file, named by ROULETTE_SCENARIO, and compares every block's output.
//
// Invariant: a difference fails the test and shows both outputs; with ROULETTE_SCENARIO_REWRITE=1
// the file gets the new outputs instead (tools/scenarios --rewrite).
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/scenario/stage.h"

namespace roulette::scenario {

void unknown_command(const Command& command) {
  throw std::runtime_error("this stage knows no '" + command.text + "'");
}

namespace {

std::unique_ptr<Stage> stage_of(const Block& first) {
  const Command& command = first.commands.front();
  if (command.verb == "stage") {
    if (command.word(0) == "signer") return signer_stage();
    if (command.word(0) == "ledger") return ledger_stage();
    if (command.word(0) == "replicas") return replicas_stage(command);
    if (command.word(0) == "cluster") return cluster_stage(first);
  }
  throw std::runtime_error("a scenario begins with: stage signer, ledger, replicas or cluster");
}

std::string output_of(Stage& stage, const Block& block) {
  std::string output;
  for (const Command& command : block.commands) {
    const bool of_the_stage = command.verb == "fault" && block.commands.front().verb == "stage";
    if (of_the_stage) continue;  // it has read them
    output += stage.run(command);
  }
  return output.empty() ? "ok\n" : output;
}

std::string whole_file(const std::string& path) {
  std::ifstream in(path);
  REQUIRE(in);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("the scenario goes as its file says") {
  const char* path = std::getenv("ROULETTE_SCENARIO");
  if (path == nullptr) FAIL("ROULETTE_SCENARIO names no file");
  const bool rewrite = std::getenv("ROULETTE_SCENARIO_REWRITE") != nullptr;
  Scenario scenario = parse_scenario(whole_file(path));
  std::unique_ptr<Stage> stage;
  std::size_t compared = 0;
  for (Block& block : scenario.blocks) {
    if (block.commands.empty()) continue;
    INFO(path << ":" << block.line << ": " << block.commands.front().text);
    if (!stage) stage = stage_of(block);
    const std::string output = output_of(*stage, block);
    if (rewrite) block.expected = output;
    else CHECK(output == block.expected);
    ++compared;
  }
  CHECK(compared >= 2);
  if (rewrite) std::ofstream(path) << scenario.text();
}

}  // namespace roulette::scenario
