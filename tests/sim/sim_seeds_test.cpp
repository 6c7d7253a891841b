// Random faults from a seed, then quiet: everything settles, and the seed is all one needs to see
// it again.
#include <cstdlib>
#include <iostream>

#include "tests/sim/sim_check.h"

namespace roulette::sim {

// A quorum is up nearly all the time, so every template is signed soon, whatever else happens.
constexpr Duration kContinuity = seconds(3);

namespace {

// The same seeds under either scheme: what fires is the seed's, not the scheme's.
void all_settle(SimScheme scheme, std::uint64_t first, std::uint64_t many) {
  World::Counts sum;
  Probes probes;
  std::size_t stories = 0;
  for (std::uint64_t seed = first; seed < first + many; ++seed) {
    const StoryOptions options = draw_story(seed, scheme);
    const Outcome outcome = require_green(options);
    ++stories;
    INFO(to_text(options));
    if (keeps_signing(options)) CHECK(outcome.slowest_signing < kContinuity);
    sum.kills += outcome.counts.kills;
    sum.stops += outcome.counts.stops;
    sum.pauses += outcome.counts.pauses;
    sum.node_kills += outcome.counts.node_kills;
    sum.unmined_payments += outcome.counts.unmined_payments;
    sum.cut_links += outcome.counts.cut_links;
    sum.unknown_proposals += outcome.counts.unknown_proposals;
    sum.half_open += outcome.counts.half_open;
    sum.partitions += outcome.counts.partitions;
    sum.windows += outcome.counts.windows;
    sum.lost_logs += outcome.counts.lost_logs;
    sum.lost_replies += outcome.counts.lost_replies;
    sum.retired += outcome.counts.retired;
    sum.disk_faults += outcome.counts.disk_faults;
    sum.failed_commits += outcome.counts.failed_commits;
    sum.node_faults += outcome.counts.node_faults;
    probes.add(outcome.probes);
    sum.snapshots += outcome.counts.snapshots;
    sum.trims += outcome.counts.trims;
    sum.forced_trims += outcome.counts.forced_trims;
    sum.snapshots_loaded += outcome.counts.snapshots_loaded;
  }
  std::cout << stories << " stories: " << sum.kills << " kills, " << sum.stops
            << " stops, " << sum.pauses << " pauses, " << sum.node_kills
            << " node kills, " << sum.unmined_payments << " payments un-mined, " << sum.cut_links
            << " links cut, " << sum.unknown_proposals << " unknown proposals, " << sum.snapshots
            << " snapshots, " << sum.trims << " trims and " << sum.forced_trims << " forced ones, "
            << sum.snapshots_loaded
            << " snapshots loaded\n";
  // The faults were really there.
  CHECK(sum.kills > 650);
  CHECK(sum.stops > 200);
  CHECK(sum.pauses > 250);
  CHECK(sum.node_kills > 50);
  CHECK(sum.unmined_payments > 18);
  CHECK(sum.cut_links > 10);
  CHECK(sum.unknown_proposals > 800);
  CHECK(sum.half_open > 5);
  CHECK(sum.partitions > 10);
  CHECK(sum.windows > 100);
  CHECK(sum.lost_logs > 10);
  CHECK(sum.lost_replies > 5);
  CHECK(sum.retired > 5);
  CHECK(sum.disk_faults > 20);
  CHECK(sum.failed_commits > 5);
  CHECK(sum.node_faults > 30);
  std::size_t reached = 0;
  for (std::size_t i = 0; i < kProbes; ++i) {
    const auto probe = static_cast<Probe>(i);
    reached += probes.hits(probe) > 0 ? 1 : 0;
    std::cout << "  " << probe_name(probe) << ": " << probes.hits(probe) << "\n";
  }
  CHECK(reached + 4 > kProbes);  // a large sweep needs the required ones by name
  CHECK(sum.snapshots > 400);
  CHECK(sum.trims > 250);
  CHECK(sum.forced_trims > 90);
  CHECK(sum.snapshots_loaded > 70);
}

}  // namespace

TEST_CASE("three hundred seeds of random faults all settle, with real FROST") {
  all_settle(SimScheme::Frost, 1, 300);
}

// Most of them small: twice as many show as much.
TEST_CASE("six hundred more seeds of random faults all settle, with the stand-in") {
  all_settle(SimScheme::StandIn, 301, 600);
}

// Where all must sign one that is down is the quorum lost, so nothing is said about when.
TEST_CASE("random faults settle under every other scheme") {
  for (const SimScheme scheme : {SimScheme::FrostTr, SimScheme::Musig2, SimScheme::Single,
                                 SimScheme::Hsm}) {
    World::Counts sum;
    for (std::uint64_t seed = 601; seed < 701; ++seed) {
      const StoryOptions options = draw_story(seed, scheme);
      CHECK(options.world.scheme == scheme);
      const Outcome outcome = require_green(options);
      sum.kills += outcome.counts.kills;
      sum.attacks += outcome.counts.attacks;
      sum.lies += outcome.counts.lies;
    }
    INFO(scheme_name(scheme));
    CHECK(sum.kills > 100);
    CHECK(sum.attacks > 100);
    CHECK(sum.lies > 10);
  }
}

TEST_CASE("a schedule in which all must sign has nobody to spare") {
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    const Shape musig2 = draw_schedule(seed, SimScheme::Musig2).world.shape;
    CHECK(musig2.threshold == musig2.signers);
    const Shape single = draw_schedule(seed, SimScheme::Single).world.shape;
    CHECK((single.signers == 1 && single.threshold == 1));
    CHECK(draw_schedule(seed, SimScheme::Hsm).world.shape.signers == 1);
    CHECK(draw_schedule(seed, SimScheme::FrostTr).faults == draw_schedule(seed).faults);
  }
}

// Not part of the suite: many more seeds, from ROULETTE_SIM_FROM, ROULETTE_SIM_COUNT of them.
TEST_CASE("hunt", "[.]") {
  const char* from = std::getenv("ROULETTE_SIM_FROM");
  const char* count = std::getenv("ROULETTE_SIM_COUNT");
  const std::uint64_t first = from == nullptr ? 1'000 : std::strtoull(from, nullptr, 10);
  const std::uint64_t seeds = count == nullptr ? 1'000 : std::strtoull(count, nullptr, 10);
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    const StoryOptions options = draw_story(seed);
    const Outcome outcome = run_story(options);
    std::cout << "seed " << seed << ": slowest signing " << outcome.slowest_signing.us / 1000
              << " ms, " << outcome.took.us / 1000 << " ms in all"
              << (options.world.over_budget ? ", no budget\n" : "\n");
    if (!outcome.violations.empty()) std::cout << report(options, outcome) << "\n";
    CHECK(outcome.violations.empty());
  }
}

}  // namespace roulette::sim
