// The end-of-run assertion of every simulated story, with what is needed to repeat a failed one.
//
// Invariant: a story that is not green prints its options and the last lines of its trace.
#pragma once

#include <catch2/catch.hpp>

#include "chaos/sim/story.h"

namespace roulette::sim {

inline std::string report(const StoryOptions& options, const Outcome& outcome) {
  std::string text;
  if (outcome.violations.empty()) return text;
  text = to_text(options);
  for (const std::string& place : outcome.struck_at) text += "struck at " + place + "\n";
  for (const Violation& violation : outcome.violations) {
    text += violation.id + ": " + violation.text + "\n";
  }
  return text + outcome.trace;
}

inline Outcome require_green(const StoryOptions& options) {
  Outcome outcome = run_story(options);
  INFO(report(options, outcome));
  CHECK(outcome.violations.empty());
  return outcome;
}

// Of a schedule in its text form, as a sweep's finding is kept: a seed would mean something else
// with the next draw that is added.
inline Outcome require_green_text(std::string_view text) {
  const auto schedule = parse_schedule(text);
  REQUIRE(schedule.ok());
  return require_green({*schedule, {}});
}

inline bool reports(const Outcome& outcome, const std::string& id) {
  return std::any_of(outcome.violations.begin(), outcome.violations.end(),
                     [&](const Violation& violation) { return violation.id == id; });
}

}  // namespace roulette::sim
