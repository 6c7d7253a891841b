// What a machine may rely on, whatever the scheme: the same sentences hold for frost and for the
// simulator's stand-in, so a story told with the stand-in takes the paths it takes with frost; and
// for a wallet with a stock of nonces.
#include <set>

#include "chaos/sim/remembered_scheme.h"
#include "chaos/sim/sim_entropy.h"
#include "chaos/sim/stand_in.h"
#include "chaos/sim/stocked_wallet.h"
#include "tests/sim/sim_check.h"

namespace roulette::sim {
namespace {

using crypto::BadShares;
using crypto::InvalidNonce;
using crypto::KeyShare;
using crypto::SecretNonce;
using crypto::SigningSessionPtr;

enum class Kind : std::uint8_t { Frost, Stocked, StandIn };
constexpr Kind kKinds[] = {Kind::Frost, Kind::Stocked, Kind::StandIn};

Wallet wallet_of(Kind kind, std::uint16_t n, std::uint16_t t) {
  if (kind == Kind::StandIn) return wallet_of(SimScheme::StandIn, n, t);
  const Wallet& frost = wallet_of(SimScheme::Frost, n, t);
  return kind == Kind::Stocked ? stocked(frost, no_nonces_drawn()) : frost;
}

struct Round {
  std::vector<SecretNonce> secrets;
  std::vector<Bytes> nonces;
  SigningSessionPtr session;
};

std::vector<SignerId> ids_of(std::initializer_list<std::uint16_t> ids) {
  std::vector<SignerId> out;
  for (const std::uint16_t id : ids) out.emplace_back(id);
  return out;
}
std::vector<ByteSpan> spans(const std::vector<Bytes>& of) { return {of.begin(), of.end()}; }

Round open(const Wallet& wallet, const std::vector<SignerId>& ids, const Hash32& message,
           std::uint64_t seed) {
  SimEntropy entropy(seed);
  Round round;
  for (const SignerId id : ids) {
    auto made = wallet.shares[id.value()]->make_nonce(entropy, *wallet.group, {});
    REQUIRE(made.ok());
    round.nonces.push_back(made->public_nonce());
    round.secrets.push_back(std::move(made).value());
  }
  const auto set = wallet.group->signer_set(ids);
  REQUIRE(set.ok());
  auto opened = (*set)->open(spans(round.nonces), message);
  REQUIRE(opened.ok());
  round.session = std::get<SigningSessionPtr>(std::move(opened).value());
  return round;
}

std::vector<Bytes> sign(const Wallet& wallet, const std::vector<SignerId>& ids, Round& round) {
  std::vector<Bytes> shares;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto share =
        wallet.shares[ids[i].value()]->sign(std::move(round.secrets[i]), *round.session);
    REQUIRE(share.ok());
    shares.push_back(*share);
  }
  return shares;
}

Hash32 message_of(std::uint8_t first) { return Hash32{first, 2, 3}; }

}  // namespace

TEST_CASE("any t signers of a group make a signature that verifies under its wallet's key alone") {
  for (const Kind kind : kKinds) {
    const Wallet wallet = wallet_of(kind, 5, 3);
    const crypto::Scheme& by = wallet.group->scheme();
    for (const auto& ids : {ids_of({0, 1, 2}), ids_of({0, 2, 4}), ids_of({0, 1, 2, 3, 4})}) {
      Round round = open(wallet, ids, message_of(1), 7);
      const auto made = round.session->aggregate(spans(sign(wallet, ids, round)));
      REQUIRE(made.ok());
      const Bytes* signature = std::get_if<Bytes>(&*made);
      REQUIRE(signature != nullptr);
      CHECK(signature->size() == by.facts().signature_size);
      const Hash32 message = message_of(1);
      CHECK(by.verify(wallet.group->wallet_key(), message, *signature));
      CHECK_FALSE(by.verify(wallet.group->wallet_key(), message_of(2), *signature));
      CHECK_FALSE(by.verify(wallet_of(kind, 4, 3).group->wallet_key(), message, *signature));
      const auto key = wallet.group->threshold_key();
      CHECK_FALSE(by.verify(ByteSpan(key).last(32), message, *signature));  // untweaked
      for (std::size_t i = 0; i < signature->size(); ++i) {
        Bytes bent = *signature;
        bent[i] ^= 1;
        CHECK_FALSE(by.verify(wallet.group->wallet_key(), message, bent));
      }
      CHECK_FALSE(by.verify(wallet.group->wallet_key(), message, ByteSpan(*signature).first(63)));
    }
  }
}

TEST_CASE("a bad share convicts its signer and nobody else") {
  for (const Kind kind : kKinds) {
    const Wallet wallet = wallet_of(kind, 5, 3);
    const auto ids = ids_of({1, 3, 4});
    Round round = open(wallet, ids, message_of(1), 8);
    const std::vector<Bytes> good = sign(wallet, ids, round);
    for (std::size_t i = 0; i < ids.size(); ++i)
      CHECK(round.session->verify_share(ids[i], good[i]));
    CHECK_FALSE(round.session->verify_share(SignerId(0), good[0]));  // not in the set
    CHECK_FALSE(round.session->verify_share(ids[0], good[1]));       // another's share
    for (const bool short_one : {false, true}) {
      std::vector<Bytes> shares = good;
      if (short_one) shares[1].pop_back();
      if (!short_one) shares[1].back() ^= 1;
      const auto made = round.session->aggregate(spans(shares));
      REQUIRE(made.ok());
      const auto* bad = std::get_if<BadShares>(&*made);
      REQUIRE(bad != nullptr);
      REQUIRE(bad->blamed.size() == 1);
      CHECK(bad->blamed[0].signer == ids[1]);
      Bytes proof = round.nonces[1];
      append(proof, shares[1]);
      CHECK(bad->blamed[0].proof == proof);
    }
    CHECK_FALSE(round.session->aggregate(spans({good[0], good[1]})).ok());
  }
}

TEST_CASE("a share of another session is a bad share") {
  for (const Kind kind : kKinds) {
    const Wallet wallet = wallet_of(kind, 5, 3);
    const auto ids = ids_of({0, 1, 2});
    Round first = open(wallet, ids, message_of(1), 9);
    Round other_message = open(wallet, ids, message_of(2), 9);  // the same nonces
    Round other_nonces = open(wallet, ids, message_of(1), 10);
    const auto shares = sign(wallet, ids, first);
    CHECK_FALSE(other_message.session->verify_share(ids[0], shares[0]));
    CHECK_FALSE(other_nonces.session->verify_share(ids[0], shares[0]));
    const auto wider = ids_of({0, 1, 2, 3});
    CHECK_FALSE(open(wallet, wider, message_of(1), 9).session->verify_share(ids[0], shares[0]));
  }
}

TEST_CASE("a secret nonce makes one share, and is gone also when the share is refused") {
  for (const Kind kind : kKinds) {
    const Wallet wallet = wallet_of(kind, 5, 3);
    const auto ids = ids_of({0, 1, 2});
    Round round = open(wallet, ids, message_of(1), 11);
    const Round foreign = open(wallet, ids, message_of(1), 12);
    const KeyShare& share = *wallet.shares[0];
    const KeyShare& outsider = *wallet.shares[4];
    SecretNonce& nonce = round.secrets[0];
    CHECK_FALSE(nonce.used());
    REQUIRE(share.sign(std::move(nonce), *round.session).ok());
    CHECK(nonce.used());
    CHECK(nonce.public_nonce().empty());
    CHECK_FALSE(share.sign(std::move(nonce), *round.session).ok());
    // The session lists another nonce for this signer; the signer is not in the set.
    CHECK_FALSE(wallet.shares[1]->sign(std::move(round.secrets[1]), *foreign.session).ok());
    CHECK(round.secrets[1].used());
    CHECK_FALSE(outsider.sign(std::move(round.secrets[2]), *round.session).ok());
    CHECK(round.secrets[2].used());
  }
}

TEST_CASE("nonces that are no points are named, signer sets that cannot sign refused") {
  for (const Kind kind : kKinds) {
    const Wallet wallet = wallet_of(kind, 5, 3);
    const auto ids = ids_of({0, 1, 2});
    const Round round = open(wallet, ids, message_of(1), 13);
    const auto set = wallet.group->signer_set(ids).value();
    Bytes cut = round.nonces[1];
    cut.pop_back();
    for (const Bytes& wrong : {Bytes(round.nonces[1].size(), 0), cut, Bytes{}}) {
      std::vector<Bytes> nonces = round.nonces;
      nonces[1] = wrong;
      const auto opened = set->open(spans(nonces), message_of(1));
      REQUIRE(opened.ok());
      const auto* invalid = std::get_if<InvalidNonce>(&*opened);
      REQUIRE(invalid != nullptr);
      CHECK(invalid->index == 1);
      CHECK(invalid->proof == wrong);
    }
    CHECK_FALSE(set->open(spans({round.nonces[0], round.nonces[1]}), message_of(1)).ok());
    for (const auto& wrong : {ids_of({0, 1}), ids_of({0, 1, 1}), ids_of({0, 1, 5})})
      CHECK_FALSE(wallet.group->signer_set(wrong).ok());
    CHECK(wallet.group->public_share(SignerId(5)).empty());
  }
}

TEST_CASE("what one scheme made is refused by the other") {
  const Wallet& frost = wallet_of(SimScheme::Frost, 5, 3);
  const Wallet& other = wallet_of(SimScheme::StandIn, 5, 3);
  const auto ids = ids_of({0, 1, 2});
  Round real = open(frost, ids, message_of(1), 14);
  Round false_one = open(other, ids, message_of(1), 14);
  CHECK_FALSE(frost.shares[0]->sign(std::move(false_one.secrets[0]), *real.session).ok());
  CHECK_FALSE(frost.shares[0]->sign(std::move(real.secrets[0]), *false_one.session).ok());
  CHECK_FALSE(other.shares[1]->sign(std::move(real.secrets[1]), *false_one.session).ok());
  CHECK_FALSE(other.shares[1]->sign(std::move(false_one.secrets[1]), *real.session).ok());
}

TEST_CASE("a reused nonce shows: two sessions list the same bytes, and its shares differ") {
  const Wallet& wallet = wallet_of(SimScheme::StandIn, 5, 3);
  const auto ids = ids_of({0, 1, 2});
  Round first = open(wallet, ids, message_of(1), 15);
  Round second = open(wallet, ids, message_of(2), 15);  // the same entropy: the same nonces
  CHECK(first.nonces == second.nonces);
  const auto one = sign(wallet, ids, first);
  const auto two = sign(wallet, ids, second);
  CHECK(one != two);
  Round fresh = open(wallet, ids, message_of(1), 16);
  CHECK(fresh.nonces != first.nonces);
}

TEST_CASE("groups whose quorums may not meet are named") {
  for (const Kind kind : kKinds)
    CHECK(wallet_of(kind, 5, 3).group->check_quorums_meet().ok());
  SimEntropy entropy(1);
  CHECK_FALSE(deal_stand_in(4, 2, entropy).group->check_quorums_meet().ok());
}

TEST_CASE("a remembered verification is asked once and answers as the real one") {
  struct Counting final : crypto::Scheme {
    const crypto::SchemeFacts& facts() const override { return crypto::frost_scheme().facts(); }
    bool verify(ByteSpan, ByteSpan message, ByteSpan) const override {
      ++asked;
      return message[0] == 1;
    }
    mutable int asked = 0;
  };
  const Counting real;
  const RememberedScheme scheme(real);
  const Hash32 key{9};
  const Hash32 good{1};
  const Hash32 bad{2};
  const Bytes signature(64, 5);
  for (int i = 0; i < 3; ++i) {
    CHECK(scheme.verify(key, good, signature));
    CHECK_FALSE(scheme.verify(key, bad, signature));
  }
  CHECK(real.asked == 2);
  CHECK(scheme.verify(key, good, Bytes(64, 6)));
  CHECK(scheme.verify(good, good, signature));
  CHECK(real.asked == 4);
}

TEST_CASE("a hundred seeds settle with the stand-in, and tell another story than with frost") {
  std::size_t kills = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    StoryOptions options = draw_story(seed);
    options.world.scheme = SimScheme::StandIn;
    const Outcome outcome = require_green(options);
    kills += outcome.counts.kills;
    if (seed > 3) continue;
    options.world.scheme = SimScheme::Frost;
    CHECK(run_story(options).trace_hash != outcome.trace_hash);  // journals hold other nonces
  }
  CHECK(kills > 150);
}

TEST_CASE("a stock hands out no nonce twice in one run, and at its end goes on as live") {
  const Wallet& dealt = wallet_of(SimScheme::Frost, 5, 3);
  const Wallet run = stocked(dealt, no_nonces_drawn());
  const Wallet another = stocked(dealt, no_nonces_drawn());
  SimEntropy entropy(1);
  std::set<Bytes> seen;
  Bytes first;
  for (std::size_t i = 0; i < kStockedNonces + 10; ++i) {
    const auto made = run.shares[i % 5]->make_nonce(entropy, *run.group, {});
    REQUIRE(made.ok());
    if (i == 0) first = made->public_nonce();
    if (!seen.insert(made->public_nonce()).second) FAIL("nonce " << i << " came twice");
  }
  CHECK(another.shares[3]->make_nonce(entropy, *another.group, {})->public_nonce() == first);
}

// A machine that keeps its epoch and begins its entropy anew must be caught, not helped.
TEST_CASE("a stock gives the same nonce for the same random bytes, signer and context alone") {
  const Wallet run = stocked(wallet_of(SimScheme::Frost, 5, 3), no_nonces_drawn());
  const auto made = [&run](std::uint16_t signer, std::uint64_t seed, std::uint8_t context) {
    SimEntropy entropy(seed);
    const Bytes bytes{context};
    return run.shares[signer]->make_nonce(entropy, *run.group, bytes)->public_nonce();
  };
  CHECK(made(0, 1, 1) == made(0, 1, 1));
  CHECK(made(0, 1, 1) != made(0, 2, 1));
  CHECK(made(0, 1, 1) != made(0, 1, 2));
  CHECK(made(0, 1, 1) != made(1, 1, 1));
}

TEST_CASE("a session is opened once for all its signers, and another message is another session") {
  const Wallet run = stocked(wallet_of(SimScheme::Frost, 5, 3), no_nonces_drawn());
  const auto ids = ids_of({0, 1, 2});
  Round round = open(run, ids, message_of(1), 3);
  const auto set = run.group->signer_set(ids).value();
  auto again = std::get<SigningSessionPtr>(set->open(spans(round.nonces), message_of(1)).value());
  auto other = std::get<SigningSessionPtr>(set->open(spans(round.nonces), message_of(2)).value());
  const auto shares = sign(run, ids, round);
  CHECK(again->verify_share(ids[0], shares[0]));
  CHECK_FALSE(other->verify_share(ids[0], shares[0]));
  std::swap(round.nonces[0], round.nonces[1]);
  other = std::get<SigningSessionPtr>(set->open(spans(round.nonces), message_of(1)).value());
  CHECK_FALSE(other->verify_share(ids[0], shares[0]));
}

}  // namespace roulette::sim
