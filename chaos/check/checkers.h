// The fifteen invariants of DESIGN 9 as functions of a run's records, and what they share.
//
// Invariant: a checker says `pass` only after it compared something (`checked` > 0), every source
// it needs was whole, and no comparison failed. docs/INVARIANTS.md says what each one compares,
// exactly.
#pragma once

#include <initializer_list>
#include <string>

#include "chaos/check/history.h"
#include "chaos/check/verdict.h"

namespace roulette::check {

inline constexpr std::size_t kMaxViolationsKept = 20;  // the rest is counted

// Collects what one checker finds and turns it into a result.
class Findings {
 public:
  Findings(const History& history, std::string id) : history_(history) {
    result_.id = std::move(id);
  }

  // True when the source is whole; else the result can be no better than inconclusive.
  bool need(std::uint16_t source);
  bool need_journals();  // of every signer of the plan
  bool need_replicas();  // of every ledger of the plan not declared lost, one that applied EndOfRun
  // Something this invariant rests on could not be established.
  void inconclusive(const std::string& why);
  void not_exercised(const std::string& why);
  void checked(std::uint64_t more = 1) { result_.checked += more; }
  void violation(const At& at, const std::string& what);
  void violation(const std::string& what);
  void note(const std::string& text);
  [[nodiscard]] bool usable() const { return why_.empty(); }
  [[nodiscard]] bool failed() const { return found_ > 0; }
  // fail > inconclusive > not-exercised > pass; nothing checked is inconclusive.
  [[nodiscard]] InvariantResult result();

 private:
  const History& history_;
  InvariantResult result_;
  std::vector<std::string> why_;
  std::string not_exercised_;
  std::uint64_t found_ = 0;
};

using Checker = InvariantResult (*)(const History&);

[[nodiscard]] InvariantResult check_duplicate_payment(const History& history);
[[nodiscard]] InvariantResult check_lost_withdrawal(const History& history);
[[nodiscard]] InvariantResult check_partial_transaction(const History& history);
[[nodiscard]] InvariantResult check_idempotency(const History& history);
[[nodiscard]] InvariantResult check_conflicting_signature(const History& history);
[[nodiscard]] InvariantResult check_share_record(const History& history);
[[nodiscard]] InvariantResult check_nonce_reuse(const History& history);
[[nodiscard]] InvariantResult check_signing_policy(const History& history);
[[nodiscard]] InvariantResult check_quorum_continuity(const History& history);
[[nodiscard]] InvariantResult check_safe_refusal(const History& history);
[[nodiscard]] InvariantResult check_orderly_stop(const History& history);
[[nodiscard]] InvariantResult check_replicas_agree(const History& history);
[[nodiscard]] InvariantResult check_books(const History& history);
[[nodiscard]] InvariantResult check_chain_and_ledger(const History& history);
[[nodiscard]] InvariantResult check_limits(const History& history);

struct NamedChecker {
  const char* id;
  Checker check;
};
// In DESIGN 9's order.
[[nodiscard]] const std::vector<NamedChecker>& all_checkers();

// Helpers over several records.
[[nodiscard]] std::int64_t state_rank(
    const std::string& state);  // requested 0 .. settled 5; -1 for any other
// Key -> depth at which its address holds its amount at the end of the chain; 0 when it does not.
struct Payment {
  std::size_t tx = 0;
  std::uint32_t vout = 0;
  std::int64_t amount_sat = 0;
  std::uint32_t depth = 0;
};
[[nodiscard]] std::map<std::string, std::vector<Payment>> payments_by_key(const History& history);

}  // namespace roulette::check
