// Schedules as text: what is written is read back equal, what is wrong is refused with its line.
#include "tests/sim/sim_check.h"

namespace roulette::sim {

TEST_CASE("a schedule that was written is read back equal") {
  std::set<FaultKind> kinds;
  std::set<std::uint16_t> shapes;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const Schedule drawn = draw_schedule(seed);
    const std::string text = to_text(drawn);
    INFO(text);
    const auto read = parse_schedule(text);
    REQUIRE(read.ok());
    CHECK(*read == drawn);
    CHECK(to_text(*read) == text);
    for (const Fault& fault : drawn.faults) kinds.insert(fault.kind);
    shapes.insert(drawn.world.shape.signers);
  }
  CHECK(kinds.size() == kFaultKinds);  // every kind is drawn
  CHECK(shapes.size() == 5);           // 3 to 7
  Fault all = strike_at_place({Role::Signer, 1}, 3, true, milliseconds(5), Blow::Stop, true);
  all.b = {Role::Ledger, 2};
  all.group.insert({Role::Bitcoind, 0});
  all.group.insert({Role::Coordinator, 2});
  all.point = "send.partial_signature";
  all.one_way = true;
  all.amount = 7;
  Schedule schedule;
  schedule.faults = {all};
  REQUIRE(parse_schedule(to_text(schedule)).ok());
  CHECK(*parse_schedule(to_text(schedule)) == schedule);
}

TEST_CASE("what is no schedule is refused with its line") {
  const auto refused = [](const std::string& text) {
    const auto read = parse_schedule(text);
    return read ? std::string("taken") : read.error().message;
  };
  CHECK(refused("seed 1\n# nothing\n\nseeds 2\n") == "line 4: no option: 'seeds'");
  CHECK(refused("seed -1") == "line 1: no value: '-1'");
  CHECK(refused("seed 1 2") == "line 1: no value: '1'");
  CHECK(refused("hop 5..3") == "line 1: no value: '5..3'");
  CHECK(refused("fault strikes") == "line 1: no kind of fault: 'strikes'");
  CHECK(refused("fault strike a=nobody-1") == "line 1: no value: 'a=nobody-1'");
  CHECK(refused("fault strike c=signer-1") == "line 1: no field of a fault: 'c=signer-1'");
  CHECK(refused("fault strike blow=kick") == "line 1: no value: 'blow=kick'");
  CHECK(refused("signers 4\nthreshold 2") == "no cluster has this shape");
  CHECK(refused("") == "taken");
}

TEST_CASE("a strike at a named point counts the passes of that point alone") {
  StoryOptions options;
  Fault fault = strike_at_place({Role::Coordinator, 0}, 1, false, milliseconds(50));
  fault.point = "broadcast.transaction";
  options.faults = {fault};
  const Outcome outcome = require_green(options);
  CHECK(outcome.struck_at ==
        std::vector<std::string>{"coordinator.broadcast.transaction.before"});
}

}  // namespace roulette::sim
