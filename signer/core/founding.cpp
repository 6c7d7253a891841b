// The union of bindings and the new journal's records: see founding.h.
#include "signer/core/founding.h"

#include "common/base/mutants.h"
#include "signer/core/durable_state.h"

namespace roulette::signer {
namespace {

constexpr std::size_t kDisputedPerRecord = 64;  // outpoints; keeps records small

}  // namespace

void BindingUnion::add(const WithdrawalId& id, const Hash32& payload_digest, const Hash32& txid,
                       const std::vector<BoundInput>& inputs) {
  const bool coins_alone = id == WithdrawalId{} && txid == Hash32{};
  if (!coins_alone) payments_[id].insert({txid, payload_digest});
  for (const BoundInput& input : inputs)
    coins_[input.outpoint].insert({txid, id, input.prevout.amount_sat, input.prevout.script});
}

void BindingUnion::add(const Record& record) {
  if (const auto* signing = std::get_if<SigningRecord>(&record.body))
    add(signing->withdrawal_id, signing->payload_digest, signing->txid, signing->inputs);
  if (const auto* imported = std::get_if<ImportedBinding>(&record.body))
    add(imported->withdrawal_id, imported->payload_digest, imported->txid, imported->inputs);
}

bool BindingUnion::agreed(const WithdrawalId& id) const {
  const auto payments = payments_.find(id);
  return payments != payments_.end() && payments->second.size() == 1 &&
         payments->second.begin()->txid != Hash32{};
}

bool BindingUnion::agreed(const std::set<Coin>& coin) const {
  return coin.size() == 1 && agreed(coin.begin()->withdrawal_id);
}

std::vector<ImportedBinding> BindingUnion::bindings() const {
  std::map<WithdrawalId, ImportedBinding> by_withdrawal;
  for (const auto& [id, payments] : payments_) {
    ImportedBinding& binding = by_withdrawal[id];
    binding.withdrawal_id = id;
    binding.payload_digest = payments.begin()->payload_digest;
    if (agreed(id)) binding.txid = payments.begin()->txid;
  }
  std::vector<ImportedBinding> disputed;
  for (const auto& [outpoint, coin] : coins_) {
    const BoundInput input{outpoint, {coin.begin()->amount_sat, coin.begin()->script}};
    if (agreed(coin)) {
      by_withdrawal.at(coin.begin()->withdrawal_id).inputs.push_back(input);
      continue;
    }
    if (disputed.empty() || disputed.back().inputs.size() == kDisputedPerRecord)
      disputed.emplace_back();
    disputed.back().inputs.push_back(input);
  }
  std::vector<ImportedBinding> all;
  for (auto& [id, binding] : by_withdrawal) all.push_back(std::move(binding));
  all.insert(all.end(), disputed.begin(), disputed.end());
  return all;
}

std::size_t BindingUnion::disputed() const {
  std::size_t count = 0;
  for (const auto& [id, payments] : payments_) count += agreed(id) ? 0 : 1;
  for (const auto& [outpoint, coin] : coins_) count += agreed(coin) ? 0 : 1;
  return count;
}

Result<std::vector<Record>> found_journal(const Provisioned& now, const Hash32& group,
                                          std::uint32_t previous_epoch,
                                          std::vector<JournalSource> sources,
                                          std::vector<ImportedBinding> bindings) {
  if (ROULETTE_MUTANT("founded-empty")) bindings.clear();
  std::vector<RecordBody> bodies{
      Reprovisioned{now, group, previous_epoch, std::move(sources),
                    static_cast<std::uint32_t>(bindings.size())}};
  for (ImportedBinding& binding : bindings) bodies.emplace_back(std::move(binding));
  DurableState state(now);
  std::vector<Record> records;
  for (RecordBody& body : bodies) {
    records.push_back(state.next_record(std::move(body)));
    if (auto fits = state.check_next(records.back()); !fits) return fits.error();
    state.apply(records.back());
  }
  if (auto whole = state.check_complete(group); !whole) return whole.error();
  return records;
}

const Reprovisioned* founding_of(std::span<const Record> journal) {
  return journal.empty() ? nullptr : std::get_if<Reprovisioned>(&journal.front().body);
}

}  // namespace roulette::signer
