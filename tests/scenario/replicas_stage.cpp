// Commands for replicas around one log: proposals that go wrong, races, lost logs.
//
// Invariant: the sequencer compares heads as the etcd engine does; printed are outcomes that came
// out of apply, and what stands in the log, never times.
#include "tests/scenario/stage.h"

#include <map>
#include <set>
#include <stdexcept>

#include "tests/unit/ledger_cluster.h"

namespace roulette::scenario {
namespace {

namespace le = ledger;

constexpr Duration kTurn = milliseconds(60);  // an answer, undisturbed, takes a tenth

wire::Withdraw withdraw_of(const std::string& key, std::int64_t amount_sat = 50'000) {
  wire::Withdraw withdraw;
  const Hash32 hash = le::hash_of("id of " + key);
  ByteArray<16> id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = hash[i];
  withdraw.id = WithdrawalId(id);
  withdraw.key = key;
  withdraw.account = "alice";
  withdraw.script = bitcoin::p2tr_script(le::hash_of("address of " + key));
  withdraw.amount_sat = amount_sat;
  withdraw.payload_digest = wire::payload_digest("alice", withdraw.script, amount_sat);
  return withdraw;
}

class ReplicasStage final : public Stage {
 public:
  explicit ReplicasStage(const Command& c)
      : count_(static_cast<std::uint16_t>(c.number("count", 3))),
        cluster_(count_, le::test_genesis(),
                 static_cast<std::uint64_t>(c.number("checkpoint_every", 64)),
                 static_cast<std::uint64_t>(c.number("snapshot_every", 0))) {
    cluster_.run(kTurn);
    fund(cluster_.client(0));
  }

  std::string run(const Command& c) override {
    if (c.verb == "stage") return std::to_string(count_) + " replicas; the deposits are settled\n";
    if (c.verb == "withdraw") return withdraw(c);
    if (c.verb == "next-proposal") return next_proposal(c);
    if (c.verb == "race") return race(c);
    if (c.verb == "kill") return with(c, [this](std::uint16_t i) { cluster_.kill(i); });
    if (c.verb == "start") return with(c, [this](std::uint16_t i) { cluster_.boot(i); });
    if (c.verb == "pause") return with(c, [this](std::uint16_t i) { cluster_.pause(i); });
    if (c.verb == "resume") return with(c, [this](std::uint16_t i) { cluster_.resume(i); });
    if (c.verb == "stall") return with(c, [this](std::uint16_t i) { cluster_.stall_watch(i); });
    if (c.verb == "unstall") return with(c, [this](std::uint16_t i) { cluster_.resume_watch(i); });
    if (c.verb == "lose-log") return with(c, [this](std::uint16_t i) { cluster_.lose_log(i); });
    if (c.verb == "find-log") return with(c, [this](std::uint16_t i) { cluster_.restore_log(i); });
    if (c.verb == "run") return pass(milliseconds(std::stoll(c.word(0))));
    if (c.verb == "grow") return grow(c);
    if (c.verb == "orders") return orders(c);
    if (c.verb == "store") return store();
    if (c.verb == "loaded") return loaded(c);
    if (c.verb == "damage") return damage(c);
    if (c.verb == "show") return show();
    unknown_command(c);
  }

 private:
  // Deposits for alice, settled.
  void fund(const le::Cluster::Client& client) {
    Hash32 prev = le::test_genesis().anchor_block;
    for (std::uint32_t height = 1; height <= 3; ++height) {
      wire::BlockConnected block;
      block.prev = prev;
      block.hash = le::hash_of("block " + std::to_string(height));
      block.height = height;
      if (height == 1) {
        block.txids = {le::hash_of("funding")};
        for (std::uint32_t i = 0; i < 20; ++i) {
          block.wallet_outputs.push_back({{block.txids[0], 2 * i}, 1'000'000, false});
        }
      }
      prev = block.hash;
      (void)cluster_.submit(client, block);
    }
    cluster_.run(kTurn + kTurn);
  }

  template <class F>
  std::string with(const Command& c, F&& f) {
    for (const std::string& word : c.words) f(static_cast<std::uint16_t>(std::stoul(word)));
    return pass(milliseconds(c.number("then", 10)));
  }
  std::string pass(Duration span) {
    cluster_.run(span);
    return {};
  }

  // withdraw KEY [at=REPLICA] [amount=SAT] [within=MS]
  std::string withdraw(const Command& c) {
    const auto at = static_cast<std::uint16_t>(c.number("at", 0));
    le::Cluster::Client& client = cluster_.client(at);
    const std::uint64_t request =
        cluster_.submit(client, withdraw_of(c.word(0), c.number("amount", 50'000)));
    cluster_.run(milliseconds(c.number("within", kTurn.us / 1000)));
    std::optional<wire::LedgerApplied> answer;
    for (const auto& applied : client.all<wire::LedgerApplied>()) {
      if (applied.request == request) answer = applied;
    }
    const std::string who = "ledger-" + std::to_string(at) + ": " + c.word(0) + " ";
    if (!answer) return who + "has no answer yet\n";
    std::string text = who + wire::outcome_name(answer->outcome.kind);
    if (answer->view) text += std::string(", ") + wire::state_name(answer->view->state);
    return text + "\n";
  }

  // next-proposal REPLICA lost|committed|committed-late: its outcome is Unknown in any case.
  std::string next_proposal(const Command& c) {
    const std::string& how = c.word(1);
    const auto fault = how == "lost"        ? le::ProposeFault::UnknownLost
                       : how == "committed" ? le::ProposeFault::UnknownCommitted
                                            : le::ProposeFault::UnknownCommittedLate;
    if (fault == le::ProposeFault::UnknownCommittedLate && how != "committed-late") {
      unknown_command(c);
    }
    cluster_.propose_faults[static_cast<std::uint16_t>(std::stoul(c.word(0)))].push_back(fault);
    return {};
  }
  // Just before this replica's next proposal is judged another entry gets in.
  std::string race(const Command& c) {
    const auto replica = static_cast<std::uint16_t>(std::stoul(c.word(0)));
    cluster_.before_propose[replica] = [this, key = c.word(1)] {
      cluster_.append_foreign({cluster_.command(withdraw_of(key))});
    };
    return {};
  }
  // grow INDEX [at=REPLICA]: withdrawals, one an entry, until the log reaches there.
  std::string grow(const Command& c) {
    le::Cluster::Client& client = cluster_.client(static_cast<std::uint16_t>(c.number("at", 0)));
    const auto goal = static_cast<std::size_t>(std::stoull(c.word(0)));
    for (int i = 0; i < 500 && cluster_.log().size() < goal; ++i) {
      (void)cluster_.submit(client, withdraw_of("grown " + std::to_string(grown_++)));
      cluster_.run(milliseconds(10));
    }
    cluster_.run(kTurn);
    return {};
  }
  // orders REPLICA: what it ordered from the log's store since it was asked last.
  std::string orders(const Command& c) {
    const auto i = static_cast<std::uint16_t>(std::stoul(c.word(0)));
    std::string text;
    for (std::size_t& at = told_[i]; at < cluster_.orders(i).size(); ++at) {
      std::string order = cluster_.orders(i)[at];
      // Anything up to the end of numbers: the newest.
      if (order == "read " + std::to_string(~std::uint64_t{0})) order = "read the newest";
      text += "ledger-" + std::to_string(i) + ": " + order + "\n";
    }
    return text;
  }
  std::string store() {
    std::string text = "complete snapshots:";
    for (const std::uint64_t index : cluster_.complete_snapshots()) {
      text += " " + std::to_string(index);
    }
    return text + "; trimmed up to " + std::to_string(cluster_.trimmed()) + "\n";
  }
  // loaded REPLICA: the snapshot that its present life started from.
  std::string loaded(const Command& c) {
    const auto& restored = cluster_.restored(static_cast<std::uint16_t>(std::stoul(c.word(0))));
    return "ledger-" + c.word(0) + ": " +
           (restored ? "from snapshot " + std::to_string(restored->index) : "from the log") + "\n";
  }
  // damage INDEX: a bit of that snapshot's first chunk is flipped in the store.
  std::string damage(const Command& c) {
    cluster_.snapshots.at(std::stoull(c.word(0))).chunks.at(0).at(9) ^= 1;
    return {};
  }
  std::string show() {
    std::string text;
    std::set<Hash32> digests;
    for (std::uint16_t i = 0; i < count_; ++i) {
      text += "ledger-" + std::to_string(i) + ": ";
      if (!cluster_.alive(i)) {
        text += "down\n";
        continue;
      }
      text += cluster_.ready(i) ? "ready\n" : "not ready, " + cluster_.why_not(i) + "\n";
      if (cluster_.ready(i)) digests.insert(cluster_.state(i).digest());
    }
    const std::size_t withdraws = cluster_.count_in_log<wire::Withdraw>();
    return text + std::to_string(withdraws) + (withdraws == 1 ? " withdrawal" : " withdrawals") +
           " in the log, " + std::to_string(digests.size()) +
           (digests.size() == 1 ? " state among the ready\n" : " states among the ready\n");
  }

  std::uint16_t count_;
  std::size_t grown_ = 0;
  std::map<std::uint16_t, std::size_t> told_;
  le::Cluster cluster_;
};

}  // namespace

std::unique_ptr<Stage> replicas_stage(const Command& first) {
  return std::make_unique<ReplicasStage>(first);
}

}  // namespace roulette::scenario
