// What one step of a signing costs, for every scheme with nonces and several sizes of quorum,
// beside libsecp256k1's own schnorr and MuSig2 functions and the counted-operations floor.
//
// Invariant: all rows are of one process and one run, interleaved at random by Google Benchmark, so
// that they may be divided by each other. A figure is the median of the repetitions. Nothing is
// judged here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace roulette::chaos::bench {

// Steps, in the order of a signing:
//   nonce            a signer's pair of nonces with its public bytes
//   session          from the public nonces' bytes and the message; the signer set is kept
//   share            from an open session, without the check of the own share
//   checked share    the same with it, as signers run it
//   session+share    both, what a signer does between a request and its record
//   share check      of one other signer's share
//   aggregate        adds t shares and verifies the signature once
//   sign, verify     one key's BIP 340 signature
struct StepRow {
  std::string subject;  // a scheme's name, "libsecp256k1 musig", "libsecp256k1 schnorrsig"
  std::uint16_t t = 1;
  std::uint16_t n = 1;
  std::string step;
  std::vector<double> us;  // a repetition each, microseconds of CPU time
  std::optional<double> floor_us;  // of the curve operations that the step cannot do without
  [[nodiscard]] double median_us() const;
};

struct StepsOptions {
  double seconds = 0.05;  // of each repetition of each row
  unsigned repetitions = 9;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> shapes{{2, 3}, {3, 5}, {11, 15}, {67, 100}};
};

// A row of frost divided by the module's for the same t.
struct StepRatio {
  std::string step;
  std::uint16_t t = 1;
  double ratio = 0;  // frost / libsecp256k1 musig
};

struct StepsReport {
  std::vector<StepRow> rows;
  std::vector<StepRow> operations;  // what the floors are made of
  std::vector<StepRatio> ratios;
};

// Fails when Google Benchmark reports an error for a row.
[[nodiscard]] Result<StepsReport> measure_steps(const StepsOptions& options);

[[nodiscard]] double median(std::span<const double> values);  // 0 for none

}  // namespace roulette::chaos::bench
