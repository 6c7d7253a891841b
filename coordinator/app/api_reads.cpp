// Query parameters to queries: see api_reads.h.
#include "coordinator/app/api_reads.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <span>

#include "common/base/limits.h"
#include "common/wire/idempotency_key.h"

namespace roulette::coordinator {
namespace {

using runtime::HttpRequest;
using wire::PageFrom;
using wire::PageKind;
using wire::WithdrawalState;
using Parsed = std::variant<ClientRequestBody, Problem>;

constexpr std::size_t kOrdinalDigits = 16;  // hex
constexpr std::size_t kOutpointDigits = 72;  // txid and output number

template <class Int>
std::optional<Int> whole_number(std::string_view text) {
  Int value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<WithdrawalState> state_of(std::string_view name) {
  for (int i = static_cast<int>(WithdrawalState::Requested);
       i <= static_cast<int>(WithdrawalState::Rejected); ++i) {
    const auto state = static_cast<WithdrawalState>(i);
    if (name == wire::state_name(state)) return state;
  }
  return std::nullopt;
}

bool account_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kMaxAccountNameBytes;
}

// What every listing takes: how much, and from where.
std::optional<Problem> read_page(const HttpRequest& request, wire::QueryPage& query) {
  query.limit = limits::kMaxPageItems;
  if (request.has_query("limit")) {
    const auto limit = whole_number<std::uint32_t>(request.query_value("limit"));
    if (!limit || *limit == 0 || *limit > limits::kMaxPageItems)
      return bad_request("limit: 1 to " + std::to_string(limits::kMaxPageItems) + " is wanted");
    query.limit = *limit;
  }
  if (request.has_query("account")) {
    const std::string_view account = request.query_value("account");
    if (!account_name(account)) return bad_request("account: 1 to 64 bytes are wanted");
    query.accounts.emplace_back(account);
  }
  if (!request.has_query("cursor")) return std::nullopt;
  const auto from = parse_cursor(query.kind, request.query_value("cursor"));
  if (!from) return bad_request("cursor: the `next` of the same listing is wanted");
  query.from = *from;
  return std::nullopt;
}

std::optional<Problem> read_filters(const HttpRequest& request, wire::QueryPage& query) {
  if (request.has_query("state")) {
    query.state = state_of(request.query_value("state"));
    if (!query.state) return bad_request("state: requested, planned, ... is wanted");
  }
  const auto moment = [&](const char* name, std::optional<std::int64_t>& out) {
    if (!request.has_query(name)) return true;
    out = whole_number<std::int64_t>(request.query_value(name));
    return out.has_value();
  };
  for (const auto& [name, out] :
       {std::pair("requested_after_us", &query.requested_after_us),
        std::pair("requested_before_us", &query.requested_before_us)}) {
    if (!moment(name, *out))
      return bad_request(std::string(name) + ": whole microseconds of Unix time are wanted");
  }
  return std::nullopt;
}

Parsed parse_list(PageKind kind, const std::string& account, const HttpRequest& request) {
  GetPage get;
  get.query.kind = kind;
  if (!account.empty()) get.query.accounts = {account};
  if (auto wrong = read_page(request, get.query)) return *wrong;
  if (auto wrong = read_filters(request, get.query)) return *wrong;
  return ClientRequestBody{get};
}

Parsed parse_find(const HttpRequest& request) {
  if (request.query.size() != 1)
    return bad_request("idempotency_key: stands alone, without any other parameter");
  const auto key = wire::parse_idempotency_key(request.query_value("idempotency_key"));
  if (!key) return bad_request("idempotency_key: " + key.error().message);
  return ClientRequestBody{FindByKey{*key}};
}

}  // namespace

std::span<const std::string_view> parameters(Operation operation) {
  static constexpr std::array<std::string_view, 7> kWithdrawals = {
      "idempotency_key", "account", "state", "requested_after_us", "requested_before_us",
      "limit", "cursor"};
  static constexpr std::array<std::string_view, 3> kDeposits = {"account", "limit", "cursor"};
  static constexpr std::array<std::string_view, 2> kEntries = {"limit", "cursor"};
  switch (operation) {
    case Operation::ListWithdrawals: return kWithdrawals;
    case Operation::ListDeposits: return kDeposits;
    case Operation::ListEntries: return kEntries;
    case Operation::CreateWithdrawal:
    case Operation::GetWithdrawal:
    case Operation::WithdrawalEvents:
    case Operation::ListAccounts:
    case Operation::GetBalances:
    case Operation::OpenApi:
    case Operation::Health:
    case Operation::Readiness:
    case Operation::Metrics: break;
  }
  return {};
}

Problem bad_request(const std::string& detail) {
  return Problem{400, "bad-request", "The request does not parse", detail, std::nullopt};
}

std::optional<Problem> wrong_parameter(Operation operation, const HttpRequest& request) {
  const auto known = parameters(operation);
  for (auto at = request.query.begin(); at != request.query.end(); ++at) {
    if (std::find(known.begin(), known.end(), at->first) == known.end())
      return bad_request("unknown parameter '" + at->first + "'");
    const auto same = [&](const auto& other) { return other.first == at->first; };
    if (std::any_of(request.query.begin(), at, same))
      return bad_request("parameter '" + at->first + "' occurs twice");
  }
  return std::nullopt;
}

Parsed parse_read(Operation operation, const std::string& argument, const HttpRequest& request) {
  switch (operation) {
    case Operation::GetBalances: return ClientRequestBody{GetBalances{}};
    case Operation::ListAccounts: return parse_list(PageKind::Accounts, "", request);
    case Operation::ListDeposits: return parse_list(PageKind::Deposits, "", request);
    case Operation::ListEntries:
      if (!account_name(argument))
        return Problem{404, "not-found", "No such account", "names have 1 to 64 bytes", {}};
      return parse_list(PageKind::Entries, argument, request);
    case Operation::ListWithdrawals:
      if (request.has_query("idempotency_key")) return parse_find(request);
      return parse_list(PageKind::Withdrawals, "", request);
    case Operation::GetWithdrawal:
    case Operation::WithdrawalEvents:
    case Operation::CreateWithdrawal:
    case Operation::OpenApi:
    case Operation::Health:
    case Operation::Readiness:
    case Operation::Metrics: break;
  }
  const auto id = array_from_hex<16>(argument);
  if (!id) return Problem{404, "not-found", "No such withdrawal", "ids are 32 hex digits", {}};
  if (operation == Operation::WithdrawalEvents)
    return ClientRequestBody{GetEvents{WithdrawalId(*id)}};
  return ClientRequestBody{GetWithdrawal{WithdrawalId(*id)}};
}

std::string cursor_text(PageKind kind, const PageFrom& from) {
  std::string text(1, kind == PageKind::Withdrawals ? 'w' : kind == PageKind::Deposits ? 'd' : 'e');
  char number[kOrdinalDigits + 1];
  if (!from.deposit) {
    std::snprintf(number, sizeof number, "%016llx", static_cast<unsigned long long>(from.ordinal));
    return text + number;
  }
  std::snprintf(number, sizeof number, "%08x", from.deposit->vout);
  return text + to_hex(from.deposit->txid) + number;
}

std::optional<PageFrom> parse_cursor(PageKind kind, std::string_view text) {
  const std::string shape = cursor_text(kind, {});
  if (text.empty() || text.front() != shape.front()) return std::nullopt;
  text.remove_prefix(1);
  if (text.size() == kOrdinalDigits && kind != PageKind::Deposits) {
    const auto ordinal = array_from_hex<8>(text);
    if (!ordinal) return std::nullopt;
    PageFrom from;
    for (const std::uint8_t byte : *ordinal) from.ordinal = from.ordinal << 8 | byte;
    return from;
  }
  if (text.size() != kOutpointDigits || kind == PageKind::Withdrawals) return std::nullopt;
  const auto txid = array_from_hex<32>(text.substr(0, 64));
  const auto vout = array_from_hex<4>(text.substr(64));
  if (!txid || !vout) return std::nullopt;
  bitcoin::OutPoint outpoint{*txid, 0};
  for (const std::uint8_t byte : *vout) outpoint.vout = outpoint.vout << 8 | byte;
  return PageFrom{0, outpoint};
}

}  // namespace roulette::coordinator
