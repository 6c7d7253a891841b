// Commands for the books: withdrawals, signatures, blocks, one ordered log.
//
// Invariant: every command goes through its bytes and apply(); the story's end replays the log into
// an empty state and compares digests.
#include "tests/scenario/stage.h"

#include <stdexcept>

#include "tests/unit/ledger_story.h"

namespace roulette::scenario {
namespace {

namespace le = ledger;

class LedgerStage final : public Stage {
 public:
  std::string run(const Command& c) override {
    if (c.verb == "stage") return {};
    if (c.verb == "fund") return fund(c);
    if (c.verb == "withdraw") return withdraw(c);
    if (c.verb == "sign") return sign(c);
    if (c.verb == "broadcast") return told(c.word(0), story_.broadcast(c.word(0)));
    if (c.verb == "mine") return mine(c);
    if (c.verb == "unmine") return unmine();
    if (c.verb == "block") return block(c);
    if (c.verb == "close") return told("", story_.give(wire::EndOfRun{}));
    if (c.verb == "show") return show();
    if (c.verb == "coins") return coins();
    if (c.verb == "books") return books();
    unknown_command(c);
  }

 private:
  std::string fund(const Command& c) {
    story_.fund(static_cast<std::size_t>(std::stoull(c.word(0))), std::stoll(c.word(1)));
    return {};
  }

  std::string withdraw(const Command& c) {
    wire::Withdraw command = story_.withdraw_command(c.word(0), std::stoll(c.word(1)),
                                                     c.option("account", "alice"));
    if (c.options.contains("id")) command.id = WithdrawalId(ByteArray<16>{0xff});
    return told(c.word(0), story_.give(command));
  }

  std::string sign(const Command& c) {
    wire::Signed command = story_.signed_command(c.word(0));
    const std::string lie = c.option("lie");
    if (lie == "signature") command.signatures.front()[5] ^= 1;
    else if (lie == "txid") command.txid[0] ^= 1;
    else if (lie == "missing") command.signatures.pop_back();
    else if (!lie.empty()) unknown_command(c);
    return told(c.word(0), story_.give(command));
  }

  // mine [KEY ...] [times=N]: a block with these payments, then N-1 empty ones.
  std::string mine(const Command& c) {
    std::vector<Hash32> txids;
    std::vector<wire::WalletOutput> outputs;
    for (const std::string& key : c.words) {
      const auto tx = bitcoin::parse_transaction(story_.view(key).planned->unsigned_tx);
      if (!tx) throw std::runtime_error("no transaction of " + key);
      const Hash32 txid = story_.txid_of(key);
      txids.push_back(txid);
      for (std::uint32_t vout = 0; vout < tx->outputs.size(); ++vout) {
        if (tx->outputs[vout].script != story_.genesis().wallet_script) continue;
        outputs.push_back({{txid, vout}, tx->outputs[vout].amount_sat, false});
      }
    }
    std::string text = told("", story_.mine(txids, outputs));
    for (long long i = 1; i < c.number("times", 1); ++i) text = told("", story_.mine());
    return "height " + std::to_string(story_.height()) + ": " + text;
  }
  std::string unmine() {
    const std::string text = told("", story_.unmine());
    return "height " + std::to_string(story_.height()) + ": " + text;
  }
  // A block that does not stand on the tip, or is told twice.
  std::string block(const Command& c) {
    wire::BlockConnected stray;
    stray.hash = le::hash_of("a stray block");
    stray.prev = c.word(0) == "elsewhere" ? le::hash_of("elsewhere") : story_.tip();
    stray.height = static_cast<std::uint32_t>(story_.height() + (c.word(0) == "gap" ? 2 : 1));
    return told("", story_.give(stray));
  }

  // "applied: requested, planned tx1", as far as the command has a withdrawal.
  std::string told(const std::string& key, const le::Applied& applied) {
    std::string text = wire::outcome_name(applied.outcome.kind);
    if (!applied.outcome.detail.empty() && applied.outcome.kind != wire::OutcomeKind::Applied) {
      text += " (" + scrub(applied.outcome.detail) + ")";
    }
    for (const WithdrawalId& id : applied.changed) text += "; " + described(id);
    if (applied.changed.empty() && !key.empty() && story_.state.by_key(key)) {
      text += "; " + described(story_.view(key).id);
    }
    return text + "\n";
  }

  std::string described(const WithdrawalId& id) {
    for (const wire::WithdrawalView& view : story_.state.all()) {
      if (view.id != id) continue;
      std::string text = view.key + " " + wire::state_name(view.state);
      if (view.reject != wire::RejectReason::None) {
        text += std::string(" ") + wire::reject_name(view.reject);
      }
      if (view.planned) {
        text += " " + name(view.planned->txid) + " of " +
                std::to_string(view.planned->prevouts.size()) +
                (view.planned->prevouts.size() == 1 ? " coin" : " coins");
      }
      return text;
    }
    return "a withdrawal that the books do not have";
  }

  std::string show() {
    std::string text;
    for (const wire::WithdrawalView& view : story_.state.all()) text += described(view.id) + "\n";
    return text;
  }
  std::string coins() {
    std::size_t free = 0;
    std::size_t all = 0;
    for (const le::CoinView& coin : story_.state.coins()) {
      ++all;
      free += coin.selectable ? 1 : 0;
    }
    return std::to_string(all) + " coins known, " + std::to_string(free) + " selectable, " +
           std::to_string(story_.state.reservations().size()) + " outpoints reserved for ever\n";
  }
  std::string books() {
    le::check_books(story_.state, story_.postings);
    std::string text;
    for (const wire::Balance& line : story_.state.balances()) {
      text += line.account + " " + std::to_string(line.amount_sat) + "\n";
    }
    return text;
  }

  // A detail for people may hold hashes; they would say nothing here.
  static std::string scrub(const std::string& detail) {
    std::string text;
    for (std::size_t i = 0; i < detail.size();) {
      std::size_t end = i;
      while (end < detail.size() && std::isxdigit(static_cast<unsigned char>(detail[end]))) ++end;
      if (end - i >= 32) text += "<hash>";
      else text += detail.substr(i, std::max<std::size_t>(end - i, 1));
      i = std::max(end, i + 1);
    }
    return text;
  }
  std::string name(const Hash32& txid) {
    const auto found = names_.emplace(txid, "tx" + std::to_string(names_.size() + 1));
    return found.first->second;
  }

  le::Story story_;
  std::map<Hash32, std::string> names_;
};

}  // namespace

std::unique_ptr<Stage> ledger_stage() { return std::make_unique<LedgerStage>(); }

}  // namespace roulette::scenario
