// Coin selection and the one template a withdrawal will ever have.
//
// Invariant: the choice is a function of the books alone, every input becomes reserved for ever,
// and the network fee never exceeds what the customer pays. Deliberately simple: no optimisation
// of fees or privacy, no replacement (it would break DESIGN 6.3).
//
// Rule: the smallest single coin that suffices; else the largest coins one after another, at most
// kMaxInputsPerTransaction. Equal amounts go by outpoint (internal byte order). Inputs stand
// ascending by outpoint, the payment is output 0 and the change, if any, output 1.
#include <algorithm>

#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "common/bitcoin/fees.h"
#include "common/bitcoin/spend.h"
#include "common/bitcoin/script.h"
#include "ledger/core/books.h"

namespace roulette::ledger {
namespace {

// Our own unsettled transactions that a spender of `outpoint` would depend on, added to `found`.
// False as soon as a transaction spending it would have too many (bitcoind refuses long chains).
bool add_unsettled_ancestors(const Books& books, const bitcoin::OutPoint& outpoint,
                             std::set<Ordinal>& found) {
  std::vector<bitcoin::OutPoint> open{outpoint};
  while (!open.empty()) {
    const auto coin = books.coins.find(open.back());
    open.pop_back();
    if (coin == books.coins.end() || !coin->second.creator) continue;
    const Ordinal creator = *coin->second.creator;
    if (books.settled(creator) || !found.insert(creator).second) continue;
    if (found.size() >= limits::kMaxUnsettledAncestors) return false;
    const auto& inputs = books.withdrawals[creator].inputs;
    open.insert(open.end(), inputs.begin(), inputs.end());
  }
  return true;
}

struct Payment {
  std::vector<bitcoin::TxOut> without_change;
  std::vector<bitcoin::TxOut> with_change;
  std::int64_t dust_sat = 0;
};

// Fee and change for `count` inputs worth `total_sat`, or nothing when they do not suffice or the
// fee would exceed what the customer pays.
std::optional<CoinChoice> settle_amounts(const wire::Genesis& genesis, const Payment& payment,
                                         std::size_t count, std::int64_t total_sat) {
  const auto rate = bitcoin::sat_per_vbyte(genesis.fee_rate_sat_per_vb);
  const std::int64_t rest = total_sat - payment.without_change[0].amount_sat;
  const auto fee_of = [&](const std::vector<bitcoin::TxOut>& outputs) {
    return bitcoin::fee_sat(rate, bitcoin::signed_vsize(genesis.signature_form, count, outputs));
  };
  const auto fee_with = fee_of(payment.with_change);
  const auto fee_without = fee_of(payment.without_change);
  if (!fee_with || !fee_without || rest < *fee_without) return std::nullopt;
  CoinChoice choice;
  if (rest - *fee_with >= payment.dust_sat) {
    choice.fee_sat = *fee_with;
    choice.change_sat = rest - *fee_with;
  } else {
    choice.fee_sat = rest;  // what would be dust goes to the fee
  }
  if (choice.fee_sat > genesis.withdrawal_fee_sat) return std::nullopt;
  return choice;
}

std::optional<CoinChoice> smallest_single(const Books& books, const Payment& payment) {
  const bitcoin::OutPoint first{};
  for (auto coin = books.selectable.lower_bound({payment.without_change[0].amount_sat, first});
       coin != books.selectable.end(); ++coin) {
    auto choice = settle_amounts(*books.genesis, payment, 1, coin->first);
    std::set<Ordinal> ancestors;
    if (!choice || !add_unsettled_ancestors(books, coin->second, ancestors)) continue;
    choice->inputs = {coin->second};
    return choice;
  }
  return std::nullopt;
}

std::optional<CoinChoice> largest_first(const Books& books, const Payment& payment) {
  std::vector<bitcoin::OutPoint> inputs;
  std::set<Ordinal> ancestors;
  std::int64_t total_sat = 0;
  for (auto coin = books.selectable.rbegin(); coin != books.selectable.rend(); ++coin) {
    std::set<Ordinal> with_it = ancestors;
    if (!add_unsettled_ancestors(books, coin->second, with_it)) continue;
    ancestors = std::move(with_it);
    inputs.push_back(coin->second);
    total_sat += coin->first;
    if (auto choice = settle_amounts(*books.genesis, payment, inputs.size(), total_sat)) {
      std::sort(inputs.begin(), inputs.end());
      choice->inputs = std::move(inputs);
      return choice;
    }
    if (inputs.size() == limits::kMaxInputsPerTransaction) break;
  }
  return std::nullopt;
}

bitcoin::Transaction build(const Books& books, const Withdrawal& withdrawal,
                           const std::vector<bitcoin::OutPoint>& inputs, std::int64_t change_sat) {
  bitcoin::Transaction tx;
  tx.version = 2;
  tx.locktime = 0;
  for (const bitcoin::OutPoint& outpoint : inputs) {
    tx.inputs.push_back({outpoint, {}, bitcoin::kSequenceNoReplacement, {}});
  }
  tx.outputs.push_back({withdrawal.view.amount_sat, withdrawal.view.script});
  if (change_sat > 0) tx.outputs.push_back({change_sat, books.genesis->wallet_script});
  return tx;
}

void reserve(Books& books, Ordinal ordinal, const CoinChoice& choice) {
  std::vector<std::int64_t> amounts;
  for (const bitcoin::OutPoint& outpoint : choice.inputs) {
    amounts.push_back(books.coins.at(outpoint).amount_sat);
  }
  set_template(books, ordinal, choice, amounts);
  for (const bitcoin::OutPoint& outpoint : choice.inputs) books.refresh_coin(outpoint);
}

}  // namespace

std::optional<CoinChoice> choose_coins(const Books& books, ByteSpan script,
                                       std::int64_t amount_sat) {
  const bitcoin::TxOut paid{amount_sat, Bytes(script.begin(), script.end())};
  const bitcoin::TxOut change{0, books.genesis->wallet_script};
  const Payment payment{{paid}, {paid, change}, bitcoin::dust_limit_sat(change.script)};
  if (ROULETTE_MUTANT("coins-in-map-order") && mutants::process_salt() % 2 != 0)
    return largest_first(books, payment);
  if (auto choice = smallest_single(books, payment)) return choice;
  return largest_first(books, payment);
}

void set_template(Books& books, Ordinal ordinal, const CoinChoice& choice,
                  const std::vector<std::int64_t>& amounts_sat) {
  Withdrawal& withdrawal = books.withdrawals[ordinal];
  const bitcoin::Transaction tx = build(books, withdrawal, choice.inputs, choice.change_sat);
  wire::Template planned;
  planned.txid = bitcoin::txid(tx);
  planned.unsigned_tx = bitcoin::serialize_without_witness(tx);
  planned.fee_sat = choice.fee_sat;
  for (std::size_t i = 0; i < choice.inputs.size(); ++i) {
    planned.prevouts.push_back({amounts_sat[i], books.genesis->wallet_script});
    const bool free = books.reserved.emplace(choice.inputs[i], ordinal).second;
    ROULETTE_ASSERT(free);  // one outpoint, one withdrawal, for ever
  }
  if (choice.change_sat > 0) withdrawal.change = bitcoin::OutPoint{planned.txid, 1};
  withdrawal.change_sat = choice.change_sat;
  withdrawal.inputs = choice.inputs;
  books.by_txid.emplace(planned.txid, ordinal);
  withdrawal.view.planned = std::move(planned);
}

void plan_waiting(Books& books, Change& change) {
  while (!books.waiting.empty()) {
    const Ordinal head = *books.waiting.begin();
    const wire::WithdrawalView& view = books.withdrawals[head].view;
    const auto choice = choose_coins(books, view.script, view.amount_sat);
    if (!choice) return;
    books.waiting.erase(books.waiting.begin());
    reserve(books, head, *choice);
    change.refresh(head);
  }
}

}  // namespace roulette::ledger
