// The signer's machine from inside: what step() works on. Included by signer/core only.
//
// Invariant: what survives a restart is in `durable` and changes only through DurableState::apply;
// everything else dies with the process. Messages leave only through `outbox`, the gate.
#pragma once

#include <map>
#include <variant>
#include <vector>

#include "signer/core/durable_state.h"
#include "signer/core/kept_answers.h"
#include "signer/core/nonce_pool.h"
#include "signer/core/outbox.h"
#include "signer/core/request_check.h"
#include "signer/core/signer.h"

namespace roulette::signer {

enum class Phase : std::uint8_t { Restored, Serving, Draining, Drained };

struct Connection {
  CoordinatorId coordinator;
  BootId boot;
  NoncePool pool;
  bool told = false;  // what the ledger keeps of this journal: no nonces before
};

// A request that may be signed: everything is checked and open, nothing is changed yet.
struct Admitted {
  SigningRecord record;
  std::vector<crypto::SigningSessionPtr> sessions;  // one per input
};

struct Signer::State {
  State(SignerConfig signer_config, BootId boot_id);

  // The events, as they come.
  void on(const Started& event, EntropySource& entropy, Effects& out);
  void on(const PeerConnected& event, EntropySource& entropy, Effects& out);
  void on(const PeerLost& event, EntropySource& entropy, Effects& out);
  void on(const MessageReceived& event, EntropySource& entropy, Effects& out);
  void on(const RecordDurable& event, EntropySource& entropy, Effects& out);
  void on(const ShutdownRequested& event, EntropySource& entropy, Effects& out);
  void on(const DeadlineReached& event, EntropySource& entropy, Effects& out);
  void finish_drain(Effects& out);

  // The messages of a coordinator. `id` is open.
  void on_nonce_request(ConnectionId id, const wire::NonceRequest& request, EntropySource& entropy,
                        Effects& out);
  void on_journal_check(ConnectionId id, const wire::JournalCheck& kept, Effects& out);
  void quarantine();
  void on_sign_request(ConnectionId id, const wire::SignRequest& request, EntropySource& entropy,
                       Effects& out);

  // signing.cpp
  [[nodiscard]] std::variant<Admitted, Denied> admit(ConnectionId id,
                                                     const wire::SignRequest& request,
                                                     const ReadRequest& read);
  [[nodiscard]] std::optional<Denied> check_own_nonces(ConnectionId id,
                                                       const wire::SessionSigner& own) const;
  [[nodiscard]] std::variant<std::vector<crypto::SigningSessionPtr>, Denied> open_sessions(
      const wire::SignRequest& request, const ReadRequest& read);
  [[nodiscard]] Result<crypto::SignerSetPtr> quorum_of(const std::vector<SignerId>& ids);
  // The record goes first, so that no path leads from a nonce to a share without it.
  [[nodiscard]] std::variant<KeptAnswer, Denied> bind_consume_and_sign(ConnectionId id,
                                                                       Admitted admitted,
                                                                       EntropySource& entropy,
                                                                       Effects& out);

  [[nodiscard]] std::vector<wire::PubNonce> make_nonces(Connection& connection, std::size_t count,
                                                        EntropySource& entropy);
  [[nodiscard]] Result<crypto::SecretNonce> make_nonce(std::uint64_t counter,
                                                       EntropySource& entropy) const;
  void persist(RecordBody body, Effects& out);
  void send(ConnectionId id, wire::Message message, Effects& out);
  void send_status(ConnectionId id, std::uint64_t number, Effects& out);
  void send_answer(ConnectionId id, const KeptAnswer& answer, bool retry, Effects& out);
  void refuse(ConnectionId id, const Hash32& session_digest, Denied why, Effects& out);
  void push(Send message, Effects& out);
  void close(ConnectionId id, std::string reason, Effects& out);

  SignerConfig config;
  BootId boot;
  ReadContext read_context;
  DurableState durable;
  Outbox outbox{0};
  KeptAnswers kept;
  std::map<ConnectionId, Connection> connections;
  std::map<std::vector<SignerId>, crypto::SignerSetPtr> quorums;
  Phase phase = Phase::Restored;
#ifdef ROULETTE_MUTANTS
  void persist_late(Record record, Effects& out);
  void give_back(Connection& connection, const std::vector<wire::PubNonce>& used) const;
  std::vector<Record> late;  // emitted and not applied
#endif
  wire::JournalStanding standing = wire::JournalStanding::Unchecked;
  std::uint64_t nonce_counter = 0;
  Gauges counted;  // the counters only; gauges() fills in the rest
  std::map<wire::RefusalReason, std::uint64_t> refusals;
};

}  // namespace roulette::signer
