// The simulated matrix: every point's cells in a child process of their own. See matrix.h.
//
// Invariant: which cells there are and what became of each depends on the seed alone, not on the
// number of children; a child that breaks makes all cells of its point failed, by name.
#include <algorithm>
#include <cstdio>
#include <map>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chaos/app/fan_out.h"
#include "chaos/app/matrix.h"
#include "chaos/sim/matrix_runs.h"
#include "common/runtime/event_loop.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr double kAnswerWithin_s = 300;  // one point with all its seconds

json as_json(const CellResult& cell) {
  return {cell.id,     cell.point,    cell.blow,
          cell.victims, cell.occurrence, cell.expected,
          static_cast<int>(cell.status), cell.reason, cell.struck, cell.took_ms,
          cell.scheme};
}

CellResult as_cell(const json& fields) {
  CellResult cell;
  cell.id = fields.at(0).get<std::string>();
  cell.point = fields.at(1).get<std::string>();
  cell.blow = fields.at(2).get<std::string>();
  cell.victims = fields.at(3).get<std::string>();
  cell.occurrence = fields.at(4).get<std::string>();
  cell.expected = fields.at(5).get<std::string>();
  cell.status = static_cast<CellStatus>(fields.at(6).get<int>());
  cell.reason = fields.at(7).get<std::string>();
  cell.struck = fields.at(8).get<std::vector<std::string>>();
  cell.took_ms = fields.at(9).get<double>();
  cell.scheme = fields.at(10).get<std::string>();
  return cell;
}

class SimulatedMatrix {
 public:
  SimulatedMatrix(const MatrixOptions& options, const std::string& out_dir)
      : options_(options), out_dir_(out_dir), terminal_(isatty(STDERR_FILENO) == 1) {}

  Result<MatrixReport> run() {
    const Instant began = runtime::EventLoop().now();
    if (const auto plan = plan_of(options_.selection); !plan) return plan.error();
    story_ = {options_.selection.seed, *sim::scheme_named(options_.selection.scheme)};
    all_ = sim::matrix_points(story_);
    std::copy_if(all_.begin(), all_.end(), std::back_inserter(firsts_), [&](const auto& point) {
      return matches_glob(options_.selection.points, point.name);
    });
    if (firsts_.empty())
      return Error{ErrorKind::Usage, "--points " + options_.selection.points + " fits no point"};
    if (const Status made = make_matrix_folder(out_dir_); !made) return made.error();
    std::fprintf(stderr, "%zu points of %zu, %s, seed %llu%s\n", firsts_.size(), all_.size(),
                 options_.selection.scheme.c_str(),
                 static_cast<unsigned long long>(options_.selection.seed),
                 options_.pairs ? ", pairs" : "");
    (void)interrupted();
    FanOutHooks hooks;
    hooks.work = [this](std::uint64_t piece) { return work(firsts_[piece]); };
    hooks.done = [this](std::uint64_t piece, const std::string& text) { take(piece, text); };
    hooks.broke = [this](std::uint64_t piece, const std::string& why) {
      CellResult cell;
      cell.id = cell.point = firsts_[piece].name;
      cell.blow = cell.victims = "any";
      cell.status = CellStatus::Failed;
      cell.reason = "the process of this point's cells ended: " + why;
      cell.scheme = options_.selection.scheme;
      by_piece_[piece] = {cell};
    };
    hooks.go_on = [this] {
      show();
      return !interrupted();
    };
    const unsigned jobs = options_.jobs == 0 ? usable_cores() : options_.jobs;
    const auto ran = fan_out({firsts_.size(), jobs, kAnswerWithin_s}, hooks);
    if (terminal_) std::fprintf(stderr, "\r\033[K");
    if (!ran) return ran.error();
    if (!bad_record_.empty()) return Error{ErrorKind::Internal, bad_record_};
    return report(static_cast<double>((runtime::EventLoop().now() - began).us) / 1e6);
  }

 private:
  [[nodiscard]] std::string work(const sim::MatrixPoint& point) const {
    std::vector<CellResult> cells = sim::run_singles(point, story_);
    if (options_.pairs) {
      for (CellResult& cell : sim::run_pairs(point, all_, story_))
        cells.push_back(std::move(cell));
    }
    json out = json::array();
    for (const CellResult& cell : cells) out.push_back(as_json(cell));
    return out.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  void take(std::uint64_t piece, const std::string& text) {
    const json cells = json::parse(text, nullptr, false);
    if (!cells.is_array()) {
      bad_record_ = "the record of " + firsts_[piece].name + " does not parse";
      return;
    }
    for (const json& cell : cells) by_piece_[piece].push_back(as_cell(cell));
  }

  [[nodiscard]] MatrixReport report(double took_s) const {
    MatrixReport out;
    out.kind = "simulated";
    out.scheme = options_.selection.scheme;
    out.seed = options_.selection.seed;
    out.points = options_.selection.points;
    out.took_s = took_s;
    for (std::size_t i = 0; i < firsts_.size(); ++i) {
      const auto found = by_piece_.find(i);
      if (found != by_piece_.end()) {
        out.cells.insert(out.cells.end(), found->second.begin(), found->second.end());
        continue;
      }
      CellResult cell;
      cell.id = cell.point = firsts_[i].name;
      cell.blow = cell.victims = "any";
      cell.reason = "the matrix ended before its turn";
      cell.scheme = options_.selection.scheme;
      out.cells.push_back(std::move(cell));
    }
    return out;
  }

  void show() {
    if (by_piece_.size() == shown_) return;
    shown_ = by_piece_.size();
    std::size_t cells = 0, failed = 0;
    for (const auto& [piece, list] : by_piece_) {
      cells += list.size();
      failed += static_cast<std::size_t>(
          std::count_if(list.begin(), list.end(),
                        [](const CellResult& c) { return c.status == CellStatus::Failed; }));
    }
    std::fprintf(stderr, terminal_ ? "\r\033[K%zu/%zu points  %zu cells  %zu failed"
                                   : "%zu/%zu points  %zu cells  %zu failed\n",
                 shown_, firsts_.size(), cells, failed);
    std::fflush(stderr);
  }

  const MatrixOptions& options_;
  const std::string& out_dir_;
  bool terminal_;
  sim::MatrixStory story_;
  std::vector<sim::MatrixPoint> all_, firsts_;
  std::map<std::uint64_t, std::vector<CellResult>> by_piece_;
  std::size_t shown_ = 0;
  std::string bad_record_;
};

}  // namespace

Result<MatrixReport> run_simulated_matrix(const MatrixOptions& options,
                                          const std::string& out_dir) {
  return SimulatedMatrix(options, out_dir).run();
}

}  // namespace roulette::chaos
