// journal.json: what the tool saw and no other record says, and a digest of every record it left,
// so that a finished run can be judged again.
//
// Invariant: judge_folder() never says more than the run's own verdict did: the plan as it ran
// (seed and duration included), interruptions and problems come from the journal, and a record that
// is missing, added or other than when the run ended makes the verdict inconclusive. It is no
// signature: whoever writes all files anew can write this one too.
#pragma once

#include <string>
#include <vector>

#include "chaos/check/verdict.h"

namespace roulette::check {

// The text of journal.json for the records that stand in `run_dir` now. Times are Unix seconds.
struct RunSpan {
  std::int64_t start_s = 0, end_s = 0;
};
[[nodiscard]] Result<std::string> run_journal_json(const std::string& run_dir,
                                                   const chaos::Experiment& experiment,
                                                   const RunFacts& facts, const RunSpan& span);

// A finished run, judged by its records alone. A folder without a journal that can be read,
// or whose experiment cannot, is ErrorKind::Preflight: there is nothing that a verdict could rest
// on.
[[nodiscard]] Result<Verdict> judge_folder(const std::string& run_dir);
// The same with the history (judged_run.h).
[[nodiscard]] Result<JudgedRun> judge_folder_records(const std::string& run_dir);

}  // namespace roulette::check
