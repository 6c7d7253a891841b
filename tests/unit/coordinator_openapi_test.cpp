// docs/openapi.json held against the server, in both directions.
//
// Invariant tested: the file and the server's table of routes name the same methods, paths,
// parameters and statuses; every example of the file fits its schema, and so does what the server
// renders.
#include <catch2/catch.hpp>

#include <fstream>
#include <set>

#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "common/bitcoin/script.h"
#include "coordinator/app/api.h"
#include "coordinator/app/api_reads.h"
#include "coordinator/app/routes.h"
#include "coordinator/app/tokens.h"

using namespace roulette;
using namespace roulette::coordinator;
using nlohmann::json;

namespace {

const json& file() {
  static const json kFile = json::parse(std::ifstream(ROULETTE_OPENAPI));
  return kFile;
}

// "" or the first violation. References stand from the file's root.
std::string violation(const json& schema, const json& value) {
  const json whole{{"allOf", json::array({schema})}, {"components", file().at("components")}};
  valijson::Schema parsed;
  valijson::SchemaParser().populateSchema(valijson::adapters::NlohmannJsonAdapter(whole), parsed);
  valijson::ValidationResults results;
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  if (validator.validate(parsed, valijson::adapters::NlohmannJsonAdapter(value), &results))
    return "";
  valijson::ValidationResults::Error error;
  std::string all = "refused";
  while (results.popError(error)) all += "; " + error.description;
  return all;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

const json& described(const Route& route) {
  return file().at("paths").at(std::string(route.path)).at(lower(std::string(route.method)));
}

const Route& route_of(Operation operation) {
  for (const Route& route : routes()) {
    if (route.operation == operation) return route;
  }
  FAIL("no such route");
  return routes().front();
}

// What was rendered is described for this route, status and content, and fits.
void check_described(Operation operation, const runtime::HttpResponse& response) {
  const Route& route = route_of(operation);
  INFO(route.method << " " << route.path << " " << response.status << " " << response.body);
  const json& responses = described(route).at("responses");
  REQUIRE(responses.contains(std::to_string(response.status)));
  const json& one = responses.at(std::to_string(response.status));
  REQUIRE(one.at("content").contains(response.content_type));
  CHECK(violation(one.at("content").at(response.content_type).at("schema"),
                  json::parse(response.body)) == "");
  for (const auto& [name, value] : response.headers) CHECK(one.at("headers").contains(name));
}

wire::WithdrawalView some_view(wire::WithdrawalState state) {
  wire::WithdrawalView view;
  view.account = "alice";
  ByteArray<20> hash{};
  view.script = bitcoin::p2wpkh_script(hash);
  view.amount_sat = 5;
  view.state = state;
  if (state == wire::WithdrawalState::Rejected) view.reject = wire::RejectReason::BadScript;
  if (state != wire::WithdrawalState::Requested) view.planned.emplace();
  if (state >= wire::WithdrawalState::Confirmed) view.height = 9;
  return view;
}

PageAnswer page_of(wire::PageKind kind) {
  PageAnswer answer;
  answer.query.kind = kind;
  answer.page.accounts = {{"alice", 5, 6}};
  answer.page.withdrawals = {some_view(wire::WithdrawalState::Planned)};
  answer.page.deposits = {{{}, 5, "alice", false, true, 0, 0}, {{}, 5, "bob", true, false, 7, 2}};
  answer.page.entries = {{5, bitcoin::OutPoint{}, {}}, {-5, {}, WithdrawalId{}}};
  answer.page.next = wire::PageFrom{3, std::nullopt};
  return answer;
}

}  // namespace

TEST_CASE("the file names the routes and statuses that the server has, and no others") {
  std::set<std::string> served;
  for (const Route& route : routes()) {
    for (const int status : route.statuses)
      served.insert(std::string(route.method) + " " + std::string(route.path) + " " +
                    std::to_string(status));
  }
  std::set<std::string> written;
  for (const auto& [path, methods] : file().at("paths").items()) {
    for (const auto& [method, operation] : methods.items()) {
      std::string upper = method;
      for (char& c : upper) c = static_cast<char>(c - 32);
      for (const auto& [status, unused] : operation.at("responses").items())
        written.insert(upper + " " + path + " " + status);
    }
  }
  for (const std::string& one : served) {
    INFO("served, not in the file: " << one);
    CHECK(written.contains(one));
  }
  for (const std::string& one : written) {
    INFO("in the file, not served: " << one);
    CHECK(served.contains(one));
  }
}

TEST_CASE("the file names the query parameters that the server takes, and no others") {
  for (const Route& route : routes()) {
    INFO(route.path);
    std::set<std::string> written;
    for (const json& parameter : described(route).at("parameters")) {
      if (parameter.at("in") == "query") written.insert(parameter.at("name"));
    }
    std::set<std::string> taken;
    for (const std::string_view name : parameters(route.operation)) taken.emplace(name);
    CHECK(written == taken);
    const auto open = route.path.find('{');
    if (open == std::string_view::npos) continue;
    const std::string name(route.path.substr(open + 1, route.path.find('}') - open - 1));
    CHECK(described(route).at("parameters").at(0).at("name") == name);
  }
}

TEST_CASE("every example of the file fits its schema") {
  std::size_t examples = 0;
  const auto check = [&](const std::string& where, const json& holder) {
    INFO(where);
    ++examples;
    CHECK(violation(holder.at("schema"), holder.at("example")) == "");
  };
  for (const auto& [path, methods] : file().at("paths").items()) {
    for (const auto& [method, operation] : methods.items()) {
      for (const json& parameter : operation.at("parameters"))
        check(path + " " + parameter.at("name").get<std::string>(), parameter);
      if (operation.contains("requestBody")) {
        for (const auto& [type, content] : operation.at("requestBody").at("content").items())
          check(path + " body", content);
      }
      for (const auto& [status, response] : operation.at("responses").items()) {
        for (const auto& [type, content] : response.at("content").items())
          check(path + " " + status, content);
      }
    }
  }
  CHECK(examples > 90);
  // The check itself bites.
  const json withdrawal{{"$ref", "#/components/schemas/Withdrawal"}};
  CHECK(violation(withdrawal, json::object()) != "");
}

TEST_CASE("every example of a parameter is taken by the server") {
  for (const Route& route : routes()) {
    if (route.method != "GET" || !route.path.starts_with("/v1/")) continue;
    for (const json& parameter : described(route).at("parameters")) {
      if (parameter.at("in") != "query") continue;
      runtime::HttpRequest request;
      request.method = "GET";
      request.path = route.path;
      if (const auto open = request.path.find('{'); open != std::string::npos)
        request.path.replace(open, request.path.find('}') - open + 1, "alice");
      const json& example = parameter.at("example");
      request.query = {{parameter.at("name"),
                        example.is_string() ? example.get<std::string>() : example.dump()}};
      INFO(route.path << " " << request.query[0].first);
      CHECK(std::holds_alternative<ClientRequestBody>(parse_request(request, 0)));
    }
  }
}

TEST_CASE("what the server renders fits what the file says, answer by answer") {
  using wire::WithdrawalState;
  for (int i = 1; i <= 7; ++i) {
    const auto state = static_cast<WithdrawalState>(i);
    check_described(Operation::GetWithdrawal, render(WithdrawalAnswer{200, some_view(state)}));
    check_described(Operation::ListWithdrawals, render(WithdrawalAnswer{200, some_view(state)}));
    if (state != WithdrawalState::Rejected)
      check_described(Operation::CreateWithdrawal,
                      render(WithdrawalAnswer{202, some_view(state)}));
    EventsAnswer events{some_view(state), {}, 7};
    check_described(Operation::WithdrawalEvents, render(events));
    events.events = {{WithdrawalState::Requested, false, 3, 0}, {state, true, 4, 9}};
    check_described(Operation::WithdrawalEvents, render(events));
  }
  using wire::PageKind;
  check_described(Operation::ListWithdrawals, render(page_of(PageKind::Withdrawals)));
  check_described(Operation::ListAccounts, render(page_of(PageKind::Accounts)));
  check_described(Operation::ListEntries, render(page_of(PageKind::Entries)));
  check_described(Operation::ListDeposits, render(page_of(PageKind::Deposits)));
  PageAnswer last = page_of(PageKind::Deposits);
  last.page.next.reset();
  check_described(Operation::ListDeposits, render(last));
  check_described(Operation::GetBalances, render(BalancesAnswer{{{"pending", 0}}, 4}));
}

TEST_CASE("refusals of tokens, scopes, rates and parameters are those of the file") {
  const Token shop{"shop", Scope::Client, {"alice"}, {}, Rate{1, 1}};
  Tokens tokens(shop);
  const auto refused = [](Operation operation, const std::optional<Problem>& problem) {
    REQUIRE(problem);
    check_described(operation, render(*problem));
  };
  for (const Route& route : routes()) {
    if (!route.path.starts_with("/v1/")) continue;
    refused(route.operation, std::get<Problem>(tokens.holder({})));
    (void)tokens.take(shop, Instant{1});
    refused(route.operation, tokens.take(shop, Instant{1}));
    runtime::HttpRequest wrong;
    wrong.query = {{"colour", "red"}};
    refused(route.operation, wrong_parameter(route.operation, wrong));
  }
  CreateWithdrawal create;
  create.payment.account = "bob";
  ClientRequestBody body = create;
  refused(Operation::CreateWithdrawal, confine(shop, body));
  body = GetBalances{};
  refused(Operation::GetBalances, confine(shop, body));
  GetPage page;
  page.query.accounts = {"bob"};
  body = page;
  for (const Operation operation :
       {Operation::ListWithdrawals, Operation::ListEntries, Operation::ListDeposits})
    refused(operation, confine(shop, body));
  const ReplyBody hidden = confined(Scope::Client, {"bob"}, WithdrawalAnswer{200, some_view({})});
  refused(Operation::GetWithdrawal, std::get<Problem>(hidden));
}
