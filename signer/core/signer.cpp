// The signer's machine: life cycle, connections, and which event leads to which answer.
//
// Invariant: each step ends with memory in the state that its records describe, and with every
// message either gated by the outbox or sent. The checks and the signing are in signing.cpp.

// clang-format off
// Life of the process (phase):
//   phase    | Started     | SignRequest    | NonceRequest | ShutdownRequested | all durable, sent
//   Restored | Serving (1) | host's bug     | host's bug   | Draining          | -
//   Serving  | host's bug  | checks, answer | fresh batch  | Draining (2)      | -
//   Draining | host's bug  | retries only   | empty batch  | nothing           | Drained, once (3)
//   Drained  | host's bug  | retries only   | empty batch  | nothing           | nothing
// (1) an empty journal gets its Provisioned record. (2) secret nonces are erased, all are told.
// (3) the host may exit.
//
// Standing of the journal, over this start (DESIGN 6.8):
//   Unchecked -> Holds                       a coordinator told a head that the journal holds
//   Unchecked, Holds -> Missing | RolledBack | Forked: quarantined, until the process ends
//   Forbidden: out of a quarantine; a nonce over a connection that told nothing; a share, also a
//   retry's, in quarantine.
//
// Life of a secret nonce:
//   made and handed out -> taken for one share -> erased     the only way to a share
//                       -> erased                      lost connection, eviction, drain, death
//   Forbidden: taken twice; taken before its record was emitted; taken over another connection;
//   made again from stored data.
//
// Life of a binding (outpoint, withdrawal): free -> bound, by a record. Forbidden: all else.
// clang-format on
#include "signer/core/signer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/assert.h"
#include "common/base/canonical.h"
#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "common/bitcoin/spend.h"
#include "signer/core/state.h"

namespace roulette::signer {
namespace {

#ifdef ROULETTE_MUTANTS
// For planted bugs (common/base/mutants.h): the same bytes for the same number.
struct PlantedEntropy final : EntropySource {
  explicit PlantedEntropy(std::uint64_t number) : number_(number) {}
  void fill(std::span<std::uint8_t> out) override {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<std::uint8_t>(7 + (number_ >> (i % 8 * 8)));
  }

 private:
  std::uint64_t number_;
};
#endif

constexpr std::int64_t kMostFeeRate = 1'000'000;  // sat/vB: keeps the arithmetic in range

Provisioned identity_of(const SignerConfig& config) {
  return Provisioned{config.id, config.cluster_id, config.share_epoch,
                     config.group->threshold_key()};
}

Status check_policy_values(const Policy& policy) {
  const auto in_range = [](std::int64_t value, std::int64_t most) {
    return value > 0 && value <= most;
  };
  if (!in_range(policy.max_fee_sat, bitcoin::kMaxMoneySat) ||
      !in_range(policy.max_amount_sat, bitcoin::kMaxMoneySat) ||
      !in_range(policy.max_fee_rate_sat_per_vb, kMostFeeRate))
    return Error{ErrorKind::Usage, "policy: a limit is zero, negative or out of range"};
  return {};
}

// The share, the group, the wallet's script and the policy must belong together.
Status check_config(const SignerConfig& config) {
  ROULETTE_ASSERT(config.group != nullptr && config.share != nullptr);
  const std::string self = "signer-" + std::to_string(config.id.value());
  if (auto shape = config.group->check_quorums_meet(); !shape) return shape.error();
  if (config.id.value() >= config.group->n())
    return Error{ErrorKind::Usage, self + " is not in the group"};
  if (config.share->id() != config.id)
    return Error{ErrorKind::Usage, "the share is not " + self + "'s"};
  if (!std::ranges::equal(config.share->public_share(), config.group->public_share(config.id)))
    return Error{ErrorKind::Usage, "the share does not belong to the group"};
  const auto form = config.group->scheme().facts().signatures;
  if (config.policy.wallet_script != bitcoin::wallet_script(form, config.group->wallet_key()))
    return Error{ErrorKind::Usage, "the policy's wallet script is not the group's"};
  return check_policy_values(config.policy);
}

}  // namespace

Signer::State::State(SignerConfig signer_config, BootId boot_id)
    : config(std::move(signer_config)),
      boot(boot_id),
      read_context{config.id, config.group->n(), config.group->t(),
                   Bytes(config.group->wallet_key().begin(), config.group->wallet_key().end()),
                   config.group->scheme().facts()},
      durable(identity_of(config)) {}

Signer::Signer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Signer::Signer(Signer&&) noexcept = default;
Signer& Signer::operator=(Signer&&) noexcept = default;
Signer::~Signer() = default;

Result<Signer> Signer::restore(SignerConfig config, BootId boot, std::span<const Record> records) {
  if (auto fits = check_config(config); !fits) return fits.error();
  if (ROULETTE_MUTANT("epoch-reused")) boot = BootId{};
  if (ROULETTE_MUTANT("last-record-skipped") && records.size() > 1)
    records = records.first(records.size() - 1);
  auto state = std::make_unique<State>(std::move(config), boot);
  for (const Record& record : records) {
    if (auto fits = state->durable.check_next(record); !fits)
      return fits.error().with_context("signer journal");
    if (ROULETTE_MUTANT("outpoints-in-ram")) {
      Record bare = record;
      if (auto* signing = std::get_if<SigningRecord>(&bare.body)) signing->inputs.clear();
      state->durable.apply(bare);
      continue;
    }
    state->durable.apply(record);
  }
  if (auto whole = state->durable.check_complete(state->config.group->id()); !whole)
    return whole.error().with_context("signer journal");
  state->outbox = Outbox(state->durable.length());
  return Signer(std::move(state));
}

void Signer::step(Instant, const Event& event, EntropySource& entropy, Effects& out) {
  std::visit([&](const auto& happened) { state_->on(happened, entropy, out); }, event);
  state_->finish_drain(out);
}

std::optional<Instant> Signer::next_deadline() const {
  return std::nullopt;
}

Hash32 Signer::durable_state_digest() const {
  return state_->durable.digest();
}

Gauges Signer::gauges() const {
  Gauges now = state_->counted;
  now.connections = state_->connections.size();
  for (const auto& [id, connection] : state_->connections) {
    now.pooled_nonces += connection.pool.size();
    now.largest_pool = std::max(now.largest_pool, connection.pool.size());
  }
  now.pending_shares = state_->outbox.pending_shares();
  now.largest_pending = state_->outbox.largest_pending();
  now.waiting_sends = state_->outbox.waiting();
  now.bound_outpoints = state_->durable.bound_outpoints();
  now.kept_responses = state_->kept.size();
  now.journal_length = state_->durable.length();
  now.journal_head = state_->durable.head();
  now.draining = state_->phase >= Phase::Draining;
  now.standing = state_->standing;
  now.refusals.assign(state_->refusals.begin(), state_->refusals.end());
  return now;
}

// ---- events ----

void Signer::State::on(const Started&, EntropySource&, Effects& out) {
  ROULETTE_ASSERT(phase == Phase::Restored);
  phase = Phase::Serving;
  if (durable.length() == 0) persist(durable.identity(), out);
  // The operator provisioned the whole group again; this signer lost nothing, so its journal goes
  // on, with every binding, under the new share epoch.
  if (durable.must_begin_epoch())
    persist(
        Reprovisioned{durable.identity(), config.group->id(), durable.share_epoch(), {}, 0}, out);
}

void Signer::State::on(const PeerConnected& event, EntropySource&, Effects& out) {
  ROULETTE_ASSERT(phase != Phase::Restored && !connections.contains(event.connection));
  if (connections.size() == limits::kSignerConnections) {
    out.emplace_back(CloseConnection{event.connection, "too many connections"});
    return;
  }
  connections.emplace(event.connection, Connection{event.coordinator, event.boot, {}});
  send_status(event.connection, 0, out);
}

void Signer::State::on(const PeerLost& event, EntropySource&, Effects&) {
  connections.erase(event.connection);  // with it its unused secret nonces
  outbox.forget(event.connection);
}

void Signer::State::on(const RecordDurable& event, EntropySource&, Effects& out) {
  ROULETTE_ASSERT(event.sequence <= durable.length());
#ifdef ROULETTE_MUTANTS
  std::erase_if(late, [&](const Record& record) {
    if (record.sequence > event.sequence) return false;
    if (const auto* signing = std::get_if<SigningRecord>(&record.body)) durable.bind_late(*signing);
    return true;
  });
#endif
  outbox.release(event.sequence, out);
}

void Signer::State::on(const ShutdownRequested&, EntropySource&, Effects& out) {
  if (phase >= Phase::Draining) return;
  phase = Phase::Draining;
  // Shares in flight are computed already and need no nonce.
  for (auto& [id, connection] : connections) connection.pool.clear();
  std::vector<ConnectionId> open;
  for (const auto& [id, connection] : connections) open.push_back(id);
  for (const ConnectionId id : open) send_status(id, 0, out);
}

void Signer::State::on(const DeadlineReached&, EntropySource&, Effects&) {}

void Signer::State::finish_drain(Effects& out) {
  if (phase != Phase::Draining) return;
  const bool finished = outbox.waiting() == 0 && outbox.durable() == durable.length();
  if (!finished && !ROULETTE_MUTANT("stop-drops-work")) return;
  phase = Phase::Drained;
  out.emplace_back(Drained{});
}

void Signer::State::on(const MessageReceived& event, EntropySource& entropy, Effects& out) {
  // The host may have read the message before it saw our CloseConnection.
  const ConnectionId id = event.connection;
  if (!connections.contains(id)) return;
  if (const auto* ping = std::get_if<wire::SignerPing>(&event.message)) {
    send_status(id, ping->number, out);
  } else if (const auto* wanted = std::get_if<wire::NonceRequest>(&event.message)) {
    on_nonce_request(id, *wanted, entropy, out);
  } else if (const auto* request = std::get_if<wire::SignRequest>(&event.message)) {
    on_sign_request(id, *request, entropy, out);
  } else if (const auto* kept_there = std::get_if<wire::JournalCheck>(&event.message)) {
    on_journal_check(id, *kept_there, out);
  } else {
    counted.unexpected_messages += 1;  // not a coordinator's message to a signer
  }
}

// The decision is the signer's own: one head that it does not have is enough, whoever tells it, for
// nothing else can show a journal that was put back. A coordinator that lies can thereby put a
// signer out of service (docs/THREAT_MODEL.md), as it can by asking it for nothing.
void Signer::State::on_journal_check(ConnectionId id, const wire::JournalCheck& kept_there,
                                     Effects& out) {
  const wire::JournalStanding found = ROULETTE_MUTANT("quarantine-skipped")
                                          ? wire::JournalStanding::Holds
                                          : durable.standing(kept_there);
  Connection& connection = connections.at(id);
  connection.told = true;
  if (!wire::quarantines(standing) && standing != found) {
    standing = found;
    if (wire::quarantines(standing)) quarantine();
    out.emplace_back(StandingChanged{standing, kept_there, connection.coordinator});
    std::vector<ConnectionId> open;
    if (wire::quarantines(standing))
      for (const auto& [other, its] : connections) open.push_back(other);
    for (const ConnectionId other : open) send_status(other, 0, out);
  }
  // A quarantined signer gives the reason it was quarantined for, whatever is asked later.
  if (!connections.contains(id)) return;
  send(id, wire::JournalAnswer{kept_there.share_epoch, kept_there.length, standing}, out);
}

void Signer::State::quarantine() {
  for (auto& [id, connection] : connections) connection.pool.clear();
  kept.clear();
  outbox.refuse_shares(wire::RefusalReason::Quarantined, wire::standing_name(standing));
}

void Signer::State::on_nonce_request(ConnectionId id, const wire::NonceRequest& request,
                                     EntropySource& entropy, Effects& out) {
  const bool gives = phase == Phase::Serving && connections.at(id).told &&
                     !wire::quarantines(standing) && read_context.scheme.nonce_size > 0;
  const std::size_t count =
      gives
          ? std::min<std::size_t>(request.count, limits::kNoncePoolPerConnection)
          : 0;
  send(id, wire::NonceBatch{boot, make_nonces(connections.at(id), count, entropy)}, out);
}

// Order of the checks: what makes the session's name first, then the retry (it must be answered
// even while draining), then what may be refused without touching a nonce; at last the record.
void Signer::State::on_sign_request(ConnectionId id, const wire::SignRequest& request,
                                    EntropySource& entropy, Effects& out) {
  auto reading = read_request(request, read_context);
  if (auto* no = std::get_if<Denied>(&reading)) return refuse(id, Hash32{}, std::move(*no), out);
  const ReadRequest& read = std::get<ReadRequest>(reading);
  if (wire::quarantines(standing))
    return refuse(id, read.session_digest,
                  denied(wire::RefusalReason::Quarantined, wire::standing_name(standing)), out);
  if (request.group != config.group->id() && !ROULETTE_MUTANT("old-epoch-signed"))
    return refuse(id, read.session_digest,
                  denied(wire::RefusalReason::WrongGroup, "the request is of group " +
                                                        to_hex(request.group) +
                                                        ", the share of " +
                                                        to_hex(config.group->id())),
                  out);
  const RetryKey retry{read.session_digest, request.withdrawal_id, request.payload_digest};
  if (const KeptAnswer* answer = kept.find(retry)) {
    counted.retries_answered += 1;
    return send_answer(id, *answer, true, out);
  }
  auto admission = admit(id, request, read);
  if (auto* no = std::get_if<Denied>(&admission))
    return refuse(id, read.session_digest, std::move(*no), out);
  auto signing = bind_consume_and_sign(id, std::get<Admitted>(std::move(admission)), entropy, out);
  if (auto* no = std::get_if<Denied>(&signing))
    return refuse(id, read.session_digest, std::move(*no), out);
  const KeptAnswer& answer = std::get<KeptAnswer>(signing);
  kept.keep(retry, answer);
  send_answer(id, answer, false, out);
}

// ---- effects ----

// PROTOCOL 1: no session exists yet, so signer, epoch and counter stand in for its data; the
// freshness of the 32 bytes is what keeps nonces apart.
Result<crypto::SecretNonce> Signer::State::make_nonce(std::uint64_t counter,
                                                      EntropySource& entropy) const {
  CanonicalWriter extra;
  extra.u16(config.id.value());
  extra.raw(boot.value());
  extra.u64(counter);
#ifdef ROULETTE_MUTANTS
  PlantedEntropy planted(ROULETTE_MUTANT("nonce-back-to-pool") ? counter : 0);
  if (ROULETTE_MUTANT("epoch-reused") || ROULETTE_MUTANT("nonce-back-to-pool"))
    return config.share->make_nonce(planted, *config.group, extra.view());
#endif
  return config.share->make_nonce(entropy, *config.group, extra.view());
}

std::vector<wire::PubNonce> Signer::State::make_nonces(Connection& connection, std::size_t count,
                                                       EntropySource& entropy) {
  std::vector<wire::PubNonce> made;
  for (std::size_t i = 0; i < count; ++i) {
    auto nonce = make_nonce(nonce_counter++, entropy);
    if (!nonce) continue;  // a zero scalar: probability 2^-255
    counted.nonces_evicted += connection.pool.add(std::move(nonce).value());
    made.push_back(connection.pool.newest());
    counted.nonces_made += 1;
  }
  return made;
}

void Signer::State::persist(RecordBody body, Effects& out) {
  Record record = durable.next_record(std::move(body));
#ifdef ROULETTE_MUTANTS
  if (ROULETTE_MUTANT("record-applied-late")) return persist_late(std::move(record), out);
#endif
  durable.apply(record);
  out.emplace_back(Persist{std::move(record)});
}

#ifdef ROULETTE_MUTANTS
// Two planted bugs: bindings that wait for the disk, and secret nonces that are used and kept.
void Signer::State::persist_late(Record record, Effects& out) {
  Record bare = record;
  if (auto* signing = std::get_if<SigningRecord>(&bare.body)) *signing = SigningRecord{};
  durable.apply(bare);
  late.push_back(record);
  out.emplace_back(Persist{std::move(record)});
}

void Signer::State::give_back(Connection& connection,
                              const std::vector<wire::PubNonce>& used) const {
  for (std::uint64_t counter = 0; counter < nonce_counter; ++counter) {
    PlantedEntropy unused(counter);
    auto again = make_nonce(counter, unused);
    if (!again) continue;
    const auto bytes = wire::PubNonce::from(again->public_nonce());
    if (std::find(used.begin(), used.end(), *bytes) != used.end())
      (void)connection.pool.add(std::move(again).value());
  }
}
#endif

void Signer::State::send(ConnectionId id, wire::Message message, Effects& out) {
  push(Send{id, std::move(message)}, out);
}

void Signer::State::send_status(ConnectionId id, std::uint64_t number, Effects& out) {
  send(id,
       wire::SignerStatus{number, boot, config.share_epoch, durable.length(), durable.head(),
                          phase >= Phase::Draining, standing, config.group->id(),
                          !config.share->unavailable().empty()},
       out);
}

void Signer::State::send_answer(ConnectionId id, const KeptAnswer& answer, bool retry,
                                Effects& out) {
  Send message{id, answer.response, answer.release};
  message.release->retry = retry;
  // A public nonce is handed out to one connection only: another one gets the shares alone.
  if (answer.connection != id) std::get<wire::SignResponse>(message.message).next_nonces.clear();
  push(std::move(message), out);
}

void Signer::State::refuse(ConnectionId id, const Hash32& session_digest, Denied why,
                           Effects& out) {
  refusals[why.reason] += 1;
  send(id, wire::SignRefusal{session_digest, why.reason, std::move(why.detail), why.blamed}, out);
}

void Signer::State::push(Send message, Effects& out) {
  const ConnectionId id = message.connection;
  if (outbox.waiting(id) == limits::kWaitingSendsPerConnection)
    return close(id, "too many answers wait for the journal", out);
  outbox.push(std::move(message), durable.length(), out);
}

void Signer::State::close(ConnectionId id, std::string reason, Effects& out) {
  connections.erase(id);
  outbox.forget(id);
  out.emplace_back(CloseConnection{id, std::move(reason)});
}

}  // namespace roulette::signer
