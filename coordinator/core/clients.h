// Requests of API clients from arrival to exactly one reply each.
//
// Invariants: a new key is proposed only while a quorum of signers is known (else nothing at all is
// proposed); every answer comes from an applied command or a barriered read that began after the
// request; a 5xx says "unknown", never "no". Does not parse HTTP and does not look into withdrawals
// it has no request for.
#pragma once

#include <map>
#include <set>

#include "coordinator/core/ledger_link.h"
#include "coordinator/core/step.h"

namespace roulette::coordinator {

class Clients {
 public:
  Clients(const CoordinatorConfig& config, LedgerLink& ledger) : config_(config), ledger_(ledger) {}

  struct Standing {
    bool draining = false;
    bool quorum = false;
  };
  void request(Step& s, RequestId request, const ClientRequestBody& body, const Standing& standing);
  void gone(RequestId request);
  void applied(Step& s, RequestId request, const wire::LedgerApplied& answer);
  void answered(Step& s, RequestId request, const wire::LedgerAnswer& answer);
  void learnt(Step& s,
              const wire::WithdrawalView& view);  // who waits for `broadcast` may be answered
  void tick(Step& s);
  void drain(Step& s);    // answers those who only wait for progress
  void abandon(Step& s);  // the drain's grace is over: everybody left is told "unknown"
  [[nodiscard]] std::optional<Instant> next_deadline() const;
  [[nodiscard]] std::size_t open() const { return open_.size(); }

 private:
  struct Open {
    ClientRequestBody body;
    Instant arrived;
    Instant due;  // patience with the ledger, then the end of `wait`
    std::optional<wire::WithdrawalView> waiting;  // applied, waits for `broadcast`
  };
  void create(Step& s, RequestId request, const CreateWithdrawal& wanted, const Standing& standing);
  void finish(Step& s, RequestId request, ReplyBody body);
  void answer_create(Step& s, RequestId request, const wire::WithdrawalView& view);
  void forget(RequestId request);
  void schedule(RequestId request, Open& open, Instant due);

  const CoordinatorConfig& config_;
  LedgerLink& ledger_;
  std::map<RequestId, Open> open_;
  std::set<std::pair<Instant, RequestId>> due_;
  std::map<WithdrawalId, std::set<RequestId>> waiting_;
};

}  // namespace roulette::coordinator
