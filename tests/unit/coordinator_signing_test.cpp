// Signing sessions: whom the coordinator asks, whom it blames, and whom it never waits for.
//
// Invariant tested: nothing is asked before apply; t honest responsive signers always finish; no
// signer is in two unanswered sessions of one message.
#include <catch2/catch.hpp>

#include <set>

#include "common/base/limits.h"
#include "coordinator/core/patience.h"
#include "tests/unit/coordinator_world.h"

using namespace roulette;
using namespace roulette::test;
namespace co = roulette::coordinator;
using wire::WithdrawalState;

namespace {

bool is_sign_request(const co::Effect& effect) {
  const auto* send = std::get_if<co::Send>(&effect);
  return send && std::holds_alternative<wire::SignRequest>(send->message);
}

// At every moment: per message, each signer owes at most one answer and at most n-t+1 sessions
// wait.
std::size_t most_open_sessions(const World& w, std::size_t seat, const World::Seat& s) {
  (void)w;
  (void)seat;
  std::map<Hash32, std::set<SignerId>> owed;
  std::size_t most = 0;
  for (const co::Effect& effect : s.effects) {
    if (const auto* fact = std::get_if<co::Fact>(&effect)) {
      if (const auto* opened = std::get_if<co::SessionOpened>(fact)) {
        for (const SignerId id : opened->signers) {
          for (const auto& [digest, members] : owed) CHECK_FALSE(members.contains(id));
          owed[opened->session_digest].insert(id);
        }
      }
      if (const auto* share = std::get_if<co::ShareReceived>(fact)) {
        owed[share->session_digest].erase(share->signer);
        if (owed[share->session_digest].empty()) owed.erase(share->session_digest);
      }
    }
    most = std::max(most, owed.size());
  }
  return most;
}

}  // namespace

TEST_CASE("nothing is asked of a signer before the template is applied") {
  World w;
  w.start_all();
  w.hold_applies = true;
  w.create(0, "k1");
  w.advance(200);
  CHECK(w.asked() == 0);
  w.apply_held();
  CHECK(w.asked() == 3);
}

TEST_CASE("a withdrawal without coins is signed once the ledger has planned it") {
  World w;
  w.start_all();
  w.create(0, "k1", "coinless");
  w.advance(300);
  CHECK(w.asked() == 0);
  w.plan("k1");
  CHECK(w.asked() == 3);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("exactly t signers are asked, once, with all inputs in one request") {
  World w;
  w.start_all();
  w.create(0, "k1", "wide");
  CHECK(w.asked() == 3);
  for (std::uint16_t i = 0; i < 5; ++i) {
    for (const wire::SignRequest& request : w.signer(i).requests) {
      CHECK(request.prevouts.size() == 3);
      CHECK(request.signers.size() == 3);
      for (const wire::SessionSigner& member : request.signers) CHECK(member.nonces.size() == 3);
    }
  }
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("the session, its shares and the signature are facts before what follows them") {
  World w;
  w.start_all();
  w.create(0, "k1");
  const auto opened = w.position(0, [](const co::Effect& e) {
    const auto* fact = std::get_if<co::Fact>(&e);
    return fact && std::holds_alternative<co::SessionOpened>(*fact);
  });
  const auto asked = w.position(0, is_sign_request);
  const auto aggregated = w.position(0, [](const co::Effect& e) {
    const auto* fact = std::get_if<co::Fact>(&e);
    return fact && std::holds_alternative<co::Aggregated>(*fact);
  });
  const auto proposed = w.position(0, [](const co::Effect& e) {
    const auto* send = std::get_if<co::Send>(&e);
    const auto* submit = send ? std::get_if<wire::LedgerSubmit>(&send->message) : nullptr;
    return submit && std::holds_alternative<wire::Signed>(submit->command.body);
  });
  REQUIRE(opened);
  REQUIRE(asked);
  REQUIRE(aggregated);
  REQUIRE(proposed);
  CHECK(*opened < *asked);
  CHECK(*aggregated < *proposed);
  CHECK(w.facts<co::ShareReceived>(0).size() == 3);
  CHECK(w.facts<co::SignedApplied>(0).size() == 1);
}

TEST_CASE("the journal heads of the session's signers go into the ledger with the signatures") {
  World w;
  w.start_all();
  w.create(0, "k1");
  const auto commands = w.commands<wire::Signed>();
  REQUIRE(commands.size() == 1);
  REQUIRE(commands[0].journals.size() == 3);
  for (const wire::JournalHead& head : commands[0].journals) CHECK(head.length == 1);
}

TEST_CASE("a signer with a bad share is blamed with the bytes as proof, and replaced") {
  World w;
  w.start_all();
  w.signer(0).manners = w.signer(1).manners = Manners::BadShare;
  for (int i = 0; i < 5; ++i) w.create(0, "k" + std::to_string(i));
  for (int i = 0; i < 5; ++i)
    CHECK(w.view("k" + std::to_string(i)).state == WithdrawalState::Broadcast);
  const auto blamed = w.facts<co::Blamed>(0);
  REQUIRE_FALSE(blamed.empty());
  for (const co::Blamed& fact : blamed) {
    CHECK(fact.signer.value() <= 1);
    CHECK(fact.proof.size() == 66 + 32);
  }
}

TEST_CASE("a signer that sends a wrong number of shares is blamed and replaced") {
  World w;
  w.start_all();
  w.signer(0).manners = Manners::WrongCount;
  for (int i = 0; i < 3; ++i) w.create(0, "k" + std::to_string(i));
  for (int i = 0; i < 3; ++i)
    CHECK(w.view("k" + std::to_string(i)).state == WithdrawalState::Broadcast);
  for (const co::Blamed& fact : w.facts<co::Blamed>(0)) CHECK(fact.signer.value() == 0);
}

TEST_CASE("a signer whose public nonces are no points is blamed, the one who says so is not") {
  World w;
  w.signer(4).manners = Manners::BadNonces;
  w.start_all();
  for (int i = 0; i < 5; ++i) w.create(0, "k" + std::to_string(i));
  for (int i = 0; i < 5; ++i)
    CHECK(w.view("k" + std::to_string(i)).state == WithdrawalState::Broadcast);
  const auto blamed = w.facts<co::Blamed>(0);
  REQUIRE_FALSE(blamed.empty());
  for (const co::Blamed& fact : blamed) CHECK(fact.signer.value() == 4);
}

TEST_CASE("a bad share of a signer's earlier life is not held against its present one") {
  World w;
  w.start_all();
  for (std::uint16_t i = 3; i < 5; ++i) w.kill_signer(i);  // the other three have to sign
  w.signer(0).manners = Manners::BadShare;
  w.signer(1).manners = Manners::Silent;
  w.create(0, "k");
  REQUIRE(w.signer(1).withheld.size() == 1);
  w.restart_signer(0);  // mended: another epoch, before the last share shows what it did
  w.signer(0).manners = w.signer(1).manners = Manners::Honest;
  w.release_withheld(1);
  w.advance(500);
  CHECK(w.view("k").state == WithdrawalState::Broadcast);
  CHECK(w.facts<co::Blamed>(0).empty());
  CHECK(w.facts<co::SigningGivenUp>(0).empty());
}

TEST_CASE("a signer whose public nonces have another size is not asked, and asked for no flood") {
  World w;
  w.signer(4).manners = Manners::ShortNonces;
  w.start_all();
  for (int i = 0; i < 5; ++i) w.create(0, "k" + std::to_string(i));
  for (int i = 0; i < 5; ++i)
    CHECK(w.view("k" + std::to_string(i)).state == WithdrawalState::Broadcast);
  CHECK(w.signer(4).requests.empty());
  CHECK(w.facts<co::Blamed>(0).empty());
}

TEST_CASE("more than n-t bad signers end a message with a reason, a new epoch takes it up again") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 3; ++i) w.signer(i).manners = Manners::BadShare;
  w.create(0, "k1");
  w.advance(500);
  CHECK(w.view("k1").state == WithdrawalState::Planned);
  const auto given_up = w.facts<co::SigningGivenUp>(0);
  REQUIRE(given_up.size() == 1);
  CHECK(given_up[0].txid == w.view("k1").planned->txid);
  const std::size_t before = w.asked();
  w.advance(1000);
  CHECK(w.asked() == before);
  w.restart_signer(0);
  w.advance(1);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("silent signers block nobody: another session is opened after 50 ms") {
  World w;
  w.start_all();
  w.signer(1).manners = w.signer(3).manners = Manners::Silent;
  for (int i = 0; i < 6; ++i) w.create(0, "k" + std::to_string(i));
  CHECK(w.seat(0).machine->gauges().signer_timeouts == 0);
  const std::size_t unanswered = w.signer(1).requests.size() + w.signer(3).requests.size();
  REQUIRE(unanswered > 0);
  w.advance(110);
  for (int i = 0; i < 6; ++i)
    CHECK(w.view("k" + std::to_string(i)).state == WithdrawalState::Broadcast);
  CHECK(w.facts<co::Blamed>(0).empty());
  // Each request that a silent one got by then, once; nobody else's.
  CHECK(w.seat(0).machine->gauges().signer_timeouts == unanswered);
  w.release_withheld(1);
  w.advance(1000);
  CHECK(w.seat(0).machine->gauges().signer_timeouts == unanswered);
}

namespace {

// One withdrawal after the other, each signed by answers that take `ms`.
void sign_slowly(World& w, int count, std::int64_t ms) {
  static int number = 0;
  for (int i = 0; i < count; ++i) {
    for (std::uint16_t k = 0; k < 5; ++k) w.signer(k).manners = Manners::Silent;
    w.create(0, "slow" + std::to_string(++number));
    w.advance(ms);
    for (std::uint16_t k = 0; k < 5; ++k) w.release_withheld(k);
  }
}

// A withdrawal one of whose signers says nothing; how long until another session is opened.
std::int64_t until_company(World& w) {
  for (std::uint16_t k = 0; k < 5; ++k) w.signer(k).manners = Manners::Silent;
  const std::size_t before = w.facts<co::SessionOpened>(0).size();
  w.create(0, "alone" + std::to_string(before));
  std::size_t answered = 0;
  for (std::uint16_t k = 0; k < 5 && answered < 2; ++k) {
    if (w.signer(k).withheld.empty()) continue;
    w.release_withheld(k);
    ++answered;
  }
  const Instant asked = w.now();
  while (w.facts<co::SessionOpened>(0).size() == before + 1 && w.now() - asked < seconds(1))
    w.advance(1);
  const auto took = w.now() - asked;
  for (std::uint16_t k = 0; k < 5; ++k) w.release_withheld(k);
  return took.us / 1000;
}

}  // namespace

TEST_CASE("a session gets company later where answers take longer, within a bound") {
  World w;
  w.start_all();
  CHECK(until_company(w) == 50);
  sign_slowly(w, 40, 30);  // four times 30 ms, about
  const std::int64_t longer = until_company(w);
  CHECK(longer > 90);
  CHECK(longer < 130);
  sign_slowly(w, 40, 49);
  sign_slowly(w, 40, 150);
  const std::int64_t most = until_company(w);
  CHECK(most > 150);
  CHECK(most <= 200);
  sign_slowly(w, 12, 1);  // quick again: soon forgotten
  CHECK(until_company(w) == 50);
}

TEST_CASE("answers that waited for somebody buy a dead signer no time") {
  World w;
  w.start_all();
  // Nobody could answer for ten seconds, and then a whole batch did.
  for (std::uint16_t k = 0; k < 5; ++k) w.signer(k).manners = Manners::Silent;
  for (int i = 0; i < 60; ++i) w.create(0, "stood" + std::to_string(i));
  w.advance(10'000);
  for (std::uint16_t k = 0; k < 5; ++k) w.release_withheld(k);
  w.advance(10'000);
  for (std::uint16_t k = 0; k < 5; ++k) w.release_withheld(k);
  CHECK(until_company(w) <= 200);
  sign_slowly(w, 12, 1);
  CHECK(until_company(w) == 50);
}

TEST_CASE("patience follows the median of answers: not the latest ones, and not the largest") {
  co::Patience patience(limits::kSignerOverdue, limits::kSessionPatienceMost);
  for (int i = 0; i < 300; ++i)  // each third one slow
    patience.took(i % 3 == 0 ? milliseconds(180) : milliseconds(1));
  CHECK(patience.now() == limits::kSignerOverdue);
  for (int i = 0; i < 3; ++i) patience.took(seconds(10));
  CHECK(patience.now() == limits::kSignerOverdue);
  for (int i = 0; i < 300; ++i) patience.took(seconds(10));
  CHECK(patience.now() == limits::kSessionPatienceMost);
  for (int i = 0; i < 30; ++i) patience.took(milliseconds(1));  // ten sessions
  CHECK(patience.now() == limits::kSignerOverdue);
}

TEST_CASE("one slow signer among quick ones does not make the others' sessions wait") {
  World w;
  w.start_all();
  sign_slowly(w, 40, 30);
  sign_slowly(w, 40, 49);
  for (int i = 0; i < 60; ++i) {
    for (std::uint16_t k = 1; k < 5; ++k) w.signer(k).manners = Manners::Honest;
    w.signer(0).manners = Manners::Silent;
    w.create(0, "mixed" + std::to_string(i));
    w.advance(45);
    w.release_withheld(0);
  }
  CHECK(until_company(w) == 50);
}

TEST_CASE("a session that is 49 ms old has no company") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  w.advance(49);
  CHECK(w.asked() == 3);
  CHECK(w.facts<co::SessionOpened>(0).size() == 1);
}

TEST_CASE("a session whose answers still come in has no company, but for a second at most") {
  World w(1, 99, 50);
  w.start_all();
  for (std::uint16_t i = 0; i < 99; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  const auto opened = [&w] { return w.facts<co::SessionOpened>(0).size(); };
  // An answer each 40 ms, until 50 ms of silence would end the patience.
  const auto answer_one = [&w] {
    for (std::uint16_t i = 0; i < 99; ++i) {
      if (w.signer(i).withheld.empty()) continue;
      w.release_withheld(i);
      return;
    }
  };
  for (int i = 0; i < 5; ++i) {
    w.advance(40);
    CHECK(opened() == 1);
    answer_one();
  }
  w.advance(700);  // nobody says anything: the company comes before the second is over
  CHECK(opened() == 2);

  World dripping(1, 99, 50);
  dripping.start_all();
  for (std::uint16_t i = 0; i < 99; ++i) dripping.signer(i).manners = Manners::Silent;
  dripping.create(0, "k1");
  for (int i = 0; i < 24; ++i) {
    dripping.advance(40);
    for (std::uint16_t k = 0; k < 99; ++k) {
      if (dripping.signer(k).withheld.empty()) continue;
      dripping.release_withheld(k);
      break;
    }
  }
  CHECK(dripping.facts<co::SessionOpened>(0).size() == 1);  // 960 ms
  dripping.advance(41);
  CHECK(dripping.facts<co::SessionOpened>(0).size() == 2);
}

TEST_CASE("at most n-t+1 sessions of a message are open, and nobody is asked twice meanwhile") {
  World w(1, 7, 4);
  w.start_all();
  for (std::uint16_t i = 0; i < 3; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  w.advance(300);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
  const std::size_t most = most_open_sessions(w, 0, w.seat(0));
  CHECK(most >= 2);
  CHECK(most <= 7 - 4 + 1);
}

TEST_CASE("an overdue signer is chosen last, not excluded") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 2; ++i) w.signer(i).manners = Manners::Silent;
  for (int i = 0; i < 4; ++i) w.create(0, "k" + std::to_string(i));
  w.advance(100);
  const std::size_t before = w.signer(0).requests.size() + w.signer(1).requests.size();
  for (int i = 10; i < 16; ++i) w.create(0, "k" + std::to_string(i));
  CHECK(w.signer(0).requests.size() + w.signer(1).requests.size() == before);
  w.kill_signer(4);  // now an overdue one is needed for a quorum
  w.create(0, "last");
  CHECK(w.signer(0).requests.size() + w.signer(1).requests.size() == before + 1);
}

TEST_CASE("a dead signer is replaced at EOF, without waiting for a deadline") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  std::vector<std::uint16_t> members;
  for (std::uint16_t i = 0; i < 5; ++i) {
    if (!w.signer(i).requests.empty()) members.push_back(i);
  }
  REQUIRE(members.size() == 3);
  const Instant before = w.now();
  w.kill_signer(members[0]);
  w.release_withheld(members[1]);
  for (std::uint16_t i = 0; i < 5; ++i) {
    if (i != members[0]) w.release_withheld(i);
  }
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
  CHECK(w.now() == before);
}

TEST_CASE("a late answer still completes its old session") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  std::vector<std::uint16_t> members;
  for (std::uint16_t i = 0; i < 5; ++i) {
    if (!w.signer(i).requests.empty()) members.push_back(i);
  }
  w.advance(300);
  CHECK(w.facts<co::SessionOpened>(0).size() == 1);  // two free signers are no quorum
  for (const std::uint16_t i : members) w.release_withheld(i);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("a signer that forgot its nonces is asked for new ones and never blamed") {
  World w;
  w.start_all();
  w.signer(0).manners = Manners::ForgotNonces;
  w.signer(1).manners = Manners::ForgotNonces;
  w.signer(2).manners = Manners::ForgotNonces;
  for (int i = 0; i < 5; ++i) w.create(0, "k" + std::to_string(i));
  w.advance(100);
  for (int i = 0; i < 5; ++i)
    CHECK(w.view("k" + std::to_string(i)).state == WithdrawalState::Broadcast);
  CHECK(w.facts<co::SignerRefused>(0).size() == 3);
  CHECK(w.facts<co::Blamed>(0).empty());
}

TEST_CASE("a restarted signer rejoins with fresh nonces and signs again") {
  World w;
  w.start_all();
  w.create(0, "k1");
  for (std::uint16_t i = 0; i < 5; ++i) w.restart_signer(i);
  w.create(0, "k2");
  CHECK(w.view("k2").state == WithdrawalState::Broadcast);
  CHECK(w.facts<co::Blamed>(0).empty());
}

TEST_CASE("a bound signer is left out for that message and not blamed") {
  World w;
  w.start_all();
  w.signer(0).manners = w.signer(1).manners = Manners::Bound;
  w.create(0, "k1");
  w.create(0, "k2");
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
  CHECK(w.view("k2").state == WithdrawalState::Broadcast);
  CHECK(w.facts<co::Blamed>(0).empty());
  for (const co::SignerRefused& fact : w.facts<co::SignerRefused>(0)) {
    CHECK(fact.reason == wire::RefusalReason::OutpointBound);
  }
}

TEST_CASE("signers whose tokens are away for a while are asked again, and blamed by nobody") {
  World w;
  w.start_all();
  // Three of five: left out for good they would leave no quorum.
  for (std::uint16_t i = 0; i < 3; ++i) w.signer(i).manners = Manners::KeyAway;
  w.create(0, "k1");
  w.advance(2'000);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
  CHECK(w.facts<co::Blamed>(0).empty());
  const auto refused = w.facts<co::SignerRefused>(0);
  CHECK_FALSE(refused.empty());
  for (const co::SignerRefused& fact : refused)
    CHECK(fact.reason == wire::RefusalReason::KeyUnavailable);
}

TEST_CASE("a signer whose token is away is not known: no session, no new key, until it is back") {
  World w;
  w.start_all();
  w.hold_applies = true;
  w.create(0, "accepted");
  for (std::uint16_t i = 0; i < 3; ++i) w.signer(i).keyless = true;
  w.advance(100);  // a ping
  CHECK(w.readiness(0) == "quorum-lost");
  w.apply_held();
  w.hold_applies = false;
  w.advance(500);
  CHECK(w.asked() == 0);
  const auto refused = w.create(0, "new");
  REQUIRE(w.problem(0, refused).has_value());
  CHECK(w.problem(0, refused)->type == "quorum-lost");
  CHECK_FALSE(w.knows("new"));
  const auto again = w.create(0, "accepted");
  REQUIRE(w.answer(0, again).has_value());
  CHECK(w.answer(0, again)->status == 202);
  w.signer(0).keyless = false;
  w.advance(101);
  CHECK(w.view("accepted").state == WithdrawalState::Broadcast);
  CHECK(w.readiness(0)->empty());
  w.create(0, "new");
  CHECK(w.view("new").state == WithdrawalState::Broadcast);
  CHECK(w.facts<co::Blamed>(0).empty());
}

TEST_CASE("a refusal for want of the key counts at once, and the next status takes it back") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::KeyAway;
  w.create(0, "k1");
  CHECK(w.seat(0).machine->gauges().known_signers < 3);
  const auto refused = w.create(0, "k2");
  REQUIRE(w.problem(0, refused).has_value());
  CHECK(w.problem(0, refused)->type == "quorum-lost");
  w.advance(2'000);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("below the threshold no session is opened, accepted withdrawals resume with the quorum") {
  World w;
  w.start_all();
  w.hold_applies = true;
  w.create(0, "k1");
  for (std::uint16_t i = 0; i < 3; ++i) w.kill_signer(i);
  w.apply_held();
  w.advance(500);
  CHECK(w.asked() == 0);
  CHECK(w.view("k1").state == WithdrawalState::Planned);
  w.restart_signer(0);
  w.advance(1);
  CHECK(w.view("k1").state == WithdrawalState::Broadcast);
}

TEST_CASE("no public nonce is sent in two sessions") {
  World w;
  w.start_all();
  w.signer(2).manners = Manners::Silent;
  w.signer(3).manners = Manners::BadShare;
  for (int i = 0; i < 60; ++i) {
    w.create(0, "k" + std::to_string(i), i % 3 == 0 ? "wide" : "alice");
    w.advance(20);
  }
  std::map<wire::PubNonce, std::set<std::size_t>> sessions;
  std::set<std::vector<wire::PubNonce>> distinct;
  for (std::uint16_t i = 0; i < 5; ++i) {
    for (const wire::SignRequest& request : w.signer(i).requests) {
      std::vector<wire::PubNonce> all;
      for (const wire::SessionSigner& member : request.signers)
        all.insert(all.end(), member.nonces.begin(), member.nonces.end());
      distinct.insert(all);
    }
  }
  for (const auto& all : distinct) {
    for (const wire::PubNonce& nonce : all) {
      const auto number =
          static_cast<std::size_t>(std::distance(distinct.begin(), distinct.find(all)));
      sessions[nonce].insert(number);
      CHECK(sessions[nonce].size() == 1);
    }
  }
  CHECK(sessions.size() > 100);
}

TEST_CASE("outstanding requests per signer stay within their bound") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  for (int i = 0; i < 300; ++i) w.create(0, "k" + std::to_string(i));
  w.advance(300);
  const auto gauges = w.seat(0).machine->gauges();
  CHECK(gauges.most_outstanding <= limits::kMaxOutstandingPerSigner);
  CHECK(gauges.most_outstanding > 0);
  CHECK(gauges.signing <= limits::kMaxSigningWithdrawals);
  for (std::uint16_t i = 0; i < 5; ++i) w.release_withheld(i);
  w.advance(2000);
  for (int i = 0; i < 300; ++i)
    CHECK(w.view("k" + std::to_string(i)).state == WithdrawalState::Broadcast);
}

TEST_CASE("an answer from a signer that was not asked is dropped") {
  World w;
  w.start_all();
  for (std::uint16_t i = 0; i < 5; ++i) w.signer(i).manners = Manners::Silent;
  w.create(0, "k1");
  std::uint16_t member = 0;
  std::uint16_t stranger = 0;
  for (std::uint16_t i = 0; i < 5; ++i) (w.signer(i).requests.empty() ? stranger : member) = i;
  const wire::Message response = w.signer(member).withheld.at(0).second;
  for (const auto& [connection, name] : w.seat(0).connections) {
    if (name != ProcessName{Role::Signer, stranger}) continue;
    w.step(0, co::MessageReceived{connection, response});
    break;
  }
  CHECK(w.facts<co::ShareReceived>(0).empty());
}
