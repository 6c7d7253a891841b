// The official vectors of BIP 327 against musig2.h, as far as libsecp256k1's module can be asked:
// messages have 32 bytes there, a nonce is made without an aggregate key that is not made of keys,
// and deterministic signing does not exist. What is left out is counted.
#include "common/crypto/musig2.h"
#include "tests/vectors/crypto_files.h"

namespace roulette::crypto::test {
namespace {

using nlohmann::json;
using musig2::InvalidContribution;
using musig2::KeyAgg;

std::optional<json> file(const std::string& name) {
  return json_vectors("bips/bip-0327_vectors_" + name + "_vectors.json");
}

template <std::size_t N>
std::vector<ByteArray<N>> pick(const json& all, const json& indices) {
  std::vector<ByteArray<N>> out;
  for (const json& i : indices) out.push_back(hex_array<N>(all.at(i.get<std::size_t>())));
  return out;
}

// The keys' aggregate with the case's tweaks, or what is to blame.
Result<std::variant<KeyAgg, InvalidContribution>> aggregate_of(const json& all, const json& one) {
  auto made = KeyAgg::create(pick<33>(all.at("pubkeys"), one.at("key_indices")));
  if (!made || !std::holds_alternative<KeyAgg>(*made) || !one.contains("tweak_indices"))
    return made;
  auto& keys = std::get<KeyAgg>(*made);
  for (std::size_t i = 0; i < one.at("tweak_indices").size(); ++i) {
    const auto value =
        hex_array<32>(all.at("tweaks").at(one.at("tweak_indices").at(i).get<std::size_t>()));
    const bool x_only = one.at("is_xonly").at(i);
    if (const Status done = keys.tweak(
            value, x_only ? musig2::TweakMode::XOnly : musig2::TweakMode::Plain);
        !done)
      return done.error();
  }
  return made;
}

KeyAgg keys_of(const json& all, const json& one) {
  auto made = aggregate_of(all, one);
  REQUIRE(made.ok());
  REQUIRE(std::holds_alternative<KeyAgg>(*made));
  return std::get<KeyAgg>(*made);
}

musig2::SecNonce secret_nonce(const json& bytes) {
  const Bytes whole = hex_bytes(bytes);
  REQUIRE(whole.size() == 97);
  Secret<64> scalars(std::span<const std::uint8_t, 64>(whole.data(), 64));
  return musig2::SecNonce::from_bytes(scalars, *to_array<33>(ByteSpan(whole).subspan(64)));
}

musig2::AggNonce sum_of(const json& all, const json& one) {
  return std::get<musig2::AggNonce>(
      musig2::nonce_agg(pick<66>(all.at("pnonces"), one.at("nonce_indices"))));
}

}  // namespace

TEST_CASE("BIP 327 key_agg_vectors hold") {
  const auto all = file("key_agg");
  if (!all) return;
  for (const json& one : all->at("valid_test_cases"))
    CHECK(keys_of(*all, one).output_key() == hex_array<32>(one.at("expected")));
  for (const json& one : all->at("error_test_cases")) {
    INFO(one.at("comment"));
    const auto made = aggregate_of(*all, one);
    const json& error = one.at("error");
    if (error.at("type") == "value") {
      CHECK_FALSE(made.ok());
    } else {
      REQUIRE(made.ok());
      CHECK(std::get<InvalidContribution>(*made).index == error.at("signer").get<std::size_t>());
    }
  }
}

TEST_CASE("BIP 327 nonce_agg_vectors hold") {
  const auto all = file("nonce_agg");
  if (!all) return;
  for (const json& one : all->at("valid_test_cases")) {
    const auto sum = musig2::nonce_agg(pick<66>(all->at("pnonces"), one.at("pnonce_indices")));
    CHECK(std::get<musig2::AggNonce>(sum) == hex_array<66>(one.at("expected")));
  }
  for (const json& one : all->at("error_test_cases")) {
    INFO(one.at("comment"));
    const auto sum = musig2::nonce_agg(pick<66>(all->at("pnonces"), one.at("pnonce_indices")));
    CHECK(std::get<InvalidContribution>(sum).index ==
          one.at("error").at("signer").get<std::size_t>());
  }
}

TEST_CASE("BIP 327 nonce_gen_vectors hold where the module takes their input") {
  const auto all = file("nonce_gen");
  if (!all) return;
  std::size_t reached = 0;
  for (const json& one : all->at("test_cases")) {
    if (!one.at("aggpk").is_null() || !one.at("msg").is_null()) continue;
    ++reached;
    std::optional<ByteArray<32>> extra;
    if (!one.at("extra_in").is_null()) extra = hex_array<32>(one.at("extra_in"));
    std::optional<Secret<32>> secret;
    if (!one.at("sk").is_null()) secret.emplace(hex_array<32>(one.at("sk")));
    const auto nonce = musig2::nonce_gen(Secret<32>(hex_array<32>(one.at("rand_"))),
                                         secret ? &*secret : nullptr, hex_array<33>(one.at("pk")),
                                         extra);
    REQUIRE(nonce.ok());
    CHECK(nonce->public_nonce() == hex_array<66>(one.at("expected_pubnonce")));
  }
  CHECK(reached == 1);  // the others give an aggregate key by its bytes
}

TEST_CASE("BIP 327 sign_verify_vectors hold for messages of 32 bytes") {
  const auto all = file("sign_verify");
  if (!all) return;
  const Secret<32> secret(hex_array<32>(all->at("sk")));
  const auto message = [&](const json& one) {
    return to_array<32>(hex_bytes(all->at("msgs").at(one.at("msg_index").get<std::size_t>())));
  };
  std::size_t reached = 0;
  for (const json& one : all->at("valid_test_cases")) {
    if (!message(one)) continue;
    ++reached;
    const auto signer = one.at("signer_index").get<std::size_t>();
    const auto nonces = pick<66>(all->at("pnonces"), one.at("nonce_indices"));
    const auto sum =
        hex_array<66>(all->at("aggnonces").at(one.at("aggnonce_index").get<std::size_t>()));
    CHECK(std::get<musig2::AggNonce>(musig2::nonce_agg(nonces)) == sum);
    const auto session = musig2::Session::open(keys_of(*all, one), sum, *message(one)).value();
    const auto share = musig2::sign(secret_nonce(all->at("secnonces").at(0)), secret, session);
    REQUIRE(share.ok());
    CHECK(*share == hex_array<32>(one.at("expected")));
    CHECK(musig2::verify_share(session, session.keys().keys()[signer], nonces[signer], *share));
  }
  CHECK(reached == 4);  // of 6; one message is empty, one has 38 bytes
  for (const json& one : all->at("sign_error_test_cases")) {
    INFO(one.at("comment"));
    auto keys = aggregate_of(*all, one);
    REQUIRE(keys.ok());
    if (one.at("error").contains("contrib") && one.at("error").at("contrib") == "pubkey") {
      CHECK(std::get<InvalidContribution>(*keys).index ==
            one.at("error").at("signer").get<std::size_t>());
      continue;
    }
    const auto sum =
        hex_array<66>(all->at("aggnonces").at(one.at("aggnonce_index").get<std::size_t>()));
    const auto session = musig2::Session::open(std::get<KeyAgg>(*keys), sum, *message(one));
    if (one.at("error").contains("contrib")) {
      CHECK_FALSE(session.ok());
      continue;
    }
    REQUIRE(session.ok());
    auto nonce =
        secret_nonce(all->at("secnonces").at(one.at("secnonce_index").get<std::size_t>()));
    CHECK_FALSE(musig2::sign(std::move(nonce), secret, *session).ok());
  }
}

TEST_CASE("BIP 327 sign_verify_vectors: wrong shares fail and bad contributions are named") {
  const auto all = file("sign_verify");
  if (!all) return;
  for (const char* section : {"verify_fail_test_cases", "verify_error_test_cases"}) {
    for (const json& one : all->at(section)) {
      INFO(one.at("comment"));
      const auto keys = aggregate_of(*all, one);
      REQUIRE(keys.ok());
      const auto nonces = pick<66>(all->at("pnonces"), one.at("nonce_indices"));
      const auto sum = musig2::nonce_agg(nonces);
      if (one.contains("error")) {
        const auto blamed = one.at("error").at("signer").get<std::size_t>();
        if (one.at("error").at("contrib") == "pubkey")
          CHECK(std::get<InvalidContribution>(*keys).index == blamed);
        else
          CHECK(std::get<InvalidContribution>(sum).index == blamed);
        continue;
      }
      const auto session = musig2::Session::open(
          std::get<KeyAgg>(*keys), std::get<musig2::AggNonce>(sum),
          *to_array<32>(hex_bytes(all->at("msgs").at(one.at("msg_index").get<std::size_t>()))));
      const auto signer = one.at("signer_index").get<std::size_t>();
      CHECK_FALSE(musig2::verify_share(*session, session->keys().keys()[signer], nonces[signer],
                                       hex_array<32>(one.at("sig"))));
    }
  }
}

TEST_CASE("BIP 327 tweak_vectors hold") {
  const auto all = file("tweak");
  if (!all) return;
  const Secret<32> secret(hex_array<32>(all->at("sk")));
  for (const json& one : all->at("valid_test_cases")) {
    INFO(one.at("comment"));
    const auto signer = one.at("signer_index").get<std::size_t>();
    const auto session = musig2::Session::open(keys_of(*all, one), sum_of(*all, one),
                                               hex_array<32>(all->at("msg")))
                             .value();
    const auto share = musig2::sign(secret_nonce(all->at("secnonce")), secret, session);
    REQUIRE(share.ok());
    CHECK(*share == hex_array<32>(one.at("expected")));
    const auto nonces = pick<66>(all->at("pnonces"), one.at("nonce_indices"));
    CHECK(musig2::verify_share(session, session.keys().keys()[signer], nonces[signer], *share));
  }
  for (const json& one : all->at("error_test_cases")) CHECK_FALSE(aggregate_of(*all, one).ok());
}

TEST_CASE("BIP 327 sig_agg_vectors hold") {
  const auto all = file("sig_agg");
  if (!all) return;
  const auto message = hex_array<32>(all->at("msg"));
  for (const json& one : all->at("valid_test_cases")) {
    const KeyAgg keys = keys_of(*all, one);
    const auto sum = hex_array<66>(one.at("aggnonce"));
    CHECK(sum_of(*all, one) == sum);
    const auto session = musig2::Session::open(keys, sum, message).value();
    const auto made =
        musig2::aggregate(session, pick<32>(all->at("psigs"), one.at("psig_indices")));
    CHECK(std::get<Signature>(made) == hex_array<64>(one.at("expected")));
    CHECK(schnorr_verify(keys.output_key(), message, std::get<Signature>(made)));
  }
  for (const json& one : all->at("error_test_cases")) {
    const auto session =
        musig2::Session::open(keys_of(*all, one), hex_array<66>(one.at("aggnonce")), message)
            .value();
    const auto made =
        musig2::aggregate(session, pick<32>(all->at("psigs"), one.at("psig_indices")));
    CHECK(std::get<InvalidContribution>(made).index ==
          one.at("error").at("signer").get<std::size_t>());
  }
}

}  // namespace roulette::crypto::test
