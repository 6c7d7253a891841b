// A signer that lost its journal is provisioned again in the middle of a story, and the judge's
// rules about it bite.
#include "signer/core/founding.h"
#include "tests/sim/sim_check.h"

namespace roulette::sim {
namespace {

// Signer 0 loses its disk once something is signed; the operator moves the wallet; all four signers
// that a quorum needs are there only if it serves again.
StoryOptions lost_and_provisioned(Blow blow, ProcessName laggard, SimScheme scheme) {
  StoryOptions options;
  options.world.scheme = scheme;
  options.world.shape.signers = 5;
  options.world.shape.threshold = 4;
  options.bound = seconds(30);
  options.payments = 6;
  options.think = {milliseconds(150), milliseconds(150)};
  Fault lost;
  lost.kind = FaultKind::Wipe;
  lost.a = {Role::Signer, 0};
  lost.at = milliseconds(300);
  Fault move;
  move.kind = FaultKind::Reprovision;
  move.at = milliseconds(450);
  move.down = milliseconds(50);
  move.blow = blow;
  move.b = laggard;
  move.amount = laggard == ProcessName{} ? 0 : 200;
  // Behind the move another one leaves for good: without signer 0 there are three.
  Fault gone;
  gone.kind = FaultKind::Retire;
  gone.a = {Role::Signer, 1};
  gone.at = milliseconds(1'000);
  options.faults = {lost, move, gone};
  return options;
}

std::size_t signings(const std::vector<signer::Record>& records) {
  return static_cast<std::size_t>(
      std::count_if(records.begin(), records.end(), [](const signer::Record& record) {
        return std::holds_alternative<signer::SigningRecord>(record.body);
      }));
}

}  // namespace

TEST_CASE("a signer that lost its journal and was provisioned again signs again") {
  for (const SimScheme scheme : {SimScheme::Frost, SimScheme::StandIn}) {
    for (const Blow blow : {Blow::Stop, Blow::Kill}) {
      const Outcome outcome = require_green(lost_and_provisioned(blow, {}, scheme));
      REQUIRE(outcome.counts.moves == 1);
      const JournalRecord& journal = outcome.records.journals[0];
      REQUIRE(signer::founding_of(journal.records) != nullptr);
      CHECK(signer::founding_of(journal.records)->now.share_epoch == 2);
      CHECK(signer::founding_of(journal.records)->imported > 0);
      CHECK(signings(journal.superseded) > 0);
      CHECK(signings(journal.records) > 0);  // no quorum is without it
      CHECK_FALSE(journal.quarantined);
      CHECK(outcome.probes.hits(Probe::ProvisionedAgainSigns) > 0);
    }
  }
}

TEST_CASE("the others go on in their journals, under the new share epoch") {
  const Outcome outcome = require_green(lost_and_provisioned(Blow::Kill, {}, SimScheme::Frost));
  for (std::size_t i = 2; i < outcome.records.journals.size(); ++i) {
    const JournalRecord& journal = outcome.records.journals[i];
    CHECK(std::holds_alternative<signer::Provisioned>(journal.records.front().body));
    CHECK(std::count_if(journal.records.begin(), journal.records.end(), [](const auto& record) {
            return std::holds_alternative<signer::Reprovisioned>(record.body);
          }) == 1);
    CHECK(journal.superseded.empty());
  }
}

TEST_CASE("a process that goes by the old epoch for a while delays, and nothing is mixed") {
  for (const ProcessName laggard :
       {ProcessName{Role::Coordinator, 0}, ProcessName{Role::Coordinator, 1},
        ProcessName{Role::Signer, 2}}) {
    StoryOptions options = lost_and_provisioned(Blow::Stop, laggard, SimScheme::StandIn);
    options.faults.pop_back();
    const Outcome outcome = require_green(options);
    CHECK(outcome.counts.moves == 1);
    CHECK(signer::founding_of(outcome.records.journals[0].records) != nullptr);
  }
}

TEST_CASE("nothing is moved where no journal was lost") {
  StoryOptions options = lost_and_provisioned(Blow::Kill, {}, SimScheme::StandIn);
  options.faults.erase(options.faults.begin());
  options.faults.pop_back();
  const Outcome outcome = require_green(options);
  CHECK(outcome.counts.moves == 0);
  CHECK(outcome.counts.kills == 0);
}

TEST_CASE("the judge finds a founded journal that forgot, and one that is quarantined") {
  const Outcome calm = require_green(lost_and_provisioned(Blow::Kill, {}, SimScheme::StandIn));
  Outcome told;
  Records forgot = calm.records;
  std::erase_if(forgot.journals[0].records, [](const signer::Record& record) {
    return std::holds_alternative<signer::ImportedBinding>(record.body);
  });
  told.violations = judge(forgot);
  CHECK(reports(told, "founded-journal-binds"));
  Records out = calm.records;
  out.journals[0].quarantined = true;
  told.violations = judge(out);
  CHECK(reports(told, "provisioned-again-serves"));
}

TEST_CASE("a liar's mixture that a machine opened itself may be signed") {
  (void)require_green_text(
      "seed 400690\nscheme stand-in\nhop 28103..55217\ndisk 2093..2438\nblock_interval 450000\n"
      "over_budget 1\nduplicate_per_mille 300\n"
      "fault strike_place down=881000 a=coordinator-1 place=27 deeds=1\n"
      "fault strike_place down=112000 a=coordinator-0 place=271\n"
      "fault strike_place down=851000 a=signer-4 place=12 deeds=1\n"
      "fault roll_back at=2414052 down=653000 a=signer-0\n"
      "fault bad_coordinator at=2692805 down=3257000 a=coordinator-1 amount=11\n"
      "fault bad_coordinator at=1875393 down=3011000 a=coordinator-1 amount=12\n"
      "fault strike at=1363047 down=823000 a=signer-3\n"
      "fault power_loss at=690724 down=920000 a=signer-2\n"
      "fault strike at=673716 down=35000 a=signer-3 blow=pause\n"
      "fault reprovision at=2796052 down=830000 b=coordinator-0 amount=777\n");
}

// Also: asked again when the nonce is spent, the same mixture is a retry.
TEST_CASE("a mixture with a spent nonce for one signer may be a session for another") {
  (void)require_green_text(
      "seed 3062081\nscheme stand-in\npayments 1\n"
      "fault bad_signer a=signer-1 amount=3\n"
      "fault bad_coordinator down=2552000 a=coordinator-0 amount=11\n");
}

TEST_CASE("two bad shares whose errors cancel out make a signature, and nobody is blamed") {
  (void)require_green_text(
      "seed 601322\nsigners 6\nthreshold 4\ncoordinators 1\n"
      "fault bad_signer at=220256 down=849000 a=signer-5\n"
      "fault bad_signer at=618984 down=504000 a=signer-4\n");
}

TEST_CASE("who was to lag and loses its journal meanwhile comes with the others") {
  (void)require_green_text(
      "seed 66393\nscheme stand-in\ncoordinators 3\nhop 4224..4454\ndisk 2633..9212\n"
      "engine 1670..16372\nnode 4238..7516\nlate_per_mille 8\nblock_interval 283000\npace 4\n"
      "payments 1\n"
      "fault strike_place down=151000 a=signer-4 place=4 after=1\n"
      "fault strike_place down=87000 a=signer-0 place=9 deeds=1\n"
      "fault power_loss at=761022 down=272000 a=ledger-0\n"
      "fault wipe at=1193928 a=signer-2\n"
      "fault wipe at=600759 down=158000 a=signer-4\n"
      "fault strike at=1139367 a=ledger-0\n"
      "fault reprovision at=891759 b=signer-2 blow=stop amount=179\n");
}

TEST_CASE("a withdrawal counts once the log holds it, though its replica dies first") {
  (void)require_green_text(
      "seed 39170\nscheme stand-in\nsigners 4\ncoordinators 3\nledgers 1\nhop 2002..4382\n"
      "engine 7690..10745\nnode 6640..8148\nlate_per_mille 1\nblock_interval 165000\n"
      "unknown_per_mille 164\nover_budget 1\npace 2\npayments 2\nthink 53186..53363\n"
      "fault strike_place down=427000 a=coordinator-0 place=3 after=1 deeds=1\n"
      "fault strike_place down=399000 a=ledger-0 blow=pause place=1 deeds=1\n"
      "fault strike_place a=ledger-0 place=40 deeds=1\n"
      "fault strike_place down=224000 a=signer-2 blow=pause place=7 deeds=1\n");
}

TEST_CASE("the judge finds what is signed across share epochs") {
  const Outcome calm = require_green(lost_and_provisioned(Blow::Kill, {}, SimScheme::StandIn));
  Records mixed = calm.records;
  const auto newer = std::find_if(mixed.sessions_signed.begin(), mixed.sessions_signed.end(),
                                  [](const SessionSigned& one) { return one.share_epoch == 2; });
  REQUIRE(newer != mixed.sessions_signed.end());
  newer->share_epoch = 1;
  Outcome told;
  told.violations = judge(mixed);
  CHECK(reports(told, "share-epochs-apart"));
}

TEST_CASE("the judge finds a bad share that is added up, and one that nobody is blamed for") {
  const Outcome calm = require_green(StoryOptions{});
  const auto& share = calm.records.shares.front().share;
  Records added = calm.records;
  added.bad_shares.insert({share.session_digest, share.shares});
  Outcome told;
  told.violations = judge(added);
  CHECK(reports(told, "bad-share-blamed"));
  // Without the sum: the session is whole, the coordinator goes on, and blames nobody.
  std::erase_if(added.notes, [&](const CoordinatorNote& note) {
    const auto* fact = std::get_if<coordinator::Fact>(&note.what);
    const auto* sum = fact == nullptr ? nullptr : std::get_if<coordinator::Aggregated>(fact);
    return sum != nullptr && sum->session_digest == share.session_digest;
  });
  told.violations = judge(added);
  CHECK(reports(told, "bad-share-blamed"));
  // Put right behind the share: what is, and what is not, a reason to blame nobody.
  const auto with = [&](std::uint16_t coordinator, auto what) {
    Records excused = added;
    const auto at = std::find_if(
        excused.notes.begin(), excused.notes.end(), [&](const CoordinatorNote& note) {
          const auto* fact = std::get_if<coordinator::Fact>(&note.what);
          const auto* seen = fact == nullptr ? nullptr
                                             : std::get_if<coordinator::ShareReceived>(fact);
          return seen != nullptr && seen->session_digest == share.session_digest;
        });
    REQUIRE(at != excused.notes.end());
    CoordinatorNote note{at->coordinator, at->life, what};
    if (note.coordinator.value() != coordinator) note.coordinator = CoordinatorId(coordinator);
    excused.notes.insert(at + 1, note);
    Outcome judged;
    judged.violations = judge(excused);
    return reports(judged, "bad-share-blamed");
  };
  const auto opener = std::find_if(added.notes.begin(), added.notes.end(), [&](const auto& note) {
    const auto* fact = std::get_if<coordinator::Fact>(&note.what);
    const auto* opened = fact == nullptr ? nullptr : std::get_if<coordinator::SessionOpened>(fact);
    return opened != nullptr && opened->session_digest == share.session_digest;
  });
  REQUIRE(opener != added.notes.end());
  const std::uint16_t own = opener->coordinator.value();
  const auto other = static_cast<std::uint16_t>(1 - own);
  CHECK(with(own, SignerGone{share.signer}));
  CHECK_FALSE(with(own, SignerReborn{share.signer}));
  CHECK(with(other, SignerReborn{share.signer}));
  CHECK_FALSE(with(own, SignaturesHeard{share.withdrawal_id}));
  CHECK(with(other, SignaturesHeard{share.withdrawal_id}));
}

}  // namespace roulette::sim
