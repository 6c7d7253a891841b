// What one signature costs a coordinator that asks real signer processes for it: over mTLS, each
// signer's record committed to its journal before its share leaves.
//
// Invariant: a measured signature was aggregated and verified under the wallet's key; a refusal or
// a lost connection ends the measurement with its reason and is never left out of the figures. Each
// transaction is a new one with coins that no chain has, so nothing here can be paid.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chaos/live/cluster.h"

namespace roulette::chaos::bench {

enum class Rounds : std::uint8_t {
  Two,    // nonces are asked for when the signature is wanted
  Pooled  // they were there before (BIP 445's preprocessing); a scheme without nonces has one round
};

struct SigningSetup {
  std::string scheme;
  std::uint16_t t = 1, n = 1;
  Rounds rounds = Rounds::Pooled;
  unsigned in_flight = 1;  // signatures wanted at the same time
};

struct SigningRow {
  SigningSetup setup;
  std::size_t signatures = 0;
  double seconds = 0;                 // of wall time, all visits together
  std::vector<double> latency_us;     // wanted to verified, each signature
  double signer_cpu_us = 0;           // of all signer processes together, a signature
  double coordinator_cpu_us = 0;      // of this process, a signature
  [[nodiscard]] double per_second() const { return static_cast<double>(signatures) / seconds; }
  [[nodiscard]] double latency_quantile_us(double q) const;  // 0 for none
};

// A running set of signers, made ready when create() returns; destroying it ends its processes.
class SignerFleet {
 public:
  // `folder_of_runs`: where its run folder is made; removed again at the end.
  [[nodiscard]] static Result<std::unique_ptr<SignerFleet>> create(const std::string& runs_dir,
                                                                   const std::string& scheme,
                                                                   std::uint16_t t,
                                                                   std::uint16_t n,
                                                                   const BinaryOptions& binaries);
  ~SignerFleet();
  // `count` more signatures of this setup into the row.
  [[nodiscard]] Status measure(SigningRow& row, std::size_t count);

 private:
  struct State;
  explicit SignerFleet(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct SigningOptions {
  std::vector<SigningSetup> setups;
  std::size_t signatures = 400;  // of each setup
  unsigned visits = 8;           // in so many turns, so that the setups share the machine's moods
  std::string runs_dir = "runs";
  BinaryOptions binaries;
};
// All setups in turns. `on_progress` gets a line a turn.
[[nodiscard]] Result<std::vector<SigningRow>> measure_signing(
    const SigningOptions& options, const std::function<void(const std::string&)>& on_progress);

}  // namespace roulette::chaos::bench
