// Files of a new share epoch, and the switch to them: see reprovision.h.
//
//   work/reprovision/epoch-E/   group.json, exports of signers and ledger, plan.json (written last)
//   work/signer-i/              share.epoch-E.sealed, config.epoch-E.json, config.epoch-<old>.json;
//                               of a lost one: journal.epoch-E.sqlite
//   prepared (plan.json) -> journals founded -> each config.json replaced -> done.json
#include "chaos/live/reprovision.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "common/crypto/schemes.h"
#include "common/crypto/sealed_share.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/folder_lock.h"
#include "common/runtime/group_file.h"

namespace roulette::chaos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxFileBytes = 1 << 20;

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Runs a command with its output in a file; an error carries its last words.
Status run_into(const std::vector<std::string>& argv, const fs::path& out) {
  std::string command;
  for (const std::string& word : argv) command += quoted(word) + " ";
  const fs::path errors = out.string() + ".stderr";
  command += "> " + quoted(out.string()) + " 2> " + quoted(errors.string());
  if (std::system(command.c_str()) == 0) {
    std::error_code ignored;
    fs::remove(errors, ignored);
    return {};
  }
  std::ifstream said(errors);
  std::string line, last = "no reason given";
  while (std::getline(said, line)) {
    if (!line.empty()) last = line;
  }
  return Error{ErrorKind::Preflight, last};
}

Result<json> read_json(const fs::path& file) {
  const auto bytes = runtime::read_whole_file(file, kMaxFileBytes);
  if (!bytes) return Error{ErrorKind::Preflight, file.string() + ": " + bytes.error().message};
  json value = json::parse(bytes->begin(), bytes->end(), nullptr, false);
  if (!value.is_object()) return Error{ErrorKind::Corrupt, file.string() + ": not a JSON object"};
  return value;
}

Status write_json(const fs::path& file, const json& value) {
  return runtime::write_file_durably(file, as_bytes(value.dump(2) + "\n"));
}

Result<std::string> digest_of(const fs::path& file) {
  const auto bytes = runtime::read_whole_file(file, kMaxFileBytes);
  if (!bytes) return bytes.error();
  return to_hex(crypto::sha256(*bytes));
}

Result<Secret<32>> read_key(const fs::path& file) {
  auto bytes = runtime::read_whole_file(file, 33);
  if (!bytes) return Error{ErrorKind::Preflight, file.string() + ": " + bytes.error().message};
  const auto key = to_array<32>(*bytes);
  if (!key) return Error{ErrorKind::Preflight, file.string() + ": is not a key of 32 bytes"};
  return Secret<32>(*key);
}

// One spelling, whatever the operator typed: paths from it are written down and compared later.
fs::path work_of(const ReprovisionPlan& plan) {
  std::error_code failed;
  const fs::path whole = fs::weakly_canonical(plan.run_dir, failed);
  return (failed ? fs::path(plan.run_dir) : whole) / "work";
}

std::string epoch_name(std::uint32_t epoch) { return "epoch-" + std::to_string(epoch); }

struct Process {
  fs::path folder;
  json config;  // as it is in force
};

class Mover {
 public:
  Mover(const ReprovisionPlan& plan, EntropySource& entropy)
      : plan_(plan), entropy_(entropy), work_(work_of(plan)) {}

  Result<ReprovisionReport> run() {
    for (const auto step : {&Mover::read_processes, &Mover::choose_epoch, &Mover::prepare,
                            &Mover::found_journals, &Mover::switch_over}) {
      if (const Status status = (this->*step)(); !status) return status.error();
    }
    report_.share_epoch = epoch_;
    return report_;
  }

 private:
  // ---- what is there ----

  Status read_processes() {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(work_, failed)) {
      const std::string name = entry.path().filename().string();
      const bool signer = name.starts_with("signer-");
      if (!signer && !name.starts_with("coordinator-") && !name.starts_with("ledger-")) continue;
      auto config = read_json(entry.path() / "config.json");
      if (!config) return config.error();
      if (signer) {
        if (const Status held = hold(name); !held) return held;
      }
      processes_[name] = Process{entry.path(), std::move(config).value()};
    }
    if (failed || processes_.empty())
      return Error{ErrorKind::Preflight, work_.string() + ": no cluster was left here"};
    return {};
  }

  [[nodiscard]] static std::string signer_name(std::uint16_t i) {
    return "signer-" + std::to_string(i);
  }
  [[nodiscard]] static std::uint32_t epoch_of(const Process& process) {
    return process.config.value("share_epoch", std::uint32_t{1});
  }

  // An epoch whose plan is there and which is not done is gone on with; else a new one begins.
  Status choose_epoch() {
    for (std::uint16_t i = 0; processes_.contains(signer_name(i)); ++i) {
      newest_ = std::max(newest_, epoch_of(processes_.at(signer_name(i))));
      ++n_;
    }
    lost_.insert(plan_.lost.begin(), plan_.lost.end());
    if (lost_.empty()) return Error{ErrorKind::Usage, "no --signer: who lost its journal?"};
    if (*lost_.rbegin() >= n_)
      return Error{ErrorKind::Usage, "there is no " + signer_name(*lost_.rbegin())};
    epoch_ = newest_;
    if (!fs::exists(epoch_folder() / "plan.json") || fs::exists(epoch_folder() / "done.json"))
      ++epoch_;
    if (const fs::path done = epoch_folder() / "plan.json"; fs::exists(done)) return resume();
    return {};
  }

  Status resume() {
    const auto planned = read_json(epoch_folder() / "plan.json");
    if (!planned) return planned.error();
    const auto lost = planned->value("lost", std::set<std::uint16_t>{});
    if (lost != lost_)
      return Error{ErrorKind::Usage,
                   epoch_name(epoch_) + " was begun for other signers (" + json(lost).dump() +
                       ") and is not finished: give the same ones"};
    prepared_ = true;
    return {};
  }

  [[nodiscard]] fs::path epoch_folder() const {
    return work_ / "reprovision" / epoch_name(epoch_);
  }
  [[nodiscard]] fs::path share_file(const std::string& name) const {
    return work_ / name / ("share." + epoch_name(epoch_) + ".sealed");
  }
  [[nodiscard]] fs::path next_config(const std::string& name) const {
    return work_ / name / ("config." + epoch_name(epoch_) + ".json");
  }
  [[nodiscard]] bool moves(const std::string& name) const { return !name.starts_with("ledger-"); }

  // ---- everything of the new epoch, while the old one is in force everywhere ----

  Status prepare() {
    if (prepared_) return check_prepared();
    plan_.on_step("folder");
    if (const Status made = runtime::create_folder_durably(epoch_folder()); !made) return made;
    if (const Status dealt = deal_again(); !dealt) return dealt;
    for (const auto& [name, process] : processes_) {
      if (!moves(name)) continue;
      plan_.on_step("next config of " + name);
      if (const Status written = write_json(next_config(name), moved(name, process)); !written)
        return written;
    }
    json plan{{"share_epoch", epoch_}, {"lost", lost_}, {"files", json::object()}};
    for (const auto& file : files_of_epoch()) {
      const auto digest = digest_of(file);
      if (!digest) return digest.error();
      plan["files"][file.string()] = *digest;
    }
    plan_.on_step("plan");
    return write_json(epoch_folder() / "plan.json", plan);
  }

  [[nodiscard]] std::vector<fs::path> files_of_epoch() const {
    std::vector<fs::path> files{epoch_folder() / "group.json"};
    for (const auto& [name, process] : processes_) {
      if (moves(name)) files.push_back(next_config(name));
      if (name.starts_with("signer-")) files.push_back(share_file(name));
    }
    return files;
  }

  // A dealing belongs together: a file that is not the plan's would make shares that never sign.
  Status check_prepared() {
    const auto plan = read_json(epoch_folder() / "plan.json");
    if (!plan) return plan.error();
    for (const auto& file : files_of_epoch()) {
      const auto digest = digest_of(file);
      if (!digest) return digest.error();
      if (plan->at("files").value(file.string(), "") != *digest)
        return Error{ErrorKind::Corrupt, file.string() + ": is not what was planned"};
    }
    return {};
  }

  Status deal_again() {
    const Process& first = processes_.at(signer_name(0));
    const auto group = runtime::read_group_file(first.config.value("group", ""));
    if (!group) return group.error();
    const crypto::SigningGroup& old = **group;
    if (old.n() != n_)
      return Error{ErrorKind::Preflight, "a group of " + std::to_string(old.n()) + " and " +
                                             std::to_string(n_) + " signers' folders"};
    const auto* kind = crypto::scheme_by_name(old.scheme().facts().name);
    if (kind->in_token)
      return Error{ErrorKind::Usage, "the key of " + std::string(kind->facts().name) +
                                         " lies in one token: there is no other share of it"};
    for (std::uint16_t i = 0; i < n_; ++i)  // a coordinator's `token` is its API's
      if (processes_.at(signer_name(i)).config.contains("token"))
        return Error{ErrorKind::Usage, signer_name(i) +
                                           " keeps its share in a token, out of a dealer's reach: "
                                           "provision by hand (docs/PROVISIONING.md)"};
    std::vector<Secret<32>> secrets;
    std::vector<Secret<32>> keys;
    for (std::uint16_t i = 0; i < n_; ++i) {
      if (const Status opened = open_share(i, old, secrets, keys); !opened)
        return opened.error().with_context(signer_name(i));
    }
    auto dealt = kind->refresh(crypto::keys_of(old), std::move(secrets), entropy_);
    if (!dealt) return dealt.error();
    plan_.on_step("group");
    if (const Status written =
            runtime::write_group_file(epoch_folder() / "group.json", *dealt->group);
        !written)
      return written;
    for (std::uint16_t i = 0; i < n_; ++i) {
      const crypto::ShareLabel label{SignerId(i), dealt->group->id(), epoch_};
      const auto sealed = crypto::seal_with_key_file(dealt->secrets[i], label, keys[i], entropy_);
      if (!sealed) return sealed.error();
      plan_.on_step("share of " + signer_name(i));
      if (const Status written =
              runtime::write_file_durably(share_file(signer_name(i)), *sealed);
          !written)
        return written;
    }
    return {};
  }

  static Result<Secret<32>> unseal(const Process& process, SignerId id,
                                   const crypto::SigningGroup& group, const Secret<32>& key) {
    const auto sealed = runtime::read_whole_file(process.config.value("share", ""),
                                                 crypto::kSealedShareSize + 1);
    if (!sealed) return sealed.error();
    return crypto::unseal_with_key_file(*sealed, {id, group.id(), epoch_of(process)}, key);
  }

  Status open_share(std::uint16_t i, const crypto::SigningGroup& group,
                    std::vector<Secret<32>>& secrets, std::vector<Secret<32>>& keys) const {
    const Process& process = processes_.at(signer_name(i));
    if (!process.config.contains("share_key"))
      return Error{ErrorKind::Usage,
                   "its share wants a passphrase; the launcher's dealer opens key files only"};
    auto key = read_key(process.config.value("share_key", ""));
    if (!key) return key.error();
    auto secret = unseal(process, SignerId(i), group, *key);
    if (!secret) return secret.error();
    secrets.push_back(std::move(secret).value());
    keys.push_back(std::move(key).value());
    return {};
  }

  [[nodiscard]] json moved(const std::string& name, const Process& process) const {
    json config = process.config;
    config["group"] = (epoch_folder() / "group.json").string();
    if (!name.starts_with("signer-")) return config;
    config["share"] = share_file(name).string();
    config["share_epoch"] = epoch_;
    for (const std::uint16_t lost : lost_)
      if (signer_name(lost) == name)
        config["journal"] = "journal." + epoch_name(epoch_) + ".sqlite";
    return config;
  }

  // ---- the journals that were lost ----

  Status found_journals() {
    std::vector<std::string> sources;
    std::string refused;
    for (std::uint16_t i = 0; i < n_; ++i) {
      if (lost_.contains(i)) continue;
      const fs::path out = epoch_folder() / (signer_name(i) + ".ndjson");
      const std::string config = (work_ / signer_name(i) / "config.json").string();
      plan_.on_step("export of " + signer_name(i));
      const Status exported = run_into({plan_.signer, "export", "--config", config}, out);
      if (exported)
        sources.push_back(out.string());
      else
        refused += "; " + signer_name(i) + ": " + exported.error().message;
    }
    const Result<fs::path> ledger = export_ledger();
    if (!ledger) return ledger.error();
    for (const std::uint16_t lost : lost_) {
      if (const Status founded = found_journal(lost, sources, *ledger); !founded)
        return Error{founded.error().kind, founded.error().message + refused};
    }
    return {};
  }

  // Any replica's: it shows which journals went back, of signers that nobody named as well.
  Result<fs::path> export_ledger() {
    std::string refused;
    for (const auto& [name, process] : processes_) {
      if (!name.starts_with("ledger-")) continue;
      const fs::path out = epoch_folder() / (name + ".ndjson");
      const std::string config = (process.folder / "config.json").string();
      const Status exported = run_into({plan_.ledger, "export", "--config", config}, out);
      if (exported) return out;
      refused += "; " + name + ": " + exported.error().message;
    }
    if (plan_.without_ledger) return fs::path();
    return Error{ErrorKind::Preflight,
                 "no replica's tables can be read, so a signer whose journal went back would be "
                 "trusted; mend one, or go on with --without-ledger" + refused};
  }

  Status found_journal(std::uint16_t lost, const std::vector<std::string>& sources,
                       const fs::path& ledger) {
    const std::string name = signer_name(lost);
    std::vector<std::string> argv{plan_.signer,         "reprovision",
                                  "--config",           next_config(name).string(),
                                  "--previous-epoch",   std::to_string(epoch_ - 1)};
    for (const std::string& source : sources) argv.insert(argv.end(), {"--from", source});
    if (ledger.empty())
      argv.emplace_back("--without-ledger");
    else
      argv.insert(argv.end(), {"--ledger", ledger.string()});
    const fs::path out = epoch_folder() / (name + ".founded.json");
    plan_.on_step("journal of " + name);
    locks_.erase(name);  // roulette-signer takes the folder itself
    if (const Status founded = run_into(argv, out); !founded)
      return founded.error().with_context(name);
    if (const Status taken = hold(name); !taken) return taken;
    std::ifstream said(out);
    std::string line;
    std::getline(said, line);
    report_.journals.push_back(line);
    return {};
  }

  Status hold(const std::string& name) {
    auto lock = runtime::FolderLock::take(work_ / name);
    if (!lock) return lock.error();
    locks_.emplace(name, std::move(lock).value());
    return {};
  }

  // ---- one rename a process ----

  Status switch_over() {
    for (const auto& [name, process] : processes_) {
      if (!moves(name)) continue;
      const auto next = read_json(next_config(name));
      if (!next) return next.error();
      if (process.config == *next) continue;
      const fs::path kept = process.folder / ("config." + epoch_name(epoch_ - 1) + ".json");
      plan_.on_step("old config of " + name);
      if (!fs::exists(kept))
        if (const Status written = write_json(kept, process.config); !written) return written;
      plan_.on_step("config of " + name);
      if (const Status written = write_json(process.folder / "config.json", *next); !written)
        return written;
      report_.switched.push_back(name);
    }
    plan_.on_step("done");
    return write_json(epoch_folder() / "done.json", json{{"share_epoch", epoch_}});
  }

  const ReprovisionPlan& plan_;
  EntropySource& entropy_;
  fs::path work_;
  std::map<std::string, Process> processes_;
  std::map<std::string, runtime::FolderLock> locks_;
  std::set<std::uint16_t> lost_;
  std::uint16_t n_ = 0;
  std::uint32_t newest_ = 0;
  std::uint32_t epoch_ = 0;
  bool prepared_ = false;
  ReprovisionReport report_;
};

}  // namespace

namespace {

bool all_of_epoch(const json& signed_command, std::uint32_t epoch) {
  const json journals = signed_command.value("journals", json::array());
  return !journals.empty() && std::all_of(journals.begin(), journals.end(), [&](const json& head) {
    return head.value("share_epoch", 0U) == epoch;
  });
}

// The ledger applied it, so the signature was verified: t of the new shares made it. Where the log
// was trimmed the entry may be gone; what the state keeps of t signers' journals says the same:
// each head was told by a signature that was applied.
bool proves(const fs::path& ledger_export, std::uint32_t epoch, std::size_t threshold) {
  std::ifstream in(ledger_export);
  std::set<std::string> signers;
  for (std::string line; std::getline(in, line);) {
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object()) continue;
    if (object.value("type", "") == "journal_head" && object.value("share_epoch", 0U) == epoch)
      signers.insert(object.value("signer", ""));
    if (object.value("type", "") != "entry") continue;
    for (const json& command : object.value("commands", json::array())) {
      if (command.value("command", "") == "signed" && command.value("outcome", "") == "applied" &&
          all_of_epoch(command, epoch))
        return true;
    }
  }
  return threshold > 0 && signers.size() >= threshold;
}

struct SignerShare {
  fs::path folder;
  fs::path in_force;
};
struct Shares {
  std::uint32_t epoch = 0;
  std::size_t threshold = 0;
  std::vector<SignerShare> signers;
  std::vector<fs::path> ledgers;
};

// By the file itself, not by its name, of which a file may have many: what is in force and was
// taken for an old one would be gone for ever.
Result<std::vector<fs::path>> old_shares(const SignerShare& signer) {
  std::vector<fs::path> old;
  bool there = false;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(signer.folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("share") || !name.ends_with(".sealed")) continue;
    const bool same = fs::equivalent(entry.path(), signer.in_force, failed);
    if (failed) break;
    there = there || same;
    if (!same) old.push_back(entry.path());
  }
  if (failed || !there)
    return Error{ErrorKind::Preflight,
                 signer.in_force.string() + ": the share in force is not in " +
                     signer.folder.string() + ": nothing was erased"};
  return old;
}

// The shares of a move that was begun are neither in force nor old.
Status no_move_under_way(const fs::path& work) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(work / "reprovision", none)) {
    const fs::path& epoch = entry.path();
    if (!fs::exists(epoch / "plan.json") || fs::exists(epoch / "done.json")) continue;
    return Error{ErrorKind::Usage,
                 epoch.string() + ": a move was begun and is not finished: finish it first"};
  }
  return {};
}

Result<Shares> shares_of(const fs::path& work) {
  Shares out;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(work, failed)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("ledger-")) out.ledgers.push_back(entry.path());
    if (!name.starts_with("signer-")) continue;
    const auto config = read_json(entry.path() / "config.json");
    if (!config) return config.error();
    const auto epoch = config->value("share_epoch", std::uint32_t{1});
    if (!out.signers.empty() && epoch != out.epoch)
      return Error{ErrorKind::Usage, "the signers are of two share epochs: finish the move first"};
    out.epoch = epoch;
    const auto group = runtime::read_group_file(config->value("group", ""));
    if (!group) return group.error();
    out.threshold = (*group)->t();
    out.signers.push_back({entry.path(), config->value("share", "")});
  }
  if (failed || out.signers.empty())
    return Error{ErrorKind::Preflight, work.string() + ": no cluster was left here"};
  return out;
}

}  // namespace

Result<std::vector<std::string>> retire_old_shares(const ReprovisionPlan& plan) {
  const fs::path work = work_of(plan);
  const auto shares = shares_of(work);
  if (!shares) return shares.error();
  if (const Status moved = no_move_under_way(work); !moved) return moved.error();
  bool proven = false;
  for (const fs::path& ledger : shares->ledgers) {
    const fs::path out = work / "reprovision" / (ledger.filename().string() + ".proof.ndjson");
    if (const Status made = runtime::create_folder_durably(out.parent_path()); !made)
      return made.error();
    const std::string config = (ledger / "config.json").string();
    proven = proven ||
             (run_into({plan.ledger, "export", "--config", config}, out).ok() &&
              proves(out, shares->epoch, shares->threshold));
  }
  if (!proven)
    return Error{ErrorKind::Refused, "no replica shows an applied signature of share epoch " +
                                         std::to_string(shares->epoch) + ": nothing was erased"};
  std::map<fs::path, std::vector<fs::path>> old;  // by folder; all are known before one goes
  for (const SignerShare& signer : shares->signers) {
    auto found = old_shares(signer);
    if (!found) return found.error();
    old.emplace(signer.folder, std::move(found).value());
  }
  std::vector<std::string> gone;
  for (const auto& [folder, files] : old) {
    for (const fs::path& file : files) {
      std::error_code failed;
      if (!fs::remove(file, failed))
        return Error{ErrorKind::Io, file.string() + ": " + failed.message()};
      gone.push_back(file.string());
    }
    if (const Status synced = runtime::sync_folder(folder); !synced) return synced.error();
  }
  return gone;
}

Result<ReprovisionReport> reprovision(const ReprovisionPlan& plan, EntropySource& entropy) {
  return Mover(plan, entropy).run();
}

}  // namespace roulette::chaos
