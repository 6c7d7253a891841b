// books-balance: the postings make the balances, nobody is overdrawn, and the wallet's account is
// what the chain shows.
//
// Invariant: balances are recomputed from postings and the wallet from blocks; exported sums are
// only compared.
#include <algorithm>
#include <map>
#include <set>

#include "chaos/check/checkers.h"
#include "chaos/check/ledger_model.h"

namespace roulette::check {
namespace {

bool wallet_output(const bitcoin::TxOut& output, const Bytes& wallet) {
  return output.script == wallet;
}

class Books {
 public:
  Books(const History& history, const Replica& replica, Findings& out)
      : history_(history), replica_(replica), out_(out), wallet_(*history.wallet_script()) {}

  void run() {
    recompute();
    compare_balances();
    check_withdrawals();
    check_wallet();
  }

 private:
  // `wallet` is debit-normal (what we have), all others credit-normal (what we owe).
  void add(const std::string& account, std::int64_t credited) {
    balances_[account] += account == "wallet" ? -credited : credited;
  }

  void recompute() {
    std::uint64_t index = 0;
    for (const PostingRow& posting : replica_.postings) {
      if (posting.index < index)
        out_.violation(posting.at, "postings are not in the order of their entries");
      if (posting.index != index) check_overdrawn(index);
      index = posting.index;
      last_ = posting.at;
      out_.checked();
      if (posting.amount_sat <= 0)
        out_.violation(posting.at, "a posting of " + std::to_string(posting.amount_sat) + " sat");
      if (posting.debit == posting.credit)
        out_.violation(posting.at, "a posting from " + posting.debit + " to itself");
      add(posting.debit, -posting.amount_sat);
      add(posting.credit, posting.amount_sat);
      note_reference(posting);
    }
    check_overdrawn(index);
  }

  // After each entry, not only at the end.
  void check_overdrawn(std::uint64_t index) {
    for (const auto& [account, amount] : balances_) {
      const bool bounded = account.starts_with("customer:") || account == "pending" ||
                           account == "fees" || account == "wallet";
      if (bounded && amount < 0 && overdrawn_.insert(account).second) {
        out_.violation(last_, "account " + account + " is at " + std::to_string(amount) +
                                  " sat after index " + std::to_string(index));
      }
    }
  }

  void compare_balances() {
    std::set<std::string> seen;
    std::int64_t sum = 0;
    for (const BalanceRow& row : replica_.balances) {
      seen.insert(row.account);
      sum += row.account == "wallet" ? -row.amount_sat : row.amount_sat;
      const auto found = balances_.find(row.account);
      const std::int64_t expected = found == balances_.end() ? 0 : found->second;
      out_.checked();
      if (row.amount_sat != expected) {
        out_.violation(row.at, "account " + row.account + " holds " +
                                   std::to_string(row.amount_sat) + " sat, its postings make " +
                                   std::to_string(expected));
      }
    }
    if (sum != 0)
      out_.violation(replica_.name + ": the balances sum to " + std::to_string(sum) +
                     " sat, not to zero");
    for (const auto& [account, amount] : balances_) {
      if (amount != 0 && !seen.contains(account))
        out_.violation(replica_.name + ": account " + account + " has postings, but no balance");
    }
  }

  struct Moved {
    std::int64_t hold = 0, paid_out = 0, left_wallet = 0, fee = 0, network_fee = 0;
    std::uint64_t holds = 0, payments = 0;
    At at;
  };

  void note_reference(const PostingRow& p) {
    if (p.reason == "deposit") {
      if (!deposits_.emplace(p.reference, p).second)
        out_.violation(p.at, "deposit " + p.reference + " is credited twice");
      return;
    }
    Moved& moved = moved_[p.reference];
    moved.at = p.at;
    if (p.reason == "hold")
      moved.hold += p.amount_sat, ++moved.holds;
    else if (p.reason == "payment" && p.debit == "pending")
      moved.paid_out += p.amount_sat, ++moved.payments;
    else if (p.reason == "payment")
      moved.left_wallet += p.amount_sat;
    else if (p.reason == "fee")
      moved.fee += p.amount_sat;
    else if (p.reason == "network-fee")
      moved.network_fee += p.amount_sat;
    else
      out_.violation(p.at, "a posting for the unknown reason '" + p.reason + "'");
  }

  void check_withdrawals() {
    for (const WithdrawalRow& row : replica_.withdrawals) {
      const std::string name = "withdrawal " + row.withdrawal_id;
      const auto found = moved_.find(row.withdrawal_id);
      if (row.state == "rejected") {
        if (found != moved_.end())
          out_.violation(found->second.at, name + " was rejected, but money moved for it");
        continue;
      }
      if (found == moved_.end()) {
        out_.violation(row.at, name + " was accepted, but nothing is held for it");
        continue;
      }
      check_movements(row, found->second, name);
    }
    for (const auto& [reference, moved] : moved_) {
      const bool known =
          std::any_of(replica_.withdrawals.begin(), replica_.withdrawals.end(),
                      [&](const WithdrawalRow& row) { return row.withdrawal_id == reference; });
      if (!known)
        out_.violation(moved.at, "money moved for " + reference + ", which is no withdrawal");
    }
  }

  void check_movements(const WithdrawalRow& row, const Moved& moved, const std::string& name) {
    out_.checked();
    if (moved.holds != 1 || moved.hold < row.amount_sat) {
      out_.violation(moved.at, name + " holds " + std::to_string(moved.hold) + " sat in " +
                                   std::to_string(moved.holds) + " postings for " +
                                   std::to_string(row.amount_sat) + " sat");
    }
    const bool paid = moved.payments > 0;
    if (row.state == "settled" && !paid)
      out_.violation(row.at, name + " is settled, but its payment is not in the books");
    if (!paid) return;
    const bool right = moved.payments == 1 && moved.paid_out == row.amount_sat &&
                       moved.left_wallet == row.amount_sat &&
                       moved.fee == moved.hold - row.amount_sat && moved.network_fee == row.fee_sat;
    if (!right) {
      out_.violation(moved.at, name + " of " + std::to_string(row.amount_sat) + " sat and fee " +
                                   std::to_string(row.fee_sat) + " is booked as " +
                                   std::to_string(moved.paid_out) + " paid in " +
                                   std::to_string(moved.payments) + " postings, " +
                                   std::to_string(moved.left_wallet) + " out of the wallet, fees " +
                                   std::to_string(moved.fee) + " and " +
                                   std::to_string(moved.network_fee));
    }
  }

  // The unspent outputs of the wallet's script at the replica's tip, less deposits not yet
  // credited, plus what confirmed payments took that the books do not show yet.
  void check_wallet() {
    const LedgerModel model = replay(replica_, history_.settle_depth());
    const std::uint32_t tip = model.height();
    std::map<std::string, std::int64_t> unspent;
    std::int64_t unbooked = 0;
    std::set<std::string> found_deposits;
    for (const ChainTx& tx : history_.chain.txs) {
      if (tx.height > tip) continue;
      std::int64_t taken = 0;
      if (!tx.coinbase) {
        for (const bitcoin::TxIn& input : tx.tx.inputs) {
          const auto coin = unspent.find(bitcoin::to_text(input.outpoint));
          if (coin == unspent.end()) continue;
          taken += coin->second;
          unspent.erase(coin);
        }
      }
      std::int64_t returned = 0;
      for (std::uint32_t vout = 0; vout < tx.tx.outputs.size(); ++vout) {
        const bitcoin::TxOut& output = tx.tx.outputs[vout];
        if (!wallet_output(output, wallet_)) continue;
        const std::string outpoint = tx.txid + ":" + std::to_string(vout);
        unspent.emplace(outpoint, output.amount_sat);
        returned += output.amount_sat;
        if (taken == 0)
          unbooked -= uncredited(outpoint, output.amount_sat, tx, tip, found_deposits);
      }
      if (taken > 0 && unbooked_payment(tx.txid)) unbooked += taken - returned;
    }
    for (const auto& [outpoint, posting] : deposits_) {
      if (!found_deposits.contains(outpoint))
        out_.violation(posting.at,
                       "deposit " + outpoint + " is not an output of the chain to the wallet");
    }
    std::int64_t coins = 0;
    for (const auto& [outpoint, amount] : unspent) coins += amount;
    out_.checked();
    const std::int64_t booked_sat = balances_["wallet"];
    if (coins + unbooked != booked_sat) {
      out_.violation(replica_.name + ": the wallet's account holds " + std::to_string(booked_sat) +
                     " sat, the chain's unspent outputs at height " + std::to_string(tip) +
                     " make " + std::to_string(coins) + " (and " + std::to_string(unbooked) +
                     " not yet booked)");
    }
  }

  // The amount of a deposit that the books have not credited; 0 when they have.
  std::int64_t uncredited(const std::string& outpoint, std::int64_t amount, const ChainTx& tx,
                          std::uint32_t tip, std::set<std::string>& found_deposits) {
    const auto posting = deposits_.find(outpoint);
    if (posting == deposits_.end()) {
      const std::uint32_t depth = tip - tx.height + 1;
      if (!tx.coinbase && depth >= history_.settle_depth()) {
        out_.violation(tx.at, replica_.name + ": deposit " + outpoint + " is " +
                                  std::to_string(depth) + " deep, but not credited");
      }
      return amount;
    }
    found_deposits.insert(outpoint);
    if (posting->second.amount_sat != amount) {
      out_.violation(posting->second.at, "deposit " + outpoint + " is credited with " +
                                             std::to_string(posting->second.amount_sat) +
                                             " sat, the output holds " + std::to_string(amount));
    }
    return 0;
  }

  // A withdrawal's transaction whose payment the books do not show yet; a stranger's is never
  // excused.
  bool unbooked_payment(const std::string& txid) const {
    for (const WithdrawalRow& row : replica_.withdrawals) {
      if (row.txid != txid) continue;
      const auto moved = moved_.find(row.withdrawal_id);
      return moved == moved_.end() || moved->second.payments == 0;
    }
    return false;
  }

  const History& history_;
  const Replica& replica_;
  Findings& out_;
  Bytes wallet_;
  At last_;
  std::map<std::string, std::int64_t> balances_;
  std::map<std::string, Moved> moved_;          // by withdrawal id
  std::map<std::string, PostingRow> deposits_;  // by outpoint
  std::set<std::string> overdrawn_;
};

// Equal books at equal index; replicas that stopped elsewhere are judged by their own postings.
void compare_replicas(const History& history, Findings& out) {
  const Replica* first = history.reference();
  std::map<std::string, std::int64_t> expected;
  for (const BalanceRow& row : first->balances) expected[row.account] = row.amount_sat;
  for (const Replica& replica : history.replicas) {
    if (&replica == first || !replica.closed() || replica.entries.size() != first->entries.size())
      continue;
    for (const BalanceRow& row : replica.balances) {
      out.checked();
      const auto found = expected.find(row.account);
      if (found != expected.end() && found->second == row.amount_sat) continue;
      out.violation(row.at, replica.name + " has " + std::to_string(row.amount_sat) + " sat in " +
                                row.account + ", " + first->name + " has " +
                                (found == expected.end() ? "no such account"
                                                         : std::to_string(found->second)));
    }
  }
}

}  // namespace

InvariantResult check_books(const History& history) {
  Findings out(history, "books-balance");
  bool whole = out.need(history.chain_file);
  whole = out.need(history.faults_file) && whole;
  whole = out.need_journals() && whole;
  whole = out.need_replicas() && whole;
  if (!whole) return out.result();
  for (const Replica& replica : history.replicas) {
    if (!replica.closed()) continue;
    if (replica.postings.empty())
      out.inconclusive(replica.name + " exported no postings");
    else
      Books(history, replica, out).run();
  }
  compare_replicas(history, out);
  return out.result();
}

}  // namespace roulette::check
