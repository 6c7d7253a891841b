// One liar a story: what it says is refused or blamed, and everything settles without it.
#include "tests/sim/sim_check.h"

namespace roulette::sim {
namespace {

StoryOptions with_liar(FaultKind kind, ProcessName who, std::uint32_t lie) {
  StoryOptions options;
  options.world.hop = {microseconds(100), milliseconds(3)};
  options.world.disk = {microseconds(200), milliseconds(3)};
  options.payments = 8;
  options.think = {milliseconds(20), milliseconds(200)};
  Fault fault;
  fault.kind = kind;
  if (kind != FaultKind::BadSigner) fault.at = milliseconds(50);  // from its first nonces on
  fault.down = seconds(5);
  fault.a = who;
  fault.amount = lie;
  options.faults = {fault};
  return options;
}

bool is_blamed_for(SignerLie lie) {
  return lie == SignerLie::WrongShare || lie == SignerLie::NoScalar ||
         lie == SignerLie::OneShareMore || lie == SignerLie::NoPoints;
}

}  // namespace

TEST_CASE("a lying signer is blamed where it can be known, and never stops the honest ones") {
  for (std::uint32_t lie = 0; lie < kSignerLies; ++lie) {
    INFO("lie " << lie);
    const auto options = with_liar(FaultKind::BadSigner, {Role::Signer, 1}, lie);
    const Outcome outcome = require_green(options);
    if (static_cast<SignerLie>(lie) != SignerLie::Silent) CHECK(outcome.counts.lies > 0);
    const bool blamed = outcome.probes.hits(Probe::BadSignerBlamed) > 0;
    CHECK(blamed == is_blamed_for(static_cast<SignerLie>(lie)));
    CHECK(outcome.slowest_signing < milliseconds(300));
  }
}

TEST_CASE("what a lying coordinator asks for is signed by nobody who is bound already") {
  for (std::uint32_t lie = 0; lie < kCoordinatorLies; ++lie) {
    INFO("lie " << lie);
    const auto options = with_liar(FaultKind::BadCoordinator, {Role::Coordinator, 0}, lie);
    const Outcome outcome = require_green(options);
    CHECK(outcome.counts.attacks > 5);
  }
}

TEST_CASE("a replica whose state was altered finds itself in the minority and stops") {
  for (std::uint16_t replica = 0; replica < 3; ++replica) {
    const auto options = with_liar(FaultKind::AlterReplica, {Role::Ledger, replica}, 0);
    const Outcome outcome = require_green(options);
    CHECK(outcome.counts.altered == 1);
    CHECK(outcome.probes.hits(Probe::AlteredReplicaFound) == 1);
  }
}

}  // namespace roulette::sim
