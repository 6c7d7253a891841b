// See tables.h. Structured columns (commands, outcomes, templates' prevouts) are canonical bytes.
#include "ledger/app/tables.h"

#include <algorithm>

#include "common/base/canonical.h"
#include "common/crypto/hash.h"

namespace roulette::ledger {
namespace {

// `kinds`: one letter a column, integer, text or blob; a capital one may be NULL. `taken`: what to
// do with a row whose key is there already. Each table has one more column, `sum`.
struct Table {
  const char* name;
  const char* columns;
  std::string_view kinds;
  enum class Taken { Refuse, Replace, Keep } taken;
  const char* schema;
};
constexpr std::size_t kSumBytes = 16;  // of a SHA-256: damage, not malice
constexpr std::size_t kDigestsKept = 4096;

constexpr Table kMeta = {"meta", "name, value", "tt", Table::Taken::Refuse,
                         "name TEXT PRIMARY KEY, value TEXT NOT NULL"};
constexpr Table kBase = {"base", "idx, digest, snapshot", "ibb", Table::Taken::Refuse,
                         "idx INTEGER PRIMARY KEY, digest BLOB NOT NULL, snapshot BLOB NOT NULL"};
constexpr Table kEntries = {"entries", "idx, commands, outcomes", "ibb", Table::Taken::Refuse,
                            "idx INTEGER PRIMARY KEY, commands BLOB NOT NULL,"
                            " outcomes BLOB NOT NULL"};
constexpr Table kDigests = {"digests", "idx, digest, closed, tip, height", "ibibi",
                            Table::Taken::Replace,
                            "idx INTEGER PRIMARY KEY, digest BLOB NOT NULL,"
                            " closed INTEGER NOT NULL, tip BLOB NOT NULL, height INTEGER NOT NULL"};
constexpr Table kWithdrawals = {
    "withdrawals",
    "ordinal, id, key, account, script, amount_sat, payload_digest, state, reject, owner,"
    " requested_at_us, txid, unsigned_tx, prevouts, fee_sat, signed_tx, height, client,"
    " client_signature",
    "ibttbibiiiiBBBIbitb", Table::Taken::Replace,
    "ordinal INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, key TEXT NOT NULL UNIQUE,"
    " account TEXT NOT NULL, script BLOB NOT NULL, amount_sat INTEGER NOT NULL,"
    " payload_digest BLOB NOT NULL, state INTEGER NOT NULL, reject INTEGER NOT NULL,"
    " owner INTEGER NOT NULL, requested_at_us INTEGER NOT NULL, txid BLOB, unsigned_tx BLOB,"
    " prevouts BLOB, fee_sat INTEGER, signed_tx BLOB NOT NULL, height INTEGER NOT NULL,"
    " client TEXT NOT NULL, client_signature BLOB NOT NULL"};
constexpr Table kReservations = {
    "reservations", "txid, vout, withdrawal_id", "bib", Table::Taken::Keep,
    "txid BLOB NOT NULL, vout INTEGER NOT NULL, withdrawal_id BLOB NOT NULL"};
constexpr Table kPostings = {"postings",
                             "number, idx, debit, credit, amount_sat, reason, reference", "iittitt",
                             Table::Taken::Refuse,
                             "number INTEGER PRIMARY KEY, idx INTEGER NOT NULL,"
                             " debit TEXT NOT NULL, credit TEXT NOT NULL,"
                             " amount_sat INTEGER NOT NULL, reason TEXT NOT NULL,"
                             " reference TEXT NOT NULL"};
constexpr Table kBalances = {"balances", "account, amount_sat", "ti", Table::Taken::Replace,
                             "account TEXT PRIMARY KEY, amount_sat INTEGER NOT NULL"};
constexpr const Table* kTables[] = {&kMeta,        &kBase,         &kEntries,  &kDigests,
                                    &kWithdrawals, &kReservations, &kPostings, &kBalances};

std::string create_sql(const Table& table) {
  std::string sql = std::string("CREATE TABLE IF NOT EXISTS ") + table.name + " (" + table.schema +
                    ", sum BLOB NOT NULL";
  if (&table == &kReservations) sql += ", PRIMARY KEY (txid, vout)";
  return sql + ");";
}

std::string insert_sql(const Table& table) {
  std::string sql = table.taken == Table::Taken::Keep ? "INSERT OR IGNORE INTO " : "INSERT INTO ";
  sql += std::string(table.name) + " (" + table.columns + ", sum) VALUES (?";
  for (std::size_t i = 0; i < table.kinds.size(); ++i) sql += ", ?";
  sql += ")";
  if (table.taken != Table::Taken::Replace) return sql;
  const std::string columns = table.columns;
  const std::string key = columns.substr(0, columns.find(','));
  sql += " ON CONFLICT (" + key + ") DO UPDATE SET sum = excluded.sum";
  for (std::size_t at = columns.find(','); at != std::string::npos;) {
    const std::size_t end = columns.find(',', at + 1);
    const std::size_t length = end == std::string::npos ? end : end - at - 2;
    const std::string column = columns.substr(at + 2, length);
    sql += ", " + column + " = excluded." + column;
    at = end;
  }
  return sql;
}

using Value = std::variant<std::monostate, std::int64_t, std::string, Bytes>;

// Of a row as it is written and as it is read: a wrong bit in any column shows.
Bytes sum_of(const Table& table, const std::vector<Value>& values) {
  CanonicalWriter w;
  w.text(table.name);
  for (const Value& value : values) {
    w.u8(static_cast<std::uint8_t>(value.index()));
    if (const auto* number = std::get_if<std::int64_t>(&value)) w.i64(*number);
    if (const auto* text = std::get_if<std::string>(&value)) w.text(*text);
    if (const auto* blob = std::get_if<Bytes>(&value)) w.bytes(*blob);
  }
  const Hash32 hash = crypto::sha256(w.view());
  return Bytes(hash.begin(), hash.begin() + kSumBytes);
}

std::vector<Value> values_of(const Table& table, const runtime::Statement& row) {
  std::vector<Value> values;
  for (int i = 0; i < static_cast<int>(table.kinds.size()); ++i) {
    const char kind = table.kinds[static_cast<std::size_t>(i)];
    if (row.is_null(i))
      values.emplace_back();
    else if (kind == 'i' || kind == 'I')
      values.emplace_back(row.integer(i));
    else if (kind == 't')
      values.emplace_back(row.text(i));
    else
      values.emplace_back(row.blob(i));
  }
  return values;
}

Bytes blob_of(ByteSpan bytes) {
  return Bytes(bytes.begin(), bytes.end());
}

Bytes encode_outcomes(const std::vector<wire::Outcome>& outcomes) {
  CanonicalWriter w;
  w.count(outcomes.size());
  for (const wire::Outcome& outcome : outcomes) {
    w.u8(static_cast<std::uint8_t>(outcome.kind));
    w.text(outcome.detail);
    w.boolean(outcome.withdrawal.has_value());
    if (outcome.withdrawal) w.raw(outcome.withdrawal->value());
  }
  return w.take();
}

std::optional<std::vector<wire::Outcome>> decode_outcomes(ByteSpan bytes) {
  CanonicalReader r(bytes);
  std::vector<wire::Outcome> outcomes(r.count(6));
  for (wire::Outcome& outcome : outcomes) {
    const std::uint8_t kind = r.u8();
    if (kind < 1 || kind > 7) r.fail();
    outcome.kind = static_cast<wire::OutcomeKind>(kind);
    outcome.detail = r.text();
    if (r.boolean()) outcome.withdrawal = WithdrawalId(r.array<16>());
  }
  if (!r.finished()) return std::nullopt;
  return outcomes;
}

Bytes encode_prevouts(const std::vector<bitcoin::TxOut>& prevouts) {
  CanonicalWriter w;
  w.count(prevouts.size());
  for (const bitcoin::TxOut& prevout : prevouts) {
    w.i64(prevout.amount_sat);
    w.bytes(prevout.script);
  }
  return w.take();
}

std::optional<std::vector<bitcoin::TxOut>> decode_prevouts(ByteSpan bytes) {
  CanonicalReader r(bytes);
  std::vector<bitcoin::TxOut> prevouts(r.count(12));
  for (bitcoin::TxOut& prevout : prevouts) {
    prevout.amount_sat = r.i64();
    prevout.script = r.bytes();
  }
  if (!r.finished()) return std::nullopt;
  return prevouts;
}

template <std::size_t N>
bool read_array(const Bytes& blob, ByteArray<N>& out) {
  const auto array = to_array<N>(blob);
  if (array) out = *array;
  return array.has_value();
}

bool read_view(const runtime::Statement& row, wire::WithdrawalView& view) {
  ByteArray<16> id{};
  bool ok = read_array(row.blob(0), id) && read_array(row.blob(5), view.payload_digest);
  view.id = WithdrawalId(id);
  view.key = row.text(1);
  view.account = row.text(2);
  view.script = row.blob(3);
  view.amount_sat = row.integer(4);
  view.state = static_cast<wire::WithdrawalState>(row.integer(6));
  view.reject = static_cast<wire::RejectReason>(row.integer(7));
  view.owner = CoordinatorId(static_cast<std::uint16_t>(row.integer(8)));
  view.requested_at_us = row.integer(9);
  view.signed_tx = row.blob(14);
  view.height = static_cast<std::uint32_t>(row.integer(15));
  if (const Bytes signature = row.blob(17); !signature.empty()) {
    view.client.emplace();
    view.client->client = row.text(16);
    ok = ok && read_array(signature, view.client->signature);
  }
  if (row.is_null(10)) return ok;
  wire::Template planned;
  ok = ok && read_array(row.blob(10), planned.txid);
  planned.unsigned_tx = row.blob(11);
  const auto prevouts = decode_prevouts(row.blob(12));
  if (!prevouts) return false;
  planned.prevouts = *prevouts;
  planned.fee_sat = row.integer(13);
  view.planned = std::move(planned);
  return ok;
}

std::int64_t signed_of(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}
std::uint64_t unsigned_of(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

}  // namespace

// ---- opening ----

Result<Tables> Tables::open(const std::filesystem::path& file, const std::string& cluster_id) {
  runtime::Database::Options options;
  options.synchronous = runtime::Database::Synchronous::Normal;
  auto database = runtime::Database::open(file, options);
  if (!database) return database.error();
  Tables tables(std::move(database).value());
  if (auto done = tables.prepare_schema(cluster_id); !done) return done.error();
  if (auto done = tables.verify(); !done) return done.error();
  if (auto done = tables.read_index(); !done) return done.error();
  if (auto done = tables.read_keys(); !done) return done.error();
  return tables;
}

Result<Tables> Tables::open_to_read(const std::filesystem::path& file) {
  runtime::Database::Options options;
  options.create = false;
  options.read_only = true;
  auto database = runtime::Database::open(file, options);
  if (!database) return database.error();
  Tables tables(std::move(database).value());
  if (auto done = tables.read_index(); !done) return done.error();
  return tables;
}

Status Tables::prepare_schema(const std::string& cluster_id) {
  if (auto begun = database_.begin(); !begun) return begun;
  for (const Table* table : kTables) {
    if (auto made = database_.execute(create_sql(*table)); !made) return made;
  }
  std::map<std::string, std::string> facts;
  const auto read = for_each("SELECT name, value FROM meta", [&facts](runtime::Statement& row) {
    facts[row.text(0)] = row.text(1);
    return true;
  });
  if (!read) return read;
  const std::map<std::string, std::string> wanted = {{"format", "roulette-ledger-tables"},
                                                     {"version", std::to_string(kTablesVersion)},
                                                     {"cluster_id", cluster_id}};
  if (facts.empty()) {
    for (const auto& [name, value] : wanted) {
      if (auto done = put("meta", {name, value}); !done) return done;
    }
  } else if (facts != wanted) {
    database_.rollback();
    return Error{ErrorKind::Refused, database_.path().string() + ": tables of format " +
                                         facts["format"] + " version " + facts["version"] +
                                         ", cluster " + facts["cluster_id"]};
  }
  return database_.commit();
}

// From the base, or 1, without a gap.
Status Tables::read_index() {
  const auto stored = base();
  if (!stored) return stored.error();
  const std::uint64_t start = stored.value() ? stored.value()->index : 0;
  return for_each("SELECT coalesce(min(idx), 0), coalesce(max(idx), 0), count(*) FROM entries",
                  [this, start](runtime::Statement& row) {
                    const std::uint64_t count = unsigned_of(row.integer(2));
                    index_ = start + count;
                    return count == 0 || (unsigned_of(row.integer(0)) == start + 1 &&
                                          unsigned_of(row.integer(1)) == index_);
                  });
}

// What later rows are numbered after and added to.
Status Tables::read_keys() {
  rows_.clear();
  balances_.clear();
  auto done = for_each("SELECT ordinal, id, txid IS NOT NULL FROM withdrawals ORDER BY ordinal",
                       [this](runtime::Statement& row) {
                         ByteArray<16> id{};
                         if (!read_array(row.blob(1), id)) return false;
                         rows_[WithdrawalId(id)] = {row.integer(0), row.integer(2) != 0};
                         return row.integer(0) == static_cast<std::int64_t>(rows_.size());
                       });
  if (!done) return done;
  done = for_each("SELECT account, amount_sat FROM balances", [this](runtime::Statement& row) {
    balances_[row.text(0)] = row.integer(1);
    return true;
  });
  if (!done) return done;
  return for_each("SELECT coalesce(max(number), 0), count(*) FROM postings",
                  [this](runtime::Statement& row) {
                    next_posting_ = row.integer(0) + 1;
                    return row.integer(0) == row.integer(1);
                  });
}

Status Tables::verify() {
  auto done = for_each("PRAGMA integrity_check", [](runtime::Statement& row) {
    return row.text(0) == "ok";
  });
  if (!done) return done;
  for (const Table* table : kTables) {
    const std::string sql = std::string("SELECT ") + table->columns + ", sum FROM " + table->name;
    std::size_t number = 0;
    std::size_t damaged = 0;
    done = for_each(sql.c_str(), [&](runtime::Statement& row) {
      ++number;
      const Bytes sum = row.blob(static_cast<int>(table->kinds.size()));
      if (damaged == 0 && sum != sum_of(*table, values_of(*table, row))) damaged = number;
      return true;
    });
    if (!done) return done;
    if (damaged == 0) continue;
    return Error{ErrorKind::Corrupt, database_.path().string() + ": row " +
                                         std::to_string(damaged) + " of " + table->name +
                                         " is damaged"};
  }
  return {};
}

Status Tables::put(const char* name, const std::vector<Value>& values) {
  const auto same = [name](const Table* table) { return std::string_view(table->name) == name; };
  const Table& table = **std::find_if(std::begin(kTables), std::end(kTables), same);
  auto found = statements_.find(table.name);
  if (found == statements_.end()) {
    auto prepared = database_.prepare(insert_sql(table));
    if (!prepared) return prepared.error();
    found = statements_.emplace(table.name, std::move(prepared).value()).first;
  }
  runtime::Statement& insert = found->second;
  int column = 0;
  for (const Value& value : values) {
    ++column;
    if (const auto* number = std::get_if<std::int64_t>(&value))
      insert.bind(column, *number);
    else if (const auto* text = std::get_if<std::string>(&value))
      insert.bind(column, *text);
    else if (const auto* blob = std::get_if<Bytes>(&value))
      insert.bind(column, ByteSpan(*blob));
    else
      insert.bind_null(column);
  }
  insert.bind(column + 1, ByteSpan(sum_of(table, values)));
  return insert.run();
}

Status Tables::for_each(const char* sql, const std::function<bool(runtime::Statement&)>& take) {
  auto rows = database_.prepare(sql);
  if (!rows) return rows.error();
  for (;;) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!row.value()) return {};
    if (!take(*rows)) {
      return Error{ErrorKind::Corrupt,
                   database_.path().string() + ": a row does not parse: " + sql};
    }
  }
}

Result<std::optional<StoredDigest>> Tables::last_digest() {
  std::optional<StoredDigest> found;
  const auto read =
      for_each("SELECT idx, digest, closed, tip, height FROM digests ORDER BY idx DESC LIMIT 1",
               [&found](runtime::Statement& row) {
                 StoredDigest stored;
                 stored.index = unsigned_of(row.integer(0));
                 stored.closed = row.integer(2) != 0;
                 stored.tip.height = static_cast<std::uint32_t>(row.integer(4));
                 const bool ok = read_array(row.blob(1), stored.digest) &&
                                 read_array(row.blob(3), stored.tip.hash);
                 found = stored;
                 return ok;
               });
  if (!read) return read.error();
  return found;
}

// ---- writing ----

Status Tables::write(std::span<const WriteTables> entries, const std::optional<Final>& at_stop) {
  if (auto begun = database_.begin(); !begun) return begun;
  const std::uint64_t before = index_;
  Changes changes;
  const auto write_all = [&]() -> Status {
    for (const WriteTables& entry : entries) {
      if (entry.index <= index_) continue;  // replayed: it stands here already
      if (entry.index != index_ + 1) return Error{ErrorKind::Internal, "an entry was left out"};
      if (auto done = write_entry(entry, changes); !done) return done;
      index_ = entry.index;
    }
    if (auto done = write_changes(changes); !done) return done;
    // Stopped in the middle of a replay: the tables are ahead of the state.
    if (!at_stop || at_stop->index != index_ || index_ == 0) return {};
    const State& state = at_stop->state;
    return write_digest({index_, state.digest(), state.closed(), state.tip()});
  };
  if (auto done = write_all(); !done) {
    database_.rollback();
    index_ = before;
    return done;
  }
  return database_.commit();
}

Status Tables::write_entry(const WriteTables& entry, Changes& changes) {
  auto done = put("entries", {signed_of(entry.index), wire::encode_batch(entry.commands),
                              encode_outcomes(entry.outcomes)});
  if (!done) return done;
  for (std::size_t i = 0; i < entry.commands.size(); ++i) {
    const auto* genesis = std::get_if<wire::Genesis>(&entry.commands[i].body);
    if (genesis == nullptr || entry.outcomes[i].kind != wire::OutcomeKind::Applied) continue;
    for (const char* account : {"pending", "fees", "wallet", "outside"})
      add_to_balance(account, 0, changes);
    for (const std::string& name : genesis->accounts)
      add_to_balance("customer:" + name, 0, changes);
  }
  for (const wire::WithdrawalView& view : entry.changed) {
    number_row(view.id);
    changes.withdrawals[view.id] = &view;
  }
  for (const Posting& posting : entry.postings) {
    if (done = write_posting(entry.index, posting); !done) return done;
    add_to_balance(posting.debit, -posting.amount_sat, changes);
    add_to_balance(posting.credit, posting.amount_sat, changes);
  }
  if (entry.digest == Hash32{}) return {};
  return write_digest({entry.index, entry.digest, entry.closed, entry.tip});
}

// In the order in which withdrawals are first heard of.
void Tables::number_row(const WithdrawalId& id) {
  rows_.emplace(id, Row{static_cast<std::int64_t>(rows_.size()) + 1, false});
}

Status Tables::write_changes(const Changes& changes) {
  for (const auto& [id, view] : changes.withdrawals) {
    if (auto done = write_withdrawal(*view); !done) return done;
  }
  for (const std::string& account : changes.balances) {
    if (auto done = put("balances", {account, balances_.at(account)}); !done) return done;
  }
  return {};
}

Status Tables::write_withdrawal(const wire::WithdrawalView& view) {
  Row& row = rows_.at(view.id);
  std::vector<Value> values = {row.ordinal,
                               blob_of(view.id.value()),
                               view.key,
                               view.account,
                               view.script,
                               view.amount_sat,
                               blob_of(view.payload_digest),
                               std::int64_t{static_cast<std::uint8_t>(view.state)},
                               std::int64_t{static_cast<std::uint8_t>(view.reject)},
                               std::int64_t{view.owner.value()},
                               view.requested_at_us};
  if (view.planned) {
    values.emplace_back(blob_of(view.planned->txid));
    values.emplace_back(view.planned->unsigned_tx);
    values.emplace_back(encode_prevouts(view.planned->prevouts));
    values.emplace_back(view.planned->fee_sat);
  } else {
    values.resize(values.size() + 4);
  }
  values.emplace_back(view.signed_tx);
  values.emplace_back(std::int64_t{view.height});
  values.emplace_back(view.client ? view.client->client : std::string());
  values.emplace_back(view.client ? blob_of(view.client->signature) : Bytes());
  if (auto done = put("withdrawals", values); !done) return done;
  if (row.reserved || !view.planned) return {};  // a template never changes
  row.reserved = true;
  const auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
  if (!tx) return tx.error();
  for (const bitcoin::TxIn& input : tx.value().inputs) {
    auto done = put("reservations",
                    {blob_of(input.outpoint.txid), std::int64_t{input.outpoint.vout},
                     blob_of(view.id.value())});
    if (!done) return done;
  }
  return {};
}

Status Tables::write_posting(std::uint64_t index, const Posting& posting) {
  auto done = put("postings", {next_posting_, signed_of(index), posting.debit, posting.credit,
                               posting.amount_sat, posting.reason, posting.reference});
  if (!done) return done;
  ++next_posting_;
  return {};
}

// `amount_sat` as credited; `wallet` is kept on its debit side, as State::balances does.
void Tables::add_to_balance(const std::string& account, std::int64_t amount_sat,
                            Changes& changes) {
  balances_[account] += account == "wallet" ? -amount_sat : amount_sat;
  changes.balances.insert(account);
}

Status Tables::write_digest(const StoredDigest& stored) {
  return put("digests", {signed_of(stored.index), blob_of(stored.digest),
                         std::int64_t{stored.closed}, blob_of(stored.tip.hash),
                         std::int64_t{stored.tip.height}});
}

// ---- starting over from a snapshot ----

Result<bool> Tables::restore(const RestoreTables& order, const State& state) {
  const auto held = digests();
  if (!held) return held.error();
  const auto there = held->find(order.index);
  const bool fits = there != held->end() && there->second == order.digest;
  if (!order.over && index_ >= order.index && fits) return false;
  if (auto begun = database_.begin(); !begun) return begun.error();
  if (auto done = restore_rows(order, state); !done) {
    database_.rollback();
    return done.error();
  }
  if (auto done = database_.commit(); !done) return done.error();
  index_ = order.index;
  return true;
}

Status Tables::restore_rows(const RestoreTables& order, const State& state) {
  for (const Table* table : kTables) {
    if (table == &kMeta) continue;
    auto done = database_.execute(std::string("DELETE FROM ") + table->name);
    if (!done) return done;
  }
  rows_.clear();
  balances_.clear();
  next_posting_ = 1;
  auto done = put("base", {signed_of(order.index), blob_of(order.digest), order.snapshot});
  if (!done) return done;
  for (const wire::WithdrawalView& view : state.all()) {
    number_row(view.id);
    if (done = write_withdrawal(view); !done) return done;
  }
  for (const wire::Balance& line : state.balances()) {
    balances_[line.account] = line.amount_sat;
    if (done = put("balances", {line.account, line.amount_sat}); !done) return done;
  }
  return write_digest({order.index, order.digest, state.closed(), state.tip()});
}

// ---- reading ----

Result<std::map<std::uint64_t, Hash32>> Tables::digests() {
  std::map<std::uint64_t, Hash32> found;
  const std::string sql =
      "SELECT idx, digest FROM digests ORDER BY idx DESC LIMIT " + std::to_string(kDigestsKept);
  const auto read = for_each(sql.c_str(), [&found](runtime::Statement& row) {
    return read_array(row.blob(1), found[unsigned_of(row.integer(0))]);
  });
  if (!read) return read.error();
  return found;
}

Result<std::optional<StoredBase>> Tables::base() {
  std::optional<StoredBase> found;
  const auto read =
      for_each("SELECT idx, digest, snapshot FROM base", [&found](runtime::Statement& row) {
        if (found) return false;  // one at most
        found.emplace();
        found->index = unsigned_of(row.integer(0));
        found->snapshot = row.blob(2);
        return read_array(row.blob(1), found->digest);
      });
  if (!read) return read.error();
  return found;
}

Result<std::vector<StoredEntry>> Tables::entries() {
  std::vector<StoredEntry> list;
  const auto read = for_each(
      "SELECT idx, commands, outcomes FROM entries ORDER BY idx", [&list](runtime::Statement& row) {
        auto commands = wire::decode_batch(row.blob(1));
        auto outcomes = decode_outcomes(row.blob(2));
        if (!commands || !outcomes || commands->size() != outcomes->size()) return false;
        list.push_back(
            {unsigned_of(row.integer(0)), std::move(commands).value(), std::move(*outcomes)});
        return true;
      });
  if (!read) return read.error();
  return list;
}

Result<std::vector<wire::WithdrawalView>> Tables::withdrawals() {
  std::vector<wire::WithdrawalView> list;
  const auto read = for_each(
      "SELECT id, key, account, script, amount_sat, payload_digest, state, reject, owner,"
      " requested_at_us, txid, unsigned_tx, prevouts, fee_sat, signed_tx, height, client,"
      " client_signature FROM withdrawals ORDER BY ordinal",
      [&list](runtime::Statement& row) { return read_view(row, list.emplace_back()); });
  if (!read) return read.error();
  return list;
}

Result<std::vector<Reservation>> Tables::reservations() {
  std::vector<Reservation> list;
  const auto read = for_each(
      "SELECT txid, vout, withdrawal_id FROM reservations ORDER BY txid, vout",
      [&list](runtime::Statement& row) {
        Reservation line;
        ByteArray<16> id{};
        const bool ok = read_array(row.blob(0), line.outpoint.txid) && read_array(row.blob(2), id);
        line.outpoint.vout = static_cast<std::uint32_t>(row.integer(1));
        line.withdrawal = WithdrawalId(id);
        list.push_back(line);
        return ok;
      });
  if (!read) return read.error();
  return list;
}

Result<std::vector<StoredPosting>> Tables::postings() {
  std::vector<StoredPosting> list;
  const auto read = for_each(
      "SELECT idx, debit, credit, amount_sat, reason, reference FROM postings ORDER BY number",
      [&list](runtime::Statement& row) {
        list.push_back({unsigned_of(row.integer(0)),
                        {row.text(1), row.text(2), row.integer(3), row.text(4), row.text(5)}});
        return true;
      });
  if (!read) return read.error();
  return list;
}

Result<std::vector<wire::Balance>> Tables::balances() {
  std::vector<wire::Balance> list;
  const auto read = for_each("SELECT account, amount_sat FROM balances ORDER BY account",
                             [&list](runtime::Statement& row) {
                               list.push_back({row.text(0), row.integer(1)});
                               return true;
                             });
  if (!read) return read.error();
  return list;
}

}  // namespace roulette::ledger
