// `roulette reprovision`: a stopped cluster moves to a new share epoch. See commands.h.
#include <filesystem>
#include <iostream>

#include <nlohmann/json.hpp>

#include "chaos/app/commands.h"
#include "chaos/live/reprovision.h"
#include "common/runtime/process.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

ReprovisionPlan plan_of(const ReprovisionOptions& options) {
  std::error_code failed;
  const auto beside =
      std::filesystem::read_symlink("/proc/self/exe", failed).parent_path();
  ReprovisionPlan plan;
  plan.run_dir = std::filesystem::absolute(options.run_dir).string();
  plan.lost = options.signers;
  plan.without_ledger = options.without_ledger;
  plan.signer = (beside / "roulette-signer").string();
  plan.ledger = (beside / "roulette-ledger").string();
  if (!options.json)
    plan.on_step = [](const std::string& step) { std::cerr << step << std::endl; };
  return plan;
}

int retire(const ReprovisionOptions& options) {
  const auto gone = retire_old_shares(plan_of(options));
  if (!gone) return report_error(gone.error());
  if (options.json) {
    std::cout << json{{"erased", *gone}}.dump() << std::endl;
    return kExitPass;
  }
  for (const std::string& file : *gone) std::cout << "erased " << file << "\n";
  std::cout << gone->size() << " shares of earlier epochs erased" << std::endl;
  return kExitPass;
}

}  // namespace

int reprovision_command(const ReprovisionOptions& options) {
  if (options.retire && !options.signers.empty())
    return report_error({ErrorKind::Usage, "--retire goes alone: it erases, and moves no signer"});
  if (options.retire) return retire(options);
  runtime::KernelEntropy entropy;
  const auto report = reprovision(plan_of(options), entropy);
  if (!report) return report_error(report.error());
  if (options.json) {
    json journals = json::array();
    for (const std::string& line : report->journals)
      journals.push_back(json::parse(line, nullptr, false));
    std::cout << json{{"share_epoch", report->share_epoch},
                      {"journals", journals},
                      {"switched", report->switched}}
                     .dump()
              << std::endl;
    return kExitPass;
  }
  for (const std::string& line : report->journals) std::cout << line << "\n";
  std::cout << "share epoch " << report->share_epoch
            << " is in force: start the signers, then the coordinators; when a payment is signed, "
               "run again with --retire"
            << std::endl;
  return kExitPass;
}

}  // namespace roulette::chaos
