// The live matrix: deals the cells out to clusters, one cluster at a time. See matrix.h.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <deque>

#include <unistd.h>

#include "chaos/app/cell_run.h"
#include "chaos/app/matrix.h"
#include "chaos/app/matrix_cluster.h"

namespace roulette::chaos {
namespace {

constexpr std::size_t kCellsPerLife = 60;
constexpr std::size_t kFirstStartsPerLife = 2;  // n-t: with t signers the others begin
constexpr std::size_t kMostLivesWithoutACell = 3;  // clusters that do not start: then give up

class LiveMatrix {
 public:
  LiveMatrix(const MatrixOptions& options, std::string out_dir)
      : options_(options), out_dir_(std::move(out_dir)), terminal_(isatty(STDERR_FILENO) == 1) {}

  Result<MatrixReport> run() {
    const auto plan = plan_of(options_.selection);
    if (!plan) return plan.error();
    plan_ = *plan;
    const Result<std::vector<Cell>> cells = select_cells(options_.selection);
    if (!cells) return cells.error();
    if (cells->empty())
      return Error{ErrorKind::Usage, "--points " + options_.selection.points + " fits no point"};
    cells_ = *cells;
    report_.kind = "live";
    report_.scheme = plan_.scheme;
    report_.seed = options_.selection.seed;
    report_.points = options_.selection.points;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      report_.cells.push_back(result_of(cells_[i]));
      report_.cells.back().scheme = plan_.scheme;
      pending_.push_back(i);
    }
    const Result<Binaries> binaries = Session::preflight(plan_, options_.binaries);
    if (!binaries) return binaries.error();
    binaries_ = *binaries;
    if (const Status made = make_matrix_folder(out_dir_); !made) return made.error();
    began_ = runtime::EventLoop().now();
    std::fprintf(stderr, "%zu cells, %s, seed %llu, folder %s\n", cells_.size(),
                 plan_.scheme.c_str(), static_cast<unsigned long long>(report_.seed),
                 out_dir_.c_str());
    std::size_t idle = 0;
    while (!pending_.empty() && !interrupted_ && idle < kMostLivesWithoutACell) {
      const std::size_t before = pending_.size();
      if (const Status lived = live(); !lived) {
        if (report_.lives == 0) return lived.error();
        say("a cluster did not start: " + lived.error().message);
      }
      idle = pending_.size() < before ? 0 : idle + 1;
    }
    report_.took_s = elapsed_s();
    if (terminal_) std::fprintf(stderr, "\r\033[K");
    return report_;
  }

 private:
  // Where all sign, a cluster that lacks one pays nothing, so nobody is left out of its start.
  bool first_start(std::size_t i) const {
    return cells_[i].provocation == Provocation::FirstStart && matrix_scheme(plan_).spare;
  }

  // Cells that need a signer that never ran come first in a life: the first of two while t others
  // run, so its victims must be itself alone, or more than a quorum can spare.
  std::vector<std::size_t> deal_first_starts() const {
    std::vector<std::size_t> narrow, wide;
    for (const std::size_t i : pending_) {
      if (!first_start(i)) continue;
      const CellVictims victims = cells_[i].victims;
      const bool alone =
          victims == CellVictims::SignerInSession || victims == CellVictims::SignersTooMany;
      (alone ? narrow : wide).push_back(i);
    }
    std::vector<std::size_t> out;
    if (!narrow.empty()) out.push_back(narrow.front());
    if (!wide.empty())
      out.push_back(wide.front());
    else if (narrow.size() > 1)
      out.push_back(narrow[1]);
    out.resize(std::min(out.size(), kFirstStartsPerLife));
    return out;
  }

  static int rank(const Cell& cell) {
    if (cell.victims == CellVictims::Node) return 2;
    return cell.expected == CellExpectation::Progress ? 0 : 1;
  }

  std::vector<std::size_t> deal() const {
    std::vector<std::size_t> out = deal_first_starts();
    const auto firsts = static_cast<std::ptrdiff_t>(out.size());
    for (const std::size_t i : pending_) {
      if (out.size() < kCellsPerLife && !first_start(i)) out.push_back(i);
    }
    // Those that leave no quorum come last, so that the others stand in one long interval with a
    // quorum; the node's before them would un-mine what they settled.
    std::stable_sort(out.begin() + firsts, out.end(), [&](std::size_t a, std::size_t b) {
      return rank(cells_[a]) < rank(cells_[b]);
    });
    return out;
  }

  Status live() {
    const std::vector<std::size_t> hand = deal();
    MatrixCluster::Options options;
    options.lives_dir = out_dir_ + "/lives";
    options.plan = plan_;
    options.binaries = binaries_;
    options.seed = report_.seed * 1000 + report_.lives;
    options.first_starts = static_cast<std::size_t>(
        std::count_if(hand.begin(), hand.end(), [&](std::size_t i) { return first_start(i); }));
    options.expects_refusal = std::any_of(hand.begin(), hand.end(), [&](std::size_t i) {
      // Where a signer never ran, the tool saw too few of them die for safe-refusal to count it.
      return cells_[i].expected == CellExpectation::Refusal && !first_start(i);
    });
    options.keep = options_.keep;
    MatrixCluster cluster(options);
    if (const Status started = cluster.start(); !started) {
      interrupted_ = cluster.interrupted();
      return started;
    }
    ++report_.lives;
    std::vector<std::size_t> done;
    for (const std::size_t i : hand) {
      show(i);
      CellRun run(cluster, cells_[i]);
      CellResult result = run.execute();
      if (cluster.interrupted()) break;
      result.life = cluster.run_dir();
      result.scheme = plan_.scheme;
      report_.cells[i] = std::move(result);
      std::erase(pending_, i);
      done.push_back(i);
      tell(report_.cells[i]);
      if (!run.clean()) {
        say("the cluster is not as it was before " + report_.cells[i].id + ": a fresh one");
        break;
      }
    }
    interrupted_ = cluster.interrupted();
    judge(cluster, done);
    return {};
  }

  // What is wrong with a life is wrong with each of its cells: nobody can say which one broke it.
  void judge(MatrixCluster& cluster, const std::vector<std::size_t>& done) {
    const Result<check::Verdict> verdict = cluster.close();
    interrupted_ = interrupted_ || cluster.interrupted();
    std::string why = verdict ? "" : verdict.error().message;
    CellStatus status = CellStatus::Unproven;
    if (verdict && verdict->verdict == check::VerdictKind::Fail) status = CellStatus::Failed;
    if (verdict && verdict->verdict != check::VerdictKind::Pass)
      why = verdict->reasons.empty() ? "no reason" : verdict->reasons.front();
    MatrixReport life;
    for (const std::size_t i : done) {
      CellResult& cell = report_.cells[i];
      if (!why.empty() && cell.status == CellStatus::Exercised) {
        cell.status = status;
        cell.reason = "its cluster's records: " + why;
      }
      life.cells.push_back(cell);
    }
    cluster.write_cells(matrix_json(life));
    if (!why.empty()) say("life " + cluster.run_dir() + ": " + why);
  }

  // ---- progress ----

  double elapsed_s() const {
    return static_cast<double>((runtime::EventLoop().now() - began_).us) / 1e6;
  }

  void show(std::size_t next) {
    if (!terminal_) return;
    std::fprintf(stderr, "\r\033[K%s  %s", tally().c_str(), cells_[next].id().c_str());
    std::fflush(stderr);
  }

  std::string tally() const {
    const std::size_t done = cells_.size() - pending_.size();
    const double spent = elapsed_s();
    const double left =
        done == 0 ? 0 : spent / static_cast<double>(done) * static_cast<double>(pending_.size());
    char text[160];
    std::snprintf(text, sizeof text,
                  "%zu/%zu cells  %zu failed  %zu unreachable  life %zu  %.0f s, %.0f s left", done,
                  cells_.size(), report_.count(CellStatus::Failed),
                  report_.count(CellStatus::Unreachable), report_.lives, spent, left);
    return text;
  }

  // One line a cell that is not as it should be; elsewhere than on a terminal one a second besides.
  void tell(const CellResult& cell) {
    if (cell.status != CellStatus::Exercised)
      say(cell.id + ": " + std::string(status_name(cell.status)) + ": " + cell.reason);
    if (terminal_ || elapsed_s() - told_s_ < 1.0) return;
    told_s_ = elapsed_s();
    std::fprintf(stderr, "%s\n", tally().c_str());
  }

  void say(const std::string& text) const {
    std::fprintf(stderr, terminal_ ? "\r\033[K%s\n" : "%s\n", text.c_str());
  }

  const MatrixOptions& options_;
  std::string out_dir_;
  bool terminal_;
  bool interrupted_ = false;
  Binaries binaries_;
  ClusterPlan plan_;
  std::vector<Cell> cells_;
  std::deque<std::size_t> pending_;
  MatrixReport report_;
  Instant began_{};
  double told_s_ = 0;
};

}  // namespace

Result<MatrixReport> run_live_matrix(const MatrixOptions& options, const std::string& out_dir) {
  return LiveMatrix(options, out_dir).run();
}

}  // namespace roulette::chaos
