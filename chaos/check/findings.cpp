// What all checkers share: see checkers.h.
#include <algorithm>

#include "chaos/check/checkers.h"

namespace roulette::check {

bool Findings::need(std::uint16_t index) {
  const Source& source = history_.source(index);
  if (source.whole()) return true;
  if (!source.present) {
    inconclusive(source.file + " is missing");
    return false;
  }
  std::string why = source.defects.front();
  const std::uint64_t more = source.defects.size() - 1 + source.more_defects;
  if (more > 0) why += " (and " + std::to_string(more) + " more defects)";
  inconclusive(why);
  return false;
}

bool Findings::need_journals() {
  bool whole = true;
  for (const Journal& journal : history_.journals) {
    whole = need(journal.source) && whole;
    for (const Journal::Taken& taken : journal.taken) whole = need(taken.source) && whole;
  }
  if (whole && !history_.wallet_script()) {
    inconclusive("the signers' journals do not agree on a threshold key");
    return false;
  }
  return whole;
}

bool Findings::need_replicas() {
  const std::set<std::string> lost = history_.lost();
  bool whole = true;
  for (const Replica& replica : history_.replicas) {
    const bool missing_is_declared =
        lost.contains(replica.name) && !history_.source(replica.source).present;
    if (missing_is_declared) continue;
    whole = need(replica.source) && whole;
  }
  if (whole && history_.reference() == nullptr) {
    inconclusive("no ledger replica applied EndOfRun: what the books say at the end is unknown");
    return false;
  }
  return whole;
}

void Findings::inconclusive(const std::string& why) {
  if (std::find(why_.begin(), why_.end(), why) == why_.end()) why_.push_back(why);
}

void Findings::not_exercised(const std::string& why) {
  not_exercised_ = why;
}

void Findings::violation(const At& at, const std::string& what) {
  violation(history_.where(at) + ": " + what);
}

void Findings::violation(const std::string& what) {
  if (++found_ <= kMaxViolationsKept) result_.violations.push_back(what);
}

void Findings::note(const std::string& text) {
  result_.note += (result_.note.empty() ? "" : "; ") + text;
}

InvariantResult Findings::result() {
  if (found_ > kMaxViolationsKept) {
    result_.violations.push_back("and " + std::to_string(found_ - kMaxViolationsKept) + " more");
  }
  for (const std::string& why : why_) note(why);
  if (found_ > 0) {
    result_.status = InvariantStatus::Fail;
  } else if (!why_.empty()) {
    result_.status = InvariantStatus::Inconclusive;
  } else if (!not_exercised_.empty()) {
    result_.status = InvariantStatus::NotExercised;
    note(not_exercised_);
  } else if (result_.checked == 0) {
    result_.status = InvariantStatus::Inconclusive;
    note("nothing was checked");
  } else {
    result_.status = InvariantStatus::Pass;
  }
  return result_;
}

std::int64_t state_rank(const std::string& state) {
  static const std::vector<std::string> order{"requested", "planned",   "signed",
                                              "broadcast", "confirmed", "settled"};
  const auto found = std::find(order.begin(), order.end(), state);
  return found == order.end() ? -1 : found - order.begin();
}

std::map<std::string, std::vector<Payment>> payments_by_key(const History& history) {
  std::map<Bytes, const ClientKey*> by_script;
  for (const ClientKey& key : history.keys) by_script.emplace(key.script, &key);
  std::map<std::string, std::vector<Payment>> out;
  for (std::size_t i = 0; i < history.chain.txs.size(); ++i) {
    const ChainTx& tx = history.chain.txs[i];
    for (std::uint32_t vout = 0; vout < tx.tx.outputs.size(); ++vout) {
      const auto found = by_script.find(tx.tx.outputs[vout].script);
      if (found == by_script.end()) continue;
      out[found->second->key].push_back(
          {i, vout, tx.tx.outputs[vout].amount_sat, history.chain.tip() - tx.height + 1});
    }
  }
  return out;
}

const std::vector<NamedChecker>& all_checkers() {
  static const std::vector<NamedChecker> checkers{
      {"no-duplicate-payment", check_duplicate_payment},
      {"no-lost-withdrawal", check_lost_withdrawal},
      {"no-partial-transaction", check_partial_transaction},
      {"idempotency-key-respected", check_idempotency},
      {"no-conflicting-signature", check_conflicting_signature},
      {"share-has-its-record", check_share_record},
      {"nonce-never-reused", check_nonce_reuse},
      {"signing-policy-respected", check_signing_policy},
      {"quorum-continuity", check_quorum_continuity},
      {"safe-refusal", check_safe_refusal},
      {"orderly-stop-finishes", check_orderly_stop},
      {"ledger-replicas-agree", check_replicas_agree},
      {"books-balance", check_books},
      {"chain-matches-ledger", check_chain_and_ledger},
      {"limits-respected", check_limits},
  };
  return checkers;
}

}  // namespace roulette::check
