// From a read request to shares: the checks that need memory, then binding, consumption, signing.
//
// Invariant: admit() changes nothing, so a refused request costs no nonce and makes none reusable;
// bind_consume_and_sign() emits and applies the record before it takes the first nonce. No share
// leaves here ungated: the caller pushes it through the outbox.
#include <utility>

#include "common/base/assert.h"
#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "signer/core/state.h"

namespace roulette::signer {

using crypto::SelfCheck;
using crypto::SignerSetPtr;
using crypto::SigningSessionPtr;
using wire::RefusalReason;

std::variant<Admitted, Denied> Signer::State::admit(ConnectionId id,
                                                    const wire::SignRequest& request,
                                                    const ReadRequest& read) {
  if (phase != Phase::Serving) return denied(RefusalReason::Draining, "the signer is stopping");
  const wire::SessionSigner& own = request.signers[read.own];
  if (auto no = check_own_nonces(id, own)) return *std::move(no);
  const crypto::SignatureForm form = read_context.scheme.signatures;
  if (auto no = check_policy(read.tx, request.prevouts, config.policy, form))
    return *std::move(no);
  if (config.clients && !ROULETTE_MUTANT("client-unchecked")) {
    auto no = check_client(request, read.tx, config.policy.wallet_script, *config.clients);
    if (no) return *std::move(no);
  }

  Admitted admitted;
  SigningRecord& record = admitted.record;
  record.session_digest = read.session_digest;
  record.own_nonces = own.nonces;
  record.withdrawal_id = request.withdrawal_id;
  record.payload_digest = request.payload_digest;
  record.txid = read.txid;
  for (std::size_t i = 0; i < read.tx.inputs.size(); ++i)
    record.inputs.push_back(BoundInput{read.tx.inputs[i].outpoint, request.prevouts[i]});
  if (auto no = durable.conflict(record)) return *std::move(no);

  // A retry in a moment costs nobody a record.
  if (std::string why = config.share->unavailable(); !why.empty())
    return denied(RefusalReason::KeyUnavailable, std::move(why));
  if (outbox.pending_shares(id) >= limits::kPendingSharesPerConnection)
    return denied(RefusalReason::TooMany, "too many requests wait for the journal");
  auto sessions = open_sessions(request, read);
  if (auto* no = std::get_if<Denied>(&sessions)) return std::move(*no);
  admitted.sessions = std::get<std::vector<SigningSessionPtr>>(std::move(sessions));
  return admitted;
}

// Nonces count only over the connection that got them. Attack: a coordinator replays what another
// one, or its own former life, was given.
std::optional<Denied> Signer::State::check_own_nonces(ConnectionId id,
                                                      const wire::SessionSigner& own) const {
  if (own.epoch != boot)
    return denied(RefusalReason::StaleEpoch, "the nonces are of another start of this signer");
  const NoncePool& pool = connections.at(id).pool;
  if (ROULETTE_MUTANT("nonce-by-index") && pool.size() >= own.nonces.size()) return std::nullopt;
  if (!pool.has_each_once(own.nonces))
    return denied(RefusalReason::UnknownNonce, "a nonce is used, unknown or named twice");
  return std::nullopt;
}

// All sessions are opened before the first nonce is taken: what another signer's nonce does not
// allow is found while nothing is lost. The aggregate nonce is computed here, never received.
std::variant<std::vector<SigningSessionPtr>, Denied> Signer::State::open_sessions(
    const wire::SignRequest& request, const ReadRequest& read) {
  const auto quorum = quorum_of(read.signer_ids);
  if (!quorum) return denied(RefusalReason::BadRequest, quorum.error().message);
  std::vector<SigningSessionPtr> sessions;
  for (std::size_t input = 0; input < read.sighashes.size(); ++input) {
    std::vector<ByteSpan> nonces;
    for (const wire::SessionSigner& signer : request.signers)
      nonces.push_back(signer.nonces.empty() ? ByteSpan() : ByteSpan(signer.nonces[input]));
    auto opened = (*quorum)->open(nonces, read.sighashes[input]);
    if (!opened) return denied(RefusalReason::BadRequest, opened.error().message);
    if (const auto* bad = std::get_if<crypto::InvalidNonce>(&*opened)) {
      Denied no = denied(RefusalReason::BadNonce, "a public nonce is not two points");
      no.blamed = read.signer_ids[bad->index];
      return no;
    }
    sessions.push_back(std::get<SigningSessionPtr>(std::move(opened).value()));
  }
  return sessions;
}

Result<SignerSetPtr> Signer::State::quorum_of(const std::vector<SignerId>& ids) {
  if (const auto known = quorums.find(ids); known != quorums.end()) return known->second;
  auto quorum = config.group->signer_set(ids);
  if (!quorum) return quorum;
  // Coordinators use few sets; one that cycles through all of them only costs time.
  if (quorums.size() == limits::kCachedQuorums) quorums.clear();
  quorums.emplace(ids, *quorum);
  return quorum;
}

std::variant<KeptAnswer, Denied> Signer::State::bind_consume_and_sign(ConnectionId id,
                                                                      Admitted admitted,
                                                                      EntropySource& entropy,
                                                                      Effects& out) {
  ROULETTE_ASSERT(read_context.scheme.nonces_for(admitted.sessions.size()) ==
                  admitted.record.own_nonces.size());
  KeptAnswer answer;
  answer.connection = id;
  answer.release =
      ShareRelease{admitted.record.withdrawal_id, admitted.record.txid, admitted.record.own_nonces};
  answer.response.session_digest = admitted.record.session_digest;
  persist(std::move(admitted.record), out);
  answer.response.journal_length = durable.length();
  answer.response.journal_head = durable.head();
  answer.response.share_epoch = config.share_epoch;

  Connection& connection = connections.at(id);
  std::vector<crypto::SecretNonce> secrets;
  for (const wire::PubNonce& nonce : answer.release.nonces)
    secrets.push_back(connection.pool.take(nonce));
#ifdef ROULETTE_MUTANTS
  if (ROULETTE_MUTANT("nonce-back-to-pool")) give_back(connection, answer.release.nonces);
#endif
  secrets.resize(admitted.sessions.size());  // of one round: signed with empty ones
  for (std::size_t input = 0; input < secrets.size(); ++input) {
    auto share =
        config.share->sign(std::move(secrets[input]), *admitted.sessions[input],
                           config.verify_own_share ? SelfCheck::On : SelfCheck::Off);
    if (config.verify_own_share) counted.self_checks += 1;
    if (!share) {
      // Nonces and record are spent, nothing leaves. The key is out of reach (a token's), or this
      // is a computation fault (BIP 445's check).
      counted.failed_shares += 1;
      if (share.error().kind != ErrorKind::Internal)
        return denied(RefusalReason::KeyUnavailable, share.error().message);
      return denied(RefusalReason::BadRequest, "the share failed its own check");
    }
    counted.shares += 1;
    const auto bytes = wire::PartialSignature::from(*share);
    ROULETTE_ASSERT(bytes.has_value());  // limits::kMaxShareBytes holds every scheme's
    answer.response.shares.push_back(*bytes);
  }
  answer.response.next_nonces = make_nonces(connection, answer.release.nonces.size(), entropy);
  return answer;
}

}  // namespace roulette::signer
