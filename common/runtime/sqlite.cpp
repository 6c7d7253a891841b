// The only file that includes sqlite3.h.
//
// Invariant: a Statement is finalized before its Database closes (sqlite3_close_v2 keeps the
// connection alive until then anyway). Misuse (a wrong index) is our own bug and asserted.
#include "common/runtime/sqlite.h"

#include <sqlite3.h>

#include <chrono>
#include <thread>
#include <utility>

namespace roulette::runtime {
namespace {

ErrorKind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorKind::Corrupt;
    default: return ErrorKind::Io;
  }
}

Error sqlite_error(sqlite3* db, const std::filesystem::path& path, int code) {
  std::string message = path.string() + ": " + sqlite3_errstr(code);
  if (db != nullptr && sqlite3_errcode(db) == (code & 0xff)) {
    message = path.string() + ": " + sqlite3_errmsg(db);
  }
  return Error{kind_of(code), message + " (sqlite " + std::to_string(code) + ")"};
}

const char* synchronous_sql(Database::Synchronous level) {
  switch (level) {
    case Database::Synchronous::Full: return "PRAGMA synchronous=FULL";
    case Database::Synchronous::Normal: return "PRAGMA synchronous=NORMAL";
    case Database::Synchronous::Off: return "PRAGMA synchronous=OFF";
  }
  ROULETTE_ASSERT(false);
}

}  // namespace

struct Database::State {
  std::filesystem::path path;
  sqlite3* db = nullptr;
  Duration commit_delay{};
  ~State() { sqlite3_close_v2(db); }
};

struct Statement::State {
  sqlite3* db = nullptr;
  const std::filesystem::path* path = nullptr;
  sqlite3_stmt* statement = nullptr;
  ~State() { sqlite3_finalize(statement); }
};

Statement::Statement(std::unique_ptr<State> state) : state_(std::move(state)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement& Statement::operator=(Statement&&) noexcept = default;
Statement::~Statement() = default;

Statement& Statement::bind(int parameter, std::int64_t value) {
  ROULETTE_ASSERT(sqlite3_bind_int64(state_->statement, parameter, value) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  // An empty view may have no address, and SQLite reads a null address as NULL.
  const char* const data = text.empty() ? "" : text.data();
  ROULETTE_ASSERT(sqlite3_bind_text64(state_->statement, parameter, data, text.size(),
                                      SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(int parameter, ByteSpan blob) {
  const void* const data = blob.empty() ? static_cast<const void*>("") : blob.data();
  ROULETTE_ASSERT(sqlite3_bind_blob64(state_->statement, parameter, data, blob.size(),
                                      SQLITE_TRANSIENT) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind_null(int parameter) {
  ROULETTE_ASSERT(sqlite3_bind_null(state_->statement, parameter) == SQLITE_OK);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(state_->statement);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sqlite_error(state_->db, *state_->path, code);
}

Status Statement::run() {
  for (;;) {
    const Result<bool> row = step();
    if (row && *row) continue;
    reset();
    return row ? Status{} : Status{row.error()};
  }
}

void Statement::reset() {
  sqlite3_reset(state_->statement);
  sqlite3_clear_bindings(state_->statement);
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(state_->statement, column);
}

std::string Statement::text(int column) const {
  const unsigned char* const data = sqlite3_column_text(state_->statement, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(state_->statement, column));
  return data == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(data), size);
}

Bytes Statement::blob(int column) const {
  const void* const data = sqlite3_column_blob(state_->statement, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(state_->statement, column));
  const auto* const bytes = static_cast<const std::uint8_t*>(data);
  return data == nullptr ? Bytes() : Bytes(bytes, bytes + size);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(state_->statement, column) == SQLITE_NULL;
}

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::filesystem::path& path) { return open(path, Options{}); }

Result<Database> Database::open(const std::filesystem::path& path, Options options) {
  auto state = std::make_unique<State>();
  state->path = path;
  // Asked here, for SQLite says the same "unable to open" for a missing file and a missing right.
  std::error_code ignored;
  if (!options.create && !std::filesystem::exists(path, ignored)) {
    return Error{ErrorKind::Preflight, path.string() + ": no such file"};
  }
  const int writing = SQLITE_OPEN_READWRITE | (options.create ? SQLITE_OPEN_CREATE : 0);
  const int access = options.read_only ? SQLITE_OPEN_READONLY : writing;
  const int code = sqlite3_open_v2(path.c_str(), &state->db,
                                   access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) return sqlite_error(state->db, path, code);
  sqlite3_busy_timeout(state->db, options.busy_timeout_ms);
  Database database(std::move(state));
  if (!options.read_only) {
    if (options.wal) {
      if (Status wal = database.execute("PRAGMA journal_mode=WAL"); !wal) return wal.error();
    }
    if (Status level = database.execute(synchronous_sql(options.synchronous)); !level) {
      return level.error();
    }
  }
  return database;
}

Status Database::execute(std::string_view sql) {
  const int code = sqlite3_exec(state_->db, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(state_->db, state_->path, code);
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  auto state = std::make_unique<Statement::State>();
  state->db = state_->db;
  state->path = &state_->path;
  const int code = sqlite3_prepare_v3(state_->db, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &state->statement, nullptr);
  if (code != SQLITE_OK) return sqlite_error(state_->db, state_->path, code);
  return Statement(std::move(state));
}

Status Database::begin() { return execute("BEGIN IMMEDIATE"); }

void Database::delay_commits(Duration delay) { state_->commit_delay = delay; }

Status Database::commit() {
  // Before it: a process that dies in the wait has committed nothing.
  if (state_->commit_delay.us > 0)
    std::this_thread::sleep_for(std::chrono::microseconds(state_->commit_delay.us));
  Status committed = execute("COMMIT");
  if (!committed) rollback();
  return committed;
}

void Database::rollback() noexcept {
  if (sqlite3_get_autocommit(state_->db) == 0) {
    sqlite3_exec(state_->db, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

Status Database::grow_wal(std::int64_t bytes) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(state_->path.string() + "-wal", missing);
  if (!missing && size >= static_cast<std::uintmax_t>(bytes)) return {};
  // Three transactions: pages that are made and freed in one would never reach the log.
  const std::string sql =
      "CREATE TABLE IF NOT EXISTS wal_filler(b BLOB);"
      "INSERT INTO wal_filler VALUES(zeroblob(" + std::to_string(bytes) + "));"
      "DROP TABLE wal_filler;"
      "PRAGMA wal_checkpoint(RESTART)";
  return execute(sql);
}

std::int64_t Database::last_insert_rowid() const { return sqlite3_last_insert_rowid(state_->db); }
const std::filesystem::path& Database::path() const { return state_->path; }

}  // namespace roulette::runtime
