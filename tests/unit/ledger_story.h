// A wallet, a chain and their commands, to tell the ledger's stories with.
//
// Invariant: at its end every story is replayed into an empty state and must arrive at the same
// digest, so that each test is a recovery test too. Deterministic: no clock, no random device.
#pragma once

#include <catch2/catch.hpp>

#include <map>
#include <string>
#include <vector>

#include "chaos/sim/soft_ecdsa.h"
#include "common/base/canonical.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/sighash.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/hash.h"
#include "common/crypto/schnorr.h"
#include "ledger/core/state.h"

namespace roulette::ledger {

inline Hash32 hash_of(const std::string& text) {
  return crypto::sha256(as_bytes(text));
}

inline Bytes customer_script(std::uint64_t number) {
  return bitcoin::p2tr_script(hash_of("customer " + std::to_string(number)));
}

// The wallet's keys; the same in every test.
struct WalletKey {
  Secret<32> secret{std::span<const std::uint8_t, 32>(hash_of("the wallet's key"))};
  ByteArray<32> output_key = crypto::xonly(crypto::public_key(secret).value());

  [[nodiscard]] ByteArray<64> sign(const Hash32& message) const {
    return crypto::schnorr_sign(secret, message, {}).value();
  }
};
inline const sim::SoftEcdsa& token_key() {
  static const sim::SoftEcdsa key(hash_of("the token's key"));
  return key;
}

inline wire::Genesis test_genesis() {
  wire::Genesis genesis;
  genesis.cluster_id = "story";
  genesis.wallet_output_key = WalletKey().output_key;
  genesis.wallet_script =
      bitcoin::wallet_script(genesis.signature_form, genesis.wallet_output_key);
  genesis.accounts = {"alice", "bob"};
  genesis.anchor_block = hash_of("anchor");
  return genesis;
}

// The same books for a wallet whose key is a token's.
inline wire::Genesis token_genesis() {
  wire::Genesis genesis = test_genesis();
  genesis.signature_form = crypto::SignatureForm::Ecdsa;
  genesis.wallet_output_key = token_key().key();
  genesis.wallet_script =
      bitcoin::wallet_script(genesis.signature_form, genesis.wallet_output_key);
  return genesis;
}

class Story {
 public:
  explicit Story(wire::Genesis genesis = test_genesis()) : genesis_(std::move(genesis)) {
    blocks_.push_back(genesis_.anchor_block);
    give(genesis_);
  }
  Story(const Story&) = delete;
  Story& operator=(const Story&) = delete;
  ~Story() {
    State replayed;
    for (const wire::Command& command : log_) (void)replayed.apply(command);
    CHECK(replayed.digest() == state.digest());
  }

  Applied give(wire::CommandBody body) {
    wire::Command command{{{Role::Coordinator, 0}, {}, ++counter_}, std::move(body)};
    // Through its bytes, as in the log.
    auto decoded = wire::decode_command(wire::encode_command(command));
    REQUIRE(decoded.ok());
    log_.push_back(*decoded);
    Applied applied = state.apply(*decoded);
    postings.insert(postings.end(), applied.postings.begin(), applied.postings.end());
    return applied;
  }

  wire::Withdraw withdraw_command(const std::string& key, std::int64_t amount_sat,
                                  const std::string& account = "alice") const {
    wire::Withdraw withdraw;
    const Hash32 id = hash_of("id of " + key);
    ByteArray<16> short_id{};
    for (std::size_t i = 0; i < short_id.size(); ++i) short_id[i] = id[i];
    withdraw.id = WithdrawalId(short_id);
    withdraw.key = key;
    withdraw.account = account;
    withdraw.script = bitcoin::p2tr_script(hash_of("address of " + key));
    withdraw.amount_sat = amount_sat;
    withdraw.payload_digest = wire::payload_digest(account, withdraw.script, amount_sat);
    return withdraw;
  }
  Applied withdraw(const std::string& key, std::int64_t amount_sat,
                   const std::string& account = "alice") {
    return give(withdraw_command(key, amount_sat, account));
  }

  // The node's side. Heights follow from the blocks.
  Applied mine(std::vector<Hash32> txids = {}, std::vector<wire::WalletOutput> outputs = {}) {
    wire::BlockConnected block;
    block.prev = blocks_.back();
    block.hash = hash_of("block " + std::to_string(++mined_));
    block.height = static_cast<std::uint32_t>(blocks_.size());
    block.txids = std::move(txids);
    block.wallet_outputs = std::move(outputs);
    blocks_.push_back(block.hash);
    contents_[block.hash] = block;
    return give(block);
  }
  void mine_empty(int count) {
    for (int i = 0; i < count; ++i) (void)mine();
  }
  Applied unmine() {
    const Hash32 tip = blocks_.back();
    blocks_.pop_back();
    return give(wire::BlockDisconnected{tip});
  }
  // The same transactions again, in a new block.
  Applied mine_again(const Hash32& old_block) {
    const wire::BlockConnected old = contents_.at(old_block);
    return mine(old.txids, old.wallet_outputs);
  }
  [[nodiscard]] Hash32 tip() const { return blocks_.back(); }
  [[nodiscard]] std::size_t height() const { return blocks_.size() - 1; }

  // One block with `count` deposits to alice (even outputs), each of `amount_sat`.
  Applied deposit(std::size_t count, std::int64_t amount_sat, std::uint32_t vout_step = 2,
                  bool coinbase = false) {
    const Hash32 txid = hash_of("deposit " + std::to_string(++deposits_));
    std::vector<wire::WalletOutput> outputs;
    for (std::uint32_t i = 0; i < count; ++i) {
      outputs.push_back({{txid, i * vout_step}, amount_sat, coinbase});
    }
    return mine({txid}, outputs);
  }
  void fund(std::size_t count, std::int64_t amount_sat) {
    (void)deposit(count, amount_sat);
    mine_empty(static_cast<int>(genesis_.settle_depth) - 1);
  }

  [[nodiscard]] wire::WithdrawalView view(const std::string& key) const {
    const auto found = state.by_key(key);
    REQUIRE(found.has_value());
    return *found;
  }
  [[nodiscard]] wire::WithdrawalState state_of(const std::string& key) const {
    return view(key).state;
  }
  [[nodiscard]] Hash32 txid_of(const std::string& key) const { return view(key).planned->txid; }

  [[nodiscard]] wire::Signed signed_command(const std::string& key) const {
    const wire::WithdrawalView seen = view(key);
    REQUIRE(seen.planned.has_value());
    const auto tx = bitcoin::parse_transaction(seen.planned->unsigned_tx);
    REQUIRE(tx.ok());
    wire::Signed command;
    command.withdrawal_id = seen.id;
    command.txid = seen.planned->txid;
    const auto hashes =
        bitcoin::sighashes(genesis_.signature_form, *tx, seen.planned->prevouts);
    for (const Hash32& hash : *hashes) command.signatures.push_back(sign_hash(hash));
    return command;
  }
  Applied sign(const std::string& key) { return give(signed_command(key)); }
  Applied broadcast(const std::string& key) {
    const wire::WithdrawalView seen = view(key);
    return give(wire::Broadcast{seen.id, seen.planned->txid});
  }
  // Requested before; from planned to the node's mempool.
  void send(const std::string& key) {
    REQUIRE(sign(key).outcome.kind == wire::OutcomeKind::Applied);
    REQUIRE(broadcast(key).outcome.kind == wire::OutcomeKind::Applied);
  }

  [[nodiscard]] std::int64_t balance(const std::string& account) const {
    for (const wire::Balance& line : state.balances()) {
      if (line.account == account) return line.amount_sat;
    }
    FAIL("no account " << account);
    return 0;
  }
  [[nodiscard]] const std::vector<wire::Command>& log() const { return log_; }
  [[nodiscard]] const wire::Genesis& genesis() const { return genesis_; }

  State state;
  std::vector<Posting> postings;

 private:
  [[nodiscard]] crypto::WalletSignature sign_hash(const Hash32& hash) const {
    if (genesis_.signature_form == crypto::SignatureForm::Bip340) return key_.sign(hash);
    return crypto::WalletSignature::from(token_key().der(hash)).value();
  }

  WalletKey key_;
  wire::Genesis genesis_;
  std::vector<wire::Command> log_;
  std::vector<Hash32> blocks_;
  std::map<Hash32, wire::BlockConnected> contents_;
  std::uint64_t counter_ = 0;
  int mined_ = 0;
  int deposits_ = 0;
};

// What must hold at any moment, whatever the commands were.
inline void check_books(const State& state, const std::vector<Posting>& postings) {
  std::int64_t customers = 0;
  std::map<std::string, std::int64_t> from_postings;
  for (const Posting& posting : postings) {
    CHECK(posting.amount_sat > 0);
    from_postings[posting.debit] -= posting.amount_sat;
    from_postings[posting.credit] += posting.amount_sat;
  }
  std::map<std::string, std::int64_t> balances;
  for (const wire::Balance& line : state.balances()) {
    balances[line.account] = line.amount_sat;
    const std::int64_t sign = line.account == "wallet" ? -1 : 1;
    CHECK(line.amount_sat == sign * from_postings[line.account]);
    CHECK(line.amount_sat >= 0);
    if (line.account != "wallet") customers += line.amount_sat;
  }
  CHECK(customers == balances["wallet"]);
  CHECK(balances["outside"] == 0);
  // One outpoint belongs to one withdrawal: the table's keys are unique, and every input is in it.
  std::map<bitcoin::OutPoint, WithdrawalId> reserved;
  for (const Reservation& line : state.reservations()) {
    CHECK(reserved.emplace(line.outpoint, line.withdrawal).second);
  }
  std::size_t inputs = 0;
  for (const wire::WithdrawalView& view : state.all()) {
    if (!view.planned) continue;
    const auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
    REQUIRE(tx.ok());
    for (const bitcoin::TxIn& input : tx.value().inputs) {
      ++inputs;
      CHECK(reserved.at(input.outpoint) == view.id);
    }
  }
  CHECK(inputs == reserved.size());
}

}  // namespace roulette::ledger
