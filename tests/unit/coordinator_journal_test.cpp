// Tests of DESIGN 6.8 from the coordinator's side: whom it asks about a journal, with what, and
// whom it does not count until the answer is there.
#include <catch2/catch.hpp>

#include "common/base/limits.h"
#include "tests/unit/coordinator_world.h"

using namespace roulette;
using namespace roulette::test;
namespace co = roulette::coordinator;
using wire::JournalStanding;

namespace {

std::size_t known(World& w) { return w.seat(0).machine->gauges().known_signers; }

wire::JournalHead head(std::uint16_t signer, std::uint64_t length) {
  Hash32 bytes{};
  bytes[0] = static_cast<std::uint8_t>(length);
  return {SignerId(signer), length, bytes, 1};
}

}  // namespace

TEST_CASE("each signer that joins is asked with what the ledger keeps of it, once") {
  World w;
  w.journals = {head(1, 7), head(3, 9)};
  w.start_all();
  CHECK(known(w) == 5);
  for (std::uint16_t i = 0; i < 5; ++i) REQUIRE(w.signer(i).checks.size() == 1);
  CHECK(w.signer(0).checks[0] == wire::JournalCheck{});
  CHECK(w.signer(1).checks[0] == wire::JournalCheck{1, 7, head(1, 7).head});
  CHECK(w.signer(3).checks[0] == wire::JournalCheck{1, 9, head(3, 9).head});
}

TEST_CASE("a signer is not known, and asked for nothing, before the ledger could be read") {
  World w;
  w.unreadable_replicas = {0, 1, 2};
  w.start_all();
  w.advance(200);
  CHECK(known(w) == 0);
  for (std::uint16_t i = 0; i < 5; ++i) {
    CHECK(w.signer(i).checks.empty());  // one coordinator without a ledger accuses nobody
    CHECK(w.signer(i).nonces.empty());
  }
  w.unreadable_replicas.clear();
  w.advance(2000);
  CHECK(known(w) == 5);
}

TEST_CASE("only a read that began after the signer joined counts for it") {
  World w;
  w.start_all();
  w.deaf_replicas = {0, 1, 2};  // the read under way is never answered by these
  w.advance(1100);              // the repeated read is on its way
  w.kill_signer(2);
  w.restart_signer(2);
  w.journals = {head(2, 5)};
  const std::size_t before = w.signer(2).checks.size();
  w.deaf_replicas.clear();
  w.advance(3000);
  REQUIRE(w.signer(2).checks.size() > before);
  CHECK(w.signer(2).checks.back().length == 5);
  CHECK(known(w) == 5);
}

TEST_CASE("a signer whose journal does not hold the head counts as down until it starts again") {
  World w;
  w.start_all();
  w.kill_signer(4);
  w.signer(4).standing = JournalStanding::RolledBack;
  w.restart_signer(4);
  w.advance(10);
  CHECK(known(w) == 4);
  CHECK(w.signer(4).nonces.empty());
  const auto found = w.facts<co::SignerQuarantined>(0);
  REQUIRE(found.size() == 1);
  CHECK(found[0].signer == SignerId(4));
  CHECK(found[0].standing == JournalStanding::RolledBack);
  REQUIRE(w.seat(0).machine->gauges().quarantined.size() == 1);
  w.create(0, "k1");
  CHECK(w.view("k1").state >= wire::WithdrawalState::Signed);
  CHECK(w.signer(4).requests.empty());
  // Provisioned again.
  w.kill_signer(4);
  w.signer(4).standing = JournalStanding::Holds;
  w.restart_signer(4);
  w.advance(10);
  CHECK(known(w) == 5);
  CHECK(w.seat(0).machine->gauges().quarantined.empty());
}

TEST_CASE("quarantined signers are counted in the quorum: too many of them stop new withdrawals") {
  World w;
  w.start_all();
  for (std::uint16_t i = 2; i < 5; ++i) {
    w.kill_signer(i);
    w.signer(i).standing = JournalStanding::Missing;
    w.restart_signer(i);
  }
  w.advance(10);
  CHECK(w.readiness(0) == "quorum-lost");
  const auto problem = w.problem(0, w.create(0, "k1"));
  REQUIRE(problem.has_value());
  CHECK(problem->type == "quorum-lost");
}

TEST_CASE("heads that the ledger took later are asked about, too") {
  World w;
  w.start_all();
  w.advance(50);
  w.journals = {head(0, 3)};  // a signature of its former life was applied only now
  w.signer(0).standing = JournalStanding::RolledBack;
  w.advance(limits::kJournalRecheck.us / 1000 + 100);
  REQUIRE(w.signer(0).checks.size() == 2);
  CHECK(w.signer(0).checks[1].length == 3);
  CHECK(w.signer(1).checks.size() == 1);  // nothing changed for it
  CHECK(known(w) == 4);
}

TEST_CASE("a quarantine that another coordinator found counts here as well") {
  World w;
  w.start_all();
  w.signer(3).standing = JournalStanding::Forked;  // its next status says so
  w.advance(limits::kSignerPing.us / 1000 + 10);
  CHECK(known(w) == 4);
}

TEST_CASE("a signer with a share of another group is not known") {
  World w;
  w.signer(1).foreign = true;
  w.start_all();
  w.advance(50);
  CHECK(known(w) == 4);
  CHECK(w.signer(1).nonces.empty());
}
