// Random command streams from a printed seed: what must hold whatever comes, in whatever order.
#include <algorithm>

#include "tests/unit/ledger_story.h"

namespace roulette::ledger {
namespace {

using wire::WithdrawalState;

class Dice {  // splitmix64
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }

 private:
  std::uint64_t state_;
};

// What was seen of each withdrawal once must be true for ever.
class Memory {
 public:
  void look(const State& state) {
    for (const wire::WithdrawalView& view : state.all()) {
      Seen& seen = seen_[view.key];
      if (view.planned) {
        if (seen.txid == Hash32{}) seen.txid = view.planned->txid;
        CHECK(seen.txid == view.planned->txid);
        CHECK(view.planned->fee_sat <= state.genesis()->withdrawal_fee_sat);
      } else {
        CHECK(seen.txid == Hash32{});
      }
      if (!seen.signed_tx.empty()) CHECK(seen.signed_tx == view.signed_tx);
      seen.signed_tx = view.signed_tx;
      if (seen.rejected) CHECK(view.state == WithdrawalState::Rejected);
      seen.rejected = view.state == WithdrawalState::Rejected;
      const bool mined =
          view.state == WithdrawalState::Confirmed || view.state == WithdrawalState::Settled;
      CHECK(mined == (view.height != 0));
    }
    const auto now = state.reservations();
    CHECK(now.size() >= reservations_);
    reservations_ = now.size();
    std::map<bitcoin::OutPoint, bool> reserved;
    for (const Reservation& line : now) reserved[line.outpoint] = true;
    for (const CoinView& coin : state.coins()) {
      if (!coin.selectable) continue;
      CHECK(coin.height != 0);
      CHECK_FALSE(reserved.contains(coin.outpoint));
    }
  }

 private:
  struct Seen {
    Hash32 txid{};
    Bytes signed_tx;
    bool rejected = false;
  };
  std::map<std::string, Seen> seen_;
  std::size_t reservations_ = 0;
};

class RandomRun {
 public:
  explicit RandomRun(std::uint64_t seed) : dice_(seed) {}

  void run(int steps) {
    story_.fund(4, 400'000);
    for (int i = 0; i < steps; ++i) {
      step();
      if (i % 10 == 0) memory_.look(story_.state);
      if (i % 40 == 0) check_books(story_.state, story_.postings);
    }
    memory_.look(story_.state);
    check_books(story_.state, story_.postings);
  }
  [[nodiscard]] std::size_t settled() const {
    const auto all = story_.state.all();
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& view) {
      return view.state == WithdrawalState::Settled;
    }));
  }
  [[nodiscard]] const std::vector<wire::Command>& log() const { return story_.log(); }

 private:
  void step() {
    switch (dice_.below(12)) {
      case 0:
      case 1:
      case 2:
        return withdraw();
      case 3:
      case 4:
      case 5:
        return advance();
      case 6:
      case 7:
      case 8:
        return mine();
      case 9:
        return deposit();
      case 10:
        return unmine();
      case 11:
        return nonsense();
      default:
        return;
    }
  }
  std::string some_key() { return "k" + std::to_string(dice_.below(60)); }
  void withdraw() {
    const std::string key = some_key();
    const std::int64_t amount = 500 + static_cast<std::int64_t>(dice_.below(200'000));
    const bool known = story_.state.by_key(key).has_value();
    const bool same = known && dice_.below(2) == 0;
    const Applied applied = story_.withdraw(key, same ? story_.view(key).amount_sat : amount,
                                            dice_.below(3) == 0 ? "bob" : "alice");
    CHECK(known == (applied.outcome.kind == wire::OutcomeKind::Duplicate ||
                    applied.outcome.kind == wire::OutcomeKind::KeyConflict));
  }
  // Signs or broadcasts something that waits for it.
  void advance() {
    const auto open = story_.state.unfinished();
    if (open.empty()) return;
    const wire::WithdrawalView& view = open[dice_.below(open.size())];
    if (view.state == WithdrawalState::Planned && dice_.below(10) > 0)
      sign(view.key);
    else if (view.planned)
      (void)story_.broadcast(view.key);
  }
  void sign(const std::string& key) {
    wire::Signed command = story_.signed_command(key);
    for (std::uint16_t signer = 0; signer < 3; ++signer) {
      const std::uint64_t length = dice_.below(40);
      const auto epoch = static_cast<std::uint32_t>(1 + dice_.below(4));
      command.journals.push_back(
          {SignerId(signer), length, hash_of("head " + std::to_string(length / 3)), epoch});
    }
    CHECK(story_.give(command).outcome.kind == wire::OutcomeKind::Applied);
  }
  // A block with some of what the mempool may hold, parents first.
  void mine() {
    std::vector<Hash32> txids;
    std::map<Hash32, bool> unmined_parent;
    for (const wire::WithdrawalView& view : story_.state.unfinished()) {
      if (!view.planned || view.height != 0) continue;
      bool parents_mined = true;
      for (const Hash32& parent : view.parents) {
        for (const auto& other : story_.state.unfinished()) {
          if (other.planned && other.planned->txid == parent && other.height == 0)
            parents_mined = false;
        }
      }
      const bool sent =
          view.state == WithdrawalState::Broadcast || view.state == WithdrawalState::Signed;
      if (sent && parents_mined && dice_.below(3) > 0) txids.push_back(view.planned->txid);
    }
    (void)story_.mine(txids);
  }
  void deposit() {
    if (dice_.below(3) > 0) return;
    (void)story_.deposit(1 + dice_.below(3),
                         50'000 + static_cast<std::int64_t>(dice_.below(300'000)), 1);
  }
  void unmine() {
    if (dice_.below(2) > 0) return;
    for (std::uint64_t n = 1 + dice_.below(5); n > 0 && story_.height() > 0; --n)
      (void)story_.unmine();
  }
  void nonsense() {
    switch (dice_.below(5)) {
      case 0:
        (void)story_.give(wire::BlockDisconnected{hash_of("never seen")});
        return;
      case 1:
        (void)story_.give(wire::BlockConnected{hash_of("x"), hash_of("y"), 7, {}, {}});
        return;
      case 2:
        (void)story_.give(wire::Checkpoint{LedgerId(1), 64, hash_of("z")});
        return;
      case 3:
        (void)story_.give(test_genesis());
        return;
      default: {
        wire::Signed command;
        command.signatures.resize(dice_.below(3));
        const auto open = story_.state.unfinished();
        if (!open.empty()) command.withdrawal_id = open[0].id;
        if (!open.empty() && open[0].planned) command.txid = open[0].planned->txid;
        CHECK(story_.give(command).outcome.kind != wire::OutcomeKind::Applied);
      }
    }
  }

  Dice dice_;
  Story story_;
  Memory memory_;
};

TEST_CASE("money, reservations and templates hold under 60 random command streams") {
  std::size_t settled = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    RandomRun run(seed);
    run.run(300);
    settled += run.settled();
  }
  CHECK(settled > 300);  // the streams reach the end of the life cycle, not only its refusals
}

TEST_CASE("every prefix of a stream replays to the digest it had live") {
  RandomRun run(4711);
  run.run(300);
  State live;
  std::vector<Hash32> digests;
  for (const wire::Command& command : run.log()) {
    (void)live.apply(command);
    digests.push_back(live.digest());
  }
  for (std::size_t length = 1; length <= digests.size(); length += 37) {
    State replayed;
    for (std::size_t i = 0; i < length; ++i) (void)replayed.apply(run.log()[i]);
    CHECK(replayed.digest() == digests[length - 1]);
  }
}

// All that can be asked of a state.
void require_same(const State& a, const State& b) {
  REQUIRE(a.digest() == b.digest());
  REQUIRE(a.all() == b.all());
  REQUIRE(a.unfinished() == b.unfinished());
  REQUIRE(a.reservations() == b.reservations());
  REQUIRE(a.balances() == b.balances());
  REQUIRE(a.journal_heads() == b.journal_heads());
  REQUIRE(a.genesis() == b.genesis());
  REQUIRE(a.tip() == b.tip());
  REQUIRE(a.closed() == b.closed());
  REQUIRE(a.refused_after_end() == b.refused_after_end());
  const auto coins = a.coins();
  const auto others = b.coins();
  REQUIRE(coins.size() == others.size());
  for (std::size_t i = 0; i < coins.size(); ++i) {
    REQUIRE(coins[i].outpoint == others[i].outpoint);
    REQUIRE(coins[i].amount_sat == others[i].amount_sat);
    REQUIRE(coins[i].change == others[i].change);
    REQUIRE(coins[i].height == others[i].height);
    REQUIRE(coins[i].selectable == others[i].selectable);
  }
}

void require_same(const Applied& a, const Applied& b) {
  REQUIRE(a.outcome == b.outcome);
  REQUIRE(a.changed == b.changed);
  REQUIRE(a.postings == b.postings);
}

State restored(const State& state) {
  const Bytes bytes = state.encode();
  auto again = State::decode(bytes);
  REQUIRE(again.ok());
  REQUIRE(again->encode() == bytes);
  return std::move(again).value();
}

// The rest of a log whose commands come with their outcomes: what the end of a run adds.
std::vector<wire::Command> whole_log(std::uint64_t seed) {
  RandomRun run(seed);
  run.run(300);
  std::vector<wire::Command> log = run.log();
  log.push_back({{}, wire::EndOfRun{}});
  Story late;
  log.push_back({{}, late.withdraw_command("behind the end", 50'000)});
  return log;
}

TEST_CASE("a state restored from its snapshot at every index is the replayed one at every index") {
  for (std::uint64_t seed = 100; seed < 112; ++seed) {
    INFO("seed " << seed);
    State live;
    State hopping;  // encoded and decoded between any two commands
    for (const wire::Command& command : whole_log(seed)) {
      hopping = restored(hopping);
      require_same(live.apply(command), hopping.apply(command));
      require_same(live, hopping);
    }
    CHECK(live.refused_after_end() == 1);
  }
}

TEST_CASE("snapshot and the rest of the log lead to where the whole log leads, from every index") {
  const std::vector<wire::Command> log = whole_log(4242);
  State live;
  std::vector<Bytes> snapshots;
  std::vector<Applied> outcomes;
  for (const wire::Command& command : log) {
    snapshots.push_back(live.encode());
    outcomes.push_back(live.apply(command));
  }
  for (std::size_t from = 0; from < log.size(); ++from) {
    auto state = State::decode(snapshots[from]);
    REQUIRE(state.ok());
    for (std::size_t i = from; i < log.size(); ++i) {
      require_same(state->apply(log[i]), outcomes[i]);
    }
    require_same(*state, live);
  }
}

TEST_CASE("a snapshot with any bit flipped or any byte cut off is refused, or is another state") {
  RandomRun run(77);
  run.run(120);
  State state;
  for (const wire::Command& command : run.log()) (void)state.apply(command);
  const Bytes bytes = state.encode();
  const Hash32 digest = state.digest();
  std::size_t refused = 0;
  std::size_t flips = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    Bytes damaged = bytes;
    damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ (1U << (at % 8)));
    ++flips;
    const auto decoded = State::decode(damaged);
    if (!decoded) {
      ++refused;
      continue;
    }
    INFO("byte " << at);
    REQUIRE(decoded->digest() != digest);
    REQUIRE(decoded->encode() == damaged);
  }
  CHECK(refused > 0);
  CHECK(refused < flips);  // amounts and hashes have no wrong values: the digest tells those
  for (std::size_t length = 0; length < bytes.size(); length += 5) {
    REQUIRE_FALSE(State::decode(ByteSpan(bytes).first(length)).ok());
  }
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK_FALSE(State::decode(longer).ok());
}

TEST_CASE("a stream in which each command comes twice gives the same books") {
  RandomRun run(12);
  run.run(300);
  State once;
  State twice;
  for (const wire::Command& command : run.log()) {
    (void)once.apply(command);
    (void)twice.apply(command);
    (void)twice.apply(command);
  }
  CHECK(once.digest() == twice.digest());
}

TEST_CASE("signatures and broadcasts of different withdrawals commute") {
  Story story;
  story.fund(8, 1'000'000);
  std::vector<wire::Command> commands;
  for (int i = 0; i < 8; ++i) {
    const std::string key = "k" + std::to_string(i);
    (void)story.withdraw(key, 50'000);
    commands.push_back({{}, story.signed_command(key)});
  }
  Dice dice(7);
  std::optional<Hash32> digest;
  for (int round = 0; round < 10; ++round) {
    State state;
    for (const wire::Command& command : story.log()) (void)state.apply(command);
    for (const wire::Command& command : commands) (void)state.apply(command);
    if (!digest) digest = state.digest();
    CHECK(state.digest() == *digest);
    for (std::size_t i = commands.size(); i > 1; --i) {
      std::swap(commands[i - 1], commands[dice.below(i)]);
    }
  }
}

}  // namespace
}  // namespace roulette::ledger
