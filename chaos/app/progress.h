// What a run shows while it works: a rewritten line on a terminal, one plain line a second
// elsewhere; all on stderr.
//
// Invariant: nothing here is read by anything; the last words of a run are verdict, why, folder,
// next command.
#pragma once

#include <cstdint>
#include <string>

#include "chaos/check/verdict.h"
#include "chaos/live/load.h"

namespace roulette::chaos {

struct ProgressFacts {
  double elapsed_s = 0;
  LoadCounts load;
  std::size_t fired = 0;
  std::size_t scheduled = 0;
  std::uint32_t signers_up = 0, signers = 0, threshold = 0;
};

class Progress {
 public:
  Progress(std::uint32_t duration_s, std::string run_dir);
  void line(const std::string& text);
  void show(const ProgressFacts& facts);

 private:
  std::uint32_t duration_s_;
  bool terminal_;
  double last_shown_s_ = -1;
  std::uint64_t last_acknowledged_ = 0;
};

// `program` is the tool as it was called.
void print_verdict(const check::Verdict& verdict, const std::string& run_dir,
                   const std::string& program);

}  // namespace roulette::chaos
