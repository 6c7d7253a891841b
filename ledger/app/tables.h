// The replica's tables (SQLite): entries with their outcomes, withdrawals, reservations, postings,
// balances, and the digests that restarts and audits compare.
//
// Invariants: one transaction a write, so the tables always stand exactly behind one entry; entries
// follow each other without a gap, from 1 or from behind the snapshot that the tables were restored
// from (the base, which they keep); an entry that is stored already is skipped; every row carries a
// hash of itself, and open() refuses a file in which one is wrong. They are a mirror for queries
// and audit: the log is what is durable, so they are written with synchronous=NORMAL and nobody
// waits.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/runtime/sqlite.h"
#include "ledger/core/ledger.h"

namespace roulette::ledger {

inline constexpr int kTablesVersion = 4;

struct StoredDigest {
  std::uint64_t index = 0;
  Hash32 digest{};
  bool closed = false;
  wire::ChainTip tip;
};

// The snapshot that the tables were restored from: what came before it, they never saw.
struct StoredBase {
  std::uint64_t index = 0;
  Hash32 digest{};
  Bytes snapshot;  // State::encode()
};

struct StoredEntry {
  std::uint64_t index = 0;
  std::vector<wire::Command> commands;
  std::vector<wire::Outcome> outcomes;
};

struct StoredPosting {
  std::uint64_t index = 0;
  Posting posting;
};

class Tables {
 public:
  // Refuses another format, version or cluster by name.
  [[nodiscard]] static Result<Tables> open(const std::filesystem::path& file,
                                           const std::string& cluster_id);
  // For exports: the file must exist and is not changed.
  [[nodiscard]] static Result<Tables> open_to_read(const std::filesystem::path& file);

  // Every page and every row, by its sum. open() has done it; exports do it to say so.
  [[nodiscard]] Status verify();
  [[nodiscard]] std::uint64_t index() const { return index_; }
  void delay_commits(Duration delay) { database_.delay_commits(delay); }
  [[nodiscard]] Result<std::optional<StoredDigest>> last_digest();
  [[nodiscard]] Result<std::map<std::uint64_t, Hash32>> digests();  // the newest kDigestsKept
  [[nodiscard]] Result<std::optional<StoredBase>> base();

  // Makes the tables those of this state, unless they stand at its index or behind it and hold its
  // digest there; `over`: in any case. True when they were made anew.
  [[nodiscard]] Result<bool> restore(const RestoreTables& order, const State& state);

  // All in one transaction; of a row that several entries change, the last state only. `at_stop`:
  // the state's digest besides those of the entries, for an orderly stop; kept only if the tables
  // stand exactly where the state does.
  struct Final {
    std::uint64_t index = 0;
    const State& state;
  };
  [[nodiscard]] Status write(std::span<const WriteTables> entries,
                             const std::optional<Final>& at_stop = std::nullopt);

  [[nodiscard]] Result<std::vector<StoredEntry>> entries();
  [[nodiscard]] Result<std::vector<wire::WithdrawalView>> withdrawals();
  [[nodiscard]] Result<std::vector<Reservation>> reservations();
  [[nodiscard]] Result<std::vector<StoredPosting>> postings();
  [[nodiscard]] Result<std::vector<wire::Balance>> balances();

 private:
  using Value = std::variant<std::monostate, std::int64_t, std::string, Bytes>;
  explicit Tables(runtime::Database database) : database_(std::move(database)) {}
  [[nodiscard]] Status read_keys();
  // One row with its sum; the table is one of tables.cpp's.
  [[nodiscard]] Status put(const char* table, const std::vector<Value>& values);
  [[nodiscard]] Status restore_rows(const RestoreTables& order, const State& state);
  [[nodiscard]] Status prepare_schema(const std::string& cluster_id);
  // What the entries of one write leave: the last view of each withdrawal, and whose balance moved.
  struct Changes {
    std::map<WithdrawalId, const wire::WithdrawalView*> withdrawals;
    std::set<std::string> balances;
  };
  struct Row {
    std::int64_t ordinal = 0;
    bool reserved = false;  // its reservations are written
  };
  void number_row(const WithdrawalId& id);
  [[nodiscard]] Status write_entry(const WriteTables& entry, Changes& changes);
  [[nodiscard]] Status write_changes(const Changes& changes);
  [[nodiscard]] Status write_withdrawal(const wire::WithdrawalView& view);
  [[nodiscard]] Status write_posting(std::uint64_t index, const Posting& posting);
  void add_to_balance(const std::string& account, std::int64_t amount_sat, Changes& changes);
  [[nodiscard]] Status write_digest(const StoredDigest& stored);
  [[nodiscard]] Status read_index();
  // Every row of a query; `take` returns false for a row that does not parse.
  [[nodiscard]] Status for_each(const char* sql,
                                const std::function<bool(runtime::Statement&)>& take);

  runtime::Database database_;
  std::map<std::string, runtime::Statement> statements_;  // by table, prepared once
  std::map<std::string, std::int64_t> balances_;
  std::map<WithdrawalId, Row> rows_;
  std::int64_t next_posting_ = 1;
  std::uint64_t index_ = 0;
};

}  // namespace roulette::ledger
