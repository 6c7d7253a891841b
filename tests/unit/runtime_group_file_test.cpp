// The group file: every scheme's survives, a scheme that is not known is refused by name.
#include <catch2/catch.hpp>

#include <string>

#include "common/runtime/group_file.h"
#include "tests/unit/crypto_fixture.h"

using namespace roulette;
using namespace roulette::crypto;

namespace {

std::string file_of(const SchemeKind& kind) {
  // Any point will do: the key of a token is nobody's to deal.
  const PubKey33 point = generator().serialize();
  if (kind.in_token) return runtime::group_to_json(*kind.group({1, 1, point, {point}}).value());
  test::SeededEntropy entropy(3);
  const std::uint16_t n = kind.facts().form == SignerForm::OneSigner ? 1 : 3;
  const std::uint16_t t = kind.facts().form == SignerForm::AnyThreshold ? 2 : n;
  return runtime::group_to_json(*kind.deal(n, t, entropy).value().group);
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

std::string refusal(const std::string& json) {
  const auto group = runtime::group_from_json(json, "group.json");
  return group.ok() ? "taken" : group.error().message;
}

}  // namespace

TEST_CASE("a group file names its scheme and is read as the same group") {
  for (const SchemeKind& kind : all_schemes()) {
    INFO(kind.facts().name);
    const std::string json = file_of(kind);
    CHECK(json.find("\"scheme\":\"" + std::string(kind.facts().version) + "\"") !=
          std::string::npos);
    const auto group = runtime::group_from_json(json, "group.json");
    REQUIRE(group.ok());
    CHECK(&(*group)->scheme() == &kind.scheme());
    CHECK(runtime::group_to_json(**group) == json);
  }
}

TEST_CASE("a group file of frost is what it was before other schemes were known") {
  const std::string json = file_of(*scheme_by_name("frost"));
  CHECK(json.starts_with("{\"format\":\"roulette-group\",\"version\":1,"
                         "\"scheme\":\"BIP 445 draft 0.12\",\"n\":3,\"t\":2,\n"));
}

TEST_CASE("a group file of an unknown scheme, or with another's name, is refused") {
  const std::string frost = file_of(*scheme_by_name("frost"));
  const std::string version = "BIP 445 draft 0.12";
  CHECK(refusal(replaced(frost, version, "BIP 445 draft 0.11")).find("BIP 445 draft 0.12") !=
        std::string::npos);
  // Its shares are no keys of the others: they do not make the threshold key.
  CHECK(refusal(replaced(frost, version, "BIP 327 1.0")) != "taken");
  CHECK(refusal(replaced(frost, version, "BIP 340")) != "taken");
  const std::string musig2 = file_of(*scheme_by_name("musig2"));
  CHECK(refusal(replaced(musig2, "BIP 327 1.0", version)) != "taken");
}
