// A thin RAII layer over SQLite: Database, Statement, Transaction. sqlite3.h stays in the .cpp.
//
// Invariant: every SQLite error becomes a Result with the database's path and SQLite's words;
// nothing throws. One thread. It knows no schema; journal.h and the ledger's tables do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"

namespace roulette::runtime {

// Columns count from 0, parameters from 1, as in SQLite. Must not outlive its Database.
class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  // A wrong index is an assert. Text and blobs are copied.
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::string_view text);
  Statement& bind(int parameter, ByteSpan blob);
  Statement& bind_null(int parameter);

  // true: a row stands ready; false: done.
  [[nodiscard]] Result<bool> step();
  // step() until done, then reset: for INSERT, UPDATE, DELETE.
  [[nodiscard]] Status run();
  // Ready for the next execution; bindings are cleared.
  void reset();

  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] Bytes blob(int column) const;
  [[nodiscard]] bool is_null(int column) const;

 private:
  friend class Database;
  struct State;
  explicit Statement(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Database {
 public:
  enum class Synchronous { Full, Normal, Off };
  struct Options {
    bool create = true;       // otherwise a missing file is an error
    bool read_only = false;
    bool wal = true;
    Synchronous synchronous = Synchronous::Full;
    int busy_timeout_ms = 2000;
  };

  [[nodiscard]] static Result<Database> open(const std::filesystem::path& path, Options options);
  [[nodiscard]] static Result<Database> open(const std::filesystem::path& path);  // default Options
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // One or several statements without parameters or rows.
  [[nodiscard]] Status execute(std::string_view sql);
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);

  [[nodiscard]] Status begin();     // BEGIN IMMEDIATE
  [[nodiscard]] Status commit();    // after a failure the transaction is rolled back
  void rollback() noexcept;
  // Every commit from here on takes this much longer, as on a slower disk: for measurements only.
  void delay_commits(Duration delay);
  // Writes until the write-ahead log has `bytes` and lets it begin anew, so that later commits
  // overwrite blocks that exist: syncing a file that grows costs a file system commit besides.
  [[nodiscard]] Status grow_wal(std::int64_t bytes);

  [[nodiscard]] std::int64_t last_insert_rowid() const;
  [[nodiscard]] const std::filesystem::path& path() const;

 private:
  struct State;
  explicit Database(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::runtime
