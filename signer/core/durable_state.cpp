// Replaying and extending the journal's meaning: see durable_state.h.
//
// Invariant: apply() is the only writer, and it never meets a record that conflict() would refuse:
// the live path asks before it emits, the replay asks before it applies.
#include "signer/core/durable_state.h"

#include "common/base/assert.h"
#include "common/base/canonical.h"
#include "common/base/mutants.h"
#include "common/crypto/hash.h"

namespace roulette::signer {
namespace {

using wire::RefusalReason;

Error corrupt(std::uint64_t sequence, const std::string& what) {
  return Error{ErrorKind::Corrupt, "record " + std::to_string(sequence) + ": " + what};
}

}  // namespace

Record DurableState::next_record(RecordBody body) const {
  Record record;
  record.sequence = length_ + 1;
  record.head = chain_head(head_, encode_record(body));
  record.body = std::move(body);
  return record;
}

Status DurableState::check_identity(const Provisioned& found) const {
  const auto refuse = [](const std::string& what, const std::string& is, const std::string& wants) {
    return Error{ErrorKind::Corrupt,
                 "the journal belongs to another " + what + ": " + is + ", not " + wants};
  };
  if (found.cluster_id != identity_.cluster_id)
    return refuse("cluster", found.cluster_id, identity_.cluster_id);
  if (found.signer != identity_.signer)
    return refuse("signer", "signer-" + std::to_string(found.signer.value()),
                  "signer-" + std::to_string(identity_.signer.value()));
  if (found.threshold_key != identity_.threshold_key)
    return refuse("group", "threshold key " + to_hex(found.threshold_key),
                  to_hex(identity_.threshold_key));
  if (found.share_epoch > identity_.share_epoch)
    return refuse("share epoch", std::to_string(found.share_epoch),
                  std::to_string(identity_.share_epoch));
  return {};
}

Status DurableState::check_begins_epoch(const Record& record, const Reprovisioned& found) const {
  if (auto own = check_identity(found.now); !own) return own;
  const bool founds = record.sequence == 1;
  if (founds == found.sources.empty())
    return corrupt(record.sequence, founds ? "it founds a journal and imports from nobody"
                                           : "a journal that goes on imports nothing");
  if (!founds && (found.imported != 0 || found.previous_epoch != share_epoch_))
    return corrupt(record.sequence, "it does not follow share epoch " +
                                        std::to_string(share_epoch_));
  if (found.now.share_epoch <= found.previous_epoch)
    return corrupt(record.sequence, "a share epoch that does not grow");
  return {};
}

Status DurableState::check_complete(const Hash32& group) const {
  if (imports_missing_ != 0)
    return corrupt(length_, std::to_string(imports_missing_) + " imported bindings are missing");
  if (group_ && share_epoch_ == identity_.share_epoch && *group_ != group)
    return Error{ErrorKind::Corrupt,
                 "the journal's share epoch " + std::to_string(share_epoch_) +
                     " is of another group: " + to_hex(*group_) + ", not " + to_hex(group)};
  return {};
}

Status DurableState::check_next(const Record& record) const {
  if (record.sequence != length_ + 1)
    return corrupt(record.sequence, "record " + std::to_string(length_ + 1) + " is missing");
  if (record.head != chain_head(head_, encode_record(record.body)))
    return corrupt(record.sequence, "the hash chain is broken");
  const auto* provisioned = std::get_if<Provisioned>(&record.body);
  const auto* renewed = std::get_if<Reprovisioned>(&record.body);
  const bool imports = std::holds_alternative<ImportedBinding>(record.body);
  if (record.sequence == 1 ? provisioned == nullptr && renewed == nullptr : provisioned != nullptr)
    return corrupt(record.sequence, "only the first record says whose journal this is");
  if (imports != (imports_missing_ != 0))
    return corrupt(record.sequence, "imported bindings follow the record that announces them");
  if (provisioned != nullptr) return check_identity(*provisioned);
  if (renewed != nullptr) return check_begins_epoch(record, *renewed);
  // Two of them may speak of one outpoint: the first binds, and the import never contradicts.
  if (imports) return {};
  if (const auto no = conflict(std::get<SigningRecord>(record.body)))
    return corrupt(record.sequence, "it contradicts an earlier record: " + no->detail);
  return {};
}

void DurableState::apply(const Record& record) {
  ROULETTE_ASSERT(record.sequence == length_ + 1);
  length_ = record.sequence;
  head_ = record.head;
  heads_.push_back(record.head);
  if (const auto* provisioned = std::get_if<Provisioned>(&record.body)) {
    share_epoch_ = provisioned->share_epoch;
  } else if (const auto* renewed = std::get_if<Reprovisioned>(&record.body)) {
    share_epoch_ = renewed->now.share_epoch;
    group_ = renewed->group;
    imports_missing_ = renewed->imported;
    if (record.sequence == 1) superseded_epoch_ = renewed->previous_epoch;
  } else if (const auto* imported = std::get_if<ImportedBinding>(&record.body)) {
    imports_missing_ -= 1;
    bind(imported->withdrawal_id, imported->payload_digest, imported->txid, imported->inputs);
  } else {
    const auto& signing = std::get<SigningRecord>(record.body);
    signed_anything_ = true;
    bind(signing.withdrawal_id, signing.payload_digest, signing.txid, signing.inputs);
  }
}

// A binding to the transaction id of zeros is a refusal for ever: no transaction has it.
void DurableState::bind(const WithdrawalId& id, const Hash32& payload_digest, const Hash32& txid,
                        const std::vector<BoundInput>& inputs) {
  // Of an import, coins alone may be bound to nothing; a request's withdrawal is always bound, also
  // one that a coordinator numbers with zeros.
  const bool coins_alone = id == WithdrawalId{} && txid == Hash32{};
  if (!coins_alone) withdrawals_.try_emplace(id, WithdrawalBinding{txid, payload_digest});
  for (const BoundInput& input : inputs)
    outpoints_.try_emplace(input.outpoint, OutpointBinding{txid, id, input.prevout});
}

std::optional<Denied> DurableState::conflict(const SigningRecord& wanted) const {
  // Attack: a coordinator (or two) asks for a second payment of one withdrawal with other coins.
  const auto bound = ROULETTE_MUTANT("withdrawal-unbound")
                         ? withdrawals_.end()
                         : withdrawals_.find(wanted.withdrawal_id);
  if (bound != withdrawals_.end() && bound->second.txid != wanted.txid)
    return denied(RefusalReason::WithdrawalBound, "the withdrawal is bound to transaction " +
                                                      bitcoin::txid_to_hex(bound->second.txid));
  if (bound != withdrawals_.end() && bound->second.payload_digest != wanted.payload_digest &&
      !ROULETTE_MUTANT("payload-unbound"))
    return denied(RefusalReason::WithdrawalBound, "the withdrawal is bound to another payload");
  for (const BoundInput& input : wanted.inputs)
    if (auto no = input_conflict(wanted, input)) return no;
  return std::nullopt;
}

std::optional<Denied> DurableState::input_conflict(const SigningRecord& wanted,
                                                   const BoundInput& input) const {
  const auto bound = outpoints_.find(input.outpoint);
  if (bound == outpoints_.end() || ROULETTE_MUTANT("outpoint-unbound")) return std::nullopt;
  const std::string outpoint = bitcoin::to_text(input.outpoint);
  // Attack: two transactions spend one coin; whichever confirms, the other payment is lost.
  if (bound->second.txid != wanted.txid)
    return denied(RefusalReason::OutpointBound, outpoint + " is bound to transaction " +
                                                    bitcoin::txid_to_hex(bound->second.txid));
  // Attack: one payment is passed off as the settlement of two withdrawals.
  if (bound->second.withdrawal_id != wanted.withdrawal_id)
    return denied(RefusalReason::OutpointBound, outpoint + " is bound to another withdrawal");
  // Attack: signatures for different lies about a coin's amount are collected one by one
  // (PROTOCOL 5); BIP 341 commits to all amounts, other schemes to one.
  if (bound->second.prevout != input.prevout && !ROULETTE_MUTANT("amounts-unbound"))
    return denied(RefusalReason::PrevoutMismatch,
                  outpoint + " was signed with another amount or script");
  return std::nullopt;
}

// Best effort (DESIGN 6.8): the ledger knows a head only from a share of an applied signature, so
// what was journaled after that is not covered. A head that the ledger keeps was durable here: a
// share leaves after its record's commit, so an honest journal always holds it.
wire::JournalStanding DurableState::standing(const wire::JournalCheck& kept) const {
  using wire::JournalStanding;
  if (kept.length == 0) return JournalStanding::Holds;
  // The ledger has seen no share of this journal yet. What the one before it had bound was imported
  // when this one was founded: that, and nothing else, ends a quarantine.
  if (superseded_epoch_ && kept.share_epoch <= *superseded_epoch_) return JournalStanding::Holds;
  if (!signed_anything_) return JournalStanding::Missing;
  if (kept.share_epoch > share_epoch_ || kept.length > length_) return JournalStanding::RolledBack;
  if (heads_[kept.length - 1] != kept.head) return JournalStanding::Forked;
  return JournalStanding::Holds;
}

Hash32 DurableState::digest() const {
  CanonicalWriter out;
  out.u64(length_);
  out.raw(head_);
  out.u32(share_epoch_);
  out.u32(superseded_epoch_.value_or(0));
  out.count(withdrawals_.size());
  for (const auto& [id, binding] : withdrawals_) {
    out.raw(id.value());
    out.raw(binding.txid);
    out.raw(binding.payload_digest);
  }
  out.count(outpoints_.size());
  for (const auto& [outpoint, binding] : outpoints_) {
    out.raw(outpoint.txid);
    out.u32(outpoint.vout);
    out.raw(binding.txid);
    out.raw(binding.withdrawal_id.value());
    out.i64(binding.prevout.amount_sat);
    out.bytes(binding.prevout.script);
  }
  return crypto::sha256(out.view());
}

}  // namespace roulette::signer
