// Clients as small event-driven machines, the schedule of faults, and the end of a run.
//
// Invariant: a client makes its key before it sends anything and never changes the payload under
// it, but for deliberate conflicts, recorded as such. After the bound nothing is forgiven.
#include "chaos/sim/story.h"

#include "common/bitcoin/script.h"
#include "common/crypto/hash.h"

namespace roulette::sim {
namespace {

namespace co = coordinator;

constexpr Duration kPatience = milliseconds(1500);
constexpr Duration kRetry = milliseconds(50);
constexpr Duration kPoll = milliseconds(150);
constexpr Duration kTrailing = seconds(3);
constexpr std::uint64_t kMaxEvents = 2'000'000;

class Clients {
 public:
  Clients(World& world, const StoryOptions& options, Instant healed)
      : world_(world), options_(options), healed_(healed), prng_(options.world.seed ^ 0xc11e) {
    if (options.payments == 3) {
      add("pay-alice", "alice", 400'000);
      add("pay-bob", "bob", 500'000);
      add("pay-alice-again", "alice", 600'000);
    }
    for (std::size_t i = clients_.size(); i < options.payments; ++i) {
      const auto extra = static_cast<std::int64_t>(i) * 1'000;
      add("pay-" + std::to_string(i), i % 2 == 0 ? "alice" : "bob", 20'000 + extra);
    }
    wait_for_funds();
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  [[nodiscard]] bool settled() const {
    return std::all_of(clients_.begin(), clients_.end(), [](const Client& c) { return c.settled; });
  }
  void hand_over(Records& records) {
    for (const Client& client : clients_) records.keys.push_back(client.key);
    records.answers = std::move(answers_);
    records.settled = settled();
  }

 private:
  struct Client {
    ClientKey key;
    WithdrawalId id;
    std::uint16_t at = 0;  // the coordinator asked last
    std::size_t polls = 0;
    bool settled = false;
  };

  void add(const std::string& key, const std::string& account, std::int64_t amount_sat) {
    Client client;
    client.key = {key, account, bitcoin::p2tr_script(crypto::sha256(as_bytes(key))), amount_sat,
                  false};
    client.at = static_cast<std::uint16_t>(clients_.size() % kCoordinators);
    clients_.push_back(std::move(client));
  }

  // Insufficient funds would be final under a key: nobody pays before the deposits are credited.
  void wait_for_funds() {
    world_.ask(static_cast<std::uint16_t>(prng_.below(kCoordinators)), co::GetBalances{}, kPatience,
               [this](const std::optional<co::ReplyBody>& reply) {
                 const auto* answer = reply ? std::get_if<co::BalancesAnswer>(&*reply) : nullptr;
                 const bool funded =
                     answer != nullptr &&
                     std::any_of(answer->balances.begin(), answer->balances.end(),
                                 [](const wire::Balance& b) {
                                   return b.account == "customer:alice" && b.amount_sat > 0;
                                 });
                 if (funded) return start();
                 world_.agenda.after(milliseconds(20), [this] { wait_for_funds(); });
               });
  }
  void start() {
    Duration at{};
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      world_.agenda.after(at, [this, i] { create(i); });
      const Range& think = options_.think;
      at = at + microseconds(prng_.between(think.low.us, think.high.us));
    }
  }

  [[nodiscard]] co::CreateWithdrawal wanted(const Client& client) const {
    return {client.key.key,
            client.key.account,
            client.key.script,
            client.key.amount_sat,
            (world_.agenda.now() - Instant{}).us + kUnixEpoch.us,
            options_.wait};
  }

  void create(std::size_t i) {
    Client& client = clients_[i];
    const auto other = static_cast<std::uint16_t>(kCoordinators - 1 - client.at);
    const Instant asked = world_.agenda.now();
    world_.ask(client.at, wanted(client), kPatience,
               [this, i, asked](auto reply) { created(i, asked, reply); });
    if (prng_.below(1000) < options_.duplicate_per_mille) {
      world_.ask(other, wanted(client), kPatience, [this, i, asked](auto reply) {
        if (reply) (void)note(i, true, asked, *reply);
      });
    }
    if (prng_.below(1000) < options_.conflict_per_mille) {
      // Only once the key is surely known, or the conflict would be the payload that stands.
      if (!client.key.acknowledged) return;
      conflict(i, other);
    }
  }

  void conflict(std::size_t i, std::uint16_t at) {
    co::CreateWithdrawal changed = wanted(clients_[i]);
    changed.amount_sat += 1;
    world_.ask(at, changed, kPatience, [this, i, asked = world_.agenda.now()](auto reply) {
      if (reply) (void)note(i, false, asked, *reply);
    });
  }

  void created(std::size_t i, Instant asked, const std::optional<co::ReplyBody>& reply) {
    Client& client = clients_[i];
    const auto* view = reply ? note(i, true, asked, *reply) : nullptr;
    if (view == nullptr) {
      client.at = static_cast<std::uint16_t>(kCoordinators - 1 - client.at);
      world_.agenda.after(kRetry, [this, i] { create(i); });
      return;
    }
    client.key.acknowledged = true;
    client.id = view->id;
    if (prng_.below(1000) < options_.conflict_per_mille) {
      conflict(i, static_cast<std::uint16_t>(prng_.below(kCoordinators)));
    }
    poll(i);
  }

  void poll(std::size_t i) {
    Client& client = clients_[i];
    client.at = static_cast<std::uint16_t>(++client.polls % kCoordinators);
    const Instant asked = world_.agenda.now();
    co::ClientRequestBody body = co::GetWithdrawal{client.id};
    if (client.polls % 3 == 0) body = co::FindByKey{client.key.key};
    if (client.polls % 5 == 0) body = wanted(client);  // an exact retry, long after
    world_.ask(client.at, std::move(body), kPatience, [this, i, asked](auto reply) {
      Client& polled = clients_[i];
      const auto* view = reply ? note(i, true, asked, *reply) : nullptr;
      // Before all faults are over a node kill may take a settled payment back.
      polled.settled = asked >= healed_ && view != nullptr &&
                       view->state == wire::WithdrawalState::Settled;
      if (!polled.settled) world_.agenda.after(kPoll, [this, i] { poll(i); });
    });
  }

  // Records the answer; the withdrawal when the answer has one.
  const wire::WithdrawalView* note(std::size_t i, bool same_payload, Instant asked,
                                   const co::ReplyBody& reply) {
    Answer answer;
    answer.key = clients_[i].key.key;
    answer.same_payload = same_payload;
    answer.asked = asked;
    answer.answered = world_.agenda.now();
    const auto* withdrawal = std::get_if<co::WithdrawalAnswer>(&reply);
    if (withdrawal != nullptr) {
      answer.status = withdrawal->status;
      answer.id = withdrawal->view.id;
      answer.state = withdrawal->view.state;
      if (withdrawal->view.planned) answer.txid = withdrawal->view.planned->txid;
    } else if (const auto* problem = std::get_if<co::Problem>(&reply)) {
      answer.status = problem->status;
      answer.problem = problem->type;
    }
    world_.trace.note(world_.agenda.now(), {Role::Tool, static_cast<std::uint16_t>(i)}, "answer",
                      answer.state ? wire::state_name(*answer.state) : "problem",
                      static_cast<std::uint64_t>(answer.status));
    answers_.push_back(std::move(answer));
    return withdrawal == nullptr ? nullptr : &withdrawal->view;
  }

  World& world_;
  const StoryOptions& options_;
  Instant healed_;
  chaos::Prng prng_;
  std::vector<Client> clients_;
  std::vector<Answer> answers_;
};

void schedule(World& world, const TimedFault& fault) {
  world.agenda.after(fault.at, [&world, fault] {
    switch (fault.kind) {
      case TimedFault::Kind::Strike: (void)world.strike(fault.a, fault.blow, fault.down); return;
      case TimedFault::Kind::CutLink: (void)world.cut_link(fault.a, fault.b); return;
      case TimedFault::Kind::LoseLog: (void)world.lose_log(fault.a.index, fault.down); return;
      case TimedFault::Kind::KillNode: (void)world.kill_node(fault.down); return;
      case TimedFault::Kind::PauseNode: world.pause_node(fault.down); return;
    }
  });
}

}  // namespace

Outcome run_story(const StoryOptions& options) {
  World world(options.world, options.plants);
  const Instant start = world.agenda.now();
  Instant healed = start;
  for (const TimedFault& fault : options.faults) {
    schedule(world, fault);
    healed = std::max(healed, start + fault.at + fault.down);
  }
  Clients clients(world, options, healed);
  const auto in_time = [&] {
    return world.agenda.now() - start < options.bound && world.agenda.done() < kMaxEvents;
  };
  while (in_time() && !world.at_rest()) {
    world.let_mine(true);
    while (in_time() && !(clients.settled() && world.finished())) (void)world.agenda.run_one();
    // With slow messages the books trail a chain that grows. If they learn now that a block was
    // un-mined, it takes blocks again.
    world.let_mine(false);
    const Instant patience = world.agenda.now() + kTrailing;
    while (world.agenda.now() < patience && !world.at_rest()) (void)world.agenda.run_one();
  }
  Outcome outcome;
  outcome.took = world.agenda.now() - start;
  for (const auto& [name, places] : world.places()) outcome.places[name] = places;
  outcome.records = world.records();
  clients.hand_over(outcome.records);
  outcome.violations = judge(outcome.records);
  outcome.slowest_signing = world.slowest_signing();
  outcome.counts = world.counts();
  outcome.struck_at = world.struck_at();
  outcome.events = world.agenda.done();
  for (const JournalRecord& journal : outcome.records.journals) {
    world.trace.fold(journal.live_digest);
  }
  for (const LedgerRecord& ledger : outcome.records.ledgers) world.trace.fold(ledger.digest);
  outcome.trace_hash = world.trace.hash();
  outcome.trace = world.trace.tail();
  return outcome;
}

StoryOptions draw_story(std::uint64_t seed) {
  chaos::Prng prng(seed * 0x9e3779b97f4a7c15 + 1);
  const auto range = [&](std::int64_t low_us, std::int64_t high_us) {
    const std::int64_t low = prng.between(low_us, high_us);
    return Range{microseconds(low), microseconds(prng.between(low, high_us))};
  };
  StoryOptions story;
  story.world.seed = seed;
  // Now and then so slow that signers are overdue and coordinators presume each other dead.
  story.world.hop = prng.below(6) == 0 ? range(5'000, 120'000) : range(50, 5'000);
  story.world.disk = range(100, 10'000);
  story.world.engine = range(500, 20'000);
  story.world.node = range(200, 10'000);
  story.world.block_interval = milliseconds(prng.between(300, 1000));
  story.world.flush_every = 1 + prng.below(5);
  story.world.unknown_per_mille =
      prng.below(2) == 0 ? 0 : 1 + static_cast<std::uint32_t>(prng.below(200));
  story.duplicate_per_mille = 300;
  story.conflict_per_mille = 300;
  story.think = range(1'000, 500'000);
  if (prng.below(4) == 0) {
    story.payments = 4 + prng.below(20);
    story.think = range(0, 100'000);
    story.world.flush_every = 1 + prng.below(9);
  }
  story.wait = milliseconds(prng.below(2) == 0 ? 0 : 500);
  const auto any = [&] {
    const std::uint64_t pick = prng.below(kSigners + kCoordinators + kLedgers);
    if (pick < kSigners) return ProcessName{Role::Signer, static_cast<std::uint16_t>(pick)};
    if (pick < kSigners + kCoordinators) {
      return ProcessName{Role::Coordinator, static_cast<std::uint16_t>(pick - kSigners)};
    }
    return ProcessName{Role::Ledger,
                       static_cast<std::uint16_t>(pick - kSigners - kCoordinators)};
  };
  const auto any_blow = [&] {
    const std::uint64_t pick = prng.below(4);
    return pick == 0 ? Blow::Stop : pick == 1 ? Blow::Pause : Blow::Kill;
  };
  story.world.over_budget = prng.below(5) == 0;
  for (std::uint64_t n = prng.below(12); n > 0; --n) {
    const ProcessName victim = any();
    const bool deeds = prng.below(3) != 0;
    const std::uint64_t most = victim.role == Role::Signer ? (deeds ? 16 : 80)
                                                           : (deeds ? 150 : 600);
    story.world.strikes.push_back({victim, prng.below(most), prng.below(2) == 0,
                                   milliseconds(prng.between(1, 1'500)), any_blow(), deeds});
  }
  constexpr std::int64_t kFaultsUs = 6'000'000;
  for (std::uint64_t n = prng.below(10); n > 0; --n) {
    TimedFault fault;
    fault.at = microseconds(prng.between(0, kFaultsUs));
    fault.down = milliseconds(prng.between(1, 1'000));
    fault.a = any();
    fault.blow = any_blow();
    fault.kind = static_cast<TimedFault::Kind>(prng.below(5));
    if (fault.kind == TimedFault::Kind::LoseLog) {
      fault.a = {Role::Ledger, static_cast<std::uint16_t>(prng.below(kLedgers))};
    } else if (fault.kind == TimedFault::Kind::CutLink) {
      fault.b = {Role::Coordinator, static_cast<std::uint16_t>(prng.below(kCoordinators))};
      if (fault.a == fault.b) fault.a = {Role::Ledger, 0};
    }
    story.faults.push_back(fault);
  }
  return story;
}

std::string describe(const StoryOptions& story) {
  const WorldOptions& world = story.world;
  const auto range = [](const Range& r) {
    return std::to_string(r.low.us) + ".." + std::to_string(r.high.us) + " us";
  };
  std::string text = "seed " + std::to_string(world.seed) + ": " +
                     std::to_string(story.payments) + " payments, hop " + range(world.hop) +
                     ", disk " + range(world.disk) + ", engine " + range(world.engine) +
                     ", node " + range(world.node) + ", block every " +
                     std::to_string(world.block_interval.us / 1000) + " ms, flush every " +
                     std::to_string(world.flush_every) + ", unknown " +
                     std::to_string(world.unknown_per_mille) + "/1000, wait " +
                     std::to_string(story.wait.us / 1000) + " ms, think " + range(story.think);
  if (world.over_budget) text += ", no budget";
  constexpr const char* kBlows[] = {"kill ", "stop ", "pause "};
  for (const Strike& strike : world.strikes) {
    text += "\n  " + std::string(kBlows[static_cast<std::size_t>(strike.blow)]) +
            strike.victim.text() + (strike.after ? " after" : " before") +
            (strike.deeds ? " deed " : " place ") + std::to_string(strike.place) + " for " +
            std::to_string(strike.down.us / 1000) + " ms";
  }
  constexpr const char* kKinds[] = {"", "cut ", "lose log ", "kill node ", "pause node "};
  for (const TimedFault& fault : story.faults) {
    text += "\n  at " + std::to_string(fault.at.us / 1000) + " ms " +
            (fault.kind == TimedFault::Kind::Strike
                 ? kBlows[static_cast<std::size_t>(fault.blow)]
                 : kKinds[static_cast<std::size_t>(fault.kind)]) +
            fault.a.text() + " " +
            fault.b.text() + " for " + std::to_string(fault.down.us / 1000) + " ms";
  }
  return text;
}

}  // namespace roulette::sim
