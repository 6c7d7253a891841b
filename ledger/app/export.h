// `roulette-ledger export`: the tables as the NDJSON of docs/RECORDS.md, section 4.
//
// Invariant: every line comes from what is stored; the `tables` line's digest is recomputed by
// applying the stored entries to an empty state, or to the snapshot that the tables were restored
// from, and is all zeros when that state and the stored withdrawals, reservations, postings or
// balances differ, or any row is damaged.
#pragma once

#include "common/base/result.h"
#include "ledger/app/settings.h"

namespace roulette::ledger {

[[nodiscard]] Status export_tables(const Settings& settings);

}  // namespace roulette::ledger
