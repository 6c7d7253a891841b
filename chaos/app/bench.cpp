// `roulette bench`: what signing costs here, peers beside each other in one run. See commands.h.
//
// Invariant: prints what was measured and judges nothing; a part that could not be measured is an
// error, not an empty table.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include <nlohmann/json.hpp>

#include "chaos/app/bench_service.h"
#include "chaos/app/commands.h"
#include "chaos/bench/signing.h"
#include "chaos/bench/steps.h"
#include "chaos/live/environment.h"
#include "common/crypto/schemes.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

double rounded(double value) {
  return static_cast<double>(static_cast<std::int64_t>(value * 1000 + 0.5)) / 1000;
}

json steps_json(const bench::StepsReport& report) {
  const auto rows = [](const std::vector<bench::StepRow>& of) {
    json out = json::array();
    for (const bench::StepRow& row : of) {
      out.push_back({{"subject", row.subject},
                     {"t", row.t},
                     {"n", row.n},
                     {"step", row.step},
                     {"median_us", rounded(row.median_us())},
                     {"min_us", rounded(*std::min_element(row.us.begin(), row.us.end()))},
                     {"max_us", rounded(*std::max_element(row.us.begin(), row.us.end()))},
                     {"repetitions", row.us.size()},
                     {"floor_us", row.floor_us ? json(rounded(*row.floor_us)) : json(nullptr)}});
    }
    return out;
  };
  json ratios = json::array();
  for (const bench::StepRatio& ratio : report.ratios)
    ratios.push_back(
        {{"step", ratio.step}, {"t", ratio.t}, {"frost_over_musig", rounded(ratio.ratio)}});
  return {
      {"rows", rows(report.rows)}, {"operations", rows(report.operations)}, {"ratios", ratios}};
}

void print_steps(std::FILE* to, const bench::StepsReport& report) {
  std::fprintf(to, "\nSteps of a signing, microseconds of CPU, median of the repetitions\n");
  std::fprintf(to, "%-24s %-10s %-14s %9s %9s %9s\n", "subject", "t-of-n", "step", "median",
               "floor", "x floor");
  const auto print = [to](const bench::StepRow& row) {
    const std::string shape = std::to_string(row.t) + "-of-" + std::to_string(row.n);
    std::fprintf(to, "%-24s %-10s %-14s %9.2f", row.subject.c_str(), shape.c_str(),
                 row.step.c_str(), row.median_us());
    if (row.floor_us)
      std::fprintf(to, " %9.2f %9.2f", *row.floor_us, row.median_us() / *row.floor_us);
    std::fprintf(to, "\n");
  };
  for (const bench::StepRow& row : report.operations) print(row);
  for (const bench::StepRow& row : report.rows) print(row);
  std::fprintf(to, "\nfrost divided by libsecp256k1's MuSig2 module, same t, same run\n");
  for (const bench::StepRatio& ratio : report.ratios)
    std::fprintf(to, "%-14s t=%-4u %6.2f\n", ratio.step.c_str(), ratio.t, ratio.ratio);
}

const char* rounds_name(const bench::SigningRow& row) {
  const crypto::SchemeKind* kind = crypto::scheme_by_name(row.setup.scheme);
  if (kind != nullptr && kind->facts().nonce_size == 0) return "one round";
  return row.setup.rounds == bench::Rounds::Pooled ? "pooled" : "two rounds";
}

json signing_json(const std::vector<bench::SigningRow>& rows) {
  json out = json::array();
  for (const bench::SigningRow& row : rows) {
    out.push_back({{"scheme", row.setup.scheme},
                   {"t", row.setup.t},
                   {"n", row.setup.n},
                   {"rounds", rounds_name(row)},
                   {"in_flight", row.setup.in_flight},
                   {"signatures", row.signatures},
                   {"per_second", rounded(row.per_second())},
                   {"p50_us", row.latency_quantile_us(0.5)},
                   {"p99_us", row.latency_quantile_us(0.99)},
                   {"signers_cpu_us", rounded(row.signer_cpu_us)},
                   {"coordinator_cpu_us", rounded(row.coordinator_cpu_us)}});
  }
  return out;
}

void print_signing(std::FILE* to, const std::vector<bench::SigningRow>& rows) {
  std::fprintf(to,
               "\nA signature of real signer processes over mTLS, journals durable\n"
               "%-10s %-8s %-11s %9s %11s %9s %9s %12s %12s\n",
               "scheme", "t-of-n", "rounds", "in flight", "signatures", "p50 us", "p99 us",
               "per second", "CPU us");
  for (const bench::SigningRow& row : rows) {
    const std::string shape = std::to_string(row.setup.t) + "-of-" + std::to_string(row.setup.n);
    std::fprintf(to, "%-10s %-8s %-11s %9u %11zu %9.0f %9.0f %12.0f %12.0f\n",
                 row.setup.scheme.c_str(), shape.c_str(), rounds_name(row), row.setup.in_flight,
                 row.signatures, row.latency_quantile_us(0.5), row.latency_quantile_us(0.99),
                 row.per_second(), row.signer_cpu_us + row.coordinator_cpu_us);
  }
  const auto find = [&](const char* scheme, bench::Rounds rounds) -> const bench::SigningRow* {
    for (const bench::SigningRow& row : rows) {
      if (row.setup.scheme == scheme && row.setup.rounds == rounds && row.setup.in_flight == 1)
        return &row;
    }
    return nullptr;
  };
  const auto* single = find("single", bench::Rounds::Pooled);
  const auto* pooled = find("frost", bench::Rounds::Pooled);
  if (single != nullptr && pooled != nullptr)
    std::fprintf(to, "frost pooled / single signer, p50: %.2f\n",
                 pooled->latency_quantile_us(0.5) / single->latency_quantile_us(0.5));
}

// One signature wanted at a time, then eight.
std::vector<bench::SigningSetup> setups() {
  std::vector<bench::SigningSetup> out;
  for (const unsigned in_flight : {1U, 8U}) {
    for (const crypto::SchemeKind& kind : crypto::all_schemes()) {
      const std::string scheme(kind.facts().name);
      switch (kind.facts().form) {
        case crypto::SignerForm::OneSigner:
          out.push_back({scheme, 1, 1, bench::Rounds::Pooled, in_flight});
          break;
        case crypto::SignerForm::AllSigners:
          out.push_back({scheme, 3, 3, bench::Rounds::Pooled, in_flight});
          out.push_back({scheme, 3, 3, bench::Rounds::Two, in_flight});
          break;
        case crypto::SignerForm::AnyThreshold:
          out.push_back({scheme, 3, 5, bench::Rounds::Pooled, in_flight});
          out.push_back({scheme, 3, 5, bench::Rounds::Two, in_flight});
          break;
      }
    }
  }
  return out;
}

}  // namespace

int bench_command(const BenchOptions& options) {
  const auto wanted = [&options](const char* part) {
    return options.parts.empty() || std::find(options.parts.begin(), options.parts.end(), part) !=
                                        options.parts.end();
  };
  const Result<std::string> runs = runs_folder(options.runs_dir);
  if (!runs) return report_error(runs.error());
  json out = {{"format", "roulette-bench"},
              {"version", 1},
              {"machine", json::parse(machine_json(*runs))}};
  std::FILE* to = options.json ? stderr : stdout;
  if (wanted("steps")) {
    std::fprintf(stderr, "measuring steps\n");
    bench::StepsOptions steps;
    steps.repetitions = options.repetitions;
    const auto report = bench::measure_steps(steps);
    if (!report) return report_error(report.error());
    print_steps(to, *report);
    out["steps"] = steps_json(*report);
  }
  if (wanted("signing")) {
    bench::SigningOptions signing;
    signing.setups = setups();
    signing.signatures = options.signatures;
    signing.runs_dir = options.runs_dir;
    signing.binaries = options.binaries;
    const auto rows = bench::measure_signing(
        signing, [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); });
    if (!rows) return report_error(rows.error());
    print_signing(to, *rows);
    out["signing"] = signing_json(*rows);
  }
  if (wanted("service")) {
    auto service = bench_service(options, to);
    if (!service) return report_error(service.error());
    out["service"] = std::move(service).value();
  }
  const std::string text = out.dump(2) + "\n";
  if (options.json) std::cout << text;
  if (options.out_file.empty()) return kExitPass;
  const Status written =
      runtime::write_file_durably(options.out_file, as_bytes(text), 0644);
  return written ? kExitPass : report_error(written.error());
}

}  // namespace roulette::chaos
