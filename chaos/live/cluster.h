// A cluster on this machine: folders, keys, certificates, ports, configurations; started in order
// and funded.
//
// Invariant: nothing of a cluster outlives its Cluster but its run folder. Everything listens on
// loopback only; ports are probed, so two runs share a machine. It knows no faults and no load.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chaos/live/request_signer.h"
#include "chaos/live/supervisor.h"
#include "chaos/plan/experiment.h"
#include "common/runtime/http_client.h"
#include "common/runtime/http_url.h"

namespace roulette::chaos {

class Node;
class RunIdentity;

// An etcd that the user runs (remote_etcd.h). Without members: the tool starts one.
struct EtcdAccess {
  std::vector<runtime::HttpUrl> members;
  std::string ca, cert, key;  // absolute paths; empty without https, cert and key also with it
};

// Where the binaries are: beside the executable, .deps/, PATH, or as configured. Missing ones are
// ErrorKind::Preflight, named, with the remedy, before anything starts.
struct Binaries {
  std::string signer, coordinator, ledger, etcd;
  EtcdAccess remote_etcd;  // then `etcd` is empty
  std::vector<std::string> bitcoind;  // argv prefix: loader and library path where needed
  std::vector<std::string> bitcoin_cli;
  std::string pkcs11;  // a PKCS#11 module, for keys in tokens: SoftHSM's; empty: not found
  std::string faulty_token;  // the module before it that fails as it is told; empty: not found
};
struct BinaryOptions {
  std::string etcd, bitcoind, pkcs11;  // --etcd (a path, or URLs), --bitcoind, --pkcs11
  std::string etcd_ca, etcd_cert, etcd_key;  // paths, with URLs
};
[[nodiscard]] std::optional<std::filesystem::path> find_on_path(const std::string& program);
[[nodiscard]] Result<Binaries> find_binaries(const BinaryOptions& options, bool want_node);
// Whether this machine has what the plan's scheme needs besides. Preflight, with the remedy.
[[nodiscard]] Status can_run(const ClusterPlan& plan, const Binaries& binaries);

struct Endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
};

class Cluster {
 public:
  // Makes run folder, keys and configurations; starts nothing.
  [[nodiscard]] static Result<std::unique_ptr<Cluster>> prepare(
      const ClusterPlan& plan, std::uint64_t coins, const std::string& run_dir,
      const Binaries& binaries, runtime::EventLoop& loop, runtime::EventLog& log,
      Supervisor& supervisor);
  ~Cluster();

  // Signers that start() leaves out: whoever wants their first start calls restart().
  void start_later(std::set<ProcessName> names);
  // A certificate for a coordinator that no process runs as, in secrets/: for a peer that the tool
  // plays itself. Its number is the number of coordinators.
  [[nodiscard]] ProcessName stranger() const;
  [[nodiscard]] const std::string& cluster_id() const;
  [[nodiscard]] const std::vector<Endpoint>& signers() const;
  [[nodiscard]] const std::vector<Endpoint>& ledgers() const;
  [[nodiscard]] const std::vector<std::pair<ProcessName, Endpoint>>& monitored() const;
  // Compares books and chain from now on; not in a run (reconciliation.h).
  void start_reconciling();

  // Runs the loop until all is up, the chain is funded (fan-out, settled) and the first coordinator
  // is ready, or fails with what is missing. `on_progress` gets one line a step.
  [[nodiscard]] Status start(
      Duration limit, const std::function<void(const std::string&)>& on_progress,
      const std::function<std::vector<std::string>(ProcessName)>& control_lines);

  // Signers alone, for whoever is their only coordinator; they serve once that one has told them
  // what is kept of their journals.
  [[nodiscard]] Status start_signers();

  // start() under way returns at its next wait, with an error that says "interrupted".
  void cancel_start();

  // Spawns a process again with its points armed; etcd members and the node are probed until they
  // serve.
  [[nodiscard]] Status restart(ProcessName name, const std::vector<std::string>& control_lines);
  // A replica's tables as they are now, for take_records(RolledBack); it may go on meanwhile.
  [[nodiscard]] Status keep_records(ProcessName name);
  // Of a signer that is down: its records go to state/<name>.before-<fault_id>.ndjson first, then
  // its journal is removed (Wiped) or loses its newer half (RolledBack). Of a replica that is down:
  // its tables are removed, or are what keep_records() kept.
  [[nodiscard]] Status take_records(ProcessName name, RecoverHow how, std::uint64_t fault_id);
  // Makes a signer's token fail in this way (one of_token()), or no longer.
  [[nodiscard]] Status set_token(ProcessName signer, std::optional<Signal> how);
  // Calls of it that its module recorded as answered so, from `from` to `to`.
  [[nodiscard]] std::uint64_t token_calls(ProcessName signer, Signal how, Instant from,
                                          Instant to) const;
  // Fed by the supervisor's hooks.
  void on_event(ProcessName name, const std::string& event, const std::string& args);

  // Steady mining: one block every interval to the launcher's own key. Pauses by itself while the
  // node is down.
  void start_mining(std::uint32_t interval_ms);
  void stop_mining();

  // The launcher's own line to the node, for what a run provokes there (mining, reorganisations).
  [[nodiscard]] Node& node();
  [[nodiscard]] const std::string& miner_address() const;
  // The etcd member that leads, as the members say; nothing when nobody answers in time.
  [[nodiscard]] std::optional<ProcessName> etcd_leader();

  // The height now, to the tool's log as `node_height`; asks the node, never flushes it.
  void note_node_height(ProcessName node, const std::string& why);
  // Whether every accepted withdrawal is settled now, by a coordinator's answers: nothing is
  // pending in the books, and none was settled once and lost its block since (its postings stay).
  void ask_settled(std::function<void(Result<bool>)> done);

  [[nodiscard]] const std::vector<Endpoint>& coordinators() const;
  [[nodiscard]] const std::string& token() const;
  // Signs requests; null where clients need not.
  [[nodiscard]] const std::shared_ptr<const RequestSigner>& client() const;
  [[nodiscard]] const std::vector<std::string>& accounts() const;
  [[nodiscard]] const std::string& run_dir() const;
  [[nodiscard]] std::string up_json() const;  // the line of `up --json` (DESIGN 10)
  [[nodiscard]] std::string environment_json() const;
  // Signs for this run as such; null where the key is in a token.
  [[nodiscard]] const RunIdentity* identity() const;

  // The end-of-run order of DESIGN 9 from `EndOfRun` on: EndOfRun applied by every live replica,
  // coordinators SIGTERMed, blocks mined to settle depth, flush, export of state/, the rest
  // stopped. Every step that cannot be done is in the error. `after_end_of_run` runs while
  // coordinators still answer (the clients resolve what they do not know).
  [[nodiscard]] Status finish(const std::function<Status()>& after_end_of_run,
                              const std::function<void(const std::string&)>& on_progress);
  // Orderly stop of everything without a record (`up`): SIGTERM in order, SIGKILL for what stays.
  void stop_all();
  // What the cluster wrote to an etcd that the user runs stays there; otherwise stop_all() removes
  // it.
  void keep_remote_keys();

 private:
  struct State;
  explicit Cluster(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::chaos
