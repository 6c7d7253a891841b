// `roulette report`: one HTML page of a finished run. See commands.h.
//
// The page is made by chaos/evidence/web/render.mjs (Node.js, ECharts) of report.json, which is
// made here from the records; the programs are started without a shell and waited for.
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos/app/commands.h"
#include "chaos/evidence/bundle_files.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBrowsers[] = {"chromium", "chromium-browser", "google-chrome"};

std::string on_path(const char* program) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const fs::path candidate = fs::path(rest.substr(0, end)) / program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

// Waits for it; what it writes to stdout goes to our stderr.
Status run_program(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t pid = 0;
  const int spawned = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (spawned != 0 || ::waitpid(pid, &status, 0) != pid)
    return Error{ErrorKind::Preflight, arguments.front() + " cannot be started"};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return Error{ErrorKind::Preflight, arguments.front() + " failed; what it said stands above"};
  return {};
}

// The source tree's, for a binary that was built in it: build/<preset>/bin/roulette.
fs::path web_folder(const ReportOptions& options) {
  if (!options.web_dir.empty()) return options.web_dir;
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "../../../chaos/evidence/web").lexically_normal();
}

Status render(const fs::path& web, const fs::path& model, const fs::path& page) {
  const std::string node = on_path("node");
  std::error_code error;
  if (node.empty() || !fs::exists(web / "node_modules/echarts/package.json", error))
    return Error{ErrorKind::Preflight,
                 "a report needs Node.js (18 or newer) and ECharts in " + web.string() +
                     "/node_modules: `tools/report RUN` installs what is missing"};
  return run_program({node, (web / "render.mjs").string(), model.string(), page.string()});
}

Status print_to_pdf(const fs::path& page) {
  for (const char* name : kBrowsers) {
    const std::string browser = on_path(name);
    if (browser.empty()) continue;
    const fs::path pdf = fs::path(page).replace_extension(".pdf");
    const Status printed = run_program(
        {browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
         "--print-to-pdf=" + pdf.string(), "file://" + fs::absolute(page).string()});
    if (printed) std::cout << pdf.string() << "\n";
    return printed;
  }
  return Error{ErrorKind::Preflight, "--pdf needs Chromium: apt-get install chromium"};
}

Result<std::string> report_model(const std::string& run_dir) {
  const auto files = evidence::RunFiles::read(run_dir);
  if (!files) return files.error();
  const auto derived = evidence::derive(*files, run_dir);
  if (!derived) return derived.error();
  for (const auto& [name, content] : derived->files) {
    if (name == evidence::kReportModelFile) return content;
  }
  return Error{ErrorKind::Internal, "no report among what a run gives"};
}

}  // namespace

int report_command(const ReportOptions& options) {
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
