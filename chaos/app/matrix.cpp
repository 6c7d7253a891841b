// `roulette matrix`: selects, runs, writes the report. See commands.h.
#include "chaos/app/matrix.h"

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <map>
#include <vector>

#include "common/base/bytes.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/process.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;

std::string default_folder(const std::string& runs_dir) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  runtime::KernelEntropy entropy;
  ByteArray<2> tag{};
  entropy.fill(tag);
  return runs_dir + "/" + text + "-matrix-" + to_hex(tag);
}

Status write_report(const MatrixReport& report, const fs::path& folder) {
  for (const auto& [name, text] : {std::pair{"matrix.json", matrix_json(report)},
                                   std::pair{"junit.xml", matrix_junit(report)},
                                   std::pair{"heatmap.txt", matrix_heat_map(report)}}) {
    if (const Status written = runtime::write_file_durably(folder / name, as_bytes(text), 0644);
        !written)
      return written;
  }
  return {};
}

void print_report(const MatrixReport& report, const std::string& folder) {
  std::fprintf(stderr, "\n%s", matrix_heat_map(report).c_str());
  std::map<std::string, std::vector<const CellResult*>> by_reason;  // a life's is that of many
  for (const CellResult& cell : report.cells) {
    if (cell.status != CellStatus::Exercised) by_reason[cell.reason + cell.life].push_back(&cell);
  }
  for (const auto& [key, cells] : by_reason) {
    const CellResult& first = *cells.front();
    const std::string more =
        cells.size() > 1 ? " and " + std::to_string(cells.size() - 1) + " more" : "";
    std::fprintf(stderr, "%s: %s%s: %s\n", std::string(status_name(first.status)).c_str(),
                 first.id.c_str(), more.c_str(), first.reason.c_str());
    if (!first.life.empty()) std::fprintf(stderr, "  records: %s\n", first.life.c_str());
  }
  const char* words[] = {"pass", "fail", "inconclusive"};
  std::fprintf(stderr,
               "%s: %zu cells, %zu exercised, %zu unreachable, %zu unproven, %zu failed, %zu not "
               "run; %zu clusters, %.0f s\nrecords: %s (matrix.json, junit.xml, heatmap.txt)\n",
               words[report.exit_code()], report.cells.size(),
               report.count(CellStatus::Exercised), report.count(CellStatus::Unreachable),
               report.count(CellStatus::Unproven), report.count(CellStatus::Failed),
               report.count(CellStatus::NotRun), report.lives, report.took_s, folder.c_str());
}

}  // namespace

Status make_matrix_folder(const std::string& folder) {
  const Status made = runtime::create_folder_durably(folder);
  return made ? made : Error{ErrorKind::Preflight, made.error().message};
}

int matrix_command(const MatrixOptions& options) {
  const std::string folder = fs::absolute(options.out_dir.empty()
                                              ? default_folder(options.runs_dir)
                                              : options.out_dir);
  if (fs::exists(fs::path(folder) / "matrix.json"))
    return report_error(Error{ErrorKind::Preflight, folder + " holds a matrix already"});
  const Result<MatrixReport> report = options.simulated ? run_simulated_matrix(options, folder)
                                                        : run_live_matrix(options, folder);
  if (!report) return report_error(report.error());
  if (const Status written = write_report(*report, folder); !written)
    return report_error(written.error());
  if (options.json) std::cout << matrix_json(*report) << std::flush;
  print_report(*report, folder);
  return report->exit_code();
}

}  // namespace roulette::chaos
