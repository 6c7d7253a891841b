// A verdict beside the history that it rests on, for who shows both.
//
// Invariant: the history is the one that the checkers saw.
#pragma once

#include "chaos/check/history.h"
#include "chaos/check/verdict.h"

namespace roulette::check {

struct JudgedRun {
  Verdict verdict;
  History history;
};

}  // namespace roulette::check
