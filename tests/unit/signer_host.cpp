// The in-memory host: executes effects one by one, and checks what no signer may ever do.
//
// Invariant: see signer_host.h; every check is a REQUIRE, so any test that breaks one fails.
#include "tests/unit/signer_host.h"

#include <catch2/catch.hpp>

#include "common/bitcoin/sighash.h"

namespace roulette::signer::test {

std::uint64_t SeededEntropy::next() {
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void SeededEntropy::fill(std::span<std::uint8_t> out) {
  for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(next() >> 24);
}

namespace {

Wallet make_wallet(std::uint64_t seed) {
  SeededEntropy entropy(seed);
  auto dealt = crypto::deal(5, 3, entropy);
  ROULETTE_ASSERT(dealt.ok());
  auto key = crypto::frost::TweakContext::key_path_only(dealt->group.threshold_key());
  ROULETTE_ASSERT(key.ok());
  Bytes script = bitcoin::p2tr_script(key->output_key());
  auto group = crypto::frost_group(dealt->group);
  ROULETTE_ASSERT(group.ok());
  return Wallet{std::move(dealt).value(), std::move(group).value(), std::move(key).value(),
                std::move(script)};
}

}  // namespace

const Wallet& wallet() {
  static const Wallet one = make_wallet(1);
  return one;
}

const Wallet& foreign_wallet() {
  static const Wallet other = make_wallet(2);
  return other;
}

crypto::KeySharePtr copy_share(std::uint16_t id, const Wallet& of) {
  const auto& share = of.dealt.shares.at(id);
  auto copy = crypto::frost::SecretShare::create(share.id(), share.secret().clone());
  ROULETTE_ASSERT(copy.ok());
  return crypto::frost_share(std::move(copy).value());
}

SignerConfig config_of(std::uint16_t id, const Wallet& of) {
  return SignerConfig{SignerId(id),
                      "test",
                      1,
                      of.group,
                      copy_share(id, of),
                      Policy{of.script, 20'000, 100, 10'000'000},
                      true};
}

Payment payment(std::uint8_t number, std::size_t inputs) {
  Payment made;
  made.id = WithdrawalId(ByteArray<16>{number});
  made.payload_digest[0] = number;
  for (std::size_t i = 0; i < inputs; ++i) {
    bitcoin::TxIn input;
    input.outpoint.txid[0] = number;
    input.outpoint.vout = static_cast<std::uint32_t>(i);
    made.tx.inputs.push_back(input);
    made.prevouts.push_back(bitcoin::TxOut{100'000, wallet().script});
  }
  ByteArray<32> payee{};
  payee[0] = number;
  const std::int64_t coins = static_cast<std::int64_t>(inputs);
  made.tx.outputs.push_back({50'000, bitcoin::p2wsh_script(payee)});
  made.tx.outputs.push_back({99'000 * coins - 50'000, wallet().script});
  return made;
}

Payment rebuilt(Payment from) {
  from.tx.outputs[0].amount_sat -= 1;
  return from;
}

SignerHost::SignerHost(std::uint16_t id) : SignerHost(config_of(id)) {}

SignerHost::SignerHost(SignerConfig config)
    : config_(std::move(config)), id_(config_.id), entropy_(100 + id_.value()) {
  start();
}

SignerHost::~SignerHost() {
  std::vector<Record> all = durable_;
  all.insert(all.end(), waiting_.begin(), waiting_.end());
  const auto replayed = Signer::restore(copy_config(), boot_, all);
  CHECK(replayed.ok());
  if (replayed) CHECK(replayed->durable_state_digest() == signer_->durable_state_digest());
}

SignerConfig SignerHost::copy_config() const {
  return SignerConfig{config_.id,
                      config_.cluster_id,
                      config_.share_epoch,
                      config_.group,
                      config_.share,
                      config_.policy,
                      config_.verify_own_share,
                      config_.clients};
}

void SignerHost::start() {
  ByteArray<16> boot{};
  entropy_.fill(boot);
  boot_ = BootId(boot);
  auto restored = Signer::restore(copy_config(), boot_, durable_);
  REQUIRE(restored.ok());
  signer_.emplace(std::move(restored).value());
  step(Started{});
}

void SignerHost::crash() {
  waiting_.clear();
  inbox_.clear();
  closed_.clear();
  effects_left_.reset();
  crashed_in_step_ = false;
  start();
}

// What the world saw before is forgotten with it: nobody can hold a signer to what its disk lost.
void SignerHost::keep_only(std::size_t count) {
  REQUIRE(count <= durable_.size());
  durable_.resize(count);
  nonce_sessions_.clear();
  outpoint_transactions_.clear();
  withdrawal_transactions_.clear();
  crash();
}

void SignerHost::provision_again(std::uint32_t share_epoch,
                                 std::optional<std::vector<Record>> journal) {
  config_.share_epoch = share_epoch;
  if (journal) durable_ = std::move(*journal);
  crash();
}

void SignerHost::step(const Event& event) {
  if (crashed_in_step_) return;
  Effects effects;
  signer_->step(Instant{}, event, entropy_, effects);
  execute(effects);
  if (commit_at_once_ && !waiting_.empty()) make_durable();
}

void SignerHost::execute(const Effects& effects) {
  for (const Effect& effect : effects) {
    if (effects_left_ && (*effects_left_)-- == 0) {
      crashed_in_step_ = true;
      return;
    }
    if (const auto* persist = std::get_if<Persist>(&effect)) {
      waiting_.push_back(persist->record);
    } else if (const auto* send = std::get_if<Send>(&effect)) {
      check_release(*send);
      inbox_[send->connection].push_back(send->message);
    } else if (const auto* close = std::get_if<CloseConnection>(&effect)) {
      closed_[close->connection] = true;
      inbox_.erase(close->connection);
    } else if (const auto* changed = std::get_if<StandingChanged>(&effect)) {
      standings_.push_back(changed->standing);
    } else {
      drained_ += 1;
    }
  }
}

void SignerHost::check_release(const Send& send) {
  const auto* response = std::get_if<wire::SignResponse>(&send.message);
  REQUIRE((response != nullptr) == send.release.has_value());
  if (response == nullptr) return;
  REQUIRE(response->journal_length >= 1);
  REQUIRE(response->journal_length <= durable_.size());  // the gate
  const Record& record = durable_[response->journal_length - 1];
  REQUIRE(record.head == response->journal_head);
  const auto& signing = std::get<SigningRecord>(record.body);
  REQUIRE(signing.session_digest == response->session_digest);
  REQUIRE(signing.own_nonces == send.release->nonces);
  for (const wire::PubNonce& nonce : signing.own_nonces)
    REQUIRE(nonce_sessions_.emplace(nonce, signing.session_digest).first->second ==
            signing.session_digest);
  for (const BoundInput& input : signing.inputs)
    REQUIRE(outpoint_transactions_.emplace(input.outpoint, signing.txid).first->second ==
            signing.txid);
  REQUIRE(withdrawal_transactions_.emplace(signing.withdrawal_id, signing.txid).first->second ==
          signing.txid);
}

void SignerHost::make_durable() {
  make_durable(waiting_.size());
}

void SignerHost::make_durable(std::size_t count) {
  if (crashed_in_step_) return;
  REQUIRE(count <= waiting_.size());
  for (std::size_t i = 0; i < count; ++i) {
    durable_.push_back(waiting_.front());
    waiting_.pop_front();
  }
  if (!durable_.empty()) step(RecordDurable{durable_.back().sequence});
}

ConnectionId SignerHost::connect_untold(std::uint16_t coordinator) {
  const ConnectionId connection(next_connection_++);
  step(PeerConnected{connection, CoordinatorId(coordinator), BootId{}});
  (void)take(connection);  // the status that greets
  return connection;
}

ConnectionId SignerHost::connect(std::uint16_t coordinator) {
  const ConnectionId connection = connect_untold(coordinator);
  receive(connection, wire::JournalCheck{});
  (void)take(connection);
  return connection;
}

void SignerHost::lose(ConnectionId connection) {
  step(PeerLost{connection});
}
void SignerHost::shut_down() {
  step(ShutdownRequested{});
}

void SignerHost::receive(ConnectionId connection, wire::Message message) {
  step(MessageReceived{connection, std::move(message)});
}

std::optional<wire::Message> SignerHost::take(ConnectionId connection) {
  auto& messages = inbox_[connection];
  if (messages.empty()) return std::nullopt;
  wire::Message message = std::move(messages.front());
  messages.pop_front();
  return message;
}

bool SignerHost::silent(ConnectionId connection) const {
  const auto messages = inbox_.find(connection);
  return messages == inbox_.end() || messages->second.empty();
}

bool SignerHost::closed(ConnectionId connection) const {
  return closed_.contains(connection);
}

std::vector<wire::PubNonce> SignerHost::nonces(ConnectionId connection, std::uint32_t count) {
  receive(connection, wire::NonceRequest{count});
  make_durable();
  auto& messages = inbox_[connection];  // the answer is the newest; older ones stay for the test
  REQUIRE((!messages.empty() && std::holds_alternative<wire::NonceBatch>(messages.back())));
  const auto batch = std::get<wire::NonceBatch>(messages.back());
  messages.pop_back();
  REQUIRE(batch.epoch == boot_);
  return batch.nonces;
}

wire::SignRequest SignerHost::request(const Payment& payment, std::vector<wire::PubNonce> own) {
  wire::SignRequest request;
  request.withdrawal_id = payment.id;
  request.payload_digest = payment.payload_digest;
  request.unsigned_tx = bitcoin::serialize_without_witness(payment.tx);
  request.prevouts = payment.prevouts;
  request.group = config_.group->id();
  request.client = payment.client;
  const std::uint16_t first = std::min<std::uint16_t>(id_.value(), 2);
  for (std::uint16_t i = first; i < first + 3; ++i) {
    wire::SessionSigner signer{SignerId(i), BootId{}, {}};
    if (signer.id == id_) {
      signer.epoch = boot_;
      signer.nonces = own;
    } else {
      for (std::size_t k = 0; k < own.size(); ++k) {
        auto nonce = crypto::frost::nonce_gen(entropy_, crypto::frost::NonceInput{});
        REQUIRE(nonce.ok());
        signer.nonces.push_back(nonce->public_nonce());
      }
    }
    request.signers.push_back(std::move(signer));
  }
  return request;
}

wire::SignRequest SignerHost::ask(ConnectionId connection, const Payment& payment) {
  auto asked =
      request(payment, nonces(connection, static_cast<std::uint32_t>(payment.tx.inputs.size())));
  receive(connection, asked);
  return asked;
}

std::optional<wire::RefusalReason> refusal(SignerHost& host, ConnectionId connection,
                                           const wire::SignRequest& request) {
  host.receive(connection, request);
  const auto message = host.take(connection);
  REQUIRE(message.has_value());
  const auto* refused = std::get_if<wire::SignRefusal>(&*message);
  if (refused == nullptr) return std::nullopt;
  return refused->reason;
}

bool signs(SignerHost& host, ConnectionId connection, const wire::SignRequest& request) {
  host.receive(connection, request);
  return host.take<wire::SignResponse>(connection).has_value();
}

}  // namespace roulette::signer::test
