// The facts of a run in other tools' formats: files of a bundle that are functions of its records.
//
// Invariant: the same records and verdict give the same bytes, so verify makes them again and
// compares. Nothing is judged here and nothing is left out that would make a run look better.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chaos/check/history.h"
#include "chaos/check/verdict.h"
#include "chaos/evidence/attached.h"

namespace roulette::evidence {

// Raised by whoever changes what the same records give in a view, by a byte: a bundle says which
// views it has, and a build that makes others does not call it inconsistent.
inline constexpr std::int64_t kViews = 1;

struct View {
  std::string name;  // within the run's folder
  std::string content;
};

// `environment`, `journal` and `events` are texts of their files.
struct Facts {
  std::string run;
  const check::History& history;
  const check::Verdict& verdict;
  std::string_view environment, journal, events;
  AttachedTexts attached;  // they hold: check_attached()
};

[[nodiscard]] std::vector<View> views_of(const Facts& facts);

// ---- one a file (view_*.cpp) ----
// A case for each invariant and each fault: failed, skipped (not exercised, inconclusive, not
// fired), or passed. Source: the JUnit XML of Ant as Jenkins' xunit schema has it.
[[nodiscard]] std::string junit_xml(const Facts& facts);
// report.json: all that a report shows (`{format: "roulette-report", version: 1, ...}`, one line).
[[nodiscard]] std::string report_json(const Facts& facts);
// operations.csv: a row an operation of the client, RFC 4180, with a heading.
[[nodiscard]] std::string operations_csv(const Facts& facts);
// chaos-toolkit/journal.json: the Chaos Toolkit's "Experiment Journal". `run` has the method's
// activity and one for each fault; `deviated` too when the verdict is `fail`.
[[nodiscard]] std::string chaos_toolkit_journal(const Facts& facts);
// oscal/assessment-plan.json and oscal/assessment-results.json: OSCAL 1.1.2; an objective, an
// observation and a finding for each invariant, an observation for each fault.
[[nodiscard]] std::string oscal_plan(const Facts& facts);
[[nodiscard]] std::string oscal_results(const Facts& facts);

}  // namespace roulette::evidence
