// `roulette-ledger export`: the tables as the NDJSON of docs/RECORDS.md, section 4.
//
// Invariant: every line comes from what is stored; the `tables` line's digest is recomputed by
// applying the stored entries to an empty state, and is all zeros when that state and the stored
// withdrawals, reservations, postings or balances differ.
#pragma once

#include "common/base/result.h"
#include "ledger/app/settings.h"

namespace roulette::ledger {

[[nodiscard]] Status export_tables(const Settings& settings);

}  // namespace roulette::ledger
