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
      : world_(world),
        options_(options),
        healed_(healed),
        prng_(options.world.seed ^ 0xc11e),
        coordinators_(options.world.shape.coordinators) {
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
  }

 private:
  struct Client {
    ClientKey key;
    WithdrawalId id;
    std::uint16_t at = 0;  // the coordinator asked last
    std::size_t polls = 0;
    bool settled = false;
  };

  [[nodiscard]] std::uint16_t next(std::uint16_t coordinator) const {
    return static_cast<std::uint16_t>((coordinator + 1) % coordinators_);
  }
  [[nodiscard]] std::uint16_t any_coordinator() {
    return static_cast<std::uint16_t>(prng_.below(coordinators_));
  }

  void add(const std::string& key, const std::string& account, std::int64_t amount_sat) {
    Client client;
    client.key = {key, account, bitcoin::p2tr_script(crypto::sha256(as_bytes(key))), amount_sat,
                  false};
    client.at = static_cast<std::uint16_t>(clients_.size() % coordinators_);
    clients_.push_back(std::move(client));
  }

  // Insufficient funds would be final under a key: nobody pays before the deposits are credited.
  void wait_for_funds() {
    world_.ask(any_coordinator(), co::GetBalances{}, kPatience,
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
    return payment({client.key.key, client.key.account, client.key.script, client.key.amount_sat});
  }
  [[nodiscard]] co::CreateWithdrawal payment(wire::PaymentRequest request) const {
    auto signature = world_.client_signature(request);
    return {std::move(request), (world_.agenda.now() - Instant{}).us + kUnixEpoch.us,
            options_.wait, std::move(signature)};
  }

  void create(std::size_t i) {
    Client& client = clients_[i];
    const std::uint16_t other = next(client.at);
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
    wire::PaymentRequest changed = wanted(clients_[i]).payment;
    changed.amount_sat += 1;
    world_.ask(at, payment(std::move(changed)), kPatience,
               [this, i, asked = world_.agenda.now()](auto reply) {
                 if (reply) (void)note(i, false, asked, *reply);
               });
  }

  void created(std::size_t i, Instant asked, const std::optional<co::ReplyBody>& reply) {
    Client& client = clients_[i];
    const auto* view = reply ? note(i, true, asked, *reply) : nullptr;
    if (view == nullptr) {
      client.at = next(client.at);
      world_.agenda.after(kRetry, [this, i] { create(i); });
      return;
    }
    client.key.acknowledged = true;
    client.id = view->id;
    if (prng_.below(1000) < options_.conflict_per_mille) {
      conflict(i, any_coordinator());
    }
    poll(i);
  }

  void poll(std::size_t i) {
    Client& client = clients_[i];
    client.at = static_cast<std::uint16_t>(++client.polls % coordinators_);
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
  std::uint16_t coordinators_;
  std::vector<Client> clients_;
  std::vector<Answer> answers_;
};

void schedule(World& world, const Fault& fault) {
  if (fault.kind == FaultKind::StrikePlace) return;  // armed from the start
  world.agenda.after(fault.at, [&world, fault] { (void)world.inject(fault); });
}

}  // namespace

Outcome run_story(const StoryOptions& options, Trace::Listener listener) {
  World world(options.world, options.faults, options.plants);
  world.trace.listen(std::move(listener));
  const Instant start = world.agenda.now();
  Instant healed = start + options.safety;
  for (const Fault& fault : options.faults) {
    schedule(world, fault);
    healed = std::max(healed, start + over_at(fault));
  }
  if (options.safety > Duration{}) world.agenda.at(healed, [&world] { world.disarm(); });
  Clients clients(world, options, healed);
  const auto in_time = [&] {
    return world.agenda.now() - healed < options.bound && world.agenda.done() < kMaxEvents;
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
  outcome.places = world.take_places();
  outcome.records = world.records();
  clients.hand_over(outcome.records);
  outcome.records.settled = clients.settled() && world.at_rest();
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
  outcome.unseed = world.unseed();
  outcome.probes = world.probes;
  outcome.trace = world.trace.tail();
  return outcome;
}

Outcome run_schedule(const Schedule& schedule, Trace::Listener listener) {
  return run_story({schedule, {}}, std::move(listener));
}

StoryOptions draw_story(std::uint64_t seed, SimScheme scheme) {
  return {draw_schedule(seed, scheme), {}};
}

}  // namespace roulette::sim
