// Starting, settling, closing and judging one life: see matrix_cluster.h.
#include "chaos/app/matrix_cluster.h"

#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "chaos/app/cell_payments.h"
#include "chaos/live/node.h"
#include "chaos/plan/matrix.h"
#include "common/base/limits.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;

constexpr Duration kStartLimit = seconds(60);
constexpr Duration kDrainLimit = seconds(45);
constexpr Duration kLeastBound = seconds(2);  // DESIGN 9, quorum-continuity
constexpr int kBoundFactor = 20;
constexpr std::uint64_t kCoins = 400;
constexpr std::size_t kUndisturbedPayments = 8;
constexpr std::uint32_t kBlocksPerSettling = 4;  // settle depth, and one so that nothing hangs
constexpr Duration kNextQuestion = milliseconds(20);
constexpr Duration kNextBlock = milliseconds(400);

// What the checkers need to know of a life; its faults come from the cells, none from a schedule.
Experiment experiment_of(const MatrixCluster::Options& options) {
  Experiment e;
  e.title = "A life of the kill matrix";
  e.seed = options.seed;
  e.cluster = options.plan;
  e.workload.clients = 0;
  e.workload.rate_per_s = 0;
  e.workload.undisturbed_s = 0;
  e.workload.min_amount_sat = 10'000;
  e.workload.max_amount_sat = 200'000;
  e.cluster.snapshot_interval = limits::kCheckpointInterval;  // the shortest: a life is short
  e.floor.settled = 1;
  e.path = "matrix";
  for (const char* id :
       {"no-duplicate-payment", "no-lost-withdrawal", "no-partial-transaction",
        "idempotency-key-respected", "no-conflicting-signature", "share-has-its-record",
        "signing-policy-respected", "quorum-continuity",
        "orderly-stop-finishes", "ledger-replicas-agree", "books-balance", "chain-matches-ledger",
        "limits-respected"})
    e.require.emplace_back(id);
  if (matrix_scheme(e.cluster).nonces) e.require.emplace_back("nonce-never-reused");
  if (options.expects_refusal) e.require.emplace_back("safe-refusal");
  return e;
}

}  // namespace

MatrixCluster::MatrixCluster(const Options& options)
    : options_(options),
      experiment_(experiment_of(options)),
      schedule_(draw_schedule(experiment_)),
      prng_(options.seed) {}

MatrixCluster::~MatrixCluster() = default;

Status MatrixCluster::start() {
  auto session = Session::create(options_.lives_dir, "life");
  if (!session) return session.error();
  s_ = std::move(session).value();
  signals_ = std::make_unique<runtime::TerminationSignals>(s_->loop, [this] {
    interrupted_ = true;
    if (s_->cluster) s_->cluster->cancel_start();
  });
  if (const Status made = s_->prepare(experiment_.cluster, kCoins, options_.binaries); !made)
    return made;
  s_->phase("setup");
  for (std::size_t i = 0; i < options_.first_starts; ++i) {
    unstarted_.insert(
        {Role::Signer, static_cast<std::uint16_t>(experiment_.cluster.signers - 1 - i)});
  }
  s_->cluster->start_later(unstarted_);
  faults_ = std::make_unique<FaultEngine>(
      s_->loop, *s_->log, *s_->supervisor, experiment_, schedule_,
      FaultEngine::Hooks{[this](ProcessName name, std::vector<std::string> lines) {
                           if (more_control_lines) {
                             for (std::string& line : more_control_lines(name))
                               lines.push_back(std::move(line));
                           }
                           return s_->cluster->restart(name, lines);
                         },
                         [this](ProcessName node, const std::string& why) {
                           s_->cluster->note_node_height(node, why);
                         },
                         {},
                         {}});
  s_->faults = faults_.get();
  const Status up = s_->cluster->start(
      kStartLimit, [](const std::string&) {},
      [](ProcessName) { return std::vector<std::string>{}; });
  if (!up) return up;
  if (const Status written = runtime::write_file_durably(
          fs::path(s_->run_dir) / "environment.json", as_bytes(s_->cluster->environment_json()),
          0644);
      !written)
    return written;
  LoadTarget target{s_->cluster->coordinators(), s_->cluster->token(), s_->cluster->client(),
                   s_->cluster->accounts()};
  target.request_deadline = milliseconds(500);
  target.longest_retry = milliseconds(100);
  auto load = Load::create(s_->loop, experiment_.workload, options_.seed, std::move(target),
                           s_->run_dir + "/history.ndjson");
  if (!load) return load.error();
  load_ = std::move(load).value();
  watch_ = std::make_unique<SessionWatch>(s_->run_dir, experiment_.cluster.coordinators,
                                          experiment_.cluster.ledgers);
  faults_->begin(s_->loop.now());
  return measure_undisturbed();
}

Status MatrixCluster::measure_undisturbed() {
  s_->phase("undisturbed");
  load_->begin(s_->loop.now());
  CellPayments payments(s_->loop, *load_, *s_->supervisor, plan().coordinators);
  payments.feed(2, kUndisturbedPayments);
  const bool done = wait(
      [&] { return payments.made() == kUndisturbedPayments && payments.all_signed(); },
      seconds(20));
  if (!done || !settle(seconds(20)))
    return Error{ErrorKind::Preflight, "the undisturbed cluster did not sign and settle in time"};
  bound_ = std::max(kLeastBound, payments.slowest() * kBoundFactor);
  s_->phase("disturbed");
  return {};
}

bool MatrixCluster::wait(const std::function<bool()>& done, Duration limit) {
  bool met = false;
  [[maybe_unused]] const bool early = s_->loop.run_until(
      [&] {
        met = done();
        return met || interrupted_;
      },
      limit);
  return met && !interrupted_;
}

void MatrixCluster::pause(Duration time) {
  [[maybe_unused]] const bool never = wait([] { return false; }, time);
}

Stranger* MatrixCluster::stranger() {
  if (!stranger_) {
    auto made = Stranger::create(s_->loop, *s_->cluster);
    if (made) stranger_ = std::move(made).value();
  }
  return stranger_.get();
}

Status MatrixCluster::start_process(ProcessName name) {
  unstarted_.erase(name);
  return s_->cluster->restart(
      name, more_control_lines ? more_control_lines(name) : std::vector<std::string>{});
}

std::vector<ProcessName> MatrixCluster::alive(Role role) const {
  std::vector<ProcessName> out;
  for (const ProcessName& name : s_->supervisor->all()) {
    if (name.role == role && s_->supervisor->pid(name)) out.push_back(name);
  }
  return out;
}

bool MatrixCluster::mine(std::uint32_t blocks) {
  if (!s_->supervisor->serving({Role::Bitcoind, 0})) return false;
  return s_->cluster->node()
      .wait("generatetoaddress",
            nlohmann::json::array({blocks, s_->cluster->miner_address()}), seconds(10))
      .ok();
}

bool MatrixCluster::settle(Duration limit) {
  const Instant deadline = s_->loop.now() + limit;
  struct Asked {
    bool open = false, settled = false;
    Instant next{};
  };
  const auto asked = std::make_shared<Asked>();
  std::uint32_t blocks = kBlocksPerSettling;
  while (s_->loop.now() < deadline && !interrupted_) {
    if (!mine(blocks)) pause(milliseconds(100));
    blocks = 1;
    const Instant next = s_->loop.now() + kNextBlock;
    const bool settled = wait(
        [&] {
          if (!asked->open && !asked->settled && s_->loop.now() >= asked->next) {
            asked->open = true;
            asked->next = s_->loop.now() + kNextQuestion;
            s_->cluster->ask_settled([asked](Result<bool> all) {
              asked->open = false;
              asked->settled = all.ok() && *all;
            });
          }
          return asked->settled;
        },
        next - s_->loop.now());
    if (settled) return true;
  }
  return false;
}

Status MatrixCluster::start_missing() {
  const std::set<ProcessName> missing = unstarted_;
  for (const ProcessName& name : missing) {
    if (const Status started = start_process(name); !started) return started;
  }
  return {};
}

// Nothing is struck any more: the obligations of quorum-continuity that cells cut short get their
// whole time once, in every life.
void MatrixCluster::quiet_end() {
  const auto& supervisor = *s_->supervisor;
  CellPayments payments(s_->loop, *load_, *s_->supervisor, plan().coordinators);
  payments.feed(2, kUndisturbedPayments);
  if (!wait([&] { return payments.made() == kUndisturbedPayments && payments.all_signed(); },
            bound_ * 2))
    problems_.push_back("the last withdrawals of the life were not signed in time");
  const auto stands = [&] {
    const auto all = supervisor.all();
    return std::all_of(all.begin(), all.end(), [&](const ProcessName& n) {
      return supervisor.serving(n);
    });
  };
  [[maybe_unused]] const bool fell = wait([&] { return !stands(); }, bound_ + milliseconds(200));
}

void MatrixCluster::drain() {
  s_->phase("drain");
  faults_->recover_now();
  if (const Status started = start_missing(); !started)
    problems_.push_back(started.error().message);
  const auto& supervisor = *s_->supervisor;
  const auto back = [&] {
    const auto all = supervisor.all();
    return faults_->settled() && load_->drained() &&
           std::all_of(all.begin(), all.end(),
                       [&](const ProcessName& name) { return supervisor.serving(name); });
  };
  if (!wait(back, kDrainLimit)) problems_.push_back("not every process or client came back");
  quiet_end();
  load_->stop();
  if (!settle(kDrainLimit))
    problems_.push_back("not every accepted withdrawal settled within the heal bound");
}

Status MatrixCluster::resolve() {
  bool done = false;
  load_->resolve([&done] { done = true; });
  if (s_->loop.run_until([&done] { return done; }, seconds(30))) return {};
  return Error{ErrorKind::Network, "clients could not resolve all they did not know"};
}

Result<check::Verdict> MatrixCluster::close() {
  more_control_lines = {};
  s_->on_hit = {};
  s_->on_seen = {};
  check::RunFacts facts;
  if (interrupted_) return Error{ErrorKind::Preflight, "interrupted by a signal"};
  drain();
  stranger_.reset();
  s_->phase("settle");
  const Status finished =
      s_->cluster->finish([this] { return resolve(); }, [](const std::string&) {});
  if (!finished) problems_.push_back("end of run: " + finished.error().message);
  load_->close();
  std::string text;
  for (const std::string& line : faults_->records()) text += line + "\n";
  if (const Status written = runtime::write_file_durably(fs::path(s_->run_dir) / "faults.ndjson",
                                                         as_bytes(text), 0644);
      !written)
    return written.error();
  if (interrupted_) return Error{ErrorKind::Preflight, "interrupted by a signal"};
  for (const std::string& exit : s_->supervisor->unasked_exits())
    facts.unasked_exits.push_back(exit);
  facts.problems = problems_;
  facts.unscheduled = faults_->unscheduled();
  facts.schedule_hash = to_hex(schedule_.hash);
  Result<check::Verdict> verdict = check::judge(s_->run_dir, experiment_, facts);
  if (!verdict) return verdict;
  if (const Status written =
          runtime::write_file_durably(fs::path(s_->run_dir) / "verdict.json",
                                      as_bytes(check::verdict_json(*verdict)), 0644);
      !written)
    return written.error();
  if (!options_.keep && verdict->verdict == check::VerdictKind::Pass) {
    std::error_code ignored;  // what cannot be removed is litter, not a wrong verdict
    fs::remove_all(fs::path(s_->run_dir) / "work", ignored);
  }
  return verdict;
}

void MatrixCluster::write_cells(const std::string& text) const {
  const Status written =
      runtime::write_file_durably(fs::path(s_->run_dir) / "cells.json", as_bytes(text), 0644);
  if (!written)
    std::fprintf(stderr, "roulette: cells.json: %s\n", written.error().message.c_str());
}

}  // namespace roulette::chaos
