// An in-memory host for one signer, and the wallet the signer's tests pay from.
//
// Invariant, checked in every test: a share leaves only when its record is durable; no public nonce
// stands under two sessions; no outpoint and no withdrawal under two transactions, over all
// restarts; and when the host goes, replaying all records gives the state that lived. No disk, no
// network, no clock.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "common/base/entropy.h"
#include "common/bitcoin/script.h"
#include "common/crypto/dealer.h"
#include "common/crypto/frost_scheme.h"
#include "signer/core/signer.h"

namespace roulette::signer::test {

// Deterministic bytes (splitmix64), different for each seed.
class SeededEntropy final : public EntropySource {
 public:
  explicit SeededEntropy(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> out) override;
  [[nodiscard]] std::uint64_t next();

 private:
  std::uint64_t state_;
};

// A random source that broke: the same byte for ever.
class StuckEntropy final : public EntropySource {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = 0x5a;
  }
};

struct Wallet {
  crypto::DealtGroup dealt;
  crypto::SigningGroupPtr group;  // the same, behind the interface
  crypto::frost::TweakContext key;
  Bytes script;
};
// A 3-of-5 wallet, dealt once; and another one, for what belongs to somebody else.
const Wallet& wallet();
const Wallet& foreign_wallet();

SignerConfig config_of(std::uint16_t id, const Wallet& of = wallet());
crypto::KeySharePtr copy_share(std::uint16_t id, const Wallet& of = wallet());

// A withdrawal's template as a coordinator knows it.
struct Payment {
  WithdrawalId id;
  Hash32 payload_digest{};
  bitcoin::Transaction tx;
  std::vector<bitcoin::TxOut> prevouts;
  std::optional<wire::ClientRequest> client = {};
};
// Pays 50'000 sat out of `inputs` coins of 100'000 sat each, 1'000 sat fee a coin, the rest back.
// Other `number`: another withdrawal with other coins.
Payment payment(std::uint8_t number, std::size_t inputs = 1);
// The same withdrawal and coins, another transaction.
Payment rebuilt(Payment from);

class SignerHost {
 public:
  explicit SignerHost(std::uint16_t id = 0);
  explicit SignerHost(SignerConfig config);
  SignerHost(const SignerHost&) = delete;
  SignerHost& operator=(const SignerHost&) = delete;
  ~SignerHost();

  // Told that the ledger keeps nothing, or told nothing.
  ConnectionId connect(std::uint16_t coordinator = 0);
  ConnectionId connect_untold(std::uint16_t coordinator = 0);
  void lose(ConnectionId connection);
  void receive(ConnectionId connection, wire::Message message);
  void shut_down();
  // The disk took the first `count` records (all without a number) that wait.
  void make_durable();
  void make_durable(std::size_t count);
  // From now on records are durable as soon as they are emitted (the default), or only on demand.
  void commit_at_once(bool yes) { commit_at_once_ = yes; }

  // SIGKILL and restart: what is not durable is lost, also messages nobody took.
  void crash();
  // A crash after which the disk holds only its first `count` records: it was put back, or wiped.
  void keep_only(std::size_t count);
  // A crash after which the configuration names this share epoch; the journal may be another one.
  void provision_again(std::uint32_t share_epoch, std::optional<std::vector<Record>> journal = {});
  // SIGKILL in the next step, right before its `effects`-th effect is executed.
  void crash_before_effect(std::size_t effects) { effects_left_ = effects; }
  [[nodiscard]] bool crashed_in_step() const { return crashed_in_step_; }

  // Takes the oldest message for this connection, of this type or none.
  std::optional<wire::Message> take(ConnectionId connection);
  template <class M>
  std::optional<M> take(ConnectionId connection) {
    const auto message = take(connection);
    if (!message || !std::holds_alternative<M>(*message)) return std::nullopt;
    return std::get<M>(*message);
  }
  [[nodiscard]] bool silent(ConnectionId connection) const;
  [[nodiscard]] bool closed(ConnectionId connection) const;
  [[nodiscard]] int drained() const { return drained_; }

  // Fresh nonces over the connection; everything is durable.
  std::vector<wire::PubNonce> nonces(ConnectionId connection, std::uint32_t count);
  // A session of this signer and the two next ones, whose nonces are made up.
  wire::SignRequest request(const Payment& payment, std::vector<wire::PubNonce> own);
  // Draws nonces and asks with them.
  wire::SignRequest ask(ConnectionId connection, const Payment& payment);

  [[nodiscard]] Signer& machine() { return *signer_; }
  [[nodiscard]] SignerId id() const { return id_; }
  [[nodiscard]] BootId boot() const { return boot_; }
  [[nodiscard]] const std::vector<Record>& durable_records() const { return durable_; }
  [[nodiscard]] std::size_t waiting_records() const { return waiting_.size(); }
  [[nodiscard]] const std::vector<wire::JournalStanding>& standings() const { return standings_; }
  [[nodiscard]] std::uint64_t length() const { return durable_.size() + waiting_.size(); }

 private:
  void start();
  void step(const Event& event);
  void execute(const Effects& effects);
  void check_release(const Send& send);
  [[nodiscard]] SignerConfig copy_config() const;

  SignerConfig config_;
  SignerId id_;
  SeededEntropy entropy_;
  BootId boot_;
  std::optional<Signer> signer_;
  std::vector<Record> durable_;
  std::deque<Record> waiting_;
  std::map<ConnectionId, std::deque<wire::Message>> inbox_;
  std::map<ConnectionId, bool> closed_;
  bool commit_at_once_ = true;
  std::optional<std::size_t> effects_left_;
  bool crashed_in_step_ = false;
  std::uint64_t next_connection_ = 1;
  int drained_ = 0;
  std::vector<wire::JournalStanding> standings_;  // of all starts
  // What the world saw, over all restarts.
  std::map<wire::PubNonce, Hash32> nonce_sessions_;
  std::map<bitcoin::OutPoint, Hash32> outpoint_transactions_;
  std::map<WithdrawalId, Hash32> withdrawal_transactions_;
};

// Asks once and says what came of it.
std::optional<wire::RefusalReason> refusal(SignerHost& host, ConnectionId connection,
                                           const wire::SignRequest& request);
bool signs(SignerHost& host, ConnectionId connection, const wire::SignRequest& request);

}  // namespace roulette::signer::test
