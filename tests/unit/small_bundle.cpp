// Writes three bundles of the hand-made run for tests that are no C++:
//   small_bundle FOLDER    makes pass.tar, fail.tar and open.tar there, and prints the fingerprint
//
// Invariant: fail.tar is the same run, but one withdrawal is paid twice and a client was told so by
// nobody: an authentic bundle of a failed run. open.tar was interrupted: inconclusive. All are
// signed by the key named "operator".
#define CATCH_CONFIG_RUNNER  // check_run.cpp has expectations of its own; none is used here
#include <catch2/catch.hpp>

#include <cstdio>

#include "chaos/evidence/bundle.h"
#include "tests/unit/finished_run.h"

namespace {

using roulette::check::test::Finished;
using roulette::check::test::Run;

int write(const std::string& folder, const std::string& name, Run run) {
  const Finished finished(std::move(run));
  finished.sign_as_cluster();
  const auto bundle = roulette::evidence::make_bundle(finished.folder,
                                                      roulette::check::test::key_of("operator"));
  if (!bundle) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), bundle.error().message.c_str());
    return 1;
  }
  roulette::check::test::put(folder, name, bundle->archive);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) return 64;
  Run twice;
  twice.blocks[8] = {twice.spend_spare(twice.paid[0].script, twice.paid[0].amount_sat)};
  Run stopped;
  stopped.facts.interrupted = true;
  stopped.facts.interruption = "by a signal";
  const int failed = write(words[1], "pass.tar", Run()) + write(words[1], "fail.tar", twice) +
                     write(words[1], "open.tar", stopped);
  const auto key = roulette::check::test::key_of("operator").public_key();
  std::puts(roulette::evidence::fingerprint(key).c_str());
  return failed == 0 ? 0 : 1;
}
