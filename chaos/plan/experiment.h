// An experiment file as values: what runs, what loads it, what dies, what must hold.
//
// Invariant: an Experiment that load_experiment() returned is complete and consistent (2t > n,
// victims exist, points exist, shares within 0..1); whatever is wrong was refused with file and
// line (ErrorKind::Usage). It is parsed and checked here; drawing victims is schedule.h's business,
// running it chaos/live's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/result.h"

namespace roulette::chaos {

struct ClusterPlan {
  std::string scheme = "frost";
  bool client_signatures = true;  // coordinators and signers check who asked
  std::string vault = "file";  // what each signer's share is sealed under: "file" or "token"
  std::uint16_t signers = 5;
  std::uint16_t threshold = 3;
  std::uint16_t coordinators = 2;
  std::uint16_t ledgers = 3;
  std::uint16_t etcd = 3;
  std::string log = "etcd";  // or "remote-etcd" (the user's own; `etcd` is 0), or "sqlite"
  std::string chain = "bitcoind";
  std::uint16_t nodes = 1;  // Bitcoin nodes: with two, coordinators fall back to the second
  std::uint32_t block_interval_ms = 1000;  // steady mining
  std::uint64_t snapshot_interval = limits::kSnapshotInterval;  // entries; 0: no snapshot, no trim
  std::uint32_t commit_delay_ms = 0;  // of journals and tables; no file sets it (`roulette bench`)
  std::uint32_t token_patience_ms = 5000;  // a token silent for longer ends its signer
  bool faulty_tokens = false;  // some fault is a token's: the module that can have it is loaded
};

struct WorkloadPlan {
  std::uint32_t clients = 8;  // closed loop: each sends, waits for the answer, thinks, sends
  double rate_per_s = 20;     // open loop, fixed rate, latency from the intended start; 0 = none
  std::uint32_t duration_s = 60;
  std::uint32_t undisturbed_s = 8;  // at the start: no fault before it is over
  double duplicate_share = 0.1;     // of new withdrawals: sent to two coordinators at once
  double conflict_share =
      0.02;  // of new withdrawals: followed by another payload under the same key
  std::int64_t min_amount_sat = 10'000;
  std::int64_t max_amount_sat = 2'000'000;
  std::uint32_t think_ms = 150;  // mean pause of a closed-loop client
  // False: whoever got no answer asks again under a new key, as a client without keys would.
  bool idempotency = true;
};

enum class TargetMode : std::uint8_t { One, All, Fixed, FixedPercent, RandomMaxPercent };
struct Target {
  Role role = Role::Signer;
  TargetMode mode = TargetMode::One;
  std::uint32_t value = 1;           // count (fixed) or percent
  std::vector<std::uint16_t> index;  // named one by one; overrides mode
};
struct PointTrigger {
  std::string point;
  std::uint32_t occurrence = 1;  // passes in the triggering process since arming, over its restarts
  std::optional<ProcessName>
      process;  // which one; without: the first victim when the roles agree, else drawn
};
struct AtTrigger {
  std::uint32_t at_ms = 0;
};  // after the load began
struct EveryTrigger {
  std::uint32_t every_ms = 0;
  std::uint32_t jitter_ms = 0;
};  // from the end of `undisturbed_s` on
struct RouletteTrigger {
  std::vector<std::string> points;
  std::uint32_t every_ms = 0;
  std::uint32_t jitter_ms = 0;
};
using Trigger = std::variant<PointTrigger, AtTrigger, EveryTrigger, RouletteTrigger>;

// What a fault does to its victim: a signal, or a fault of the PKCS#11 token that a signer's key
// lies in (chaos/token/faulty_token.cpp), whose process goes on.
enum class Signal : std::uint8_t {
  Kill,
  Term,
  Stop,
  TokenRemoved,      // every call that uses a key or a session: CKR_DEVICE_REMOVED
  TokenSessionLost,  // signing: CKR_SESSION_HANDLE_INVALID, also in a session opened anew
  TokenRefusing,     // signing: CKR_FUNCTION_FAILED
  TokenSlow,         // signing takes kTokenSlowMs longer
  TokenHangs,        // no call comes back before the fault is over
};
inline constexpr std::uint32_t kTokenSlowMs = 150;
// How late the end of a signer may be seen whose token hung longer than its patience.
inline constexpr std::uint32_t kTokenHangSlackMs = 1000;
inline constexpr Signal kSignals[] = {Signal::Kill,          Signal::Term,
                                      Signal::Stop,          Signal::TokenRemoved,
                                      Signal::TokenSessionLost, Signal::TokenRefusing,
                                      Signal::TokenSlow,     Signal::TokenHangs};
[[nodiscard]] const char* signal_name(Signal signal);  // "SIGKILL", "token-removed", ...
// What the module calls it in its record; empty for a signal.
[[nodiscard]] const char* token_answer(Signal signal);  // "removed", ...
[[nodiscard]] constexpr bool of_token(Signal signal) { return signal >= Signal::TokenRemoved; }
// Wiped, RolledBack (DESIGN 5): a signer comes back without its journal, or with the older half of
// it; what the ledger keeps of it then quarantines it for the rest of the run (DESIGN 6.8). A
// replica comes back without its tables, or with those of when the faults began, and catches up.
enum class RecoverHow : std::uint8_t { Restart, Continue, None, Wiped, RolledBack };
inline constexpr RecoverHow kRecoverHow[] = {RecoverHow::Restart, RecoverHow::Continue,
                                            RecoverHow::None, RecoverHow::Wiped,
                                            RecoverHow::RolledBack};
[[nodiscard]] const char* recover_name(RecoverHow how);  // "rolled-back", ...
[[nodiscard]] constexpr bool takes_records(RecoverHow how) {
  return how == RecoverHow::Wiped || how == RecoverHow::RolledBack;
}
struct Recover {
  RecoverHow how = RecoverHow::Restart;
  std::uint32_t after_ms = 500;
};

struct FaultRule {
  Target target;
  Trigger trigger;
  Signal signal = Signal::Kill;
  Recover recover;
  bool over_budget = false;  // goes over the blast radius on purpose; the file then expects refusal
  int line = 0;              // of the rule in the file
};

struct StopRule {
  std::string metric;
  double above = 0;
  std::uint32_t for_ms = 0;
};
// One tolerance of the steady-state hypothesis.
struct SteadyProbe {
  std::string name, metric;
  double least = 0, most = 0;
};
struct Floor {
  std::uint32_t settled = 1;
  std::uint32_t kills = 0;
  std::uint32_t points = 0;
};
// Duplicate: some order is paid twice, since its client used no idempotency keys.
enum class Expectation : std::uint8_t { Progress, Refusal, Duplicate };
[[nodiscard]] const char* expectation_name(Expectation expectation);  // "progress", ...

struct Experiment {
  std::string title;
  std::string description;
  std::vector<std::string> tags;
  std::uint64_t seed = 1;
  ClusterPlan cluster;
  WorkloadPlan workload;
  std::map<Role, std::uint32_t> blast_radius;
  std::vector<FaultRule> faults;
  std::vector<SteadyProbe> steady_state;
  std::vector<StopRule> stop;
  Floor floor;
  std::vector<std::string> require;  // invariant ids; every one of DESIGN 9 when the file has none
  Expectation expect = Expectation::Progress;
  bool requires_unmined_payment = false;  // `floor: {unmined_payments: 1}`: inconclusive unless a
                                          // block holding a payment was un-mined
  std::string path;
  std::string text;  // the file's bytes
};

// Instead of the values that the file's `configuration` gives its variables (variables.h).
using Variables = std::map<std::string, std::string>;
// `text` of the result has every variable written out: that file alone is the experiment.
[[nodiscard]] Result<Experiment> load_experiment(const std::string& path,
                                                 const Variables& variables = {});
[[nodiscard]] Result<Experiment> parse_experiment(const std::string& text, const std::string& name,
                                                  const Variables& variables = {});
// The same experiment on an etcd that the user runs, with the text that says so. Usage, with the
// line, where it strikes etcd: what the tool did not start it does not kill.
[[nodiscard]] Result<Experiment> on_remote_etcd(const Experiment& experiment);

}  // namespace roulette::chaos
