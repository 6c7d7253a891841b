// The journal on SQLite: tables `meta` (format, version) and `records`.
//
// Invariant: sequence numbers are consecutive from 1; load_all() refuses a gap, since a missing
// record could be a forgotten binding (DESIGN 6.2). Checkpoints of the WAL are SQLite's, on COMMIT.
#include "common/runtime/journal.h"

#include <chrono>
#include <optional>
#include <utility>

#include "common/runtime/durable_file.h"
#include "common/runtime/kill_points.h"
#include "common/runtime/metrics.h"
#include "common/runtime/sqlite.h"

namespace roulette::runtime {
namespace {

// The write-ahead log is made this large at once and begins anew before it would grow: a commit of
// three signers at a time then takes half as long (docs/PERFORMANCE.md).
constexpr std::int64_t kWalBytes = 1 << 20;
constexpr const char* kCheckpointEvery = "PRAGMA wal_autocheckpoint=200";  // pages of 4 KiB

constexpr const char* kSchema =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE meta(format TEXT NOT NULL, version INTEGER NOT NULL);"
    "CREATE TABLE records(sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
    " payload BLOB NOT NULL, head BLOB NOT NULL);";

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<bool> has_table(Database& database, std::string_view name) {
  auto query = database.prepare("SELECT 1 FROM sqlite_master WHERE type='table' AND name=?");
  if (!query) return query.error();
  return query->bind(1, name).step();
}

Status create_tables(Database& database, const std::string& format) {
  if (Status made = database.execute(kSchema); !made) {
    database.rollback();
    return made;
  }
  auto insert = database.prepare("INSERT INTO meta VALUES(?, ?)");
  if (!insert) return insert.error();
  const Status inserted =
      insert->bind(1, format).bind(2, std::int64_t{kJournalFormatVersion}).run();
  if (!inserted) {
    database.rollback();
    return inserted;
  }
  return database.commit();
}

Status check_format(Database& database, const std::string& format) {
  auto query = database.prepare("SELECT format, version FROM meta");
  if (!query) return query.error();
  const Result<bool> row = query->step();
  if (!row) return row.error();
  if (!*row) {
    return Error{ErrorKind::Corrupt, database.path().string() + ": no format row"};
  }
  if (query->text(0) != format || query->integer(1) != kJournalFormatVersion) {
    return Error{ErrorKind::Refused, database.path().string() + ": is " + query->text(0) +
                                         " version " + std::to_string(query->integer(1)) +
                                         ", this program reads " + format + " version " +
                                         std::to_string(kJournalFormatVersion)};
  }
  return {};
}

// A page that rotted must be found at start, not when its record is needed.
Status check_pages(Database& database) {
  auto query = database.prepare("PRAGMA quick_check(1)");
  if (!query) return query.error();
  const Result<bool> row = query->step();
  if (!row) return row.error();
  if (!*row || query->text(0) != "ok") {
    return Error{ErrorKind::Corrupt,
                 database.path().string() + ": damaged: " + (*row ? query->text(0) : "no answer")};
  }
  return {};
}

}  // namespace

struct Journal::State {
  Options options;
  Database database;
  Statement insert;
  std::uint64_t length = 0;
  bool created = false;
  bool failed = false;
  Histogram* commit_seconds = nullptr;
  Counter* records_total = nullptr;

  void announce(std::span<const JournalRecord> batch, PointWhen when) {
    if (options.points == nullptr) return;
    for (const JournalRecord& record : batch) {
      options.points->announce(PointEffect::Persist, record.kind, when);
    }
  }

  Status insert_all(std::span<const JournalRecord> batch) {
    auto sequence = static_cast<std::int64_t>(length);
    for (const JournalRecord& record : batch) {
      insert.bind(1, ++sequence).bind(2, record.kind).bind(3, ByteSpan(record.payload));
      if (Status inserted = insert.bind(4, ByteSpan(record.head)).run(); !inserted) return inserted;
    }
    return {};
  }

  Status write_transaction(std::span<const JournalRecord> batch) {
    if (Status begun = database.begin(); !begun) return begun;
    if (Status inserted = insert_all(batch); !inserted) {
      database.rollback();
      return inserted;
    }
    return database.commit();
  }
};

Journal::Journal(std::unique_ptr<State> state) : state_(std::move(state)) {}
Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::open(Options options) {
  const bool may_create = !options.must_exist && !options.read_only;
  if (may_create) {
    if (Status made = create_folder_durably(options.path.parent_path()); !made) return made.error();
  }
  auto database = Database::open(options.path, {.create = may_create,
                                                .read_only = options.read_only});
  if (!database) return database.error();

  const Result<bool> old = has_table(*database, "meta");
  if (!old) return old.error();
  if (!*old && !may_create) {
    return Error{ErrorKind::Corrupt, options.path.string() + ": holds no journal"};
  }
  if (!*old) {
    if (Status made = create_tables(*database, options.format); !made) return made.error();
    if (Status synced = sync_folder(options.path.parent_path()); !synced) return synced.error();
  } else {
    if (Status pages = check_pages(*database); !pages) return pages.error();
    if (Status format = check_format(*database, options.format); !format) return format.error();
  }
  if (!options.read_only) {
    if (Status often = database->execute(kCheckpointEvery); !often) return often.error();
    if (Status grown = database->grow_wal(kWalBytes); !grown)
      return grown.error().with_context("journal: room for its write-ahead log");
  }

  auto insert = database->prepare("INSERT INTO records VALUES(?, ?, ?, ?)");
  if (!insert) return insert.error();
  auto last = database->prepare("SELECT count(*), max(sequence) FROM records");
  if (!last) return last.error();
  if (const Result<bool> row = last->step(); !row) return row.error();
  const std::int64_t count = last->integer(0);
  if (count != last->integer(1)) {
    return Error{ErrorKind::Corrupt, options.path.string() + ": " + std::to_string(count) +
                                         " records, but the last is number " +
                                         std::to_string(last->integer(1))};
  }
  last->reset();

  Histogram* commit_seconds = nullptr;
  Counter* records_total = nullptr;
  if (options.metrics != nullptr) {
    commit_seconds = &options.metrics->histogram("roulette_journal_commit_seconds",
                                                 "Time of one group commit of the journal.",
                                                 Metrics::latency_buckets());
    records_total = &options.metrics->counter("roulette_journal_records_total",
                                              "Records committed by this process.");
  }
  database->delay_commits(options.commit_delay);
  const bool created = !*old;
  return std::unique_ptr<Journal>(new Journal(std::unique_ptr<State>(
      new State{std::move(options), std::move(*database), std::move(*insert),
                static_cast<std::uint64_t>(count), created, false, commit_seconds,
                records_total})));
}

Status Journal::append(std::span<const JournalRecord> batch) {
  if (batch.empty()) return {};
  State& state = *state_;
  if (state.options.read_only) {
    return Error{ErrorKind::Refused, state.options.path.string() + ": opened for reading only"};
  }
  // After a failed commit nobody knows what the disk holds: only a restart may find out.
  if (state.failed) {
    return Error{ErrorKind::Io, state.options.path.string() + ": an earlier commit failed"};
  }
  state.announce(batch, PointWhen::Before);
  const auto start = std::chrono::steady_clock::now();
  if (Status written = state.write_transaction(batch); !written) {
    state.failed = true;
    return written.error().with_context("journal commit");
  }
  if (state.commit_seconds != nullptr) state.commit_seconds->observe(seconds_since(start));
  if (state.records_total != nullptr) {
    state.records_total->increment(static_cast<double>(batch.size()));
  }
  state.length += batch.size();
  state.announce(batch, PointWhen::After);
  return {};
}

Result<std::vector<StoredRecord>> Journal::load_all() {
  auto query = state_->database.prepare(
      "SELECT sequence, kind, payload, head FROM records ORDER BY sequence");
  if (!query) return query.error();
  std::vector<StoredRecord> records;
  for (;;) {
    const Result<bool> row = query->step();
    if (!row) return row.error();
    if (!*row) break;
    const auto sequence = static_cast<std::uint64_t>(query->integer(0));
    if (sequence != records.size() + 1) {
      return Error{ErrorKind::Corrupt, state_->options.path.string() + ": record " +
                                           std::to_string(records.size() + 1) + " is missing"};
    }
    records.push_back({sequence, {query->text(1), query->blob(2), query->blob(3)}});
  }
  return records;
}

std::uint64_t Journal::length() const { return state_->length; }
bool Journal::created() const { return state_->created; }

}  // namespace roulette::runtime
