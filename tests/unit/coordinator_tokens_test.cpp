// Tokens of the HTTP API: who is who, who may what, and how often.
//
// Invariant tested: a client's token sees and pays from its own accounts alone, an auditor's
// creates nothing, and a broken tokens file changes nothing.
#include <catch2/catch.hpp>

#include <fstream>

#include "common/crypto/hash.h"
#include "coordinator/app/token_file.h"
#include "tests/unit/runtime_fixture.h"

using namespace roulette;
using namespace roulette::coordinator;

namespace {

Hash32 digest_of(const std::string& token) { return crypto::sha256(as_bytes(token)); }

Token token_of(const std::string& text, Scope scope, std::vector<std::string> accounts = {}) {
  return {text, scope, std::move(accounts), digest_of(text), std::nullopt};
}

runtime::HttpRequest bearing(const std::string& field) {
  runtime::HttpRequest request;
  if (!field.empty()) request.headers = {{"authorization", field}};
  return request;
}

std::string holder_of(const Tokens& tokens, const std::string& text) {
  const auto found = tokens.holder(bearing("Bearer " + text));
  const auto* token = std::get_if<const Token*>(&found);
  return token != nullptr ? (*token)->name : std::to_string(std::get<Problem>(found).status);
}

std::string file_with(const std::string& tokens) {
  return R"({"format":"roulette-tokens","version":1,"tokens":[)" + tokens + "]}";
}
std::string line(const std::string& name, const std::string& more,
                 const std::string& token = "") {
  return R"({"name":")" + name + R"(","sha256":")" +
         to_hex(digest_of(token.empty() ? name : token)) + "\"," + more + "}";
}

CreateWithdrawal create_for(const std::string& account) {
  CreateWithdrawal create;
  create.payment.account = account;
  return create;
}

int status_of(const std::optional<Problem>& problem) { return problem ? problem->status : 0; }

}  // namespace

TEST_CASE("a token is found by its digest, whole and once, and nothing else is") {
  Tokens tokens(token_of("run", Scope::Operator));
  tokens.replace({token_of("shop", Scope::Client, {"alice"}), token_of("audit", Scope::Auditor)});
  CHECK(holder_of(tokens, "run") == "run");
  CHECK(holder_of(tokens, "shop") == "shop");
  CHECK(holder_of(tokens, "audit") == "audit");
  for (const char* wrong : {"", "ru", "runs", "Run", "run ", " run"})
    CHECK(holder_of(tokens, wrong) == "401");
  // The digest at rest is no token.
  CHECK(holder_of(tokens, to_hex(digest_of("run"))) == "401");
  const auto basic = tokens.holder(bearing("Basic run"));
  CHECK(std::get<Problem>(basic).status == 401);
  CHECK(std::get<Problem>(tokens.holder(bearing(""))).status == 401);
  auto twice = bearing("Bearer run");
  twice.headers.emplace_back("authorization", "Bearer run");
  CHECK(std::get<Problem>(tokens.holder(twice)).status == 401);
  tokens.replace({});
  CHECK(holder_of(tokens, "shop") == "401");
  CHECK(holder_of(tokens, "run") == "run");
}

TEST_CASE("a client pays from its own accounts, an auditor creates nothing, an operator may all") {
  const Token shop = token_of("shop", Scope::Client, {"alice"});
  const Token audit = token_of("audit", Scope::Auditor);
  const Token run = token_of("run", Scope::Operator);
  const auto status = [](const Token& token, ClientRequestBody body) {
    return status_of(confine(token, body));
  };
  CHECK(status(shop, create_for("alice")) == 0);
  CHECK(status(shop, create_for("bob")) == 403);
  CHECK(status(audit, create_for("alice")) == 403);
  CHECK(status(run, create_for("bob")) == 0);
  CHECK(status(shop, GetBalances{}) == 403);
  CHECK(status(audit, GetBalances{}) == 0);
  GetPage page;
  page.query.accounts = {"bob"};
  CHECK(status(shop, page) == 403);
  CHECK(status(audit, page) == 0);
}

TEST_CASE("a client's lists are narrowed to its accounts, others' withdrawals are unknown to it") {
  const Token shop = token_of("shop", Scope::Client, {"alice", "carol"});
  ClientRequestBody body = GetPage{};
  CHECK_FALSE(confine(shop, body));
  CHECK(std::get<GetPage>(body).query.accounts == shop.accounts);
  const auto reply = [&](Scope scope, const std::string& account, bool events) {
    wire::WithdrawalView view;
    view.account = account;
    ReplyBody whole = events ? ReplyBody(EventsAnswer{view, {}, 1})
                             : ReplyBody(WithdrawalAnswer{200, view});
    const ReplyBody seen = confined(scope, shop.accounts, whole);
    const auto* problem = std::get_if<Problem>(&seen);
    return problem != nullptr ? problem->status : 200;
  };
  for (const bool events : {false, true}) {
    CHECK(reply(Scope::Client, "alice", events) == 200);
    CHECK(reply(Scope::Client, "bob", events) == 404);
    CHECK(reply(Scope::Auditor, "bob", events) == 200);
    CHECK(reply(Scope::Operator, "bob", events) == 200);
  }
}

TEST_CASE("a bucket gives its burst, then its rate, and says when to come again") {
  Tokens tokens(token_of("run", Scope::Operator));
  Token shop = token_of("shop", Scope::Client, {"alice"});
  shop.rate = Rate{2, 3};
  tokens.replace({shop});
  const Instant start{5'000'000};
  for (int i = 0; i < 3; ++i) CHECK_FALSE(tokens.take(shop, start));
  const auto empty = tokens.take(shop, start);
  REQUIRE(empty);
  CHECK(empty->status == 429);
  CHECK(empty->retry_after_s == 1);
  CHECK(tokens.take(shop, start + milliseconds(499)));
  CHECK_FALSE(tokens.take(shop, start + milliseconds(500)));
  CHECK(tokens.take(shop, start + milliseconds(500)));
  // A rotation that keeps the token refills nothing.
  tokens.replace({shop, token_of("other", Scope::Auditor)});
  CHECK(tokens.take(shop, start + milliseconds(500)));
  // A long rest fills it to its burst and not above.
  const Instant later = start + seconds(3'000'000);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(tokens.take(shop, later));
  CHECK(tokens.take(shop, later));
  const Token run = token_of("run", Scope::Operator);
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(tokens.take(run, start));
}

TEST_CASE("the tokens file is refused by key, as a whole") {
  const auto parse = [](const std::string& text) {
    return tokens_from_json(text, "tokens.json", Rate{5, 9});
  };
  const std::string client = R"("scope":"client","accounts":["alice"])";
  const auto good = parse(file_with(
      line("shop", client) + "," +
      line("audit", R"("scope":"auditor","requests_per_s":7,"burst":8)")));
  REQUIRE(good.ok());
  CHECK(good->at(0).rate == Rate{5, 9});
  CHECK(good->at(1).rate == Rate{7, 8});
  for (const auto& [text, key] : std::vector<std::pair<std::string, std::string>>{
           {line("a", R"("scope":"root")"), "scope"},
           {line("a", R"("scope":"client")"), "accounts"},
           {line("a", R"("scope":"client","accounts":[])"), "accounts"},
           {line("a", R"("scope":"auditor","accounts":["alice"])"), "accounts"},
           {line("a", R"("scope":"auditor","burst":1)"), "requests_per_s"},
           {line("a", R"("scope":"auditor","colour":1)"), "colour"},
           {line("", R"("scope":"auditor")", "x"), "name"},
           {R"({"name":"a","scope":"auditor","sha256":"00"})", "sha256"},
           {line("a", client) + "," + line("a", client, "b"), "name"},
           {line("a", client) + "," + line("b", client, "a"), "sha256"}}) {
    INFO(text);
    const auto refused = parse(file_with(text));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().message.find("tokens.json") != std::string::npos);
    CHECK(refused.error().message.find(key) != std::string::npos);
  }
  CHECK_FALSE(parse("{").ok());
  CHECK_FALSE(parse(R"({"format":"roulette-tokens","version":2,"tokens":[]})").ok());
}

TEST_CASE("tokens rotate with the file, a broken or missing one leaves the old set in force") {
  runtime::test::TemporaryFolder folder;
  const auto path = folder / "tokens.json";
  const auto write = [&](const std::string& text) { std::ofstream(path) << text; };
  Tokens tokens(token_of("run", Scope::Operator));
  TokenFile file(path, std::nullopt);
  CHECK_FALSE(file.open(tokens).ok());
  write(file_with(line("old", R"("scope":"auditor")")));
  REQUIRE(file.open(tokens).ok());
  CHECK(holder_of(tokens, "old") == "old");
  CHECK_FALSE(file.look(tokens));
  write(file_with(line("newer", R"("scope":"auditor")")));
  auto change = file.look(tokens);
  REQUIRE(change);
  CHECK(change->taken);
  CHECK(holder_of(tokens, "old") == "401");
  CHECK(holder_of(tokens, "newer") == "newer");
  write("{broken");
  change = file.look(tokens);
  REQUIRE(change);
  CHECK_FALSE(change->taken);
  CHECK(change->why.find("tokens.json") != std::string::npos);
  CHECK(holder_of(tokens, "newer") == "newer");
  CHECK_FALSE(file.look(tokens));  // said once
  std::filesystem::remove(path);
  change = file.look(tokens);
  REQUIRE(change);
  CHECK_FALSE(change->taken);
  CHECK(holder_of(tokens, "newer") == "newer");
  TokenFile none("", std::nullopt);
  CHECK(none.open(tokens).ok());
  CHECK_FALSE(none.look(tokens));
}
