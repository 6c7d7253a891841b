// Every effect of every process is a place to die at: right before it and right after it.
//
// Exhaustive: all places of a fault-free story with three withdrawals, one run each, none sampled.
// Further sweeps keep the victim down until the others must have taken over (every fifth place),
// let it stand still, and stop it in an orderly way (every third).
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
  std::size_t strikes = 0;
  std::size_t late_stops = 0;
  Duration slowest_signing;
};

Swept strike_everywhere(Role role, Blow blow, Duration down, std::uint64_t stride) {
  const Outcome calm = require_green(short_story());
  Swept swept;
  std::uint64_t turn = 0;
  for (const auto& [name, places] : calm.places) {
    if (name.role != role) continue;
    swept.places += places.size();
    for (std::uint64_t place = 0; place < places.size(); ++place) {
      for (const bool after : {false, true}) {
        if (!after && blow != Blow::Kill) continue;
        if (turn++ % stride != 0) continue;
        StoryOptions options = short_story();
        options.faults = {strike_at_place(name, place, after, down, blow)};
        const Outcome outcome = run_story(options);
        const std::string where = places[place].text() + (after ? ".after" : ".before");
        INFO(report(options, outcome));
        CHECK(outcome.violations.empty());
        REQUIRE(outcome.struck_at == std::vector<std::string>{where});
        ++swept.strikes;
        swept.late_stops += outcome.counts.late_stops;
        swept.slowest_signing = std::max(swept.slowest_signing, outcome.slowest_signing);
      }
    }
  }
  constexpr const char* kWords[] = {"killed", "stopped", "paused"};
  std::cout << role_name(role) << "s: " << kWords[static_cast<std::size_t>(blow)] << " "
            << swept.strikes << " times at the " << swept.places << " places"
            << (blow == Blow::Kill ? ", before or after" : ", after") << ", down for "
            << down.us / 1000 << " ms; slowest signing " << swept.slowest_signing.us / 1000
            << " ms\n";
  return swept;
}

constexpr Duration kBlink = milliseconds(50);
constexpr Duration kAbsence = seconds(2);
constexpr Duration kStandstill = milliseconds(600);  // others must presume it dead meanwhile
// From the template's apply to the signed bytes' apply; 5 ms when nothing happens. A kill is seen
// as EOF and must not cost a time-out; a pause is seen by deadlines only (limits.h): a replica that
// stands still while signers join costs the read of their journals (300 ms), then a proposal (100).
constexpr Duration kSignedAfterKill = milliseconds(50);
constexpr Duration kSignedAfterPause = milliseconds(450);

}  // namespace

TEST_CASE("a signer killed before or after any of its effects costs no payment") {
  const Swept swept = strike_everywhere(Role::Signer, Blow::Kill, kBlink, 1);
  CHECK(swept.strikes == 2 * swept.places);
  CHECK(swept.slowest_signing < kSignedAfterKill);
  CHECK(swept.places >= 100);
}

TEST_CASE("a coordinator killed before or after any of its effects costs no payment") {
  const Swept swept = strike_everywhere(Role::Coordinator, Blow::Kill, kBlink, 1);
  CHECK(swept.strikes == 2 * swept.places);
  CHECK(swept.slowest_signing < kSignedAfterKill);
  CHECK(swept.places >= 250);
}

TEST_CASE("a replica killed before or after any of its effects costs no payment") {
  const Swept swept = strike_everywhere(Role::Ledger, Blow::Kill, kBlink, 1);
  CHECK(swept.strikes == 2 * swept.places);
  CHECK(swept.slowest_signing < kSignedAfterKill);
  CHECK(swept.places >= 250);
}

TEST_CASE("what a process leaves behind is finished by the others while it stays away") {
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger}) {
    const Swept swept = strike_everywhere(role, Blow::Kill, kAbsence, 5);
    CHECK(swept.strikes * 5 >= 2 * swept.places);
    CHECK(swept.slowest_signing < kSignedAfterKill);
  }
}

TEST_CASE("a process that stood still in the middle of a step goes on without harm") {
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger}) {
    const Swept swept = strike_everywhere(role, Blow::Pause, kStandstill, 3);
    CHECK(swept.strikes * 3 >= swept.places);
    CHECK(swept.slowest_signing < kSignedAfterPause);
  }
}

TEST_CASE("a process that is stopped drains in time, whatever it was doing") {
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger}) {
    const Swept swept = strike_everywhere(role, Blow::Stop, kBlink, 3);
    CHECK(swept.strikes * 3 >= swept.places);
    CHECK(swept.late_stops == 0);
    CHECK(swept.slowest_signing < kSignedAfterKill);
  }
}

}  // namespace roulette::sim
