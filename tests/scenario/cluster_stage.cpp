// Commands for a whole simulated cluster: payments, blocks, faults, and what follows of them.
//
// Invariant: all delays are fixed, so the order of events is the machines' doing; printed are deeds
// (records, shares, aggregates, sends to the node, faults), never times, heartbeats or polls.
#include "tests/scenario/stage.h"

#include <stdexcept>

#include "chaos/sim/judge.h"
#include "chaos/sim/narrate.h"
#include "chaos/sim/world.h"
#include "common/bitcoin/script.h"
#include "common/crypto/hash.h"

namespace roulette::scenario {
namespace {

namespace co = coordinator;
using namespace sim;

constexpr Duration kPatience = milliseconds(1500);
constexpr Duration kBound = seconds(30);  // of virtual time, for anything that is waited for

Range fixed(std::int64_t us) { return {microseconds(us), microseconds(us)}; }

ProcessName process(const std::string& name) {
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger}) {
    const std::string prefix = std::string(role_name(role)) + "-";
    if (!name.starts_with(prefix)) continue;
    return {role, static_cast<std::uint16_t>(std::stoul(name.substr(prefix.size())))};
  }
  throw std::runtime_error("no process " + name);
}

Schedule schedule_of(const Block& first) {
  std::string faults;
  for (const Command& command : first.commands) {
    if (command.verb == "fault") faults += command.text + "\n";
  }
  auto parsed = parse_schedule(faults);
  if (!parsed) throw std::runtime_error(parsed.error().message);
  Schedule schedule = std::move(*parsed);
  const Command& stage = first.commands.front();
  WorldOptions& world = schedule.world;
  world.seed = static_cast<std::uint64_t>(stage.number("seed", 1));
  const auto count = [&](const char* name, std::uint16_t other) {
    return static_cast<std::uint16_t>(stage.number(name, other));
  };
  world.shape.signers = count("signers", 5);
  world.shape.threshold = count("threshold", 3);
  world.shape.coordinators = count("coordinators", 2);
  world.shape.ledgers = count("ledgers", 3);
  world.shape.nonce_pool = static_cast<std::uint32_t>(stage.number("pool", 4));
  world.hop = fixed(300);
  world.disk = fixed(400);
  world.engine = fixed(2'000);
  world.node = fixed(500);
  world.block_interval = milliseconds(50);
  world.flush_every = static_cast<std::size_t>(stage.number("flush_every", 100));
  world.unknown_per_mille = static_cast<std::uint32_t>(stage.number("unknown", 0));
  world.over_budget = stage.number("over_budget", 0) != 0;
  world.snapshot_interval = static_cast<std::uint64_t>(stage.number("snapshots", 0));
  world.clients_sign = stage.number("clients_sign", 0) != 0;
  return schedule;
}

class ClusterStage final : public Stage {
 public:
  explicit ClusterStage(const Schedule& schedule)
      : shape_(schedule.world.shape), world_(schedule.world, schedule.faults) {
    world_.trace.listen([this](const TraceLine& line) { hear(line); });
  }

  std::string run(const Command& c) override {
    told_.clear();
    quiet_ = std::find(c.words.begin(), c.words.end(), "quietly") != c.words.end();
    const std::string result = execute(c);
    quiet_ = true;  // what is under way between two commands is told with the next one
    return told_ + result;
  }

 private:
  std::string execute(const Command& c) {
    if (c.verb == "stage") return start();
    if (c.verb == "pay") return pay(c);
    if (c.verb == "look") return look(c);
    if (c.verb == "run") return pass(milliseconds(std::stoll(c.word(0))));
    if (c.verb == "until") return until(c);
    if (c.verb == "mine") return mine(std::stoull(c.word(0)));
    if (c.verb == "kill") return strike(c, Blow::Kill);
    if (c.verb == "stop") return strike(c, Blow::Stop);
    if (c.verb == "pause") return strike(c, Blow::Pause);
    if (c.verb == "cut") return cut(c);
    if (c.verb == "lose-log") return inject(c, FaultKind::LoseLog);
    if (c.verb == "kill-node") return kill_node(c);
    if (c.verb == "roll-back") return roll_back(c);
    if (c.verb == "fault") return fault(c);
    if (c.verb == "show") return show();
    if (c.verb == "journals") return journals();
    if (c.verb == "judge") return verdict();
    unknown_command(c);
  }

  static Duration down(const Command& c) { return milliseconds(c.number("for", 50)); }
  static std::string struck(bool happened) { return happened ? "" : "not done\n"; }
  std::string inject(const Command& c, FaultKind kind, Blow blow = Blow::Kill) {
    Fault fault;
    fault.kind = kind;
    fault.a = process(c.word(0));
    fault.blow = blow;
    fault.down = down(c);
    return struck(world_.inject(fault));
  }
  std::string strike(const Command& c, Blow blow) { return inject(c, FaultKind::Strike, blow); }
  std::string cut(const Command& c) {
    Fault fault;
    fault.kind = FaultKind::CutLink;
    fault.a = process(c.word(0));
    fault.b = process(c.word(1));
    return struck(world_.inject(fault));
  }

  // Everybody is up, the deposits are credited.
  std::string start() {
    quiet_ = true;
    world_.let_mine(false);
    const bool ready = run_until([this] {
      bool funded = false;
      ask(0, co::GetBalances{}, [&funded](const std::optional<co::ReplyBody>& reply) {
        const auto* answer = reply ? std::get_if<co::BalancesAnswer>(&*reply) : nullptr;
        if (answer == nullptr) return;
        for (const wire::Balance& line : answer->balances) {
          funded = funded || (line.account == "customer:alice" && line.amount_sat > 0);
        }
      });
      return funded && world_.finished();
    });
    if (!ready) return "not ready within the bound\n";
    return std::to_string(shape_.threshold) + " of " + std::to_string(shape_.signers) +
           " signers, " + std::to_string(shape_.coordinators) + " coordinators, " +
           std::to_string(shape_.ledgers) + " replicas; the deposits are credited\n";
  }

  // Asks and runs until the answer is there.
  void ask(std::uint16_t at, co::ClientRequestBody body,
           const std::function<void(const std::optional<co::ReplyBody>&)>& then) {
    bool answered = false;
    world_.ask(at, std::move(body), kPatience, [&](const std::optional<co::ReplyBody>& reply) {
      answered = true;
      then(reply);
    });
    while (!answered) (void)world_.agenda.run_one();
  }

  co::CreateWithdrawal create(const Command& c) {
    co::CreateWithdrawal body;
    body.payment.key = c.word(0);
    body.payment.amount_sat = std::stoll(c.word(1));
    body.payment.account = c.option("account", "alice");
    body.payment.script = bitcoin::p2tr_script(crypto::sha256(as_bytes(body.payment.key)));
    body.unix_time_us = (world_.agenda.now() - Instant{}).us + kUnixEpoch.us;
    body.wait = milliseconds(c.number("wait", 0));
    body.client = world_.client_signature(body.payment);
    return body;
  }

  // pay KEY AMOUNT [account=] [at=COORDINATOR] [wait=MS] [and-also-at=COORDINATOR]
  std::string pay(const Command& c) {
    co::CreateWithdrawal body = create(c);
    ClientKey* known = find(body.payment.key);
    const bool same = known == nullptr || known->amount_sat == body.payment.amount_sat;
    if (known == nullptr) {
      const wire::PaymentRequest& paid = body.payment;
      keys_.push_back({paid.key, paid.account, paid.script, paid.amount_sat, false});
    }
    const auto at = static_cast<std::uint16_t>(c.number("at", 0));
    std::string text;
    const Instant asked = world_.agenda.now();
    if (c.options.contains("and-also-at")) {
      const auto other = static_cast<std::uint16_t>(c.number("and-also-at", 1));
      world_.ask(other, body, kPatience, [&, asked](const std::optional<co::ReplyBody>& reply) {
        text += "client: " + note(body.payment.key, same, asked, reply);
      });
    }
    ask(at, body, [&](const std::optional<co::ReplyBody>& reply) {
      text += "client: " + note(body.payment.key, same, asked, reply);
    });
    if (c.options.contains("and-also-at")) (void)pass(milliseconds(20));
    return text;
  }
  // look KEY [at=COORDINATOR]
  std::string look(const Command& c) {
    std::string text;
    const Instant asked = world_.agenda.now();
    ask(static_cast<std::uint16_t>(c.number("at", 0)), co::FindByKey{c.word(0)},
        [&](const std::optional<co::ReplyBody>& reply) {
          text = "client: " + note(c.word(0), true, asked, reply);
        });
    return text;
  }

  std::string note(const std::string& key, bool same, Instant asked,
                   const std::optional<co::ReplyBody>& reply) {
    if (!reply) return "no answer\n";
    Answer answer;
    answer.key = key;
    answer.same_payload = same;
    answer.asked = asked;
    answer.answered = world_.agenda.now();
    std::string text;
    if (const auto* withdrawal = std::get_if<co::WithdrawalAnswer>(&*reply)) {
      answer.status = withdrawal->status;
      answer.id = withdrawal->view.id;
      answer.state = withdrawal->view.state;
      if (withdrawal->view.planned) answer.txid = withdrawal->view.planned->txid;
      if (ClientKey* known = find(key)) known->acknowledged = true;
      text = std::to_string(answer.status) + " " + described(withdrawal->view);
    } else if (const auto* problem = std::get_if<co::Problem>(&*reply)) {
      answer.status = problem->status;
      answer.problem = problem->type;
      text = std::to_string(answer.status) + " " + problem->type;
    }
    answers_.push_back(std::move(answer));
    return text + "\n";
  }

  std::string pass(Duration span) {
    const Instant end = world_.agenda.now() + span;
    while (world_.agenda.now() < end) (void)world_.agenda.run_one();
    return {};
  }
  template <class Condition>
  bool run_until(Condition&& condition) {
    const Instant end = world_.agenda.now() + kBound;
    while (world_.agenda.now() < end) {
      if (condition()) return true;
      for (int i = 0; i < 20; ++i) (void)world_.agenda.run_one();
    }
    return false;
  }

  // until KEY STATE: in the books of every replica that is up.
  std::string until(const Command& c) {
    const bool reached = run_until([&] {
      const auto view = view_of(c.word(0));
      return view && wire::state_name(view->state) == c.word(1);
    });
    return c.word(0) + (reached ? " is " : " is not within the bound: ") + c.word(1) + "\n";
  }

  std::string mine(std::uint64_t blocks) {
    const std::uint64_t goal = mined_ + blocks;
    world_.let_mine(true);
    (void)run_until([&] { return mined_ >= goal; });
    world_.let_mine(false);
    const bool known = run_until([this] {
      const Records records = world_.records();
      for (const LedgerRecord& ledger : records.ledgers) {
        if (ledger.ready && ledger.tip.hash == records.chain.back().hash) return true;
      }
      return false;
    });
    return known ? "" : "the books do not learn of the blocks\n";
  }
  std::string kill_node(const Command& c) {
    const std::size_t before = world_.counts().unmined_payments;
    Fault fault;
    fault.kind = FaultKind::KillNode;
    fault.down = down(c);
    if (!world_.inject(fault)) return "not done\n";
    return std::to_string(world_.counts().unmined_payments - before) + " payments un-mined\n";
  }

  // fault KIND ...: now, in the words of a schedule (its `at` says nothing here).
  std::string fault(const Command& c) {
    const auto parsed = parse_schedule(c.text + "\n");
    if (!parsed) throw std::runtime_error(parsed.error().message);
    return struck(world_.inject(parsed->faults.at(0)));
  }
  // roll-back SIGNER keep=RECORDS: it dies, and its journal comes back shorter.
  std::string roll_back(const Command& c) {
    const auto kept = static_cast<std::size_t>(c.number("keep", 0));
    Fault fault;
    fault.kind = FaultKind::RollBack;
    fault.a = process(c.word(0));
    fault.amount = static_cast<std::uint32_t>(kept);
    fault.down = down(c);
    return struck(world_.inject(fault));
  }

  [[nodiscard]] std::optional<wire::WithdrawalView> view_of(const std::string& key) const {
    const Records records = world_.records();
    for (const LedgerRecord& ledger : records.ledgers) {
      if (!ledger.ready) continue;
      for (const wire::WithdrawalView& view : ledger.withdrawals) {
        if (view.key == key) return view;
      }
    }
    return std::nullopt;
  }
  std::string show() {
    std::string text;
    for (const ClientKey& key : keys_) {
      const auto view = view_of(key.key);
      text += view ? described(*view) + "\n" : key.key + " is not in the books\n";
    }
    return text;
  }
  std::string described(const wire::WithdrawalView& view) {
    std::string text = view.key + " " + wire::state_name(view.state);
    if (view.reject != wire::RejectReason::None) {
      text += std::string(" ") + wire::reject_name(view.reject);
    }
    if (view.planned) text += " " + name(view.planned->txid);
    return text;
  }
  std::string journals() {
    std::string text;
    const Records records = world_.records();
    for (std::size_t i = 0; i < records.journals.size(); ++i) {
      text += "signer-" + std::to_string(i) + ":";
      for (const signer::Record& record : records.journals[i].records) {
        const auto* signing = std::get_if<signer::SigningRecord>(&record.body);
        text += signing == nullptr ? std::string(" ") + signer::record_name(record.body)
                                   : " " + name(signing->txid);
      }
      text += "\n";
    }
    return text;
  }

  // Settles what is open, then asks the simulator's judge.
  std::string verdict() {
    quiet_ = true;
    world_.let_mine(true);
    const bool settled = run_until([this] { return world_.finished(); });
    world_.let_mine(false);
    const bool rest = run_until([this] { return world_.at_rest(); });
    Records records = world_.records();
    records.keys = keys_;
    std::erase_if(records.keys, [this](const ClientKey& key) {
      const auto view = view_of(key.key);
      return !view || view->reject != wire::RejectReason::None;
    });
    records.answers = answers_;
    std::erase_if(records.answers, [&](const Answer& answer) {
      return std::none_of(records.keys.begin(), records.keys.end(),
                          [&](const ClientKey& key) { return key.key == answer.key; });
    });
    records.settled = settled && rest;
    std::string text;
    for (const Violation& violation : sim::judge(records)) {
      text += violation.id + ": " + violation.text + "\n";
    }
    const std::size_t paid = records.keys.size();
    return text.empty() ? std::to_string(paid) + " paid once each, the records agree\n" : text;
  }

  void hear(const TraceLine& line) {
    const std::string_view what = line.what;
    const std::string_view subject = line.subject;
    if (what == "mined") ++mined_;
    if (quiet_) return;
    const bool answer =
        what == "send" && (subject == "partial_signature" || subject == "refusal");
    const bool record = what == "persist" && subject == "signing_record";
    const bool fact = what == "record" && subject != "share_received" && subject != "quorum";
    const bool sent = what == "broadcast";
    const bool log = what == "appended" && (subject == "withdraw" || subject == "signed");
    if (!answer && !record && !fact && !sent && !log && *fault_mark(line) == '\0') return;
    told_ += line.who.text() + ": " + std::string(what);
    if (!subject.empty()) told_ += " " + std::string(subject);
    told_ += "\n";
  }

  ClientKey* find(const std::string& key) {
    const auto found = std::find_if(keys_.begin(), keys_.end(),
                                    [&](const ClientKey& known) { return known.key == key; });
    return found == keys_.end() ? nullptr : &*found;
  }
  std::string name(const Hash32& txid) {
    const auto found = names_.emplace(txid, "tx" + std::to_string(names_.size() + 1));
    return found.first->second;
  }

  Shape shape_;
  World world_;
  bool quiet_ = true;
  std::string told_;
  std::uint64_t mined_ = 0;
  std::vector<ClientKey> keys_;
  std::vector<Answer> answers_;
  std::map<Hash32, std::string> names_;
};

}  // namespace

std::unique_ptr<Stage> cluster_stage(const Block& first) {
  return std::make_unique<ClusterStage>(schedule_of(first));
}

}  // namespace roulette::scenario
