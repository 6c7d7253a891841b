// See tables.h. Structured columns (commands, outcomes, templates' prevouts) are canonical bytes.
#include "ledger/app/tables.h"

#include "common/base/canonical.h"

namespace roulette::ledger {
namespace {

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (idx INTEGER PRIMARY KEY, commands BLOB NOT NULL,
  outcomes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS digests (idx INTEGER PRIMARY KEY, digest BLOB NOT NULL,
  closed INTEGER NOT NULL, tip BLOB NOT NULL, height INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS withdrawals (ordinal INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,
  key TEXT NOT NULL UNIQUE, account TEXT NOT NULL, script BLOB NOT NULL,
  amount_sat INTEGER NOT NULL, payload_digest BLOB NOT NULL, state INTEGER NOT NULL,
  reject INTEGER NOT NULL, owner INTEGER NOT NULL, requested_at_us INTEGER NOT NULL,
  txid BLOB, unsigned_tx BLOB, prevouts BLOB, fee_sat INTEGER, signed_tx BLOB NOT NULL,
  height INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reservations (txid BLOB NOT NULL, vout INTEGER NOT NULL,
  withdrawal_id BLOB NOT NULL, PRIMARY KEY (txid, vout)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS postings (number INTEGER PRIMARY KEY, idx INTEGER NOT NULL,
  debit TEXT NOT NULL, credit TEXT NOT NULL, amount_sat INTEGER NOT NULL, reason TEXT NOT NULL,
  reference TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, amount_sat INTEGER NOT NULL)
  WITHOUT ROWID;
)";

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
  if (auto done = tables.read_index(); !done) return done.error();
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
  if (auto made = database_.execute(kSchema); !made) return made;
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
    auto insert = statement("INSERT INTO meta (name, value) VALUES (?, ?)");
    if (!insert) return insert.error();
    for (const auto& [name, value] : wanted) {
      if (auto done = (*insert)->bind(1, name).bind(2, value).run(); !done) return done;
    }
  } else if (facts != wanted) {
    database_.rollback();
    return Error{ErrorKind::Refused, database_.path().string() + ": tables of format " +
                                         facts["format"] + " version " + facts["version"] +
                                         ", cluster " + facts["cluster_id"]};
  }
  return database_.commit();
}

Status Tables::read_index() {
  return for_each("SELECT coalesce(max(idx), 0), count(*) FROM entries",
                  [this](runtime::Statement& row) {
                    index_ = unsigned_of(row.integer(0));
                    return row.integer(0) == row.integer(1);  // from 1 without a gap
                  });
}

Result<runtime::Statement*> Tables::statement(const char* sql) {
  const auto known = statements_.find(sql);
  if (known != statements_.end()) return &known->second;
  auto prepared = database_.prepare(sql);
  if (!prepared) return prepared.error();
  return &statements_.emplace(sql, std::move(prepared).value()).first->second;
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
  const auto write_all = [&]() -> Status {
    for (const WriteTables& entry : entries) {
      if (entry.index <= index_) continue;  // replayed: it stands here already
      if (entry.index != index_ + 1) return Error{ErrorKind::Internal, "an entry was left out"};
      if (auto done = write_entry(entry); !done) return done;
      index_ = entry.index;
    }
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

Status Tables::write_entry(const WriteTables& entry) {
  auto insert = statement("INSERT INTO entries (idx, commands, outcomes) VALUES (?, ?, ?)");
  if (!insert) return insert.error();
  const Bytes commands = wire::encode_batch(entry.commands);
  const Bytes outcomes = encode_outcomes(entry.outcomes);
  (*insert)
      ->bind(1, signed_of(entry.index))
      .bind(2, ByteSpan(commands))
      .bind(3, ByteSpan(outcomes));
  if (auto done = (*insert)->run(); !done) return done;
  for (std::size_t i = 0; i < entry.commands.size(); ++i) {
    const auto* genesis = std::get_if<wire::Genesis>(&entry.commands[i].body);
    if (genesis == nullptr || entry.outcomes[i].kind != wire::OutcomeKind::Applied) continue;
    for (const char* account : {"pending", "fees", "wallet", "outside"}) {
      if (auto done = add_to_balance(account, 0); !done) return done;
    }
    for (const std::string& name : genesis->accounts) {
      if (auto done = add_to_balance("customer:" + name, 0); !done) return done;
    }
  }
  for (const wire::WithdrawalView& view : entry.changed) {
    if (auto done = write_withdrawal(view); !done) return done;
  }
  for (const Posting& posting : entry.postings) {
    if (auto done = write_posting(entry.index, posting); !done) return done;
  }
  if (entry.digest == Hash32{}) return {};
  return write_digest({entry.index, entry.digest, entry.closed, entry.tip});
}

Status Tables::write_withdrawal(const wire::WithdrawalView& view) {
  auto upsert = statement(
      "INSERT INTO withdrawals (id, key, account, script, amount_sat, payload_digest, state, "
      "reject,"
      " owner, requested_at_us, txid, unsigned_tx, prevouts, fee_sat, signed_tx, height)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
      " ON CONFLICT (id) DO UPDATE SET state = ?7, txid = ?11, unsigned_tx = ?12, prevouts = ?13,"
      " fee_sat = ?14, signed_tx = ?15, height = ?16");
  if (!upsert) return upsert.error();
  runtime::Statement& row = **upsert;
  row.bind(1, ByteSpan(view.id.value())).bind(2, view.key).bind(3, view.account);
  row.bind(4, ByteSpan(view.script))
      .bind(5, view.amount_sat)
      .bind(6, ByteSpan(view.payload_digest));
  row.bind(7, std::int64_t{static_cast<std::uint8_t>(view.state)});
  row.bind(8, std::int64_t{static_cast<std::uint8_t>(view.reject)});
  row.bind(9, std::int64_t{view.owner.value()}).bind(10, view.requested_at_us);
  row.bind(15, ByteSpan(view.signed_tx)).bind(16, std::int64_t{view.height});
  if (!view.planned) {
    for (const int column : {11, 12, 13, 14}) row.bind_null(column);
    return row.run();
  }
  const Bytes prevouts = encode_prevouts(view.planned->prevouts);
  row.bind(11, ByteSpan(view.planned->txid)).bind(12, ByteSpan(view.planned->unsigned_tx));
  row.bind(13, ByteSpan(prevouts)).bind(14, view.planned->fee_sat);
  if (auto done = row.run(); !done) return done;
  auto reserve =
      statement("INSERT OR IGNORE INTO reservations (txid, vout, withdrawal_id) VALUES (?, ?, ?)");
  if (!reserve) return reserve.error();
  const auto tx = bitcoin::parse_transaction(view.planned->unsigned_tx);
  if (!tx) return tx.error();
  for (const bitcoin::TxIn& input : tx.value().inputs) {
    (*reserve)->bind(1, ByteSpan(input.outpoint.txid)).bind(2, std::int64_t{input.outpoint.vout});
    if (auto done = (*reserve)->bind(3, ByteSpan(view.id.value())).run(); !done) return done;
  }
  return {};
}

Status Tables::write_posting(std::uint64_t index, const Posting& posting) {
  auto insert = statement(
      "INSERT INTO postings (idx, debit, credit, amount_sat, reason, reference)"
      " VALUES (?, ?, ?, ?, ?, ?)");
  if (!insert) return insert.error();
  (*insert)->bind(1, signed_of(index)).bind(2, posting.debit).bind(3, posting.credit);
  (*insert)->bind(4, posting.amount_sat).bind(5, posting.reason).bind(6, posting.reference);
  if (auto done = (*insert)->run(); !done) return done;
  if (auto done = add_to_balance(posting.debit, -posting.amount_sat); !done) return done;
  return add_to_balance(posting.credit, posting.amount_sat);
}

// `amount_sat` as credited; `wallet` is kept on its debit side, as State::balances does.
Status Tables::add_to_balance(const std::string& account, std::int64_t amount_sat) {
  auto upsert = statement(
      "INSERT INTO balances (account, amount_sat) VALUES (?1, ?2)"
      " ON CONFLICT (account) DO UPDATE SET amount_sat = amount_sat + ?2");
  if (!upsert) return upsert.error();
  return (*upsert)->bind(1, account).bind(2, account == "wallet" ? -amount_sat : amount_sat).run();
}

Status Tables::write_digest(const StoredDigest& stored) {
  auto insert = statement(
      "INSERT OR REPLACE INTO digests (idx, digest, closed, tip, height) VALUES (?, ?, ?, ?, ?)");
  if (!insert) return insert.error();
  (*insert)->bind(1, signed_of(stored.index)).bind(2, ByteSpan(stored.digest));
  (*insert)->bind(3, std::int64_t{stored.closed}).bind(4, ByteSpan(stored.tip.hash));
  return (*insert)->bind(5, std::int64_t{stored.tip.height}).run();
}

// ---- reading ----

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
      " requested_at_us, txid, unsigned_tx, prevouts, fee_sat, signed_tx, height"
      " FROM withdrawals ORDER BY ordinal",
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
