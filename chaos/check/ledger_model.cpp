// Replay of a replica's entries by the rules of the design: see ledger_model.h.
#include "chaos/check/ledger_model.h"

#include <algorithm>
#include <set>

namespace roulette::check {
namespace {

class Replay {
 public:
  Replay(const Replica& replica, std::uint32_t settle_depth) : settle_depth_(settle_depth) {
    for (const WithdrawalRow& row : replica.withdrawals) {
      if (row.txid.empty()) continue;
      id_by_txid_.emplace(row.txid, row.withdrawal_id);
      txid_by_id_.emplace(row.withdrawal_id, row.txid);
      if (const auto tx = bitcoin::parse_transaction_hex(row.unsigned_tx)) {
        for (const auto& input : tx->inputs)
          parents_[row.txid].insert(bitcoin::txid_to_hex(input.outpoint.txid));
      }
    }
  }

  LedgerModel run(const Replica& replica) {
    for (const LedgerEntry& entry : replica.entries) {
      entry_ = &entry;
      for (const LedgerCommand& command : entry.commands) {
        ++position_;
        apply(command);
      }
      if (!model_.chain.empty())
        model_.tip_at[entry.index] = {model_.chain.back(), model_.height()};
    }
    return std::move(model_);
  }

 private:
  void defect(const std::string& what) { model_.defects.push_back({entry_->at, what}); }

  void expect(const LedgerCommand& c, bool applied, const std::string& what) {
    if ((c.outcome == "applied") == applied) return;
    defect(c.command + " of " + what + " was " + c.outcome +
           (applied ? ", but it had to be applied" : ", but it could not be applied"));
  }

  void apply(const LedgerCommand& c) {
    if (c.command == "withdraw") return withdraw(c);
    if (c.command == "signed") return take_signed(c);
    if (c.command == "broadcast") return take_broadcast(c);
    if (c.command == "block_connected") return connect(c);
    if (c.command == "block_disconnected") return disconnect(c);
    if (c.command == "end_of_run") model_.closed = true;
  }

  void withdraw(const LedgerCommand& c) {
    if (c.outcome != "applied" && c.outcome != "rejected")
      return;  // which outcome a key may have is keys.cpp's
    if (model_.closed) {
      ++model_.withdrawals_after_end;
      defect("a new withdrawal behind EndOfRun was " + c.outcome);
    }
    const auto [found, first] = model_.withdrawals.emplace(c.withdrawal_id, ModelWithdrawal{});
    if (!first) return defect("withdrawal " + c.withdrawal_id + " was accepted before");
    if (!model_.by_key.emplace(c.key, c.withdrawal_id).second)
      defect("key " + c.key + " was accepted before");
    ModelWithdrawal& w = found->second;
    w.withdraw = &c;
    w.rejected = c.outcome == "rejected";
    const auto txid = txid_by_id_.find(c.withdrawal_id);
    if (txid != txid_by_id_.end()) w.txid = txid->second;
    refresh(w);
  }

  ModelWithdrawal* find(const std::string& id) {
    const auto found = model_.withdrawals.find(id);
    return found == model_.withdrawals.end() ? nullptr : &found->second;
  }

  void take_signed(const LedgerCommand& c) {
    ModelWithdrawal* w = find(c.withdrawal_id);
    if (w == nullptr || w->rejected || (!w->txid.empty() && w->txid != c.txid))
      return expect(c, false, "withdrawal " + c.withdrawal_id);
    if (c.outcome != "applied")
      return;  // whether signatures verify is signing-policy-respected's business
    if (w->signed_by != nullptr)
      return expect(c, false, "withdrawal " + c.withdrawal_id + ", which had its bytes,");
    w->signed_by = &c;
    if (w->height != 0) w->broadcast = true;
    count_ancestors(c.txid);
    refresh(*w);
  }

  void take_broadcast(const LedgerCommand& c) {
    ModelWithdrawal* w = find(c.withdrawal_id);
    const bool fits = w != nullptr && w->signed_by != nullptr && !w->broadcast && w->height == 0 &&
                      w->txid == c.txid;
    expect(c, fits, "withdrawal " + c.withdrawal_id);
    if (!fits) return;
    w->broadcast = true;
    refresh(*w);
  }

  void connect(const LedgerCommand& c) {
    if (model_.chain
            .empty()) {  // the anchor is in nobody's export: the first block that counts names it
      if (c.outcome != "applied" || c.height == 0) return;
      model_.chain.push_back(c.prev);
      model_.anchor_height = c.height - 1;
    }
    const bool fits = c.prev == model_.chain.back() && c.height == model_.height() + 1;
    expect(c, fits, "block " + c.hash);
    if (!fits) return;
    model_.chain.push_back(c.hash);
    held_.push_back({});
    for (const std::string& txid : c.txids) {
      const auto id = id_by_txid_.find(txid);
      ModelWithdrawal* w = id == id_by_txid_.end() ? nullptr : find(id->second);
      if (w == nullptr || w->height != 0) continue;
      w->height = c.height;
      if (w->signed_by != nullptr) w->broadcast = true;
      held_.back().push_back(w);
      refresh(*w);
    }
    refresh_at_depth(settle_depth_);
  }

  void disconnect(const LedgerCommand& c) {
    const bool fits = model_.chain.size() > 1 && c.hash == model_.chain.back();
    expect(c, fits, "block " + c.hash);
    if (!fits) return;
    model_.chain.pop_back();
    const auto gone = std::move(held_.back());
    held_.pop_back();
    if (!gone.empty()) ++model_.unmined_payment_blocks;
    for (ModelWithdrawal* w : gone) w->height = 0;
    for (ModelWithdrawal* w : gone) refresh(*w);
    if (settle_depth_ > 1) refresh_at_depth(settle_depth_ - 1);
  }

  // Depth 1 is the tip.
  void refresh_at_depth(std::uint32_t depth) {
    if (depth == 0 || depth > held_.size()) return;
    for (ModelWithdrawal* w : held_[held_.size() - depth]) refresh(*w);
  }

  void refresh(ModelWithdrawal& w) {
    std::string state = "planned";
    if (w.rejected)
      state = "rejected";
    else if (w.height != 0)
      state = model_.height() - w.height + 1 >= settle_depth_ ? "settled" : "confirmed";
    else if (w.signed_by != nullptr)
      state = w.broadcast ? "broadcast" : "signed";
    if (state == "settled") settled_once_.insert(w.txid);
    if (w.steps.empty() || w.steps.back().state != state) w.steps.push_back({position_, state});
  }

  // What was never settled so far lies below the signed one; planning saw at least these.
  void count_ancestors(const std::string& txid) {
    std::set<std::string> seen;
    std::vector<std::string> open{txid};
    while (!open.empty()) {
      const std::string at = open.back();
      open.pop_back();
      for (const std::string& parent : parents_[at]) {
        if (!id_by_txid_.contains(parent) || settled_once_.contains(parent) ||
            !seen.insert(parent).second)
          continue;
        open.push_back(parent);
      }
    }
    model_.most_ancestors =
        std::max(model_.most_ancestors, static_cast<std::uint32_t>(seen.size()));
  }

  std::uint32_t settle_depth_;
  LedgerModel model_;
  const LedgerEntry* entry_ = nullptr;
  std::uint64_t position_ = 0;
  std::map<std::string, std::string> id_by_txid_, txid_by_id_;
  std::map<std::string, std::set<std::string>> parents_;
  std::set<std::string> settled_once_;
  std::vector<std::vector<ModelWithdrawal*>> held_;  // by block of model_.chain but the anchor
};

}  // namespace

LedgerModel replay(const Replica& replica, std::uint32_t settle_depth) {
  return Replay(replica, settle_depth).run(replica);
}

}  // namespace roulette::check
