// The simulated host: signers, coordinators, replicas, log engine, disk, network, toy node; one
// thread, virtual time. Runs the real cores with real FROST shares, which cannot tell.
// Invariant: effects are executed in order; each is a numbered *place* of its process, which can be
// killed right before or after it, also around a journal's group commit. A restart has a new boot
// id, what the disk had taken, and nothing else. Passes when: story.h (clients), judge.h (checks).
// Known gaps: no torn or reordered disk writes, no wiped or rolled-back journals, no partitions of
// more than one link, no duplicated log, no damaged snapshot, kills at effects only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "chaos/plan/prng.h"
#include "chaos/sim/agenda.h"
#include "chaos/sim/judge.h"
#include "chaos/sim/probes.h"
#include "chaos/sim/remembered_scheme.h"
#include "chaos/sim/schedule.h"
#include "chaos/sim/sim_entropy.h"
#include "chaos/sim/toy_chain.h"
#include "chaos/sim/trace.h"
#include "chaos/sim/wallet.h"

namespace roulette::sim {

inline constexpr std::uint64_t kCodecEvery = 16;  // messages that travel as real bytes
inline constexpr Duration kUnixEpoch = seconds(1'700'000'000);  // the clients' wall clock at zero

struct Place {
  Role role{};
  const char* effect = "";
  const char* subject = "";
  [[nodiscard]] std::string text() const;
  // Heartbeats, pings and polls: most places by number, the least by consequence.
  [[nodiscard]] bool chatter() const;
  [[nodiscard]] bool is(std::string_view point) const;  // "send.partial_signature"
};

// What a broken host or peer would do; set by tests that show a check biting, by nobody else.
struct Plants {
  std::set<std::uint16_t> lying_disks;                    // signers: "durable" before the commit
  std::function<bool(ProcessName from, ProcessName to, const wire::Message&)> lose;
  std::function<bool(const coordinator::SendTransaction&)> swallow_send;  // "accepted", not done
};


using Answered = std::function<void(std::optional<coordinator::ReplyBody>)>;  // nothing: no answer

class World {
 public:
  World(WorldOptions options, const std::vector<Fault>& faults, Plants plants = {});
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // ---- faults; each says whether it happened ----
  bool strike(ProcessName victim, Blow blow, Duration down);  // not when the budget is used up
  // Kills it; all its durable records but the first `kept` are gone when it comes back: a disk that
  // was put back to an old state, or wiped (0). It should quarantine itself (DESIGN 6.8).
  bool take_records(std::uint16_t signer, std::size_t kept, Duration down);
  bool cut_link(ProcessName a, ProcessName b);            // what is under way is lost
  bool lose_log(std::uint16_t replica, Duration down);
  bool kill_node(Duration down);
  void pause_node(Duration down);                         // it answers late, and mines nothing
  void let_mine(bool yes) { mining_ = yes; }

  // ---- clients ----
  // Calls back once: with the reply, or without when the coordinator was not there, died, or was
  // silent for `patience`.
  void ask(std::uint16_t coordinator, coordinator::ClientRequestBody body, Duration patience,
           Answered answered);

  // ---- what happened ----
  Agenda agenda;
  Trace trace;
  Probes probes;
  // All are up and current, and every withdrawal is settled or rejected.
  [[nodiscard]] bool finished() const;
  // Also at the node's tip.
  [[nodiscard]] bool at_rest() const;
  [[nodiscard]] Records records() const;                  // all but the clients' part
  [[nodiscard]] const std::map<ProcessName, std::vector<Place>>& places() const { return places_; }
  [[nodiscard]] Duration slowest_signing() const;         // template applied to bytes applied
  struct Counts {
    std::size_t kills = 0;
    std::size_t stops = 0;
    std::size_t late_stops = 0;                           // not drained within the grace
    std::size_t pauses = 0;
    std::size_t skipped_strikes = 0;                      // over the budget
    std::size_t node_kills = 0;
    std::size_t unmined_blocks = 0;
    std::size_t unmined_payments = 0;
    std::size_t cut_links = 0;
    std::size_t unknown_proposals = 0;
    std::size_t snapshots = 0;                            // complete ones
    std::size_t trims = 0;
    std::size_t snapshots_loaded = 0;
    std::size_t stale_behind_trim = 0;                    // proposals for an index that was trimmed
    std::size_t encoded_messages = 0;
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] const std::vector<std::string>& struck_at() const { return struck_at_; }
  // The next draw of every source: two runs that end alike have drawn equally often.
  [[nodiscard]] std::uint64_t unseed();

 private:
  struct Link;
  struct Seat {                                           // one process
    ProcessName name;
    bool up = false;
    std::uint64_t life = 0;
    std::uint64_t place = 0;
    std::uint64_t deed = 0;
    bool paused = false;
    std::optional<Duration> stopping;                     // how long it stays down then
    std::vector<std::function<void()>> held;              // what happens when it goes on
    BootId boot;
    struct Armed {
      Fault fault;
      std::uint64_t passes = 0;                           // of its point
    };
    std::vector<Armed> armed;
    std::optional<Instant> alarm;
    std::size_t idle_alarms = 0;
    std::map<ConnectionId, std::shared_ptr<Link>> links;
    std::unique_ptr<SimEntropy> entropy;
  };
  struct SignerSeat : Seat {
    std::optional<signer::Signer> machine;
    std::vector<signer::Record> durable;
    std::vector<signer::Record> waiting;
    std::vector<signer::Record> taken;                    // by take_records(), for the judge
    bool committing = false;
    bool quarantined = false;                             // by its own word, in this life
    bool checked = false;                                 // its journal was compared, likewise
  };
  struct CoordinatorSeat : Seat {
    std::optional<coordinator::Coordinator> machine;
    std::map<coordinator::RequestId, Answered> open;
  };
  struct LedgerSeat : Seat {
    std::optional<ledger::Ledger> machine;
    std::uint64_t delivered = 0;
    bool watching = false;
    bool fetching = false;
    bool behind = false;                                  // the trim: waits for FollowLog
    std::uint64_t subscription = 0;                       // entries of an older one never arrive
    bool ready = false;
    std::optional<ledger::LoadedTables> tables;
  };
  struct Link {
    Seat* ends[2];
    ConnectionId ids[2];
    bool open[2]{true, true};                             // false: that end is told or gone
    Instant last[2];                                      // delivery to that end, so far
  };

  // world.cpp: processes, places, network
  template <class F>
  void with(Seat& seat, F&& f);
  template <class SeatType, class Event>
  void step(SeatType& seat, const Event& event);
  template <class SeatType, class Effects>
  void run_effects(SeatType& seat, const std::shared_ptr<Effects>& effects, std::size_t from);
  template <class SeatType>
  void set_alarm(SeatType& seat);
  bool at_place(Seat& seat, const char* effect, const char* subject,
                const std::function<void()>& execute);
  // The strike that is due at this place, before or after its effect.
  [[nodiscard]] const Fault* armed(Seat& seat, const Place& place, bool after);
  void start(SignerSeat& seat);
  void start(CoordinatorSeat& seat);
  void start(LedgerSeat& seat);
  void boot(Seat& seat);
  void die(Seat& seat, Duration down);
  void pause(Seat& seat, Duration down);
  void resume(Seat& seat);
  void stop(Seat& seat, Duration down);
  void drained(Seat& seat);
  void when_running(Seat& seat, std::function<void()> action);
  [[nodiscard]] bool within_budget(Role role) const;
  [[nodiscard]] Seat* find_seat(ProcessName name);  // null: not of this shape
  [[nodiscard]] std::vector<Seat*> peers_of(const Seat& seat);
  void connect_later(Seat& a, Seat& b, Duration delay);
  void connect(Seat& a, Seat& b);
  void close_end(const std::shared_ptr<Link>& link, std::size_t end, Duration delay);
  void send(Seat& from, ConnectionId connection, const wire::Message& message);
  [[nodiscard]] wire::Message travel(const wire::Message& message);
  [[nodiscard]] Duration draw(const Range& range);

  // world_engines.cpp: what each effect does, and the disk, the log and the node behind it
  void execute(SignerSeat& seat, const signer::Effect& effect);
  void execute(CoordinatorSeat& seat, const coordinator::Effect& effect);
  void execute(LedgerSeat& seat, const ledger::Effect& effect);
  void commit(SignerSeat& seat);
  void propose(LedgerSeat& seat, const ledger::Propose& order);
  void read_barrier(LedgerSeat& seat, const ledger::ReadBarrier& order);
  void append(const std::vector<wire::Command>& commands);
  void fetch(LedgerSeat& seat);
  void store(LedgerSeat& seat, std::uint64_t order, std::function<bool()> action);
  void store_chunk(LedgerSeat& seat, const ledger::StoreChunk& order);
  void store_manifest(LedgerSeat& seat, const ledger::StoreManifest& order);
  void read_snapshot(LedgerSeat& seat, const ledger::ReadSnapshot& order);
  void trim_log(LedgerSeat& seat, const ledger::TrimLog& order);
  void follow_log(LedgerSeat& seat, std::uint64_t after);
  void restore_tables(LedgerSeat& seat, const ledger::RestoreTables& order);
  void call_node(CoordinatorSeat& seat, const coordinator::NodeCall& call);
  [[nodiscard]] coordinator::NodeAnswerBody node_answer(const coordinator::NodeCallBody& body);
  void note_fact(const coordinator::Fact& fact);
  void mine_later();
  // Restores a second signer from the records, as a restart would.
  [[nodiscard]] Hash32 replayed_digest(std::uint16_t signer, BootId boot,
                                       std::span<const signer::Record> records) const;

  WorldOptions options_;
  const Wallet& wallet_;
  RememberedScheme scheme_;
  Plants plants_;
  chaos::Prng prng_;
  wire::Genesis genesis_;
  std::vector<SignerSeat> signers_;
  std::vector<CoordinatorSeat> coordinators_;
  std::vector<LedgerSeat> ledgers_;
  // The whole log, for the judge; replicas get nothing of it up to trimmed_.
  std::vector<std::vector<wire::Command>> log_;
  std::uint64_t trimmed_ = 0;
  struct Kept {                                           // under one index of the log's store
    std::map<std::uint32_t, Bytes> chunks;
    std::optional<Bytes> manifest;
  };
  std::map<std::uint64_t, Kept> snapshots_;
  std::unique_ptr<ToyChain> chain_;
  bool node_up_ = true;
  Instant node_resumes_;
  bool mining_ = true;
  std::uint64_t next_connection_ = 1;
  std::uint64_t next_request_ = 1;
  std::uint64_t messages_ = 0;
  struct Progress {
    std::optional<Instant> planned;                       // when the first replica applied it
    std::optional<Instant> signed_at;
  };
  std::map<WithdrawalId, Progress> progress_;
  std::map<ProcessName, std::vector<Place>> places_;
  std::vector<std::string> struck_at_;
  std::vector<ShareSeen> shares_seen_;
  std::vector<coordinator::SendTransaction> broadcasts_;
  std::vector<std::string> incidents_;
  Counts counts_;
};

}  // namespace roulette::sim
