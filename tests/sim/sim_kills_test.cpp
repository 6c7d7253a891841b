// Every effect of every process is a place to die at: right before it and right after it.
//
// Exhaustive: all places of a fault-free story with three withdrawals, one run each, none sampled.
// A second sweep keeps the victim down until the others must have taken over; it takes every fifth.
#include <iostream>

#include "tests/sim/sim_check.h"

namespace roulette::sim {
namespace {

StoryOptions short_story() {
  StoryOptions options;
  options.world.block_interval = milliseconds(250);
  options.think = {milliseconds(5), milliseconds(5)};
  return options;
}

struct Swept {
  std::size_t places = 0;
  std::size_t kills = 0;
};

Swept kill_everywhere(Role role, Duration down, std::uint64_t stride) {
  const Outcome calm = require_green(short_story());
  Swept swept;
  std::uint64_t turn = 0;
  for (const auto& [name, places] : calm.places) {
    if (name.role != role) continue;
    swept.places += places.size();
    for (std::uint64_t place = 0; place < places.size(); ++place) {
      for (const bool after : {false, true}) {
        if (turn++ % stride != 0) continue;
        StoryOptions options = short_story();
        options.world.kills = {{name, place, after, down}};
        const Outcome outcome = run_story(options);
        const std::string where = places[place].text() + (after ? ".after" : ".before");
        INFO(report(options, outcome));
        CHECK(outcome.violations.empty());
        REQUIRE(outcome.killed_at == std::vector<std::string>{where});
        ++swept.kills;
      }
    }
  }
  std::cout << role_name(role) << "s: killed at " << swept.kills << " of " << 2 * swept.places
            << " places, down for " << down.us / 1000 << " ms\n";
  return swept;
}

constexpr Duration kBlink = milliseconds(50);
constexpr Duration kAbsence = seconds(2);

}  // namespace

TEST_CASE("a signer killed before or after any of its effects costs no payment") {
  const Swept swept = kill_everywhere(Role::Signer, kBlink, 1);
  CHECK(swept.kills == 2 * swept.places);
  CHECK(swept.places >= 100);
}

TEST_CASE("a coordinator killed before or after any of its effects costs no payment") {
  const Swept swept = kill_everywhere(Role::Coordinator, kBlink, 1);
  CHECK(swept.kills == 2 * swept.places);
  CHECK(swept.places >= 250);
}

TEST_CASE("a replica killed before or after any of its effects costs no payment") {
  const Swept swept = kill_everywhere(Role::Ledger, kBlink, 1);
  CHECK(swept.kills == 2 * swept.places);
  CHECK(swept.places >= 250);
}

TEST_CASE("what a process leaves behind is finished by the others while it stays away") {
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger}) {
    const Swept swept = kill_everywhere(role, kAbsence, 5);
    CHECK(swept.kills * 5 >= 2 * swept.places);
  }
}

}  // namespace roulette::sim
