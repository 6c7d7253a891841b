// Replies of the HTTP API as JSON: see api.h.
//
// Invariant: no bytes that a client sent make rendering fail; what is not known is null, never a
// guess.
#include <nlohmann/json.hpp>

#include "common/bitcoin/address.h"
#include "common/bitcoin/transaction.h"
#include "coordinator/app/api.h"
#include "coordinator/app/api_reads.h"

namespace roulette::coordinator {
namespace {

using nlohmann::json;
using runtime::HttpResponse;

// What clients sent may stand in a problem's detail: bytes that are no UTF-8 become U+FFFD instead
// of an exception.
std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json withdrawal_json(const wire::WithdrawalView& view) {
  const auto address = bitcoin::address_from_script(view.script);
  json out{{"id", to_hex(view.id.value())},
           {"state", wire::state_name(view.state)},
           {"account", view.account},
           {"address", address.ok() ? json(*address) : json(nullptr)},
           {"amount_sat", view.amount_sat},
           {"txid", nullptr},
           {"fee_sat", nullptr},
           {"height", view.height > 0 ? json(view.height) : json(nullptr)},
           {"requested_at_us", view.requested_at_us}};
  if (view.reject != wire::RejectReason::None) out["reject"] = wire::reject_name(view.reject);
  if (view.planned) {
    out["txid"] = bitcoin::txid_to_hex(view.planned->txid);
    out["fee_sat"] = view.planned->fee_sat;
  }
  return out;
}

HttpResponse render_problem(const Problem& problem) {
  HttpResponse response;
  response.status = problem.status;
  response.content_type = "application/problem+json";
  response.body = dumped(json{{"type", problem.type},
                              {"title", problem.title},
                              {"status", problem.status},
                              {"detail", problem.detail}});
  if (problem.retry_after_s)
    response.headers.emplace_back("Retry-After", std::to_string(*problem.retry_after_s));
  response.subject = "status";
  return response;
}

HttpResponse render_withdrawal(const WithdrawalAnswer& answer) {
  HttpResponse response;
  response.status = answer.status;
  response.body = dumped(withdrawal_json(answer.view));
  if (answer.status == 202) {
    response.headers.emplace_back("Location",
                                  "/v1/withdrawals/" + to_hex(answer.view.id.value()));
  }
  response.subject = answer.status == 202 ? "withdrawal" : "status";
  return response;
}

HttpResponse render_balances(const BalancesAnswer& answer) {
  json list = json::array();
  for (const wire::Balance& balance : answer.balances)
    list.push_back({{"account", balance.account}, {"amount_sat", balance.amount_sat}});
  HttpResponse response;
  response.body = dumped(json{{"index", answer.index}, {"balances", list}});
  response.subject = "status";
  return response;
}

json next_json(const PageAnswer& answer) {
  if (!answer.page.next) return nullptr;
  return cursor_text(answer.query.kind, *answer.page.next);
}

json account_json(const wire::AccountView& account) {
  return {{"account", account.name},
          {"available_sat", account.available_sat},
          {"pending_sat", account.pending_sat}};
}

// `credited` says what the books say, for ever; height and confirmations what the chain says now.
json deposit_json(const wire::DepositView& deposit) {
  const bool mined = deposit.height > 0;
  return {{"txid", bitcoin::txid_to_hex(deposit.outpoint.txid)},
          {"vout", deposit.outpoint.vout},
          {"account", deposit.account},
          {"amount_sat", deposit.amount_sat},
          {"coinbase", deposit.coinbase},
          {"state", deposit.credited ? "credited" : mined ? "seen" : "unmined"},
          {"height", mined ? json(deposit.height) : json(nullptr)},
          {"confirmations", deposit.depth}};
}

json entry_json(const wire::EntryView& entry) {
  if (entry.withdrawal)
    return {{"kind", "hold"},
            {"amount_sat", entry.amount_sat},
            {"withdrawal", to_hex(entry.withdrawal->value())}};
  return {{"kind", "deposit"},
          {"amount_sat", entry.amount_sat},
          {"txid", bitcoin::txid_to_hex(entry.deposit->txid)},
          {"vout", entry.deposit->vout}};
}

HttpResponse render_page(const PageAnswer& answer) {
  const wire::Page& page = answer.page;
  json body{{"index", answer.index}};
  const auto list = [&body](const char* name, const auto& items, auto spell) {
    body[name] = json::array();
    for (const auto& item : items) body[name].push_back(spell(item));
  };
  switch (answer.query.kind) {
    case wire::PageKind::Accounts: list("accounts", page.accounts, account_json); break;
    case wire::PageKind::Withdrawals: list("withdrawals", page.withdrawals, withdrawal_json); break;
    case wire::PageKind::Deposits: list("deposits", page.deposits, deposit_json); break;
    case wire::PageKind::Entries:
      body.update(account_json(page.accounts.front()));
      list("entries", page.entries, entry_json);
      break;
  }
  if (answer.query.kind != wire::PageKind::Accounts) body["next"] = next_json(answer);
  HttpResponse response;
  response.body = dumped(body);
  response.subject = "status";
  return response;
}

HttpResponse render_events(const EventsAnswer& answer) {
  using wire::WithdrawalState;
  const wire::WithdrawalView& view = answer.view;
  const bool complete = !answer.events.empty() &&
                        answer.events.front().state == WithdrawalState::Requested &&
                        !answer.events.front().revoked;
  json list = json::array();
  const auto add = [&](const wire::WithdrawalEvent& event) {
    const bool requested = event.state == WithdrawalState::Requested && !event.revoked;
    list.push_back({{"event", event.revoked ? "revoked" : wire::state_name(event.state)},
                    {"state", wire::state_name(event.state)},
                    {"index", event.index > 0 ? json(event.index) : json(nullptr)},
                    {"height", event.height > 0 ? json(event.height) : json(nullptr)},
                    {"at_us", requested ? json(view.requested_at_us) : json(nullptr)}});
  };
  if (!complete) add({WithdrawalState::Requested, false, 0, 0});
  for (const wire::WithdrawalEvent& event : answer.events) add(event);
  HttpResponse response;
  response.body = dumped(json{{"index", answer.index},
                              {"id", to_hex(view.id.value())},
                              {"state", wire::state_name(view.state)},
                              {"complete", complete},
                              {"events", list}});
  response.subject = "status";
  return response;
}

}  // namespace

HttpResponse render(const ReplyBody& reply) {
  struct Render {
    HttpResponse operator()(const WithdrawalAnswer& a) const { return render_withdrawal(a); }
    HttpResponse operator()(const BalancesAnswer& a) const { return render_balances(a); }
    HttpResponse operator()(const PageAnswer& a) const { return render_page(a); }
    HttpResponse operator()(const EventsAnswer& a) const { return render_events(a); }
    HttpResponse operator()(const Problem& p) const { return render_problem(p); }
  };
  return std::visit(Render{}, reply);
}

}  // namespace roulette::coordinator
