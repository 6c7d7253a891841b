// The few messages of etcd's v3 JSON gateway that the log needs: built and parsed, no transport.
//
// Invariant: parsing never throws; what is not exactly such an answer is an Error of kind Corrupt.
// Keys: `<cluster>/head` (the last index, decimal) and `<cluster>/log/<20 digits>` (one batch in
// its canonical encoding). Both are put by one transaction, so an entry's mod_revision is the
// head's as long as it is the last one. Nothing else is kept in etcd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace roulette::ledger::etcd {

[[nodiscard]] std::string head_key(const std::string& cluster);
[[nodiscard]] std::string entry_key(const std::string& cluster, std::uint64_t index);
// Behind every entry: the end of the range of all entries.
[[nodiscard]] std::string entries_end(const std::string& cluster);

// POST /v3/kv/txn. The head's revision keeps a stale proposer out; that the entry's key is unused
// alone would not: a trimmed key's create_revision is 0 again (DESIGN 8).
[[nodiscard]] std::string append_request(const std::string& cluster, std::uint64_t index,
                                         std::int64_t head_revision, ByteSpan batch);
// POST /v3/kv/range, linearizable.
[[nodiscard]] std::string head_request(const std::string& cluster);
[[nodiscard]] std::string entries_request(const std::string& cluster, std::uint64_t from,
                                          std::size_t limit);
// POST /v3/watch
[[nodiscard]] std::string watch_request(const std::string& cluster, std::int64_t from_revision);

struct AppendAnswer {
  bool succeeded = false;
  std::int64_t revision = 0;  // of the transaction
};
[[nodiscard]] Result<AppendAnswer> parse_append(std::string_view json);
// 0: no head yet.
[[nodiscard]] Result<std::uint64_t> parse_head(std::string_view json);

struct Entry {
  std::uint64_t index = 0;
  std::int64_t mod_revision = 0;
  Bytes batch;
};
struct EntriesPage {
  std::int64_t revision = 0;  // everything up to it was seen
  bool more = false;
  std::vector<Entry> entries;
};
[[nodiscard]] Result<EntriesPage> parse_entries(std::string_view json, const std::string& cluster);

struct WatchLine {
  bool created = false;
  std::optional<std::string> cancelled;  // why
  std::vector<Entry> entries;
  bool deleted = false;  // somebody removed an entry
};
// `known`: batches of entries up to this index are left empty.
[[nodiscard]] Result<WatchLine> parse_watch_line(std::string_view json, const std::string& cluster,
                                                 std::uint64_t known);

}  // namespace roulette::ledger::etcd
