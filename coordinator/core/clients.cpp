// The life of a client's request, and the problems it can end in (docs/API.md lists them).
//
// Invariant: open_, due_ and waiting_ name the same requests; a reply removes the request from all
// three.
#include "coordinator/core/clients.h"

#include <algorithm>

#include "common/base/limits.h"

namespace roulette::coordinator {
namespace {

Problem draining() {
  return {503, "draining", "This coordinator is stopping",
          "Nothing was proposed by this request; ask another coordinator with the same key.", 1};
}
Problem overloaded() {
  return {503, "overloaded", "Too many requests are open",
          "Nothing was proposed by this request; try again with the same key.", 1};
}
Problem no_ledger() {
  return {503, "ledger-unavailable", "The ledger does not answer",
          "The outcome is unknown: try again with the same key, here or at another coordinator.",
          1};
}
Problem quorum_lost() {
  return {503, "quorum-lost", "Fewer signers than the threshold are known",
          "The key is new and nothing was proposed; known keys are answered.", 1};
}
Problem closed() {
  return {503, "closed", "The ledger takes no new withdrawals",
          "The run has ended; the key was not recorded.", std::nullopt};
}
Problem key_reused() {
  return {422, "idempotency-key-reused", "The key was used with another payload",
          "A key belongs to one account, script and amount for ever.", std::nullopt};
}
Problem rejected(const wire::WithdrawalView& view) {
  return {422, "withdrawal-rejected", "The withdrawal was rejected",
          std::string(wire::reject_name(view.reject)) + "; final under this key; id " +
              to_hex(view.id.value()),
          std::nullopt};
}
Problem not_found() {
  return {404, "not-found", "No such withdrawal", "", std::nullopt};
}
Problem no_account() {
  return {404, "not-found", "No such account", "", std::nullopt};
}

// Nothing was proposed, and the key is as free as before.
Problem not_the_clients(const wire::ClientDenial& why) {
  Problem problem{403, "client-not-allowed", "This client may not ask for this payment",
                  why.detail + "; nothing was proposed", std::nullopt};
  switch (why.fault) {
    case wire::ClientFault::Unsigned:
      problem.status = 401;
      problem.type = "client-signature-missing";
      problem.title = "Client-Signature is missing";
      break;
    case wire::ClientFault::UnknownClient:
    case wire::ClientFault::BadSignature:
      problem.type = "client-signature-invalid";
      problem.title = "The client's signature does not hold";
      break;
    case wire::ClientFault::ForeignAccount:
    case wire::ClientFault::AboveLimit:
    case wire::ClientFault::ForeignPayee:
      break;
  }
  return problem;
}

Hash32 digest_of(const wire::PaymentRequest& payment) {
  return wire::payload_digest(payment.account, payment.script, payment.amount_sat);
}

bool reached_broadcast(const wire::WithdrawalView& view) {
  return view.state != wire::WithdrawalState::Requested &&
         view.state != wire::WithdrawalState::Planned &&
         view.state != wire::WithdrawalState::Signed;
}

}  // namespace

void Clients::request(Step& s, RequestId request, const ClientRequestBody& body,
                      const Standing& standing) {
  if (standing.draining) return s.reply(request, draining());
  // A command outlives its client: both count against the bound.
  if (open_.size() >= limits::kMaxOpenRequests ||
      ledger_.pending() >= 2 * limits::kMaxOpenRequests) {
    return s.reply(request, overloaded());
  }
  if (!ledger_.available()) return s.reply(request, no_ledger());
  const Instant due = s.now + limits::kClientPatience;
  open_.emplace(request, Open{body, s.now, due, std::nullopt});
  due_.insert({due, request});
  struct Visit {
    Clients& self;
    Step& s;
    RequestId request;
    const Standing& standing;
    void operator()(const CreateWithdrawal& wanted) { self.create(s, request, wanted, standing); }
    void operator()(const GetWithdrawal& get) {
      self.ledger_.query(s, wire::QueryById{get.id}, ForClient{request});
    }
    void operator()(const FindByKey& find) {
      self.ledger_.query(s, wire::QueryByKey{find.key}, ForClient{request});
    }
    void operator()(const GetBalances&) {
      self.ledger_.query(s, wire::QueryBalances{}, ForClient{request});
    }
    void operator()(const GetPage& get) { self.ledger_.query(s, get.query, ForClient{request}); }
    void operator()(const GetEvents& get) {
      self.ledger_.query(s, wire::QueryEvents{get.id}, ForClient{request});
    }
  };
  std::visit(Visit{*this, s, request, standing}, body);
}

void Clients::create(Step& s, RequestId request, const CreateWithdrawal& wanted,
                     const Standing& standing) {
  const wire::PaymentRequest& payment = wanted.payment;
  if (config_.clients) {
    const auto no = config_.clients->check(payment, wanted.client);
    if (no) return finish(s, request, not_the_clients(*no));
  }
  if (!standing.quorum) {
    // DESIGN 7: before anything is proposed. Only a key the ledger knows already gets more than a
    // 503.
    ledger_.query(s, wire::QueryByKey{payment.key}, ForClient{request});
    return;
  }
  wire::Withdraw command;
  command.id = wire::withdrawal_id_of(payment.key);
  command.key = payment.key;
  command.account = payment.account;
  command.script = payment.script;
  command.amount_sat = payment.amount_sat;
  command.payload_digest = digest_of(payment);
  command.client = wanted.client;
  command.owner = config_.id;
  command.requested_at_us = wanted.unix_time_us;
  ledger_.submit(s, std::move(command), ForClient{request});
}

void Clients::applied(Step& s, RequestId request, const wire::LedgerApplied& answer) {
  if (!open_.contains(request)) return;  // the client is gone; the withdrawal stands all the same
  switch (answer.outcome.kind) {
    case wire::OutcomeKind::KeyConflict:
      return finish(s, request, key_reused());
    case wire::OutcomeKind::Closed:
      return finish(s, request, closed());
    case wire::OutcomeKind::Applied:
    case wire::OutcomeKind::Duplicate:
    case wire::OutcomeKind::Rejected:
    case wire::OutcomeKind::Ignored:
    case wire::OutcomeKind::Invalid:
      break;
  }
  if (!answer.view) return finish(s, request, no_ledger());
  answer_create(s, request, *answer.view);
}

void Clients::answered(Step& s, RequestId request, const wire::LedgerAnswer& answer) {
  const auto at = open_.find(request);
  if (at == open_.end()) return;
  if (std::holds_alternative<GetBalances>(at->second.body)) {
    return finish(s, request, BalancesAnswer{answer.balances, answer.index});
  }
  if (const auto* list = std::get_if<GetPage>(&at->second.body)) {
    const bool entries = list->query.kind == wire::PageKind::Entries;
    if (entries && answer.page.accounts.empty()) return finish(s, request, no_account());
    return finish(s, request, PageAnswer{list->query, answer.page, answer.index});
  }
  if (const auto* wanted = std::get_if<CreateWithdrawal>(&at->second.body)) {
    if (!answer.view) return finish(s, request, quorum_lost());
    if (answer.view->payload_digest != digest_of(wanted->payment))
      return finish(s, request, key_reused());
    return answer_create(s, request, *answer.view);
  }
  if (!answer.view) return finish(s, request, not_found());
  if (std::holds_alternative<GetEvents>(at->second.body))
    return finish(s, request, EventsAnswer{*answer.view, answer.events, answer.index});
  finish(s, request, WithdrawalAnswer{200, *answer.view});
}

void Clients::answer_create(Step& s, RequestId request, const wire::WithdrawalView& view) {
  if (view.state == wire::WithdrawalState::Rejected) return finish(s, request, rejected(view));
  Open& open = open_.at(request);
  const Duration wait =
      std::min(std::get<CreateWithdrawal>(open.body).wait, limits::kMaxClientWait);
  if (reached_broadcast(view) || open.arrived + wait <= s.now)
    return finish(s, request, WithdrawalAnswer{202, view});
  open.waiting = view;
  waiting_[view.id].insert(request);
  schedule(request, open, open.arrived + wait);
}

void Clients::learnt(Step& s, const wire::WithdrawalView& view) {
  const auto at = waiting_.find(view.id);
  if (at == waiting_.end()) return;
  const std::set<RequestId> requests = at->second;
  for (const RequestId request : requests) {
    open_.at(request).waiting = view;
    if (view.state == wire::WithdrawalState::Rejected) {
      finish(s, request, rejected(view));
    } else if (reached_broadcast(view)) {
      finish(s, request, WithdrawalAnswer{202, view});
    }
  }
}

void Clients::tick(Step& s) {
  while (!due_.empty() && due_.begin()->first <= s.now) {
    const RequestId request = due_.begin()->second;
    const auto& waiting = open_.at(request).waiting;
    if (waiting) {
      finish(s, request, WithdrawalAnswer{202, *waiting});
    } else {
      finish(s, request, no_ledger());
    }
  }
}

void Clients::drain(Step& s) {
  std::vector<RequestId> patient;
  for (const auto& [request, open] : open_) {
    if (open.waiting) patient.push_back(request);
  }
  for (const RequestId request : patient)
    finish(s, request, WithdrawalAnswer{202, *open_.at(request).waiting});
}

void Clients::abandon(Step& s) {
  while (!open_.empty()) finish(s, open_.begin()->first, no_ledger());
}

std::optional<Instant> Clients::next_deadline() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

void Clients::gone(RequestId request) {
  forget(request);
}

void Clients::finish(Step& s, RequestId request, ReplyBody body) {
  forget(request);
  s.reply(request, std::move(body));
}

void Clients::forget(RequestId request) {
  const auto at = open_.find(request);
  if (at == open_.end()) return;
  due_.erase({at->second.due, request});
  if (at->second.waiting) {
    const auto waiting = waiting_.find(at->second.waiting->id);
    waiting->second.erase(request);
    if (waiting->second.empty()) waiting_.erase(waiting);
  }
  open_.erase(at);
}

void Clients::schedule(RequestId request, Open& open, Instant due) {
  due_.erase({open.due, request});
  open.due = due;
  due_.insert({due, request});
}

}  // namespace roulette::coordinator
