// BIP 341's official wallet vectors, as far as they concern scripts, addresses and sighashes.
//
// Read from ../shared/vectors beside the project; without them the tests say "skipped: no vectors".
// Keys, tweaks and signatures of the same file are common/crypto's tests.
#include <catch2/catch.hpp>

#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/bitcoin/address.h"
#include "common/bitcoin/sighash.h"

namespace roulette::bitcoin {
namespace {

using nlohmann::json;

std::optional<json> wallet_vectors() {
  std::ifstream in(std::string(ROULETTE_SOURCE_DIR) +
                   "/../shared/vectors/bips/bip-0341_wallet-test-vectors.json");
  if (!in) {
    std::cout << "skipped: no vectors\n";
    return std::nullopt;
  }
  return json::parse(in);
}

struct KeyPathCase {
  Transaction unsigned_tx;
  std::vector<TxOut> prevouts;
};

KeyPathCase given(const json& spending) {
  KeyPathCase out;
  const auto tx = parse_transaction_hex(spending["given"]["rawUnsignedTx"].get<std::string>());
  REQUIRE(tx.ok());
  out.unsigned_tx = *tx;
  for (const json& utxo : spending["given"]["utxosSpent"]) {
    out.prevouts.push_back({utxo["amountSats"].get<std::int64_t>(),
                            *from_hex(utxo["scriptPubKey"].get<std::string>())});
  }
  return out;
}

TEST_CASE("BIP 341 wallet vectors: each output key has its script and its mainnet address") {
  const auto vectors = wallet_vectors();
  if (!vectors) return;
  std::size_t checked = 0;
  for (const json& entry : (*vectors)["scriptPubKey"]) {
    const auto key = array_from_hex<32>(entry["intermediary"]["tweakedPubkey"].get<std::string>());
    const std::string script_hex = entry["expected"]["scriptPubKey"];
    const std::string address = entry["expected"]["bip350Address"];
    REQUIRE(key);
    const Bytes script = p2tr_script(*key);
    CHECK(to_hex(script) == script_hex);
    CHECK(p2tr_output_key(script) == key);
    CHECK(address_from_script(script, kMainnetHrp).value() == address);
    CHECK(script_from_address(address, kMainnetHrp).value() == script);
    CHECK_FALSE(script_from_address(address, kRegtestHrp).ok());
    ++checked;
  }
  CHECK(checked == 7);
}

TEST_CASE("BIP 341 wallet vectors: the shared hashes are computed once and are right") {
  const auto vectors = wallet_vectors();
  if (!vectors) return;
  for (const json& spending : (*vectors)["keyPathSpending"]) {
    const KeyPathCase c = given(spending);
    const auto sighash = TaprootSighash::create(c.unsigned_tx, c.prevouts);
    REQUIRE(sighash.ok());
    const std::map<std::string, Hash32> computed = {
        {"hashAmounts", sighash->hash_amounts()},
        {"hashOutputs", sighash->hash_outputs()},
        {"hashPrevouts", sighash->hash_prevouts()},
        {"hashScriptPubkeys", sighash->hash_scripts()},
        {"hashSequences", sighash->hash_sequences()},
    };
    CHECK(spending["intermediary"].size() == computed.size());
    for (const auto& [name, hash] : computed) {
      CHECK(spending["intermediary"][name].get<std::string>() == to_hex(hash));
    }
  }
}

TEST_CASE("BIP 341 wallet vectors: every input's message and sighash of every hash type") {
  const auto vectors = wallet_vectors();
  if (!vectors) return;
  std::size_t checked = 0;
  for (const json& spending : (*vectors)["keyPathSpending"]) {
    const KeyPathCase c = given(spending);
    const auto sighash = TaprootSighash::create(c.unsigned_tx, c.prevouts);
    REQUIRE(sighash.ok());
    for (const json& input : spending["inputSpending"]) {
      const auto index = input["given"]["txinIndex"].get<std::size_t>();
      const auto type = sighash_type(input["given"]["hashType"].get<std::uint8_t>());
      REQUIRE(type);
      CHECK(to_hex(sighash->message(index, *type).value()) ==
            input["intermediary"]["sigMsg"].get<std::string>());
      CHECK(to_hex(sighash->key_path(index, *type).value()) ==
            input["intermediary"]["sigHash"].get<std::string>());
      ++checked;
    }
  }
  CHECK(checked == 7);
}

TEST_CASE("BIP 341 wallet vectors: the signed transaction is the unsigned one with its witnesses") {
  const auto vectors = wallet_vectors();
  if (!vectors) return;
  for (const json& spending : (*vectors)["keyPathSpending"]) {
    Transaction expected = given(spending).unsigned_tx;
    const std::string hex = spending["auxiliary"]["fullySignedTx"];
    const auto tx = parse_transaction_hex(hex);
    REQUIRE(tx.ok());
    CHECK(to_hex(serialize(*tx)) == hex);
    CHECK(tx->has_witness());
    for (const json& input : spending["inputSpending"]) {
      const auto index = input["given"]["txinIndex"].get<std::size_t>();
      CHECK(to_hex(tx->inputs[index].witness.at(0)) ==
            input["expected"]["witness"].at(0).get<std::string>());
    }
    for (std::size_t i = 0; i < expected.inputs.size(); ++i) {
      expected.inputs[i].witness = tx->inputs[i].witness;
      expected.inputs[i].script_sig = tx->inputs[i].script_sig;  // two inputs are legacy spends
    }
    CHECK(*tx == expected);
  }
}

}  // namespace
}  // namespace roulette::bitcoin
