// The cells of the simulated matrix: each is what its name says, and a broken host is seen.
#include <catch2/catch.hpp>

#include <algorithm>

#include "chaos/sim/matrix_runs.h"
#include "common/runtime/kill_point_table.h"

namespace roulette::sim {
namespace {

using chaos::CellStatus;

const MatrixStory kStory;  // frost, seed 1

const MatrixPoint& point_named(const std::vector<MatrixPoint>& points, const std::string& name) {
  const auto found = std::find_if(points.begin(), points.end(),
                                  [&](const MatrixPoint& p) { return p.name == name; });
  INFO(name);
  REQUIRE(found != points.end());
  return *found;
}

}  // namespace

TEST_CASE("the simulated matrix has the live points' names where both hosts have them") {
  const auto points = matrix_points(kStory);
  CHECK(points.size() >= 60);
  std::size_t shared = 0;
  for (const runtime::KillPoint& live : runtime::list_kill_points()) {
    shared += static_cast<std::size_t>(std::count_if(
        points.begin(), points.end(), [&](const MatrixPoint& p) { return p.name == live.point; }));
  }
  CHECK(shared >= 20);
  for (const char* name : {"signer.persist.signing_record.before",
                           "signer.send.partial_signature.after",
                           "coordinator.broadcast.transaction.before",
                           "ledger.append.command_batch.after"})
    CHECK(point_named(points, name).name == name);
}

TEST_CASE("every blow at the first, middle and last pass of a point costs no payment") {
  const auto points = matrix_points(kStory);
  const auto cells = run_singles(point_named(points, "coordinator.send.submit.after"), kStory);
  CHECK(cells.size() == 12);  // four blows, three passes
  for (const auto& cell : cells) {
    INFO(cell.id << ": " << cell.reason);
    CHECK(cell.status == CellStatus::Exercised);
  }
}

TEST_CASE("a signer is killed where it begins a new share epoch, and every payment is made") {
  const auto points = matrix_points(kStory);
  for (const char* name : {"signer.persist.reprovisioned.before",
                           "signer.persist.reprovisioned.after"}) {
    const auto cells = run_singles(point_named(points, name), kStory);
    REQUIRE_FALSE(cells.empty());
    for (const auto& cell : cells) {
      INFO(cell.id << ": " << cell.reason);
      CHECK(cell.status == CellStatus::Exercised);
    }
  }
}

TEST_CASE("a disk that lies about a signer's record makes the cell after its share fail") {
  const auto points = matrix_points(kStory);
  Plants plants;
  for (std::uint16_t i = 0; i < 5; ++i) plants.lying_disks.insert(i);
  const auto cells =
      run_singles(point_named(points, "signer.send.partial_signature.after"), kStory, plants);
  CHECK(std::any_of(cells.begin(), cells.end(), [](const auto& cell) {
    return cell.status == CellStatus::Failed &&
           cell.reason.find("share-has-its-record") != std::string::npos;
  }));
}

TEST_CASE("a second kill falls on the process that recovers from the first, or on another") {
  const auto points = matrix_points(kStory);
  const std::vector<MatrixPoint> seconds{
      point_named(points, "signer.send.signer_status.after"),
      point_named(points, "coordinator.broadcast.transaction.before")};
  const auto cells =
      run_pairs(point_named(points, "signer.send.partial_signature.before"), seconds, kStory);
  REQUIRE(cells.size() == 3);  // the same signer, another signer, a coordinator
  for (const auto& cell : cells) {
    INFO(cell.id << ": " << cell.reason);
    REQUIRE(cell.status == CellStatus::Exercised);
    REQUIRE(cell.struck.size() == 2);
  }
  CHECK(cells[0].struck[0] == cells[0].struck[1]);
  CHECK(cells[1].struck[0] != cells[1].struck[1]);
  CHECK(cells[2].struck[1].starts_with("coordinator-"));
}

TEST_CASE("a twentieth of the pairs is signed with real FROST, the others with the stand-in") {
  const auto points = matrix_points(kStory);
  const auto cells =
      run_pairs(point_named(points, "signer.send.partial_signature.after"), points, kStory);
  const auto frost = static_cast<std::size_t>(std::count_if(
      cells.begin(), cells.end(), [](const auto& cell) { return cell.scheme == "frost"; }));
  CHECK(frost > 0);
  CHECK(frost * 10 < cells.size());
  for (const auto& cell : cells) {
    INFO(cell.id << " with " << cell.scheme << ": " << cell.reason);
    CHECK(cell.status != CellStatus::Failed);
  }
}

TEST_CASE("where all sign, nothing is signed while a signer is away, and everything afterwards") {
  for (const SimScheme scheme : {SimScheme::Musig2, SimScheme::Single, SimScheme::Hsm}) {
    const MatrixStory story{1, scheme};
    const auto points = matrix_points(story);
    CHECK(std::none_of(points.begin(), points.end(), [](const MatrixPoint& p) {
      return p.name.find("reprovisioned") != std::string::npos;
    }));
    const auto cells =
        run_singles(point_named(points, "signer.send.partial_signature.after"), story);
    std::size_t refusals = 0;
    for (const auto& cell : cells) {
      INFO(scheme_name(scheme) << " " << cell.id << ": " << cell.reason);
      CHECK(cell.status == CellStatus::Exercised);
      CHECK(cell.scheme == scheme_name(scheme));
      const bool away = cell.blow == "pause" || cell.blow == "kill-without-restart";
      CHECK(cell.expected == (away ? "refusal" : "progress"));
      refusals += away ? 1 : 0;
    }
    CHECK(refusals >= 4);
  }
}

TEST_CASE("a second place that is never passed is unreachable, not green") {
  const auto points = matrix_points(kStory);
  MatrixPoint nowhere = point_named(points, "ledger.send.feed.after");
  nowhere.point = "send.nothing";
  nowhere.name = "ledger.send.nothing.after";
  const auto cells =
      run_pairs(point_named(points, "signer.send.partial_signature.before"), {nowhere}, kStory);
  REQUIRE(cells.size() == 1);
  CHECK(cells[0].status == CellStatus::Unreachable);
}

}  // namespace roulette::sim
