// Who may ask what of the HTTP API: the tokens in force, their scopes and their rates.
//
// Invariant: only SHA-256 digests of tokens are kept and compared, in constant time, against all
// tokens whatever matches. A set that does not parse never replaces the one in force. A plain hash
// is enough because tokens are random (128 bits at least): there is no dictionary to slow down, and
// a digest that is read from disk cannot be turned into its token. No I/O here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/runtime/http_message.h"
#include "coordinator/app/routes.h"
#include "coordinator/core/coordinator.h"

namespace roulette::coordinator {

inline constexpr std::size_t kMaxTokens = 1024;
inline constexpr std::int64_t kMostRequestsPerSecond = 1'000'000;

// Of a token, not of a process (role) or a person (duty).
enum class Scope : std::uint8_t {
  Client,    // creates withdrawals and reads, of its own accounts alone
  Operator,  // everything
  Auditor    // reads everything, creates nothing
};

// A token bucket: `burst` requests at once, then `per_s` a second. Nothing: unlimited.
struct Rate {
  std::int64_t per_s = 0;
  std::int64_t burst = 0;
  friend bool operator==(const Rate&, const Rate&) = default;
};

struct Token {
  std::string name;  // as logs and metrics spell it
  Scope scope = Scope::Operator;
  std::vector<std::string> accounts;  // of a client: its own
  Hash32 digest{};
  std::optional<Rate> rate;
};

// The tokens file (docs/CONFIG.md); `rate` is for tokens that name none.
[[nodiscard]] Result<std::vector<Token>> tokens_from_json(std::string_view json,
                                                          const std::string& name,
                                                          const std::optional<Rate>& rate);

class Tokens {
 public:
  // `fixed` stands beside every set: the run's own token.
  explicit Tokens(Token fixed) : fixed_(std::move(fixed)) {}
  // Buckets of tokens that stay (by digest) stay as full as they are: a rotation refills nobody.
  void replace(std::vector<Token> tokens);

  // Whose request this is; 401 when nobody's.
  [[nodiscard]] std::variant<const Token*, Problem> holder(
      const runtime::HttpRequest& request) const;
  // Takes one from the holder's bucket; a 429 with Retry-After when it is empty.
  [[nodiscard]] std::optional<Problem> take(const Token& token, Instant now);
  [[nodiscard]] std::size_t size() const { return tokens_.size() + 1; }

 private:
  struct Bucket {
    std::int64_t micro = 0;  // millionths of a request
    Instant at;
  };
  Token fixed_;
  std::vector<Token> tokens_;
  std::map<Hash32, Bucket> buckets_;
};

// The request within the token's scope: narrowed to a client's accounts, or a 403.
[[nodiscard]] std::optional<Problem> confine(const Token& token, ClientRequestBody& body);
// The reply as far as the token may see it: another client's withdrawal is unknown to it.
[[nodiscard]] ReplyBody confined(const Scope& scope, const std::vector<std::string>& accounts,
                                 ReplyBody reply);

}  // namespace roulette::coordinator
