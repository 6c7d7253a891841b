// BIP 340's official vectors, and the part of BIP 341's wallet vectors that concerns keys, tweaks
// and signatures.
//
// Scripts, addresses and sighashes of the same file are common/bitcoin's tests.
#include <array>

#include "common/crypto/schnorr.h"
#include "common/crypto/taproot.h"
#include "tests/vectors/crypto_files.h"

using namespace roulette;
using namespace roulette::crypto;
using namespace roulette::crypto::test;
using nlohmann::json;

namespace {

struct SchnorrVector {
  std::string index, secret, key, aux, message, signature;
  bool valid = false;
};

// index,secret key,public key,aux_rand,message,signature,verification result,comment
std::vector<SchnorrVector> schnorr_vectors(std::ifstream& in) {
  std::vector<SchnorrVector> out;
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::array<std::string, 7> fields;
    std::size_t at = 0;
    for (std::string& field : fields) {
      const std::size_t comma = line.find(',', at);
      REQUIRE(comma != std::string::npos);
      field = line.substr(at, comma - at);
      at = comma + 1;
    }
    out.push_back({fields[0], fields[1], fields[2], fields[3], fields[4], fields[5],
                   fields[6] == "TRUE"});
  }
  return out;
}

Secret<32> secret_of(const Bytes& raw) {
  const auto array = to_array<32>(raw).value();
  return Secret<32>(std::span<const std::uint8_t, 32>(array));
}

std::optional<Hash32> root_of(const json& value) {
  if (value.is_null()) return std::nullopt;
  return hex_array<32>(value);
}

}  // namespace

TEST_CASE("BIP 340 vectors verify or fail as stated") {
  auto in = open_vectors("bips/bip-0340_test-vectors.csv");
  if (!in) return;
  std::size_t valid = 0;
  std::size_t invalid = 0;
  for (const SchnorrVector& v : schnorr_vectors(*in)) {
    INFO("vector " << v.index);
    const bool verified =
        schnorr_verify(array_from_hex<32>(v.key).value(), from_hex(v.message).value(),
                       array_from_hex<64>(v.signature).value());
    CHECK(verified == v.valid);
    ++(v.valid ? valid : invalid);
  }
  CHECK(valid == 9);
  CHECK(invalid == 10);
}

TEST_CASE("BIP 340 vectors with a secret key sign to the stated bytes") {
  auto in = open_vectors("bips/bip-0340_test-vectors.csv");
  if (!in) return;
  std::size_t signed_count = 0;
  for (const SchnorrVector& v : schnorr_vectors(*in)) {
    if (v.secret.empty()) continue;
    INFO("vector " << v.index);
    const Secret<32> key = secret_of(from_hex(v.secret).value());
    CHECK(xonly(public_key(key).value()) == array_from_hex<32>(v.key).value());
    const auto signature = schnorr_sign(key, from_hex(v.message).value(),
                                        array_from_hex<32>(v.aux).value());
    CHECK(signature.value() == array_from_hex<64>(v.signature).value());
    ++signed_count;
  }
  CHECK(signed_count == 8);
}

TEST_CASE("BIP 341 vectors: an internal key and a root give the stated tweak and output key") {
  const auto vectors = json_vectors("bips/bip-0341_wallet-test-vectors.json");
  if (!vectors) return;
  CHECK((*vectors)["scriptPubKey"].size() == 7);
  for (const auto& v : (*vectors)["scriptPubKey"]) {
    const auto internal = hex_array<32>(v["given"]["internalPubkey"]);
    const auto& intermediary = v["intermediary"];
    std::optional<Hash32> root;
    if (intermediary.contains("merkleRoot")) root = root_of(intermediary["merkleRoot"]);
    CHECK(taptweak(internal, root).value() == hex_array<32>(intermediary["tweak"]));
    const auto output = output_key(internal, root).value();
    CHECK(output.tweak == hex_array<32>(intermediary["tweak"]));
    CHECK(output.key == hex_array<32>(intermediary["tweakedPubkey"]));
    if (!v["expected"].contains("scriptPathControlBlocks")) continue;
    for (const auto& block : v["expected"]["scriptPathControlBlocks"]) {
      CHECK(((hex_bytes(block)[0] & 1) != 0) == output.odd_parity);  // BIP 341: its last bit
    }
  }
}

TEST_CASE("BIP 341 vectors: key-path spends tweak the secret and sign to the stated witness") {
  const auto vectors = json_vectors("bips/bip-0341_wallet-test-vectors.json");
  if (!vectors) return;
  std::size_t inputs = 0;
  for (const auto& spend : (*vectors)["keyPathSpending"]) {
    for (const auto& input : spend["inputSpending"]) {
      INFO("input " << input["given"]["txinIndex"]);
      const Secret<32> key = secret_of(hex_bytes(input["given"]["internalPrivkey"]));
      const auto internal = xonly(public_key(key).value());
      const auto root = root_of(input["given"]["merkleRoot"]);
      CHECK(internal == hex_array<32>(input["intermediary"]["internalPubkey"]));
      CHECK(taptweak(internal, root).value() == hex_array<32>(input["intermediary"]["tweak"]));
      const Secret<32> tweaked = output_secret(key, root).value();
      CHECK(to_hex(tweaked.span()) == input["intermediary"]["tweakedPrivkey"]);
      const auto sighash = hex_array<32>(input["intermediary"]["sigHash"]);
      const auto signature = schnorr_sign(tweaked, sighash, {}).value();  // the file's aux is zero
      const std::string witness = input["expected"]["witness"][0];
      CHECK(to_hex(signature) == witness.substr(0, 128));  // a sighash type byte may follow
      CHECK(schnorr_verify(output_key(internal, root).value().key, sighash, signature));
      ++inputs;
    }
  }
  CHECK(inputs == 7);
}
