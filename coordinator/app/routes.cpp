// The table of routes and how a path is found in it: see routes.h.
#include "coordinator/app/routes.h"

#include <optional>

namespace roulette::coordinator {
namespace {

// What stands for {argument}, "" for a path without one; nothing: another path.
std::optional<std::string> argument_of(std::string_view pattern, std::string_view path) {
  const auto open = pattern.find('{');
  if (open == std::string_view::npos)
    return pattern == path ? std::optional<std::string>("") : std::nullopt;
  const std::string_view before = pattern.substr(0, open);
  const std::string_view after = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
      !path.ends_with(after))
    return std::nullopt;
  path.remove_prefix(before.size());
  path.remove_suffix(after.size());
  if (path.find('/') != std::string_view::npos) return std::nullopt;
  return std::string(path);
}

}  // namespace

std::span<const Route> routes() {
  // What the HTTP server itself refuses: a target or a message that does not parse, too large a
  // body, too large a header. With a token: 401, 429, and 503 where the ledger is asked.
  static const std::vector<Route> kRoutes = {
      {Operation::CreateWithdrawal,
       "POST",
       "/v1/withdrawals",
       {202, 400, 401, 403, 413, 422, 429, 431, 503}},
      {Operation::ListWithdrawals,
       "GET",
       "/v1/withdrawals",
       {200, 400, 401, 403, 404, 413, 429, 431, 503}},
      {Operation::GetWithdrawal,
       "GET",
       "/v1/withdrawals/{id}",
       {200, 400, 401, 404, 413, 429, 431, 503}},
      {Operation::WithdrawalEvents,
       "GET",
       "/v1/withdrawals/{id}/events",
       {200, 400, 401, 404, 413, 429, 431, 503}},
      {Operation::ListAccounts, "GET", "/v1/accounts", {200, 400, 401, 413, 429, 431, 503}},
      {Operation::ListEntries,
       "GET",
       "/v1/accounts/{name}/entries",
       {200, 400, 401, 403, 404, 413, 429, 431, 503}},
      {Operation::ListDeposits, "GET", "/v1/deposits", {200, 400, 401, 403, 413, 429, 431, 503}},
      {Operation::GetBalances, "GET", "/v1/balances", {200, 400, 401, 403, 413, 429, 431, 503}},
      {Operation::OpenApi, "GET", "/openapi.json", {200, 400, 413, 431}},
      {Operation::Health, "GET", "/healthz", {200, 400, 413, 431}},
      {Operation::Readiness, "GET", "/readyz", {200, 400, 413, 431, 503}},
      {Operation::Metrics, "GET", "/metrics", {200, 400, 413, 431}},
  };
  return kRoutes;
}

std::variant<RouteMatch, Problem> find_route(std::string_view method, const std::string& path) {
  bool known = false;
  for (const Route& route : routes()) {
    const auto argument = argument_of(route.path, path);
    if (!argument) continue;
    if (route.method == method) return RouteMatch{&route, *argument};
    known = true;
  }
  if (known)
    return Problem{405, "method-not-allowed", "Method not allowed", std::string(method), {}};
  return Problem{404, "not-found", "No such resource", path, std::nullopt};
}

}  // namespace roulette::coordinator
