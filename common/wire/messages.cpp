// Names of messages and refusals, and the session digest that requests, answers and journals share.
//
// Invariant: two requests have one digest only if suite, key, transaction, sighashes, signer set,
// epochs and nonces are all the same (every list carries its count, so no two inputs concatenate
// alike). It does not check the request: a digest of nonsense is still a digest.
#include "common/wire/messages.h"

#include "common/base/canonical.h"
#include "common/crypto/hash.h"

namespace roulette::wire {

const char* refusal_name(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::StaleEpoch: return "stale-epoch";
    case RefusalReason::UnknownNonce: return "unknown-nonce";
    case RefusalReason::OutpointBound: return "outpoint-bound";
    case RefusalReason::WithdrawalBound: return "withdrawal-bound";
    case RefusalReason::PolicyFee: return "policy-fee";
    case RefusalReason::PolicyChange: return "policy-change";
    case RefusalReason::PolicyAmount: return "policy-amount";
    case RefusalReason::PrevoutMismatch: return "prevout-mismatch";
    case RefusalReason::BadRequest: return "bad-request";
    case RefusalReason::Draining: return "draining";
    case RefusalReason::TooMany: return "too-many";
    case RefusalReason::BadNonce: return "bad-nonce";
    case RefusalReason::WrongGroup: return "wrong-group";
    case RefusalReason::Quarantined: return "quarantined";
    case RefusalReason::KeyUnavailable: return "key-unavailable";
    case RefusalReason::Unrequested: return "unrequested";
  }
  return "unknown";
}

const char* standing_name(JournalStanding standing) {
  switch (standing) {
    case JournalStanding::Unchecked: return "journal-unchecked";
    case JournalStanding::Holds: return "journal-holds";
    case JournalStanding::Missing: return "journal-missing";
    case JournalStanding::RolledBack: return "journal-rolled-back";
    case JournalStanding::Forked: return "journal-forked";
  }
  return "unknown";
}

bool quarantine_name(std::string_view name) {
  for (const JournalStanding standing :
       {JournalStanding::Missing, JournalStanding::RolledBack, JournalStanding::Forked}) {
    if (name == standing_name(standing)) return true;
  }
  return false;
}

// Where runtime/kill_point_table.h names a message, this is the same word: a host passes the name
// of what it sends as the point's subject.
const char* message_name(const Message& message) {
  struct Name {
    const char* operator()(const Hello&) const { return "hello"; }
    const char* operator()(const SignerPing&) const { return "signer_ping"; }
    const char* operator()(const NonceRequest&) const { return "nonce_request"; }
    const char* operator()(const SignRequest&) const { return "sign_request"; }
    const char* operator()(const SignerStatus&) const { return "signer_status"; }
    const char* operator()(const NonceBatch&) const { return "nonce_batch"; }
    const char* operator()(const SignResponse&) const { return "partial_signature"; }
    const char* operator()(const SignRefusal&) const { return "refusal"; }
    const char* operator()(const LedgerSubmit&) const { return "submit"; }
    const char* operator()(const LedgerQuery&) const { return "query"; }
    const char* operator()(const LedgerFollow&) const { return "follow"; }
    const char* operator()(const LedgerStatus&) const { return "ledger_status"; }
    const char* operator()(const LedgerApplied&) const { return "applied"; }
    const char* operator()(const LedgerAnswer&) const { return "query_result"; }
    const char* operator()(const LedgerFeed&) const { return "feed"; }
    const char* operator()(const CoordinatorHeartbeat&) const { return "coordinator_heartbeat"; }
    const char* operator()(const LedgerForward&) const { return "forward"; }
    const char* operator()(const LedgerHeartbeat&) const { return "ledger_heartbeat"; }
    const char* operator()(const JournalCheck&) const { return "journal_check"; }
    const char* operator()(const JournalAnswer&) const { return "journal_answer"; }
  };
  return std::visit(Name{}, message);
}

Hash32 session_digest(const SignRequest& request, std::string_view suite,
                      ByteSpan wallet_output_key, const std::vector<Hash32>& sighashes) {
  static const crypto::Tag tag("roulette/session");
  CanonicalWriter w;
  w.text(suite);
  w.bytes(wallet_output_key);
  // An unsigned transaction has no witness, so its bytes are what the txid covers (BIP 144).
  w.raw(crypto::sha256d(request.unsigned_tx));
  w.count(sighashes.size());
  for (const Hash32& sighash : sighashes) w.raw(sighash);
  w.count(request.signers.size());
  for (const SessionSigner& signer : request.signers) {
    w.u16(signer.id.value());
    w.raw(signer.epoch.value());
    w.count(signer.nonces.size());
    for (const PubNonce& nonce : signer.nonces) w.raw(nonce);
  }
  return crypto::tagged_hash(tag, w.view());
}

}  // namespace roulette::wire
