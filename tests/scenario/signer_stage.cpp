// Commands for one signer: connections, payments, requests, its disk, its death.
//
// Invariant: SignerHost checks at every step that a share left only behind its record and that no
// nonce, outpoint or withdrawal stands under two transactions; a scenario adds what it looks like.
#include "tests/scenario/stage.h"

#include <catch2/catch.hpp>

#include <stdexcept>

#include "tests/unit/signer_host.h"

namespace roulette::scenario {
namespace {

namespace st = signer::test;

class SignerStage final : public Stage {
 public:
  std::string run(const Command& c) override {
    if (c.verb == "stage") return {};
    if (c.verb == "connect") return connect(c);
    if (c.verb == "lose") return lose(c);
    if (c.verb == "payment") return payment(c);
    if (c.verb == "nonces") return nonces(c);
    if (c.verb == "ask") return ask(c);
    if (c.verb == "repeat") return repeat(c);
    if (c.verb == "disk") return disk(c);
    if (c.verb == "inbox") return answers(c.word(0));
    if (c.verb == "kill") return kill();
    if (c.verb == "provision-again") return provision_again(c);
    if (c.verb == "stop") return stop();
    if (c.verb == "journal") return journal();
    unknown_command(c);
  }

 private:
  std::string connect(const Command& c) {
    connections_[c.word(0)] =
        host_.connect(static_cast<std::uint16_t>(c.number("coordinator", 0)));
    return {};
  }
  std::string lose(const Command& c) {
    host_.lose(connection(c.word(0)));
    return {};
  }

  // payment NAME [inputs=N] [same-as=NAME | rebuilt-of=NAME | id-of=NAME | coins-of=NAME]
  //   [lie=WHAT]
  std::string payment(const Command& c) {
    const auto inputs = static_cast<std::size_t>(c.number("inputs", 1));
    st::Payment made = st::payment(static_cast<std::uint8_t>(payments_.size() + 1), inputs);
    if (c.options.contains("same-as")) made = known(c.option("same-as"));
    if (c.options.contains("rebuilt-of")) made = st::rebuilt(known(c.option("rebuilt-of")));
    if (c.options.contains("coins-of")) {
      const WithdrawalId own = made.id;
      made = st::rebuilt(known(c.option("coins-of")));
      made.id = own;
    }
    if (c.options.contains("id-of")) {
      const st::Payment& other = known(c.option("id-of"));
      made.id = other.id;
      made.payload_digest = other.payload_digest;
    }
    const std::string lie = c.option("lie");
    if (lie == "change-elsewhere") made.tx.outputs.back().script = st::foreign_wallet().script;
    else if (lie == "no-change") made.tx.outputs.pop_back();
    else if (lie == "prevout-amount") made.prevouts.front().amount_sat += 1'000;
    else if (lie == "foreign-coin") made.prevouts.front().script = st::foreign_wallet().script;
    else if (lie == "amount") made.tx.outputs.front().amount_sat = 20'000'000;
    else if (!lie.empty()) unknown_command(c);
    payments_.insert_or_assign(c.word(0), std::move(made));
    return {};
  }

  std::string nonces(const Command& c) {
    auto& named = nonces_[c.option("as", "nonces")];
    named = host_.nonces(connection(c.word(0)), static_cast<std::uint32_t>(c.number("count", 1)));
    return std::to_string(named.size()) + (named.size() == 1 ? " nonce\n" : " nonces\n");
  }

  // ask CONNECTION PAYMENT [nonces=NAME] [as=REQUEST] [epoch=old] [group=another]
  std::string ask(const Command& c) {
    const ConnectionId on = connection(c.word(0));
    const st::Payment& paid = known(c.word(1));
    const auto count = static_cast<std::uint32_t>(paid.tx.inputs.size());
    auto own = c.options.contains("nonces") ? nonces_.at(c.option("nonces"))
                                            : host_.nonces(on, count);
    wire::SignRequest request = host_.request(paid, std::move(own));
    // Of one sharing of the wallet's key; here any other group stands for those of other epochs.
    if (c.option("group") == "another") request.group = st::foreign_wallet().dealt.group.id();
    if (c.option("epoch") == "old") {
      for (wire::SessionSigner& signer : request.signers) {
        if (signer.id == host_.id()) signer.epoch = old_boot_;
      }
    }
    requests_.insert_or_assign(c.option("as", "request"), request);
    host_.receive(on, request);
    return answers(c.word(0));
  }
  std::string repeat(const Command& c) {
    host_.receive(connection(c.word(0)), requests_.at(c.word(1)));
    return answers(c.word(0));
  }

  std::string answers(const std::string& name) {
    std::string text;
    while (const auto message = host_.take(connection(name))) {
      text += "signer -> " + name + ": ";
      if (const auto* share = std::get_if<wire::SignResponse>(&*message)) {
        const auto count = share->shares.size();
        text += std::to_string(count) + (count == 1 ? " share" : " shares") +
                ", journal length " + std::to_string(share->journal_length);
      } else if (const auto* refused = std::get_if<wire::SignRefusal>(&*message)) {
        text += std::string("refused, ") + wire::refusal_name(refused->reason);
        if (refused->blamed) text += ", blames signer-" + std::to_string(refused->blamed->value());
      } else {
        text += wire::message_name(*message);
      }
      text += "\n";
    }
    return text.empty() ? "signer -> " + name + ": nothing\n" : text;
  }

  std::string disk(const Command& c) {
    const std::size_t waiting = host_.waiting_records();
    if (c.word(0) == "holds") {
      host_.commit_at_once(false);
      return {};
    }
    if (c.word(0) != "commits") unknown_command(c);
    host_.make_durable();
    return std::to_string(waiting) + (waiting == 1 ? " record" : " records") + " committed\n";
  }
  std::string kill() {
    old_boot_ = host_.boot();
    host_.crash();
    host_.commit_at_once(true);
    connections_.clear();
    return "the signer starts again with " + std::to_string(host_.length()) + " records\n";
  }
  // provision-again epoch=N: a restart whose configuration names that share epoch.
  std::string provision_again(const Command& c) {
    old_boot_ = host_.boot();
    host_.provision_again(static_cast<std::uint32_t>(c.number("epoch", 2)));
    connections_.clear();
    return "the signer starts again with " + std::to_string(host_.length()) + " records\n";
  }
  std::string stop() {
    host_.shut_down();
    return host_.drained() > 0 ? "drained\n" : "still draining\n";
  }

  std::string journal() {
    std::string text;
    for (const signer::Record& record : host_.durable_records()) {
      text += std::to_string(record.sequence) + " " + signer::record_name(record.body);
      if (const auto* signing = std::get_if<signer::SigningRecord>(&record.body)) {
        text += " " + name_of(signing->txid) + ", " + std::to_string(signing->inputs.size()) +
                (signing->inputs.size() == 1 ? " outpoint" : " outpoints");
      }
      text += "\n";
    }
    return text;
  }

  [[nodiscard]] std::string name_of(const Hash32& txid) const {
    for (const auto& [name, paid] : payments_) {
      if (bitcoin::txid(paid.tx) == txid) return name;
    }
    return "a transaction that nobody asked for";
  }
  [[nodiscard]] const st::Payment& known(const std::string& name) const {
    const auto found = payments_.find(name);
    if (found == payments_.end()) throw std::runtime_error("no payment " + name);
    return found->second;
  }
  [[nodiscard]] ConnectionId connection(const std::string& name) const {
    const auto found = connections_.find(name);
    if (found == connections_.end()) throw std::runtime_error("no connection " + name);
    return found->second;
  }

  st::SignerHost host_;
  BootId old_boot_;
  std::map<std::string, ConnectionId> connections_;
  std::map<std::string, st::Payment> payments_;
  std::map<std::string, std::vector<wire::PubNonce>> nonces_;
  std::map<std::string, wire::SignRequest> requests_;
};

}  // namespace

std::unique_ptr<Stage> signer_stage() { return std::make_unique<SignerStage>(); }

}  // namespace roulette::scenario
