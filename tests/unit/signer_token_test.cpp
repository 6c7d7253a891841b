// The token as vault of a share, with SoftHSM: what opens, and each way in which nothing does.
#include <catch2/catch.hpp>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#include "tests/unit/crypto_fixture.h"
#include "tests/unit/soft_token.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using Catch::Matchers::Contains;

namespace {

struct Vault {
  SoftTokens tokens;
  TokenPlace place = tokens.make("signer-0");
  crypto::test::SeededEntropy entropy{7};
  Secret<32> share = entropy.secret();
  crypto::ShareLabel label{SignerId(0), Hash32{5}, 3};

  std::unique_ptr<Token> token() {
    auto opened = Token::open(place);
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
  Bytes seal(Token& in) {
    REQUIRE(in.ensure_key().ok());
    return crypto::seal_with_vault(share, label, in, entropy).value();
  }
};

std::string refusal(const TokenPlace& place) {
  const auto opened = Token::open(place);
  return opened.ok() ? "opened" : opened.error().message;
}

bool same(const Result<Secret<32>>& opened, const Secret<32>& share) {
  return opened.ok() && std::equal(opened->span().begin(), opened->span().end(),
                                   share.span().begin());
}

}  // namespace

TEST_CASE("a share sealed in a token opens there, in this start and in the next", "[token]") {
  Vault v;
  Bytes file;
  {
    const auto token = v.token();
    file = v.seal(*token);
    CHECK(file.size() == crypto::kSealedShareSize);
    CHECK(crypto::sealed_protection(file).value() == crypto::ShareProtection::Token);
    CHECK(same(crypto::unseal_with_vault(file, v.label, *token), v.share));
    CHECK(token->ensure_key().ok());  // again: the same key
    CHECK(same(crypto::unseal_with_vault(file, v.label, *token), v.share));
  }
  const auto token = v.token();
  CHECK(same(crypto::unseal_with_vault(file, v.label, *token), v.share));
  const Secret<32> key = v.entropy.secret();
  CHECK_FALSE(crypto::unseal_with_key_file(file, v.label, key).ok());
}

TEST_CASE("every altered byte, and another label, keep a token's share shut", "[token]") {
  Vault v;
  const auto token = v.token();
  const Bytes file = v.seal(*token);
  for (std::size_t i = 0; i < file.size(); ++i) {
    Bytes altered = file;
    altered[i] ^= 1;
    INFO("byte " << i);
    // Byte 16 and up of the header are the salt, which is bound as well.
    CHECK_FALSE(crypto::unseal_with_vault(altered, v.label, *token).ok());
  }
  crypto::ShareLabel other = v.label;
  other.share_epoch = 4;
  CHECK_FALSE(crypto::unseal_with_vault(file, other, *token).ok());
  Bytes forged = file;  // header and expectation changed alike: the associated data differs
  forged[46] ^= 7;
  other.share_epoch = 3 ^ 7;
  const auto opened = crypto::unseal_with_vault(forged, other, *token);
  REQUIRE_FALSE(opened.ok());
  CHECK_THAT(opened.error().message, Contains("wrong key, or the file was altered"));
}

TEST_CASE("each way a token can be the wrong one has its own words", "[token]") {
  Vault v;
  TokenPlace wrong = v.place;
  wrong.pin_file = v.tokens.write_pin("wrong", "4711471147");
  CHECK_THAT(refusal(wrong), Contains("the PIN is wrong"));
  wrong = v.place;
  wrong.label = "signer-9";
  CHECK_THAT(refusal(wrong), Contains("there is none; the module has signer-0"));
  wrong = v.place;
  wrong.module = "/nowhere/module.so";
  CHECK_THAT(refusal(wrong), Contains("cannot be loaded"));
  wrong = v.place;
  wrong.pin_file = "/nowhere/pin";
  CHECK_THAT(refusal(wrong), Contains("PIN file cannot be opened"));
  REQUIRE(::chmod(v.place.pin_file.c_str(), 0644) == 0);
  CHECK_THAT(refusal(v.place), Contains("0600"));
  REQUIRE(::chmod(v.place.pin_file.c_str(), 0600) == 0);
  {
    const auto token = v.token();
    const auto sealed = crypto::seal_with_vault(v.share, v.label, *token, v.entropy);
    REQUIRE_FALSE(sealed.ok());
    CHECK_THAT(sealed.error().message, Contains("it holds no share vault key"));
  }
  v.tokens.forget_all();
  CHECK_THAT(refusal(v.place), Contains("the module has no token"));
}

TEST_CASE("another signer's token does not open a share", "[token]") {
  Vault v;
  const TokenPlace theirs = v.tokens.make("signer-1");
  Bytes file;
  {
    const auto token = v.token();
    file = v.seal(*token);
  }
  const auto opened = Token::open(theirs);
  REQUIRE(opened.ok());
  REQUIRE((*opened)->ensure_key().ok());
  CHECK_FALSE(crypto::unseal_with_vault(file, v.label, **opened).ok());
}

TEST_CASE("a lost session is opened again, a removed token is not", "[token]") {
  Vault v;
  const auto token = v.token();
  const Bytes file = v.seal(*token);
  void* library = ::dlopen(kSoftHsm, RTLD_NOW);  // the same module that the token uses
  REQUIRE(library != nullptr);
  CK_FUNCTION_LIST* f = nullptr;
  REQUIRE(reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"))(&f) ==
          CKR_OK);
  CK_SLOT_ID slots[8];
  CK_ULONG count = 8;
  REQUIRE(f->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK);
  for (CK_ULONG i = 0; i < count; ++i) (void)f->C_CloseAllSessions(slots[i]);
  CHECK(same(crypto::unseal_with_vault(file, v.label, *token), v.share));
  ::dlclose(library);
}

TEST_CASE("a forked child gets nothing from its parent's token", "[token]") {
  Vault v;
  const auto token = v.token();
  const Bytes file = v.seal(*token);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto opened = crypto::unseal_with_vault(file, v.label, *token);
    const bool refused =
        !opened.ok() && opened.error().message.find("before a fork") != std::string::npos;
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(same(crypto::unseal_with_vault(file, v.label, *token), v.share));
}
