// The run's figures: latencies by phase, recovery by role, availability.
//
// Invariant: quantiles are of measured values (nearest rank), never interpolated or smoothed;
// latency of a withdrawal counts from the client's intended start. Figures never decide a verdict,
// but the undisturbed p99 sets a bound.
#pragma once

#include <map>
#include <string>

#include "chaos/check/history.h"
#include "chaos/check/verdict.h"

namespace roulette::check {

[[nodiscard]] Quantiles quantiles(std::vector<double> values);
// Withdrawal id -> when a node was first known to hold its transaction, by an answer to a
// coordinator.
[[nodiscard]] std::map<std::string, std::int64_t> first_held(const History& history);
void measure(const History& history, Verdict& verdict);
// Request (intended start) to the ledger holding its signature, undisturbed, p99 in ms; nothing
// without a sample.
[[nodiscard]] std::optional<double> undisturbed_signed_p99_ms(const History& history);

}  // namespace roulette::check
