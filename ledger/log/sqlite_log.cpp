// Entries, snapshots and the head in SQLite: see sqlite_log.h.
#include "ledger/log/sqlite_log.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "common/runtime/durable_file.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/sqlite.h"
#include "common/wire/codec.h"

namespace roulette::ledger {
namespace {

constexpr int kEntriesPerTurn = 128;  // so that a long replay does not stop the loop

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS log (cluster TEXT NOT NULL, head INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entries (idx INTEGER PRIMARY KEY, batch BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS chunks (idx INTEGER, number INTEGER, bytes BLOB NOT NULL,
                                   PRIMARY KEY (idx, number));
CREATE TABLE IF NOT EXISTS manifests (idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
)";

// "Up to any index" is written as the highest number, which SQLite's are too small for.
std::int64_t column(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(value, INT64_MAX));
}

}  // namespace

struct SqliteLog::State : std::enable_shared_from_this<SqliteLog::State> {
  runtime::EventLoop& loop;
  Options options;
  runtime::Database database;
  Callbacks callbacks;
  LogCounters counters;
  std::uint64_t delivered = 0;
  std::uint64_t generation = 0;  // of following; what an earlier one posted does nothing
  bool restored = false;
  bool failed = false;

  State(runtime::EventLoop& l, Options o, runtime::Database d)
      : loop(l), options(std::move(o)), database(std::move(d)) {}

  // In a later turn, unless the log is gone or failed by then.
  template <class Action>
  void later(Action action) {
    loop.post([weak = weak_from_this(), action = std::move(action)]() mutable {
      const auto self = weak.lock();
      if (self && !self->failed) action(*self);
    });
  }

  void fail(const Error& error) {
    if (failed) return;
    failed = true;
    options.on_failure(error);
  }

  // The one number of a query without a row is `otherwise`.
  Result<std::uint64_t> number(std::string_view sql, std::optional<std::uint64_t> bound,
                               std::uint64_t otherwise) {
    auto query = database.prepare(sql);
    if (!query) return query.error();
    if (bound) query->bind(1, column(*bound));
    const auto row = query->step();
    if (!row) return row.error();
    if (!*row || query->is_null(0)) return otherwise;
    return static_cast<std::uint64_t>(query->integer(0));
  }

  Result<std::uint64_t> head() { return number("SELECT head FROM log", {}, 0); }

  Status claim() {
    if (const Status made = database.execute(kSchema); !made) return made;
    auto query = database.prepare("SELECT cluster FROM log");
    if (!query) return query.error();
    const auto row = query->step();
    if (!row) return row.error();
    if (*row && query->text(0) == options.cluster) return {};
    if (*row) {
      return Error{ErrorKind::Preflight, options.file.string() + " is the log of " +
                                             query->text(0) + ", not of " + options.cluster};
    }
    auto insert = database.prepare("INSERT INTO log VALUES (?, 0)");
    if (!insert) return insert.error();
    return insert->bind(1, std::string_view(options.cluster)).run();
  }

  // ---- following ----

  void read_on() {
    later([current = generation](State& self) {
      if (self.generation == current) self.read_turn();
    });
  }

  void read_turn() {
    auto entries = next_entries();
    if (!entries) return fail(entries.error());
    const std::uint64_t current = generation;
    for (auto& [index, batch] : *entries) {
      if (index <= delivered) continue;
      if (index != delivered + 1) return behind(index);
      auto commands = wire::decode_batch(batch);
      if (!commands) {
        return fail(Error{ErrorKind::Io, options.file.string() + ": entry " +
                                             std::to_string(index) + " does not parse"});
      }
      delivered = index;
      callbacks.on_entry(index, std::move(commands).value());
      if (failed || generation != current) return;
    }
    if (!entries->empty()) return read_on();
    const auto last = head();
    if (!last) return fail(last.error());
    if (*last > delivered) return behind(*last + 1);
    if (restored) return;
    restored = true;
    callbacks.on_restored();
  }

  Result<std::vector<std::pair<std::uint64_t, Bytes>>> next_entries() {
    auto query =
        database.prepare("SELECT idx, batch FROM entries WHERE idx > ? ORDER BY idx LIMIT ?");
    if (!query) return query.error();
    query->bind(1, column(delivered)).bind(2, std::int64_t{kEntriesPerTurn});
    std::vector<std::pair<std::uint64_t, Bytes>> out;
    while (true) {
      const auto row = query->step();
      if (!row) return row.error();
      if (!*row) return out;
      out.emplace_back(static_cast<std::uint64_t>(query->integer(0)), query->blob(1));
    }
  }

  void behind(std::uint64_t first) {
    ++generation;
    restored = false;
    callbacks.on_trimmed(first);
  }

  // ---- appending ----

  // false: something stands there that was not handed over here.
  Result<bool> append(const Bytes& batch) {
    if (const Status begun = database.begin(); !begun) return begun.error();
    const auto before = head();
    if (!before || *before != delivered) {
      database.rollback();
      if (!before) return before.error();
      return false;
    }
    const Status written = write(delivered + 1, batch);
    if (!written) {
      database.rollback();
      return written.error();
    }
    if (const Status committed = database.commit(); !committed) return committed.error();
    return true;
  }

  Status write(std::uint64_t index, const Bytes& batch) {
    auto entry = database.prepare("INSERT INTO entries VALUES (?, ?)");
    if (!entry) return entry.error();
    if (const Status done = entry->bind(1, column(index)).bind(2, ByteSpan(batch)).run(); !done)
      return done;
    auto head = database.prepare("UPDATE log SET head = ?");
    if (!head) return head.error();
    return head->bind(1, column(index)).run();
  }

  // ---- snapshots ----

  Result<bool> complete(std::uint64_t index) {
    const auto found = number("SELECT count(*) FROM manifests WHERE idx = ?", index, 0);
    if (!found) return found.error();
    return *found > 0;
  }

  Status store(std::uint64_t index, std::optional<std::uint32_t> chunk, ByteSpan bytes) {
    const auto whole = complete(index);
    if (!whole) return whole.error();
    if (*whole) return {};
    auto put = database.prepare(chunk ? "INSERT OR REPLACE INTO chunks VALUES (?1, ?2, ?3)"
                                      : "INSERT INTO manifests VALUES (?1, ?3)");
    if (!put) return put.error();
    put->bind(1, column(index)).bind(3, bytes);
    if (chunk) put->bind(2, std::int64_t{*chunk});
    return put->run();
  }

  Result<StoredSnapshot> snapshot(std::uint64_t at_most) {
    StoredSnapshot out;
    const auto index = number("SELECT max(idx) FROM manifests WHERE idx <= ?", at_most, 0);
    if (!index) return index.error();
    if (*index == 0) return out;
    out.index = *index;
    auto manifest = database.prepare("SELECT bytes FROM manifests WHERE idx = ?");
    if (!manifest) return manifest.error();
    const auto row = manifest->bind(1, column(*index)).step();
    if (!row) return row.error();
    out.manifest = manifest->blob(0);
    auto chunks = database.prepare("SELECT number, bytes FROM chunks WHERE idx = ?");
    if (!chunks) return chunks.error();
    chunks->bind(1, column(*index));
    while (true) {
      const auto more = chunks->step();
      if (!more) return more.error();
      if (!*more) return out;
      out.chunks.emplace(static_cast<std::uint32_t>(chunks->integer(0)), chunks->blob(1));
    }
  }

  Status remove_up_to(std::uint64_t up_to, std::uint64_t newest) {
    for (const std::uint64_t index : {up_to, newest}) {
      const auto whole = complete(index);
      if (!whole) return whole.error();
      if (!*whole) return Error{ErrorKind::Refused, "not both snapshots are complete"};
    }
    for (const char* sql :
         {"DELETE FROM entries WHERE idx <= ?", "DELETE FROM manifests WHERE idx < ?",
          "DELETE FROM chunks WHERE idx < ?"}) {
      auto statement = database.prepare(sql);
      if (!statement) return statement.error();
      if (const Status done = statement->bind(1, column(up_to)).run(); !done) return done;
    }
    return {};
  }

  // One transaction around `action`; a refusal of its own rolls back and is no failure of the file.
  template <class Action>
  void transact(DoneCallback done, Action action) {
    Status status = database.begin();
    if (status.ok()) {
      status = action();
      if (status.ok())
        status = database.commit();
      else
        database.rollback();
    }
    if (!status && status.error().kind != ErrorKind::Refused) return fail(status.error());
    later([status, done = std::move(done)](State&) { done(status); });
  }
};

SqliteLog::SqliteLog(std::shared_ptr<State> state) : state_(std::move(state)) {}
SqliteLog::~SqliteLog() = default;

Result<std::unique_ptr<SqliteLog>> SqliteLog::open(runtime::EventLoop& loop, Options options) {
  ROULETTE_ASSERT(options.on_failure);
  auto database = runtime::Database::open(options.file);
  if (!database) return database.error();
  const std::filesystem::path folder = options.file.parent_path();
  auto state = std::make_shared<State>(loop, std::move(options), std::move(database).value());
  if (const Status claimed = state->claim(); !claimed) return claimed.error();
  if (const Status synced = runtime::sync_folder(folder); !synced) return synced.error();
  return std::unique_ptr<SqliteLog>(new SqliteLog(std::move(state)));
}

void SqliteLog::subscribe(Callbacks callbacks) {
  ROULETTE_ASSERT(!state_->callbacks.on_entry);
  state_->callbacks = std::move(callbacks);
  follow(0);
}

void SqliteLog::follow(std::uint64_t after) {
  State& state = *state_;
  ++state.generation;
  ++state.counters.subscriptions;
  state.delivered = after;
  state.restored = false;
  state.read_on();
}

// The answer and the entry come in the next turn: the process may die in between, as behind any
// other log, and then its next start finds the entry.
void SqliteLog::propose(const std::vector<wire::Command>& batch, ProposeCallback done) {
  State& state = *state_;
  ++state.counters.appends;
  if (state.failed) return;
  const auto taken = state.append(wire::encode_batch(batch));
  if (!taken) return state.fail(taken.error());
  if (!*taken) ++state.counters.stale_heads;
  const ProposeOutcome outcome = *taken ? ProposeOutcome::Accepted : ProposeOutcome::NotLeader;
  state.later([outcome, done = std::move(done)](State& self) {
    const std::uint64_t current = self.generation;
    done(outcome);
    if (!self.failed && self.generation == current && self.restored) self.read_turn();
  });
}

void SqliteLog::read_barrier(BarrierCallback done) {
  State& state = *state_;
  if (state.failed) return;
  const auto head = state.head();
  if (!head) return state.fail(head.error());
  state.later([index = *head, done = std::move(done)](State&) { done(index); });
}

void SqliteLog::store_chunk(std::uint64_t index, std::uint32_t number, ByteSpan bytes,
                            DoneCallback done) {
  State& state = *state_;
  state.transact(std::move(done), [&] { return state.store(index, number, bytes); });
}

void SqliteLog::store_manifest(std::uint64_t index, ByteSpan bytes, DoneCallback done) {
  State& state = *state_;
  state.transact(std::move(done), [&] { return state.store(index, std::nullopt, bytes); });
}

void SqliteLog::read_snapshot(std::uint64_t at_most, SnapshotCallback done) {
  State& state = *state_;
  if (state.failed) return;
  auto snapshot = state.snapshot(at_most);
  if (!snapshot) return state.fail(snapshot.error());
  state.later([found = std::move(snapshot).value(), done = std::move(done)](State&) mutable {
    done(std::move(found));
  });
}

void SqliteLog::trim(std::uint64_t up_to, std::uint64_t newest, DoneCallback done) {
  State& state = *state_;
  state.transact(std::move(done), [&] { return state.remove_up_to(up_to, newest); });
}

const LogCounters& SqliteLog::counters() const {
  return state_->counters;
}

}  // namespace roulette::ledger
