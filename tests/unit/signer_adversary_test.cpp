// Tests against coordinators that lie, replay, conflict and send noise, over restarts.
//
// The host checks at every share what must hold for ever (signer_host.h); these tests supply the
// schedules. All draws come from a seed that is captured.
#include <catch2/catch.hpp>

#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using wire::RefusalReason;

namespace {

// Two coordinators, four withdrawals over shared coins, each in two versions; every request is
// remembered and may come again at any time, over any connection, after any number of restarts.
class Mayhem {
 public:
  explicit Mayhem(std::uint64_t seed) : random_(seed) {
    host_.commit_at_once(false);
    reconnect();
  }
  void act() {
    const std::uint64_t draw = random_.next() % 40;
    if (draw == 0)
      restart();
    else if (draw == 1)
      lose_one();
    else if (draw < 10)
      host_.make_durable(random_.next() % (host_.waiting_records() + 1));
    else if (draw < 15)
      host_.receive(side(), wire::NonceRequest{2});
    else if (draw < 20)
      replay();
    else if (draw < 23)
      splice();
    else
      ask();
    collect();
  }
  [[nodiscard]] SignerHost& host() { return host_; }
  [[nodiscard]] int shares() const { return shares_; }

 private:
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[random_.next() % from.size()];
  }
  ConnectionId side() { return connections_[random_.next() % 2]; }
  void reconnect() { connections_ = {host_.connect(0), host_.connect(1)}; }
  void lose_one() {
    const std::size_t which = random_.next() % 2;
    host_.lose(connections_[which]);
    connections_[which] = host_.connect(static_cast<std::uint16_t>(which));
  }
  void restart() {
    host_.crash();
    host_.make_durable();
    reconnect();
  }
  void collect() {
    for (const ConnectionId connection : connections_) {
      while (const auto message = host_.take(connection)) {
        if (const auto* batch = std::get_if<wire::NonceBatch>(&*message))
          for (const wire::PubNonce& nonce : batch->nonces) nonces_.emplace_back(connection, nonce);
        const auto* response = std::get_if<wire::SignResponse>(&*message);
        if (response == nullptr) continue;
        shares_ += 1;
        for (const wire::PubNonce& nonce : response->next_nonces)
          nonces_.emplace_back(connection, nonce);
      }
    }
  }
  Payment some_payment() {
    Payment pays =
        payment(static_cast<std::uint8_t>(1 + random_.next() % 2), 1 + random_.next() % 2);
    if (random_.next() % 3 == 0) pays = rebuilt(pays);
    if (random_.next() % 3 == 0)
      pays.id = payment(static_cast<std::uint8_t>(1 + random_.next() % 4)).id;
    if (random_.next() % 8 == 0) pays.prevouts[0].amount_sat += 1;
    return pays;
  }
  void ask() {
    if (nonces_.empty()) return;
    const Payment pays = some_payment();
    std::vector<wire::PubNonce> own;
    ConnectionId over = side();
    // Mostly the newest and over their own connection, for others are mostly dead.
    for (std::size_t i = 0; i < pays.tx.inputs.size(); ++i) {
      const std::size_t recent = std::min<std::size_t>(nonces_.size(), 6);
      const auto& [connection, nonce] = nonces_[nonces_.size() - 1 - random_.next() % recent];
      own.push_back(nonce);
      if (random_.next() % 8 != 0) over = connection;
    }
    asked_.push_back(host_.request(pays, own));
    host_.receive(over, asked_.back());
  }
  void replay() {
    if (!asked_.empty()) host_.receive(side(), pick(asked_));
  }
  // Half of one request in another.
  void splice() {
    if (asked_.empty()) return;
    wire::SignRequest mixed = pick(asked_);
    const wire::SignRequest& other = pick(asked_);
    if (random_.next() % 2 == 0)
      mixed.signers = other.signers;
    else
      mixed.unsigned_tx = other.unsigned_tx;
    host_.receive(side(), mixed);
  }

  SeededEntropy random_;
  SignerHost host_;
  std::vector<ConnectionId> connections_;
  std::vector<std::pair<ConnectionId, wire::PubNonce>> nonces_;  // and who got them
  std::vector<wire::SignRequest> asked_;
  int shares_ = 0;
};

}  // namespace

TEST_CASE("under random requests, replays, kills and slow disks no rule is ever broken",
          "[signer]") {
  int shares = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Mayhem mayhem(seed);
    for (int i = 0; i < 300; ++i) mayhem.act();
    shares += mayhem.shares();
  }
  CHECK(shares > 200);  // the schedules do reach the signing
}

TEST_CASE("requests with random bytes changed neither crash the signer nor get signed wrongly",
          "[signer]") {
  SeededEntropy random(77);
  SignerHost host;
  const auto connection = host.connect();
  for (int i = 0; i < 400; ++i) {
    auto request =
        host.request(payment(static_cast<std::uint8_t>(i), 2), host.nonces(connection, 2));
    Bytes* const fields[] = {&request.unsigned_tx, &request.prevouts[random.next() % 2].script};
    Bytes& field = *fields[random.next() % 2];
    switch (random.next() % 4) {
      case 0:
        field[random.next() % field.size()] ^= static_cast<std::uint8_t>(1 + random.next() % 255);
        break;
      case 1:
        field.resize(random.next() % field.size());
        break;
      case 2:
        request.signers[random.next() % 3].nonces[random.next() % 2][random.next() % 66] ^= 1;
        break;
      default:
        request.prevouts[0].amount_sat = static_cast<std::int64_t>(random.next());
        break;
    }
    host.receive(connection, request);
    const auto message = host.take(connection);
    REQUIRE(message.has_value());
  }
}

TEST_CASE("a session replayed after the kill of its signer does not come back to life",
          "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  auto replayed = host.ask(connection, payment(1));
  REQUIRE(host.take<wire::SignResponse>(connection).has_value());
  host.crash();
  const auto again = host.connect();
  CHECK(refusal(host, again, replayed) == RefusalReason::StaleEpoch);
  for (auto& signer : replayed.signers)
    if (signer.id == host.id()) signer.epoch = host.boot();
  CHECK(refusal(host, again, replayed) == RefusalReason::UnknownNonce);
}

TEST_CASE("two coordinators that race with one conflict in one batch get one share", "[signer]") {
  SignerHost host;
  const auto a = host.connect(0);
  const auto b = host.connect(1);
  const auto of_a = host.nonces(a, 1);
  const auto of_b = host.nonces(b, 1);
  host.commit_at_once(false);
  host.receive(a, host.request(payment(1), of_a));
  host.receive(b, host.request(rebuilt(payment(1)), of_b));
  host.make_durable();
  CHECK(host.take<wire::SignResponse>(a).has_value());
  CHECK(host.take<wire::SignRefusal>(b).has_value());
  CHECK(host.length() == 2);
}
