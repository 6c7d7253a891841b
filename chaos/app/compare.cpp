// `roulette compare`: the variants of an experiment in turns, each an ordinary run, and what their
// records say side by side. See commands.h.
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "chaos/app/commands.h"
#include "chaos/app/progress.h"
#include "chaos/app/session.h"
#include "chaos/check/comparison.h"
#include "chaos/live/environment.h"
#include "chaos/plan/compare.h"
#include "chaos/plan/schedule.h"
#include "common/base/bytes.h"
#include "common/runtime/durable_file.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;

Result<std::string> text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return Error{ErrorKind::Usage, path + ": cannot be read: no such file, or not readable"};
  return text.str();
}

class Compare {
 public:
  Compare(ComparePlan plan, const CompareOptions& options)
      : plan_(std::move(plan)), options_(options) {
    out_.title = plan_.experiment.title;
    out_.experiment = fs::path(options.path).filename().string();
    out_.seed = plan_.experiment.seed;
    out_.schedule_hash = to_hex(plan_.schedule_hash);
    out_.late_ms = plan_.late_ms;
  }

  int execute() {
    if (const Status found = leave_out_what_cannot_run(); !found)
      return report_error(found.error());
    if (const Status made = make_folder(); !made) return report_error(made.error());
    // In turns, each round beginning with another variant: what the machine does meanwhile and what
    // it has cached falls on all alike.
    const std::size_t count = plan_.variants.size();
    for (std::uint32_t round = 0; round < options_.repeat && !stopped_; ++round) {
      for (std::size_t i = 0; i < count && !stopped_; ++i) run((round + i) % count, round);
    }
    return tell();
  }

 private:
  // Named as not run; an error where nothing is left, or what was asked for by name is missing.
  Status leave_out_what_cannot_run() {
    const auto binaries = Session::preflight(plan_.experiment.cluster, options_.binaries);
    if (!binaries) return binaries.error();
    std::vector<Variant> able;
    for (Variant& variant : plan_.variants) {
      const Status can = can_run(variant.experiment.cluster, *binaries);
      if (can.ok()) {
        out_.variants.push_back(
            {variant.name, variant.scheme, variant.shape, variant.notes, {}});
        able.push_back(std::move(variant));
        continue;
      }
      if (!options_.schemes.empty())
        return Error{ErrorKind::Preflight, variant.name + ": " + can.error().message};
      std::cerr << "not run: " << variant.name << ": " << can.error().message << std::endl;
      out_.not_run.push_back({variant.name, can.error().message});
    }
    if (able.empty()) return Error{ErrorKind::Preflight, "no variant can run on this machine"};
    plan_.variants = std::move(able);
    out_.reference = plan_.variants.front().name;
    return {};
  }

  Status make_folder() {
    const Result<std::string> runs = runs_folder(options_.runs_dir);
    if (!runs) return runs.error();
    char now[32];
    const std::time_t seconds = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::strftime(now, sizeof now, "%Y%m%dT%H%M%SZ", &parts);
    const std::string name =
        std::string(now) + "-compare-" + fs::path(options_.path).stem().string();
    folder_ = fs::absolute(options_.out_dir.empty() ? fs::path(*runs) / name
                                                    : fs::path(options_.out_dir));
    if (const Status made = runtime::create_folder_durably(folder_); !made)
      return Error{ErrorKind::Preflight, made.error().message};
    return {};
  }

  void run(std::size_t index, std::uint32_t round) {
    const Variant& variant = plan_.variants[index];
    std::cerr << "== " << variant.name << " (" << variant.shape << "), repeat " << round + 1
              << " of " << options_.repeat << std::endl;
    for (const std::string& note : variant.notes) std::cerr << "   " << note << std::endl;
    Experiment experiment = variant.experiment;
    experiment.path = fs::path(options_.path).stem().string() + "-" + variant.name + ".json";
    RunOptions options;
    options.runs_dir = options_.runs_dir;
    options.keep = options_.keep;
    options.binaries = options_.binaries;
    const Result<RunEnd> end = run_experiment(std::move(experiment), options);
    if (!end) return missed(variant, round, end.error());
    print_verdict(end->verdict, end->run_dir, "roulette");
    if (end->interrupted_by_signal) {
      stopped_ = true;
      incomplete_ = "interrupted by a signal";
    }
    Result<check::RunFigures> figures =
        check::run_figures(end->run_dir, end->verdict, plan_.late_ms);
    if (!figures) return missed(variant, round, figures.error());
    note_machine(end->run_dir);
    out_.variants[index].repeats.push_back(std::move(figures).value());
  }

  // It ran not at all, or left no records: that is said, and the comparison is not whole.
  void missed(const Variant& variant, std::uint32_t round, const Error& error) {
    std::cerr << "error: " << variant.name << ": " << error.message << std::endl;
    out_.not_run.push_back(
        {variant.name, "repeat " + std::to_string(round + 1) + ": " + error.message});
    incomplete_ = variant.name + " has fewer runs than were asked for";
    if (error.message.find("interrupted") != std::string::npos) stopped_ = true;
  }

  void note_machine(const std::string& run_dir) {
    if (!out_.machine_json.empty()) return;
    std::ifstream file(run_dir + "/environment.json");
    const nlohmann::json all = nlohmann::json::parse(file, nullptr, false);
    nlohmann::json machine = nlohmann::json::object();
    for (const char* key : {"kernel", "machine", "cores", "fdatasync_p50_us"})
      if (all.is_object() && all.contains(key)) machine[key] = all[key];
    out_.machine_json = machine.dump();
  }

  int tell() {
    const std::string json = check::comparison_json(out_), csv = check::comparison_csv(out_),
                      table = check::comparison_table(out_);
    for (const auto& [name, text] :
         {std::pair{"compare.json", &json}, {"compare.csv", &csv}, {"compare.txt", &table}}) {
      const Status written = runtime::write_file_durably(folder_ / name, as_bytes(*text), 0644);
      if (!written) return report_error(written.error());
    }
    std::cout << (options_.json ? json : options_.csv ? csv : table) << std::flush;
    const check::VerdictKind verdict = check::comparison_verdict(out_);
    std::cerr << "comparison: " << check::verdict_name(verdict) << "  " << folder_.string()
              << std::endl;
    if (!incomplete_.empty()) std::cerr << "not whole: " << incomplete_ << std::endl;
    const int code = check::verdict_exit_code(verdict);
    return code == kExitPass && !incomplete_.empty() ? kExitInconclusive : code;
  }

  ComparePlan plan_;
  const CompareOptions& options_;
  check::Comparison out_;
  fs::path folder_;
  std::string incomplete_;
  bool stopped_ = false;
};

void print_plan(const ComparePlan& plan) {
  std::cout << "schedule_hash " << to_hex(plan.schedule_hash) << "\n";
  for (const Variant& variant : plan.variants) {
    std::cout << "== " << variant.name << ": " << variant.scheme << ", " << variant.shape << "\n";
    for (const std::string& note : variant.notes) std::cout << "   " << note << "\n";
    const Schedule schedule = draw_schedule(variant.experiment);
    for (const FaultInstance& instance : schedule.instances)
      std::cout << describe(instance) << "\n";
    std::cout << "schedule_hash " << to_hex(schedule.hash) << "\n";
  }
}

}  // namespace

int compare_command(const CompareOptions& options) {
  const Result<std::string> text = text_of(options.path);
  if (!text) return report_error(text.error());
  Result<ComparePlan> plan =
      plan_compare(*text, options.path, {options.schemes, options.seed, options.duration_s});
  if (!plan) return report_error(plan.error());
  if (options.dry_run) {
    print_plan(*plan);
    return kExitPass;
  }
  return Compare(std::move(plan).value(), options).execute();
}

}  // namespace roulette::chaos
