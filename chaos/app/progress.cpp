// Progress lines and the closing words of a run: see progress.h.
#include "chaos/app/progress.h"

#include <cstdio>

#include <unistd.h>

namespace roulette::chaos {
namespace {

std::string milliseconds_text(double ms) {
  char text[32];
  std::snprintf(text, sizeof text, ms < 10 ? "%.2f ms" : "%.0f ms", ms);
  return text;
}

// A pass can be judged again by anybody; what is no pass is looked at, and can be drawn again.
std::string next_command(const check::Verdict& v, const std::string& run_dir,
                         const std::string& program) {
  const std::string judge = program + " judge " + run_dir;
  if (v.verdict == check::VerdictKind::Pass) return judge + " (judges these records again)";
  return "each reason names its record, docs/INVARIANTS.md what was compared; the same schedule "
         "again: " +
         program + " run " + run_dir + "/experiment.yaml --seed " + std::to_string(v.seed) +
         " --keep";
}

void print_latency(const char* what, const check::Quantiles& quiet,
                   const check::Quantiles& killed) {
  std::fprintf(stderr,
               "  %-28s p50 %-9s p99 %-9s (n %llu)   under kills: p50 %-9s p99 %-9s (n %llu)\n",
               what, milliseconds_text(quiet.p50).c_str(), milliseconds_text(quiet.p99).c_str(),
               static_cast<unsigned long long>(quiet.n), milliseconds_text(killed.p50).c_str(),
               milliseconds_text(killed.p99).c_str(), static_cast<unsigned long long>(killed.n));
}

}  // namespace

Progress::Progress(std::uint32_t duration_s, std::string run_dir)
    : duration_s_(duration_s), terminal_(isatty(STDERR_FILENO) == 1) {
  std::fprintf(stderr, "run folder: %s\n", run_dir.c_str());
}

void Progress::line(const std::string& text) {
  std::fprintf(stderr, terminal_ ? "\r\033[K%s\n" : "%s\n", text.c_str());
}

void Progress::show(const ProgressFacts& facts) {
  if (facts.elapsed_s - last_shown_s_ < 1.0 && last_shown_s_ >= 0) return;
  const double span = last_shown_s_ < 0 ? facts.elapsed_s : facts.elapsed_s - last_shown_s_;
  const double rate =
      span <= 0 ? 0 : static_cast<double>(facts.load.acknowledged - last_acknowledged_) / span;
  last_shown_s_ = facts.elapsed_s;
  last_acknowledged_ = facts.load.acknowledged;
  char text[200];
  std::snprintf(text, sizeof text,
                "%5.1f s  %5.1f/s  acknowledged %llu (%llu open)  faults %zu/%zu  signers up %u/%u "
                "(quorum %u)  p99 %s  %.0f s left",
                facts.elapsed_s, rate, static_cast<unsigned long long>(facts.load.acknowledged),
                static_cast<unsigned long long>(facts.load.open), facts.fired, facts.scheduled,
                facts.signers_up, facts.signers, facts.threshold,
                milliseconds_text(facts.load.p99_ms).c_str(), duration_s_ - facts.elapsed_s);
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text);
  std::fflush(stderr);
}

void print_verdict(const check::Verdict& v, const std::string& run_dir,
                   const std::string& program) {
  std::fprintf(stderr, "\ninvariants\n");
  for (const check::InvariantResult& invariant : v.invariants) {
    std::fprintf(stderr, "  %-28s %-13s %8llu checked%s%s\n", invariant.id.c_str(),
                 check::status_name(invariant.status),
                 static_cast<unsigned long long>(invariant.checked),
                 invariant.note.empty() ? "" : "   ", invariant.note.c_str());
    for (const std::string& violation : invariant.violations)
      std::fprintf(stderr, "      %s\n", violation.c_str());
  }
  std::fprintf(stderr, "faults   %llu scheduled, %llu fired, %llu proven, at %zu points\n",
               static_cast<unsigned long long>(v.faults_requested),
               static_cast<unsigned long long>(v.faults_fired),
               static_cast<unsigned long long>(v.faults_proven), v.faults_by_point.size());
  std::fprintf(stderr,
               "payments %llu requested, %llu acknowledged, %llu settled, %llu rejected, %llu "
               "indeterminate\n",
               static_cast<unsigned long long>(v.load_requested),
               static_cast<unsigned long long>(v.load_acknowledged),
               static_cast<unsigned long long>(v.load_settled),
               static_cast<unsigned long long>(v.load_rejected),
               static_cast<unsigned long long>(v.load_indeterminate));
  print_latency("request to signature", v.signing_undisturbed, v.signing_disturbed);
  print_latency("request to broadcast", v.withdrawal_undisturbed, v.withdrawal_disturbed);
  for (const auto& [role, q] : v.recovery_ms) {
    std::fprintf(stderr, "  %-28s p50 %-9s max %s (n %llu)\n", ("recovery of a " + role).c_str(),
                 milliseconds_text(q.p50).c_str(), milliseconds_text(q.max).c_str(),
                 static_cast<unsigned long long>(q.n));
  }
  std::fprintf(stderr, "\n%s", check::verdict_name(v.verdict));
  for (const std::string& reason : v.reasons) std::fprintf(stderr, "\n  %s", reason.c_str());
  std::fprintf(stderr,
               "\nrecords: %s (verdict.json, events.ndjson, faults.ndjson, state/, logs/)\n",
               run_dir.c_str());
  std::fprintf(stderr, "next: %s\n", next_command(v, run_dir, program).c_str());
}

}  // namespace roulette::chaos
