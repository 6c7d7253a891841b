// The commands of `roulette`: parsed by main.cpp, each in a file of its own.
//
// Invariant: a command returns one of the exit codes of DESIGN 9 and has printed why; JSON goes to
// stdout, progress to stderr. Nothing here decides what a verdict is (chaos/check does).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "chaos/check/verdict.h"
#include "chaos/live/cluster.h"
#include "chaos/plan/matrix.h"

namespace roulette::chaos {

inline constexpr int kExitPass = 0;
inline constexpr int kExitFail = 1;
inline constexpr int kExitInconclusive = 2;
inline constexpr int kExitUsage = 64;
inline constexpr int kExitInternal = 70;

struct RunOptions {
  std::vector<std::string> paths;  // experiment files or folders of them
  std::string runs_dir = "runs";
  std::optional<std::uint64_t> seed;
  std::optional<std::uint32_t> duration_s;
  std::vector<std::string> variables;  // "NAME=VALUE" (chaos/plan/variables.h)
  bool keep = false;                   // keeps work/
  bool json = false;
  bool dry_run = false;  // prints the schedule, starts nothing
  std::optional<std::uint32_t> heal_s;  // for accepted withdrawals to settle; nothing: the usual
  std::string program;   // as it was called, for the words at the end
  BinaryOptions binaries;
  // Called as each phase begins, while the processes run.
  std::function<void(const std::string& phase, const Supervisor& processes)> on_phase;
};
[[nodiscard]] int run_command(const RunOptions& options);
struct RunEnd {
  check::Verdict verdict;
  std::string run_dir;
  bool interrupted_by_signal = false;
};
// One experiment to its verdict, which is written and not printed.
[[nodiscard]] Result<RunEnd> run_experiment(const std::string& path, const RunOptions& options);
// The same of one that was derived from a file: its text is what the run folder keeps. Seed and
// duration of the options are not looked at. `experiment.path` names the run folder.
[[nodiscard]] Result<RunEnd> run_experiment(Experiment experiment, const RunOptions& options);

struct CompareOptions {
  std::string path;
  std::uint32_t repeat = 1;
  std::vector<std::string> schemes;  // or variants of the file; empty: all
  std::string runs_dir = "runs";
  std::string out_dir;  // empty: a new folder in runs_dir
  std::optional<std::uint64_t> seed;
  std::optional<std::uint32_t> duration_s;
  bool keep = false;
  bool json = false;
  bool csv = false;
  bool dry_run = false;  // prints the variants and their schedules, starts nothing
  BinaryOptions binaries;
};
[[nodiscard]] int compare_command(const CompareOptions& options);

struct UpOptions {
  ClusterPlan plan;  // signers and threshold: below, or what the scheme has
  std::optional<std::uint16_t> signers, threshold;
  std::string runs_dir = "runs";
  std::uint32_t coins = 400;
  bool json = false;
  bool keep = false;  // leaves its keys in an etcd that the user runs
  bool no_restart = false;  // a process that ends stays down
  BinaryOptions binaries;
};
[[nodiscard]] int up_command(const UpOptions& options);

struct DeployOptions {
  ClusterPlan plan;  // signers and threshold: below, or what the scheme has
  std::optional<std::uint16_t> signers, threshold;
  std::vector<std::string> hosts;  // numeric IPv4 addresses
  std::string operator_address;    // may ask the nodes besides them; empty: nobody
  std::string out;                 // must not exist
  std::string state_dir = "/var/lib/roulette";
  std::uint16_t first_port = 7100;
};
// Starts nothing.
[[nodiscard]] int deploy_command(const DeployOptions& options);

struct MatrixOptions {
  bool live = false, simulated = false;  // exactly one
  bool pairs = false;                    // simulated: two strikes a story besides
  unsigned jobs = 0;                     // simulated; 0: one a core
  MatrixSelection selection;
  std::string runs_dir = "runs";
  std::string out_dir;  // empty: a new folder in runs_dir
  bool json = false;
  bool keep = false;
  BinaryOptions binaries;
};
[[nodiscard]] int matrix_command(const MatrixOptions& options);

struct BenchOptions {
  std::vector<std::string> parts;  // "steps", "signing", "service"; empty: all
  unsigned repetitions = 9;        // of each step
  std::size_t signatures = 400;    // of each set-up of signers
  std::uint32_t seconds = 10;      // of each row of the service, its warm-up apart
  std::vector<std::uint32_t> clients{1, 8, 64, 256};  // with 3-of-5
  std::vector<std::uint16_t> signers{3, 5, 7, 15};    // with 8 clients
  std::string runs_dir = "runs";
  std::string out_file;  // the JSON, besides; empty: none
  bool json = false;
  BinaryOptions binaries;
};
[[nodiscard]] int bench_command(const BenchOptions& options);

struct ClientSignatureOptions {
  std::string key_file, cluster, client = "roulette";
  std::string idempotency_key, account, address;
  std::int64_t amount_sat = 0;
};
// Prints the value of Client-Signature (docs/API.md).
[[nodiscard]] int client_signature_command(const ClientSignatureOptions& options);

struct ExplainOptions {
  std::string run_dir;
  bool json = false;
};
// Exit code 0 whatever the verdict is: it was explained.
[[nodiscard]] int explain_command(const ExplainOptions& options);

struct InitOptions {
  std::string file = "experiment.yaml";
};
[[nodiscard]] int init_command(const InitOptions& options);

struct CleanOptions {
  std::string runs_dir = "runs";
  std::size_t keep = 10;  // the newest
  bool failed = false;    // those too that failed
  bool yes = false;       // delete
};
[[nodiscard]] int clean_command(const CleanOptions& options);

struct TraceOptions {
  std::string run_dir;
  std::string withdrawal;  // empty: all
  std::string out;         // empty: stdout, unless they go to a collector
  std::string otlp;        // http://127.0.0.1:4318/v1/traces
};
[[nodiscard]] int trace_command(const TraceOptions& options);

struct JudgeOptions {
  std::string run_dir;
  bool json = false;
  std::string program;  // as it was called, for the words at the end
};
[[nodiscard]] int judge_command(const JudgeOptions& options);

struct KeyOptions {
  std::string path;  // empty: the configuration folder's
};
[[nodiscard]] int key_new_command(const KeyOptions& options);
[[nodiscard]] int key_show_command(const KeyOptions& options);

struct BundleOptions {
  std::string run_dir;
  std::string key;       // a key's file; empty: the configuration folder's
  std::string out_file;  // empty: beside the run folder
  std::string time_stamp;  // an RFC 3161 response's file
};
[[nodiscard]] int bundle_command(const BundleOptions& options);

struct ReportOptions {
  std::string run_dir;
  std::string out_file;  // empty: report.html in the run folder
  std::string web_dir;   // of render.mjs and its packages; empty: the source tree's
  bool pdf = false;      // beside it, by Chromium
  std::string matrix, mutants, compare;  // files of other runs' results to attach; empty: none
};
[[nodiscard]] int report_command(const ReportOptions& options);

struct VerifyOptions {
  std::string bundle;
  std::optional<std::string> trust;  // a fingerprint or a key's file; none: nobody in particular
  std::optional<std::string> authority;  // of time stamps: a certificate's file
  bool json = false;
};
// 1 when anything in the bundle is not as it must be; its verdict is printed, and does not count.
[[nodiscard]] int verify_command(const VerifyOptions& options);

struct DoctorOptions {
  bool json = false;
  std::string runs_dir = "runs";
  BinaryOptions binaries;
};
[[nodiscard]] int doctor_command(const DoctorOptions& options);

struct SimOptions {
  std::optional<std::uint64_t> schedules;  // without, and without `minutes`: 1000
  std::uint64_t seed = 1;                  // the first one
  unsigned jobs = 0;                       // 0: one a usable core
  std::optional<double> minutes;
  std::string scheme = "frost";
  bool check_determinism = false;  // each seed runs twice
  bool json = false;
  bool no_shrink = false;               // a failed schedule is not made smaller
  std::string out_dir = "sim-failures";  // where shrunk schedules go
  std::string from_run;  // a live run's folder: its fired faults as a schedule, which is run
};
[[nodiscard]] int sim_command(const SimOptions& options);

struct ReplayOptions {
  std::string scheme = "frost";  // of --seed; a FILE names its own
  std::optional<std::uint64_t> seed;
  std::string file;
  bool all = false;  // heartbeats, pings and polls as well
  bool json = false;
  bool as_experiment = false;  // prints the YAML for `roulette run`, runs no cluster
  bool shrink = false;  // a failing schedule is made smaller and written
  std::string out_dir = "sim-failures";
};
[[nodiscard]] int replay_command(const ReplayOptions& options);

struct ReprovisionOptions {
  std::string run_dir;
  std::vector<std::uint16_t> signers;  // those that lost their journals
  bool without_ledger = false;
  bool retire = false;                 // erase the shares of the epochs before, once it is proven
  bool json = false;
};
[[nodiscard]] int reprovision_command(const ReprovisionOptions& options);

struct MutantOptions {
  std::vector<std::string> only;   // names; empty: all
  std::optional<std::uint64_t> schedules;  // each bug's cap; nothing: the scheme's own
  std::string scheme = "frost";
  std::uint64_t seed = 1;
  unsigned jobs = 0;  // 0: one a usable core
  bool list = false;
  bool live = false;  // real processes in place of the simulator
  bool json = false;
  std::string runs_dir = "runs/mutants";
  std::string cells_dir = "chaos/mutants";  // experiments of --live
  std::string program;
  BinaryOptions binaries;
};
[[nodiscard]] int mutants_command(const MutantOptions& options);
// The names of all planted bugs of this build; a release has none.
[[nodiscard]] std::vector<std::string> planted_bugs();

[[nodiscard]] int killpoints_command(bool json);
[[nodiscard]] int version_command(bool json);

// "error: message" on stderr, and the exit code of its kind.
[[nodiscard]] int report_error(const Error& error);

}  // namespace roulette::chaos
