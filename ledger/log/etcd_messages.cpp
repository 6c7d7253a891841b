// See etcd_messages.h. 64-bit numbers travel as JSON strings, byte strings as base64; a member that
// has its default value is left out.
#include "ledger/log/etcd_messages.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "common/base/base64.h"
#include "common/base/mutants.h"

namespace roulette::ledger::etcd {
namespace {

using nlohmann::json;

constexpr std::size_t kIndexDigits = 20;
constexpr std::size_t kChunkDigits = 6;
constexpr std::string_view kChunk = "chunk/";
constexpr std::string_view kManifest = "manifest";

Error corrupt(const std::string& what) {
  return {ErrorKind::Corrupt, "etcd: " + what};
}

std::string quoted64(std::string_view text) {
  return "\"" + encode_base64(as_bytes(text)) + "\"";
}

template <class T>
std::optional<T> number_of(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

const json* member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// A missing member is 0, as the gateway means it.
std::optional<std::int64_t> integer(const json& object, const char* name) {
  const json* value = member(object, name);
  if (value == nullptr) return 0;
  if (value->is_number_integer()) return value->get<std::int64_t>();
  if (!value->is_string()) return std::nullopt;
  return number_of<std::int64_t>(value->get_ref<const std::string&>());
}

bool flag(const json& object, const char* name) {
  const json* value = member(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::optional<std::string> text64(const json& object, const char* name) {
  const json* value = member(object, name);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return std::nullopt;
  const auto bytes = decode_base64(value->get_ref<const std::string&>());
  if (!bytes) return std::nullopt;
  return std::string(bytes->begin(), bytes->end());
}

Result<json> parse_object(std::string_view text) {
  json parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object()) return corrupt("the answer is no JSON object");
  return parsed;
}

std::optional<std::uint64_t> index_of(const std::string& key, const std::string& cluster) {
  const std::string prefix = cluster + "/log/";
  if (!key.starts_with(prefix) || key.size() != prefix.size() + kIndexDigits) return std::nullopt;
  return number_of<std::uint64_t>(std::string_view(key).substr(prefix.size()));
}

Result<Entry> parse_entry(const json& kv, const std::string& cluster, std::uint64_t known) {
  const auto key = text64(kv, "key");
  const auto revision = integer(kv, "mod_revision");
  if (!key || !revision) return corrupt("a key or revision that does not parse");
  const auto index = index_of(*key, cluster);
  if (!index) return corrupt("a key that is no entry of this log");
  Entry entry{*index, *revision, {}};
  if (*index <= known) return entry;
  const json* value = member(kv, "value");
  if (value == nullptr || !value->is_string()) return corrupt("an entry without a value");
  auto batch = decode_base64(value->get_ref<const std::string&>());
  if (!batch) return corrupt("a value that is no base64");
  entry.batch = std::move(*batch);
  return entry;
}

std::string range_body(const std::string& key, const std::string& end, std::size_t limit,
                       const std::string& more = "") {
  std::string body = R"({"key":)" + quoted64(key);
  if (!end.empty()) body += R"(,"range_end":)" + quoted64(end);
  if (limit > 0) body += R"(,"limit":")" + std::to_string(limit) + "\"";
  return body + more + "}";
}

std::string padded(std::uint64_t number, std::size_t digits) {
  std::string text = std::to_string(number);
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}

std::string snapshots_folder(const std::string& cluster) {
  return cluster + "/snap/";
}
std::string snapshot_folder(const std::string& cluster, std::uint64_t index) {
  return snapshots_folder(cluster) + padded(index, kIndexDigits) + "/";
}

// The key exists: it was created at some revision.
std::string exists(const std::string& key) {
  return R"({"target":"CREATE","result":"GREATER","key":)" + quoted64(key) +
         R"(,"create_revision":"0"})";
}
std::string remove(const std::string& from, const std::string& end) {
  return R"({"request_delete_range":{"key":)" + quoted64(from) + R"(,"range_end":)" +
         quoted64(end) + "}}";
}

// The kvs of a range's answer.
Result<const json*> kvs_of(const json& parsed) {
  if (member(parsed, "header") == nullptr) return corrupt("a range's answer without header");
  const json* kvs = member(parsed, "kvs");
  if (kvs != nullptr && !kvs->is_array()) return corrupt("keys that are no list");
  return kvs;
}

std::string put(const std::string& key, ByteSpan value) {
  return R"({"request_put":{"key":)" + quoted64(key) + R"(,"value":")" + encode_base64(value) +
         "\"}}";
}

}  // namespace

std::string head_key(const std::string& cluster) {
  return cluster + "/head";
}

std::string entry_key(const std::string& cluster, std::uint64_t index) {
  return cluster + "/log/" + padded(index, kIndexDigits);
}

std::string entries_end(const std::string& cluster) {
  return cluster + "/log0";
}  // '0' is '/' + 1

std::string chunk_key(const std::string& cluster, std::uint64_t index, std::uint32_t number) {
  return snapshot_folder(cluster, index) + std::string(kChunk) + padded(number, kChunkDigits);
}

std::string manifest_key(const std::string& cluster, std::uint64_t index) {
  return snapshot_folder(cluster, index) + std::string(kManifest);
}

std::string snapshot_put_request(const std::string& cluster, std::uint64_t index,
                                 const std::string& key, ByteSpan value) {
  return R"({"compare":[{"target":"CREATE","result":"EQUAL","key":)" +
         quoted64(manifest_key(cluster, index)) + R"(,"create_revision":"0"}],"success":[)" +
         put(key, value) + "]}";
}

std::string trim_request(const std::string& cluster, const TrimRange& range) {
  std::string body = R"({"compare":[)" + exists(manifest_key(cluster, range.up_to)) + "," +
                     exists(manifest_key(cluster, range.newest)) + R"(],"success":[)" +
                     remove(entry_key(cluster, range.from), entry_key(cluster, range.to + 1));
  if (range.older_snapshots) {
    body += "," + remove(snapshots_folder(cluster), snapshot_folder(cluster, range.up_to));
  }
  return body + "]}";
}

std::string compaction_request(std::int64_t revision) {
  return R"({"revision":")" + std::to_string(revision) + "\"}";
}

std::string first_entry_request(const std::string& cluster) {
  return range_body(entry_key(cluster, 0), entries_end(cluster), 1, R"(,"keys_only":true)");
}

std::string snapshots_request(const std::string& cluster, std::uint64_t at_most) {
  // '0' is '/' + 1: behind every key of that snapshot.
  std::string end = snapshot_folder(cluster, at_most);
  end.back() = '0';
  return range_body(snapshots_folder(cluster), end, 0,
                    R"(,"keys_only":true,"sort_order":"DESCEND","sort_target":"KEY")");
}

std::string snapshot_request(const std::string& cluster, std::uint64_t index,
                             const std::string& last_key, std::size_t limit) {
  const std::string folder = snapshot_folder(cluster, index);
  std::string end = folder;
  end.back() = '0';
  return range_body(last_key.empty() ? folder : last_key + std::string(1, '\0'), end, limit);
}

std::string append_request(const std::string& cluster, std::uint64_t index,
                           std::int64_t head_revision, ByteSpan batch) {
  const std::string head = head_key(cluster);
  const std::string entry = entry_key(cluster, index);
  if (ROULETTE_MUTANT("head-not-compared")) {
    return R"({"compare":[],"success":[)" + put(entry, batch) + "," +
           put(head, as_bytes(std::to_string(index))) + "]}";
  }
  std::string body = R"({"compare":[{"target":"MOD","result":"EQUAL","key":)" + quoted64(head);
  body += R"(,"mod_revision":")" + std::to_string(head_revision);
  body += R"("},{"target":"CREATE","result":"EQUAL","key":)" + quoted64(entry);
  body += R"(,"create_revision":"0"}],"success":[)" + put(entry, batch) + ",";
  body += put(head, as_bytes(std::to_string(index))) + "]}";
  return body;
}

std::string head_request(const std::string& cluster) {
  return range_body(head_key(cluster), "", 0);
}

std::string entries_request(const std::string& cluster, std::uint64_t from, std::size_t limit) {
  return range_body(entry_key(cluster, from), entries_end(cluster), limit);
}

std::string watch_request(const std::string& cluster, std::int64_t from_revision) {
  return R"({"create_request":{"key":)" + quoted64(cluster + "/log/") + R"(,"range_end":)" +
         quoted64(entries_end(cluster)) + R"(,"start_revision":")" + std::to_string(from_revision) +
         "\"}}";
}

Result<AppendAnswer> parse_append(std::string_view text) {
  auto parsed = parse_object(text);
  if (!parsed) return parsed.error();
  const json* header = member(*parsed, "header");
  if (header == nullptr) return corrupt("a transaction's answer without header");
  const auto revision = integer(*header, "revision");
  if (!revision || *revision == 0) return corrupt("a transaction's answer without revision");
  return AppendAnswer{flag(*parsed, "succeeded"), *revision};
}

Result<std::uint64_t> parse_head(std::string_view text) {
  auto parsed = parse_object(text);
  if (!parsed) return parsed.error();
  if (member(*parsed, "header") == nullptr) return corrupt("a head's answer without header");
  const json* kvs = member(*parsed, "kvs");
  if (kvs == nullptr) return std::uint64_t{0};
  if (!kvs->is_array() || kvs->size() != 1) return corrupt("not one head");
  const auto value = text64((*kvs)[0], "value");
  if (!value) return corrupt("a head that is no base64");
  const auto index = number_of<std::uint64_t>(*value);
  if (!index) return corrupt("a head that is no number");
  return *index;
}

Result<EntriesPage> parse_entries(std::string_view text, const std::string& cluster) {
  auto parsed = parse_object(text);
  if (!parsed) return parsed.error();
  EntriesPage page;
  const json* header = member(*parsed, "header");
  const auto revision = header == nullptr ? std::nullopt : integer(*header, "revision");
  if (!revision || *revision == 0) return corrupt("entries without a revision");
  page.revision = *revision;
  page.more = flag(*parsed, "more");
  const json* kvs = member(*parsed, "kvs");
  if (kvs == nullptr) return page;
  if (!kvs->is_array()) return corrupt("entries that are no list");
  for (const json& kv : *kvs) {
    auto entry = parse_entry(kv, cluster, 0);
    if (!entry) return entry.error();
    page.entries.push_back(std::move(entry).value());
  }
  return page;
}

Result<std::uint64_t> parse_newest_snapshot(std::string_view text, const std::string& cluster) {
  auto parsed = parse_object(text);
  if (!parsed) return parsed.error();
  const auto kvs = kvs_of(*parsed);
  if (!kvs) return kvs.error();
  if (kvs.value() == nullptr) return std::uint64_t{0};
  const std::string folder = snapshots_folder(cluster);
  for (const json& kv : **kvs) {
    const auto key = text64(kv, "key");
    if (!key) return corrupt("a key that is no base64");
    if (!key->ends_with("/" + std::string(kManifest)) || !key->starts_with(folder)) continue;
    const auto index = number_of<std::uint64_t>(
        std::string_view(*key).substr(folder.size(), kIndexDigits));
    if (index && *key == manifest_key(cluster, *index)) return *index;
  }
  return std::uint64_t{0};
}

Result<std::uint64_t> parse_first_entry(std::string_view text, const std::string& cluster) {
  auto parsed = parse_object(text);
  if (!parsed) return parsed.error();
  const auto kvs = kvs_of(*parsed);
  if (!kvs) return kvs.error();
  if (kvs.value() == nullptr || (*kvs)->empty()) return std::uint64_t{0};
  const auto key = text64((**kvs)[0], "key");
  const auto index = key ? index_of(*key, cluster) : std::nullopt;
  if (!index) return corrupt("a key that is no entry of this log");
  return *index;
}

Result<SnapshotPage> parse_snapshot(std::string_view text, const std::string& cluster,
                                    std::uint64_t index) {
  auto parsed = parse_object(text);
  if (!parsed) return parsed.error();
  SnapshotPage page;
  page.more = flag(*parsed, "more");
  const auto kvs = kvs_of(*parsed);
  if (!kvs) return kvs.error();
  if (kvs.value() == nullptr) return page;
  const std::string chunks = snapshot_folder(cluster, index) + std::string(kChunk);
  for (const json& kv : **kvs) {
    auto key = text64(kv, "key");
    auto value = text64(kv, "value");
    if (!key || !value) return corrupt("a snapshot's key or value that is no base64");
    page.last_key = std::move(*key);
    Bytes bytes(value->begin(), value->end());
    if (page.last_key == manifest_key(cluster, index)) {
      page.manifest = std::move(bytes);
    } else if (page.last_key.starts_with(chunks)) {
      const auto number =
          number_of<std::uint32_t>(std::string_view(page.last_key).substr(chunks.size()));
      if (!number) return corrupt("a chunk without a number");
      page.chunks[*number] = std::move(bytes);
    }
  }
  return page;
}

Result<WatchLine> parse_watch_line(std::string_view text, const std::string& cluster,
                                   std::uint64_t known) {
  auto parsed = parse_object(text);
  if (!parsed) return parsed.error();
  WatchLine line;
  if (const json* error = member(*parsed, "error")) {
    line.cancelled = error->dump();
    return line;
  }
  const json* result = member(*parsed, "result");
  if (result == nullptr) return corrupt("a watch line without result");
  line.created = flag(*result, "created");
  if (flag(*result, "canceled")) {
    const json* reason = member(*result, "cancel_reason");
    line.cancelled = reason != nullptr && reason->is_string() ? reason->get<std::string>() : "";
    if (member(*result, "compact_revision") != nullptr) *line.cancelled += " (compacted)";
  }
  const json* events = member(*result, "events");
  if (events == nullptr) return line;
  if (!events->is_array()) return corrupt("events that are no list");
  for (const json& event : *events) {
    const json* type = member(event, "type");
    const json* kv = member(event, "kv");
    if (kv == nullptr) return corrupt("an event without key and value");
    if (type != nullptr && *type != "PUT") {
      const auto key = text64(*kv, "key");
      const auto index = key ? index_of(*key, cluster) : std::nullopt;
      if (!index) return corrupt("a removed key that is no entry of this log");
      line.last_deleted = std::max(line.last_deleted, *index);
      continue;
    }
    auto entry = parse_entry(*kv, cluster, known);
    if (!entry) return entry.error();
    line.entries.push_back(std::move(entry).value());
  }
  return line;
}

}  // namespace roulette::ledger::etcd
