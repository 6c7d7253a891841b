// The few messages of etcd's v3 JSON gateway that the log needs: built and parsed, no transport.
//
// Invariant: parsing never throws; what is not exactly such an answer is an Error of kind Corrupt.
// Keys: `<cluster>/head` (the last index, decimal) and `<cluster>/log/<20 digits>` (one batch in
// its canonical encoding). Both are put by one transaction, so an entry's mod_revision is the
// head's as long as it is the last one. A snapshot is `<cluster>/snap/<20 digits>/chunk/<6 digits>`
// and, last, `.../manifest`. Nothing else is kept in etcd, and only these keys are ever removed.
#pragma once

#include <cstdint>
#include <map>
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

[[nodiscard]] std::string chunk_key(const std::string& cluster, std::uint64_t index,
                                    std::uint32_t number);
[[nodiscard]] std::string manifest_key(const std::string& cluster, std::uint64_t index);

// POST /v3/kv/txn. The head's revision keeps a stale proposer out; that the entry's key is unused
// alone would not: a trimmed key's create_revision is 0 again (DESIGN 8).
[[nodiscard]] std::string append_request(const std::string& cluster, std::uint64_t index,
                                         std::int64_t head_revision, ByteSpan batch);
// POST /v3/kv/txn: puts a key of a snapshot unless the snapshot has its manifest.
[[nodiscard]] std::string snapshot_put_request(const std::string& cluster, std::uint64_t index,
                                               const std::string& key, ByteSpan value);
// POST /v3/kv/txn: removes the entries from `from` up to `to` while both snapshots are complete;
// with `older_snapshots` also everything of those before `up_to`.
struct TrimRange {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint64_t up_to = 0;
  std::uint64_t newest = 0;
  bool older_snapshots = false;
};
[[nodiscard]] std::string trim_request(const std::string& cluster, const TrimRange& range);
// POST /v3/kv/compaction: what no key holds any more since `revision` goes for good.
[[nodiscard]] std::string compaction_request(std::int64_t revision);
// POST /v3/kv/range, linearizable.
[[nodiscard]] std::string head_request(const std::string& cluster);
[[nodiscard]] std::string entries_request(const std::string& cluster, std::uint64_t from,
                                          std::size_t limit);
// Keys only: of the oldest entry; of snapshots up to `at_most`, the last first.
[[nodiscard]] std::string first_entry_request(const std::string& cluster);
[[nodiscard]] std::string snapshots_request(const std::string& cluster, std::uint64_t at_most);
// Chunks and manifest of one snapshot, from behind `last_key` on (empty: all).
[[nodiscard]] std::string snapshot_request(const std::string& cluster, std::uint64_t index,
                                           const std::string& last_key, std::size_t limit);
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

// Index of the first complete snapshot in the answer to snapshots_request; 0: none.
[[nodiscard]] Result<std::uint64_t> parse_newest_snapshot(std::string_view json,
                                                          const std::string& cluster);
// Index of the oldest entry; 0: the log holds none.
[[nodiscard]] Result<std::uint64_t> parse_first_entry(std::string_view json,
                                                      const std::string& cluster);
struct SnapshotPage {
  bool more = false;
  std::string last_key;
  std::map<std::uint32_t, Bytes> chunks;
  std::optional<Bytes> manifest;
};
[[nodiscard]] Result<SnapshotPage> parse_snapshot(std::string_view json, const std::string& cluster,
                                                  std::uint64_t index);

struct WatchLine {
  bool created = false;
  std::optional<std::string> cancelled;  // why
  std::vector<Entry> entries;
  std::uint64_t last_deleted = 0;  // the highest index among the entries that were removed
};
// `known`: batches of entries up to this index are left empty.
[[nodiscard]] Result<WatchLine> parse_watch_line(std::string_view json, const std::string& cluster,
                                                 std::uint64_t known);

}  // namespace roulette::ledger::etcd
