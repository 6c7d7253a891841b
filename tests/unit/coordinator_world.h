// A small world around coordinator machines: replicas, signers with real key shares, a node,
// clients; no latency, no I/O.
//
// Invariant: nothing moves but by step(): every effect of a machine is recorded in order before it
// has any consequence. The parties are scripted stand-ins, deliberately simpler than the real
// cores; the simulated host runs those.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/crypto/dealer.h"
#include "coordinator/core/coordinator.h"

namespace roulette::test {

namespace co = roulette::coordinator;

// Counter-based bytes: fresh every time, the same in every run.
class CountingEntropy final : public EntropySource {
 public:
  explicit CountingEntropy(std::uint64_t seed) : seed_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::uint64_t seed_;
  std::uint64_t counter_ = 0;
};

enum class Manners {
  Honest,
  Silent,  // takes requests, never answers them; answers pings
  Paused,  // answers nothing
  BadShare,
  BadShareOnce,
  BadNonces,     // hands out public nonces that are no points
  ShortNonces,   // hands out public nonces of another size
  ForgotNonces,  // refuses once with UnknownNonce
  Bound,         // refuses with OutpointBound
  KeyAway,       // refuses twice with KeyUnavailable, as while its token is away
  WrongCount     // answers with a share too many
};

struct TestSigner {
  SignerId id;
  BootId epoch;
  Manners manners = Manners::Honest;
  bool draining = false;
  std::map<wire::PubNonce, crypto::frost::SecNonce> nonces;
  std::vector<wire::SignRequest> requests;  // in order of arrival, all coordinators
  std::vector<std::pair<std::size_t, wire::Message>>
      withheld;  // answers not given: coordinator, message
  std::uint64_t journal = 0;
  wire::JournalStanding standing = wire::JournalStanding::Holds;  // the answer to every check
  std::vector<wire::JournalCheck> checks;
  bool foreign = false;  // its share is of another group
  int away = 2;          // KeyAway: refusals still to come
  bool keyless = false;  // its status says that its key is out of reach
};

struct TestBlock {
  Hash32 hash{};
  Hash32 prev{};
  std::vector<Hash32> txids;
};

class World {
 public:
  World(std::size_t coordinators = 1, std::uint16_t n = 5, std::uint16_t t = 3,
        std::size_t replicas = 3);
  ~World();

  // ---- coordinators ----
  struct Seat {
    std::unique_ptr<co::Coordinator> machine;
    co::Effects effects;  // all, in order
    std::map<ConnectionId, ProcessName> connections;
    bool paused = false;
    bool drained = false;
    std::uint64_t requests = 0;
    std::map<co::RequestId, co::ReplyBody> replies;
  };
  Seat& seat(std::size_t i) { return *seats_[i]; }
  void step(std::size_t i, const co::Event& event);
  void advance(std::int64_t ms);  // lets deadlines pass, one by one
  void start_all();               // Started, everybody connected, pools filled
  void start(std::size_t i);
  void kill_coordinator(std::size_t i);
  void pause_coordinator(std::size_t i) { seats_[i]->paused = true; }
  void resume_coordinator(std::size_t i);
  void connect_signer(std::size_t coordinator, std::uint16_t signer);
  void connect_replica(std::size_t coordinator, std::uint16_t replica);
  void connect_coordinators();

  // ---- clients ----
  std::shared_ptr<const wire::ClientList> clients;  // of coordinators started from now on
  co::RequestId create(std::size_t i, const std::string& key, const std::string& account = "alice",
                       std::int64_t amount_sat = 50'000, Duration wait = {});
  co::RequestId ask(std::size_t i, co::ClientRequestBody body);
  [[nodiscard]] std::optional<co::WithdrawalAnswer> answer(std::size_t i,
                                                           co::RequestId request) const;
  [[nodiscard]] std::optional<co::Problem> problem(std::size_t i, co::RequestId request) const;

  // ---- signers ----
  TestSigner& signer(std::uint16_t i) { return *signers_[i]; }
  void kill_signer(std::uint16_t i);
  void restart_signer(std::uint16_t i);     // new epoch, new connections
  void release_withheld(std::uint16_t i);   // gives the answers kept back
  [[nodiscard]] std::size_t asked() const;  // sign requests that reached any signer

  // ---- the ledger ----
  struct Submitted {
    std::uint16_t replica = 0;
    std::uint64_t request = 0;
    wire::Command command;
  };
  std::vector<Submitted> submitted;  // every LedgerSubmit, in order
  std::vector<std::pair<std::uint16_t, wire::LedgerQuery>> queried;
  bool hold_applies = false;  // commands are taken and not applied
  bool hold_feed = false;
  std::set<std::uint16_t> deaf_replicas;        // paused: they take nothing and say nothing
  std::set<std::uint16_t> unreadable_replicas;  // answer reads with available = false
  std::vector<wire::JournalHead> journals;  // what the ledger keeps of signers
  bool closed = false;
  void apply_held();
  void kill_replica(std::uint16_t i);
  void set_replica_ready(std::uint16_t i, bool ready);
  [[nodiscard]] const wire::WithdrawalView& view(const std::string& key) const;
  [[nodiscard]] bool knows(const std::string& key) const { return ids_.contains(key); }
  void plan(const std::string& key);         // for account "coinless"
  void add_view(wire::WithdrawalView view);  // straight into the books, fed to followers
  [[nodiscard]] wire::WithdrawalView planned_view(const std::string& key,
                                                  const std::string& account, CoordinatorId owner,
                                                  std::vector<Hash32> parents = {});
  [[nodiscard]] Bytes sign_elsewhere(
      const wire::Template& plan);  // valid bytes, made without any coordinator
  wire::ChainTip tip;
  std::vector<std::string>
      chain_facts;  // "+<height>" and "-<height>" in the order they changed the tip
  template <class Body>
  [[nodiscard]] std::vector<Body> commands() const {
    std::vector<Body> out;
    for (const Submitted& s : submitted) {
      if (const auto* body = std::get_if<Body>(&s.command.body)) out.push_back(*body);
    }
    return out;
  }

  // ---- the node ----
  std::vector<TestBlock> chain;  // index = height
  std::vector<Hash32> mempool;
  bool node_up = true;
  std::optional<bitcoin::SendOutcome> next_send;  // of the next SendTransaction only
  bool mine_at_mempool = false;         // a block is found just before the next mempool answer
  std::optional<TestBlock> next_block;  // the answer to the next GetBlock only
  std::vector<co::SendTransaction> sent;
  std::set<std::size_t> lost_sends;  // coordinators whose sends lead nowhere and are not answered
  [[nodiscard]] std::vector<co::SendTransaction> sent_by(std::size_t i) const;
  std::vector<std::pair<std::uint64_t, bool>> send_order;  // call asked, call answered, in order
  void mine();                                             // what the mempool holds
  void unmine();  // the last block and the whole mempool are gone
  void lose_mempool() { mempool.clear(); }

  // ---- records ----
  template <class Fact>
  [[nodiscard]] std::vector<Fact> facts(std::size_t i) const {
    std::vector<Fact> out;
    for (const co::Effect& effect : seats_[i]->effects) {
      const auto* fact = std::get_if<co::Fact>(&effect);
      if (fact && std::holds_alternative<Fact>(*fact)) out.push_back(std::get<Fact>(*fact));
    }
    return out;
  }
  // Position of the first effect the predicate likes, from `from` on.
  template <class Predicate>
  [[nodiscard]] std::optional<std::size_t> position(std::size_t i, Predicate&& likes,
                                                    std::size_t from = 0) const {
    const auto& effects = seats_[i]->effects;
    for (std::size_t k = from; k < effects.size(); ++k) {
      if (likes(effects[k])) return k;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> readiness(std::size_t i) const;  // "" when ready
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] const ByteArray<32>& output_key() const { return output_key_; }
  [[nodiscard]] const crypto::frost::Group& group() const { return group_; }

 private:
  void run();  // delivers until nothing moves
  void take_effects(std::size_t i);
  void deliver(std::size_t i, ConnectionId connection, const wire::Message& message);
  void push(std::size_t i, co::Event event);
  void to_signer(std::size_t i, TestSigner& signer, const wire::Message& message);
  [[nodiscard]] wire::SignerStatus status_of(const TestSigner& signer, std::uint64_t number) const;
  void answer_sign(std::size_t i, TestSigner& signer, const wire::SignRequest& request);
  void to_ledger(std::size_t i, std::uint16_t replica, const wire::Message& message);
  void apply(std::size_t i, std::uint16_t replica, const wire::LedgerSubmit& submit);
  wire::Outcome execute(const wire::Command& command, std::optional<WithdrawalId>& touched);
  void feed_all(const std::vector<WithdrawalId>& changed);
  void node(std::size_t i, const co::NodeCall& call);
  bitcoin::SendOutcome accept(const co::SendTransaction& send);
  [[nodiscard]] std::optional<ConnectionId> connection_of(std::size_t i, ProcessName peer) const;
  void disconnect_everywhere(ProcessName peer);
  wire::PubNonce fresh_nonce(TestSigner& signer);
  [[nodiscard]] wire::Template make_template(std::size_t inputs, const std::vector<Hash32>& parents,
                                             ByteSpan script, std::int64_t amount_sat);

  CountingEntropy entropy_{7};
  Instant now_{1'000'000};
  crypto::frost::Group group_;
  std::vector<crypto::frost::SecretShare> shares_;
  ByteArray<32> output_key_{};
  Bytes wallet_script_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<std::unique_ptr<TestSigner>> signers_;
  std::vector<bool> replica_up_;
  std::vector<bool> replica_ready_;
  std::set<std::pair<std::size_t, std::uint16_t>> followers_;
  std::map<WithdrawalId, wire::WithdrawalView> views_;
  std::vector<WithdrawalId> order_;
  std::map<std::string, WithdrawalId> ids_;
  std::uint64_t index_ = 1;
  std::deque<std::tuple<std::size_t, std::uint16_t, wire::LedgerSubmit>> held_;
  std::deque<std::pair<std::size_t, co::Event>> queue_;
  std::set<std::uint64_t> sends_;  // calls without an answer
  std::uint64_t next_connection_ = 1;
  std::uint64_t next_coin_ = 1;
  std::uint64_t next_block_ = 1;
  std::vector<std::size_t> taken_;  // effects of each seat that had their consequences
  std::vector<std::pair<Hash32, Hash32>> known_prev_;  // of every block ever mined
};

[[nodiscard]] Bytes payee_script(std::uint8_t tag);

}  // namespace roulette::test
