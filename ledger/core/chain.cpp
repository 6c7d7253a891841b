// The chain as facts: blocks enter at the tip and leave from the tip; everything else follows.
//
// Invariants: a block that does not fit the tip changes nothing. Being confirmed or settled is
// revocable; the postings for a settlement or a deposit are made once and never reversed: a node
// that lost its last blocks will mine the same transactions again (DESIGN 7). It never asks whether
// a transaction is valid: the node did.
#include <algorithm>

#include "common/base/mutants.h"
#include "common/bitcoin/transaction.h"
#include "ledger/core/books.h"

namespace roulette::ledger {
namespace {

void pay(Books& books, Change& change, Ordinal ordinal) {
  Withdrawal& withdrawal = books.withdrawals[ordinal];
  if (withdrawal.paid && !ROULETTE_MUTANT("settlement-posted-again")) return;
  withdrawal.paid = true;
  const std::string reference = reference_of(withdrawal.view.id);
  const std::int64_t amount = withdrawal.view.amount_sat;
  change.post("pending", "outside", amount, "payment", reference);
  change.post("pending", "fees", books.genesis->withdrawal_fee_sat, "fee", reference);
  change.post("outside", "wallet", amount, "payment", reference);
  change.post("fees", "wallet", withdrawal.view.planned->fee_sat, "network-fee", reference);
}

void credit(Books& books, Change& change, const bitcoin::OutPoint& outpoint, Coin& coin) {
  if (coin.credited || coin.creator) return;
  coin.credited = true;
  const auto& accounts = books.genesis->accounts;
  const std::string account = customer_account(accounts[outpoint.vout % accounts.size()]);
  change.post("wallet", account, coin.amount_sat, "deposit", bitcoin::to_text(outpoint));
}

// The block `depth` deep, counting the tip's own as 1; nothing above the anchor: nullptr.
const Block* block_at_depth(const Books& books, std::uint32_t depth) {
  if (depth == 0 || depth > books.tip_height()) return nullptr;
  return &books.chain[books.tip_height() - depth + 1];
}

// Coins whose maturity is a depth that a block just reached or fell below.
void refresh_coins_at(Books& books, Change& change, std::uint32_t depth) {
  const Block* block = block_at_depth(books, depth);
  if (block == nullptr) return;
  for (const bitcoin::OutPoint& outpoint : block->coins) {
    books.refresh_coin(outpoint);
    Coin& coin = books.coins.at(outpoint);
    if (books.depth(coin.height) >= books.maturity(coin)) credit(books, change, outpoint, coin);
  }
}

void mature(Books& books, Change& change) {
  const std::uint32_t settle_depth = books.genesis->settle_depth;
  if (const Block* block = block_at_depth(books, settle_depth)) {
    for (const Ordinal ordinal : block->withdrawals) {
      change.refresh(ordinal);
      pay(books, change, ordinal);
    }
  }
  std::set<std::uint32_t> depths{1};  // our change
  for (const bool coinbase : {false, true}) {
    Coin deposit;
    deposit.coinbase = coinbase;
    depths.insert(books.maturity(deposit));
  }
  for (const std::uint32_t depth : depths) refresh_coins_at(books, change, depth);
}

void record_payment(Books& books, Ordinal ordinal, std::vector<std::string>& unsigned_ones) {
  Withdrawal& withdrawal = books.withdrawals[ordinal];
  const std::uint32_t height = books.tip_height();
  withdrawal.view.height = height;
  // Bytes that we never saw: nothing to send again if the block goes, so it falls back to planned.
  if (withdrawal.view.signed_tx.empty())
    unsigned_ones.push_back(reference_of(withdrawal.view.id));
  else
    withdrawal.broadcast = true;
  books.chain.back().withdrawals.push_back(ordinal);
  if (!withdrawal.change) return;
  books.coins[*withdrawal.change] = {withdrawal.change_sat, false, false, ordinal, height};
  books.chain.back().coins.push_back(*withdrawal.change);
}

void record_deposit(Books& books, const wire::WalletOutput& output) {
  if (books.by_txid.contains(output.outpoint.txid)) return;  // our change: known from the template
  if (output.amount_sat <= 0 || !bitcoin::is_money(output.amount_sat)) return;
  Coin& coin = books.coins[output.outpoint];
  if (coin.height != 0) return;  // listed twice
  coin.amount_sat = output.amount_sat;
  coin.coinbase = output.coinbase;
  coin.height = books.tip_height();
  books.chain.back().coins.push_back(output.outpoint);
}

}  // namespace

Applied connect_block(Books& books, const wire::BlockConnected& block) {
  Change change(books);
  const bool fits =
      block.prev == books.chain.back().hash && block.height == books.tip_height() + 1;
  if (!fits && !ROULETTE_MUTANT("stale-block-accepted")) {
    return change.finish({wire::OutcomeKind::Ignored, "does not fit the tip", {}});
  }
  books.chain.push_back({block.hash, {}, {}});
  std::vector<std::string> unsigned_ones;
  for (const Hash32& txid : block.txids) {
    const auto found = books.by_txid.find(txid);
    if (found == books.by_txid.end()) continue;
    if (books.withdrawals[found->second].view.height != 0) continue;  // listed twice
    record_payment(books, found->second, unsigned_ones);
    change.refresh(found->second);
  }
  for (const wire::WalletOutput& output : block.wallet_outputs) record_deposit(books, output);
  mature(books, change);
  if (!ROULETTE_MUTANT("waiting-never-planned")) plan_waiting(books, change);
  std::string detail;
  for (const std::string& id : unsigned_ones) {
    detail += (detail.empty() ? "confirmed without signed bytes: " : ", ") + id;
  }
  return change.finish({wire::OutcomeKind::Applied, detail, {}});
}

Applied disconnect_block(Books& books, const wire::BlockDisconnected& block) {
  Change change(books);
  if (books.chain.size() == 1 || block.hash != books.chain.back().hash) {
    return change.finish({wire::OutcomeKind::Ignored, "not the tip", {}});
  }
  const Block gone = std::move(books.chain.back());
  books.chain.pop_back();
  for (const Ordinal ordinal : gone.withdrawals) {
    if (ROULETTE_MUTANT("confirmation-final")) break;
    books.withdrawals[ordinal].view.height = 0;
    if (!ROULETTE_MUTANT("coin-freed-by-roll-back")) continue;
    for (const bitcoin::OutPoint& input : books.withdrawals[ordinal].inputs) {
      books.reserved.erase(input);
      books.refresh_coin(input);
    }
  }
  for (const bitcoin::OutPoint& outpoint : gone.coins) {
    books.coins.at(outpoint).height = 0;
    books.refresh_coin(outpoint);
  }
  // What was just deep enough is one block shallower now: its block stands one above that depth.
  const auto fell_below = [&books](std::uint32_t depth) {
    return block_at_depth(books, depth - 1);
  };
  if (const Block* shallow = fell_below(books.genesis->settle_depth)) {
    for (const Ordinal ordinal : shallow->withdrawals) change.refresh(ordinal);
  }
  for (const bool coinbase : {false, true}) {
    Coin deposit;
    deposit.coinbase = coinbase;
    const Block* shallow = fell_below(books.maturity(deposit));
    if (shallow == nullptr) continue;
    for (const bitcoin::OutPoint& outpoint : shallow->coins) books.refresh_coin(outpoint);
  }
  for (const Ordinal ordinal : gone.withdrawals) change.refresh(ordinal);
  return change.finish({wire::OutcomeKind::Applied, "", {}});
}

}  // namespace roulette::ledger
