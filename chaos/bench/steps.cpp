// The rows of steps.h, registered with Google Benchmark and read back from its runs.
//
// Invariant: what a row times is the step alone. A share needs a nonce of its own each time, so
// those rows make a batch of nonces first and take the thread's CPU clock around the batch.
#include "chaos/bench/steps.h"

#include <algorithm>
#include <ctime>
#include <functional>
#include <map>
#include <memory>

#include <benchmark/benchmark.h>

#include "chaos/bench/module_peer.h"
#include "chaos/plan/prng.h"
#include "common/base/assert.h"
#include "common/crypto/hash.h"
#include "common/crypto/schemes.h"

namespace roulette::chaos::bench {
namespace {

using crypto::SelfCheck;

constexpr int kBatch = 8;
// Batches of a repetition: by time, a row's nonces and sessions would take its thousandfold.
constexpr int kBatches = 40;
constexpr int kBatchesOfManySigners = 8;
constexpr std::uint16_t kManySigners = 32;

class BenchEntropy final : public EntropySource {
 public:
  explicit BenchEntropy(std::uint64_t seed) : prng_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(prng_.next());
  }

 private:
  Prng prng_;
};

double thread_cpu_seconds() {
  timespec now{};
  ROULETTE_ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// `prepare` makes what the batch uses up, untimed; `step` is timed kBatch times.
void time_batches(benchmark::State& state, const std::function<void()>& prepare,
                  const std::function<void(int)>& step) {
  for ([[maybe_unused]] auto once : state) {
    prepare();
    const double before = thread_cpu_seconds();
    for (int i = 0; i < kBatch; ++i) step(i);
    state.SetIterationTime((thread_cpu_seconds() - before) / kBatch);
  }
}

// One scheme's group with the first t signers at work.
class Signers {
 public:
  Signers(const crypto::SchemeKind& kind, std::uint16_t n, std::uint16_t t)
      : entropy_(std::uint64_t{n} << 16 | t), message_(crypto::sha256(as_bytes("a sighash"))) {
    auto dealt = kind.deal(n, t, entropy_);
    ROULETTE_ASSERT(dealt.ok());
    group_ = dealt->group;
    std::vector<SignerId> ids;
    for (std::uint16_t i = 0; i < t; ++i) {
      ids.emplace_back(i);
      auto share = kind.share(SignerId(i), std::move(dealt->secrets[i]));
      ROULETTE_ASSERT(share.ok());
      shares_.push_back(std::move(share).value());
      nonces_.push_back(fresh(i).public_nonce());
    }
    auto set = group_->signer_set(ids);
    ROULETTE_ASSERT(set.ok());
    set_ = std::move(set).value();
  }

  crypto::SecretNonce fresh(std::size_t signer) {
    auto nonce = shares_[signer]->make_nonce(entropy_, *group_, as_bytes("a pool"));
    ROULETTE_ASSERT(nonce.ok());
    return std::move(nonce).value();
  }
  // Of signer 0's nonce `own` and what the others published before.
  crypto::SigningSessionPtr open(ByteSpan own) {
    std::vector<ByteSpan> nonces(nonces_.begin(), nonces_.end());
    nonces[0] = own;
    auto opened = set_->open(nonces, message_);
    ROULETTE_ASSERT(opened.ok());
    return std::get<crypto::SigningSessionPtr>(std::move(opened).value());
  }
  Bytes sign(crypto::SecretNonce&& nonce, const crypto::SigningSession& session, SelfCheck check) {
    auto share = shares_[0]->sign(std::move(nonce), session, check);
    ROULETTE_ASSERT(share.ok());
    return std::move(share).value();
  }
  // A complete session with all its shares.
  struct Round {
    crypto::SigningSessionPtr session;
    std::vector<Bytes> shares;
  };
  Round round() {
    std::vector<crypto::SecretNonce> secrets;
    std::vector<Bytes> publics;
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      secrets.push_back(fresh(i));
      publics.push_back(secrets.back().public_nonce());
    }
    auto opened = set_->open(std::vector<ByteSpan>(publics.begin(), publics.end()), message_);
    ROULETTE_ASSERT(opened.ok());
    Round out{std::get<crypto::SigningSessionPtr>(std::move(opened).value()), {}};
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      auto share = shares_[i]->sign(std::move(secrets[i]), *out.session, SelfCheck::Off);
      ROULETTE_ASSERT(share.ok());
      out.shares.push_back(std::move(share).value());
    }
    return out;
  }

  void time_nonce(benchmark::State& state) {
    for ([[maybe_unused]] auto once : state) benchmark::DoNotOptimize(fresh(0));
  }
  void time_session(benchmark::State& state) {
    const Bytes own = nonces_[0];
    for ([[maybe_unused]] auto once : state) benchmark::DoNotOptimize(open(own));
  }
  void time_share(benchmark::State& state, SelfCheck check) {
    std::vector<crypto::SecretNonce> secrets(kBatch);
    std::vector<crypto::SigningSessionPtr> sessions(kBatch);
    time_batches(
        state,
        [&] {
          for (int i = 0; i < kBatch; ++i) {
            secrets[i] = fresh(0);
            sessions[i] = open(secrets[i].public_nonce());
          }
        },
        [&](int i) {
          benchmark::DoNotOptimize(sign(std::move(secrets[i]), *sessions[i], check));
        });
  }
  void time_session_and_share(benchmark::State& state) {
    std::vector<crypto::SecretNonce> secrets(kBatch);
    std::vector<Bytes> publics(kBatch);
    time_batches(
        state,
        [&] {
          for (int i = 0; i < kBatch; ++i) {
            secrets[i] = fresh(0);
            publics[i] = secrets[i].public_nonce();
          }
        },
        [&](int i) {
          benchmark::DoNotOptimize(
              sign(std::move(secrets[i]), *open(publics[i]), SelfCheck::Off));
        });
  }
  void time_share_check(benchmark::State& state) {
    const Round made = round();
    for ([[maybe_unused]] auto once : state)
      ROULETTE_ASSERT(made.session->verify_share(SignerId(0), made.shares[0]));
  }
  void time_aggregate(benchmark::State& state) {
    const Round made = round();
    const std::vector<ByteSpan> shares(made.shares.begin(), made.shares.end());
    for ([[maybe_unused]] auto once : state) {
      auto signature = made.session->aggregate(shares);
      ROULETTE_ASSERT(signature.ok() && std::holds_alternative<Bytes>(*signature));
    }
  }

 private:
  BenchEntropy entropy_;
  Hash32 message_;
  crypto::SigningGroupPtr group_;
  std::vector<crypto::KeySharePtr> shares_;
  std::vector<Bytes> nonces_;
  crypto::SignerSetPtr set_;
};

// One number of the table, by its place in it.
struct Row {
  std::string subject;
  std::uint16_t t, n;
  std::string step;
  bool manual = false;  // times itself
  std::function<void(benchmark::State&)> run;
};

class Collector final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) error = run.benchmark_name() + ": " + run.error_message;
      if (run.run_type != Run::RT_Iteration || run.iterations == 0) continue;
      // A row that times itself has its sum where the clock on the wall would be.
      const bool manual = run.run_name.time_type == "manual_time";
      const double total = manual ? run.real_accumulated_time : run.cpu_accumulated_time;
      us[run.run_name.function_name].push_back(total / static_cast<double>(run.iterations) * 1e6);
    }
  }
  std::map<std::string, std::vector<double>> us;
  std::string error;
};

// Every (subject, t): the peers of one size stand beside each other.
void add_scheme(std::vector<Row>& rows, const crypto::SchemeKind& kind, std::uint16_t t,
                std::uint16_t n) {
  const bool all_sign = kind.facts().form == crypto::SignerForm::AllSigners;
  const std::uint16_t members = all_sign ? t : n;
  const auto signers = std::make_shared<Signers>(kind, members, t);
  const auto row = [&](const char* step, bool manual, std::function<void(benchmark::State&)> run) {
    rows.push_back({std::string(kind.facts().name), t, members, step, manual, std::move(run)});
  };
  row("nonce", false, [=](auto& state) { signers->time_nonce(state); });
  row("session", false, [=](auto& state) { signers->time_session(state); });
  row("share", true, [=](auto& state) { signers->time_share(state, SelfCheck::Off); });
  row("checked share", true, [=](auto& state) { signers->time_share(state, SelfCheck::On); });
  row("session+share", true, [=](auto& state) { signers->time_session_and_share(state); });
  row("share check", false, [=](auto& state) { signers->time_share_check(state); });
  row("aggregate", false, [=](auto& state) { signers->time_aggregate(state); });
}

void add_module(std::vector<Row>& rows, std::uint16_t t) {
  const auto peer = std::make_shared<ModulePeer>(t);
  const auto row = [&](const char* step, bool manual, std::function<void(benchmark::State&)> run) {
    rows.push_back({"libsecp256k1 musig", t, t, step, manual, std::move(run)});
  };
  const auto each = [&](const char* step, void (ModulePeer::*work)()) {
    row(step, false, [=](auto& state) {
      for ([[maybe_unused]] auto once : state) ((*peer).*work)();
    });
  };
  each("nonce", &ModulePeer::nonce);
  each("session", &ModulePeer::session);
  each("share check", &ModulePeer::share_check);
  each("aggregate", &ModulePeer::aggregate);
  row("share", true, [=](auto& state) {
    time_batches(state, [&] { peer->prepare(kBatch); }, [&](int i) { peer->share(i); });
  });
  row("session+share", true, [=](auto& state) {
    time_batches(
        state, [&] { peer->prepare(kBatch); },
        [&](int i) {
          peer->session();
          peer->share(i);
        });
  });
}

void add_operations(std::vector<Row>& rows) {
  const auto operations = std::make_shared<CurveOperations>();
  const auto row = [&](const char* subject, const char* step, void (CurveOperations::*work)()) {
    rows.push_back({subject, 1, 1, step, false, [=](auto& state) {
                      for ([[maybe_unused]] auto once : state) ((*operations).*work)();
                    }});
  };
  row("libsecp256k1 schnorrsig", "sign", &CurveOperations::sign);
  row("libsecp256k1 schnorrsig", "verify", &CurveOperations::verify);
  row("operation", "parse", &CurveOperations::parse);
  row("operation", "multiply G", &CurveOperations::multiply_generator);
  row("operation", "multiply", &CurveOperations::multiply);
  row("operation", "add 2", &CurveOperations::add);
  row("operation", "add 16", &CurveOperations::add_many);
}

// The curve operations of BIP 445's steps that no implementation on this library's public API can
// leave out; hashes and numbers modulo the order are not counted. A session parses 2t points, adds
// each half up, multiplies the second sum by b and adds; a check multiplies the signer's second
// nonce by b and its key by e * lambda (the multiple of G comes along) and adds.
double floor_of(const std::string& step, std::uint16_t t,
                const std::map<std::string, double>& cost) {
  const double multiply = cost.at("multiply"), add = cost.at("add 2");
  const double one_more = (cost.at("add 16") - add) / 14;  // point in the same sum
  if (step == "nonce") return 2 * cost.at("multiply G");
  if (step == "session" || step == "session+share")
    return 2 * t * cost.at("parse") + 2 * (add + (t - 2) * one_more) + multiply + add;
  if (step == "share check" || step == "checked share") return 2 * multiply + add;
  if (step == "aggregate") return cost.at("verify");
  return 0;  // numbers modulo the order alone
}

void fill_floors(StepsReport& report) {
  std::map<std::string, double> cost;
  for (const StepRow& row : report.operations) cost[row.step] = row.median_us();
  for (StepRow& row : report.rows) {
    if (row.subject != "frost") continue;
    const double floor = floor_of(row.step, row.t, cost);
    if (floor > 0) row.floor_us = floor;
  }
}

void fill_ratios(StepsReport& report) {
  for (const StepRow& row : report.rows) {
    if (row.subject != "frost") continue;
    for (const StepRow& peer : report.rows) {
      if (peer.subject != "libsecp256k1 musig" || peer.t != row.t || peer.step != row.step)
        continue;
      if (peer.median_us() > 0)
        report.ratios.push_back({row.step, row.t, row.median_us() / peer.median_us()});
    }
  }
}

}  // namespace

double median(std::span<const double> values) {
  if (values.empty()) return 0;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double StepRow::median_us() const {
  return median(us);
}

Result<StepsReport> measure_steps(const StepsOptions& options) {
  std::vector<Row> rows;
  add_operations(rows);
  for (const auto& [t, n] : options.shapes) {
    for (const crypto::SchemeKind& kind : crypto::all_schemes()) {
      if (kind.facts().nonce_size > 0) add_scheme(rows, kind, t, n);
    }
    add_module(rows, t);
  }
  std::string name = "roulette";
  std::string interleaved = "--benchmark_enable_random_interleaving=true";
  char* arguments[] = {name.data(), interleaved.data(), nullptr};
  int count = 2;
  benchmark::Initialize(&count, arguments);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto* registered = benchmark::RegisterBenchmark(
        std::to_string(i).c_str(), [run = rows[i].run](benchmark::State& state) { run(state); });
    registered->Repetitions(static_cast<int>(options.repetitions));
    if (rows[i].manual)
      registered->UseManualTime()->Iterations(
          rows[i].t >= kManySigners ? kBatchesOfManySigners : kBatches);
    else
      registered->MinTime(options.seconds);
  }
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  benchmark::ClearRegisteredBenchmarks();
  if (!collector.error.empty()) return Error{ErrorKind::Internal, collector.error};
  StepsReport report;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<double>& us = collector.us[std::to_string(i)];
    if (us.size() != options.repetitions)
      return Error{ErrorKind::Internal, "a row was not measured: " + rows[i].step};
    auto& into = rows[i].t == 1 ? report.operations : report.rows;
    into.push_back({rows[i].subject, rows[i].t, rows[i].n, rows[i].step, us, {}});
  }
  fill_floors(report);
  fill_ratios(report);
  return report;
}

}  // namespace roulette::chaos::bench
