// `roulette judge`: a finished run judged again from its folder. See commands.h.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "chaos/app/commands.h"
#include "chaos/app/progress.h"
#include "chaos/check/run_journal.h"

namespace roulette::chaos {

int judge_command(const JudgeOptions& options) {
  const std::string run_dir = std::filesystem::path(options.run_dir).lexically_normal().string();
  const Result<check::Verdict> verdict = check::judge_folder(run_dir);
  if (!verdict) return report_error(verdict.error());
  const std::string text = check::verdict_json(*verdict);
  if (options.json) std::cout << text << std::flush;
  print_verdict(*verdict, run_dir, options.program);
  std::ostringstream recorded;
  if (std::ifstream file(run_dir + "/verdict.json", std::ios::binary); file)
    recorded << file.rdbuf();
  if (recorded.str() != text)
    std::cerr << "note: " << run_dir << "/verdict.json says something else, or is missing\n";
  return check::verdict_exit_code(verdict->verdict);
}

}  // namespace roulette::chaos
