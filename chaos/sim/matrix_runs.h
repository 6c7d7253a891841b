// The kill matrix on the simulated host: one short story a cell, struck at one place or at two.
//
// Invariant: a story is the same up to its first strike whatever comes after, so a run without the
// second strike tells exactly which pass the second one must name; a cell whose strikes did not
// land where they were meant is unreachable, never green. Points have the names of the live ones
// where both exist ("signer.persist.signing_record.before"). Judges by judge.h, story by story.
#pragma once

#include <string>
#include <vector>

#include "chaos/plan/matrix_report.h"
#include "chaos/sim/story.h"

namespace roulette::sim {

struct MatrixPoint {
  Role role{};
  std::string point;   // "send.partial_signature", as Fault::point
  bool after = false;
  std::string name;    // "signer.send.partial_signature.after"
  std::string prelude; // how a story comes to pass it: "" or the role that is killed before
};

// What all stories of a matrix have in common. Signers in the shape that an experiment has by
// default; where all of them sign nobody may lose a journal, so nobody moves to a new share epoch.
struct MatrixStory {
  std::uint64_t seed = 1;
  SimScheme scheme = SimScheme::Frost;
};

// Every place that processes pass in a story, or after one of them was killed; in a fixed order.
[[nodiscard]] std::vector<MatrixPoint> matrix_points(const MatrixStory& story);

// The cells of one point: blows x first, middle and last pass. Only a kill comes before an effect.
// Where all sign, a signer that is away for long is expected to be a refusal: nothing may get its
// signatures meanwhile; then everything is made.
// `plants`: what a test breaks beside, to see a cell fail.
[[nodiscard]] std::vector<chaos::CellResult> run_singles(const MatrixPoint& point,
                                                         const MatrixStory& story,
                                                         const Plants& plants = {});
// SIGKILL at `first`, then SIGKILL at the next pass of each of `points`: by the process that was
// killed (a crash during its recovery) and by another one. For `frost` the stand-in signs, and real
// FROST in a twentieth of the cells, which the seed draws; any other scheme signs itself.
[[nodiscard]] std::vector<chaos::CellResult> run_pairs(const MatrixPoint& first,
                                                       const std::vector<MatrixPoint>& points,
                                                       const MatrixStory& story);

}  // namespace roulette::sim
