// Every message between processes, as plain values. The machines speak these; only wire/codec.cpp
// knows protobuf.
//
// Who may send what to whom stands beside each message; a host drops (and counts) a message from
// another role.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/bounded_bytes.h"
#include "common/base/bytes.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/bitcoin/transaction.h"
#include "common/wire/commands.h"
#include "common/wire/page.h"
#include "common/wire/withdrawal.h"

namespace roulette::wire {

inline constexpr std::uint16_t kProtocolMajor = 1;
inline constexpr std::uint16_t kProtocolMinor = 4;

// Of whatever scheme the group signs with; the machines check sizes against SchemeFacts.
using PubNonce = BoundedBytes<limits::kMaxPublicNonceBytes>;
using PartialSignature = BoundedBytes<limits::kMaxShareBytes>;

// ---- any -> any, the first message on a connection; consumed by the host, not by the machines
// ----
struct Hello {
  std::uint16_t major = kProtocolMajor;
  std::uint16_t minor = kProtocolMinor;
  ProcessName name;
  BootId boot;
  friend bool operator==(const Hello&, const Hello&) = default;
};

// ---- coordinator -> signer ----
struct SignerPing {  // answered by SignerStatus
  std::uint64_t number = 0;
  friend bool operator==(const SignerPing&, const SignerPing&) = default;
};
struct NonceRequest {
  std::uint32_t count = 0;  // how many fresh public nonces are wanted
  friend bool operator==(const NonceRequest&, const NonceRequest&) = default;
};
struct SessionSigner {
  SignerId id;
  BootId epoch;                  // the signer's boot epoch the nonces belong to
  std::vector<PubNonce> nonces;  // one per input; none in a scheme of one round
  friend bool operator==(const SessionSigner&, const SessionSigner&) = default;
};
// What a client asked for, in its own words: signers that hold a list of clients sign nothing else.
// Script and amount are those of the transaction's payment.
struct ClientRequest {
  std::string key;
  std::string account;
  ClientSignature by;
  friend bool operator==(const ClientRequest&, const ClientRequest&) = default;
};
struct SignRequest {  // all inputs of one transaction in one request (DESIGN 6.2)
  WithdrawalId withdrawal_id;
  Hash32 payload_digest{};
  Bytes unsigned_tx;
  std::vector<bitcoin::TxOut> prevouts;
  std::vector<SessionSigner> signers;  // ascending ids, the receiver among them
  // crypto::SigningGroup::id: old and new shares of a refreshed key never mix.
  Hash32 group{};
  std::optional<ClientRequest> client;  // since 1.3
  friend bool operator==(const SignRequest&, const SignRequest&) = default;
};
// What the applied ledger keeps of the receiver's journal; answered by JournalAnswer. Nonces are
// given only over a connection that was told (DESIGN 6.8). Zeros: nothing is kept yet.
struct JournalCheck {
  std::uint32_t share_epoch = 0;
  std::uint64_t length = 0;
  Hash32 head{};
  friend bool operator==(const JournalCheck&, const JournalCheck&) = default;
};

// ---- signer -> coordinator ----
// Whether a journal holds what the ledger keeps of it.
enum class JournalStanding : std::uint8_t {
  Unchecked = 1,   // nobody has said yet what the ledger keeps
  Holds = 2,       // the head kept stands at its length
  Missing = 3,     // nothing was ever signed in it, but the ledger knows signatures: quarantined
  RolledBack = 4,  // shorter than what is kept, or of an older share epoch: quarantined
  Forked = 5       // another head at the length that is kept: quarantined
};
[[nodiscard]] const char* standing_name(JournalStanding standing);  // "journal-missing", ...
[[nodiscard]] constexpr bool quarantines(JournalStanding standing) {
  return standing >= JournalStanding::Missing;
}
// The same of a name, as event logs and control lines carry it.
[[nodiscard]] bool quarantine_name(std::string_view name);
struct JournalAnswer {
  std::uint32_t share_epoch = 0;  // of the question
  std::uint64_t length = 0;       // of the question
  JournalStanding standing = JournalStanding::Unchecked;  // never Unchecked
  friend bool operator==(const JournalAnswer&, const JournalAnswer&) = default;
};
struct SignerStatus {  // unasked right after the connection stands, and as the answer to a ping
  std::uint64_t number = 0;  // of the ping, 0 when unasked
  BootId epoch;
  std::uint32_t share_epoch = 0;
  std::uint64_t journal_length = 0;
  Hash32 journal_head{};
  bool draining = false;  // refuses new sessions
  JournalStanding standing = JournalStanding::Unchecked;  // over this start, all connections
  Hash32 group{};                                         // whose share it holds
  bool key_unavailable = false;  // its key lies in a token that does not sign now
  friend bool operator==(const SignerStatus&, const SignerStatus&) = default;
};
struct NonceBatch {
  BootId epoch;
  std::vector<PubNonce> nonces;
  friend bool operator==(const NonceBatch&, const NonceBatch&) = default;
};
struct SignResponse {
  Hash32 session_digest{};
  std::vector<PartialSignature> shares;  // one per input
  std::vector<PubNonce> next_nonces;     // as many fresh ones as were used (same epoch)
  std::uint64_t journal_length = 0;      // after the record that covers these shares
  Hash32 journal_head{};
  std::uint32_t share_epoch = 0;  // the journal's
  friend bool operator==(const SignResponse&, const SignResponse&) = default;
};
enum class RefusalReason : std::uint8_t {
  StaleEpoch = 1,
  UnknownNonce = 2,
  OutpointBound = 3,
  WithdrawalBound = 4,
  PolicyFee = 5,
  PolicyChange = 6,
  PolicyAmount = 7,
  PrevoutMismatch = 8,
  BadRequest = 9,
  Draining = 10,
  TooMany = 11,
  BadNonce = 12,
  WrongGroup = 13,  // the request is of another group or share epoch
  Quarantined = 14,  // the journal is missing, rolled back or forked (DESIGN 6.8)
  KeyUnavailable = 15,  // the key lies in a token that does not sign now: ask again later
  Unrequested = 16  // no listed client asked for this payment, or may
};
[[nodiscard]] const char* refusal_name(RefusalReason reason);  // "stale-epoch", ...
struct SignRefusal {
  Hash32 session_digest{};
  RefusalReason reason = RefusalReason::BadRequest;
  std::string detail;
  std::optional<SignerId> blamed;  // BadNonce: whose public nonce does not parse
  friend bool operator==(const SignRefusal&, const SignRefusal&) = default;
};

// H("roulette/session", suite (SchemeFacts::version) || wallet output key || txid || each input's
// sighash || each signer: id, epoch, nonces). Both sides compute it from the request; the journal
// binds it. Names one session only where every nonce has the scheme's size: check that before.
[[nodiscard]] Hash32 session_digest(const SignRequest& request, std::string_view suite,
                                    ByteSpan wallet_output_key,
                                    const std::vector<Hash32>& sighashes);

// ---- coordinator -> ledger ----
struct LedgerSubmit {
  std::uint64_t request = 0;  // answered by LedgerApplied when the command was applied
  Command command;
  friend bool operator==(const LedgerSubmit&, const LedgerSubmit&) = default;
};
struct QueryById {
  WithdrawalId id;
  friend bool operator==(const QueryById&, const QueryById&) = default;
};
struct QueryByKey {
  std::string key;
  friend bool operator==(const QueryByKey&, const QueryByKey&) = default;
};
struct QueryBalances {
  friend bool operator==(const QueryBalances&, const QueryBalances&) = default;
};
// The highest journal head of every signer that a signature was applied with.
struct QueryJournals {
  friend bool operator==(const QueryJournals&, const QueryJournals&) = default;
};
// What became of one withdrawal, as far as this replica saw it.
struct QueryEvents {
  WithdrawalId id;
  friend bool operator==(const QueryEvents&, const QueryEvents&) = default;
};
// QueryPage and its answer: page.h. Both since 1.4.
using Query =
    std::variant<QueryById, QueryByKey, QueryBalances, QueryJournals, QueryPage, QueryEvents>;
struct LedgerQuery {  // answered at or after a barrier taken after it arrived
  std::uint64_t request = 0;
  Query query;
  friend bool operator==(const LedgerQuery&, const LedgerQuery&) = default;
};
struct LedgerFollow {  // from now on: everything unfinished, then every change (LedgerFeed)
  friend bool operator==(const LedgerFollow&, const LedgerFollow&) = default;
};

// ---- ledger -> coordinator ----
struct LedgerStatus {  // on connect and on every change
  bool ready = false;  // serves: caught up, not diverged, not draining
  std::uint64_t index = 0;
  std::string reason;  // why not
  friend bool operator==(const LedgerStatus&, const LedgerStatus&) = default;
};
struct LedgerApplied {
  std::uint64_t request = 0;
  std::uint64_t index = 0;
  Outcome outcome;
  std::optional<WithdrawalView> view;  // of the withdrawal concerned, after the command
  friend bool operator==(const LedgerApplied&, const LedgerApplied&) = default;
};
struct Balance {
  std::string account;  // "customer:NAME", "pending", "fees", "wallet", "outside"
  std::int64_t amount_sat = 0;
  friend bool operator==(const Balance&, const Balance&) = default;
};
struct LedgerAnswer {
  std::uint64_t request = 0;
  std::uint64_t index = 0;
  bool available = true;               // false: the replica cannot read now, ask another
  std::optional<WithdrawalView> view;  // nothing when unknown
  std::vector<Balance> balances;
  std::vector<JournalHead> journals;  // by signer
  Page page;                          // of QueryPage
  std::vector<WithdrawalEvent> events;  // of QueryEvents, which answers `view`, too
  friend bool operator==(const LedgerAnswer&, const LedgerAnswer&) = default;
};
struct ChainTip {
  Hash32 hash{};
  std::uint32_t height = 0;
  friend bool operator==(const ChainTip&, const ChainTip&) = default;
};
struct LedgerFeed {
  std::uint64_t index = 0;
  ChainTip tip;
  bool first = false;    // the first frame of the answer to Follow: forget what was known
  bool complete = true;  // false: more frames of this index follow
  bool closed = false;   // EndOfRun was applied
  std::vector<WithdrawalView> changed;
  friend bool operator==(const LedgerFeed&, const LedgerFeed&) = default;
};

// ---- coordinator -> coordinator ----
struct CoordinatorHeartbeat {
  std::uint64_t steps = 0;  // grows while its loop makes progress
  bool draining = false;
  friend bool operator==(const CoordinatorHeartbeat&, const CoordinatorHeartbeat&) = default;
};

// ---- ledger -> ledger ----
struct LedgerForward {  // to the preferred proposer; never answered: watch the log
  std::vector<Command> commands;
  friend bool operator==(const LedgerForward&, const LedgerForward&) = default;
};
struct LedgerHeartbeat {
  std::uint64_t index = 0;
  bool ready = false;
  friend bool operator==(const LedgerHeartbeat&, const LedgerHeartbeat&) = default;
};

using Message = std::variant<Hello, SignerPing, NonceRequest, SignRequest, SignerStatus, NonceBatch,
                             SignResponse, SignRefusal, LedgerSubmit, LedgerQuery, LedgerFollow,
                             LedgerStatus, LedgerApplied, LedgerAnswer, LedgerFeed,
                             CoordinatorHeartbeat, LedgerForward, LedgerHeartbeat,
                             JournalCheck, JournalAnswer>;

// "sign_request", "partial_signature", ...: as kill points, metrics and records spell it.
[[nodiscard]] const char* message_name(const Message& message);

}  // namespace roulette::wire
