// The inside of Ledger: one replica's memory, split by job over ledger.cpp (events, entries,
// readiness), proposals.cpp (queue to log), reads.cpp (barriers, queries, feeds) and snapshots.cpp
// (writing, trimming, loading).
//
// Invariant: see ledger.h. Everything here is rebuilt from the log at a restart; nothing is kept.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ledger/core/checkpoints.h"
#include "ledger/core/command_queue.h"
#include "ledger/core/history.h"
#include "ledger/core/ledger.h"

namespace roulette::ledger {

struct Machine {
  explicit Machine(LedgerConfig settings);

  // ---- ledger.cpp ----
  void step(Instant at, const Event& event, Effects& effects);
  void handle(const Started& event);
  void handle(const EntryDelivered& event);
  void handle(const ProposeDone& event);
  void handle(const BarrierDone& event);
  void handle(const LogLost& event);
  void handle(const LogRestored& event);
  void handle(const LogTrimmed& event);
  void handle(const SnapshotOrderDone& event);
  void handle(const SnapshotRead& event);
  void handle(const PeerConnected& event);
  void handle(const PeerLost& event);
  void handle(const MessageReceived& event);
  void handle(const EndOfRunRequested& event);
  void handle(const ShutdownRequested& event);
  void handle(const DeadlineReached& event);
  void apply_command(const wire::Command& command, WriteTables& entry);
  void compare_digest(WriteTables& entry, bool ends_run);
  void stop(std::string why);
  void stop_or_refuse(const std::string& why);
  void refresh_readiness();
  [[nodiscard]] std::string why_not_ready() const;
  void heartbeat();
  void finish_drain();
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  [[nodiscard]] bool serving() const { return why_not.empty(); }
  void send(ConnectionId connection, wire::Message message);

  // ---- proposals.cpp ----
  void submit(ConnectionId from, const wire::LedgerSubmit& message);
  void take_forwarded(const wire::LedgerForward& message);
  std::optional<wire::CommandId> propose_own(wire::CommandBody body);
  void propose_genesis();
  void withdraw_genesis();
  void report_checkpoint();
  // Why this replica does not propose it; nothing: it may.
  [[nodiscard]] std::optional<std::string> unrequested_by_clients(const wire::Withdraw& w) const;
  void answer_waiters(const wire::Command& command, const wire::Outcome& outcome);
  void settle_proposal();
  void move_commands();
  [[nodiscard]] bool can_propose() const;
  // The connection of the preferred proposer; nothing: this replica itself.
  [[nodiscard]] std::optional<ConnectionId> preferred() const;

  // ---- reads.cpp ----
  struct Read {
    ConnectionId connection;
    std::uint64_t request = 0;
    wire::Query query;
  };
  void query(ConnectionId from, const wire::LedgerQuery& message);
  void follow(ConnectionId from);
  void order_barrier();
  [[nodiscard]] bool barrier_wanted() const;
  void log_head_known(std::uint64_t head, Instant ordered);
  void serve_reads();
  void refuse_reads();
  void answer(const Read& read);
  void refuse(const Read& read);
  void serve_followers();
  void feed(ConnectionId connection, std::vector<wire::WithdrawalView> views, bool first);

  // ---- snapshots.cpp ----
  void start_snapshot(const Hash32& digest);
  [[nodiscard]] bool snapshot_due() const;
  void advance_snapshot();
  void snapshot_read_again(const StoredSnapshot& snapshot);
  [[nodiscard]] Result<Manifest> judge_older(const StoredSnapshot& snapshot) const;
  void older_snapshot_read(const StoredSnapshot& snapshot);
  void snapshot_failed();
  void end_job();
  std::uint64_t order_write();
  void order_read(std::uint64_t at_most);
  void begin_loading();
  void begin_search();
  void search_again();
  void search_snapshot(std::uint64_t at_most);
  void no_snapshot_left(const std::string& why);
  void note_refused(const std::string& why);
  void judge_snapshot(const StoredSnapshot& stored);
  [[nodiscard]] std::optional<Hash32> tables_digest(std::uint64_t index) const;
  [[nodiscard]] bool contradicts_tables(const Manifest& manifest) const;
  void adopt(OpenedSnapshot snapshot);
  void refuse_snapshot(std::uint64_t index, const std::string& why);
  // The log's checkpoints have said more about a snapshot index.
  void checkpoint_logged(std::uint64_t index);
  [[nodiscard]] std::string why_loading() const;
  [[nodiscard]] std::optional<Instant> snapshot_deadline() const;

  struct Peer {
    ProcessName name;
    bool ready = false;  // a ledger's own word
    Instant heard;
    bool follows = false;       // hears of every change
    bool wants_follow = false;  // asked before we were ready
  };
  struct InFlight {
    std::uint64_t batch = 0;
    std::size_t unapplied = 0;
    enum class Phase : std::uint8_t {
      Outstanding,
      InTheLog,
      AskingHead,
      CatchingUp
    } phase = Phase::Outstanding;
    std::uint64_t head = 0;  // CatchingUp: whatever is not applied by then is not in the log
    bool jumped = false;     // a snapshot took the place of entries that may have held it
  };
  struct Barrier {
    std::uint64_t number = 0;
    Instant ordered;
    std::uint64_t applied = 0;  // when it was ordered: the log's head cannot be lower
    std::vector<Read> reads;
    bool for_proposal = false;  // ordered after the outcome that it is to resolve
  };

  // Chunks --all stored--> Confirming --a majority reported its digest--> Manifest --stored-->
  // Rereading --it opens--> Older --one below it opens--> Trimming --> done
  struct SnapshotJob {
    enum class Phase : std::uint8_t {
      Chunks,
      Confirming,
      Manifest,
      Rereading,
      Older,
      Trimming
    } phase = Phase::Chunks;
    std::uint64_t index = 0;
    Hash32 digest{};
    std::vector<Bytes> chunks;
    Bytes manifest;
    std::size_t stored = 0;   // chunks
    std::uint64_t older = 0;  // Older: looked for up to here; Trimming: up to here
    std::size_t failures = 0;
    std::size_t judged = 0;   // Older: those that did not do
  };
  // Nothing is served and no entry applied meanwhile.
  struct Loading {
    std::uint64_t first = 0;           // the oldest entry that the log still holds
    std::vector<std::string> refused;  // snapshots that were looked at, and why not
    std::optional<Instant> again_at;   // none was fit
    bool for_tables = false;           // one that the tables go on from is looked for, at first
    std::size_t judged = 0;            // since the last rest
    std::uint64_t goes_on = 0;         // behind a rest: up to here; 0: it begins anew
  };
  // What the store was asked for last. An answer to anything else is dropped: the machine waits on.
  struct SnapshotOrder {
    std::uint64_t number = 0;
    enum class Kind : std::uint8_t { Write, Read } kind = Kind::Write;
    std::uint64_t at_most = 0;  // Read: no snapshot above is an answer
  };
  struct Loaded {
    std::uint64_t index = 0;
    Hash32 digest{};
  };

  LedgerConfig config;
  State state;
  Checkpoints checkpoints;
  History history;
  std::uint64_t applied = 0;

  bool started = false;
  bool stopped = false;
  bool draining = false;
  bool drained = false;
  std::optional<std::string> log_lost;
  bool log_full = false;  // the store took nothing: no space
  bool caught_up = false;  // applied what a barrier after the last loss showed
  std::optional<std::uint64_t> catch_up_to;
  std::uint64_t catch_up_barrier = 1;  // only this one and later ones count
  std::optional<LoadedTables> loaded;
  std::string stop_reason;
  std::string why_not = "starting";

  std::map<ConnectionId, Peer> peers;
  Instant next_heartbeat;

  CommandQueue queue;
  bool queue_moved = false;  // new commands or changed peers: something to forward
  std::optional<InFlight> in_flight;
  std::uint64_t next_batch = 1;
  std::uint64_t next_counter = 1;
  std::optional<wire::CommandId> genesis_proposed;
  bool end_of_run_proposed = false;
  std::map<wire::CommandId, std::vector<std::pair<ConnectionId, std::uint64_t>>> waiters;
  std::size_t waiting = 0;

  std::optional<SnapshotJob> job;
  std::optional<SnapshotJob> next_job;      // the newest that waits for the end of `job`
  std::optional<Loading> loading;
  std::optional<Loaded> unconfirmed;        // loaded, and no majority of the log speaks for it yet
  std::map<std::uint64_t, Hash32> confirmed;  // snapshot indices whose digest a majority reported
  std::optional<SnapshotOrder> order;       // the one that is waited for
  std::uint64_t next_order = 1;
  std::optional<Instant> snapshot_not_before;
  bool restored_tables = false;             // a snapshot that this life loaded went into them
  std::uint64_t log_first = 1;              // the oldest entry, as far as this replica was told
  std::uint64_t newest_snapshot = 0;
  // SHA-256 of the manifests of the last two that this life stored and opened; else zero.
  Hash32 newest_manifest{};
  Hash32 older_manifest{};
  std::uint64_t snapshot_bytes = 0;  // of the last one that was made or loaded
  std::uint64_t trimmed_to = 0;
  std::uint64_t snapshots_given_up = 0;
  Instant propose_not_before;

  std::vector<Read> arrived;  // wait for the next barrier
  std::optional<Barrier> barrier;
  std::deque<std::pair<std::uint64_t, std::vector<Read>>> due;  // by index, ascending
  std::size_t reads = 0;                                        // in arrived, barrier and due
  std::uint64_t next_barrier = 1;
  Instant barrier_not_before;
  Instant last_barrier;
  // Heads seen and not yet applied, with the time they were asked for; and the latest moment whose
  // whole log is applied here: what a replica knows is never newer than that.
  std::deque<std::pair<std::uint64_t, Instant>> heads;
  Instant fresh_at;
  std::uint64_t known_head = 0;
  std::uint64_t dropped = 0;
  std::uint64_t unrequested = 0;

  Instant now;
  Effects* out = nullptr;  // set while step() runs
};

}  // namespace roulette::ledger
