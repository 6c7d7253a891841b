// A run's records together, and the few facts that several checkers need: see history.h.
#include "chaos/check/history.h"

#include <algorithm>
#include <filesystem>

#include "chaos/plan/cluster_shape.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/taproot.h"

namespace roulette::check {
namespace {

constexpr std::uint32_t kDefaultSettleDepth = 3;  // DESIGN 7

}  // namespace

const ChainTx* Chain::find(const std::string& txid) const {
  const auto found = by_txid.find(txid);
  return found == by_txid.end() ? nullptr : &txs[found->second];
}

std::string History::where(const At& at) const {
  return sources.at(at.file).file + ":" + std::to_string(at.line);
}

const crypto::SchemeFacts& History::scheme() const {
  return chaos::facts_of(experiment.cluster);
}

std::set<std::string> History::lost() const {
  std::set<std::string> out;
  for (const FaultRecord& fault : faults) {
    if (fault.fired && fault.recover == "none") out.insert(fault.victim);
  }
  return out;
}

bool History::lasting_quorum_loss() const {
  std::size_t declared = 0;
  std::set<std::string> gone = lost();
  // One whose journal was taken is quarantined until somebody provisions it, which no run does.
  for (const FaultRecord& fault : faults) {
    if (fault.fired && fault.role == "signer" &&
        (fault.recover == "wiped" || fault.recover == "rolled-back"))
      gone.insert(fault.victim);
  }
  for (const std::string& name : gone) declared += name.starts_with("signer-") ? 1 : 0;
  return declared + experiment.cluster.threshold > experiment.cluster.signers;
}

const Replica* History::reference() const {
  const Replica* borrowing = nullptr;
  for (const Replica& replica : replicas) {
    if (!source(replica.source).whole() || !replica.closed()) continue;
    if (!replica.base) return &replica;
    if (borrowing == nullptr) borrowing = &replica;
  }
  return borrowing;
}

std::uint32_t History::settle_depth() const {
  for (const Replica& replica : replicas) {
    for (const LedgerEntry& entry : replica.entries) {
      for (const LedgerCommand& command : entry.commands) {
        if (command.command == "genesis" && command.settle_depth)
          return std::max(*command.settle_depth, 1u);
      }
      break;  // Genesis is the first entry of every log
    }
  }
  return kDefaultSettleDepth;
}

std::optional<crypto::WalletKey> History::wallet_key() const {
  std::string key;
  for (const Journal& journal : journals) {
    if (journal.threshold_key.empty()) continue;
    if (!key.empty() && key != journal.threshold_key) return std::nullopt;
    key = journal.threshold_key;
  }
  const auto parsed = array_from_hex<33>(key);
  if (!parsed) return std::nullopt;
  if (scheme().signatures == crypto::SignatureForm::Ecdsa) return *parsed;
  const Result<crypto::TaprootOutput> output = crypto::output_key(crypto::xonly(*parsed));
  if (!output) return std::nullopt;
  return output->key;
}

std::optional<Bytes> History::wallet_script() const {
  const auto key = wallet_key();
  if (!key) return std::nullopt;
  Bytes script = bitcoin::wallet_script(scheme().signatures, *key);
  return script.empty() ? std::nullopt : std::optional(std::move(script));
}

Result<History> load_history(const std::string& run_dir, const chaos::Experiment& experiment) {
  std::error_code error;
  if (!std::filesystem::is_directory(run_dir, error)) {
    return Error{ErrorKind::Io, run_dir + ": not a folder that can be read"};
  }
  History history;
  history.experiment = experiment;
  load::client(run_dir, history);
  load::faults(run_dir, history);
  load::tokens(run_dir, history);
  load::events(run_dir, history);
  load::chain(run_dir, history);
  load::transactions(run_dir, history);
  for (std::uint16_t i = 0; i < experiment.cluster.signers; ++i) load::journal(run_dir, i, history);
  for (std::uint16_t i = 0; i < experiment.cluster.ledgers; ++i) load::replica(run_dir, i, history);
  load::replicas_from_the_beginning(history);
  return history;
}

}  // namespace roulette::check
