// How the journal of a signer that lost its own is founded anew (DESIGN 6.8).
//
// Invariant: every transaction that a complete quorum with this signer ever signed is bound in the
// new journal, or its coins are bound to nothing. Why n-t+1 other journals suffice: such a quorum
// had t-1 others among the n-1; the journals that were not read are at most (n-1)-(n-t+1) = t-2, so
// at least one that was read belongs to a member, whose record was durable before its share left.
// That holds when no share of an older session leaves after the reading: so the signers that are
// read must stand still from then on until they start under the new share epoch (nonces die with a
// process, and another group's requests are refused). Shares of sessions that never got complete
// are no signature and may be forgotten. Pure; files and formats are the app's.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "signer/core/signer.h"

namespace roulette::signer {

[[nodiscard]] constexpr std::size_t journals_needed(std::uint16_t n, std::uint16_t t) {
  return static_cast<std::size_t>(n - t) + 1;
}

// What several journals, and the ledger, know to be bound. Where they disagree (a coordinator asked
// different signers for different things), nobody can tell which one this signer had agreed to: it
// is bound to nothing and refused for ever.
class BindingUnion {
 public:
  void add(const WithdrawalId& id, const Hash32& payload_digest, const Hash32& txid,
           const std::vector<BoundInput>& inputs);
  void add(const Record& record);  // of a verified journal
  // In canonical order; the same knowledge gives the same list.
  [[nodiscard]] std::vector<ImportedBinding> bindings() const;
  // Withdrawals and outpoints bound to nothing.
  [[nodiscard]] std::size_t disputed() const;

 private:
  struct Payment {
    Hash32 txid{};
    Hash32 payload_digest{};
    friend auto operator<=>(const Payment&, const Payment&) = default;
  };
  struct Coin {
    Hash32 txid{};
    WithdrawalId withdrawal_id;
    std::int64_t amount_sat = 0;
    Bytes script;
    friend auto operator<=>(const Coin&, const Coin&) = default;
  };
  [[nodiscard]] bool agreed(const WithdrawalId& id) const;
  [[nodiscard]] bool agreed(const std::set<Coin>& coin) const;

  std::map<WithdrawalId, std::set<Payment>> payments_;
  std::map<bitcoin::OutPoint, std::set<Coin>> coins_;
};

// All records of the new journal, chained. `sources` ascend by signer.
[[nodiscard]] Result<std::vector<Record>> found_journal(const Provisioned& now, const Hash32& group,
                                                        std::uint32_t previous_epoch,
                                                        std::vector<JournalSource> sources,
                                                        std::vector<ImportedBinding> bindings);

// How a journal began, if it was founded anew; null: it began as provisioned, or it is empty.
[[nodiscard]] const Reprovisioned* founding_of(std::span<const Record> journal);

}  // namespace roulette::signer
