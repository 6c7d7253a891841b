// The clients file: what it says is what the list checks; anything odd is refused with its place.
#include <catch2/catch.hpp>

#include <string>

#include "common/bitcoin/address.h"
#include "common/runtime/clients_file.h"

using namespace roulette;

namespace {

crypto::Ed25519Key key() {
  Secret<32> seed;
  seed.data()[0] = 5;
  return crypto::Ed25519Key::from_seed(std::move(seed)).value();
}

const std::string kAddress = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202";

std::string file_text() {
  return R"({"format":"roulette-clients","version":1,
 "clients":[{"name":"shop","public_key":")" +
         to_hex(key().public_key()) + R"(","accounts":["alpha"]}],
 "accounts":[{"name":"alpha","max_amount_sat":5000,"addresses":[")" +
         kAddress + R"("]},{"name":"bravo","max_amount_sat":7}]})";
}

std::string replaced(const std::string& what, const std::string& with) {
  std::string text = file_text();
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

std::string refusal(const std::string& json) {
  const auto list = runtime::clients_from_json(json, "clients.json", "c1");
  return list.ok() ? "taken" : list.error().message;
}

}  // namespace

TEST_CASE("a clients file is read as the list that it says") {
  const auto list = runtime::clients_from_json(file_text(), "clients.json", "c1");
  INFO((list.ok() ? "" : list.error().message));
  REQUIRE(list.ok());
  const Bytes script = bitcoin::script_from_address(kAddress).value();
  const auto check = [&](const wire::PaymentRequest& request) {
    const wire::ClientSignature by{
        "shop", key().sign(wire::signed_text("c1", "shop", request)).value()};
    const auto no = (*list)->check(request, by);
    return no ? no->detail : std::string("yes");
  };
  CHECK(check({"k", "alpha", script, 5000}) == "yes");
  CHECK(check({"k", "alpha", script, 5001}).find("at most 5000") != std::string::npos);
  CHECK(check({"k", "alpha", Bytes{0}, 5}).find("not pay to this address") != std::string::npos);
  CHECK(check({"k", "bravo", script, 5}).find("may not pay from") != std::string::npos);
}

TEST_CASE("a clients file that is odd is refused with the place") {
  CHECK(refusal(file_text()) == "taken");
  const auto names = [](const std::string& text, const std::string& place) {
    INFO(text);
    return text.find("clients.json") != std::string::npos && text.find(place) != std::string::npos;
  };
  CHECK(names(refusal(replaced("roulette-clients", "roulette-group")), "format"));
  CHECK(names(refusal(replaced("\"version\":1", "\"version\":2")), "version"));
  CHECK(names(refusal(replaced("public_key\":\"", "public_key\":\"zz")), "public_key"));
  CHECK(names(refusal(replaced("[\"alpha\"]", "[\"alpha\",\"alpha\"]")), "'alpha' twice"));
  CHECK(names(refusal(replaced("[\"alpha\"]", "[\"gamma\"]")), "'gamma' has no rule"));
  CHECK(names(refusal(replaced("\"bravo\"", "\"alpha\"")), "name: stands twice"));
  CHECK(names(refusal(replaced(kAddress, "bc1q")), "addresses"));
  CHECK(names(refusal(replaced("5000", "0")), "max_amount_sat"));
  CHECK(names(refusal(replaced("\"max_amount_sat\":7", "\"max_amount_sat\":7,\"x\":1")), "x"));
  CHECK(names(refusal("{"), "clients.json"));
  const auto missing = runtime::read_clients_file("/nowhere/clients.json", "c1");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().kind == ErrorKind::Preflight);
}

TEST_CASE("without a clients file there is no list, and the metric says so") {
  const auto none = runtime::configured_clients({}, "c1");
  REQUIRE(none.ok());
  CHECK(*none == nullptr);
  runtime::Metrics metrics;
  runtime::show_listed_clients(metrics, *none);
  CHECK(metrics.text().find("roulette_listed_clients 0\n") != std::string::npos);
  runtime::show_listed_clients(metrics, *runtime::clients_from_json(file_text(), "f", "c1"));
  CHECK(metrics.text().find("roulette_listed_clients 1\n") != std::string::npos);
  // A path that is configured and missing is an error, never "anybody".
  CHECK_FALSE(runtime::configured_clients("/nowhere/clients.json", "c1").ok());
}
