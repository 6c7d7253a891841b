// The kill matrix as data: its tables are whole, its selection is drawn by seed, its report counts.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "chaos/plan/matrix_report.h"

using namespace roulette;
using namespace roulette::chaos;

namespace {

std::vector<Cell> selected(const MatrixSelection& selection) {
  const auto cells = select_cells(selection);
  REQUIRE(cells.ok());
  return *cells;
}

std::set<std::string> ids(const std::vector<Cell>& cells) {
  std::set<std::string> out;
  for (const Cell& cell : cells) out.insert(cell.id());
  REQUIRE(out.size() == cells.size());
  return out;
}

std::size_t later(const std::vector<Cell>& cells) {
  return static_cast<std::size_t>(std::count_if(cells.begin(), cells.end(), [](const Cell& c) {
    return c.occurrence != CellOccurrence::First;
  }));
}

MatrixReport report_with(const std::map<CellStatus, std::size_t>& counts) {
  MatrixReport report;
  report.kind = "live";
  const std::vector<Cell> cells = selected({});
  std::size_t next = 0;
  for (const auto& [status, count] : counts) {
    for (std::size_t i = 0; i < count; ++i) {
      report.cells.push_back(result_of(cells.at(next++)));
      report.cells.back().status = status;
      report.cells.back().reason = "because <it> & \"so\"";
    }
  }
  return report;
}

}  // namespace

TEST_CASE("every kill point has a way to be provoked, and every way its kill point") {
  for (const runtime::KillPointRow& row : runtime::kKillPointRows) {
    INFO("add a row to kProvocations (chaos/plan/matrix.cpp) for "
         << role_name(row.role) << "." << runtime::effect_name(row.effect) << "." << row.subject);
    CHECK(provocation_of(row.role, row.effect, row.subject).has_value());
  }
  for (const std::string& stale : provocations_without_point()) {
    INFO("kProvocations (chaos/plan/matrix.cpp) has a row for " << stale
                                                                << ", which is no kill point");
    CHECK(false);
  }
}

TEST_CASE("every kill point, blow and set of victims has an expected outcome") {
  for (const runtime::KillPoint& point : runtime::list_kill_points()) {
    for (const CellBlow blow : kCellBlows) {
      for (const CellVictims victims : victims_of(point.role)) {
        INFO("add a row to kExpectations (chaos/plan/matrix.cpp) for "
             << point.point << "/" << blow_name(blow) << "/" << victims_name(victims));
        const auto expected = expectation_of(point, blow, victims);
        REQUIRE(expected.has_value());
        if (victims == CellVictims::SignersTooMany) CHECK(*expected == CellExpectation::Refusal);
      }
    }
  }
}

TEST_CASE("where all sign, one signer away is a refusal, and sets that are empty have no cell") {
  for (const char* name : {"musig2", "single", "hsm"}) {
    MatrixSelection selection;
    selection.scheme = name;
    std::size_t of_signers = 0, of_nonces = 0;
    for (const Cell& cell : selected(selection)) {
      INFO(name << " " << cell.id());
      of_nonces += cell.point.subject == "nonce_batch" || cell.point.subject == "nonce_request";
      if (cell.point.role != Role::Signer) {
        CHECK(cell.expected == CellExpectation::Progress);
        continue;
      }
      ++of_signers;
      CHECK(cell.victims == CellVictims::SignerInSession);
      CHECK(cell.expected == CellExpectation::Refusal);
    }
    CHECK(of_signers > 60);
    CHECK((of_nonces > 0) == (std::string(name) == "musig2"));
  }
  MatrixSelection frost_tr;
  frost_tr.scheme = "frost-tr";
  CHECK(ids(selected(frost_tr)) == ids(selected({})));
  MatrixSelection unknown;
  unknown.scheme = "schnorr";
  CHECK_FALSE(select_cells(unknown).ok());
}

TEST_CASE("every point is in the matrix with four blows and each set of victims of its role") {
  const std::vector<Cell> cells = selected({});
  std::map<std::string, std::size_t> first;
  for (const Cell& cell : cells) {
    if (cell.occurrence == CellOccurrence::First) ++first[cell.point.point];
  }
  for (const runtime::KillPoint& point : runtime::list_kill_points()) {
    INFO(point.point);
    CHECK(first[point.point] == 4 * victims_of(point.role).size());
  }
}

TEST_CASE("a tenth of the later passes is drawn by the seed, --full has them all") {
  MatrixSelection selection;
  const std::vector<Cell> drawn = selected(selection);
  CHECK(ids(drawn) == ids(selected(selection)));
  selection.full = true;
  const std::vector<Cell> full = selected(selection);
  CHECK(later(drawn) == (later(full) + 9) / 10);
  CHECK(later(drawn) > 0);
  const auto all = ids(full);
  for (const std::string& id : ids(drawn)) CHECK(all.contains(id));
  selection.full = false;
  selection.seed = 2;
  CHECK(ids(drawn) != ids(selected(selection)));
}

TEST_CASE("a glob selects a part of the same cells") {
  MatrixSelection selection;
  const auto all = ids(selected(selection));
  selection.points = "signer.*.partial_signature.?????";
  const std::vector<Cell> some = selected(selection);
  REQUIRE(!some.empty());
  for (const Cell& cell : some) {
    CHECK(all.contains(cell.id()));
    CHECK(cell.point.point == "signer.send.partial_signature.after");
  }
  selection.points = "signer.send";
  CHECK(selected(selection).empty());
  CHECK(matches_glob("*", ""));
  CHECK(matches_glob("a*b*c", "a-b-b-c"));
  CHECK_FALSE(matches_glob("a*b*c", "a-b-b-d"));
  CHECK_FALSE(matches_glob("a", "ab"));
}

TEST_CASE("a slice has one cell a point, but for provisioning again") {
  MatrixSelection selection;
  selection.slice = true;
  std::vector<std::string> in_slice, expected;
  for (const Cell& cell : selected(selection)) in_slice.push_back(cell.point.point);
  for (const runtime::KillPoint& point : runtime::list_kill_points()) {
    const auto provocation = provocation_of(point.role, point.effect, point.subject);
    if (provocation == Provocation::Reprovision) continue;
    expected.push_back(point.point);
  }
  CHECK(in_slice == expected);
  constexpr std::size_t kLeftOut = 2;  // before and after
  CHECK(expected.size() + kLeftOut == runtime::list_kill_points().size());
}

TEST_CASE("a matrix passes only when every cell is accounted for and few are unreachable") {
  CHECK(report_with({}).exit_code() == 2);
  CHECK(report_with({{CellStatus::Exercised, 100}}).exit_code() == 0);
  CHECK(report_with({{CellStatus::Exercised, 96}, {CellStatus::Unreachable, 4}}).exit_code() == 0);
  CHECK(report_with({{CellStatus::Exercised, 95}, {CellStatus::Unreachable, 5}}).exit_code() == 2);
  CHECK(report_with({{CellStatus::Exercised, 99}, {CellStatus::Unproven, 1}}).exit_code() == 2);
  CHECK(report_with({{CellStatus::Exercised, 99}, {CellStatus::NotRun, 1}}).exit_code() == 2);
  CHECK(report_with({{CellStatus::NotRun, 99}, {CellStatus::Failed, 1}}).exit_code() == 1);
}

TEST_CASE("matrix.json counts every cell once and gives the reasons") {
  const MatrixReport report = report_with({{CellStatus::Exercised, 7},
                                           {CellStatus::Unreachable, 2},
                                           {CellStatus::Failed, 3},
                                           {CellStatus::Unproven, 1},
                                           {CellStatus::NotRun, 4}});
  const auto json = nlohmann::json::parse(matrix_json(report));
  CHECK(json["cells"] == 17);
  CHECK(json["exercised"] == 7);
  CHECK(json["failed"] == 3);
  CHECK(json["not_run"] == 4);
  REQUIRE(json["unreachable"].size() == 2);
  CHECK(json["unreachable"][0]["cell"] == report.cells[11].id);
  CHECK(json["unreachable"][0]["reason"] == report.cells[11].reason);
  CHECK(json["unproven"].size() == 1);
  CHECK(json["list"].size() == 17);
}

TEST_CASE("the JUnit file names every cell and escapes its reason") {
  const std::string xml =
      matrix_junit(report_with({{CellStatus::Exercised, 1}, {CellStatus::Failed, 1}}));
  const auto count = [&](const std::string& word) {
    std::size_t n = 0;
    for (auto at = xml.find(word); at != std::string::npos; at = xml.find(word, at + 1)) ++n;
    return n;
  };
  CHECK(count("<testcase ") == 2);
  CHECK(count("<failure message=\"because &lt;it&gt; &amp; &quot;so&quot;\"/>") == 1);
}

TEST_CASE("a heat map with many columns numbers them once, the same in every block") {
  MatrixReport report;
  const auto add = [&](const std::string& point, const std::string& second, CellStatus status) {
    CellResult cell;
    cell.point = point;
    cell.blow = "then-SIGKILL-of-another";
    cell.victims = second;
    cell.status = status;
    report.cells.push_back(cell);
  };
  for (int i = 1; i <= 12; ++i)
    add("signer.send.share.after", "place-" + std::to_string(i), CellStatus::Exercised);
  add("ledger.send.feed.after", "place-11", CellStatus::Failed);
  const std::string map = matrix_heat_map(report);
  INFO(map);
  CHECK(map.find("signer, then-SIGKILL-of-another\n") != std::string::npos);
  CHECK(map.find("    .    1  \nsigner.send.share.after  ############\n") != std::string::npos);
  CHECK(map.find("ledger.send.feed.after            F \n") != std::string::npos);
  CHECK(map.find(" 11 place-11\n") != std::string::npos);
}

TEST_CASE("the heat map shows the gravest outcome of a point's cells") {
  MatrixReport report;
  for (Cell cell : selected({"coordinator.send.sign_request.before"})) {
    report.cells.push_back(result_of(cell));
    report.cells.back().status = CellStatus::Exercised;
    if (cell.blow == CellBlow::Pause && cell.victims == CellVictims::CoordinatorOther)
      report.cells.back().status = CellStatus::Failed;
  }
  CHECK(matrix_heat_map(report).find("coordinator.send.sign_request.before  ##       ##       #F "
                                     "    ##") != std::string::npos);
}
