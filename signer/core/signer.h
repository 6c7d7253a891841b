// The signer's machine: holds one key share, checks what it is asked to sign, journals, then signs.
//
// Invariants (DESIGN 6): a secret nonce is used at most once and lives in RAM only; a share leaves
// only after the record that consumes its nonce and binds its outpoints is durable; one outpoint
// and one withdrawal bind to one transaction, for ever. Pure: no clock, socket, file or thread;
// time, entropy and durability come in as events.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/base/entropy.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/scheme.h"
#include "common/wire/client_list.h"
#include "common/wire/messages.h"

namespace roulette::signer {

// What this signer agrees to sign, whoever asks (DESIGN 6.4).
struct Policy {
  Bytes wallet_script;  // prevouts and change pay to it
  std::int64_t max_fee_sat = 0;
  std::int64_t max_fee_rate_sat_per_vb = 0;
  std::int64_t max_amount_sat = 0;  // of the one output that is not change
};

struct SignerConfig {
  SignerId id;
  std::string cluster_id;
  std::uint32_t share_epoch = 0;
  crypto::SigningGroupPtr group;
  crypto::KeySharePtr share;  // erased with its last owner, here the machine
  Policy policy;
  bool verify_own_share = true;  // BIP 445's check before release
  // Whose requests are signed; nothing: whatever the policy allows, whoever asked for it.
  std::shared_ptr<const wire::ClientList> clients = nullptr;
};

// ---- journal records ----

// The first record of every journal: whose journal this is.
struct Provisioned {
  SignerId signer;
  std::string cluster_id;
  std::uint32_t share_epoch = 0;
  ByteArray<33> threshold_key{};
  friend bool operator==(const Provisioned&, const Provisioned&) = default;
};
// A journal whose bindings were imported, as it stood when it was read.
struct JournalSource {
  SignerId signer;
  std::uint32_t share_epoch = 0;
  std::uint64_t length = 0;
  Hash32 head{};
  friend bool operator==(const JournalSource&, const JournalSource&) = default;
};
// Begins a share epoch (DESIGN 6.8). As the first record it founds the journal of a signer that was
// provisioned again; `imported` records of kind ImportedBinding follow at once. In the middle of a
// journal, which then goes on, it imports nothing: the signer never lost its own.
struct Reprovisioned {
  Provisioned now;
  Hash32 group{};  // crypto::SigningGroup::id of the new sharing
  std::uint32_t previous_epoch = 0;
  std::vector<JournalSource> sources;  // ascending signers
  std::uint32_t imported = 0;
  friend bool operator==(const Reprovisioned&, const Reprovisioned&) = default;
};
struct BoundInput {
  bitcoin::OutPoint outpoint;
  bitcoin::TxOut prevout;  // amount and script it was signed with
  friend bool operator==(const BoundInput&, const BoundInput&) = default;
};
// The one durable record behind a share (DESIGN 6.2).
struct SigningRecord {
  Hash32 session_digest{};
  std::vector<wire::PubNonce> own_nonces;  // one per input; of one round: none
  WithdrawalId withdrawal_id;
  Hash32 payload_digest{};
  Hash32 txid{};
  std::vector<BoundInput> inputs;
  friend bool operator==(const SigningRecord&, const SigningRecord&) = default;
};
// What other signers or the ledger know to be bound. A transaction id of zeros: they disagree, or
// the coins of a withdrawal are not the same everywhere; nothing may be signed for it, ever.
struct ImportedBinding {
  WithdrawalId withdrawal_id;  // zeros with a txid of zeros: inputs alone
  Hash32 payload_digest{};
  Hash32 txid{};
  std::vector<BoundInput> inputs;
  friend bool operator==(const ImportedBinding&, const ImportedBinding&) = default;
};
using RecordBody = std::variant<Provisioned, SigningRecord, Reprovisioned, ImportedBinding>;

// head = SHA-256("roulette/journal" || previous head || canonical body); the head before the first
// record is zero.
struct Record {
  std::uint64_t sequence = 0;  // 1, 2, 3, ...: also the journal's length
  Hash32 head{};
  RecordBody body;
  friend bool operator==(const Record&, const Record&) = default;
};
[[nodiscard]] const char* record_name(const RecordBody& body);  // "signing_record", ...
[[nodiscard]] Bytes encode_record(const RecordBody& body);      // canonical
[[nodiscard]] Result<RecordBody> decode_record(ByteSpan bytes);
[[nodiscard]] Hash32 chain_head(const Hash32& previous, ByteSpan canonical_body);

// ---- events: past tense ----
struct Started {};  // once, after restore: an empty journal gets its Provisioned record
struct PeerConnected {
  ConnectionId connection;
  CoordinatorId coordinator;
  BootId boot;
};
struct PeerLost {
  ConnectionId connection;
};
struct MessageReceived {
  ConnectionId connection;
  wire::Message message;
};
struct RecordDurable {
  std::uint64_t sequence = 0;
};                            // this and all before it
struct ShutdownRequested {};  // drain: refuse new sessions, answer exact retries, destroy nonces
struct DeadlineReached {};
using Event = std::variant<Started, PeerConnected, PeerLost, MessageReceived, RecordDurable,
                           ShutdownRequested, DeadlineReached>;

// ---- effects: orders ----
struct Persist {
  Record record;
};
// What a released share signs, for the host's records (docs/RECORDS.md, `share_released`).
struct ShareRelease {
  WithdrawalId withdrawal_id;
  Hash32 txid{};
  std::vector<wire::PubNonce> nonces;  // the signer's own, one per input, or none
  bool retry = false;                  // an exact retry got the kept answer
};
// Already gated: the host may write it as soon as it sees it (DESIGN 4.2).
struct Send {
  ConnectionId connection;
  wire::Message message;
  std::optional<ShareRelease> release = {};  // set when the message is a SignResponse
};
struct CloseConnection {
  ConnectionId connection;
  std::string reason;
};
// What the ledger keeps of this journal was compared with it: once to Holds, and once at most from
// there to a quarantine, which lasts as long as this process.
struct StandingChanged {
  wire::JournalStanding standing = wire::JournalStanding::Unchecked;
  wire::JournalCheck kept;  // what it was compared with
  CoordinatorId by;         // who said so
};
struct Drained {};  // nothing in flight: the host may close and exit 0
using Effect = std::variant<Persist, Send, CloseConnection, StandingChanged, Drained>;
using Effects = std::vector<Effect>;

struct Gauges {  // for /metrics and `limits-respected`
  std::size_t connections = 0;
  std::size_t pooled_nonces = 0;    // over all connections
  std::size_t largest_pool = 0;     // of one connection
  std::size_t pending_shares = 0;   // over all connections: computed, record not durable
  std::size_t largest_pending = 0;  // of one connection
  std::size_t waiting_sends = 0;    // outputs that wait for a record to be durable
  std::size_t bound_outpoints = 0;
  std::size_t kept_responses = 0;
  std::uint64_t journal_length = 0;  // highest emitted sequence
  Hash32 journal_head{};
  bool draining = false;
  wire::JournalStanding standing = wire::JournalStanding::Unchecked;
  std::uint64_t shares = 0;         // computed, one per input
  std::uint64_t self_checks = 0;    // own shares verified before release
  std::uint64_t failed_shares = 0;  // computed wrongly or not at all: never released
  std::uint64_t retries_answered = 0;
  std::uint64_t nonces_made = 0;
  std::uint64_t nonces_evicted = 0;  // the oldest of a full pool
  std::uint64_t unexpected_messages = 0;
  std::vector<std::pair<wire::RefusalReason, std::uint64_t>> refusals;
};

class Signer {
 public:
  // State is the replay of records. Fails (Corrupt) on a broken chain, a gap, or another signer's
  // journal. `boot` is the nonce epoch: fresh randomness, drawn by the host at every start.
  [[nodiscard]] static Result<Signer> restore(SignerConfig config, BootId boot,
                                              std::span<const Record> records);
  Signer(Signer&&) noexcept;
  Signer& operator=(Signer&&) noexcept;
  ~Signer();

  // Never blocks, never throws; appends to `out`.
  void step(Instant now, const Event& event, EntropySource& entropy, Effects& out);
  [[nodiscard]] std::optional<Instant> next_deadline() const;

  [[nodiscard]] Gauges gauges() const;
  // SHA-256 over the canonical form of everything replay rebuilds (bindings, length, head): live ==
  // replayed.
  [[nodiscard]] Hash32 durable_state_digest() const;

 private:
  struct State;
  explicit Signer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::signer
