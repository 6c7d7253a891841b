// Parsing of the HTTP API's requests: see api.h. Reads are api_reads.cpp's.
#include "coordinator/app/api.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "common/base/limits.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/transaction.h"
#include "common/wire/idempotency_key.h"
#include "coordinator/app/api_reads.h"
#include "coordinator/app/routes.h"

namespace roulette::coordinator {
namespace {

using nlohmann::json;
using runtime::HttpRequest;

constexpr std::int64_t kLongestWaitS = limits::kMaxClientWait.us / seconds(1).us;

// RFC 7240: "wait=10" among other preferences; a preference that does not parse is ignored.
Duration preferred_wait(std::string_view prefer) {
  const auto at = prefer.find("wait=");
  if (at == std::string_view::npos) return {};
  const std::string_view number = prefer.substr(at + 5);
  std::int64_t wanted = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), wanted);
  if (parsed.ec != std::errc{}) return {};
  return seconds(std::clamp<std::int64_t>(wanted, 0, kLongestWaitS));
}

// Objects with two values for one name are read differently by different parsers: `repeated` names
// the first one. Anything but one JSON value becomes a discarded value.
json parse_body(const std::string& text, std::string& repeated) {
  std::set<std::string> names;
  const auto note = [&](int depth, json::parse_event_t event, json& value) {
    if (event != json::parse_event_t::key || depth != 1) return true;
    const auto name = value.get<std::string>();
    if (!names.insert(name).second && repeated.empty()) repeated = name;
    return true;
  };
  return json::parse(text, note, false);
}

// `client=NAME, signature=HEX`: see docs/API.md. Who may sign is the machine's to say.
std::optional<wire::ClientSignature> parse_client_signature(std::string_view field) {
  constexpr std::string_view kClient = "client=";
  constexpr std::string_view kSignature = "signature=";
  if (!field.starts_with(kClient)) return std::nullopt;
  field.remove_prefix(kClient.size());
  const auto comma = field.find(',');
  if (comma == 0 || comma > limits::kMaxClientNameBytes) return std::nullopt;
  wire::ClientSignature out;
  out.client = field.substr(0, comma);
  field.remove_prefix(comma + 1);
  while (field.starts_with(' ')) field.remove_prefix(1);
  if (!field.starts_with(kSignature)) return std::nullopt;
  const auto signature = array_from_hex<64>(field.substr(kSignature.size()));
  if (!signature) return std::nullopt;
  out.signature = *signature;
  return out;
}

std::variant<ClientRequestBody, Problem> parse_create(const HttpRequest& request,
                                                      std::int64_t unix_time_us) {
  if (request.header("idempotency-key").empty())
    return Problem{400, "idempotency-key-missing", "Idempotency-Key is missing",
                   "send a key that you made and stored before the first attempt", std::nullopt};
  if (request.header_repeated("idempotency-key"))
    return bad_request("Idempotency-Key occurs more than once");
  const auto key = wire::parse_idempotency_key(request.header("idempotency-key"));
  if (!key) return bad_request(key.error().message);
  std::string repeated;
  const json body = parse_body(request.body, repeated);
  if (!repeated.empty()) return bad_request("field '" + repeated + "' occurs twice");
  if (!body.is_object()) return bad_request("the body is not a JSON object");
  for (const auto& [name, value] : body.items()) {
    if (name != "account" && name != "address" && name != "amount_sat")
      return bad_request("unknown field '" + name + "'");
  }
  CreateWithdrawal create;
  wire::PaymentRequest& payment = create.payment;
  payment.key = *key;
  if (!body.contains("account") || !body["account"].is_string())
    return bad_request("account: a string is wanted");
  payment.account = body["account"].get<std::string>();
  if (payment.account.empty() || payment.account.size() > limits::kMaxAccountNameBytes)
    return bad_request("account: 1 to 64 bytes are wanted");
  if (!body.contains("address") || !body["address"].is_string())
    return bad_request("address: a string is wanted");
  const auto script = bitcoin::script_from_address(body["address"].get<std::string>());
  if (!script) return bad_request("address: " + script.error().message);
  payment.script = *script;
  if (!body.contains("amount_sat") || !body["amount_sat"].is_number_integer())
    return bad_request("amount_sat: a whole number of satoshi is wanted");
  payment.amount_sat = body["amount_sat"].is_number_unsigned() &&
                               body["amount_sat"].get<std::uint64_t>() >
                                   static_cast<std::uint64_t>(bitcoin::kMaxMoneySat)
                           ? -1
                           : body["amount_sat"].get<std::int64_t>();
  if (payment.amount_sat <= 0 || payment.amount_sat > bitcoin::kMaxMoneySat)
    return bad_request("amount_sat: out of range");
  if (!request.header("client-signature").empty()) {
    if (request.header_repeated("client-signature"))
      return bad_request("Client-Signature occurs more than once");
    create.client = parse_client_signature(request.header("client-signature"));
    if (!create.client)
      return bad_request("Client-Signature: client=NAME, signature=128 hex digits is wanted");
  }
  create.unix_time_us = unix_time_us;
  create.wait = preferred_wait(request.header("prefer"));
  return ClientRequestBody{create};
}

}  // namespace

std::variant<ClientRequestBody, Problem> parse_request(const HttpRequest& request,
                                                       std::int64_t unix_time_us) {
  const auto found = find_route(request.method, request.path);
  if (const auto* problem = std::get_if<Problem>(&found)) return *problem;
  const auto& match = std::get<RouteMatch>(found);
  if (auto wrong = wrong_parameter(match.route->operation, request)) return *wrong;
  if (match.route->operation == Operation::CreateWithdrawal)
    return parse_create(request, unix_time_us);
  return parse_read(match.route->operation, match.argument, request);
}

const char* request_kind(const ClientRequestBody& body) {
  struct Name {
    const char* operator()(const CreateWithdrawal&) const { return "create"; }
    const char* operator()(const GetWithdrawal&) const { return "get"; }
    const char* operator()(const FindByKey&) const { return "find"; }
    const char* operator()(const GetBalances&) const { return "balances"; }
    const char* operator()(const GetEvents&) const { return "events"; }
    const char* operator()(const GetPage& get) const {
      switch (get.query.kind) {
        case wire::PageKind::Accounts: return "accounts";
        case wire::PageKind::Withdrawals: return "list";
        case wire::PageKind::Deposits: return "deposits";
        case wire::PageKind::Entries: return "entries";
      }
      return "";
    }
  };
  return std::visit(Name{}, body);
}

}  // namespace roulette::coordinator
