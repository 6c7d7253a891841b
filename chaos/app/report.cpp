// `roulette report`: one HTML page of a finished run. See commands.h.
//
// The page is made by chaos/evidence/web/render.mjs (Node.js, ECharts) of report.json, which is
// made here from the records.
#include <array>
#include <filesystem>
#include <iostream>

#include "chaos/app/commands.h"
#include "chaos/evidence/attached.h"
#include "chaos/evidence/bundle_files.h"
#include "chaos/live/export.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;

constexpr int kProgramLimitS = 120;
constexpr std::size_t kMaxAttached = std::size_t{64} << 20;
constexpr const char* kBrowsers[] = {"chromium", "chromium-browser", "google-chrome"};

// Bounded: a browser may wait for ever for what this machine has not.
Status run_program(const std::string& what, std::vector<std::string> argv, const fs::path& page) {
  argv.insert(argv.begin(), {"/usr/bin/timeout", std::to_string(kProgramLimitS)});
  const fs::path said = page.string() + ".log";
  const Status done = run_to_file(what, argv, said);
  std::error_code ignored;
  for (const fs::path& litter : {said, fs::path(said.string() + ".stderr")})
    fs::remove(litter, ignored);
  return done ? done : Error{ErrorKind::Preflight, done.error().message};
}

// The source tree's, for a binary that was built in it: build/<preset>/bin/roulette.
fs::path web_folder(const ReportOptions& options) {
  if (!options.web_dir.empty()) return options.web_dir;
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "../../../chaos/evidence/web").lexically_normal();
}

Status render(const fs::path& web, const fs::path& model, const fs::path& page) {
  const std::optional<fs::path> node = find_on_path("node");
  std::error_code error;
  if (!node || !fs::exists(web / "node_modules/echarts/package.json", error))
    return Error{ErrorKind::Preflight,
                 "a report needs Node.js (18 or newer) and ECharts in " + web.string() +
                     "/node_modules: `tools/report RUN` installs what is missing"};
  return run_program("the page of the report",
                     {node->string(), (web / "render.mjs").string(), model.string(), page.string()},
                     page);
}

Status print_to_pdf(const fs::path& page) {
  for (const char* name : kBrowsers) {
    const std::optional<fs::path> browser = find_on_path(name);
    if (!browser) continue;
    const fs::path pdf = fs::path(page).replace_extension(".pdf");
    const Status printed = run_program(
        "printing the report",
        {browser->string(), "--headless=new", "--no-sandbox", "--disable-gpu",
         "--no-pdf-header-footer", "--print-to-pdf=" + pdf.string(),
         "file://" + fs::absolute(page).string()},
        page);
    if (printed) std::cout << pdf.string() << "\n";
    return printed;
  }
  return Error{ErrorKind::Preflight, "--pdf needs Chromium: apt-get install chromium"};
}

// All are looked at before the first is copied.
Status attach(const ReportOptions& options) {
  const std::array<std::pair<const std::string*, const char*>, 3> wanted{
      {{&options.matrix, evidence::kMatrixFile},
       {&options.mutants, evidence::kMutantsFile},
       {&options.compare, evidence::kCompareFile}}};
  std::array<std::string, 3> texts;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].first->empty()) continue;
    const auto content = runtime::read_whole_file(*wanted[i].first, kMaxAttached);
    if (!content) return Error{ErrorKind::Usage, content.error().message};
    texts[i].assign(content->begin(), content->end());
    if (texts[i].empty()) return Error{ErrorKind::Usage, *wanted[i].first + ": empty"};
  }
  const Status shown = evidence::check_attached({texts[0], texts[1], texts[2]});
  if (!shown) return Error{ErrorKind::Usage, "what is to be " + shown.error().message};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (texts[i].empty()) continue;
    const fs::path to = fs::path(options.run_dir) / wanted[i].second;
    std::error_code error;
    fs::create_directory(to.parent_path(), error);
    if (const Status kept = runtime::write_file_durably(to, as_bytes(texts[i]), 0644); !kept)
      return kept;
  }
  return {};
}

Result<std::string> report_model(const std::string& run_dir) {
  const auto files = evidence::RunFiles::read(run_dir);
  if (!files) return files.error();
  const auto derived = evidence::derive(*files, run_dir);
  if (!derived) return derived.error();
  if (!derived->attached_defect.empty())
    return Error{ErrorKind::Preflight, run_dir + "/" + derived->attached_defect};
  for (const auto& [name, content] : derived->files) {
    if (name == evidence::kReportModelFile) return content;
  }
  return Error{ErrorKind::Internal, "no report among what a run gives"};
}

}  // namespace

int report_command(const ReportOptions& options) {
  if (const Status attached = attach(options); !attached) return report_error(attached.error());
  const Result<std::string> model = report_model(options.run_dir);
  if (!model) return report_error(model.error());
  const fs::path page = options.out_file.empty() ? fs::path(options.run_dir) / "report.html"
                                                 : fs::path(options.out_file);
  const fs::path beside = page.string() + ".json";
  const auto step = [](const Status& status) {
    return status ? kExitPass : report_error(status.error());
  };
  if (const int code = step(runtime::write_file_durably(beside, as_bytes(*model), 0644)); code != 0)
    return code;
  const Status rendered = render(web_folder(options), beside, page);
  std::error_code ignored;
  fs::remove(beside, ignored);
  if (!rendered) return report_error(rendered.error());
  std::cout << page.string() << "\n";
  return options.pdf ? step(print_to_pdf(page)) : kExitPass;
}

}  // namespace roulette::chaos
