// What somebody must have told: a record that cannot be there without another one.
//
// Invariant: a party that keeps silent about something it did is found by a party that saw it;
// otherwise a broken daemon would pass because there is less to compare. Each function belongs to
// the checker whose comparison its silence would empty, and does not count as one by itself.
#pragma once

#include "chaos/check/checkers.h"

namespace roulette::check {

// Every answer a client got was told by the coordinator that gave it, once, in the same words.
void check_answers_told(const History& history, Findings& out);
// Every request answered was told to have come.
void check_requests_told(const History& history, Findings& out);
// Every replica told its digest at every checkpoint that it passed while it lived.
void check_checkpoints_told(const History& history, Findings& out);

// What a fault's record says of times stands in the tool's log as well; empty, or what does not.
[[nodiscard]] std::string untold_moment(const History& history, const FaultRecord& fault);
// Every event about a withdrawal names one of the ledger, and the transaction planned for it.
void check_planned(const History& history, Findings& out);
// What a replica exports is of the last entry that it holds.
void check_export_index(const History& history, Findings& out);
// An orderly end was begun.
void check_stops_told(const History& history, Findings& out);

}  // namespace roulette::check
