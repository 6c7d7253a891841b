// The checks bite: a broken host, a lossy peer and a tampered record are each reported by name.
#include "tests/sim/sim_check.h"

namespace roulette::sim {
namespace {

// Right after the first share of a signer left: its journal's commit has not happened yet.
StoryOptions killed_after_first_share(std::uint16_t signer) {
  StoryOptions options;
  options.plants.lying_disks = {signer};
  options.world.disk = {milliseconds(5), milliseconds(5)};
  const Outcome calm = run_story(options);
  const auto& places = calm.places.at({Role::Signer, signer});
  const auto share = std::find_if(places.begin(), places.end(), [](const Place& place) {
    return std::string_view(place.subject) == "partial_signature";
  });
  REQUIRE(share != places.end());
  const auto index = static_cast<std::uint64_t>(share - places.begin());
  options.faults = {strike_at_place({Role::Signer, signer}, index, true, milliseconds(50))};
  return options;
}

// Every block that was mined is lost again once, with the payments in it.
StoryOptions node_dies_with_payments() {
  StoryOptions options;
  options.world.flush_every = 100;
  options.bound = seconds(20);
  Fault fault;
  fault.kind = FaultKind::KillNode;
  fault.at = milliseconds(1500);
  options.faults = {fault};
  return options;
}

}  // namespace

TEST_CASE("a share released before its record is durable is reported when the signer dies") {
  bool reported = false;
  for (std::uint16_t signer = 0; signer < Shape{}.signers && !reported; ++signer) {
    StoryOptions options;
    options.plants.lying_disks = {signer};
    if (!reports(run_story(options), "share-has-its-record")) continue;
    const Outcome outcome = run_story(killed_after_first_share(signer));
    REQUIRE(outcome.counts.kills == 1);
    bool lost = false;
    for (const Violation& violation : outcome.violations) {
      lost = lost || violation.text.find("a share without a record") != std::string::npos;
    }
    CHECK(lost);
    reported = true;
  }
  CHECK(reported);
}

TEST_CASE("a client that changes its payload under a key is refused and nothing changes") {
  StoryOptions options;
  options.conflict_per_mille = 1000;
  const Outcome outcome = require_green(options);
  std::size_t refused = 0;
  for (const Answer& answer : outcome.records.answers) {
    if (answer.same_payload) continue;
    CHECK(answer.status == 422);
    CHECK(answer.problem == "idempotency-key-reused");
    ++refused;
  }
  CHECK(refused == 3);
}

TEST_CASE("payments in un-mined blocks are made again") {
  const Outcome outcome = require_green(node_dies_with_payments());
  CHECK(outcome.counts.unmined_payments >= 2);
}

// A block that the books did not know yet excused the absence of every payment, and where blocks
// come as fast as polls there always is one. Shrunk from what a harmless mutant brought out.
TEST_CASE("a payment that the node lost is sent again though blocks come faster than polls") {
  (void)require_green_text(
      "seed 10\ncoordinators 3\nengine 16962..17837\nnode 5756..9981\nblock_interval 70000\n"
      "fault kill_node at=1301363\n"
      "fault split_node at=314601 down=996000 a=coordinator-2\n");
}

TEST_CASE("a confirmation taken as final loses the payment, and that is reported") {
  StoryOptions options = node_dies_with_payments();
  options.plants.lose = [](ProcessName, ProcessName, const wire::Message& message) {
    const auto* submit = std::get_if<wire::LedgerSubmit>(&message);
    return submit != nullptr &&
           std::holds_alternative<wire::BlockDisconnected>(submit->command.body);
  };
  const Outcome outcome = run_story(options);
  CHECK(outcome.counts.unmined_payments >= 2);
  CHECK(reports(outcome, "no-lost-withdrawal"));
  CHECK(reports(outcome, "chain-matches-ledger"));
}

TEST_CASE("a broadcast done once and for ever loses the payment, and that is reported") {
  StoryOptions options = node_dies_with_payments();
  auto sent = std::make_shared<std::set<Hash32>>();
  options.plants.swallow_send = [sent](const coordinator::SendTransaction& send) {
    return !sent->insert(send.txid).second;
  };
  CHECK(reports(run_story(options), "no-lost-withdrawal"));
}

TEST_CASE("each check of the judge bites on a tampered record") {
  const Records good = require_green({}).records;
  const auto judged = [](const Records& records) {
    Outcome outcome;
    outcome.violations = judge(records);
    return outcome;
  };
  const auto tampered = [&](const std::string& id, auto&& tamper) {
    Records records = good;
    tamper(records);
    INFO(id);
    CHECK(reports(judged(records), id));
  };
  CHECK(judge(good).empty());
  const auto signing = [](Records& records) -> signer::SigningRecord& {
    for (JournalRecord& journal : records.journals) {
      if (journal.records.size() < 2) continue;
      return std::get<signer::SigningRecord>(journal.records[1].body);
    }
    FAIL("nobody signed");
    throw 0;
  };
  tampered("no-duplicate-payment", [](Records& records) {
    records.chain[5].transactions.push_back({});
    records.chain[5].transactions.back().outputs = {
        {records.keys[0].amount_sat, records.keys[0].script}};
  });
  tampered("no-lost-withdrawal", [](Records& r) { r.chain.resize(r.chain.size() - 3); });
  tampered("no-lost-withdrawal", [](Records& r) { r.settled = false; });
  tampered("idempotency-key-respected", [](Records& r) { r.answers.back().txid = Hash32{1}; });
  tampered("idempotency-key-respected", [](Records& r) { r.answers.back().id = {}; });
  tampered("idempotency-key-respected", [](Records& r) { r.answers.back().same_payload = false; });
  tampered("no-conflicting-signature", [&](Records& r) { signing(r).txid = Hash32{1}; });
  tampered("nonce-never-reused", [&](Records& r) {
    signer::Record again = r.journals[0].records[0];
    again.body = signing(r);
    std::get<signer::SigningRecord>(again.body).session_digest = Hash32{2};
    r.journals[0].records.push_back(again);
  });
  tampered("nonce-never-reused", [](Records& r) {
    r.shares.push_back(r.shares[0]);
    r.shares.back().share.shares[0][0] ^= 1;
  });
  tampered("share-has-its-record", [](Records& r) { r.shares[0].durable_on_arrival = false; });
  tampered("share-has-its-record", [&](Records& r) { signing(r).session_digest = Hash32{1}; });
  tampered("recovery-equality", [](Records& r) { r.journals[0].live_digest = Hash32{1}; });
  tampered("recovery-equality", [](Records& r) { r.ledgers[2].replayed_digest = Hash32{1}; });
  tampered("ledger-replicas-agree", [](Records& r) { r.ledgers[1].digest = Hash32{1}; });
  tampered("ledger-replicas-agree", [](Records& r) { r.ledgers[1].index -= 1; });
  tampered("books-balance", [](Records& r) { r.ledgers[0].balances[0].amount_sat += 1; });
  tampered("books-balance", [](Records& r) { r.node_wallet_sat -= 1; });
  tampered("chain-matches-ledger", [](Records& r) { r.ledgers[0].tip.hash = Hash32{1}; });
  tampered("no-partial-transaction", [](Records& r) { r.broadcasts[0].bytes.pop_back(); });
  tampered("no-partial-transaction", [](Records& r) {
    r.ledgers[0].withdrawals[0].state = wire::WithdrawalState::Broadcast;
  });
  tampered("signing-policy-respected", [&](Records& r) {
    signing(r).inputs[0].prevout.amount_sat += 1;
  });
  tampered("signing-policy-respected", [&](Records& r) { signing(r).payload_digest[0] ^= 1; });
  tampered("signing-policy-respected", [&](Records& r) {
    for (std::size_t signer = 0; signer < r.journals.size(); ++signer)
      r.forbidden_sessions.insert({signing(r).session_digest, signer});
  });
  tampered("limits-respected", [](Records& r) { r.limits[0].value = r.limits[0].bound + 1; });
  tampered("no-conflicting-signature", [&](Records& r) {  // a roll-back hides nothing
    r.journals[0].taken.push_back(r.journals[0].records[0]);
    r.journals[0].taken.back().body = signing(r);
    std::get<signer::SigningRecord>(r.journals[0].taken.back().body).txid = Hash32{1};
  });
  const auto opened = [](const Records& records) {
    for (std::size_t i = 0; i < records.notes.size(); ++i) {
      const auto* fact = std::get_if<coordinator::Fact>(&records.notes[i].what);
      if (fact != nullptr && std::holds_alternative<coordinator::SessionOpened>(*fact)) return i;
    }
    FAIL("nobody opened a session");
    throw 0;
  };
  tampered("limits-respected", [&](Records& r) {
    const std::size_t first = opened(r);  // a twin of it, before anybody answered
    const CoordinatorNote twin = r.notes[first];
    r.notes.insert(r.notes.begin() + static_cast<std::ptrdiff_t>(first), twin);
  });
  tampered("takeover-reads-first", [&](Records& r) {
    CoordinatorNote foreign = r.notes[opened(r)];
    foreign.coordinator = CoordinatorId(1 - foreign.coordinator.value());
    r.notes.push_back(foreign);
  });
  tampered("orderly-stop-finishes", [](Records& r) { r.unfinished_stops = {"signer-0"}; });
  tampered("no-conflicting-signature", [](Records& r) {
    r.templates.begin()->second.insert(Hash32{1});
  });
  tampered("no-conflicting-signature", [](Records& r) {
    auto& views = r.ledgers[0].withdrawals;
    views[0].planned->unsigned_tx = views[1].planned->unsigned_tx;
  });
  tampered("incident", [](Records& r) { r.incidents.emplace_back("something"); });
}

}  // namespace roulette::sim
