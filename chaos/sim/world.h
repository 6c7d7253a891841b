// The simulated host: signers, coordinators, replicas, log engine, disk, network, toy node; one
// thread, virtual time. Runs the real cores with real FROST shares, which cannot tell.
// Invariant: effects are executed in order; each is a numbered *place* of its process, which can be
// killed right before or after it, also around a journal's group commit. A restart has a new boot
// id, what the disk had taken, and nothing else. Passes when: story.h (clients), judge.h (checks).
// Known gaps: no members of etcd one by one, no full socket buffers, no fee
// market, kills at effects only. Each file says what it leaves out.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "chaos/plan/prng.h"
#include "chaos/sim/agenda.h"
#include "chaos/sim/fifo.h"
#include "chaos/sim/judge.h"
#include "chaos/sim/probes.h"
#include "chaos/sim/remembered_scheme.h"
#include "chaos/sim/token_share.h"
#include "chaos/sim/schedule.h"
#include "chaos/sim/sim_entropy.h"
#include "chaos/sim/stocked_wallet.h"
#include "chaos/sim/toy_chain.h"
#include "chaos/sim/trace.h"
#include "common/base/assert.h"

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

  // Says whether it happened: not when the budget is used up or nobody is there to be hit.
  bool inject(const Fault& fault);
  void disarm();                                          // no strike at a place from here on
  void let_mine(bool yes) { mining_ = yes; }

  // ---- clients ----
  // What a client sends with its request; nothing where clients need not sign.
  [[nodiscard]] std::optional<wire::ClientSignature> client_signature(
      const wire::PaymentRequest& request) const;
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
  // Every signer holds what the books keep of its journal, or is quarantined.
  [[nodiscard]] bool stand_as_kept() const;
  [[nodiscard]] Records records() const;                  // all but the clients' part
  [[nodiscard]] std::map<ProcessName, std::vector<Place>> take_places();
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
    std::size_t half_open = 0;
    std::size_t partitions = 0;
    std::size_t windows = 0;                              // all faults that last, partitions too
    std::size_t lost_logs = 0;
    std::size_t lost_replies = 0;
    std::size_t retired = 0;
    std::size_t disk_faults = 0;                          // power losses, roll-backs, wipes
    std::size_t moves = 0;                                // to a new share epoch
    std::size_t failed_commits = 0;
    std::size_t node_faults = 0;                          // but kills
    std::size_t unknown_proposals = 0;
    std::size_t lies = 0;                                 // of signers
    std::size_t attacks = 0;                              // of coordinators
    std::size_t altered = 0;                              // replicas
    std::size_t snapshots = 0;                            // complete ones
    std::size_t trims = 0;                                // by replicas
    std::size_t forced_trims = 0;                         // by faults
    std::size_t damaged_snapshots = 0;
    std::size_t snapshots_loaded = 0;
    std::size_t stale_behind_trim = 0;                    // proposals for an index that was trimmed
    std::size_t encoded_messages = 0;
    [[nodiscard]] std::size_t faults() const {
      return kills + stops + pauses + node_kills + cut_links + half_open + windows + lost_logs +
             disk_faults + moves + node_faults + unknown_proposals + forced_trims +
             damaged_snapshots;
    }
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
    std::vector<Place> places;                            // all that it passed
    bool paused = false;
    bool retired = false;                                 // down for good
    bool kept_down = false;                               // by the operator, for a while
    std::uint32_t share_epoch = 1;                        // of its configuration
    int weak = 0;                                         // faults that make it as good as down
    std::optional<Duration> stopping;                     // how long it stays down then
    Instant stop_asked;
    std::vector<std::function<void()>> held;              // what happens when it goes on
    BootId boot;
    struct Armed {
      Fault fault;
      std::uint64_t passes = 0;                           // of its point
    };
    std::vector<Armed> armed;
    std::optional<Instant> alarm;
    std::optional<Instant> due;  // the machine's next deadline, as of its last step
    std::size_t idle_alarms = 0;
    std::map<ConnectionId, std::shared_ptr<Link>> links;
    std::unique_ptr<SimEntropy> entropy;
  };
  struct SignerSeat : Seat {
    std::optional<signer::Signer> machine;
    std::vector<signer::Record> durable;
    std::vector<signer::Record> waiting;
    std::vector<signer::Record> taken;                // durable once, then taken by a roll-back
    std::vector<signer::Record> superseded;           // of journals before the one founded anew
    std::set<Hash32> known_at_founding;               // transactions that it was founded with
    bool committing = false;
    bool quarantined = false;                             // by its own word, in this life
    bool checked = false;                                 // its journal was compared, likewise
    std::shared_ptr<SimToken> token;                      // only where some token may be away
    std::set<Hash32> released;                            // sessions whose share left
  };
  struct Ask {                                            // a client's request
    Answered answered;
    coordinator::RequestId request;
    bool done = false;
    void end(const std::optional<coordinator::ReplyBody>& reply) {
      done = true;
      answered(reply);
    }
  };
  struct CoordinatorSeat : Seat {
    std::optional<coordinator::Coordinator> machine;
    bool quorate = false;                                 // as it last said
    std::map<coordinator::RequestId, std::shared_ptr<Ask>> open;
  };
  struct LedgerSeat : Seat {
    std::optional<ledger::Ledger> machine;
    std::uint64_t delivered = 0;
    bool watching = false;
    bool fetching = false;
    bool behind = false;                                  // the trim: waits for FollowLog
    std::uint64_t subscription = 0;                       // entries of an older one never arrive
    bool ready = false;
    enum class Altered { No, Next, Memory, Disk };        // Disk: its tables only, until it starts
    std::optional<std::size_t> clean_tables;              // those written before it was altered
    Altered altered = Altered::No;                        // what it applied is not the log's
    Instant follows_from;                                 // the first page's arrival
    bool log_lost = false;                                // by a fault of its own
    struct Row {
      std::uint64_t index = 0;
      Hash32 digest{};
    };
    std::vector<Row> tables;                              // digests by index, ascending
    std::set<std::uint64_t> read_whole;                   // snapshots, in this life, when last read
    bool read_damaged = false;                            // one, and not started from another yet
  };
  struct Link {                                           // one TCP connection
    Seat* ends[2];                                        // the first one called
    ConnectionId ids[2];
    bool open[2]{true, true};                             // false: that end is told or gone
    struct Item {
      Instant due;
      std::optional<wire::Message> message;               // nothing: the connection's end
    };
    struct Way {                                          // to that end
      Fifo<Item> under_way;
      Instant last;                                       // when the last one is due
      Instant silent_until;                               // nothing arrives before
      bool ended = false;
    };
    Way ways[2];
  };
  struct Window {
    Fault fault;
    Instant over;
    std::uint64_t number = 0;
  };

  // world.cpp: processes and places
  template <class F>
  void with(Seat& seat, F&& f);
  template <class SeatType, class Event>
  void step(SeatType& seat, const Event& event);
  template <class SeatType, class Effects>
  void run_effects(SeatType& seat, Effects& effects, std::size_t from);
  signer::Effects& spare_effects(const SignerSeat&) { return signer_effects_; }
  coordinator::Effects& spare_effects(const CoordinatorSeat&) { return coordinator_effects_; }
  ledger::Effects& spare_effects(const LedgerSeat&) { return ledger_effects_; }
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
  [[nodiscard]] Seat* find_seat(ProcessName name);  // null: not of this shape

  // world_faults.cpp
  [[nodiscard]] bool within_budget(Role role) const;
  [[nodiscard]] bool may_strike(const Seat& seat);        // counts what it forbids
  [[nodiscard]] static bool weakens(FaultKind kind);
  [[nodiscard]] const Window* window(FaultKind kind) const;
  [[nodiscard]] const Window* window(FaultKind kind, ProcessName of) const;
  [[nodiscard]] bool dice(const Window* window);          // `amount` in 1000; no window: never
  void open_window(const Fault& fault);
  void close_window(std::uint64_t number);
  bool part(const Fault& fault);
  bool take_token(const Fault& fault);
  void return_token(SignerSeat& seat);
  bool strike(ProcessName victim, Blow blow, Duration down);
  bool retire(ProcessName victim);
  bool kill_all(const ProcessSet& group, Duration down);
  bool lose_power(Seat& seat, Duration down);
  bool lose_disk(Seat& seat, const Fault& fault);
  [[nodiscard]] bool may_lose(const SignerSeat& signer) const;

  // world_operator.cpp: provisioning again
  struct Move;                                            // to a new share epoch
  bool reprovision(const Fault& fault);
  void stop_for_move(const std::shared_ptr<Move>& move);
  void stand_by(const std::shared_ptr<Move>& move);
  void move_now(const Move& move);
  [[nodiscard]] std::vector<signer::Record> found_again(const SignerSeat& lost) const;
  void start_after_move(const Move& move);
  void catch_up(Seat& laggard);
  [[nodiscard]] const Wallet& wallet(std::uint32_t share_epoch);

  // world_network.cpp
  [[nodiscard]] Duration draw(const Range& range);
  [[nodiscard]] Duration hop(ProcessName from, ProcessName to);
  [[nodiscard]] std::optional<Instant> blocked(ProcessName from, ProcessName to) const;
  void call_peers(Seat& seat, Duration delay);            // both ways
  void dial_later(Seat& from, Seat& to, Duration delay);
  void dial(Seat& from, Seat& to);
  void send(Seat& from, ConnectionId connection, wire::Message&& message);
  [[nodiscard]] wire::Message travel(wire::Message&& message);
  void put(const std::shared_ptr<Link>& link, std::size_t to, std::optional<wire::Message> message,
           Duration delay);
  void carry(const std::shared_ptr<Link>& link, std::size_t to, Instant when);
  void arrive(const std::shared_ptr<Link>& link, std::size_t to);
  void lose_end(const std::shared_ptr<Link>& link, std::size_t end);
  void cut_short(const std::shared_ptr<Link>& link, std::size_t end);
  void leave_links(Seat& seat);
  bool cut_link(ProcessName from, ProcessName to);
  bool half_open(ProcessName a, ProcessName b, Duration down);
  [[nodiscard]] std::shared_ptr<Link> find_link(ProcessName a, ProcessName b);

  // world_disk.cpp: signers' effects
  void execute(SignerSeat& seat, signer::Effect& effect);
  void commit(SignerSeat& seat);
  void write(SignerSeat& seat);

  // world_node.cpp: coordinators' effects, the node, the clients' connections
  void execute(CoordinatorSeat& seat, coordinator::Effect& effect);
  void note_fact(CoordinatorSeat& seat, const coordinator::Fact& fact);
  void note_signer_gone(const Seat& seat, const Seat& peer);
  void note_heard(const CoordinatorSeat& seat, ProcessName from, const wire::Message& message);
  void call_node(CoordinatorSeat& seat, const coordinator::NodeCall& call);
  [[nodiscard]] coordinator::NodeAnswerBody node_answer(ToyChain& chain,
                                                        const coordinator::NodeCallBody& body);
  [[nodiscard]] Duration node_delay();
  [[nodiscard]] ToyChain& chain_of(std::uint16_t coordinator);
  void mine_later();
  bool kill_node(Duration down);
  void pause_node(Duration down);
  bool split_node(const Fault& fault);
  void join_node(std::uint16_t coordinator);
  void end_later(const CoordinatorSeat& seat, const std::shared_ptr<Ask>& ask,
                 std::optional<coordinator::ReplyBody> reply);

  // world_log.cpp: replicas' effects, the log
  void execute(LedgerSeat& seat, ledger::Effect& effect);
  void write_tables(LedgerSeat& seat, const ledger::WriteTables& order);
  void propose(LedgerSeat& seat, const ledger::Propose& order);
  void read_barrier(LedgerSeat& seat, const ledger::ReadBarrier& order);
  void note_unknown(const std::vector<wire::Command>& commands);
  void append(const std::vector<wire::Command>& commands);
  void fetch(LedgerSeat& seat);
  void miss_log(LedgerSeat& seat);
  void recover_log(LedgerSeat& seat);
  void restore_log(LedgerSeat& seat);
  bool lose_log(std::uint16_t replica, Duration down);

  // world_store.cpp: snapshots and trims in the log's store
  void store(LedgerSeat& seat, std::uint64_t order, std::function<bool()> action);
  void store_chunk(LedgerSeat& seat, const ledger::StoreChunk& order);
  void store_manifest(LedgerSeat& seat, const ledger::StoreManifest& order);
  void read_snapshot(LedgerSeat& seat, const ledger::ReadSnapshot& order);
  void trim_log(LedgerSeat& seat, const ledger::TrimLog& order);
  void follow_log(LedgerSeat& seat, std::uint64_t after);
  void restore_tables(LedgerSeat& seat, const ledger::RestoreTables& order);
  void trim_to(std::uint64_t index);
  bool force_trim();
  bool damage_snapshot(const Fault& fault);
  [[nodiscard]] bool whole(std::uint64_t index) const;
  [[nodiscard]] bool spoken_for(std::uint64_t index, const std::optional<Hash32>& digest) const;
  void replace_state(std::uint64_t index);
  void note_due_snapshot();
  void disturb_replicas();
  [[nodiscard]] bool snapshots_follow() const;
  bool wipe_replicas(Duration down);

  // world_adversaries.cpp
  [[nodiscard]] std::optional<wire::Message> lie(const Seat& seat, const wire::Message& told);
  void overhear(const Link& link, std::size_t to, const wire::Message& message);
  void overhear_request(ProcessName from, const wire::SignRequest& request);
  void attack_later(std::uint64_t window);
  void attack(CoordinatorSeat& seat, std::uint32_t amount);
  void attack_across_epochs(CoordinatorSeat& liar, std::uint16_t target, wire::SignRequest request);
  [[nodiscard]] std::vector<std::uint16_t> bound_to(const wire::SignRequest& request) const;
  [[nodiscard]] bool consumed(std::uint16_t signer, const wire::SignRequest& request) const;
  bool renew_nonces(wire::SignRequest& request, std::uint16_t target, std::uint16_t whose);
  bool twist(wire::SignRequest& request, CoordinatorLie as);
  void twist_unrequested(wire::SignRequest& request, bitcoin::Transaction& tx);
  void tell(CoordinatorSeat& liar, ProcessName to, wire::Message message, Duration delay);
  void hurry(const SignerSeat& signer, const signer::Record& record);
  void forge(const wire::SignRequest& request);
  void forbid(const wire::SignRequest& request, std::uint16_t signer);
  [[nodiscard]] std::optional<Hash32> digest_of(const wire::SignRequest& request) const;
  bool alter_replica(Seat& seat);
  [[nodiscard]] std::size_t spare_replicas() const;
  [[nodiscard]] std::vector<wire::Command> altered(LedgerSeat& seat,
                                                   std::vector<wire::Command> commands);
  void diverged(LedgerSeat& seat, const std::string& reason);
  void forget_altered(LedgerSeat& seat);

  // world_end.cpp
  void watch_limits();
  void note_unsent_share(const SignerSeat& seat);
  [[nodiscard]] std::vector<SnapshotRecord> stored_snapshots() const;
  void replay_log(std::map<std::uint64_t, Hash32>& digests) const;
  void watch_limit(const char* name, std::size_t value, std::size_t bound);
  // Restores a second signer from the records, as a restart would.
  [[nodiscard]] Hash32 replayed_digest(std::uint16_t signer, BootId boot,
                                       std::span<const signer::Record> records) const;

  WorldOptions options_;
  std::shared_ptr<DrawnNonces> drawn_nonces_;
  std::map<std::uint32_t, Wallet> wallets_;               // by share epoch
  std::uint32_t share_epoch_ = 1;                         // in force
  bool moving_ = false;                                   // to the next one
  RememberedScheme scheme_;
  Plants plants_;
  chaos::Prng prng_;
  wire::Genesis genesis_;
  std::shared_ptr<const wire::ClientList> clients_;  // nothing: nobody has to sign
  std::vector<SignerSeat> signers_;
  std::vector<CoordinatorSeat> coordinators_;
  std::vector<LedgerSeat> ledgers_;
  // The whole log, for the judge; replicas get nothing of it up to trimmed_.
  std::vector<std::vector<wire::Command>> log_;
  std::vector<Instant> appended_at_;                      // by entry
  std::uint64_t appended_ = 0;
  std::set<WithdrawalId> withdraws_;                      // in the log
  std::set<WithdrawalId> unknown_withdraws_;              // whose proposal ended Unknown
  std::uint64_t trimmed_ = 0;
  struct Kept {                                           // under one index of the log's store
    std::map<std::uint32_t, Bytes> chunks;
    std::optional<Bytes> manifest;
    std::optional<SnapshotDamage> damage;                 // by a fault
  };
  std::map<std::uint64_t, Kept> snapshots_;
  std::optional<std::pair<std::uint64_t, Bytes>> trimmed_manifest_;  // the last one
  std::vector<StoreOrder> store_orders_;
  bool healed_ = false;                                   // no fault begins from here on
  std::vector<std::uint64_t> snapshots_due_;              // indices passed since replicas are calm
  std::set<std::uint16_t> wiped_together_;                // and not started from a snapshot yet
  std::vector<Window> windows_;                           // what goes wrong now
  std::uint64_t window_numbers_ = 0;
  std::unique_ptr<ToyChain> chain_;
  std::vector<std::unique_ptr<ToyChain>> splits_;         // by coordinator: a node of its own
  std::vector<bool> forks_;                               // that mines
  std::set<Hash32> unmined_;                              // txids that left with their blocks
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
  std::vector<std::string> struck_at_;
  std::vector<ShareSeen> shares_seen_;
  std::map<WithdrawalId, std::set<Hash32>> templates_;    // that any replica ever applied
  std::vector<CoordinatorNote> notes_;
  using CoordinatorLife = std::pair<std::uint16_t, std::uint64_t>;
  std::map<std::pair<CoordinatorLife, std::uint16_t>, BootId> boots_heard_;  // of that signer
  std::set<std::pair<CoordinatorLife, WithdrawalId>> signatures_heard_;
  std::vector<std::string> unfinished_stops_;
  std::vector<coordinator::SendTransaction> broadcasts_;
  std::set<std::uint16_t> liars_;                         // signers that lied at any time
  struct Overheard {
    BootId epoch;
    std::vector<wire::PubNonce> nonces;
  };
  bool overhears_ = false;                                // a coordinator will lie
  std::map<std::pair<std::uint16_t, std::uint16_t>, Overheard> nonces_heard_;
  std::deque<std::pair<ProcessName, wire::SignRequest>> requests_heard_;
  std::set<std::pair<Hash32, std::vector<wire::PartialSignature>>> bad_shares_;  // by liars
  std::vector<SessionSigned> signed_;                     // as records became durable
  using Asked = std::pair<Hash32, std::size_t>;           // a session, and the signer asked
  std::set<Asked> tolerated_;                             // mixtures with a nonce that was fresh
  std::set<Asked> forbidden_;                             // what that signer may not sign
  std::map<Hash32, ProcessName> aggregated_by_;           // who was first
  std::map<std::tuple<std::uint16_t, std::uint64_t, WithdrawalId>, std::size_t> sessions_;
  std::size_t most_sessions_ = 0;                         // of one life for one withdrawal
  std::vector<Limit> limits_;
  std::vector<std::string> incidents_;
  signer::Effects signer_effects_;                        // empty, with their memory
  coordinator::Effects coordinator_effects_;
  ledger::Effects ledger_effects_;
  Counts counts_;
};

template <class F>
void World::with(Seat& seat, F&& f) {
  switch (seat.name.role) {
    case Role::Signer: return f(static_cast<SignerSeat&>(seat));
    case Role::Coordinator: return f(static_cast<CoordinatorSeat&>(seat));
    case Role::Ledger: return f(static_cast<LedgerSeat&>(seat));
    case Role::Etcd:
    case Role::Bitcoind:
    case Role::Tool: break;
  }
  ROULETTE_ASSERT(!"a process that the simulator does not run");
}

}  // namespace roulette::sim
