// What the removal of the log's beginning needs: the word of a majority for what took its place.
//
// Invariant: reads records only, and needs the whole log, whose beginning the store no longer has.
// Part of ledger-replicas-agree; the digests themselves are compared there.
#pragma once

#include "chaos/check/checkers.h"

namespace roulette::check {

// Both snapshots that a trim named were spoken for: a majority of replicas reported one digest at
// each index, in the log, as `checkpoint` commands.
void check_trims(const History& history, Findings& out);

}  // namespace roulette::check
