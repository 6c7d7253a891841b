// A token that is removed, slow, refusing, hanging, or refuses the PIN: each is a refusal in words,
// in bounded time, and costs no key.
#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "common/crypto/hash.h"
#include "signer/token/bounded_calls.h"
#include "tests/unit/crypto_fixture.h"
#include "tests/unit/faulty_token.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using Catch::Matchers::Contains;

namespace {

const Hash32 kDigest = crypto::sha256(as_bytes("a sighash"));

std::string refusal(const TokenPlace& place) {
  const auto opened = Token::open(place);
  return opened.ok() ? "opened" : opened.error().message;
}

std::string refusal(const Result<crypto::CompactEcdsa>& made) {
  return made.ok() ? "signed" : made.error().message;
}

std::int64_t ms_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               began)
      .count();
}

}  // namespace

TEST_CASE("a wrong PIN is tried once, however often the signer is started", "[token]") {
  FaultyTokens faulty;
  TokenPlace place = faulty.make("signer-0");
  const auto right = place.pin_file;
  place.pin_file = faulty.tokens.write_pin("wrong", "4711471147");
  CHECK_THAT(refusal(place), Contains("the PIN is wrong"));
  CHECK(faulty.noted("login") == 1);
  for (int start = 0; start < 20; ++start) CHECK_THAT(refusal(place), Contains("not tried again"));
  CHECK(faulty.noted("login") == 1);
  // A file that was written anew is another PIN, right or wrong.
  faulty.tokens.write_pin("wrong", "47114711470");
  CHECK_THAT(refusal(place), Contains("the PIN is wrong"));
  CHECK(faulty.noted("login") == 2);
  CHECK_THAT(refusal(place), Contains("not tried again"));
  place.pin_file = right;
  CHECK(refusal(place) == "opened");
  CHECK(faulty.noted("login") == 3);
}

TEST_CASE("a lost session is opened again once, and signing goes on", "[token]") {
  FaultyTokens faulty;
  crypto::test::SeededEntropy entropy(7);
  const auto token = std::move(Token::open(faulty.make("signer-0"))).value();
  REQUIRE(token->ensure_signing_key(entropy).ok());
  faulty.tell("sign session-lost");
  CHECK_THAT(refusal(token->sign(kDigest)), Contains("the session was lost"));
  CHECK(faulty.noted("sign session-lost") == 2);
  CHECK(faulty.noted("login") == 2);
  faulty.tell("");
  CHECK(refusal(token->sign(kDigest)) == "signed");
}

TEST_CASE("a removed or refusing token says so, and signs again when it is back", "[token]") {
  FaultyTokens faulty;
  crypto::test::SeededEntropy entropy(7);
  const auto token = std::move(Token::open(faulty.make("signer-0"))).value();
  REQUIRE(token->ensure_signing_key(entropy).ok());
  faulty.tell("all removed");
  CHECK_THAT(refusal(token->sign(kDigest)), Contains("the token was removed"));
  CHECK_THAT(refusal(token->sign(kDigest)), Contains("the token was removed"));
  faulty.tell("sign refuse");
  CHECK_THAT(refusal(token->sign(kDigest)), Contains("the token refuses"));
  faulty.tell("");
  CHECK(refusal(token->sign(kDigest)) == "signed");
  CHECK_FALSE(token->hangs());
}

TEST_CASE("a vault key that fails now is left alone and seals again later", "[token]") {
  FaultyTokens faulty;
  crypto::test::SeededEntropy entropy(7);
  const crypto::ShareLabel label{SignerId(0), Hash32{5}, 3};
  const Secret<32> share = entropy.secret();
  const auto token = std::move(Token::open(faulty.make("signer-0"))).value();
  REQUIRE(token->ensure_key().ok());
  const Bytes file = crypto::seal_with_vault(share, label, *token, entropy).value();
  for (const char* how : {"crypt refuse", "crypt removed", "crypt session-lost", "find refuse"}) {
    faulty.tell(how);
    INFO(how);
    CHECK_FALSE(token->ensure_key().ok());
  }
  CHECK(faulty.noted("destroyed") == 0);
  faulty.tell("");
  CHECK(token->ensure_key().ok());
  CHECK(crypto::unseal_with_vault(file, label, *token).ok());
}

TEST_CASE("a slow token is waited for, one that hangs for its patience and no longer", "[token]") {
  FaultyTokens faulty;
  crypto::test::SeededEntropy entropy(7);
  // In a child, for what hangs there is never joined.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int failures = 0;
    const auto expect = [&](bool good) { failures += good ? 0 : 1; };
    TokenPlace place = faulty.make("signer-0");
    place.patience = milliseconds(3000);  // a loaded machine is slower than any token
    auto token = std::move(Token::open(place)).value();
    expect(token->ensure_signing_key(entropy).ok());
    faulty.tell("sign slow 100");
    expect(token->sign(kDigest).ok());
    faulty.tell("sign hang");
    {  // shorter than its patience: one line of the module, and a signature
      std::jthread ends([&](const std::stop_token& stop) {
        while (faulty.noted("sign hang") == 0 && !stop.stop_requested())
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        faulty.tell("");
      });
      expect(token->sign(kDigest).ok());
    }
    expect(faulty.noted("sign hang") == 1 && !token->hangs());
    faulty.tell("sign hang");
    auto began = std::chrono::steady_clock::now();
    const auto hung = token->sign(kDigest);
    expect(!hung.ok() &&
           hung.error().message.find("has not answered for 3000 ms") != std::string::npos);
    expect(ms_since(began) >= 3000);
    expect(token->hangs() && any_call_hangs());
    faulty.tell("");
    began = std::chrono::steady_clock::now();
    expect(!token->sign(kDigest).ok());  // given up for good, and at once
    expect(ms_since(began) < 3000);
    token.reset();  // waits for nobody
    ::_exit(failures);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a start at a token that hangs ends with the reason", "[token]") {
  FaultyTokens faulty;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    TokenPlace place = faulty.make("signer-0");
    place.patience = milliseconds(300);
    faulty.tell("session hang");
    const auto token = Token::open(place);
    ::_exit(!token.ok() && token.error().kind == ErrorKind::Preflight &&
                    token.error().message.find("has not answered for 300 ms") != std::string::npos
                ? 0
                : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}
