// Money on the active chain against what clients asked for and what the ledger says:
// no-duplicate-payment, no-lost-withdrawal, chain-matches-ledger.
//
// Invariant: the only evidence of a payment is an output in the recorded active chain; nobody's
// word replaces it.
#include <algorithm>
#include <map>
#include <set>

#include "chaos/check/checkers.h"
#include "chaos/check/ledger_model.h"

namespace roulette::check {
namespace {

// What the client was told about a key, over all its requests.
struct Told {
  const Operation* accepted = nullptr;  // a 2xx with a state that is not `rejected`
  const Operation* refused = nullptr;   // a final business refusal
};

std::map<std::string, Told> what_was_told(const History& history) {
  std::map<std::string, Told> out;
  for (const Operation& op : history.operations) {
    if (!op.answered || op.conflict()) continue;
    Told& told = out[op.key];
    if (op.ok() && op.state != "rejected") {
      if (told.accepted == nullptr) told.accepted = &op;
    } else if (op.ok() || (!op.get() && op.status >= 400 && op.status < 500 && op.status != 429)) {
      if (told.refused == nullptr) told.refused = &op;
    }
  }
  return out;
}

std::string sat(std::int64_t amount) {
  return std::to_string(amount) + " sat";
}

bool spends_wallet(const History& history, const ChainTx& tx, const Bytes& wallet) {
  return std::any_of(tx.tx.inputs.begin(), tx.tx.inputs.end(), [&](const bitcoin::TxIn& input) {
    const ChainTx* creator = history.chain.find(bitcoin::txid_to_hex(input.outpoint.txid));
    return creator != nullptr && input.outpoint.vout < creator->tx.outputs.size() &&
           creator->tx.outputs[input.outpoint.vout].script == wallet;
  });
}

void check_key_payments(const History& history, const ClientKey& key,
                        const std::vector<Payment>& payments, const Told& told, Findings& out) {
  const std::string name = "key " + key.key;
  if (payments.size() > 1) {
    const At& first = history.chain.txs[payments[0].tx].at;
    for (std::size_t i = 1; i < payments.size(); ++i) {
      const ChainTx& tx = history.chain.txs[payments[i].tx];
      out.violation(tx.at, name + " is paid again by " + tx.txid + ":" +
                               std::to_string(payments[i].vout) + " (first at " +
                               history.where(first) + ")");
    }
  }
  for (const Payment& payment : payments) {
    const ChainTx& tx = history.chain.txs[payment.tx];
    out.checked();
    if (payment.amount_sat != key.amount_sat) {
      out.violation(tx.at, name + " is paid " + sat(payment.amount_sat) + " by " + tx.txid +
                               ", but asked for " + sat(key.amount_sat) + " (" +
                               history.where(key.at) + ")");
    }
    if (told.accepted == nullptr && told.refused != nullptr) {
      out.violation(tx.at, name + " was refused with " + std::to_string(told.refused->status) +
                               " (" + history.where(told.refused->answer_at) + "), yet " + tx.txid +
                               " pays it");
    }
  }
}

// An order whose client used no idempotency keys has several, and may be paid under each of them.
void check_orders(const History& history, const std::map<std::string, std::vector<Payment>>& paid,
                  Findings& out) {
  std::map<std::string, std::string> order_of;  // key -> the order's first key
  std::map<std::string, std::vector<const ClientKey*>> twice;
  for (const ClientKey& key : history.keys) {
    const auto before = order_of.find(key.replaces);
    const std::string order = before == order_of.end() ? key.key : before->second;
    order_of.emplace(key.key, order);
    if (paid.contains(key.key)) twice[order].push_back(&key);
  }
  std::erase_if(twice, [](const auto& order) { return order.second.size() < 2; });
  const bool expected = history.experiment.expect == chaos::Expectation::Duplicate;
  std::string names;
  for (const auto& [order, keys] : twice) {
    std::string text = "the order of key " + order + " is paid " + std::to_string(keys.size()) +
                       " times, for its client asked again without its key:";
    for (const ClientKey* key : keys)
      text += " " + history.chain.txs[paid.at(key->key).front().tx].txid;
    if (expected) names += (names.empty() ? "" : "; ") + text;
    else
      out.violation(history.chain.txs[paid.at(keys.back()->key).front().tx].at, text);
  }
  if (!expected) return;
  if (twice.empty()) out.inconclusive("expect: duplicate, but no order was paid twice");
  else
    out.note("as expected: " + names);
}

// Whatever leaves the wallet goes to somebody who asked, or back to the wallet.
void check_strangers(const History& history, const Bytes& wallet, Findings& out) {
  std::set<Bytes> asked;
  for (const ClientKey& key : history.keys) asked.insert(key.script);
  for (const ChainTx& tx : history.chain.txs) {
    if (tx.coinbase || !spends_wallet(history, tx, wallet)) continue;
    for (std::size_t vout = 0; vout < tx.tx.outputs.size(); ++vout) {
      const Bytes& script = tx.tx.outputs[vout].script;
      if (script == wallet || asked.contains(script)) continue;
      out.violation(tx.at, tx.txid + ":" + std::to_string(vout) + " pays " +
                               sat(tx.tx.outputs[vout].amount_sat) + " to script " +
                               to_hex(script) + ", which no client asked for");
    }
  }
}

}  // namespace

InvariantResult check_duplicate_payment(const History& history) {
  Findings out(history, "no-duplicate-payment");
  bool whole = out.need(history.client);
  whole = out.need(history.chain_file) && whole;
  whole = out.need_journals() && whole;  // the threshold key says which script is the wallet's
  if (!whole) return out.result();
  const auto payments = payments_by_key(history);
  auto told = what_was_told(history);
  for (const ClientKey& key : history.keys) {
    const auto found = payments.find(key.key);
    if (found != payments.end())
      check_key_payments(history, key, found->second, told[key.key], out);
  }
  check_orders(history, payments, out);
  check_strangers(history, *history.wallet_script(), out);
  return out.result();
}

namespace {

struct KnownRow {
  const WithdrawalRow* row = nullptr;
  const Replica* replica = nullptr;
};

// A key's withdrawal in any replica: one that applied EndOfRun first.
std::map<std::string, KnownRow> rows_by_key(const History& history) {
  std::map<std::string, KnownRow> out;
  for (const bool closed : {true, false}) {
    for (const Replica& replica : history.replicas) {
      if (replica.closed() != closed) continue;
      for (const WithdrawalRow& row : replica.withdrawals)
        out.emplace(row.key, KnownRow{&row, &replica});
    }
  }
  return out;
}

bool paid_deep_enough(const History& history, const ClientKey& key,
                      const std::vector<Payment>& payments) {
  return std::any_of(payments.begin(), payments.end(), [&](const Payment& p) {
    return p.amount_sat == key.amount_sat && p.depth >= history.settle_depth();
  });
}

std::string what_is_there(const std::vector<Payment>& payments) {
  if (payments.empty()) return "no output of the chain pays its address";
  return "its payment is only " + std::to_string(payments[0].depth) + " deep, or of another amount";
}

// Only when the plan declares a lasting loss: how many stay unpaid, and which.
void name_left_behind(const std::vector<std::string>& left, Findings& out) {
  if (left.empty()) return;
  std::string names = std::to_string(left.size()) +
                      " accepted withdrawals left unpaid by the declared quorum loss:";
  for (const std::string& key : left) names += " " + key;
  out.note(names);
}

}  // namespace

InvariantResult check_lost_withdrawal(const History& history) {
  Findings out(history, "no-lost-withdrawal");
  bool whole = out.need(history.client);
  whole = out.need(history.chain_file) && whole;
  whole = out.need(history.faults_file) && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  if (history.interrupted)
    out.inconclusive("the run was interrupted: accepted withdrawals had no time to settle");
  const auto payments = payments_by_key(history);
  const auto rows = rows_by_key(history);
  auto told = what_was_told(history);
  std::vector<std::string> left;
  for (const ClientKey& key : history.keys) {
    const auto row = rows.find(key.key);
    const bool known = row != rows.end() && row->second.row->state != "rejected";
    const Operation* accepted = told[key.key].accepted;
    if (accepted == nullptr && !known) continue;
    out.checked();
    const auto found = payments.find(key.key);
    const std::vector<Payment> paid =
        found == payments.end() ? std::vector<Payment>{} : found->second;
    if (accepted != nullptr && row == rows.end()) {
      out.violation(accepted->answer_at, "key " + key.key + " was acknowledged with " +
                                             std::to_string(accepted->status) +
                                             ", but no replica knows it");
    } else if (accepted != nullptr && !known) {
      out.violation(accepted->answer_at, "key " + key.key +
                                             " was acknowledged, but the ledger rejected it (" +
                                             history.where(row->second.row->at) + ")");
    } else if (!paid_deep_enough(history, key, paid)) {
      if (history.lasting_quorum_loss()) {
        left.push_back(key.key);
      } else if (!history.interrupted) {
        const At& at = accepted != nullptr ? accepted->answer_at : row->second.row->at;
        out.violation(at,
                      "key " + key.key +
                          (accepted != nullptr ? " was acknowledged" : " stands in the ledger") +
                          ", but " + what_is_there(paid));
      }
    }
  }
  name_left_behind(left, out);
  return out.result();
}

namespace {

// Each replica's view of one chain.
class ChainAndLedger {
 public:
  ChainAndLedger(const History& history, const Replica& replica, const Bytes& wallet, Findings& out)
      : history_(history),
        replica_(replica),
        wallet_(wallet),
        out_(out),
        model_(replay(replica, history.settle_depth())) {
    for (const WithdrawalRow& row : replica.withdrawals) {
      if (!row.txid.empty()) by_txid_.emplace(row.txid, &row);
    }
  }

  void run() {
    check_tip();
    for (const ChainTx& tx : history_.chain.txs) {
      if (!tx.coinbase && spends_wallet(history_, tx, wallet_)) check_chain_tx(tx);
    }
    for (const WithdrawalRow& row : replica_.withdrawals) check_row(row);
  }

 private:
  // Block by block: what the replica followed is the active chain as far as it goes.
  void check_tip() {
    if (model_.chain.empty()) return out_.inconclusive(replica_.name + " followed no block");
    const std::vector<std::string>& active = history_.chain.hashes;
    for (std::size_t i = 0; i < model_.chain.size(); ++i) {
      out_.checked();
      const std::size_t height = model_.anchor_height + i;
      if (height < active.size() && active[height] == model_.chain[i]) continue;
      return out_.violation(replica_.state->at,
                            replica_.name + " followed block " + model_.chain[i] + " at height " +
                                std::to_string(height) + ", which is not in the active chain");
    }
  }

  void check_chain_tx(const ChainTx& tx) {
    out_.checked();
    const auto found = by_txid_.find(tx.txid);
    if (found == by_txid_.end()) {
      return out_.violation(tx.at, tx.txid + " spends the wallet's coins, but " + replica_.name +
                                       " has no such withdrawal");
    }
    const WithdrawalRow& row = *found->second;
    if (tx.height > model_.height()) return;  // a block after the coordinators were stopped
    if (row.height != tx.height) {
      out_.violation(row.at, "withdrawal " + row.withdrawal_id + " stands at height " +
                                 std::to_string(row.height) + ", its transaction " + tx.txid +
                                 " at " + std::to_string(tx.height) + " (" + history_.where(tx.at) +
                                 ")");
    }
  }

  void check_row(const WithdrawalRow& row) {
    const bool confirmed = row.state == "confirmed" || row.state == "settled";
    if (!confirmed) return;
    out_.checked();
    const std::string name = "withdrawal " + row.withdrawal_id + " is " + row.state;
    const ChainTx* tx = history_.chain.find(row.txid);
    if (tx == nullptr)
      return out_.violation(row.at, name + ", but " + row.txid + " is not in the active chain");
    const auto script = from_hex(row.script);
    const auto pays = std::count_if(
        tx->tx.outputs.begin(), tx->tx.outputs.end(), [&](const bitcoin::TxOut& output) {
          return script && output.script == *script && output.amount_sat == row.amount_sat;
        });
    if (pays != 1) {
      out_.violation(row.at, name + ", but " + row.txid + " has " + std::to_string(pays) +
                                 " outputs of " + sat(row.amount_sat) + " to its script (" +
                                 history_.where(tx->at) + ")");
    }
    const std::uint32_t depth =
        model_.height() >= row.height ? model_.height() - row.height + 1 : 0;
    if (row.state == "settled" && depth < history_.settle_depth()) {
      out_.violation(row.at, name + ", but its block is only " + std::to_string(depth) + " deep");
    }
  }

  const History& history_;
  const Replica& replica_;
  const Bytes& wallet_;
  Findings& out_;
  LedgerModel model_;
  std::map<std::string, const WithdrawalRow*> by_txid_;
};

}  // namespace

InvariantResult check_chain_and_ledger(const History& history) {
  Findings out(history, "chain-matches-ledger");
  bool whole = out.need(history.client);
  whole = out.need(history.faults_file) && whole;
  whole = out.need(history.chain_file) && whole;
  whole = out.need_journals() && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  const Bytes wallet = *history.wallet_script();
  for (const Replica& replica : history.replicas) {
    if (replica.closed()) ChainAndLedger(history, replica, wallet, out).run();
  }
  // Payments that do not even spend the wallet's coins: somebody else's, so no ledger can have
  // them.
  for (const auto& [key, payments] : payments_by_key(history)) {
    for (const Payment& payment : payments) {
      const ChainTx& tx = history.chain.txs[payment.tx];
      if (!spends_wallet(history, tx, wallet)) {
        out.violation(tx.at, "key " + key + " is paid by " + tx.txid +
                                 ", which spends no coin of the wallet");
      }
    }
  }
  return out.result();
}

}  // namespace roulette::check
