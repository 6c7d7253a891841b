// apply(): one function per command, and the questions others may ask.
//
// Invariant: see state.h. Coins and templates are coins.cpp's, blocks are chain.cpp's.
#include "ledger/core/state.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/hash.h"
#include "ledger/core/books.h"

namespace roulette::ledger {

using wire::OutcomeKind;
using wire::WithdrawalState;

std::string customer_account(const std::string& name) {
  return "customer:" + name;
}
std::string reference_of(const WithdrawalId& id) {
  return to_hex(id.value());
}

// ---- Books ----

std::uint32_t Books::maturity(const Coin& coin) const {
  if (coin.creator) return 1;
  constexpr std::uint32_t kCoinbaseMaturity = 100;  // the consensus rule, counted as depth
  return coin.coinbase ? std::max(kCoinbaseMaturity, genesis->settle_depth) : genesis->settle_depth;
}

bool Books::settled(Ordinal ordinal) const {
  return withdrawals[ordinal].view.state == WithdrawalState::Settled;
}

wire::WithdrawalView Books::view_of(Ordinal ordinal) const {
  wire::WithdrawalView view = withdrawals[ordinal].view;
  for (const bitcoin::OutPoint& input : withdrawals[ordinal].inputs) {
    const auto coin = coins.find(input);
    if (coin == coins.end() || !coin->second.creator || settled(*coin->second.creator)) continue;
    if (std::find(view.parents.begin(), view.parents.end(), input.txid) == view.parents.end()) {
      view.parents.push_back(input.txid);
    }
  }
  return view;
}

void Books::refresh_coin(const bitcoin::OutPoint& outpoint) {
  const Coin& coin = coins.at(outpoint);
  const bool fit =
      !reserved.contains(outpoint) && coin.height != 0 && depth(coin.height) >= maturity(coin);
  if (fit)
    selectable.emplace(coin.amount_sat, outpoint);
  else
    selectable.erase({coin.amount_sat, outpoint});
}

// ---- Change ----

WithdrawalState state_by_facts(const Books& books, const Withdrawal& withdrawal) {
  const wire::WithdrawalView& view = withdrawal.view;
  if (view.reject != wire::RejectReason::None) return WithdrawalState::Rejected;
  if (view.height != 0) {
    return books.depth(view.height) >= books.genesis->settle_depth ? WithdrawalState::Settled
                                                                   : WithdrawalState::Confirmed;
  }
  if (!view.planned) return WithdrawalState::Requested;
  if (view.signed_tx.empty()) return WithdrawalState::Planned;
  return withdrawal.broadcast ? WithdrawalState::Broadcast : WithdrawalState::Signed;
}

void Change::refresh(Ordinal ordinal) {
  Withdrawal& withdrawal = books_.withdrawals[ordinal];
  const bool was_settled = books_.settled(ordinal);
  withdrawal.view.state = state_by_facts(books_, withdrawal);
  touch(ordinal);
  const bool settled = books_.settled(ordinal);
  if (settled || withdrawal.view.state == WithdrawalState::Rejected)
    books_.unfinished.erase(ordinal);
  else
    books_.unfinished.insert(ordinal);
  if (settled == was_settled || !withdrawal.change) return;
  // Whoever spends our change gains or loses an unsettled parent.
  const auto child = books_.reserved.find(*withdrawal.change);
  if (child != books_.reserved.end() && !books_.settled(child->second)) touch(child->second);
}

void Change::touch(Ordinal ordinal) {
  if (seen_.insert(ordinal).second) changed_.push_back(books_.withdrawals[ordinal].view.id);
}

void Change::post(const std::string& debit, const std::string& credit, std::int64_t amount_sat,
                  const char* reason, const std::string& reference) {
  if (amount_sat == 0) return;
  // Kept on the account's normal side: what we have in `wallet`, what we owe in all others.
  const auto add = [this](const std::string& account, std::int64_t credited) {
    books_.balances[account] += account == "wallet" ? -credited : credited;
  };
  add(debit, -amount_sat);
  add(credit, amount_sat);
  postings_.push_back({debit, credit, amount_sat, reason, reference});
}

Applied Change::finish(wire::Outcome outcome) {
  return {std::move(outcome), std::move(changed_), std::move(postings_)};
}

// ---- the commands ----

namespace {

Applied nothing(OutcomeKind kind, std::string detail, std::optional<WithdrawalId> id = {}) {
  return {{kind, std::move(detail), id}, {}, {}};
}

const char* fault_of(const wire::Genesis& genesis) {
  const Bytes script = bitcoin::wallet_script(genesis.signature_form, genesis.wallet_output_key);
  if (script.empty() || genesis.wallet_script != script) {
    return "the wallet's script does not pay to its output key";
  }
  if (genesis.accounts.empty()) return "no accounts";
  std::vector<std::string> names = genesis.accounts;
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) return "an account twice";
  if (names.front().empty()) return "an account without a name";
  for (const std::int64_t amount : {genesis.fee_rate_sat_per_vb, genesis.withdrawal_fee_sat,
                                    genesis.min_amount_sat, genesis.max_amount_sat}) {
    if (!bitcoin::is_money(amount)) return "an amount out of range";
  }
  if (genesis.min_amount_sat > genesis.max_amount_sat) return "least amount above the greatest";
  if (genesis.settle_depth == 0) return "settle depth 0";
  return nullptr;
}

Applied apply_genesis(Books& books, const wire::Genesis& genesis) {
  if (const char* fault = open_books(books, genesis)) return nothing(OutcomeKind::Invalid, fault);
  return nothing(OutcomeKind::Applied, "");
}

wire::RejectReason refusal_of(const Books& books, const wire::Withdraw& withdraw) {
  using wire::RejectReason;
  const wire::Genesis& genesis = *books.genesis;
  const auto balance = books.balances.find(customer_account(withdraw.account));
  if (balance == books.balances.end()) return RejectReason::UnknownAccount;
  const bitcoin::ScriptType type = bitcoin::classify(withdraw.script);
  const bool payable = type == bitcoin::ScriptType::P2tr || type == bitcoin::ScriptType::P2wpkh ||
                       type == bitcoin::ScriptType::P2wsh;
  // A payment to ourselves would be an output of the wallet that no deposit explains.
  if (!payable || withdraw.script == genesis.wallet_script) return RejectReason::BadScript;
  if (withdraw.amount_sat < genesis.min_amount_sat ||
      withdraw.amount_sat < bitcoin::dust_limit_sat(withdraw.script)) {
    return RejectReason::AmountTooSmall;
  }
  if (withdraw.amount_sat > genesis.max_amount_sat) return RejectReason::AmountTooLarge;
  if (balance->second < withdraw.amount_sat + genesis.withdrawal_fee_sat) {
    return RejectReason::InsufficientFunds;
  }
  return RejectReason::None;
}

Ordinal record(Books& books, const wire::Withdraw& withdraw, wire::RejectReason reject) {
  const Ordinal ordinal = books.withdrawals.size();
  Withdrawal added;
  wire::WithdrawalView& view = added.view;
  view.id = withdraw.id;
  view.key = withdraw.key;
  view.account = withdraw.account;
  view.script = withdraw.script;
  view.amount_sat = withdraw.amount_sat;
  view.payload_digest = withdraw.payload_digest;
  view.client = withdraw.client;
  view.reject = reject;
  view.owner = withdraw.owner;
  view.requested_at_us = withdraw.requested_at_us;
  added.request_hash = request_hash(view);
  books.withdrawals.push_back(std::move(added));
  books.by_key.emplace(withdraw.key, ordinal);
  books.by_id.emplace(withdraw.id, ordinal);
  return ordinal;
}

// Two planted bugs (common/base/mutants.h): never called by any other build.
[[maybe_unused]] Applied rebuild_template(Books& books, Ordinal ordinal) {
  Withdrawal& again = books.withdrawals[ordinal];
  const WithdrawalId id = again.view.id;
  if (!again.view.planned || again.view.height != 0) return nothing(OutcomeKind::Duplicate, "", id);
  Change change(books);
  again.view.planned.reset();
  again.view.signed_tx.clear();
  again.broadcast = false;
  books.waiting.insert(ordinal);
  change.refresh(ordinal);
  plan_waiting(books, change);
  return change.finish({OutcomeKind::Duplicate, "", id});
}
[[maybe_unused]] Applied hold_again(Books& books, const wire::Withdraw& withdraw) {
  Change change(books);
  change.post(customer_account(withdraw.account), "pending", withdraw.amount_sat, "hold",
              reference_of(withdraw.id));
  return change.finish({OutcomeKind::Duplicate, "", withdraw.id});
}

Applied apply_withdraw(Books& books, const wire::Withdraw& withdraw) {
  if (const auto known = books.by_key.find(withdraw.key); known != books.by_key.end()) {
    const wire::WithdrawalView& first = books.withdrawals[known->second].view;
    if (ROULETTE_MUTANT("template-rebuilt")) return rebuild_template(books, known->second);
    if (ROULETTE_MUTANT("batch-applied-twice") && first.id == withdraw.id)
      return hold_again(books, withdraw);
    if (first.payload_digest == withdraw.payload_digest ||
        ROULETTE_MUTANT("key-without-payload")) {
      return nothing(OutcomeKind::Duplicate, "", first.id);
    }
    return nothing(OutcomeKind::KeyConflict, "the key belongs to another payload", first.id);
  }
  if (books.closed) {
    ++books.refused_after_end;
    return nothing(OutcomeKind::Closed, "behind the end of the run");
  }
  if (withdraw.key.empty() || withdraw.key.size() > limits::kMaxIdempotencyKeyBytes) {
    return nothing(OutcomeKind::Invalid, "key empty or too long");
  }
  if (books.by_id.contains(withdraw.id)) {
    return nothing(OutcomeKind::Invalid, "the withdrawal id is taken");
  }
  if (withdraw.payload_digest !=
      wire::payload_digest(withdraw.account, withdraw.script, withdraw.amount_sat)) {
    return nothing(OutcomeKind::Invalid, "the digest is not this payload's");
  }
  Change change(books);
  const wire::RejectReason reject = refusal_of(books, withdraw);
  const Ordinal ordinal = record(books, withdraw, reject);
  change.refresh(ordinal);
  if (reject != wire::RejectReason::None) {
    return change.finish({OutcomeKind::Rejected, wire::reject_name(reject), withdraw.id});
  }
  change.post(customer_account(withdraw.account), "pending",
              withdraw.amount_sat + books.genesis->withdrawal_fee_sat, "hold",
              reference_of(withdraw.id));
  books.waiting.insert(ordinal);
  plan_waiting(books, change);
  return change.finish({OutcomeKind::Applied, "", withdraw.id});
}

// The signed transaction, or what is wrong. The signatures are checked against the template that
// stands in the books, never against bytes that came with the command.
Result<Bytes> assemble(const Books& books, const Withdrawal& withdrawal,
                       const wire::Signed& command) {
  const auto refuse = [](std::string why) { return Error{ErrorKind::Refused, std::move(why)}; };
  const wire::Template& planned = *withdrawal.view.planned;
  if (command.txid != planned.txid) return refuse("another txid");
  auto tx = bitcoin::parse_transaction(planned.unsigned_tx);
  ROULETTE_ASSERT(tx.ok());  // we built it
  const wire::Genesis& genesis = *books.genesis;
  const ByteSpan key = genesis.wallet_output_key;
  const auto sighashes = bitcoin::sighashes(genesis.signature_form, *tx, planned.prevouts);
  ROULETTE_ASSERT(sighashes.ok());
  const std::vector<Hash32>& hashes = sighashes.value();
  if (command.signatures.size() != hashes.size()) return refuse("not one signature per input");
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const crypto::WalletSignature& signature = command.signatures[i];
    if (!books.verifier->verify(key, hashes[i], signature) &&
        !ROULETTE_MUTANT("signed-unverified")) {
      return refuse("the signature of input " + std::to_string(i) + " does not verify");
    }
    tx->inputs[i].witness = bitcoin::witness(genesis.signature_form, key, signature);
  }
  return bitcoin::serialize(*tx);
}

// Keeps the longest journal of each signer's newest share epoch; two heads of one epoch and length
// are a fork, which is reported.
std::string keep_heads(Books& books, const std::vector<wire::JournalHead>& heads) {
  std::string forks;
  for (const wire::JournalHead& head : heads) {
    const auto [known, fresh] = books.journals.emplace(head.signer, head);
    const auto order = std::tie(head.share_epoch, head.length) <=>
                       std::tie(known->second.share_epoch, known->second.length);
    if (fresh || order < 0) continue;
    if (order > 0) {
      known->second = head;
    } else if (head.head != known->second.head) {
      forks += (forks.empty() ? "journal forks: signer-" : ", signer-") +
               std::to_string(head.signer.value()) + " at " + std::to_string(head.length);
    }
  }
  return forks;
}

Applied apply_signed(Books& books, const wire::Signed& command) {
  const WithdrawalId id = command.withdrawal_id;
  const auto known = books.by_id.find(id);
  if (known == books.by_id.end()) return nothing(OutcomeKind::Invalid, "unknown withdrawal");
  Withdrawal& withdrawal = books.withdrawals[known->second];
  if (!withdrawal.view.planned) return nothing(OutcomeKind::Invalid, "it has no template", id);
  if (!withdrawal.view.signed_tx.empty() && !ROULETTE_MUTANT("last-bytes-win")) {
    return nothing(OutcomeKind::Ignored, "the first valid bytes stand", id);
  }
  auto bytes = assemble(books, withdrawal, command);
  if (!bytes) return nothing(OutcomeKind::Invalid, bytes.error().message, id);
  Change change(books);
  withdrawal.view.signed_tx = std::move(bytes).value();
  withdrawal.signed_hash = crypto::sha256(withdrawal.view.signed_tx);
  if (withdrawal.view.height != 0) withdrawal.broadcast = true;  // a block had it before us
  std::string forks = keep_heads(books, command.journals);
  change.refresh(known->second);
  return change.finish({OutcomeKind::Applied, std::move(forks), id});
}

Applied apply_broadcast(Books& books, const wire::Broadcast& command) {
  const WithdrawalId id = command.withdrawal_id;
  const auto known = books.by_id.find(id);
  if (known == books.by_id.end()) return nothing(OutcomeKind::Invalid, "unknown withdrawal");
  Withdrawal& withdrawal = books.withdrawals[known->second];
  if (!withdrawal.view.planned || withdrawal.view.planned->txid != command.txid) {
    return nothing(OutcomeKind::Invalid, "another txid", id);
  }
  if (withdrawal.view.state != WithdrawalState::Signed) {
    return nothing(OutcomeKind::Ignored, "not in state signed", id);
  }
  Change change(books);
  withdrawal.broadcast = true;
  change.refresh(known->second);
  return change.finish({OutcomeKind::Applied, "", id});
}

Applied apply_end(Books& books) {
  if (books.closed) return nothing(OutcomeKind::Ignored, "closed already");
  books.closed = true;
  return nothing(OutcomeKind::Applied, "");
}

struct Apply {
  Books& books;
  Applied operator()(const wire::Genesis&) const {
    return nothing(OutcomeKind::Ignored, "the first genesis stands");
  }
  Applied operator()(const wire::Withdraw& v) const { return apply_withdraw(books, v); }
  Applied operator()(const wire::Signed& v) const { return apply_signed(books, v); }
  Applied operator()(const wire::Broadcast& v) const { return apply_broadcast(books, v); }
  Applied operator()(const wire::BlockConnected& v) const { return connect_block(books, v); }
  Applied operator()(const wire::BlockDisconnected& v) const { return disconnect_block(books, v); }
  Applied operator()(const wire::Checkpoint&) const {
    return nothing(OutcomeKind::Ignored, "changes nothing");
  }
  Applied operator()(const wire::EndOfRun&) const { return apply_end(books); }
};

}  // namespace

const char* open_books(Books& books, const wire::Genesis& genesis) {
  if (const char* fault = fault_of(genesis)) return fault;
  if (books.verifier == nullptr) books.verifier = &crypto::scheme_of(genesis.signature_form);
  if (books.verifier->facts().signatures != genesis.signature_form)
    return "another form of signatures than this replica verifies";
  books.genesis = genesis;
  books.chain.push_back({genesis.anchor_block, {}, {}});
  for (const char* account : {"pending", "fees", "wallet", "outside"}) books.balances[account] = 0;
  for (const std::string& name : genesis.accounts) books.balances[customer_account(name)] = 0;
  return nullptr;
}

// ---- State ----

State::State(const crypto::Scheme* verifier) : books_(std::make_unique<Books>(verifier)) {}
State::State(State&&) noexcept = default;
State& State::operator=(State&&) noexcept = default;
State::~State() = default;

Applied State::apply(const wire::Command& command) {
  if (!books_->genesis) {
    const auto* genesis = std::get_if<wire::Genesis>(&command.body);
    if (genesis == nullptr) return nothing(OutcomeKind::Ignored, "no genesis yet");
    return apply_genesis(*books_, *genesis);
  }
  return std::visit(Apply{*books_}, command.body);
}

std::optional<wire::WithdrawalView> State::by_id(const WithdrawalId& id) const {
  const auto known = books_->by_id.find(id);
  if (known == books_->by_id.end()) return std::nullopt;
  return books_->view_of(known->second);
}

std::optional<wire::WithdrawalView> State::by_key(const std::string& key) const {
  const auto known = books_->by_key.find(key);
  if (known == books_->by_key.end()) return std::nullopt;
  return books_->view_of(known->second);
}

std::vector<wire::WithdrawalView> State::unfinished() const {
  std::vector<wire::WithdrawalView> views;
  for (const Ordinal ordinal : books_->unfinished) views.push_back(books_->view_of(ordinal));
  return views;
}

std::vector<wire::WithdrawalView> State::all() const {
  std::vector<wire::WithdrawalView> views;
  for (Ordinal i = 0; i < books_->withdrawals.size(); ++i) views.push_back(books_->view_of(i));
  return views;
}

std::vector<wire::Balance> State::balances() const {
  std::vector<wire::Balance> list;
  for (const auto& [account, amount] : books_->balances) list.push_back({account, amount});
  return list;
}

std::vector<Reservation> State::reservations() const {
  std::vector<Reservation> list;
  for (const auto& [outpoint, ordinal] : books_->reserved) {
    list.push_back({outpoint, books_->withdrawals[ordinal].view.id});
  }
  return list;
}

std::vector<CoinView> State::coins() const {
  std::vector<CoinView> list;
  for (const auto& [outpoint, coin] : books_->coins) {
    list.push_back({outpoint, coin.amount_sat, coin.creator.has_value(), coin.height,
                    books_->selectable.contains({coin.amount_sat, outpoint})});
  }
  return list;
}

std::vector<wire::JournalHead> State::journal_heads() const {
  std::vector<wire::JournalHead> list;
  for (const auto& [signer, head] : books_->journals) list.push_back(head);
  return list;
}

const std::optional<wire::Genesis>& State::genesis() const {
  return books_->genesis;
}

wire::ChainTip State::tip() const {
  if (!books_->genesis) return {};
  return {books_->chain.back().hash, books_->tip_height()};
}

bool State::closed() const {
  return books_->closed;
}
std::uint64_t State::refused_after_end() const {
  return books_->refused_after_end;
}
std::size_t State::withdrawals() const {
  return books_->withdrawals.size();
}
Hash32 State::digest() const {
  return books_digest(*books_);
}
Bytes State::encode() const {
  return encode_books(*books_);
}
Result<State> State::decode(ByteSpan bytes, const crypto::Scheme* verifier) {
  auto books = decode_books(bytes, verifier);
  if (!books) return books.error();
  State state(verifier);
  *state.books_ = std::move(books).value();
  return state;
}

}  // namespace roulette::ledger
