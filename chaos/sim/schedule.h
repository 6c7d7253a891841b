// One run of the simulator as pure data: the cluster's shape, its weather, its clients, and the
// list of everything that goes wrong.
//
// Invariant: a schedule decides a run completely: equal schedules give equal traces. Every fault is
// one element of one list, which may be removed without touching the others (so that a failing
// schedule can be shrunk), and every field has one spelling in the text form. Says nothing about
// how a fault is done: world.h and its files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/time.h"

namespace roulette::sim {

struct Range {
  Duration low;
  Duration high;
  friend bool operator==(const Range&, const Range&) = default;
};

enum class SimScheme : std::uint8_t {
  Frost,    // what the daemons run unless they are told otherwise
  StandIn,  // stand_in.h: its algebra over a small field, for breadth
  FrostTr,  // these as in crypto/schemes.h
  Musig2,
  Single,
  Hsm  // with a key in memory where the daemons have a token (soft_ecdsa.h)
};
[[nodiscard]] const char* scheme_name(SimScheme scheme);  // "frost", "stand-in", "frost-tr", ...
[[nodiscard]] std::optional<SimScheme> scheme_named(std::string_view name);
[[nodiscard]] std::string scheme_list();  // "frost, stand-in, ...", for messages

// Log indices. A story has a few dozen entries: it must see more than one of these.
inline constexpr std::uint64_t kCheckpointEvery = 8;

struct Shape {
  std::uint16_t signers = 5;
  std::uint16_t threshold = 3;  // 2t > n; all of them where the scheme wants that
  std::uint16_t coordinators = 2;
  std::uint16_t ledgers = 3;
  std::uint32_t nonce_pool = 4;  // public nonces a coordinator keeps ready per signer
  friend bool operator==(const Shape&, const Shape&) = default;
};

// What is slow, and how slow, when nothing goes wrong.
struct WorldOptions {
  std::uint64_t seed = 1;  // of every draw while the run lasts
  SimScheme scheme = SimScheme::Frost;
  Shape shape;
  Range hop{microseconds(200), microseconds(400)};   // one message, one way
  Range disk{microseconds(200), microseconds(600)};  // a group commit
  Range engine{milliseconds(1), milliseconds(3)};    // the log: proposals, barriers, entries
  Range node{microseconds(300), microseconds(900)};  // the node's RPC, one way
  std::uint32_t spread = 1;      // each pair of processes has a factor 1..spread on its hops
  std::uint32_t late_per_mille = 0;  // of messages come late: a segment was lost
  Duration block_interval = seconds(1);
  std::size_t flush_every = 3;          // blocks; a node kill loses fewer
  std::uint32_t unknown_per_mille = 0;  // of proposals end Unknown
  std::uint64_t snapshot_interval = 16;  // log indices, of kCheckpointEvery a multiple; 0: never
  std::size_t snapshot_chunk_bytes = 1024;
  bool over_budget = false;             // any number may be down at once
  bool clients_sign = false;  // signers and coordinators hold a list of clients (client_list.h)
  std::uint32_t pace = 1;  // heartbeats, pings and the silences they are judged by take this longer
  friend bool operator==(const WorldOptions&, const WorldOptions&) = default;
};

enum class Blow : std::uint8_t {
  Kill,  // SIGKILL; starts again `down` later
  Stop,  // SIGTERM: drains, exits, starts again `down` later
  Pause  // SIGSTOP, also in the middle of a step; SIGCONT `down` later
};

// `a`, `b`, ... are the fault's fields. "for `down`": from `at` on, then it is over by itself.
enum class FaultKind : std::uint8_t {
  // Processes.
  StrikePlace,  // `blow` to `a` at its place number `place`, which is counted over all its lives
  Strike,       // `blow` to `a` at time `at`
  Retire,       // SIGKILL, and `a` never comes back
  KillAll,      // SIGKILL to all of `group` (empty: to all) in one instant; back after `down`
  // Disks of signers and replicas.
  PowerLoss,    // `a` dies; of what was not synced a drawn part survives, a transaction whole
  FullDisk,     // commits of `a` fail for `down`; a failed commit ends the process
  RollBack,     // `a` dies and starts again with the first `amount` records its disk took
  Wipe,         // `a` dies and starts again with an empty disk
  Reprovision,  // the operator stops signers and coordinators with `blow`, provisions who lost its
                // journal under a new share epoch, and starts them `down` later; `b` lags: it goes
                // by the old epoch for `amount` ms more
  WipeReplicas, // all replicas die and start again with empty disks, over the budget only
  // Network.
  CutLink,      // the connection of `a` and `b` is reset: of what is under way a prefix arrives
  HalfOpen,     // `a` sees its connection to `b` end, `b` thinks it open for `down`
  Partition,    // `group` | everybody else for `down`; `one_way`: only what `group` sends is held
  SlowLink,     // all messages from and to `a` take `amount` times as long for `down`
  LoseReplies,  // `amount` per mille of the answers of coordinator `a` to clients, for `down`
  // The ordered log.
  LoseLog,      // replica `a`'s subscription breaks, for `down`
  LagLog,       // entries come `amount` ms later to replica `a`, for `down`
  NoLeader,     // no proposal and no barrier is answered for `down`; `amount` per mille stand later
  BlurLog,      // `amount` per mille of proposals end Unknown for `down`, done or not
  Trim,         // all entries up to the newest complete snapshot go, and the older snapshots
  DamageSnapshot,  // the complete snapshot `place` below the newest, as `amount` says
                   // (SnapshotDamage), while the log reaches to another one that is whole
  // The node.
  KillNode,     // SIGKILL: mempool and unflushed blocks are gone; starts again `down` later
  PauseNode,    // answers `down` later, and mines nothing meanwhile
  LoseMempool,  // what was not mined yet is taken
  SlowNode,     // its answers take `amount` times as long for `down`
  HangNode,     // takes calls and never answers them, for `down`
  RefuseSends,  // every transaction: `amount` 0 fee too low, 1 inputs missing, 2 conflict, 3 other
  SplitNode,    // coordinator `a` has another node for `down`: it lags, or (`amount` 1) forks
  // Parties that lie. What honest ones must do then: refuse, blame, stop; and settle all the same.
  BadSigner,    // `a` lies as `amount` says (SignerLie) for `down`, then starts anew
  BadCoordinator,  // `a` asks signers or the ledger for what they must refuse (CoordinatorLie)
  AlterReplica,    // the next withdrawal that replica `a` applies is not the one of the log
  // Keys.
  TokenAway,       // the token of signer `a` signs nothing for `down`
  Count
};
enum class SignerLie : std::uint8_t {
  WrongShare, NoScalar, OneShareMore, NoPoints, NoncesTwice, RefusesAll, AnotherSession, Silent,
  Count
};
inline constexpr std::uint32_t kSignerLies = static_cast<std::uint32_t>(SignerLie::Count);
enum class CoordinatorLie : std::uint8_t {
  AnotherPayee, AnotherAmount, HighFee, WrongChange, ThirdOutput, AmountsLie, PrevoutsLie,
  AnotherWithdrawal, PayloadLie, Annexed,             // other bytes for what is bound already
  Replay, Mixed, NoncesOfOthers, Disordered,          // the right bytes with wrong nonces
  Hurried,            // another payee, while the right one's record is not durable yet
  ForgedSignature,    // to the ledger: "signed", as soon as anybody asks a signer
  Unrequested,        // a payment that no client asked for, where clients sign
  OtherCoins,         // for a withdrawal that is bound already: part of AnotherWithdrawal
  Count
};
inline constexpr std::uint32_t kCoordinatorLies = static_cast<std::uint32_t>(CoordinatorLie::Count);
inline constexpr std::size_t kFaultKinds = static_cast<std::size_t>(FaultKind::Count);

enum class SnapshotDamage : std::uint8_t {
  FlippedChunk, MissingChunk, FlippedManifest,  // what lies there no longer fits itself
  AnotherState,   // whole, with a manifest that fits, and not what the log says
  StaleManifest,  // of a snapshot that was trimmed: its manifest again, without its chunks
  Count
};
inline constexpr std::uint32_t kSnapshotDamages = static_cast<std::uint32_t>(SnapshotDamage::Count);

// Any processes of a cluster, the log ("etcd-0"), nodes ("bitcoind-N") and clients ("tool-0").
class ProcessSet {
 public:
  void insert(ProcessName name) { bits_ |= bit(name); }
  [[nodiscard]] bool contains(ProcessName name) const { return (bits_ & bit(name)) != 0; }
  [[nodiscard]] bool empty() const { return bits_ == 0; }
  friend bool operator==(const ProcessSet&, const ProcessSet&) = default;

 private:
  static std::uint64_t bit(ProcessName name) {
    return std::uint64_t{1} << ((static_cast<unsigned>(name.role) - 1) * 8 + (name.index & 7U));
  }
  std::uint64_t bits_ = 0;
};

// Which fields count stands at the kind; the others stay at their defaults.
struct Fault {
  FaultKind kind = FaultKind::Strike;
  Duration at{};  // since the start; not of StrikePlace
  Duration down = milliseconds(100);
  ProcessName a;
  ProcessName b;
  ProcessSet group;
  Blow blow = Blow::Kill;
  std::uint64_t place = 0;
  std::string point;      // "send.partial_signature": `place` counts only these; empty: all
  bool after = false;     // a kill at a place only: stops and pauses come after the effect
  bool deeds = false;     // `place` counts only what is not chatter
  bool one_way = false;
  std::uint32_t amount = 0;
  friend bool operator==(const Fault&, const Fault&) = default;
};

[[nodiscard]] Fault strike_at_place(ProcessName victim, std::uint64_t place, bool after,
                                    Duration down, Blow blow = Blow::Kill, bool deeds = false);

struct Schedule {
  WorldOptions world;
  std::vector<Fault> faults;
  std::size_t payments = 3;               // more are smaller: change upon unsettled change
  std::uint32_t duplicate_per_mille = 0;  // of creates go to both coordinators at once
  std::uint32_t conflict_per_mille = 0;   // of creates are followed by another payload
  Duration wait{};                        // Prefer: wait
  Range think{milliseconds(20), milliseconds(20)};  // between the clients' first requests
  // Strikes at places are armed until then; zero: to the end. Later than every timed fault's end.
  Duration safety{};
  Duration bound = seconds(60);           // of virtual time, after the faults: all must settle
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// Everything from the seed: shape, weather, clients, faults within and beyond the budget.
// Of schemes in which all sign: fewer signers, and any number of them may be down at once, for one
// that is down is the quorum lost.
[[nodiscard]] Schedule draw_schedule(std::uint64_t seed, SimScheme scheme = SimScheme::Frost);

// One `name value` a line for the options, one `fault KIND name=value ...` a line for each fault;
// '#' begins a comment. What stands at its default is left out. Durations are in microseconds.
[[nodiscard]] std::string to_text(const Schedule& schedule);
// Gives to_text's schedule back; an unknown name, kind or value is refused with its line.
[[nodiscard]] Result<Schedule> parse_schedule(std::string_view text);
[[nodiscard]] std::string to_text(const Fault& fault);
[[nodiscard]] const char* fault_kind_name(FaultKind kind);  // "strike_place"
// When the fault is over by itself, since the start; zero for a fault without a time.
[[nodiscard]] Duration over_at(const Fault& fault);
// No fault of it can keep a running quorum from signing: every template is signed soon.
[[nodiscard]] bool keeps_signing(const Schedule& schedule);

}  // namespace roulette::sim
