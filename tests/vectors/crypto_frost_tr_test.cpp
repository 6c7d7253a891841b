// The official vectors of FROST-secp256k1-SHA256-TR-v1 (signing) against frost_tr.h: nonces,
// binding factors, shares, signature. Its files on key generation and share repair are of things
// this project does not do; identifiers beyond 128 no signer of it has.
#include "common/crypto/frost_tr.h"
#include "tests/vectors/crypto_files.h"

namespace roulette::crypto::test {
namespace {

using nlohmann::json;

SignerId id_of(const json& one) {
  return SignerId(static_cast<std::uint16_t>(one.at("identifier").get<int>() - 1));
}

frost::PubNonce commitments_of(const json& one) {
  frost::PubNonce out{};
  const auto d = hex_array<33>(one.at("hiding_nonce_commitment"));
  const auto e = hex_array<33>(one.at("binding_nonce_commitment"));
  std::copy(e.begin(), e.end(), std::copy(d.begin(), d.end(), out.begin()));
  return out;
}

}  // namespace

TEST_CASE("frost-secp256k1-tr vectors: nonces, binding factors, shares and signature hold") {
  const auto all = json_vectors("frost-secp256k1-tr/vectors.json");
  if (!all) return;
  const json& inputs = all->at("inputs");
  std::vector<frost::SecretShare> shares;
  std::vector<frost::PubShare33> publics;
  for (const json& one : inputs.at("participant_shares")) {
    shares.push_back(
        frost::SecretShare::create(id_of(one),
                                   Secret<32>(hex_array<32>(one.at("participant_share"))))
            .value());
    publics.push_back(shares.back().public_share());
  }
  const auto key = public_key(Secret<32>(hex_array<32>(inputs.at("group_secret_key")))).value();
  const auto group = frost::Group::create(3, 2, key, publics).value();
  const auto context = frost::TweakContext::create(key).value();
  CHECK(to_hex(context.output_key()) ==
        inputs.at("verifying_key_key").get<std::string>().substr(2));

  const json& outputs = all->at("round_one_outputs").at("outputs");
  std::vector<SignerId> ids;
  std::vector<frost::PubNonce> nonces;
  std::vector<frost::SecNonce> secrets;
  for (const json& one : outputs) {
    ids.push_back(id_of(one));
    const auto& share = shares[ids.back().value()];
    auto nonce = frost_tr::nonce_gen(
        Secret<32>(hex_array<32>(one.at("hiding_nonce_randomness"))),
        Secret<32>(hex_array<32>(one.at("binding_nonce_randomness"))), share);
    REQUIRE(nonce.ok());
    const Bytes made(nonce->secret().span().begin(), nonce->secret().span().end());
    CHECK(to_hex(made) == one.at("hiding_nonce").get<std::string>() +
                              one.at("binding_nonce").get<std::string>());
    CHECK(nonce->public_nonce() == commitments_of(one));
    nonces.push_back(nonce->public_nonce());
    secrets.push_back(std::move(*nonce));
  }
  const auto quorum = frost::Quorum::create(group, context, ids).value();
  const auto opened =
      frost_tr::Session::open(quorum, nonces, hex_bytes(inputs.at("message"))).value();
  const auto& session = std::get<frost_tr::Session>(opened);
  std::vector<frost::PartialSig> parts;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(session.parts()[i].binding_factor == hex_array<32>(outputs.at(i).at("binding_factor")));
    const auto part =
        frost_tr::sign(std::move(secrets[i]), shares[ids[i].value()], session);
    REQUIRE(part.ok());
    CHECK(*part == hex_array<32>(
                       all->at("round_two_outputs").at("outputs").at(i).at("sig_share")));
    parts.push_back(*part);
  }
  const auto signature = frost_tr::aggregate(session, parts).value();
  CHECK(std::get<Signature>(signature) == hex_array<64>(all->at("final_output").at("sig")));
}

}  // namespace roulette::crypto::test
