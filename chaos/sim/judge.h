// The end-of-run assertion: what must hold over the records of all parties, whatever was killed.
//
// Invariant: judge() is a function of the records alone, so a test can tamper with one record and
// see the check bite. Violation ids are those of DESIGN 9 where one applies. The live verdict has
// its own checkers (chaos/check); these here are for the simulator's small stories.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "chaos/sim/toy_chain.h"
#include "coordinator/core/coordinator.h"
#include "ledger/core/ledger.h"
#include "signer/core/signer.h"

namespace roulette::sim {

struct ClientKey {
  std::string key;
  std::string account;
  Bytes script;  // of this key alone, so that the chain tells who was paid
  std::int64_t amount_sat = 0;
  bool acknowledged = false;
};
struct Answer {
  std::string key;
  Instant asked;
  Instant answered;
  bool same_payload = true;  // false: a deliberate conflict under a used key
  int status = 0;
  std::string problem;
  WithdrawalId id;
  std::optional<Hash32> txid;
  std::optional<wire::WithdrawalState> state;
};
struct ShareSeen {
  coordinator::ShareReceived share;
  bool durable_on_arrival = false;  // its record stood in the signer's journal at that moment
};
// What reached a coordinator, as the host saw it: the end of a signer's connection, a status with
// another boot id than that signer's last one, a withdrawal that the books hold the signatures of.
struct SignerGone {
  SignerId signer;
};
struct SignerReborn {
  SignerId signer;
};
struct SignaturesHeard {
  WithdrawalId withdrawal;
};
// What a coordinator recorded or what reached it, in order.
struct CoordinatorNote {
  CoordinatorId coordinator;
  std::uint64_t life = 0;
  std::variant<coordinator::Fact, SignerGone, SignerReborn, SignaturesHeard> what;
  std::uint32_t share_epoch = 1;  // of its configuration
};
// A signing record that became durable, under the share epoch that the signer was configured with.
struct SessionSigned {
  SignerId signer;
  Hash32 session_digest{};
  std::uint32_t share_epoch = 1;
};
struct JournalRecord {
  bool gone = false;                      // the process was taken for good
  std::vector<signer::Record> records;    // durable ones
  std::vector<signer::Record> taken;      // durable once; somebody put the disk back
  std::vector<signer::Record> superseded; // of journals before the one that was founded anew
  bool quarantined = false;
  Hash32 live_digest{};
  Hash32 replayed_digest{};
};
struct LedgerRecord {
  bool gone = false;  // the process was taken for good: it may be behind
  bool ready = false;
  std::uint64_t index = 0;
  Hash32 digest{};
  Hash32 replayed_digest{};  // a fresh State fed the log up to `index`
  std::vector<wire::Balance> balances;
  std::vector<wire::WithdrawalView> withdrawals;
  std::vector<ledger::Reservation> reservations;
  std::vector<wire::JournalHead> journal_heads;
  wire::ChainTip tip;
};
// What the log's store holds at the end.
struct SnapshotRecord {
  std::uint64_t index = 0;
  std::string fault;         // why it does not open; empty: it does
  bool damaged = false;      // by a fault
  Hash32 digest{};
  Hash32 replayed_digest{};  // a fresh State fed the log up to `index`
};
// To complete a snapshot, or to trim: what the replica knew when it asked the store, whether or not
// it lived to hear of it.
struct StoreOrder {
  LedgerId replica;
  std::optional<std::uint64_t> up_to;  // a trim's
  std::uint64_t newest = 0;            // the snapshot; of a trim the one that stays above `up_to`
  bool spoken_for = false;  // a majority had reported one digest for each, the manifest's of one
  bool read_again = false;  // of a trim: this life had read both, and they were whole
};
struct Limit {
  std::string name;
  std::size_t value = 0;  // the largest seen
  std::size_t bound = 0;
};
// No signing needs more sessions of one coordinator's life, whatever happens around it.
inline constexpr std::size_t kMaxSessions = 64;
struct Records {
  Bytes wallet_script;
  std::uint32_t settle_depth = 3;
  std::vector<ClientKey> keys;
  std::vector<Answer> answers;
  std::vector<ShareSeen> shares;
  std::vector<CoordinatorNote> notes;
  std::vector<JournalRecord> journals;  // by signer
  std::map<WithdrawalId, std::set<Hash32>> templates;  // each that any replica ever applied
  std::vector<coordinator::SendTransaction> broadcasts;
  std::vector<LedgerRecord> ledgers;
  std::uint64_t log_length = 0;
  std::uint64_t trimmed = 0;  // entries up to here are gone
  std::vector<SnapshotRecord> snapshots;
  std::vector<std::uint64_t> snapshots_due;  // behind the last fault, all replicas up and current
  std::vector<StoreOrder> store_orders;
  std::vector<ToyBlock> chain;
  std::int64_t node_wallet_sat = 0;
  std::vector<Limit> limits;
  crypto::SchemeFacts scheme = crypto::frost_scheme().facts();
  std::uint16_t threshold = 3;
  std::vector<SessionSigned> sessions_signed;
  std::set<std::pair<Hash32, std::vector<wire::PartialSignature>>> bad_shares;  // by session
  // What liars asked for, of whom: not in that signer's journal.
  std::set<std::pair<Hash32, std::size_t>> forbidden_sessions;
  std::vector<std::string> incidents;  // what the host itself saw and no machine may cause
  std::vector<std::string> unfinished_stops;  // drained with work in flight and time left
  bool settled = false;                // all clients saw it in time, the cluster rested
};

struct Violation {
  std::string id;
  std::string text;
};
[[nodiscard]] std::vector<Violation> judge(const Records& records);

}  // namespace roulette::sim
