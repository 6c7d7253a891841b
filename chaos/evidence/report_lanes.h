// The timeline of a report: what each process did when, in slices of the run, and when it was away.
//
// Invariant: every slice names the first record that it stands for; a fault is never in a slice but
// a mark of its own, at its exact moment. Times are milliseconds since the load began.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "chaos/check/history.h"

namespace roulette::evidence {

// The event log by line, for the hash of a record that is shown.
class EventLines {
 public:
  explicit EventLines(std::string_view text);
  // RFC 6962 leaf hash of a line (from 1), as the Merkle root of chains.json has it; empty outside.
  [[nodiscard]] std::string leaf_hash(std::uint32_t line) const;

 private:
  std::vector<std::string_view> lines_;
};

// Of the run: when its load began and its records end, in us.
struct RunSpan {
  std::int64_t begin = 0, end = 0;
  [[nodiscard]] double ms(std::int64_t t_us) const {
    return static_cast<double>(t_us - begin) / 1000.0;
  }
};
[[nodiscard]] RunSpan span_of(const check::Events& events);

inline constexpr int kSlices = 480;

// `[{process, role, slices: [[slice, step, records, line, hash16]], away: [[from_ms, to_ms, why,
// line]]}]`, by role and number.
[[nodiscard]] nlohmann::ordered_json lanes_json(const check::History& history,
                                                const EventLines& lines, const RunSpan& span);
// `[[ms, signers ready]]`, each change.
[[nodiscard]] nlohmann::ordered_json quorum_json(const check::Events& events,
                                                 const RunSpan& span);

}  // namespace roulette::evidence
