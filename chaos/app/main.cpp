// `roulette`: flags, commands and exit codes. What the commands do stands in their own files
// (commands.h).
//
// CLI11 is expensive to compile and stays here.
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

#include "chaos/app/commands.h"
#include "chaos/app/manual.h"
#include "chaos/sim/schedule.h"
#include "common/crypto/schemes.h"
#include "common/runtime/kill_point_table.h"
#include "common/runtime/planted_bug.h"

namespace roulette::chaos {

int report_error(const Error& error) {
  std::cerr << "error: " << error.message << std::endl;
  return exit_code(error.kind);
}

int killpoints_command(bool json) {
  if (json) {
    std::cout << runtime::kill_points_json() << std::endl;
    return kExitPass;
  }
  for (const runtime::KillPoint& point : runtime::list_kill_points())
    std::cout << point.point << "\n";
  return kExitPass;
}

namespace {

// CLI11 takes 2^64 for 2^64 - 1 and 010 for 8: another seed would run than the one asked for.
const CLI::Validator kWholeNumber(
    [](std::string& text) {
      std::uint64_t number = 0;
      const char* end = text.data() + text.size();
      const auto read = std::from_chars(text.data(), end, number);
      const bool whole =
          read.ec == std::errc() && read.ptr == end && std::to_string(number) == text;
      return whole ? "" : "'" + text + "' is no whole number from 0 to 18446744073709551615";
    },
    "");

const CLI::Validator kAboveZero(
    [](std::string& text) {
      char* end = nullptr;
      const double number = std::strtod(text.c_str(), &end);
      const bool good = *end == '\0' && std::isfinite(number) && number > 0;
      return good ? "" : "'" + text + "' is no number above 0";
    },
    "");

void add_binaries(CLI::App& command, BinaryOptions& binaries) {
  command.add_option("--etcd", binaries.etcd, "Path of etcd (3.5)");
  command.add_option("--bitcoind", binaries.bitcoind, "Path of bitcoind");
  command.add_option("--pkcs11", binaries.pkcs11, "A PKCS#11 module instead of SoftHSM's");
}

// Of the commands that can use an etcd which they did not start.
void add_remote_etcd(CLI::App& command, BinaryOptions& binaries) {
  add_binaries(command, binaries);
  command.get_option("--etcd")->description(
      "Path of etcd (3.5); or members that you run: https://HOST:PORT,...");
  command.add_option("--etcd-ca", binaries.etcd_ca,
                     "With URLs: file of the authority that signed the members' certificates");
  command.add_option("--etcd-cert", binaries.etcd_cert, "With URLs: file of a client certificate");
  command.add_option("--etcd-key", binaries.etcd_key, "With URLs: file of its key");
}

void add_run(CLI::App& app, RunOptions& o) {
  CLI::App* run = app.add_subcommand(
      "run", "Run experiments: start a cluster, load it, kill inside it, judge the records");
  run->add_option("PATH", o.paths, "Experiment files, or folders of them")->required();
  run->add_option("--seed", o.seed, "Instead of the file's seed")->check(kWholeNumber);
  run->add_option("--duration", o.duration_s, "Seconds of load, instead of the file's duration_s");
  run->add_option("--var", o.variables,
                  "NAME=VALUE: instead of what the file's configuration gives this variable")
      ->allow_extra_args(false);
  run->add_option("--runs", o.runs_dir, "Where run folders are made")
      ->capture_default_str()
      ->envname("ROULETTE_RUNS");
  run->add_flag("--keep", o.keep, "Keep work/ (process folders and logs) after the export");
  run->add_flag("--json", o.json, "Print verdict.json on stdout");
  run->add_flag("--dry-run", o.dry_run, "Print the drawn schedule and its hash, start nothing");
  add_remote_etcd(*run, o.binaries);
}

void add_compare(CLI::App& app, CompareOptions& o) {
  CLI::App* compare = app.add_subcommand(
      "compare", "Run an experiment once a scheme, with the same load and blows, and compare");
  compare->add_option("FILE", o.path, "An experiment file")->required();
  compare->add_option("--repeat", o.repeat, "How often each scheme runs, in turns")
      ->check(CLI::Range(1U, 100U))
      ->capture_default_str();
  compare
      ->add_option("--schemes", o.schemes,
                   "These only, the first being what others are held against: " +
                       crypto::scheme_names() + ", or variants that the file names")
      ->delimiter(',');
  compare->add_option("--seed", o.seed, "Instead of the file's seed")->check(kWholeNumber);
  compare->add_option("--duration", o.duration_s,
                      "Seconds of load, instead of the file's duration_s");
  compare->add_option("--runs", o.runs_dir, "Where run folders are made")
      ->capture_default_str()
      ->envname("ROULETTE_RUNS");
  compare->add_option("--out", o.out_dir,
                      "Folder of compare.json, compare.csv and compare.txt (a new one in --runs)");
  compare->add_flag("--keep", o.keep, "Keep work/ of every run");
  CLI::Option* json = compare->add_flag("--json", o.json, "Print compare.json on stdout");
  compare->add_flag("--csv", o.csv, "Print compare.csv on stdout")->excludes(json);
  compare->add_flag("--dry-run", o.dry_run,
                    "Print the variants and their schedules, start nothing");
  add_binaries(*compare, o.binaries);
}

void add_judge(CLI::App& app, JudgeOptions& o) {
  CLI::App* judge =
      app.add_subcommand("judge", "Judge a finished run again, from the records in its folder");
  judge->add_option("RUN", o.run_dir, "A run folder")->required();
  judge->add_flag("--json", o.json, "Print the verdict as JSON on stdout");
}

void add_init(CLI::App& app, InitOptions& o) {
  CLI::App* init = app.add_subcommand("init", "Write an experiment file to begin with");
  init->add_option("FILE", o.file, "Where; it must not exist")->capture_default_str();
}

void add_clean(CLI::App& app, CleanOptions& o) {
  CLI::App* clean =
      app.add_subcommand("clean", "Delete old run folders; without --yes only say which");
  clean->add_option("--runs", o.runs_dir, "Where they stand")
      ->capture_default_str()
      ->envname("ROULETTE_RUNS");
  clean->add_option("--keep", o.keep, "So many of the newest stay")->capture_default_str();
  clean->add_flag("--failed", o.failed, "Those that failed may go as well");
  clean->add_flag("--yes", o.yes, "Delete them");
}

void add_explain(CLI::App& app, ExplainOptions& o) {
  CLI::App* explain = app.add_subcommand(
      "explain", "Why a run has its verdict, and its first violation as a story");
  explain->add_option("RUN", o.run_dir, "A run folder")->required();
  explain->add_flag("--json", o.json, "Reasons, remedies and story as JSON on stdout");
}

void add_trace(CLI::App& app, TraceOptions& o) {
  CLI::App* trace = app.add_subcommand(
      "trace", "OpenTelemetry spans of a run's withdrawals, from its event logs (OTLP JSON)");
  trace->add_option("RUN", o.run_dir, "A run folder, finished or of `up`")->required();
  trace->add_option("--withdrawal", o.withdrawal, "Only this one (32 hex digits)");
  trace->add_option("--out", o.out, "The file to write; stdout when nothing else is asked for");
  trace->add_option("--otlp", o.otlp, "Send to this collector, http://127.0.0.1:4318/v1/traces");
}

void add_client_signature(CLI::App& app, ClientSignatureOptions& o) {
  CLI::App* sign = app.add_subcommand(
      "client-signature", "Print the Client-Signature header of one request for a payment");
  sign->add_option("--key-file", o.key_file, "The client's Ed25519 key (PEM; up: client.key_file)")
      ->required();
  sign->add_option("--cluster", o.cluster, "The cluster's id (up: client.cluster_id)")->required();
  sign->add_option("--client", o.client, "The client's name")->capture_default_str();
  sign->add_option("--idempotency-key", o.idempotency_key, "The request's key")->required();
  sign->add_option("--account", o.account, "The account that pays")->required();
  sign->add_option("--address", o.address, "Who is paid")->required();
  sign->add_option("--amount-sat", o.amount_sat, "How much")->required();
}

void add_up(CLI::App& app, UpOptions& o) {
  CLI::App* up =
      app.add_subcommand("up", "Start a funded cluster and keep it until Ctrl-C or SIGTERM");
  up->add_option("--scheme", o.plan.scheme, "What signs: " + crypto::scheme_names())
      ->capture_default_str();
  up->add_option("--vault", o.plan.vault,
                 "What seals each signer's share: file, or token (a SoftHSM token of its own)")
      ->capture_default_str();
  up->add_flag("!--no-client-signatures", o.plan.client_signatures,
               "Take requests that no client signed");
  up->add_option("--signers", o.signers, "How many signers (5; musig2: 3; single and hsm: 1)");
  up->add_option("--threshold", o.threshold,
                 "How many of them sign: more than half (3; musig2, single, hsm: all)");
  up->add_option("--coordinators", o.plan.coordinators, "How many coordinators")
      ->capture_default_str();
  up->add_option("--nodes", o.plan.nodes, "Bitcoin nodes: 1, or 2 for a fallback")
      ->check(CLI::Range(1, 2))
      ->capture_default_str();
  up->add_option("--log", o.plan.log,
                 "etcd, or sqlite: one ledger replica with its log in a file")
      ->capture_default_str();
  up->add_option("--coins", o.coins, "Coins of the wallet at the start")->capture_default_str();
  up->add_option("--block-interval-ms", o.plan.block_interval_ms, "A block is mined this often")
      ->capture_default_str();
  up->add_option("--snapshot-interval", o.plan.snapshot_interval,
                 "Ledger entries between two snapshots, a multiple of 64; 0: none")
      ->capture_default_str();
  up->add_option("--runs", o.runs_dir, "Where run folders are made")
      ->capture_default_str()
      ->envname("ROULETTE_RUNS");
  up->add_flag("--json", o.json, "One line on stdout when ready");
  up->add_flag("--no-restart", o.no_restart, "A process that ends stays down");
  up->add_flag("--keep", o.keep, "Leave the cluster's keys in an etcd that you run");
  add_remote_etcd(*up, o.binaries);
}

void add_deploy(CLI::App& app, DeployOptions& o) {
  CLI::App* deploy = app.add_subcommand(
      "deploy", "Write the files of a cluster on several machines (docs/DEPLOY.md)");
  deploy->add_option("OUT", o.out, "A new folder")->required();
  deploy->add_option("--hosts", o.hosts, "The machines' IPv4 addresses, separated by commas")
      ->required()
      ->delimiter(',');
  deploy->add_option("--scheme", o.plan.scheme, "What signs: " + crypto::scheme_names())
      ->capture_default_str();
  deploy->add_option("--signers", o.signers, "How many signers (5)");
  deploy->add_option("--threshold", o.threshold, "How many of them sign: more than half (3)");
  o.plan.coordinators = 3;
  o.plan.nodes = 2;
  deploy->add_option("--coordinators", o.plan.coordinators, "How many coordinators")
      ->capture_default_str();
  deploy->add_option("--nodes", o.plan.nodes, "Bitcoin nodes: 1, or 2 for a fallback")
      ->check(CLI::Range(1, 2))
      ->capture_default_str();
  deploy->add_option("--operator", o.operator_address,
                     "One more address that may ask the nodes: where you work");
  deploy->add_option("--state-dir", o.state_dir, "Where the processes keep what they write")
      ->capture_default_str();
  deploy->add_option("--first-port", o.first_port, "Ports are counted from this one")
      ->capture_default_str();
}

void add_sim(CLI::App& app, SimOptions& o) {
  CLI::App* sim = app.add_subcommand(
      "sim", "Run schedules of faults through the simulated cluster, in virtual time");
  sim->add_option("--schedules", o.schedules, "How many (1000, or what --minutes allows)")
      ->check(kAboveZero)
      ->check(kWholeNumber);
  sim->add_option("--seed", o.seed, "The first seed; the others follow it")
      ->check(kWholeNumber)
      ->capture_default_str();
  sim->add_option("--jobs", o.jobs, "Processes; one a core when not given")
      ->check(CLI::Range(1U, 1024U));
  sim->add_option("--minutes", o.minutes, "Begin no further schedule after that")
      ->check(kAboveZero);
  sim->add_option("--scheme", o.scheme, sim::scheme_list() + "; stand-in is for breadth")
      ->capture_default_str();
  sim->add_flag("--check-determinism", o.check_determinism, "Run each seed twice and compare");
  sim->add_flag("--no-shrink", o.no_shrink, "Leave failed schedules as they were drawn");
  sim->add_option("--from-run", o.from_run,
                  "A run's folder: write what fired there as a schedule, and run that");
  sim->add_option("--out", o.out_dir, "Where shrunk schedules are written")
      ->capture_default_str();
  sim->add_flag("--json", o.json, "The result as one JSON object on stdout");
}

void add_replay(CLI::App& app, ReplayOptions& o) {
  CLI::App* replay = app.add_subcommand(
      "replay", "Run one schedule of the simulator again and tell what happens");
  replay->add_option("FILE", o.file, "A schedule file, as a sweep writes it");
  replay->add_option("--seed", o.seed, "The schedule of this seed")->check(kWholeNumber);
  replay->add_option("--scheme", o.scheme, "With --seed: " + sim::scheme_list())
      ->capture_default_str();
  replay->add_flag("--all", o.all, "Also heartbeats, pings and polls");
  replay->add_flag("--json", o.json, "The result as one JSON object on stdout, no trace");
  replay->add_flag("--as-experiment", o.as_experiment,
                   "Print the faults that exist in a live run as a file for `roulette run`");
  replay->add_flag("--shrink", o.shrink, "Write the smallest schedule that fails likewise");
  replay->add_option("--out", o.out_dir, "Where --shrink writes")->capture_default_str();
}

void add_matrix(CLI::App& app, MatrixOptions& o) {
  CLI::App* matrix = app.add_subcommand(
      "matrix", "Kill at every point, in every way, every set of victims; count what was shown");
  CLI::Option* live = matrix->add_flag("--live", o.live, "Real processes");
  matrix->add_option("--scheme", o.selection.scheme, "What signs: " + crypto::scheme_names())
      ->capture_default_str();
  matrix->add_option("--points", o.selection.points, "Only points that fit this glob")
      ->capture_default_str();
  matrix->add_flag("--full", o.selection.full, "All middle and last passes, not a drawn tenth");
  matrix->add_flag("--slice", o.selection.slice,
                   "One cell a point: SIGKILL of the process that passes it, first pass");
  matrix->add_option("--out", o.out_dir, "Folder of the report and of the clusters' records");
  matrix->add_option("--seed", o.selection.seed, "Draws cells, victims and loads")
      ->check(kWholeNumber)
      ->capture_default_str();
  matrix->add_option("--runs", o.runs_dir, "Where a folder is made without --out")
      ->capture_default_str()
      ->envname("ROULETTE_RUNS");
  matrix->add_flag("--keep", o.keep, "Keep work/ of every cluster");
  matrix->add_flag("--json", o.json, "Print matrix.json on stdout");
  CLI::Option* simulated =
      matrix->add_flag("--sim", o.simulated, "Short stories in the simulator, in virtual time");
  live->excludes(simulated);
  matrix->add_flag("--pairs", o.pairs, "Also every ordered pair of points, SIGKILL then SIGKILL")
      ->needs(simulated);
  matrix->add_option("--jobs", o.jobs, "Processes of --sim; one a core when not given")
      ->needs(simulated)
      ->check(CLI::Range(1U, 1024U));
  matrix->callback([&o] {
    if (!o.live && !o.simulated) throw CLI::RequiredError("--live or --sim");
  });
  add_binaries(*matrix, o.binaries);
}

void add_reprovision(CLI::App& app, ReprovisionOptions& o) {
  CLI::App* again = app.add_subcommand(
      "reprovision", "Provision signers that lost their journals, under a new share epoch");
  again->add_option("RUN_DIR", o.run_dir, "Folder of the stopped cluster")->required();
  again->add_option("--signer", o.signers, "Number of a signer that lost its journal");
  again->add_flag("--without-ledger", o.without_ledger,
                  "Go on though no replica's tables can be read: a journal that went back and is "
                  "not named is trusted");
  again->add_flag("--retire", o.retire,
                  "Erase the shares of earlier epochs, once a signature of the new one is proven");
  again->add_flag("--json", o.json, "The report as one JSON object on stdout");
}

void add_mutants(CLI::App& app, MutantOptions& o) {
  CLI::App* mutants = app.add_subcommand(
      "mutants", "Hunt each planted bug with the simulator (a build of tools/mutants only)");
  mutants->add_option("NAME", o.only, "These bugs only");
  mutants
      ->add_option("--schedules", o.schedules,
                   "At most, for each bug; 5000 when not given, 20000 with the stand-in")
      ->check(kAboveZero)
      ->check(kWholeNumber);
  mutants->add_option("--scheme", o.scheme, sim::scheme_list() + "; stand-in is for breadth")
      ->capture_default_str();
  mutants->add_option("--seed", o.seed, "The first seed")
      ->check(kWholeNumber)
      ->capture_default_str();
  mutants->add_option("--jobs", o.jobs, "Processes; one a core when not given")
      ->check(CLI::Range(1U, 1024U));
  mutants->add_option("--runs", o.runs_dir, "Where the smallest schedule of each find is kept")
      ->capture_default_str();
  add_binaries(*mutants, o.binaries);
  mutants->add_flag("--live", o.live, "On real processes: each bug's cell");
  mutants->add_option("--cells", o.cells_dir, "With --live: the folder of the cells' experiments")
      ->capture_default_str();
  mutants->add_flag("--list", o.list, "Name the bugs and what must find them, and stop");
  mutants->add_flag("--json", o.json, "The table as one JSON object on stdout");
}

void add_bench(CLI::App& app, BenchOptions& o) {
  CLI::App* bench = app.add_subcommand(
      "bench", "Measure what signing costs on this machine, peers beside each other in one run");
  bench->add_option("PART", o.parts, "steps (of a signing, in process), signing (real signers) or "
                                     "service (whole clusters); all when none is named")
      ->check(CLI::IsMember({"steps", "signing", "service"}));
  bench->add_option("--repetitions", o.repetitions, "Of each step; figures are their medians")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  bench->add_option("--signatures", o.signatures, "Of each set-up of signers")
      ->check(CLI::Range(8U, 1000000U))
      ->capture_default_str();
  bench->add_option("--seconds", o.seconds, "Of each row of the service, behind 3 s of warm-up")
      ->check(CLI::Range(1U, 600U))
      ->capture_default_str();
  bench->add_option("--clients", o.clients, "Numbers of clients of the service, with 3-of-5")
      ->delimiter(',')
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  bench->add_option("--signers", o.signers, "Numbers of signers of the service, with 8 clients")
      ->delimiter(',')
      ->check(CLI::Range(1U, 128U))
      ->capture_default_str();
  bench->add_option("--runs", o.runs_dir, "Where the signers' folders are while they run")
      ->capture_default_str()
      ->envname("ROULETTE_RUNS");
  bench->add_option("--out", o.out_file, "Write the JSON to this file as well");
  bench->add_flag("--json", o.json, "Print the figures as JSON on stdout, tables on stderr");
  add_binaries(*bench, o.binaries);
}

void add_report(CLI::App& app, ReportOptions& o) {
  CLI::App* report = app.add_subcommand("report", "A finished run as one HTML page for people");
  report->add_option("RUN", o.run_dir, "A run folder")->required();
  report->add_option("--out", o.out_file, "The page (RUN/report.html)");
  report->add_option("--web", o.web_dir, "Folder of render.mjs (the source tree's)")
      ->envname("ROULETTE_WEB");
  report->add_flag("--pdf", o.pdf, "Print it to A4 as well, by Chromium");
  const std::string attached = "; copied to RUN/attached/, shown and bundled";
  report->add_option("--matrix", o.matrix, "A matrix.json to cite" + attached);
  report->add_option("--mutants", o.mutants, "Output of mutants --json to cite" + attached);
  report->add_option("--compare", o.compare, "A compare.json to cite" + attached);
}

void add_evidence(CLI::App& app, KeyOptions& k, BundleOptions& b, VerifyOptions& v) {
  CLI::App* key = app.add_subcommand("key", "The operator's key, which signs bundles");
  key->require_subcommand(1);
  for (CLI::App* one : {key->add_subcommand("new", "Make one; it is never written over"),
                        key->add_subcommand("show", "Its fingerprint and public part")})
    one->add_option("--key", k.path, "Its file (operator.pem in the user's configuration folder)");
  CLI::App* bundle = app.add_subcommand(
      "bundle", "A finished run as one signed file that an auditor can check");
  bundle->add_option("RUN", b.run_dir, "A run folder")->required();
  bundle->add_option("--key", b.key, "Who signs (operator.pem in the configuration folder)");
  bundle->add_option("--out", b.out_file, "The bundle's file (RUN.tar)");
  bundle->add_option("--time-stamp", b.time_stamp,
                     "An RFC 3161 response for this bundle's statement.dsse.json");
  CLI::App* verify = app.add_subcommand(
      "verify", "Check a bundle: every byte, signatures, and the verdict from the raw records");
  verify->add_option("BUNDLE", v.bundle, "A bundle's file")->required();
  verify->add_option("--trust", v.trust,
                     "Whose bundle it must be: a fingerprint, or a key's file; without it only "
                     "consistency is shown");
  verify->add_option("--tsa", v.authority,
                     "The certificate of the authority that must have stamped it, in PEM");
  verify->add_flag("--json", v.json, "The findings as JSON on stdout");
}

void add_doctor(CLI::App& app, DoctorOptions& o) {
  CLI::App* doctor =
      app.add_subcommand("doctor", "Check what a run needs: each line ok, or the remedy");
  doctor->add_flag("--json", o.json, "Findings as JSON on stdout");
  doctor->add_option("--runs", o.runs_dir, "Where run folders would be made")
      ->capture_default_str()
      ->envname("ROULETTE_RUNS");
  add_binaries(*doctor, o.binaries);
}

ManualOption as_data(const CLI::Option& option) {
  ManualOption out{{}, option.get_description(), option.get_default_str(), false, false};
  for (const std::string& name : option.get_snames()) out.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out.names.push_back("--" + name);
  out.positional = out.names.empty();
  if (out.positional) out.names.push_back(option.get_name());
  out.takes_value = option.get_items_expected_max() > 0;
  return out;
}

// The program and its commands, in the order of --help.
void collect(const CLI::App& app, const std::string& name, std::vector<ManualCommand>& out) {
  ManualCommand command{name, app.get_description(), {}};
  for (const CLI::Option* option : app.get_options()) command.options.push_back(as_data(*option));
  out.push_back(std::move(command));
  for (const CLI::App* inner : app.get_subcommands([](const CLI::App*) { return true; }))
    collect(*inner, (name.empty() ? "" : name + " ") + inner->get_name(), out);
}

int print_manual(const CLI::App& app, bool completion) {
  std::vector<ManualCommand> commands;
  collect(app, "", commands);
  std::cout << (completion ? bash_completion(commands) : man_page(commands, app.get_footer()));
  return kExitPass;
}

int dispatch(int argc, char** argv) {
  CLI::App app{
      "Quorum Roulette: kills a threshold-signing cluster inside its rounds and proves that money "
      "moved exactly once"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "roulette " ROULETTE_VERSION);
  app.footer(
      "Exit codes: 0 pass, 1 fail, 2 inconclusive or something missing, 64 wrong file or flags, 70 "
      "internal error.");
  RunOptions run;
  CompareOptions compare;
  ClientSignatureOptions client_signature;
  ExplainOptions explain;
  CleanOptions clean;
  InitOptions init;
  JudgeOptions judge;
  UpOptions up;
  DeployOptions deploy;
  SimOptions sim;
  ReplayOptions replay;
  ReprovisionOptions reprovision;
  MutantOptions mutants;
  TraceOptions trace;
  DoctorOptions doctor;
  BenchOptions bench;
  MatrixOptions matrix;
  KeyOptions key;
  BundleOptions bundle;
  VerifyOptions verify;
  ReportOptions report;
  bool json = false;
  add_run(app, run);
  add_compare(app, compare);
  add_client_signature(app, client_signature);
  add_explain(app, explain);
  add_clean(app, clean);
  add_init(app, init);
  add_trace(app, trace);
  add_judge(app, judge);
  add_up(app, up);
  add_deploy(app, deploy);
  add_sim(app, sim);
  add_replay(app, replay);
  add_reprovision(app, reprovision);
  add_mutants(app, mutants);
  add_doctor(app, doctor);
  add_bench(app, bench);
  add_matrix(app, matrix);
  add_evidence(app, key, bundle, verify);
  add_report(app, report);
  app.add_subcommand("killpoints", "List the points where a process can be stopped")
      ->add_flag("--json", json, "JSON on stdout");
  app.add_subcommand(
         "version",
         "The version of the tool and of its scheme; doctor shows those of etcd and bitcoind")
      ->add_flag("--json", json, "JSON on stdout");
  app.add_subcommand("completion", "Print a shell completion made of these commands")
      ->require_subcommand(1)
      ->add_subcommand("bash", "eval \"$(roulette completion bash)\"");
  app.add_subcommand("man", "Print the man page (| man -l -)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return kExitUsage;
  }
  run.program = judge.program = mutants.program = argv[0];
  if (app.got_subcommand("man")) return print_manual(app, false);
  if (app.got_subcommand("completion")) return print_manual(app, true);
  if (app.got_subcommand("explain")) return explain_command(explain);
  if (app.got_subcommand("clean")) return clean_command(clean);
  if (app.got_subcommand("init")) return init_command(init);
  if (app.got_subcommand("trace")) return trace_command(trace);
  if (app.got_subcommand("client-signature"))
    return client_signature_command(client_signature);
  if (app.got_subcommand("judge")) return judge_command(judge);
  if (app.got_subcommand("deploy")) return deploy_command(deploy);
  if (app.got_subcommand("bundle")) return bundle_command(bundle);
  if (app.got_subcommand("verify")) return verify_command(verify);
  if (app.got_subcommand("report")) return report_command(report);
  if (app.got_subcommand("key"))
    return app.get_subcommand("key")->got_subcommand("new") ? key_new_command(key)
                                                            : key_show_command(key);
  if (const Status bug = runtime::choose_planted_bug(); !bug) return report_error(bug.error());
  if (app.got_subcommand("run")) return run_command(run);
  if (app.got_subcommand("compare")) return compare_command(compare);
  if (app.got_subcommand("up")) return up_command(up);
  if (app.got_subcommand("sim")) return sim_command(sim);
  if (app.got_subcommand("replay")) return replay_command(replay);
  if (app.got_subcommand("matrix")) return matrix_command(matrix);
  if (app.got_subcommand("reprovision")) return reprovision_command(reprovision);
  if (app.got_subcommand("mutants")) return mutants_command(mutants);
  if (app.got_subcommand("doctor")) return doctor_command(doctor);
  if (app.got_subcommand("bench")) return bench_command(bench);
  if (app.got_subcommand("killpoints")) return killpoints_command(json);
  return version_command(json);
}

// A report that nobody got is no pass: the disk may be full, the pipe closed.
int told(int code) {
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::cout && std::ferror(stdout) == 0) return code;
  std::cerr << "error: stdout cannot be written; what the command found is not told" << std::endl;
  return code == kExitPass ? kExitInternal : code;
}

}  // namespace
}  // namespace roulette::chaos

int main(int argc, char** argv) {
  try {
    return roulette::chaos::told(roulette::chaos::dispatch(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "internal error: " << error.what() << std::endl;
    return roulette::chaos::kExitInternal;
  }
}
