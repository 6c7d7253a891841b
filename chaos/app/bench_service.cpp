// `roulette bench service`: one ordinary run a row, and what their records say side by side. See
// commands.h.
//
// Invariant: a row that could not be measured ends the command with its reason and its run folder
// stays; the folders of the others are removed, as no figure needs them again.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chaos/app/bench_service.h"
#include "chaos/app/commands.h"
#include "chaos/bench/service.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using bench::ServiceRow;
using bench::ServiceSetup;
using nlohmann::json;

constexpr std::uint32_t kWarmUpS = 3;
constexpr std::uint32_t kHealS = 120;  // what 256 clients left unpaid on a slow machine
constexpr std::uint32_t kSlowDiskMs = 5;

std::vector<ServiceSetup> setups(const BenchOptions& options) {
  std::vector<ServiceSetup> out;
  for (const std::uint32_t clients : options.clients) out.push_back({clients, 5, 0});
  for (const std::uint16_t signers : options.signers) {
    if (signers != 5 || std::find(options.clients.begin(), options.clients.end(), 8U) ==
                            options.clients.end())
      out.push_back({8, signers, 0});
  }
  out.push_back({8, 5, kSlowDiskMs});
  return out;
}

std::string words(const ServiceSetup& setup) {
  return std::to_string(setup.clients) + " clients, " + std::to_string(setup.threshold()) + "-of-" +
         std::to_string(setup.signers) +
         (setup.commit_delay_ms > 0
              ? ", commits delayed by " + std::to_string(setup.commit_delay_ms) + " ms"
              : "");
}

Result<ServiceRow> measure(const ServiceSetup& setup, const BenchOptions& options) {
  const std::string text = bench::service_experiment(setup, kWarmUpS, options.seconds);
  auto experiment = parse_experiment(text, "service.json");
  if (!experiment) return experiment.error();
  experiment->path = "service.json";
  experiment->cluster.commit_delay_ms = setup.commit_delay_ms;
  bench::CpuSample before, after;
  RunOptions run;
  run.runs_dir = options.runs_dir;
  run.binaries = options.binaries;
  run.heal_s = kHealS;
  run.on_phase = [&](const std::string& phase, const Supervisor& processes) {
    if (phase == "disturbed") before = bench::sample_cpu(processes);
    if (phase == "drain") after = bench::sample_cpu(processes);
  };
  const Result<RunEnd> end = run_experiment(std::move(experiment).value(), run);
  if (!end) return end.error();
  auto row = bench::service_row(setup, end->run_dir, end->verdict, before, after);
  if (!row) return row;
  std::error_code failed;
  fs::remove_all(end->run_dir, failed);
  if (failed) return Error{ErrorKind::Io, end->run_dir + ": cannot be removed"};
  return row;
}

double rounded(double value) {
  return static_cast<double>(static_cast<std::int64_t>(value * 1000 + 0.5)) / 1000;
}

json json_of(const check::Quantiles& q) {
  return {{"n", q.n}, {"p50", rounded(q.p50)}, {"p99", rounded(q.p99)}, {"max", rounded(q.max)}};
}

json json_of(const ServiceRow& row, std::optional<double> ceiling) {
  json roles = json::object();
  for (const auto& [role, us] : row.role_cpu_us) roles[role] = rounded(us);
  const bool same = row.setup.signers == ServiceSetup{}.signers && row.setup.commit_delay_ms == 0;
  return {{"clients", row.setup.clients},
          {"signers", row.setup.signers},
          {"threshold", row.setup.threshold()},
          {"commit_delay_ms", row.setup.commit_delay_ms},
          {"seconds", rounded(row.seconds)},
          {"paid", row.paid},
          {"accepted", row.accepted},
          {"behind", row.behind},
          {"settled", row.settled},
          {"inputs", rounded(row.inputs)},
          {"per_second", rounded(row.per_second())},
          {"answer_ms", json_of(row.answer_ms)},
          {"share_min_ms", rounded(row.share_min_ms)},
          {"broadcast_ms", json_of(row.broadcast_ms)},
          {"cpu_us", {{"roles", roles}, {"sum", rounded(row.cpu_us())}}},
          {"load_cpu_us", rounded(row.load_cpu_us)},
          {"of_ceiling", ceiling && same ? json(rounded(row.per_second() / *ceiling))
                                         : json(nullptr)}};
}

void print(std::FILE* to, const std::vector<ServiceRow>& rows, std::optional<double> ceiling) {
  std::fprintf(to,
               "\nWithdrawals of a whole cluster, closed loop; CPU microseconds a withdrawal\n"
               "%7s %-8s %5s %8s %6s %15s %17s %7s %7s %7s %7s %7s %7s %7s %8s\n",
               "clients", "t-of-n", "delay", "paid/s", "behind", "answer p50/99",
               "at node p50/99", "coord", "signer", "ledger", "etcd", "node", "sum", "load",
               "ceiling");
  for (const ServiceRow& row : rows) {
    const auto of = [&row](const char* role) {
      const auto found = row.role_cpu_us.find(role);
      return found == row.role_cpu_us.end() ? 0.0 : found->second;
    };
    const std::string shape =
        std::to_string(row.setup.threshold()) + "-of-" + std::to_string(row.setup.signers);
    std::fprintf(to, "%7u %-8s %5u %8.1f %6llu %7.1f/%7.1f %8.1f/%8.1f", row.setup.clients,
                 shape.c_str(), row.setup.commit_delay_ms, row.per_second(),
                 static_cast<unsigned long long>(row.behind), row.answer_ms.p50, row.answer_ms.p99,
                 row.broadcast_ms.p50, row.broadcast_ms.p99);
    for (const char* role : {"coordinator", "signer", "ledger", "etcd", "bitcoind"})
      std::fprintf(to, " %7.0f", of(role));
    std::fprintf(to, " %7.0f %7.0f", row.cpu_us(), row.load_cpu_us);
    const bool same = row.setup.signers == ServiceSetup{}.signers && row.setup.commit_delay_ms == 0;
    if (ceiling && same) std::fprintf(to, " %7.0f%%", 100 * row.per_second() / *ceiling);
    std::fprintf(to, "\n");
  }
  if (ceiling)
    std::fprintf(to, "ceiling (cores / CPU seconds a withdrawal at 8 clients): %.0f a second\n",
                 *ceiling);
}

}  // namespace

Result<json> bench_service(const BenchOptions& options, std::FILE* to) {
  std::vector<ServiceRow> rows;
  for (const ServiceSetup& setup : setups(options)) {
    std::fprintf(stderr, "== %s\n", words(setup).c_str());
    auto row = measure(setup, options);
    if (!row) return row.error().with_context(words(setup));
    rows.push_back(std::move(row).value());
  }
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  const auto ceiling =
      bench::service_ceiling(rows, static_cast<unsigned>(std::max(cores, 1L)));
  print(to, rows, ceiling);
  json out = {{"cores", cores},
              {"ceiling_per_second", ceiling ? json(rounded(*ceiling)) : json(nullptr)},
              {"rows", json::array()}};
  for (const ServiceRow& row : rows) out["rows"].push_back(json_of(row, ceiling));
  return out;
}

}  // namespace roulette::chaos
