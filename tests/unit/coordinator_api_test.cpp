// The HTTP API's spelling: what parses, what is refused with the field named, what replies look
// like.
//
// Invariant tested: nothing that is not exactly the documented request reaches the machine, and no
// input of a client makes rendering fail.
#include <catch2/catch.hpp>

#include "common/bitcoin/address.h"
#include "common/bitcoin/script.h"
#include "coordinator/app/api.h"
#include "coordinator/app/api_reads.h"

using namespace roulette;
using namespace roulette::coordinator;
using runtime::HttpRequest;

namespace {

std::string some_address() {
  ByteArray<20> hash{};
  hash.fill(7);
  return *bitcoin::address_from_script(bitcoin::p2wpkh_script(hash));
}

HttpRequest post(std::string body, std::string key = "k1") {
  HttpRequest request;
  request.method = "POST";
  request.path = "/v1/withdrawals";
  request.headers = {{"idempotency-key", std::move(key)}};
  request.body = std::move(body);
  return request;
}

std::string body_with(const std::string& amount, const std::string& more = "") {
  return R"({"account":"alice","address":")" + some_address() + R"(","amount_sat":)" + amount +
         more + "}";
}

Problem refusal(const HttpRequest& request) {
  const auto parsed = parse_request(request, 0);
  REQUIRE(std::holds_alternative<Problem>(parsed));
  return std::get<Problem>(parsed);
}

HttpRequest get(std::string path) {
  HttpRequest request;
  request.method = "GET";
  request.path = std::move(path);
  return request;
}

}  // namespace

TEST_CASE("a well-formed withdrawal request becomes values") {
  auto request = post(body_with("50000"), "\"k1\"");
  request.headers.emplace_back("prefer", "respond-async, wait=10");
  const auto parsed = parse_request(request, 77);
  REQUIRE(std::holds_alternative<ClientRequestBody>(parsed));
  const auto& create = std::get<CreateWithdrawal>(std::get<ClientRequestBody>(parsed));
  CHECK(create.payment.key == "k1");
  CHECK(create.payment.account == "alice");
  CHECK(create.payment.script == *bitcoin::script_from_address(some_address()));
  CHECK(create.payment.amount_sat == 50'000);
  CHECK(create.unix_time_us == 77);
  CHECK(create.wait == seconds(10));
}

TEST_CASE("a missing, doubled or malformed idempotency key is a 400") {
  auto request = post(body_with("1000"));
  request.headers.clear();
  CHECK(refusal(request).status == 400);
  CHECK(refusal(request).type == "idempotency-key-missing");
  request = post(body_with("1000"));
  request.headers.emplace_back("idempotency-key", "k2");
  CHECK(refusal(request).status == 400);
  CHECK(refusal(post(body_with("1000"), "two words")).status == 400);
}

TEST_CASE("a client's signature is read from its header, or refused with the form it must have") {
  const std::string hex(128, 'a');
  const auto with = [&](const std::string& field) {
    auto request = post(body_with("1000"));
    request.headers.emplace_back("client-signature", field);
    return request;
  };
  const auto parsed = parse_request(with("client=shop, signature=" + hex), 0);
  const auto& create = std::get<CreateWithdrawal>(std::get<ClientRequestBody>(parsed));
  REQUIRE(create.client);
  CHECK(create.client->client == "shop");
  CHECK(to_hex(create.client->signature) == hex);
  const auto none = parse_request(post(body_with("1000")), 0);
  CHECK_FALSE(std::get<CreateWithdrawal>(std::get<ClientRequestBody>(none)).client);
  for (const std::string& field : std::vector<std::string>{
        "shop", "client=shop", "client=, signature=" + hex, "signature=" + hex,
        "client=shop, signature=" + hex + "00", "client=shop, signature=" + hex.substr(2),
        "client=shop; signature=" + hex, "client=" + std::string(65, 'x') + ", signature=" + hex}) {
    INFO(field);
    CHECK(refusal(with(field)).status == 400);
    CHECK(refusal(with(field)).detail.find("Client-Signature") != std::string::npos);
  }
  auto twice = with("client=shop, signature=" + hex);
  twice.headers.emplace_back("client-signature", "client=shop, signature=" + hex);
  CHECK(refusal(twice).status == 400);
}

TEST_CASE("amounts are whole satoshi in range, and nothing else") {
  for (const char* amount : {"1.5", "1e3", "1000.0", "\"1000\"", "null", "true", "0", "-1", "[]",
                             "2100000000000001", "99999999999999999999", "18446744073709551615"}) {
    INFO(amount);
    const Problem problem = refusal(post(body_with(amount)));
    CHECK(problem.status == 400);
    CHECK(problem.detail.find("amount_sat") != std::string::npos);
  }
}

TEST_CASE("unknown, repeated, missing and mistyped fields are refused by name") {
  CHECK(refusal(post(body_with("1000", R"(,"memo":"x")"))).detail.find("memo") !=
        std::string::npos);
  CHECK(refusal(post(body_with("1000", R"(,"amount_sat":2000)"))).detail.find("amount_sat") !=
        std::string::npos);
  CHECK(refusal(post(R"({"amount_sat":1000})")).detail.find("account") != std::string::npos);
  CHECK(refusal(post(R"({"account":7,"address":"x","amount_sat":1000})")).detail.find("account") !=
        std::string::npos);
  CHECK(refusal(post(R"({"account":"alice","amount_sat":1000})")).detail.find("address") !=
        std::string::npos);
  CHECK(refusal(post(R"({"account":"alice","address":"bcrt1qqqq","amount_sat":1000})"))
            .detail.find("address") != std::string::npos);
}

TEST_CASE("a body that is not one JSON object is a 400") {
  for (const char* body : {"", "[]", "null", "{", "{} {}", "\"x\"", "{\"account\":\"\xff\"}"}) {
    INFO(body);
    CHECK(refusal(post(body)).status == 400);
  }
}

TEST_CASE("an address of another network is refused") {
  ByteArray<20> hash{};
  hash.fill(7);
  const auto main_net =
      bitcoin::address_from_script(bitcoin::p2wpkh_script(hash), bitcoin::kMainnetHrp);
  CHECK(refusal(post(R"({"account":"alice","address":")" + *main_net + R"(","amount_sat":1000})"))
            .detail.find("address") != std::string::npos);
}

TEST_CASE("reads parse by id, by key and for balances, anything else is 404 or 405") {
  const auto by_id = parse_request(get("/v1/withdrawals/" + std::string(32, 'a')), 0);
  CHECK(std::holds_alternative<GetWithdrawal>(std::get<ClientRequestBody>(by_id)));
  auto by_key = get("/v1/withdrawals");
  by_key.query = {{"idempotency_key", "k1"}};
  CHECK(std::get<FindByKey>(std::get<ClientRequestBody>(parse_request(by_key, 0))).key == "k1");
  const auto balances = parse_request(get("/v1/balances"), 0);
  CHECK(std::holds_alternative<GetBalances>(std::get<ClientRequestBody>(balances)));
  CHECK(refusal(get("/v1/withdrawals/")).status == 404);
  CHECK(refusal(get("/v1/withdrawals/" + std::string(31, 'a'))).status == 404);
  CHECK(refusal(get("/v1/other")).status == 404);
  auto wrong = get("/v1/balances");
  wrong.method = "DELETE";
  CHECK(refusal(wrong).status == 405);
}

TEST_CASE("a problem that quotes bytes which are no UTF-8 is still rendered") {
  const auto response = render(refusal(get("/v1/\xff\xfe")));
  CHECK(response.status == 404);
  CHECK(response.content_type == "application/problem+json");
}

TEST_CASE("replies carry status, location, retry-after and a txid that is null until planned") {
  wire::WithdrawalView view;
  view.script = *bitcoin::script_from_address(some_address());
  auto response = render(WithdrawalAnswer{202, view});
  CHECK(response.status == 202);
  CHECK(runtime::find_field(response.headers, "Location") ==
        "/v1/withdrawals/" + std::string(32, '0'));
  CHECK(response.body.find("\"txid\":null") != std::string::npos);
  CHECK(response.body.find(some_address()) != std::string::npos);
  view.planned.emplace();
  response = render(WithdrawalAnswer{200, view});
  CHECK(response.body.find("\"txid\":\"" + std::string(64, '0')) != std::string::npos);
  response = render(Problem{503, "quorum-lost", "t", "d", 1});
  CHECK(response.status == 503);
  CHECK(runtime::find_field(response.headers, "Retry-After") == "1");
}

TEST_CASE("a listing's filters become a query, and a parameter that does not parse is named") {
  auto list = get("/v1/withdrawals");
  list.query = {{"account", "alice"}, {"state", "settled"}, {"requested_after_us", "-5"},
                {"requested_before_us", "9"}, {"limit", "7"}, {"cursor", "w0000000000000011"}};
  const auto parsed = parse_request(list, 0);
  const auto& query = std::get<GetPage>(std::get<ClientRequestBody>(parsed)).query;
  wire::QueryPage wanted{wire::PageKind::Withdrawals, {"alice"}, wire::WithdrawalState::Settled,
                         -5, 9, {17, std::nullopt}, 7};
  CHECK(query == wanted);
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"limit", "0"}, {"limit", "101"}, {"limit", "7x"}, {"limit", ""}, {"state", "paid"},
           {"state", ""}, {"requested_after_us", "now"}, {"requested_before_us", "1.5"},
           {"account", ""}, {"account", std::string(65, 'a')}, {"cursor", ""}, {"cursor", "w11"},
           {"cursor", "e0000000000000011"}, {"cursor", "w" + std::string(72, '0')},
           {"cursor", "w000000000000001g"}, {"colour", "red"}}) {
    INFO(name << "=" << value);
    auto wrong = get("/v1/withdrawals");
    wrong.query = {{name, value}};
    CHECK(refusal(wrong).status == 400);
    CHECK(refusal(wrong).detail.find(name) != std::string::npos);
  }
  list.query = {{"limit", "7"}, {"limit", "8"}};
  CHECK(refusal(list).detail == "parameter 'limit' occurs twice");
  list.query = {{"idempotency_key", "k1"}, {"limit", "7"}};
  CHECK(refusal(list).status == 400);
  auto balances = get("/v1/balances");
  balances.query = {{"account", "alice"}};
  CHECK(refusal(balances).status == 400);
}

TEST_CASE("a cursor goes back into the listing that gave it, and into no other") {
  using wire::PageKind;
  Hash32 txid{};
  txid.fill(0xab);
  const wire::PageFrom numbered{0x1234, std::nullopt};
  const wire::PageFrom behind{0, bitcoin::OutPoint{txid, 0xfffffffe}};
  CHECK(parse_cursor(PageKind::Withdrawals, cursor_text(PageKind::Withdrawals, numbered)) ==
        numbered);
  CHECK(parse_cursor(PageKind::Entries, cursor_text(PageKind::Entries, numbered)) == numbered);
  CHECK(parse_cursor(PageKind::Entries, cursor_text(PageKind::Entries, behind)) == behind);
  CHECK(parse_cursor(PageKind::Deposits, cursor_text(PageKind::Deposits, behind)) == behind);
  CHECK_FALSE(parse_cursor(PageKind::Deposits, cursor_text(PageKind::Entries, behind)));
  CHECK_FALSE(parse_cursor(PageKind::Deposits, "d0000000000000011"));
  CHECK_FALSE(parse_cursor(PageKind::Withdrawals, cursor_text(PageKind::Entries, numbered)));
}

TEST_CASE("accounts, entries, deposits and events have their paths") {
  const auto kind = [](const std::string& path) {
    const auto parsed = parse_request(get(path), 0);
    REQUIRE(std::holds_alternative<ClientRequestBody>(parsed));
    return std::string(request_kind(std::get<ClientRequestBody>(parsed)));
  };
  CHECK(kind("/v1/accounts") == "accounts");
  CHECK(kind("/v1/accounts/alice/entries") == "entries");
  CHECK(kind("/v1/deposits") == "deposits");
  CHECK(kind("/v1/withdrawals") == "list");
  CHECK(kind("/v1/withdrawals/" + std::string(32, 'a') + "/events") == "events");
  CHECK(refusal(get("/v1/accounts/alice")).status == 404);
  CHECK(refusal(get("/v1/accounts//entries")).status == 404);
  CHECK(refusal(get("/v1/accounts/" + std::string(65, 'a') + "/entries")).status == 404);
  CHECK(refusal(get("/v1/withdrawals/x/events")).status == 404);
  auto wrong = get("/v1/accounts");
  wrong.method = "POST";
  CHECK(refusal(wrong).status == 405);
}

TEST_CASE("a deposit is credited by the books alone, and says where the chain has it") {
  PageAnswer answer;
  answer.query.kind = wire::PageKind::Deposits;
  wire::DepositView deposit{{{}, 1}, 5'000, "alice", false, false, 7, 2};
  for (const auto& [credited, height] :
       {std::pair(false, 7U), {true, 7U}, {false, 0U}, {true, 0U}}) {
    deposit.credited = credited;
    deposit.height = height;
    answer.page.deposits.push_back(deposit);
  }
  const std::string body = render(answer).body;
  std::vector<std::string> states;
  for (auto at = body.find("\"state\":\""); at != std::string::npos;
       at = body.find("\"state\":\"", at + 1))
    states.push_back(body.substr(at + 9, body.find('"', at + 9) - at - 9));
  CHECK(states == std::vector<std::string>{"seen", "credited", "unmined", "credited"});
  CHECK(body.find("\"height\":null") != std::string::npos);
  CHECK(body.find("\"next\":null") != std::string::npos);
  answer.page.next = wire::PageFrom{0, deposit.outpoint};
  CHECK(render(answer).body.find("\"next\":\"d" + std::string(64, '0') + "00000001\"") !=
        std::string::npos);
}

TEST_CASE("events without their beginning say so, and begin with the request all the same") {
  using wire::WithdrawalState;
  EventsAnswer answer;
  answer.view.state = WithdrawalState::Broadcast;
  answer.view.requested_at_us = 77;
  answer.events = {{WithdrawalState::Confirmed, false, 8, 5},
                   {WithdrawalState::Broadcast, true, 9, 0}};
  std::string body = render(answer).body;
  CHECK(body.find("\"complete\":false") != std::string::npos);
  CHECK(body.find("\"event\":\"revoked\"") != std::string::npos);
  CHECK(body.find("\"at_us\":77") != std::string::npos);
  answer.events.insert(answer.events.begin(), {WithdrawalState::Requested, false, 4, 0});
  body = render(answer).body;
  CHECK(body.find("\"complete\":true") != std::string::npos);
}
