// Reading exports, checking them, writing the new journal: see provision.h.
#include "signer/app/provision.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/runtime/folder_lock.h"
#include "common/runtime/process.h"
#include "signer/app/journal_records.h"
#include "signer/app/key_material.h"
#include "signer/core/durable_state.h"
#include "signer/core/founding.h"

namespace roulette::signer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Reads fields of a line by name; the first that does not fit is remembered.
class Line {
 public:
  explicit Line(const json& object) : object_(object) {}

  [[nodiscard]] std::string text(const char* key) {
    const auto found = object_.find(key);
    if (found != object_.end() && found->is_string()) return found->get<std::string>();
    refuse(key);
    return {};
  }
  template <class T>
  [[nodiscard]] T number(const char* key) {
    const auto found = object_.find(key);
    if (found != object_.end() && found->is_number_integer()) return found->get<T>();
    refuse(key);
    return {};
  }
  template <std::size_t N>
  [[nodiscard]] ByteArray<N> array(const char* key) {
    const auto bytes = from_hex(text(key));
    const auto out = bytes ? to_array<N>(*bytes) : std::nullopt;
    if (!out) refuse(key);
    return out.value_or(ByteArray<N>{});
  }
  [[nodiscard]] Bytes bytes(const char* key) {
    const auto out = from_hex(text(key));
    if (!out) refuse(key);
    return out.value_or(Bytes{});
  }
  [[nodiscard]] Hash32 txid(const char* key) {
    const auto out = bitcoin::txid_from_hex(text(key));
    if (!out) refuse(key);
    return out.value_or(Hash32{});
  }
  [[nodiscard]] SignerId signer(const char* key) {
    const std::string name = text(key);
    const std::string prefix = "signer-";
    std::uint16_t index = 0;
    const char* end = name.data() + name.size();
    if (!name.starts_with(prefix) ||
        std::from_chars(name.data() + prefix.size(), end, index).ptr != end)
      refuse(key);
    return SignerId(index);
  }
  // Calls `each` for every object of a list.
  template <class Each>
  void list(const char* key, Each&& each) {
    const auto found = object_.find(key);
    if (found == object_.end() || !found->is_array()) return refuse(key);
    for (const json& element : *found) {
      Line line(element);
      each(line);
      if (!line.good()) return refuse(key);
    }
  }
  void refuse(const char* key) {
    if (wrong_.empty()) wrong_ = key;
  }
  [[nodiscard]] bool good() const { return wrong_.empty(); }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  const json& object_;
  std::string wrong_;
};

BoundInput read_input(Line& line) {
  BoundInput input;
  const std::string outpoint = line.text("outpoint");
  const std::size_t colon = outpoint.find(':');
  const auto txid = bitcoin::txid_from_hex(outpoint.substr(0, colon));
  const char* end = outpoint.data() + outpoint.size();
  if (!txid || colon == std::string::npos ||
      std::from_chars(outpoint.data() + colon + 1, end, input.outpoint.vout).ptr != end)
    line.refuse("outpoint");
  input.outpoint.txid = txid.value_or(Hash32{});
  input.prevout.amount_sat = line.number<std::int64_t>("amount_sat");
  input.prevout.script = line.bytes("script");
  return input;
}

Provisioned read_identity(Line& line) {
  Provisioned identity;
  identity.signer = line.signer("signer");
  identity.cluster_id = line.text("cluster_id");
  identity.share_epoch = line.number<std::uint32_t>("share_epoch");
  identity.threshold_key = line.array<33>("threshold_key");
  return identity;
}

SigningRecord read_signing(Line& line, const json& object) {
  SigningRecord record;
  record.session_digest = line.array<32>("session_digest");
  for (const json& nonce : object.value("nonces", json::array())) {
    const auto bytes = nonce.is_string() ? from_hex(nonce.get<std::string>()) : std::nullopt;
    const auto fixed = bytes ? to_array<66>(*bytes) : std::nullopt;  // as journals have them
    if (!fixed) line.refuse("nonces");
    record.own_nonces.emplace_back(fixed.value_or(ByteArray<66>{}));
  }
  record.withdrawal_id = WithdrawalId(line.array<16>("withdrawal_id"));
  record.payload_digest = line.array<32>("payload_digest");
  record.txid = line.txid("txid");
  line.list("inputs", [&](Line& input) { record.inputs.push_back(read_input(input)); });
  return record;
}

Reprovisioned read_reprovisioned(Line& line) {
  Reprovisioned record;
  record.now = read_identity(line);
  record.group = line.array<32>("group");
  record.previous_epoch = line.number<std::uint32_t>("previous_epoch");
  line.list("sources", [&](Line& source) {
    record.sources.push_back({source.signer("signer"), source.number<std::uint32_t>("share_epoch"),
                              source.number<std::uint64_t>("length"), source.array<32>("head")});
  });
  record.imported = line.number<std::uint32_t>("imported");
  return record;
}

ImportedBinding read_imported(Line& line) {
  ImportedBinding record;
  record.withdrawal_id = WithdrawalId(line.array<16>("withdrawal_id"));
  record.payload_digest = line.array<32>("payload_digest");
  record.txid = line.txid("txid");
  line.list("inputs", [&](Line& input) { record.inputs.push_back(read_input(input)); });
  return record;
}

Result<Record> read_record(const json& object) {
  Line line(object);
  Record record;
  record.sequence = line.number<std::uint64_t>("sequence");
  record.head = line.array<32>("head");
  const std::string kind = line.text("kind");
  if (kind == "provisioned")
    record.body = read_identity(line);
  else if (kind == "signing_record")
    record.body = read_signing(line, object);
  else if (kind == "reprovisioned")
    record.body = read_reprovisioned(line);
  else if (kind == "imported_binding")
    record.body = read_imported(line);
  else
    line.refuse("kind");
  if (!line.good()) return Error{ErrorKind::Corrupt, "the field " + line.wrong()};
  return record;
}

// Calls `take` with every line behind the header; errors name file and line.
template <class Take>
Status each_line(const fs::path& file, const std::string& format, int version, Take&& take) {
  std::ifstream in(file);
  if (!in) return Error{ErrorKind::Preflight, file.string() + ": cannot be read"};
  std::size_t number = 0;
  for (std::string text; std::getline(in, text);) {
    const std::string where = file.string() + ":" + std::to_string(++number);
    const json object = json::parse(text, nullptr, false);
    if (!object.is_object()) return Error{ErrorKind::Corrupt, where + ": not a JSON object"};
    if (number == 1) {
      if (object.value("format", "") == format && object.value("version", 0) == version) continue;
      return Error{ErrorKind::Refused,
                   where + ": is not " + format + " version " + std::to_string(version)};
    }
    if (const Status taken = take(object); !taken) return taken.error().with_context(where);
  }
  if (number == 0) return Error{ErrorKind::Corrupt, file.string() + ": is empty"};
  return {};
}

class Provisioning {
 public:
  Provisioning(const Settings& settings, const ProvisionOptions& options, SignerConfig config)
      : settings_(settings), options_(options), config_(std::move(config)) {}

  Status run() {
    const Result<bool> done = already_done();
    if (!done) return done.error();
    if (*done) return {};
    if (!options_.ledger.empty())
      if (auto read = read_ledger(); !read) return read;
    for (const fs::path& source : options_.sources)
      if (auto read = read_source(source); !read) return read;
    const std::size_t needed = journals_needed(config_.group->n(), config_.group->t());
    if (sources_.size() < needed)
      return Error{ErrorKind::Usage,
                   std::to_string(sources_.size()) + " journals of other signers; " +
                       std::to_string(needed) + " (n-t+1) are needed to meet every quorum"};
    return write();
  }

 private:
  [[nodiscard]] Provisioned identity_of(SignerId signer) const {
    return {signer, config_.cluster_id, config_.share_epoch, config_.group->threshold_key()};
  }

  // A journal is there: ours, of an earlier run, or one that must not be touched.
  Result<bool> already_done() {
    if (!fs::exists(settings_.journal_file())) return false;
    auto journal = runtime::Journal::open({.path = settings_.journal_file(),
                                           .format = kJournalFormat});
    if (!journal) return journal.error();
    const auto records = load_records(**journal);
    if (!records) return records.error();
    if (records->empty()) return false;  // a run that was killed before its transaction
    const auto* founding = founding_of(*records);
    if (founding == nullptr || founding->now != identity_of(config_.id) ||
        founding->group != config_.group->id())
      return Error{ErrorKind::Refused,
                   settings_.journal_file().string() +
                       ": holds another journal; give the new one a name of its own"};
    print("already", founding->sources, founding->imported);
    return true;
  }

  Status read_ledger() {
    return each_line(options_.ledger, "roulette-ledger", 4, [this](const json& object) -> Status {
      const std::string type = object.value("type", "");
      Line line(object);
      if (type == "entry") {
        line.list("commands", [this](Line& command) { read_command(command); });
      } else if (type == "journal_head") {  // also of entries that were trimmed
        keep_head(line);
      } else if (type == "tables" && !object.value("why", "").empty()) {
        return Error{ErrorKind::Refused, "its tables do not agree: " + object.value("why", "")};
      } else if (type == "withdrawal" && !object.value("txid", "").empty()) {
        std::vector<BoundInput> inputs;
        line.list("prevouts", [&](Line& prevout) {
          inputs.push_back({{prevout.txid("txid"), prevout.number<std::uint32_t>("vout")},
                            {prevout.number<std::int64_t>("amount_sat"),
                             prevout.bytes("script")}});
        });
        union_.add(WithdrawalId(line.array<16>("withdrawal_id")),
                   line.array<32>("payload_digest"), line.txid("txid"), inputs);
      }
      if (!line.good()) return Error{ErrorKind::Corrupt, "the field " + line.wrong()};
      return {};
    });
  }

  void read_command(Line& command) {
    if (command.text("command") != "signed" || command.text("outcome") != "applied") return;
    command.list("journals", [this](Line& told) { keep_head(told); });
  }

  void keep_head(Line& told) {
    const SignerId signer = told.signer("signer");
    const wire::JournalCheck head{told.number<std::uint32_t>("share_epoch"),
                                  told.number<std::uint64_t>("length"), told.array<32>("head")};
    wire::JournalCheck& kept = kept_[signer];
    if (std::pair(head.share_epoch, head.length) > std::pair(kept.share_epoch, kept.length))
      kept = head;
  }

  Status read_source(const fs::path& file) {
    std::optional<DurableState> state;
    std::optional<SignerId> signer;
    const Status read = each_line(
        file, "roulette-signer-journal", 1, [&](const json& object) -> Status {
          auto record = read_record(object);
          if (!record) return record.error();
          if (!state) {
            Line line(object);
            signer = line.signer("signer");
            if (!line.good()) return Error{ErrorKind::Corrupt, "it does not say whose it is"};
            state.emplace(identity_of(*signer));
          }
          if (auto fits = state->check_next(*record); !fits) return fits;
          state->apply(*record);
          union_.add(*record);
          return {};
        });
    if (!read) return read;
    if (!state) return Error{ErrorKind::Corrupt, file.string() + ": holds no record"};
    return take_source(file, *signer, *state);
  }

  // A source that is itself rolled back could hide a binding: it does not count, by name.
  Status take_source(const fs::path& file, SignerId signer, const DurableState& state) {
    const auto refuse = [&](const std::string& why) {
      return Error{ErrorKind::Refused, file.string() + ": " + why};
    };
    if (signer == config_.id) return refuse("is this signer's own, the one that was lost");
    if (signer.value() >= config_.group->n()) return refuse("is of no signer of the group");
    const auto kept = kept_.find(signer);
    if (kept != kept_.end()) {
      const auto standing = state.standing(kept->second);
      if (wire::quarantines(standing))
        return refuse(std::string("does not hold what the ledger keeps of it: ") +
                      wire::standing_name(standing));
    }
    if (std::any_of(sources_.begin(), sources_.end(),
                    [&](const JournalSource& source) { return source.signer == signer; }))
      return refuse("is a second journal of one signer");
    sources_.push_back({signer, state.share_epoch(), state.length(), state.head()});
    return {};
  }

  Status write() {
    std::sort(sources_.begin(), sources_.end(),
              [](const auto& a, const auto& b) { return a.signer < b.signer; });
    const auto records = found_journal(identity_of(config_.id), config_.group->id(),
                                       options_.previous_epoch, sources_, union_.bindings());
    if (!records) return records.error();
    auto journal = runtime::Journal::open({.path = settings_.journal_file(),
                                           .format = kJournalFormat});
    if (!journal) return journal.error();
    std::vector<runtime::JournalRecord> batch;
    for (const Record& record : *records) batch.push_back(to_journal(record));
    if (auto written = (*journal)->append(batch); !written) return written;
    print("founded", sources_, records->size() - 1);
    return {};
  }

  void print(const char* what, const std::vector<JournalSource>& sources,
             std::size_t imported) const {
    json names = json::array();
    for (const JournalSource& source : sources)
      names.push_back(ProcessName{Role::Signer, source.signer.value()}.text());
    std::printf("%s\n", json{{"journal", what},
                             {"signer", settings_.name.text()},
                             {"share_epoch", config_.share_epoch},
                             {"sources", names},
                             {"imported", imported},
                             {"disputed", union_.disputed()}}
                            .dump()
                            .c_str());
  }

  const Settings& settings_;
  const ProvisionOptions& options_;
  SignerConfig config_;
  BindingUnion union_;
  std::map<SignerId, wire::JournalCheck> kept_;
  std::vector<JournalSource> sources_;
};

}  // namespace

Result<ProvisionOptions> parse_provision(std::span<char* const> words) {
  ProvisionOptions told;
  const auto usage = [](const std::string& what) { return Error{ErrorKind::Usage, what}; };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string word = words[i];
    if (word == "--without-ledger") {
      told.without_ledger = true;
      continue;
    }
    if (++i == words.size()) return usage(word + " wants a value");
    const std::string_view value = words[i];
    std::uint32_t number = 0;
    const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool is_number = read.ec == std::errc() && read.ptr == value.data() + value.size();
    if (word == "--config")
      told.config = value;
    else if (word == "--from")
      told.sources.emplace_back(value);
    else if (word == "--ledger")
      told.ledger = value;
    else if (word == "--previous-epoch" && is_number)
      told.previous_epoch = number;
    else if (word == "--passphrase-fd" && is_number)
      told.passphrase_fd = static_cast<int>(number);
    else
      return usage(word + " " + std::string(value) + ": not understood (docs/PROVISIONING.md)");
  }
  if (told.config.empty()) return usage("--config is missing");
  if (told.ledger.empty() != told.without_ledger)
    return usage(
        "one of --ledger EXPORT and --without-ledger: without a replica's export nobody notices a "
        "source whose journal went back, and what that one forgot may be signed again");
  return told;
}

Status provision_again(const Settings& settings, const ProvisionOptions& options) {
  if (settings.share_epoch <= options.previous_epoch)
    return Error{ErrorKind::Usage, "share_epoch " + std::to_string(settings.share_epoch) +
                                       " does not follow the epoch in which the journal was lost"};
  auto lock = runtime::FolderLock::take(settings.folder);
  if (!lock) return lock.error();
  runtime::KernelEntropy entropy;
  // Also proves that group, share and key fit before anything is written.
  KeyProbe probe;  // nobody serves with it here
  auto config = load_config(settings, options.passphrase_fd, entropy, probe);
  if (!config) return config.error();
  return Provisioning(settings, options, std::move(config).value()).run();
}

}  // namespace roulette::signer
