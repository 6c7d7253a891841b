// The machine's records in the SQLite journal, and the journal as NDJSON.
//
// Invariant: what is loaded is byte for byte what was appended; the chain is checked by
// Signer::restore, here only the bytes are decoded. The export needs no keys.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/runtime/journal.h"
#include "signer/app/settings.h"
#include "signer/core/signer.h"

namespace roulette::signer {

inline constexpr const char* kJournalFormat = "signer-journal";

[[nodiscard]] runtime::JournalRecord to_journal(const Record& record);
[[nodiscard]] Result<std::vector<Record>> load_records(runtime::Journal& journal);

// One line of `state/signer-<i>.ndjson` (docs/RECORDS.md 4), without its newline.
[[nodiscard]] std::string record_json(const Record& record);
// Writes the whole journal to stdout, header first.
[[nodiscard]] Status export_journal(const Settings& settings);

}  // namespace roulette::signer
