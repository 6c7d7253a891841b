// What became of the cells of a matrix: matrix.json, JUnit XML, the heat map, the exit code.
//
// Invariant: every selected cell is counted exactly once; a cell counts as exercised only when its
// fault fired with proof, its outcome was the expected one and its cluster's records passed. Pure:
// text in memory, written by the tool.
#pragma once

#include <string>
#include <vector>

#include "chaos/plan/matrix.h"

namespace roulette::chaos {

enum class CellStatus : std::uint8_t {
  NotRun,       // the matrix ended before its turn
  Exercised,
  Unreachable,  // its situation could not be brought about: the reason says what was tried
  Unproven,     // the fault has no proof of its kind, or the records do not suffice for a verdict
  Failed,       // the outcome was another, or an invariant was violated in its cluster's life
};
[[nodiscard]] std::string_view status_name(CellStatus status);

struct CellResult {
  std::string id, point, blow, victims, occurrence, expected;
  CellStatus status = CellStatus::NotRun;
  std::string reason;                // of every status but Exercised
  std::vector<std::string> struck;   // names of the victims
  std::string scheme = "frost";      // what its signers sign with
  std::string life;                  // folder of the cluster's records
  std::uint64_t fault_id = 0;        // in its faults.ndjson
  double took_ms = 0;
};
[[nodiscard]] CellResult result_of(const Cell& cell);  // NotRun

struct MatrixReport {
  std::string kind;  // "live" or "simulated"
  std::string scheme = "frost";
  std::uint64_t seed = 0;
  std::string points;
  double took_s = 0;
  std::size_t lives = 0;
  std::vector<CellResult> cells;

  [[nodiscard]] std::size_t count(CellStatus status) const;
  // DESIGN 9: 1 when a cell failed; 2 when one has no outcome or over 5 % are unreachable; else 0.
  [[nodiscard]] int exit_code() const;
};

[[nodiscard]] std::string matrix_json(const MatrixReport& report);
[[nodiscard]] std::string matrix_junit(const MatrixReport& report);
[[nodiscard]] std::string matrix_heat_map(const MatrixReport& report);

}  // namespace roulette::chaos
