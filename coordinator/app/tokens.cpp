// Tokens, scopes and buckets: see tokens.h.
#include "coordinator/app/tokens.h"

#include <algorithm>
#include <set>

#include "common/base/limits.h"
#include "common/crypto/hash.h"
#include "common/runtime/config_file.h"

namespace roulette::coordinator {
namespace {

constexpr const char* kFormat = "roulette-tokens";
constexpr int kVersion = 1;
constexpr std::string_view kBearer = "Bearer ";
constexpr std::int64_t kMicro = 1'000'000;

Problem unauthorized() {
  return {401, "unauthorized", "A bearer token is needed", "send Authorization: Bearer TOKEN",
          std::nullopt};
}
Problem forbidden(const std::string& detail) {
  return {403, "forbidden", "This token may not do that", detail + "; nothing was proposed",
          std::nullopt};
}
Problem unknown() {
  return {404, "not-found", "No such withdrawal", "", std::nullopt};
}

bool same(const Hash32& a, const Hash32& b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

bool owns(const std::vector<std::string>& accounts, const std::string& account) {
  return std::find(accounts.begin(), accounts.end(), account) != accounts.end();
}

Token read_token(runtime::ConfigObject& object, const std::optional<Rate>& rate) {
  Token token;
  token.name = object.text("name");
  if (token.name.empty() || token.name.size() > limits::kMaxClientNameBytes)
    object.fail("name", "is not 1 to 64 bytes");
  const std::string scope = object.text("scope");
  if (scope == "client")
    token.scope = Scope::Client;
  else if (scope == "operator")
    token.scope = Scope::Operator;
  else if (scope == "auditor")
    token.scope = Scope::Auditor;
  else
    object.fail("scope", "is not client, operator or auditor");
  const bool client = token.scope == Scope::Client;
  if (client != object.has("accounts"))
    object.fail("accounts", client ? "are wanted for a client" : "are for clients alone");
  else if (client)
    token.accounts = object.texts("accounts");
  if (client && (token.accounts.empty() || token.accounts.size() > limits::kMaxAccounts))
    object.fail("accounts", "are none, or too many");
  const auto digest = array_from_hex<32>(object.text("sha256"));
  if (!digest) object.fail("sha256", "is not 32 bytes of hex");
  token.digest = digest.value_or(Hash32{});
  token.rate = rate;
  if (!object.has("requests_per_s") && !object.has("burst")) return token;
  token.rate = Rate{object.integer("requests_per_s", 1, kMostRequestsPerSecond),
                    object.integer("burst", 1, kMostRequestsPerSecond)};
  return token;
}

}  // namespace

Result<std::vector<Token>> tokens_from_json(std::string_view json, const std::string& name,
                                            const std::optional<Rate>& rate) {
  auto file = runtime::ConfigFile::parse(json, name);
  if (!file) return file.error();
  runtime::ConfigObject root = file->root();
  root.expect_format(kFormat, kVersion);
  std::vector<Token> tokens;
  std::set<std::string> names;
  std::set<Hash32> digests;
  for (runtime::ConfigObject& object : root.objects("tokens")) {
    tokens.push_back(read_token(object, rate));
    if (!names.insert(tokens.back().name).second) object.fail("name", "stands twice");
    // Two scopes for one token: which one counts would be an accident of order.
    if (!digests.insert(tokens.back().digest).second) object.fail("sha256", "stands twice");
  }
  if (tokens.size() > kMaxTokens)
    root.fail("tokens", "are more than " + std::to_string(kMaxTokens));
  if (auto complete = file->finish(); !complete) return complete.error();
  return tokens;
}

void Tokens::replace(std::vector<Token> tokens) {
  tokens_ = std::move(tokens);
  std::erase_if(buckets_, [this](const auto& bucket) {
    return std::none_of(tokens_.begin(), tokens_.end(),
                        [&](const Token& token) { return token.digest == bucket.first; });
  });
}

std::variant<const Token*, Problem> Tokens::holder(const runtime::HttpRequest& request) const {
  const std::string_view field = request.header("authorization");
  if (!field.starts_with(kBearer) || request.header_repeated("authorization"))
    return unauthorized();
  const std::string_view given = field.substr(kBearer.size());
  const Hash32 digest = crypto::sha256(as_bytes(given));
  const Token* found = same(digest, fixed_.digest) ? &fixed_ : nullptr;
  for (const Token& token : tokens_) {
    if (same(digest, token.digest)) found = &token;
  }
  if (found == nullptr) return unauthorized();
  return found;
}

std::optional<Problem> Tokens::take(const Token& token, Instant now) {
  if (!token.rate) return std::nullopt;
  const std::int64_t full = token.rate->burst * kMicro;
  const auto [at, fresh] = buckets_.try_emplace(token.digest, Bucket{full, now});
  Bucket& bucket = at->second;
  // Bounded before it is multiplied: an idle day would overflow nothing, an idle year might.
  const std::int64_t idle_us = std::clamp<std::int64_t>((now - bucket.at).us, 0,
                                                        full / token.rate->per_s + 1);
  bucket.micro = std::min(full, bucket.micro + idle_us * token.rate->per_s);
  bucket.at = now;
  if (bucket.micro >= kMicro) {
    bucket.micro -= kMicro;
    return std::nullopt;
  }
  const std::int64_t wait_us = (kMicro - bucket.micro) / token.rate->per_s;
  return Problem{429, "too-many-requests", "This token's rate is used up",
                 "Nothing was proposed by this request; try again with the same key.",
                 static_cast<int>(wait_us / kMicro + 1)};
}

std::optional<Problem> confine(const Token& token, ClientRequestBody& body) {
  const auto* create = std::get_if<CreateWithdrawal>(&body);
  if (create != nullptr && token.scope == Scope::Auditor)
    return forbidden("an auditor's token only reads");
  if (token.scope != Scope::Client) return std::nullopt;
  if (create != nullptr && !owns(token.accounts, create->payment.account))
    return forbidden("account: not one of this token's");
  if (std::holds_alternative<GetBalances>(body))
    return forbidden("a client's token reads /v1/accounts");
  auto* page = std::get_if<GetPage>(&body);
  if (page == nullptr) return std::nullopt;
  for (const std::string& account : page->query.accounts) {
    if (!owns(token.accounts, account)) return forbidden("account: not one of this token's");
  }
  if (page->query.accounts.empty()) page->query.accounts = token.accounts;
  return std::nullopt;
}

ReplyBody confined(const Scope& scope, const std::vector<std::string>& accounts,
                   ReplyBody reply) {
  if (scope != Scope::Client) return reply;
  // A refusal of a create says nothing of another's withdrawal: its account was this client's.
  if (const auto* one = std::get_if<WithdrawalAnswer>(&reply)) {
    if (!owns(accounts, one->view.account)) return unknown();
  } else if (const auto* events = std::get_if<EventsAnswer>(&reply)) {
    if (!owns(accounts, events->view.account)) return unknown();
  }
  return reply;
}

}  // namespace roulette::coordinator
