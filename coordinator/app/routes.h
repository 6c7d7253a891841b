// Every resource that the coordinator serves: method, path and the statuses it can answer with.
//
// Invariant: this is the only table of routes: requests are matched by it, and docs/openapi.json is
// held against it in both directions (tests/unit/coordinator_openapi_test.cpp).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "coordinator/core/coordinator.h"

namespace roulette::coordinator {

enum class Operation : std::uint8_t {
  CreateWithdrawal,
  ListWithdrawals,
  GetWithdrawal,
  WithdrawalEvents,
  ListAccounts,
  ListEntries,
  ListDeposits,
  GetBalances,
  OpenApi,  // from here on without a token
  Health,
  Readiness,
  Metrics
};

struct Route {
  Operation operation;
  std::string_view method;
  std::string_view path;      // at most one {argument}, a whole segment
  std::vector<int> statuses;  // that it can answer with, ascending
};
[[nodiscard]] std::span<const Route> routes();

struct RouteMatch {
  const Route* route = nullptr;
  std::string argument;
};
// 404: no such path; 405: not with this method.
[[nodiscard]] std::variant<RouteMatch, Problem> find_route(std::string_view method,
                                                           const std::string& path);

}  // namespace roulette::coordinator
