// A machine's journal: an append-only sequence of records, many per transaction (group commit).
//
// Invariant: append() returned ok => all records of the batch are in the file (WAL,
// synchronous=FULL) under consecutive sequence numbers from 1; not ok => none is counted as
// written and the caller ends the process (DESIGN 4.2). It neither interprets payloads nor checks
// hash chains: the cores do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/time.h"

namespace roulette::runtime {

class KillPoints;
class Metrics;

inline constexpr int kJournalFormatVersion = 1;

struct JournalRecord {
  std::string kind;  // also the subject of its kill points: "signing_record"
  Bytes payload;     // canonical bytes
  Bytes head;        // of the hash chain after this record; may be empty
};

struct StoredRecord {
  std::uint64_t sequence = 0;
  JournalRecord record;
};

class Journal {
 public:
  struct Options {
    std::filesystem::path path;  // the SQLite file; its folder is created and fsynced
    std::string format;          // "signer-journal": another format or version is refused by name
    bool must_exist = false;     // a missing file is ErrorKind::Preflight instead of a new journal
    bool read_only = false;      // for exports; append() is then refused
    Duration commit_delay{};     // Database::delay_commits, once it is open
    KillPoints* points = nullptr;
    Metrics* metrics = nullptr;  // roulette_journal_commit_seconds, roulette_journal_records_total
  };

  // Errors name the file: Corrupt for a damaged file or a gap in the sequence, Refused for another
  // format or version, Io for a full, read-only or failing disk.
  [[nodiscard]] static Result<std::unique_ptr<Journal>> open(Options options);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // All records in one transaction. Passes `<role>.persist.<kind>.before` for each record before
  // BEGIN and `.after` for each after COMMIT.
  [[nodiscard]] Status append(std::span<const JournalRecord> batch);
  [[nodiscard]] Result<std::vector<StoredRecord>> load_all();
  [[nodiscard]] std::uint64_t length() const;  // sequence of the last record
  [[nodiscard]] bool created() const;          // true when open() made a new, empty journal

 private:
  struct State;
  explicit Journal(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::runtime
