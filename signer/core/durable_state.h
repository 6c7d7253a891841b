// What a signer's journal means: its length and head, and what every outpoint and withdrawal is
// bound to.
//
// Invariant: changes only through apply(), which the live path and the replay share; a binding,
// once made, never changes and is never removed (DESIGN 6.3). Knows nothing of nonces, sessions or
// connections: these live in RAM and die with the process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/bitcoin/transaction.h"
#include "signer/core/denied.h"
#include "signer/core/signer.h"

namespace roulette::signer {

class DurableState {
 public:
  explicit DurableState(Provisioned identity) : identity_(std::move(identity)) {}

  // The record that would come next, chained to the present head. Does not change anything.
  [[nodiscard]] Record next_record(RecordBody body) const;
  // Whether `record` may follow: sequence, chain, identity, no broken binding. For replay, where
  // the bytes come from a disk.
  [[nodiscard]] Status check_next(const Record& record) const;
  // `record` must be the next one (asserted).
  void apply(const Record& record);
#ifdef ROULETTE_MUTANTS
  void bind_late(const SigningRecord& signing) {
    bind(signing.withdrawal_id, signing.payload_digest, signing.txid, signing.inputs);
  }
#endif

  // After the last record: no import under way, and of this group where a record says which.
  [[nodiscard]] Status check_complete(const Hash32& group) const;
  // True for a journal of an older share epoch than the identity's: it goes on in the new one.
  [[nodiscard]] bool must_begin_epoch() const {
    return length_ != 0 && share_epoch_ < identity_.share_epoch;
  }
  [[nodiscard]] std::uint32_t share_epoch() const { return share_epoch_; }

  // Why these bindings may not be made: another transaction, withdrawal or prevout is bound.
  [[nodiscard]] std::optional<Denied> conflict(const SigningRecord& wanted) const;

  // Whether this journal holds what the applied ledger keeps of it (DESIGN 6.8). Pure: what follows
  // from the answer is the machine's.
  [[nodiscard]] wire::JournalStanding standing(const wire::JournalCheck& kept) const;

  [[nodiscard]] std::uint64_t length() const { return length_; }
  [[nodiscard]] const Hash32& head() const { return head_; }
  [[nodiscard]] const Provisioned& identity() const { return identity_; }
  [[nodiscard]] std::size_t bound_outpoints() const { return outpoints_.size(); }
  [[nodiscard]] Hash32 digest() const;

 private:
  struct OutpointBinding {
    Hash32 txid{};
    WithdrawalId withdrawal_id;
    bitcoin::TxOut prevout;
  };
  struct WithdrawalBinding {
    Hash32 txid{};
    Hash32 payload_digest{};
  };
  [[nodiscard]] Status check_identity(const Provisioned& found) const;
  [[nodiscard]] Status check_begins_epoch(const Record& record, const Reprovisioned& found) const;
  void bind(const WithdrawalId& id, const Hash32& payload_digest, const Hash32& txid,
            const std::vector<BoundInput>& inputs);
  [[nodiscard]] std::optional<Denied> input_conflict(const SigningRecord& wanted,
                                                     const BoundInput& input) const;

  Provisioned identity_;
  std::uint64_t length_ = 0;
  Hash32 head_{};
  std::vector<Hash32> heads_;        // after each record: what was the head at length L?
  std::uint32_t share_epoch_ = 0;  // of the latest provisioning
  // The journal was founded anew after this epoch: what the ledger keeps of it and earlier ones was
  // another journal's, whose bindings were imported.
  std::optional<std::uint32_t> superseded_epoch_;
  std::optional<Hash32> group_;            // of the latest Reprovisioned
  std::uint32_t imports_missing_ = 0;      // of the founding record
  bool signed_anything_ = false;
  std::map<bitcoin::OutPoint, OutpointBinding> outpoints_;
  std::map<WithdrawalId, WithdrawalBinding> withdrawals_;
};

}  // namespace roulette::signer
