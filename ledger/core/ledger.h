// The ledger replica's machine: turns commands into log entries, log entries into state, state into
// answers; writes snapshots, trims behind them, and starts from one where the log's beginning is
// gone.
//
// Invariants (DESIGN 8): entries are applied in index order without a gap; answers come from apply,
// never from propose (a withdrawal that no client signed is answered as not proposed, without a
// view); every client-visible read happens at or after a barrier taken after the
// request arrived; a replica that differs from a majority stops. Pure: the log engine, the tables
// and the peers are effects and events.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/entropy.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/time.h"
#include "common/crypto/scheme.h"
#include "common/wire/client_list.h"
#include "common/wire/messages.h"
#include "ledger/core/snapshot.h"
#include "ledger/core/state.h"

namespace roulette::ledger {

inline constexpr std::uint64_t kSnapshotBytesPerInterval = 4 << 20;

struct LedgerConfig {
  LedgerId id;
  std::uint16_t replicas = 3;
  BootId boot;            // stamps this replica's own commands
  wire::Genesis genesis;  // proposed when the log is empty
  std::uint64_t checkpoint_interval = 64;
  const crypto::Scheme* verifier = nullptr;  // of `Signed`; see State
  // Whose requests this replica puts into the log; nothing: whatever a coordinator brings.
  std::shared_ptr<const wire::ClientList> clients;
  // The preferred replica stores a snapshot at every multiple of this index, which must be one of
  // checkpoint_interval; 0: never, and nothing is trimmed.
  std::uint64_t snapshot_interval = 0;
  std::size_t snapshot_chunk_bytes = limits::kSnapshotChunkBytes;
  // A snapshot of so many bytes waits for so many intervals: a day's books are written dozens of
  // times, not hundreds, and what is written for one stays a few KiB an entry.
  std::uint64_t snapshot_bytes_per_interval = kSnapshotBytesPerInterval;
  // To the other replicas; a silent one is nobody's proposer of choice.
  Duration heartbeat = limits::kLedgerHeartbeat;
  Duration peer_silent = limits::kLedgerPeerSilent;
};

// What the tables said when they were opened: replay must arrive at the same digest at that index,
// else Stop. The host names the last index whose digest it holds (a checkpoint's, EndOfRun's or the
// one of an orderly stop).
struct LoadedTables {
  std::uint64_t index = 0;
  Hash32 digest{};
  std::map<std::uint64_t, Hash32> earlier;  // what they hold for indices before it
  std::uint64_t last_entry = 0;             // where they stand
};

// ---- events ----
struct Started {
  std::optional<LoadedTables> tables;
};
// The engine delivers entries from index 1, or from where FollowLog sent it, each exactly once and
// in order.
struct EntryDelivered {
  std::uint64_t index = 0;
  std::vector<wire::Command> commands;
};
enum class ProposeOutcome : std::uint8_t {
  Accepted,   // it stands in the log (its entry will be delivered)
  NotLeader,  // the head moved: not in the log, propose again
  Unknown,    // it may or may not stand in the log
  NoSpace     // the store is full; like Unknown: etcd keeps the batch that filled it
};
struct ProposeDone {
  std::uint64_t batch = 0;
  ProposeOutcome outcome = ProposeOutcome::Unknown;
};
// The head index at some moment after the order; nothing when the engine could not read.
struct BarrierDone {
  std::uint64_t barrier = 0;
  std::optional<std::uint64_t> index;
};
// The engine's subscription broke (gap, cancelled watch, lost etcd): nothing is served until it is
// back and caught up.
struct LogLost {
  std::string reason;
};
struct LogRestored {};
// The entry behind the last one delivered is gone; `first` is the oldest that is left. Nothing is
// delivered until FollowLog.
struct LogTrimmed {
  std::uint64_t first = 0;
};
// Answers to the snapshot orders below, by number. Numbers begin anew with a life: the host lets no
// answer to an earlier one through.
struct SnapshotOrderDone {
  std::uint64_t order = 0;
  bool done = false;
  std::string why;  // when it was not done: it may have been, nevertheless
};
struct SnapshotRead {
  std::uint64_t order = 0;
  std::optional<StoredSnapshot> snapshot;  // nothing: the store could not be read
};
struct PeerConnected {
  ConnectionId connection;
  ProcessName peer;
  BootId boot;
};
struct PeerLost {
  ConnectionId connection;
};
struct MessageReceived {
  ConnectionId connection;
  wire::Message message;
};
struct EndOfRunRequested {};  // by the tool, through the control channel: propose EndOfRun
struct ShutdownRequested {};
struct DeadlineReached {};
using Event =
    std::variant<Started, EntryDelivered, ProposeDone, BarrierDone, LogLost, LogRestored,
                 LogTrimmed, SnapshotOrderDone, SnapshotRead, PeerConnected, PeerLost,
                 MessageReceived, EndOfRunRequested, ShutdownRequested, DeadlineReached>;

// ---- effects ----
// The engine answers each Propose and each ReadBarrier exactly once, also when the log is lost
// meanwhile; at most one of each is outstanding. Its answers arrive as later events, never inside
// the step that ordered them.
struct Propose {  // one at a time
  std::uint64_t batch = 0;
  std::vector<wire::Command> commands;
};
struct ReadBarrier {
  std::uint64_t barrier = 0;
};
struct Send {
  ConnectionId connection;
  wire::Message message;
};
// One applied entry for the tables: the host writes queued ones in one transaction.
struct WriteTables {
  std::uint64_t index = 0;
  std::vector<wire::Command> commands;
  std::vector<wire::Outcome> outcomes;  // one per command
  std::vector<wire::WithdrawalView> changed;
  std::vector<Posting> postings;  // made by this entry, in order
  // Of the state after this entry; all zero but at checkpoint indices and where EndOfRun is applied
  // (see State::digest).
  Hash32 digest{};
  wire::ChainTip tip;  // after this entry
  bool closed = false;
};
// Snapshot orders: one of these five is outstanding at a time, unless the machine gave one up. All
// may be repeated. A chunk is stored only while its snapshot has no manifest, a manifest only where
// there is none: a complete snapshot never changes.
struct StoreChunk {
  std::uint64_t order = 0;
  std::uint64_t index = 0;
  std::uint32_t number = 0;
  Bytes bytes;
};
struct StoreManifest {
  std::uint64_t order = 0;
  std::uint64_t index = 0;
  Bytes bytes;
};
// The complete snapshot with the highest index up to `at_most`.
struct ReadSnapshot {
  std::uint64_t order = 0;
  std::uint64_t at_most = 0;
};
// Removes the entries up to `up_to` and all that is stored of snapshots before it, but only while
// the snapshots at `up_to` and at `newest` are complete.
struct TrimLog {
  std::uint64_t order = 0;
  std::uint64_t up_to = 0;
  std::uint64_t newest = 0;
};
// Deliver from the entry behind `after` on. LogRestored follows when the log is followed there.
struct FollowLog {
  std::uint64_t after = 0;
};
// The state is a snapshot's now, and the tables have to be, unless they stand at this index or
// behind it and hold this digest for it. `over`: in any case.
struct RestoreTables {
  std::uint64_t index = 0;
  Hash32 digest{};
  Bytes snapshot;  // the state's encoding
  bool over = false;
};
struct ReadinessChanged {
  bool ready = false;
  std::string reason;
};
// Diverged: the host logs, exits with 70 and never serves again by itself.
struct Stop {
  std::string reason;
};
struct Drained {};  // after ShutdownRequested: nothing of ours is in flight any more
using Effect =
    std::variant<Propose, ReadBarrier, Send, WriteTables, StoreChunk, StoreManifest, ReadSnapshot,
                 TrimLog, FollowLog, RestoreTables, ReadinessChanged, Stop, Drained>;
using Effects = std::vector<Effect>;

struct Gauges {
  std::uint64_t index = 0;
  std::uint64_t known_head = 0;  // the highest index a barrier has shown
  std::uint64_t dropped = 0;     // messages of a wrong kind or over a bound
  std::uint64_t unrequested = 0;  // withdrawals that no listed client asked for
  std::size_t queued_commands = 0;
  std::size_t waiting_requests = 0;
  std::size_t waiting_reads = 0;
  std::size_t withdrawals = 0;
  std::uint64_t newest_snapshot = 0;  // the last this replica stored and read again, or loaded
  std::uint64_t trimmed_to = 0;       // by this replica
  std::uint64_t snapshots_given_up = 0;
};

class Ledger {
 public:
  // Replicas keep nothing that the log's store does not hold: a restart begins empty and is fed
  // entries from index 1, or told that they are gone.
  explicit Ledger(LedgerConfig config);
  Ledger(Ledger&&) noexcept;
  Ledger& operator=(Ledger&&) noexcept;
  ~Ledger();

  void step(Instant now, const Event& event, EntropySource& entropy, Effects& out);
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  [[nodiscard]] const State& state() const;
  [[nodiscard]] Gauges gauges() const;

 private:
  std::unique_ptr<struct Machine> machine_;
};

}  // namespace roulette::ledger
