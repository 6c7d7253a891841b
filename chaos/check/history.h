// A finished run as plain values: every record file of docs/RECORDS.md, each value with the line it
// stands on.
//
// Invariant: what is in a History was read from a record and well formed; a file that is missing,
// of another format or version, or holds one malformed line, is not `whole()`, and no invariant
// that needs it can pass. Nothing is judged here: checkers are functions of a History.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chaos/plan/experiment.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/scheme.h"
#include "common/base/result.h"
#include "common/bitcoin/transaction.h"

namespace roulette::check {

// The line a value was read from.
struct At {
  std::uint16_t file = 0;  // index into History::sources
  std::uint32_t line = 0;
};

struct Source {
  std::string file;  // relative to the run folder
  bool present = false;
  std::vector<std::string> defects;  // "file:line: what", capped
  std::uint64_t more_defects = 0;
  [[nodiscard]] bool whole() const { return present && defects.empty(); }
};

// ---- history.ndjson ----
struct ClientKey {
  At at;
  std::int64_t t_us = 0;
  std::string key, account, address;
  Bytes script;  // of the address
  std::int64_t amount_sat = 0;
  std::string replaces;  // the key that its client gave up for this one: one order; else empty
};
// Who asked, where clients sign: what every request is checked against.
struct RequestingClient {
  At at;
  std::string name, cluster_id;
  crypto::Ed25519PublicKey public_key{};
};
struct Operation {  // one request: invoke, then answer or no_answer
  At at;
  std::uint64_t op = 0;
  std::int64_t invoked_us = 0, intended_us = 0;
  std::string key, coordinator, intent;
  std::optional<std::int64_t> amount_sat;  // as sent
  std::string address, account;            // as sent
  bool answered = false, unanswered = false;
  At answer_at;
  std::int64_t answered_us = 0;  // of the answer or the no_answer
  int status = 0;
  std::string id, state, txid, problem;
  [[nodiscard]] bool get() const { return intent == "poll" || intent == "resolve"; }
  [[nodiscard]] bool conflict() const { return intent == "conflict"; }
  [[nodiscard]] bool ok() const { return answered && status >= 200 && status < 300; }
};

// ---- faults.ndjson ----
struct FaultRecord {
  At at;
  std::uint64_t fault_id = 0, rule = 0, occurrence = 0;
  std::string role, point, victim, trigger_process, signal, recover, why_not;
  bool fired = false, proven = false, has_hit = false, has_proof = false, over_budget = false;
  std::int64_t send_result = -1, sent_us = 0;
  std::optional<std::int64_t> wtermsig, exit_code, reaped_us, restarted_us, ready_us;
  bool stopped = false, continued = false, shutdown_started = false, escalated = false;
  std::optional<std::int64_t> token_calls, token_back_us;  // of a fault of a token
};

// ---- state/token-signer-*.ndjson ----
struct TokenAnswer {
  At at;
  std::int64_t t_us = 0;
  std::string answer;
};

// ---- events.ndjson ----
struct EventHead {
  At at;
  std::int64_t t_us = 0;
  std::int64_t wall_us = 0;  // 0 where the record has none
  std::string process, boot;
};
struct Lifecycle : EventHead {
  std::string event;
  bool drained = false;
};                               // started, shutdown_started, stopped
struct ShareEvent : EventHead {  // share_released (process is the signer) and share_received
  std::string signer, coordinator, session_digest, withdrawal_id, txid;
  std::vector<std::string> nonces, shares;
  std::uint64_t journal_length = 0;  // share_released
  bool retry = false;
};
struct SessionOpened : EventHead {
  std::string withdrawal_id, txid, session_digest;
  std::vector<std::string> signers;
};
struct Aggregated : EventHead {
  std::string withdrawal_id, txid, session_digest;
  std::vector<std::string> signatures;
};
struct BroadcastEvent : EventHead {
  std::string withdrawal_id, txid, hex;
};
struct BroadcastResult : EventHead {
  std::string withdrawal_id, txid, outcome;
};
struct SignedApplied : EventHead {
  std::string withdrawal_id, txid;
};
struct SignerQuarantined : EventHead {  // told by a coordinator
  std::string signer, reason;
};
struct RequestReceived : EventHead {
  std::uint64_t request = 0;
  std::string kind;
};
struct Answered : EventHead {
  std::uint64_t request = 0;
  int status = 0;
  std::string id, state, txid, problem;
};
struct Limit {
  std::string name;
  double value = 0;
  std::optional<double> bound;
};
struct LimitsEvent : EventHead {
  std::vector<Limit> limits;
};
struct DigestEvent : EventHead {
  std::string event;
  std::uint64_t index = 0;
  std::string digest;
};  // checkpoint, end_of_run_applied, snapshot_ordered, snapshot_stored, snapshot_loaded
struct Trimmed : EventHead {
  std::uint64_t up_to = 0, newest = 0;
};
struct Diverged : EventHead {
  std::uint64_t index = 0;
};
struct UpDown : EventHead {
  std::string name, why;
  bool up = false;
};
struct Spawned : EventHead {
  std::string name;
};
struct Exited : EventHead {
  std::string name;
  std::int64_t code = 0, signal = 0;
  bool asked = false;
  std::optional<std::uint64_t> cpu_us;  // of the whole life
};
struct Traffic : EventHead {  // frames that `name` received from `peer`'s role, over all its lives
  std::string name, peer;
  std::uint64_t messages = 0, bytes = 0;
};
struct Phase : EventHead {
  std::string name;
};
struct FaultMoment : EventHead {
  std::string name, moment;
  std::uint64_t fault_id = 0;
};

struct Events {
  std::vector<Lifecycle> lifecycle;
  std::vector<ShareEvent> released, received;
  std::vector<SessionOpened> opened;
  std::vector<Aggregated> aggregated;
  std::vector<BroadcastEvent> broadcasts;
  std::vector<BroadcastResult> broadcast_results;
  std::vector<SignedApplied> signed_applied;
  std::vector<SignerQuarantined> quarantined;
  std::vector<RequestReceived> requests;
  std::vector<Answered> answers;
  std::vector<LimitsEvent> limits;
  std::vector<Trimmed> trim_orders, trims;  // what the store was asked; what it said it had done
  std::vector<DigestEvent> digests;
  std::vector<Diverged> diverged;
  std::vector<UpDown> up_down;
  std::vector<Spawned> spawned;
  std::vector<Exited> exited;
  std::vector<Traffic> traffic;
  std::vector<Phase> phases;
  std::vector<FaultMoment> moments;
  std::string chain_end;  // hash of the last block when the chain was exported
  std::set<std::string> processes;  // who wrote any event
};

// ---- state/chain.ndjson ----
struct ChainTx {
  std::string txid;
  std::uint32_t height = 0;
  bool coinbase = false;
  bitcoin::Transaction tx;
  At at;
};
struct Chain {
  std::vector<std::string> hashes;  // by height, from genesis
  std::vector<ChainTx> txs;         // in chain order
  std::map<std::string, std::size_t> by_txid;
  [[nodiscard]] std::uint32_t tip() const { return static_cast<std::uint32_t>(hashes.size()) - 1; }
  [[nodiscard]] const ChainTx* find(const std::string& txid) const;
};

// ---- state/transactions.ndjson ----
struct Prevout {
  std::string txid;
  std::uint32_t vout = 0;
  std::int64_t amount_sat = 0;
  std::string script;
};
struct TransactionRecord {
  At at;
  std::string withdrawal_id, key, address, txid, hex;
  std::int64_t amount_sat = 0;
  std::vector<Prevout> prevouts;
};

// ---- state/signer-<i>.ndjson ----
struct BoundInput {
  std::string outpoint;
  std::int64_t amount_sat = 0;
  std::string script;
};
struct SigningRecord {
  At at;
  std::uint64_t sequence = 0;
  std::string session_digest, withdrawal_id, payload_digest, txid;
  std::vector<std::string> nonces;
  std::vector<BoundInput> inputs;
};
struct Journal {
  std::string signer;  // "signer-0"
  std::uint16_t source = 0;
  std::string threshold_key;  // of the provisioned record, 33 bytes hex
  std::vector<SigningRecord> records;
  std::vector<std::string>
      heads;                 // by sequence, from 1: recomputed, and equal to what the file says
  std::uint64_t length = 0;  // highest sequence
  // What the tool took from it, as it stood before; `records` and `length` are the union.
  struct Taken {
    std::uint16_t source = 0;
    std::vector<std::string> heads;
    std::int64_t restarted_us = 0;  // when its signer came back without them
  };
  std::vector<Taken> taken;
};

// ---- state/ledger-<i>.ndjson ----
struct WalletOutput {
  std::string outpoint;
  std::int64_t amount_sat = 0;
  bool coinbase = false;
};
struct JournalHead {
  std::string signer, head;
  std::uint64_t length = 0, share_epoch = 0;
};
struct KeptHeadRow {  // the longest of the newest share epoch, as the ledger's state keeps it
  At at;
  JournalHead head;
};
struct LedgerCommand {
  std::string command, outcome, detail, withdrawal_id;
  std::string key, account, script, payload_digest;  // withdraw
  std::string client, client_signature;              // likewise; empty where clients need not sign
  std::int64_t amount_sat = 0, requested_at_us = 0;
  std::string txid;  // signed, broadcast
  std::vector<std::string> signatures;
  std::vector<JournalHead> journals;
  std::string hash, prev;  // block_connected, block_disconnected
  std::uint32_t height = 0;
  std::vector<std::string> txids;
  std::vector<WalletOutput> wallet_outputs;
  std::uint64_t index = 0;  // checkpoint
  std::string digest, replica;
  std::string signature_form, wallet_output_key;  // genesis
  std::optional<std::int64_t> withdrawal_fee_sat, min_amount_sat,
      max_amount_sat;  // genesis, where it says so
  std::optional<std::uint32_t> settle_depth;
};
struct LedgerEntry {
  At at;
  std::uint64_t index = 0;
  std::string canonical;
  std::vector<LedgerCommand> commands;
};
struct WithdrawalRow {
  At at;
  std::string withdrawal_id, key, account, script, payload_digest, state, txid, unsigned_tx,
      signed_tx;
  std::string client, client_signature;  // empty where clients need not sign
  std::int64_t amount_sat = 0, fee_sat = 0;
  std::uint32_t height = 0;
};
struct ReservationRow {
  At at;
  std::string outpoint, withdrawal_id;
};
struct PostingRow {
  At at;
  std::uint64_t index = 0;
  std::string debit, credit, reason, reference;
  std::int64_t amount_sat = 0;
};
struct BalanceRow {
  At at;
  std::string account;
  std::int64_t amount_sat = 0;
};
struct LedgerState {
  At at;
  std::uint64_t index = 0;
  std::string digest, tip;
  bool closed = false;
  std::uint32_t height = 0;
};
struct TablesDigest {
  At at;
  std::uint64_t index = 0;
  std::string digest;
};
// The snapshot that a replica's tables were restored from, when they were.
struct ReplicaBase {
  At at;
  std::uint64_t index = 0;
  std::string digest;
};
struct Replica {
  std::string name;  // "ledger-0"
  std::uint16_t source = 0;
  std::optional<ReplicaBase> base;
  // From 1 on. A replica with a base exported those behind it only: the ones before, and their
  // postings, are another replica's record (history_base.cpp).
  std::vector<LedgerEntry> entries;
  std::size_t borrowed = 0;  // so many of the entries
  std::vector<WithdrawalRow> withdrawals;
  std::vector<ReservationRow> reservations;
  std::vector<PostingRow> postings;
  std::vector<BalanceRow> balances;
  std::vector<KeptHeadRow> kept_heads;
  std::optional<LedgerState> state;
  std::vector<TablesDigest> tables;
  [[nodiscard]] bool closed() const { return state && state->closed; }
};

struct History {
  chaos::Experiment experiment;
  bool interrupted = false;  // the end-of-run order was not kept: liveness cannot be judged
  std::vector<Source> sources;
  std::uint16_t client = 0, faults_file = 0, events_file = 0, chain_file = 0, transactions_file = 0;

  std::optional<RequestingClient> client_key;
  std::vector<ClientKey> keys;
  std::vector<Operation> operations;  // in the order of their invokes
  std::vector<FaultRecord> faults;
  std::map<std::string, std::vector<TokenAnswer>> tokens;  // by signer, where tokens may fail
  Events events;
  Chain chain;
  std::vector<TransactionRecord> transactions;
  std::vector<Journal> journals;  // one per signer of the plan
  std::vector<Replica> replicas;  // one per ledger of the plan

  [[nodiscard]] std::string where(const At& at) const;
  // What the cluster signed with. Sizes, and which rules there are to check (SignerForm).
  [[nodiscard]] const crypto::SchemeFacts& scheme() const;
  [[nodiscard]] const Source& source(std::uint16_t index) const { return sources.at(index); }
  // Victims of a fault that fired with `recover: none`.
  [[nodiscard]] std::set<std::string> lost() const;
  // The plan declares that fewer than t signers stay until the end, and it came true.
  [[nodiscard]] bool lasting_quorum_loss() const;
  // The replica other records are compared with: the first whole one that applied EndOfRun, one
  // that has seen the whole log itself if there is any; nothing when there is none.
  [[nodiscard]] const Replica* reference() const;
  [[nodiscard]] std::uint32_t settle_depth() const;
  // What signatures verify under: of the threshold key that the signers' journals name, tweaked
  // (BIP 86) where the scheme's form is BIP 340. Nothing without a journal, or when they differ.
  [[nodiscard]] std::optional<crypto::WalletKey> wallet_key() const;
  // What every coin of the wallet pays to.
  [[nodiscard]] std::optional<Bytes> wallet_script() const;
};

// Reads whatever is in the folder; only a folder that cannot be read at all is an error.
[[nodiscard]] Result<History> load_history(const std::string& run_dir,
                                           const chaos::Experiment& experiment);

// ---- parts of load_history, one a file (history_*.cpp) ----
namespace load {
// Gives replicas with a base what came before it; one for which no record holds it is not whole.
void replicas_from_the_beginning(History& history);
void client(const std::string& run_dir, History& history);
void faults(const std::string& run_dir, History& history);
void tokens(const std::string& run_dir, History& history);
void events(const std::string& run_dir, History& history);
void chain(const std::string& run_dir, History& history);
void transactions(const std::string& run_dir, History& history);
void journal(const std::string& run_dir, std::uint16_t signer, History& history);
void replica(const std::string& run_dir, std::uint16_t ledger, History& history);
}  // namespace load

}  // namespace roulette::check
