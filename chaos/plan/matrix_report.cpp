// The outputs of a matrix: see matrix_report.h.
#include "chaos/plan/matrix_report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "chaos/plan/xml_text.h"

namespace roulette::chaos {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kUnreachablePerMille = 50;  // at most: under 5 %

std::string seconds_text(double s) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", s);
  return text;
}

Json reasons_of(const MatrixReport& report, CellStatus status) {
  Json out = Json::array();
  for (const CellResult& cell : report.cells) {
    if (cell.status == status) out.push_back({{"cell", cell.id}, {"reason", cell.reason}});
  }
  return out;
}

char glyph(CellStatus status) {
  switch (status) {
    case CellStatus::NotRun: return '-';
    case CellStatus::Exercised: return '#';
    case CellStatus::Unreachable: return 'u';
    case CellStatus::Unproven: return '?';
    case CellStatus::Failed: return 'F';
  }
  return ' ';
}

// The gravest of a point's cells with the same blow and victims.
int gravity(CellStatus status) {
  switch (status) {
    case CellStatus::Exercised: return 0;
    case CellStatus::NotRun: return 1;
    case CellStatus::Unreachable: return 2;
    case CellStatus::Unproven: return 3;
    case CellStatus::Failed: return 4;
  }
  return 4;
}

// Rows that share their columns: the points of one role.
struct Block {
  std::vector<std::string> blows, points;                   // in the order of the cells
  std::map<std::string, std::vector<std::string>> victims;  // blow -> its columns
  std::map<std::string, std::map<std::string, CellStatus>> at;  // point -> blow/victims -> status
};
constexpr std::size_t kNarrow = 8;  // columns; a blow with more (pairs) is drawn by itself

void note_once(std::vector<std::string>& list, const std::string& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

std::string padded(std::string text, std::size_t size) {
  text.resize(std::max(text.size(), size), ' ');
  return text;
}

std::string glyphs(const Block& block, const std::string& point, const std::string& blow) {
  std::string out;
  for (const std::string& victims : block.victims.at(blow)) {
    const auto& row = block.at.at(point);
    const auto found = row.find(blow + "/" + victims);
    out += found == row.end() ? ' ' : glyph(found->second);
  }
  return out;
}

// Tens and fives above numbered columns: "    .    1    .    2".
std::string ruler(std::size_t columns) {
  std::string out;
  for (std::size_t i = 1; i <= columns; ++i)
    out += i % 10 == 0 ? static_cast<char>('0' + i / 10 % 10) : i % 5 == 0 ? '.' : ' ';
  return out;
}

void draw(const std::string& role, const Block& block, std::string& out) {
  std::size_t width = role.size();
  for (const std::string& point : block.points) width = std::max(width, point.size());
  const auto narrow = [&](const std::string& blow) {
    return block.victims.at(blow).size() <= kNarrow;
  };
  std::string head = padded(role, width), names;
  for (const std::string& blow : block.blows) {
    if (!narrow(blow)) continue;
    head += "  " + padded(blow, block.victims.at(blow).size());
    if (names.empty()) {
      for (const std::string& victims : block.victims.at(blow)) names += " " + victims;
    }
  }
  out += head + "\n";
  for (const std::string& point : block.points) {
    out += padded(point, width);
    for (const std::string& blow : block.blows) {
      if (narrow(blow)) out += "  " + padded(glyphs(block, point, blow), blow.size());
    }
    out += "\n";
  }
  out += "columns within a blow:" + names + "\n\n";
  for (const std::string& blow : block.blows) {
    if (narrow(blow)) continue;
    out += role + ", " + blow + "\n" + padded("", width) + "  " +
           ruler(block.victims.at(blow).size()) + "\n";
    for (const std::string& point : block.points)
      out += padded(point, width) + "  " + glyphs(block, point, blow) + "\n";
    out += "\n";
  }
}

// The numbered columns, once.
std::string legend(const std::vector<std::string>& columns) {
  std::string out;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    out += std::string(3 - std::min<std::size_t>(3, number.size()), ' ') + number + " " +
           columns[i] + "\n";
  }
  return out.empty() ? out : "numbered columns:\n" + out + "\n";
}

}  // namespace

std::string_view status_name(CellStatus status) {
  switch (status) {
    case CellStatus::NotRun: return "not-run";
    case CellStatus::Exercised: return "exercised";
    case CellStatus::Unreachable: return "unreachable";
    case CellStatus::Unproven: return "unproven";
    case CellStatus::Failed: return "failed";
  }
  return "failed";
}

CellResult result_of(const Cell& cell) {
  CellResult out;
  out.id = cell.id();
  out.point = cell.point.point;
  out.blow = blow_name(cell.blow);
  out.victims = victims_name(cell.victims);
  out.occurrence = occurrence_name(cell.occurrence);
  out.expected = expectation_name(cell.expected);
  out.reason = "the matrix ended before its turn";
  return out;
}

std::size_t MatrixReport::count(CellStatus status) const {
  return static_cast<std::size_t>(std::count_if(
      cells.begin(), cells.end(), [&](const CellResult& c) { return c.status == status; }));
}

int MatrixReport::exit_code() const {
  if (count(CellStatus::Failed) > 0) return 1;
  if (cells.empty() || count(CellStatus::NotRun) > 0 || count(CellStatus::Unproven) > 0) return 2;
  return count(CellStatus::Unreachable) * 1000 >= cells.size() * kUnreachablePerMille &&
                 count(CellStatus::Unreachable) > 0
             ? 2
             : 0;
}

std::string matrix_json(const MatrixReport& report) {
  Json out;
  out["format"] = "roulette-matrix";
  out["version"] = 1;
  out["kind"] = report.kind;
  out["scheme"] = report.scheme;
  out["seed"] = report.seed;
  out["points"] = report.points;
  out["cells"] = report.cells.size();
  out["exercised"] = report.count(CellStatus::Exercised);
  out["unreachable"] = reasons_of(report, CellStatus::Unreachable);
  out["failed"] = report.count(CellStatus::Failed);
  out["failures"] = reasons_of(report, CellStatus::Failed);
  out["unproven"] = reasons_of(report, CellStatus::Unproven);
  out["not_run"] = report.count(CellStatus::NotRun);
  out["lives"] = report.lives;
  out["took_s"] = report.took_s;
  out["list"] = Json::array();
  for (const CellResult& cell : report.cells) {
    Json line{{"cell", cell.id},         {"point", cell.point},
              {"blow", cell.blow},       {"victims", cell.victims},
              {"occurrence", cell.occurrence}, {"expected", cell.expected},
              {"status", status_name(cell.status)}};
    if (cell.status != CellStatus::Exercised) line["reason"] = cell.reason;
    line["scheme"] = cell.scheme;
    line["struck"] = cell.struck;
    line["life"] = cell.life;
    line["fault_id"] = cell.fault_id;
    line["took_ms"] = cell.took_ms;
    out["list"].push_back(std::move(line));
  }
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string matrix_junit(const MatrixReport& report) {
  std::map<std::string, std::vector<const CellResult*>> suites;
  for (const CellResult& cell : report.cells) suites[cell.point].push_back(&cell);
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  out += "<testsuites name=\"roulette matrix " + xml_text(report.kind) + "\">\n";
  for (const auto& [point, cells] : suites) {
    const auto with = [&](auto&& fits) {
      return std::to_string(std::count_if(cells.begin(), cells.end(), fits));
    };
    out += " <testsuite name=\"" + xml_text(point) + "\" tests=\"" + std::to_string(cells.size()) +
           "\" failures=\"" +
           with([](const CellResult* c) { return c->status == CellStatus::Failed; }) +
           "\" errors=\"" +
           with([](const CellResult* c) { return c->status == CellStatus::Unproven; }) +
           "\" skipped=\"" + with([](const CellResult* c) {
             return c->status == CellStatus::Unreachable || c->status == CellStatus::NotRun;
           }) +
           "\">\n";
    for (const CellResult* cell : cells) {
      out += "  <testcase classname=\"" + xml_text(point) + "\" name=\"" +
             xml_text(cell->blow + "/" + cell->victims + "/" + cell->occurrence) + "\" time=\"" +
             seconds_text(cell->took_ms / 1000) + "\"";
      const std::string reason = xml_text(cell->reason);
      if (cell->status == CellStatus::Exercised)
        out += "/>\n";
      else if (cell->status == CellStatus::Failed)
        out += "><failure message=\"" + reason + "\"/></testcase>\n";
      else if (cell->status == CellStatus::Unproven)
        out += "><error message=\"" + reason + "\"/></testcase>\n";
      else
        out += "><skipped message=\"" + reason + "\"/></testcase>\n";
    }
    out += " </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

std::string matrix_heat_map(const MatrixReport& report) {
  std::vector<std::string> roles, numbered;
  std::map<std::string, std::vector<std::string>> columns;  // blow -> victims, of all roles
  std::set<std::string> wide;                               // blows that some role has many of
  std::map<std::string, Block> blocks;
  for (const CellResult& cell : report.cells) {
    const std::string role = cell.point.substr(0, cell.point.find('.'));
    note_once(roles, role);
    Block& block = blocks[role];
    note_once(block.blows, cell.blow);
    note_once(block.victims[cell.blow], cell.victims);
    note_once(columns[cell.blow], cell.victims);
    note_once(block.points, cell.point);
    const auto [slot, first] =
        block.at[cell.point].emplace(cell.blow + "/" + cell.victims, cell.status);
    if (!first && gravity(cell.status) > gravity(slot->second)) slot->second = cell.status;
  }
  for (const auto& [role, block] : blocks) {
    for (const auto& [blow, victims] : block.victims) {
      if (victims.size() > kNarrow) wide.insert(blow);
    }
  }
  for (const std::string& blow : wide) {
    for (const std::string& name : columns.at(blow)) note_once(numbered, name);
  }
  std::string out;
  for (const std::string& role : roles) {
    Block& block = blocks.at(role);
    for (auto& [blow, victims] : block.victims) {
      if (wide.contains(blow)) victims = numbered;  // one number means one point
    }
    draw(role, block, out);
  }
  return out + legend(numbered) +
         "# exercised   F failed   u unreachable   ? unproven   - not run   (blank: no cell)\n";
}

}  // namespace roulette::chaos
