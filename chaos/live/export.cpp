// Exporting the records: see export.h.
#include "chaos/live/export.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <optional>

#include <nlohmann/json.hpp>

#include "common/bitcoin/address.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Duration kCallLimit = seconds(10);

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

Status run_to_file(const std::string& what, const std::vector<std::string>& argv,
                   const fs::path& to) {
  std::string command;
  for (const std::string& word : argv) command += quoted(word) + " ";
  command += "> " + quoted(to.string()) + " 2> " + quoted(to.string() + ".stderr");
  const int status = std::system(command.c_str());
  if (status == 0) {
    std::error_code ignored;
    fs::remove(to.string() + ".stderr", ignored);
    return {};
  }
  std::ifstream errors(to.string() + ".stderr");
  std::string line, last;
  while (std::getline(errors, line)) {
    if (!line.empty()) last = line;
  }
  return Error{ErrorKind::Io, what + " failed: " + (last.empty() ? "no reason given" : last)};
}

namespace {

Result<std::vector<json>> read_lines(const fs::path& path) {
  std::ifstream file(path);
  if (!file) return Error{ErrorKind::Io, path.string() + " cannot be read"};
  std::vector<json> lines;
  std::string line;
  while (std::getline(file, line)) {
    json value = json::parse(line, nullptr, false);
    if (!value.is_object())
      return Error{ErrorKind::Corrupt,
                   path.string() + ":" + std::to_string(lines.size() + 1) + ": not a JSON object"};
    lines.push_back(std::move(value));
  }
  return lines;
}

Result<std::string> address_of(const std::string& script_hex) {
  const auto script = from_hex(script_hex);
  if (!script) return Error{ErrorKind::Corrupt, "a withdrawal's script is not hex"};
  return bitcoin::address_from_script(*script);
}

// The export that others are compared with: the first that applied EndOfRun; one that was lost on
// the way lacks what came later. Without any, the first there is.
Result<std::vector<json>> reference_export(const ClusterFiles& files) {
  std::optional<std::vector<json>> first;
  for (const auto& [name, argv] : files.exports) {
    const fs::path source = files.state / (name.text() + ".ndjson");
    if (name.role != Role::Ledger || !fs::exists(source)) continue;
    Result<std::vector<json>> lines = read_lines(source);
    if (!lines) return lines.error();
    const bool closed = std::any_of(lines->begin(), lines->end(), [](const json& line) {
      return line.value("type", "") == "state" && line.value("closed", false);
    });
    if (closed) return lines;
    if (!first) first = std::move(lines).value();
  }
  if (first) return std::move(*first);
  return Error{ErrorKind::Io,
               "no ledger replica could be exported, so there is no transactions.ndjson"};
}

// Every signed withdrawal of that replica.
Status write_transactions(const ClusterFiles& files) {
  const Result<std::vector<json>> lines = reference_export(files);
  if (!lines) return lines.error();
  std::ofstream out(files.state / "transactions.ndjson");
  out << json{{"format", "roulette-transactions"}, {"version", 1}}.dump() << "\n";
  for (const json& line : *lines) {
    if (line.value("type", "") != "withdrawal" || line.value("signed_tx", "").empty()) continue;
    const auto address = address_of(line.value("script", ""));
    if (!address) return address.error();
    out << json{{"withdrawal_id", line.at("withdrawal_id")},
                {"idempotency_key", line.at("key")},
                {"address", *address},
                {"amount_sat", line.at("amount_sat")},
                {"txid", line.at("txid")},
                {"hex", line.at("signed_tx")},
                {"prevouts", line.at("prevouts")}}
               .dump()
        << "\n";
  }
  out.flush();
  if (!out) return Error{ErrorKind::Io, "transactions.ndjson could not be written"};
  return {};
}

// All event logs by time; ties by process, then sequence.
Status merge_events(const ClusterFiles& files) {
  struct Event {
    std::int64_t t_us;
    std::string process;
    std::int64_t seq;
    std::string text;
  };
  std::vector<Event> events;
  std::vector<fs::path> sources{files.work / "tool-0.events.ndjson"};
  for (const ProcessSpec& spec : files.specs) {
    if (spec.control) sources.push_back(files.work / spec.name.text() / "events.ndjson");
  }
  for (const fs::path& source : sources) {
    if (!fs::exists(source)) return Error{ErrorKind::Io, source.string() + " is missing"};
    const auto lines = read_lines(source);
    if (!lines) return lines.error();
    for (const json& line : *lines) {
      if (line.contains("format")) continue;
      events.push_back({line.value("t_us", std::int64_t{0}), line.value("process", ""),
                        line.value("seq", std::int64_t{0}), line.dump()});
    }
  }
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::tie(a.t_us, a.process, a.seq) < std::tie(b.t_us, b.process, b.seq);
  });
  std::ofstream out(fs::path(files.run_dir) / "events.ndjson");
  out << json{{"format", "roulette-events"}, {"version", 1}}.dump() << "\n";
  for (const Event& event : events) out << event.text << "\n";
  out.flush();
  if (!out) return Error{ErrorKind::Io, "events.ndjson could not be written"};
  return {};
}

// What the signers' token modules answered otherwise than a token would, by their own record.
Status export_tokens(const ClusterFiles& files) {
  if (!files.faulty_tokens) return {};
  for (const ProcessSpec& spec : files.specs) {
    if (spec.name.role != Role::Signer) continue;
    std::ofstream out(files.state / ("token-" + spec.name.text() + ".ndjson"));
    out << json{{"format", "roulette-token"}, {"version", 1}}.dump() << "\n";
    std::ifstream record(token_control(files, spec.name).string() + ".faults");
    for (std::string line; std::getline(record, line);) out << line << "\n";
    out.flush();
    if (!out) return Error{ErrorKind::Io, "the tokens' records could not be written"};
  }
  return {};
}

// What each process said on stderr, kept when work/ goes.
void keep_logs(const ClusterFiles& files) {
  const fs::path logs = fs::path(files.run_dir) / "logs";
  std::error_code ignored;
  fs::create_directories(logs, ignored);
  for (const ProcessSpec& spec : files.specs) {
    fs::copy_file(spec.stderr_path, logs / (spec.name.text() + ".log"),
                  fs::copy_options::overwrite_existing, ignored);
  }
}

}  // namespace

Status export_chain(Node& node, const ClusterFiles& files) {
  const auto height = node.wait("getblockcount", json::array(), kCallLimit);
  if (!height) return height.error();
  std::ofstream out(files.state / "chain.ndjson");
  out << json{{"format", "roulette-chain"}, {"version", 1}}.dump() << "\n";
  for (std::int64_t at = 0; at <= height->get<std::int64_t>(); ++at) {
    const auto hash = node.wait("getblockhash", json::array({at}), kCallLimit);
    if (!hash) return hash.error();
    const auto hex = node.wait("getblock", json::array({*hash, 0}), kCallLimit);
    if (!hex) return hex.error();
    out << json{{"height", at}, {"hash", *hash}, {"hex", *hex}}.dump() << "\n";
  }
  out.flush();
  if (!out) return Error{ErrorKind::Io, "chain.ndjson could not be written"};
  return {};
}

Status export_process(const ClusterFiles& files, const ProcessName& name, const fs::path& to) {
  for (const auto& [exported, argv] : files.exports)
    if (exported == name) return run_to_file("export of " + name.text(), argv, to);
  return Error{ErrorKind::Internal, name.text() + " has no export"};
}

Status export_records(const ClusterFiles& files) {
  Status first;
  const auto keep_first = [&first](const Status& status) {
    if (first.ok() && !status.ok()) first = status;
  };
  keep_logs(files);
  for (const auto& [name, argv] : files.exports)
    keep_first(run_to_file("export of " + name.text(), argv,
                           files.state / (name.text() + ".ndjson")));
  keep_first(export_tokens(files));
  keep_first(write_transactions(files));
  keep_first(merge_events(files));
  return first;
}

}  // namespace roulette::chaos
