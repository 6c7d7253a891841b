// `roulette run`: one experiment after the other, each to a verdict. See commands.h.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <unistd.h>

#include "chaos/app/commands.h"
#include "chaos/app/progress.h"
#include "chaos/app/session.h"
#include "chaos/check/run_journal.h"
#include "chaos/evidence/operator_key.h"
#include "chaos/evidence/run_identity.h"
#include "chaos/live/load.h"
#include "chaos/live/remote_etcd.h"
#include "chaos/live/run_identity.h"
#include "chaos/plan/schedule.h"
#include "chaos/plan/variables.h"
#include "common/crypto/hash.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;

constexpr Duration kStartLimit = seconds(60);
constexpr Duration kFaultsSettle = seconds(30);  // for victims to come back after the load
constexpr Duration kHealBound = seconds(45);  // for every accepted withdrawal to settle after that
constexpr std::uint32_t kSettleBlocks = 3;       // DESIGN 7
constexpr Duration kLastAnswers = seconds(3);    // refusals that clients are still waiting for
constexpr Duration kTick = milliseconds(200);

// One run from file to verdict.
class Run {
 public:
  Run(Experiment experiment, const RunOptions& options)
      : e_(std::move(experiment)), options_(options) {}

  Result<check::Verdict> execute() {
    schedule_ = draw_schedule(e_);
    facts_.schedule_hash = to_hex(schedule_.hash);
    const Result<Binaries> binaries = Session::preflight(e_.cluster, options_.binaries);
    if (!binaries) return binaries.error();
    auto session = Session::create(options_.runs_dir, fs::path(e_.path).stem().string());
    if (!session) return session.error();
    s_ = std::move(session).value();
    signals_ = std::make_unique<runtime::TerminationSignals>(
        s_->loop, [this] {
          signalled_ = true;
          interrupt("interrupted by a signal");
        });
    // The tool is a process of a run too: its own limits are its host's, its records stand in the
    // run folder.
    if (const Status status = write_file("experiment.yaml", e_.text); !status)
      return status.error();
    if (const Status status = s_->prepare(e_.cluster, coins(), *binaries); !status)
      return status.error();
    if (options_.keep) s_->cluster->keep_remote_keys();
    progress_ = std::make_unique<Progress>(e_.workload.duration_s, s_->run_dir);
    if (const Status status = start(); !status) return abandoned(status.error());
    load_phase();
    heal();
    finish();
    return verdict();
  }

  const std::string& run_dir() const { return s_->run_dir; }
  bool interrupted_by_signal() const { return signalled_; }

 private:
  void phase(const std::string& name) {
    s_->phase(name);
    if (options_.on_phase) options_.on_phase(name, *s_->supervisor);
  }

  // Every withdrawal may take two coins, and change comes back only with the next block.
  std::uint64_t coins() const {
    const double closed = e_.workload.clients * 1000.0 / std::max(20u, e_.workload.think_ms + 20);
    const double expected = (closed + e_.workload.rate_per_s) * e_.workload.duration_s;
    return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(expected * 1.3) + 200, 400, 5'000);
  }

  Status write_file(const std::string& name, const std::string& text) {
    return runtime::write_file_durably(fs::path(s_->run_dir) / name, as_bytes(text), 0644);
  }

  Status start() {
    phase("setup");
    faults_ = std::make_unique<FaultEngine>(
        s_->loop, *s_->log, *s_->supervisor, e_, schedule_,
        FaultEngine::Hooks{[this](ProcessName name, const std::vector<std::string>& lines) {
                             return s_->cluster->restart(name, lines);
                           },
                           [this](ProcessName node, const std::string& why) {
                             s_->cluster->note_node_height(node, why);
                           },
                           [this](ProcessName name) { return s_->cluster->keep_records(name); },
                           [this](ProcessName name, RecoverHow how, std::uint64_t fault_id) {
                             return s_->cluster->take_records(name, how, fault_id);
                           },
                           [this](ProcessName name, std::optional<Signal> how) {
                             return s_->cluster->set_token(name, how);
                           },
                           [this](ProcessName name, Signal how, Instant from, Instant to) {
                             return s_->cluster->token_calls(name, how, from, to);
                           }});
    s_->faults = faults_.get();
    const Status status = s_->cluster->start(
        kStartLimit, [this](const std::string& line) { progress_->line(line); },
        [this](ProcessName name) { return faults_->control_lines(name); });
    if (!status) return status;
    if (const Status written = write_file("environment.json", s_->cluster->environment_json());
        !written)
      return written;
    auto load = Load::create(
        s_->loop, e_.workload, e_.seed,
        LoadTarget{s_->cluster->coordinators(), s_->cluster->token(), s_->cluster->client(),
                   s_->cluster->accounts()},
        s_->run_dir + "/history.ndjson");
    if (!load) return load.error();
    load_ = std::move(load).value();
    return {};
  }

  void load_phase() {
    s_->cluster->start_mining(e_.cluster.block_interval_ms);
    began_ = s_->loop.now();
    phase("undisturbed");
    load_->begin(began_);
    faults_->begin(began_);
    tick_ = std::make_unique<runtime::Timer>(s_->loop, [this] { tick(); });
    tick_->arm(began_ + kTick);
    s_->loop.run();
    load_->stop();
    faults_->end();
  }

  void tick() {
    const Instant now = s_->loop.now();
    if (!disturbed_ && now >= began_ + seconds(e_.workload.undisturbed_s)) {
      disturbed_ = true;
      phase("disturbed");
    }
    show(now);
    check_stop_rules(now);
    if (!load_->broken().empty()) interrupt(load_->broken());
    if (stopped_ || now >= began_ + seconds(e_.workload.duration_s)) {
      s_->loop.stop();
      return;
    }
    tick_->arm(now + kTick);
  }

  void show(Instant now) {
    ProgressFacts facts;
    facts.elapsed_s = static_cast<double>((now - began_).us) / 1e6;
    facts.load = load_->counts();
    facts.fired = faults_->fired();
    for (const FaultInstance& planned : schedule_.instances)
      facts.scheduled += planned.victims.size();  // a fault a victim, as fired() counts
    for (const ProcessName& name : s_->supervisor->all()) {
      if (name.role == Role::Signer && s_->supervisor->serving(name)) ++facts.signers_up;
    }
    facts.signers = e_.cluster.signers;
    facts.threshold = e_.cluster.threshold;
    progress_->show(facts);
  }

  void check_stop_rules(Instant now) {
    stop_since_.resize(e_.stop.size());
    for (std::size_t i = 0; i < e_.stop.size(); ++i) {
      const StopRule& rule = e_.stop[i];
      const double value = rule.metric == "error_rate" ? load_->error_rate()
                           : rule.metric == "p99_ms"   ? load_->counts().p99_ms
                                                       : static_cast<double>(load_->counts().open);
      if (value <= rule.above) {
        stop_since_[i].reset();
      } else if (!stop_since_[i]) {
        stop_since_[i] = now;
      } else if (now - *stop_since_[i] >= milliseconds(rule.for_ms)) {
        interrupt("stop condition: " + rule.metric + " above " + std::to_string(rule.above) +
                  " for " + std::to_string(rule.for_ms) + " ms");
      }
    }
  }

  void interrupt(const std::string& why) {
    stopped_ = true;
    if (s_->cluster) s_->cluster->cancel_start();
    facts_.interrupted = true;
    facts_.interruption = why;
    progress_ ? progress_->line(why) : static_cast<void>(0);
    s_->loop.stop();
  }

  // Victims come back, clients get their answers, everything accepted settles; mining goes on.
  void heal() {
    if (facts_.interrupted) return;
    phase("drain");
    progress_->line("load ended; waiting for victims to return and for clients to be answered");
    const auto over = [this] {
      return stopped_ || (faults_->settled() && (load_->drained() || quorum_is_gone()));
    };
    if (!s_->loop.run_until(over, kFaultsSettle)) {
      problems_.push_back("after " + std::to_string(kFaultsSettle.us / 1000000) +
                          " s not every victim was back or not every client was answered");
    }
    if (quorum_is_gone()) return heal_without_quorum();
    progress_->line("waiting until every accepted withdrawal is settled");
    bool settled = false;
    bool asking = false;
    const Duration bound = options_.heal_s ? seconds(*options_.heal_s) : kHealBound;
    const Instant deadline = s_->loop.now() + bound;
    while (!settled && !stopped_ && s_->loop.now() < deadline) {
      if (!asking) {
        asking = true;
        s_->cluster->ask_settled([&](Result<bool> all) {
          asking = false;
          settled = all.ok() && *all;
        });
      }
      // A short wait between questions, cut short by the answer that ends it.
      [[maybe_unused]] const bool done =
          s_->loop.run_until([&] { return settled || stopped_; }, milliseconds(200));
    }
    // An answer that is still under way must not find this frame gone.
    [[maybe_unused]] const bool answered = s_->loop.run_until([&] { return !asking; }, seconds(25));
    if (!settled)
      problems_.push_back("not every accepted withdrawal settled within the heal bound");
  }

  // Declared (`expect: refusal`), and nobody is on the way back: too few signers stay for good.
  bool quorum_is_gone() const {
    if (e_.expect != Expectation::Refusal || !faults_->settled()) return false;
    std::uint32_t up = 0;
    for (const ProcessName& name : s_->supervisor->all()) {
      if (name.role == Role::Signer && s_->supervisor->serving(name)) ++up;
    }
    return up < e_.cluster.threshold;
  }

  // What was signed settles; what was not stays, and the checkers name it.
  void heal_without_quorum() {
    progress_->line("the quorum is gone for good: what was signed settles, the rest stays");
    const Duration blocks = milliseconds((kSettleBlocks + 2) * e_.cluster.block_interval_ms);
    [[maybe_unused]] const bool early =
        s_->loop.run_until([this] { return stopped_; }, blocks + kLastAnswers);
  }

  void finish() {
    phase("settle");
    const Status status = s_->cluster->finish(
        [this] { return resolve(); }, [this](const std::string& line) { progress_->line(line); });
    if (!status) problems_.push_back("end of run: " + status.error().message);
    load_->close();
    write_faults();
  }

  Status resolve() {
    bool done = false;
    load_->resolve([&done] { done = true; });
    if (!s_->loop.run_until([&done] { return done; }, seconds(30))) {
      return Error{ErrorKind::Network, "clients could not resolve all they did not know"};
    }
    return {};
  }

  void write_faults() {
    std::string text;
    for (const std::string& line : faults_->records()) text += line + "\n";
    if (const Status status = write_file("faults.ndjson", text); !status)
      problems_.push_back(status.error().message);
  }

  Result<check::Verdict> abandoned(const Error& error) {
    s_->cluster->stop_all();
    if (facts_.interrupted) return Error{ErrorKind::Preflight, facts_.interruption};
    if (error.kind == ErrorKind::Usage) return error;
    return Error{ErrorKind::Preflight, "the cluster did not start: " + error.message +
                                           " (logs: " + s_->run_dir + "/work)"};
  }

  Result<check::Verdict> written_verdict(const std::string& dir) {
    const auto journal = check::run_journal_json(dir, e_, facts_, {started_s_, std::time(nullptr)});
    if (!journal) return journal.error();
    if (const Status status = write_file("journal.json", *journal); !status) return status.error();
    Result<check::Verdict> verdict = check::judge_folder(dir);
    if (!verdict) return verdict;
    // The verdict last: where something went wrong before it, there is none.
    if (const Status status = sign_records(*journal, check::verdict_json(*verdict)); !status)
      return status.error();
    if (const Status status = write_file("verdict.json", check::verdict_json(*verdict)); !status)
      return status.error();
    return verdict;
  }

  // Once, by the shares that go with this process.
  Status sign_records(const std::string& journal, const std::string& verdict) {
    const RunIdentity* identity = s_->cluster->identity();
    if (identity == nullptr) return {};
    const std::string statement = evidence::identity_statement(journal, verdict);
    runtime::KernelEntropy entropy;
    const Result<Bytes> signature =
        identity->sign(crypto::tagged_hash(evidence::kRunIdentityTag,
                                           as_bytes(evidence::identity_message(statement))),
                       entropy);
    if (!signature) return signature.error();
    return write_file(evidence::kIdentityFile,
                      evidence::identity_envelope(statement, identity->key(), *signature));
  }

  Result<check::Verdict> verdict() {
    for (const std::string& exit : s_->supervisor->unasked_exits())
      facts_.unasked_exits.push_back(exit);
    facts_.problems = problems_;
    for (const ProcessName& name : s_->supervisor->all()) {
      double& slot = facts_.memory_mb[role_name(name.role)];
      slot = std::max(slot, static_cast<double>(s_->supervisor->peak_rss_kib(name)) / 1024.0);
    }
    const std::string dir = s_->run_dir;
    Result<check::Verdict> verdict = written_verdict(dir);
    // A folder that cannot be written or was taken away: not our error, and no verdict.
    if (!verdict) {
      std::string why = "there is no verdict: " + verdict.error().message;
      for (const std::string& problem : problems_) why += "; " + problem;
      return Error{ErrorKind::Preflight, why};
    }
    if (!options_.keep) {
      std::error_code ignored;  // what cannot be removed is litter, not a wrong verdict
      fs::remove_all(fs::path(dir) / "work", ignored);
    }
    return verdict;
  }

  Experiment e_;
  const RunOptions& options_;
  Schedule schedule_;
  std::unique_ptr<Session> s_;
  std::unique_ptr<runtime::TerminationSignals> signals_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<FaultEngine> faults_;
  std::unique_ptr<Load> load_;
  std::unique_ptr<runtime::Timer> tick_;
  std::vector<std::optional<Instant>> stop_since_;
  std::vector<std::string> problems_;
  check::RunFacts facts_;
  Instant began_{};
  std::int64_t started_s_ = std::time(nullptr);
  bool disturbed_ = false;
  bool stopped_ = false;
  bool signalled_ = false;
};

// Of a folder, these are what `roulette compare` runs; named by the user, one runs all the same.
constexpr std::string_view kForCompare = "compare-";

Result<std::vector<std::string>> experiment_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  std::size_t left_out = 0;
  for (const std::string& path : paths) {
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    for (const auto& entry : fs::directory_iterator(path)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".yaml" && extension != ".yml" && extension != ".json") continue;
      if (entry.path().filename().string().starts_with(kForCompare)) ++left_out;
      else inside.push_back(entry.path().string());
    }
    if (inside.empty())
      return Error{ErrorKind::Usage, path + ": no experiment (*.yaml, *.json) in this folder"};
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  if (left_out > 0)
    std::fprintf(stderr, "%zu files named compare-* are left to `roulette compare`\n", left_out);
  return files;
}

void print_schedule(const Experiment& experiment) {
  const Schedule schedule = draw_schedule(experiment);
  for (const FaultInstance& instance : schedule.instances) std::cout << describe(instance) << "\n";
  std::cout << "schedule_hash " << to_hex(schedule.hash) << "\n";
}

Result<Experiment> load(const std::string& path, const RunOptions& options) {
  const Result<Variables> variables = parse_variables(options.variables);
  if (!variables) return variables.error();
  Result<Experiment> experiment = load_experiment(path, *variables);
  if (!experiment) return experiment;
  if (names_members(options.binaries)) experiment = on_remote_etcd(*experiment);
  if (!experiment) return experiment;
  if (options.seed) experiment->seed = *options.seed;
  if (options.duration_s) experiment->workload.duration_s = *options.duration_s;
  if (experiment->workload.duration_s <= experiment->workload.undisturbed_s) {
    return Error{ErrorKind::Usage,
                 "--duration " + std::to_string(experiment->workload.duration_s) +
                     " leaves no time for faults after undisturbed_s"};
  }
  return experiment;
}

// Whose bundle of this run it would be.
void print_operator() {
  const Result<fs::path> path = evidence::default_key_path();
  const auto key = path ? evidence::read_operator_key(*path) : path.error();
  if (key) {
    std::cerr << "operator key " << evidence::fingerprint(key->public_key())
              << " signs what `roulette bundle` makes of this\n";
  } else {
    std::cerr << "nobody's key would sign a bundle of this: " << key.error().message << "\n";
  }
}

// One of several, as the table at the end names it.
struct Ran {
  std::string path;
  int code = kExitPass;
  std::optional<RunEnd> end;  // nothing: it never came to a verdict
  double took_s = 0;
};

Ran run_one(Experiment experiment, const RunOptions& options) {
  Ran ran;
  ran.path = experiment.path;
  const auto began = std::chrono::steady_clock::now();
  Result<RunEnd> end = run_experiment(std::move(experiment), options);
  ran.took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (!end) {
    ran.code = report_error(end.error());
    return ran;
  }
  if (options.json) std::cout << check::verdict_json(end->verdict) << std::endl;
  print_operator();
  print_verdict(end->verdict, end->run_dir, options.program);
  ran.code = check::verdict_exit_code(end->verdict.verdict);
  ran.end = std::move(end).value();
  return ran;
}

// The gravest of several: fail, then the user's errors, then inconclusive.
int gravest(int a, int b) {
  for (const int code : {kExitFail, kExitInternal, kExitUsage, kExitInconclusive}) {
    if (a == code || b == code) return code;
  }
  return std::max(a, b);
}

void print_suite(const std::vector<Ran>& all, std::size_t wanted) {
  std::fprintf(stderr, "\n%-32s %-13s %9s %12s %8s   %s\n", "experiment", "verdict", "settled",
               "faults", "seconds", "why, or where the records are");
  for (const Ran& ran : all) {
    const std::string name = fs::path(ran.path).filename().string();
    if (!ran.end) {
      std::fprintf(stderr, "%-32s %-13s %9s %12s %8.0f   its error is above\n", name.c_str(),
                   "none", "-", "-", ran.took_s);
      continue;
    }
    const check::Verdict& v = ran.end->verdict;
    const std::string faults =
        std::to_string(v.faults_proven) + " of " + std::to_string(v.faults_requested);
    std::fprintf(stderr, "%-32s %-13s %9llu %12s %8.0f   %s\n", name.c_str(),
                 check::verdict_name(v.verdict), static_cast<unsigned long long>(v.load_settled),
                 faults.c_str(), ran.took_s,
                 v.reasons.empty() ? ran.end->run_dir.c_str() : v.reasons.front().c_str());
  }
  if (all.size() < wanted)
    std::fprintf(stderr, "interrupted: %zu of %zu were not run\n", wanted - all.size(), wanted);
}

}  // namespace

Result<RunEnd> run_experiment(const std::string& path, const RunOptions& options) {
  Result<Experiment> experiment = load(path, options);
  if (!experiment) return experiment.error();
  return run_experiment(std::move(experiment).value(), options);
}

Result<RunEnd> run_experiment(Experiment experiment, const RunOptions& options) {
  Run run(std::move(experiment), options);
  Result<check::Verdict> verdict = run.execute();
  if (!verdict) return verdict.error();
  return RunEnd{std::move(verdict).value(), run.run_dir(), run.interrupted_by_signal()};
}

int run_command(const RunOptions& options) {
  const auto files = experiment_files(options.paths);
  if (!files) return report_error(files.error());
  int code = kExitPass;
  // A wrong file is told of before the first one runs, not an hour later.
  std::vector<Experiment> experiments;
  for (const std::string& file : *files) {
    Result<Experiment> experiment = load(file, options);
    if (experiment) experiments.push_back(std::move(experiment).value());
    else code = gravest(code, report_error(experiment.error()));
  }
  if (code != kExitPass) return code;
  if (options.dry_run) {
    for (const Experiment& experiment : experiments) print_schedule(experiment);
    return code;
  }
  std::vector<Ran> all;
  for (Experiment& experiment : experiments) {
    if (files->size() > 1)
      std::fprintf(stderr, "\n%zu of %zu: %s\n", all.size() + 1, files->size(),
                   experiment.path.c_str());
    all.push_back(run_one(std::move(experiment), options));
    code = gravest(code, all.back().code);
    if (all.back().end && all.back().end->interrupted_by_signal) break;
  }
  if (files->size() > 1) print_suite(all, files->size());
  return code;
}

}  // namespace roulette::chaos
