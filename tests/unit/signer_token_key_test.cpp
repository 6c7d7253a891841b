// The signing key of `hsm` in a SoftHSM token: made once, never twice, and it signs as it should.
#include <catch2/catch.hpp>

#include <set>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#include "common/crypto/hash.h"
#include "tests/unit/crypto_fixture.h"
#include "tests/unit/soft_token.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using Catch::Matchers::Contains;

namespace {

std::unique_ptr<Token> opened(const TokenPlace& place) {
  auto token = Token::open(place);
  if (!token) FAIL(token.error().message);
  return std::move(token).value();
}

Hash32 digest_of(int number) { return crypto::sha256(as_bytes(std::to_string(number))); }

bool signs_under(const crypto::PubKey33& key, const Hash32& digest,
                 const crypto::CompactEcdsa& made) {
  const auto low = crypto::with_low_s(made);
  return low && crypto::ecdsa_verify(key, digest, crypto::der_of(*low).value());
}

// The same module beside the token's own use of it: what else somebody put there.
class Beside {
 public:
  Beside() : library_(::dlopen(kSoftHsm, RTLD_NOW)) {
    REQUIRE(library_ != nullptr);
    const auto list = reinterpret_cast<CK_C_GetFunctionList>(
        ::dlsym(library_, "C_GetFunctionList"));
    REQUIRE(list(&f_) == CKR_OK);
    CK_SLOT_ID slots[8];
    CK_ULONG count = 8;
    REQUIRE(f_->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK);
    REQUIRE(f_->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                              &session_) == CKR_OK);
  }
  ~Beside() { ::dlclose(library_); }
  // A pair under our label; the halves that are not wanted are taken away again.
  void make_pair(bool extractable, bool keep_public, bool keep_private) {
    CK_BBOOL yes = CK_TRUE, may_leave = extractable ? CK_TRUE : CK_FALSE;
    std::string label = "quorum-roulette signing key", id = "made beside";
    std::uint8_t curve[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a};
    CK_ATTRIBUTE open[] = {{CKA_TOKEN, &yes, sizeof yes},
                           {CKA_EC_PARAMS, curve, sizeof curve},
                           {CKA_LABEL, label.data(), label.size()},
                           {CKA_ID, id.data(), id.size()}};
    CK_ATTRIBUTE secret[] = {{CKA_TOKEN, &yes, sizeof yes},
                             {CKA_PRIVATE, &yes, sizeof yes},
                             {CKA_SIGN, &yes, sizeof yes},
                             {CKA_EXTRACTABLE, &may_leave, sizeof may_leave},
                             {CKA_LABEL, label.data(), label.size()},
                             {CKA_ID, id.data(), id.size()}};
    CK_MECHANISM make{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
    CK_OBJECT_HANDLE halves[2];
    REQUIRE(f_->C_GenerateKeyPair(session_, &make, open, 4, secret, 6, &halves[0], &halves[1]) ==
            CKR_OK);
    if (!keep_public) REQUIRE(f_->C_DestroyObject(session_, halves[0]) == CKR_OK);
    if (!keep_private) REQUIRE(f_->C_DestroyObject(session_, halves[1]) == CKR_OK);
  }
  [[nodiscard]] CK_ULONG objects() {
    CK_OBJECT_HANDLE found[16];
    CK_ULONG count = 0;
    REQUIRE(f_->C_FindObjectsInit(session_, nullptr, 0) == CKR_OK);
    REQUIRE(f_->C_FindObjects(session_, found, 16, &count) == CKR_OK);
    REQUIRE(f_->C_FindObjectsFinal(session_) == CKR_OK);
    return count;
  }

 private:
  void* library_;
  CK_FUNCTION_LIST* f_ = nullptr;
  CK_SESSION_HANDLE session_ = CK_INVALID_HANDLE;
};

std::string refusal(const Result<crypto::PubKey33>& key) {
  return key.ok() ? "taken" : key.error().message;
}

}  // namespace

TEST_CASE("half a pair is passed over and left alone: coins may lie behind it", "[token]") {
  SoftTokens tokens;
  const TokenPlace place = tokens.make("signer-0");
  crypto::test::SeededEntropy entropy(7);
  const auto token = opened(place);
  Beside beside;
  beside.make_pair(false, true, false);
  CHECK_THAT(refusal(token->signing_key(entropy)), Contains("no signing key"));
  beside.make_pair(false, false, true);
  // The halves have one id here, and make no pair: what signs does not fit what is shown.
  CHECK_THAT(refusal(token->signing_key(entropy)), Contains("do not fit each other"));
  CHECK(beside.objects() == 2);
}

TEST_CASE("half a pair of a kill does not keep a token from making its key", "[token]") {
  SoftTokens tokens;
  const TokenPlace place = tokens.make("signer-0");
  crypto::test::SeededEntropy entropy(7);
  const auto token = opened(place);
  Beside beside;
  const bool public_half = GENERATE(true, false);
  beside.make_pair(false, public_half, !public_half);
  const auto key = token->ensure_signing_key(entropy);
  REQUIRE(key.ok());
  CHECK(signs_under(*key, digest_of(1), token->sign(digest_of(1)).value()));
  CHECK(beside.objects() == 3);
}

TEST_CASE("a key that may leave the token is refused, and none is made beside it", "[token]") {
  SoftTokens tokens;
  const TokenPlace place = tokens.make("signer-0");
  crypto::test::SeededEntropy entropy(7);
  const auto token = opened(place);
  Beside beside;
  beside.make_pair(true, true, true);
  CHECK_THAT(refusal(token->signing_key(entropy)), Contains("may leave it"));
  CHECK_THAT(refusal(token->ensure_signing_key(entropy)), Contains("may leave it"));
}

TEST_CASE("a token makes its signing key once, and another start finds the same", "[token]") {
  SoftTokens tokens;
  const TokenPlace place = tokens.make("signer-0");
  crypto::test::SeededEntropy entropy(7);
  crypto::PubKey33 key{};
  {
    const auto token = opened(place);
    const auto none = token->signing_key(entropy);
    REQUIRE_FALSE(none.ok());
    CHECK_THAT(none.error().message, Contains("it holds no signing key"));
    key = token->ensure_signing_key(entropy).value();
    CHECK(token->ensure_signing_key(entropy).value() == key);
  }
  const auto token = opened(place);
  CHECK(token->signing_key(entropy).value() == key);
}

TEST_CASE("a token's signatures verify, about half with high S, and no two are the same",
          "[token]") {
  SoftTokens tokens;
  crypto::test::SeededEntropy entropy(7);
  const auto token = opened(tokens.make("signer-0"));
  const auto key = token->ensure_signing_key(entropy).value();
  std::set<crypto::CompactEcdsa> made;
  int high = 0;
  for (int i = 0; i < 64; ++i) {
    const auto signature = token->sign(digest_of(i / 2));
    REQUIRE(signature.ok());
    CHECK(signs_under(key, digest_of(i / 2), *signature));
    CHECK_FALSE(signs_under(key, digest_of(i + 100), *signature));
    high += crypto::with_low_s(*signature).value() == *signature ? 0 : 1;
    made.insert(*signature);
  }
  CHECK(high > 8);
  CHECK(high < 56);
  CHECK(made.size() == 64);  // also of one digest: the nonce is the token's, fresh each time
}

TEST_CASE("another signer's token has another key", "[token]") {
  SoftTokens tokens;
  crypto::test::SeededEntropy entropy(7);
  const TokenPlace ours = tokens.make("signer-0"), theirs = tokens.make("signer-1");
  const auto key = opened(ours)->ensure_signing_key(entropy).value();
  const auto token = opened(theirs);
  CHECK_FALSE(token->signing_key(entropy).ok());
  CHECK(token->ensure_signing_key(entropy).value() != key);
}

TEST_CASE("a forked child signs nothing with its parent's session", "[token]") {
  SoftTokens tokens;
  crypto::test::SeededEntropy entropy(7);
  const auto token = opened(tokens.make("signer-0"));
  const auto key = token->ensure_signing_key(entropy).value();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto made = token->sign(digest_of(1));
    const bool refused =
        !made.ok() && made.error().message.find("before a fork") != std::string::npos;
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(signs_under(key, digest_of(1), token->sign(digest_of(1)).value()));
}

TEST_CASE("a token is initialised where there is none, by its PIN files, and only once",
          "[token]") {
  SoftTokens tokens;
  const auto so_pin = tokens.write_pin("so", "8765432187654321");
  TokenPlace place{kSoftHsm, "new", tokens.write_pin("new", "1234567812345678"), {}, seconds(5)};
  crypto::test::SeededEntropy entropy(7);
  REQUIRE(Token::initialize(place, so_pin).ok());
  const auto key = opened(place)->ensure_signing_key(entropy).value();
  REQUIRE(Token::initialize(place, so_pin).ok());  // it is there: nothing is done
  CHECK(opened(place)->signing_key(entropy).value() == key);
  place.label = std::string(33, 'x');
  CHECK_FALSE(Token::initialize(place, so_pin).ok());
}
