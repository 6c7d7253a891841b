// Sighashes: what they commit to, and BIP 143's published P2WPKH example.
//
// The official BIP 341 values are in tests/vectors; here stands what a lying coordinator could try.
#include <catch2/catch.hpp>

#include <set>

#include "common/bitcoin/script.h"
#include "common/bitcoin/sighash.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/scheme.h"
#include "common/crypto/schnorr.h"

namespace roulette::bitcoin {
namespace {

ByteArray<32> filled(std::uint8_t byte) {
  ByteArray<32> out;
  out.fill(byte);
  return out;
}

struct Request {
  Transaction tx;
  std::vector<TxOut> prevouts;
};

Request three_inputs() {
  Request out;
  for (std::uint8_t i = 0; i < 3; ++i) {
    TxIn input;
    input.outpoint = {filled(static_cast<std::uint8_t>(0x10 + i)), i};
    input.sequence = kSequenceNoReplacement;
    out.tx.inputs.push_back(input);
    out.prevouts.push_back({50'000 + i, p2tr_script(filled(0x77))});
  }
  out.tx.outputs = {{100'000, p2tr_script(filled(0x01))}, {40'000, p2tr_script(filled(0x77))}};
  return out;
}

std::vector<Hash32> hashes(const Request& request) {
  auto out = taproot_sighashes(request.tx, request.prevouts);
  REQUIRE(out.ok());
  return *out;
}

void check_all_changed(const Request& changed, const std::vector<Hash32>& before) {
  const std::vector<Hash32> after = hashes(changed);
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] != before[i]);
}

TEST_CASE("every input's taproot sighash changes when any prevout's amount or script changes") {
  const std::vector<Hash32> before = hashes(three_inputs());
  CHECK(std::set<Hash32>(before.begin(), before.end()).size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    Request amount = three_inputs();
    amount.prevouts[i].amount_sat += 1;
    check_all_changed(amount, before);
    Request script = three_inputs();
    script.prevouts[i].script[5] ^= 1;
    check_all_changed(script, before);
  }
}

TEST_CASE("every input's taproot sighash changes with any part of the transaction but witnesses") {
  const std::vector<Hash32> before = hashes(three_inputs());
  const auto changed = [&](auto change) {
    Request request = three_inputs();
    change(request.tx);
    check_all_changed(request, before);
  };
  changed([](Transaction& tx) { tx.version = 1; });
  changed([](Transaction& tx) { tx.locktime = 1; });
  changed([](Transaction& tx) { tx.inputs[1].sequence -= 1; });
  changed([](Transaction& tx) { tx.inputs[2].outpoint.vout += 1; });
  changed([](Transaction& tx) { tx.outputs[0].amount_sat += 1; });
  changed([](Transaction& tx) { tx.outputs[1].script.back() ^= 1; });
  changed([](Transaction& tx) { std::swap(tx.outputs[0], tx.outputs[1]); });
  changed([](Transaction& tx) { tx.outputs.pop_back(); });

  Request signed_one = three_inputs();
  signed_one.tx.inputs[0].witness = {Bytes(64, 1)};
  CHECK(hashes(signed_one) == before);
}

TEST_CASE("amounts cannot be moved between two inputs without changing the sighash") {
  const std::vector<Hash32> before = hashes(three_inputs());
  Request request = three_inputs();
  std::swap(request.prevouts[0], request.prevouts[1]);
  check_all_changed(request, before);
}

TEST_CASE("a sighash is refused for a wrong number of prevouts or amounts out of range") {
  Request request = three_inputs();
  request.prevouts.pop_back();
  CHECK_FALSE(TaprootSighash::create(request.tx, request.prevouts).ok());
  request = three_inputs();
  request.prevouts[0].amount_sat = -1;
  CHECK_FALSE(TaprootSighash::create(request.tx, request.prevouts).ok());
  request = three_inputs();
  request.prevouts[0].amount_sat = kMaxMoneySat;
  CHECK_FALSE(TaprootSighash::create(request.tx, request.prevouts).ok());
  request = three_inputs();
  request.tx.outputs[0].amount_sat = INT64_MAX;
  CHECK_FALSE(TaprootSighash::create(request.tx, request.prevouts).ok());
  CHECK_FALSE(TaprootSighash::create(Transaction{}, {}).ok());
}

TEST_CASE("a sighash is refused for an input that is not there and for Single without its output") {
  const Request request = three_inputs();
  const auto sighash = TaprootSighash::create(request.tx, request.prevouts);
  REQUIRE(sighash.ok());
  CHECK_FALSE(sighash->key_path(3).ok());
  CHECK(sighash->key_path(1, SighashType::Single).ok());
  CHECK_FALSE(sighash->key_path(2, SighashType::Single).ok());
  CHECK_FALSE(sighash->key_path(2, SighashType::SingleAnyoneCanPay).ok());
}

TEST_CASE("only the seven hash types of BIP 341 exist") {
  int known = 0;
  for (int byte = 0; byte < 256; ++byte) {
    if (sighash_type(static_cast<std::uint8_t>(byte))) ++known;
  }
  CHECK(known == 7);
  CHECK(sighash_type(0x80) == std::nullopt);
  CHECK(sighash_type(0x83) == SighashType::SingleAnyoneCanPay);
}

// Made and signed by bitcoind's own wallet on regtest: a P2WPKH and a P2TR input.
const char* const kNodeSigned =
    "02000000000102824049e6be6d232a929c518bdcbc4589cbb4ffaf41111b44bbc2fc4aeae8affd0000000000fdff"
    "ffff824049e6be6d232a929c518bdcbc4589cbb4ffaf41111b44bbc2fc4aeae8affd0100000000fdffffff01c0e4"
    "022a010000002251207f13551ac18dd8522c98eb38e82239536d19dccf5edb6ad3da9a5d44f7e2d7600247304402"
    "2047e6f8981c81c45d03d7206f7977a239f3bed34882298bb02d3080a2229528960220461e3fc5a188e5921ff6e6"
    "6611a35cb5729298e303813de924c4bf437dd6cfa90121035acfa31feb7ff2666a63ded60569f019311bae4ad427"
    "84b06566c13543443c380140138dd09a003b5079af873dbb89c7220849f2ac071a732fbcbb3c31204f379b0ffc7c"
    "8215da42ada575de52490f248281c83017a2843d06b04a22a64cce000c7800000000";

TEST_CASE("a signature bitcoind's wallet made verifies against our sighash and no other") {
  const auto tx = parse_transaction_hex(kNodeSigned);
  REQUIRE(tx.ok());
  const Bytes taproot =
      *from_hex("51207f13551ac18dd8522c98eb38e82239536d19dccf5edb6ad3da9a5d44f7e2d760");
  std::vector<TxOut> prevouts = {
      {100'000'000, *from_hex("00144d482f69486c2aee3bd1c1925ac79179bf356bbb")},
      {4'899'900'000, taproot}};
  const auto signature = to_array<64>(tx->inputs[1].witness.at(0));
  REQUIRE(signature);
  const auto key = *p2tr_output_key(taproot);
  CHECK(crypto::schnorr_verify(key, taproot_sighashes(*tx, prevouts).value()[1], *signature));
  CHECK_FALSE(crypto::schnorr_verify(key, taproot_sighashes(*tx, prevouts).value()[0], *signature));
  prevouts[0].amount_sat += 1;
  CHECK_FALSE(crypto::schnorr_verify(key, taproot_sighashes(*tx, prevouts).value()[1], *signature));
}

// BIP 143, "Native P2WPKH".
const char* const kBip143Unsigned =
    "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffff"
    "ef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206"
    "000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42db"
    "ee7e4dbe6a21b2d50ce2f0167faa815988ac11000000";

TEST_CASE("BIP 143's native P2WPKH example has its published sighash") {
  const auto tx = parse_transaction_hex(kBip143Unsigned);
  REQUIRE(tx.ok());
  const TxOut prevout{600'000'000, *from_hex("00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1")};
  CHECK(to_hex(p2wpkh_sighash(*tx, 1, prevout).value()) ==
        "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670");
}

TEST_CASE("a P2WPKH sighash covers its own amount and is refused for other scripts") {
  const auto tx = parse_transaction_hex(kBip143Unsigned);
  REQUIRE(tx.ok());
  TxOut prevout{600'000'000, p2wpkh_script(ByteArray<20>{})};
  const Hash32 before = p2wpkh_sighash(*tx, 1, prevout).value();
  prevout.amount_sat += 1;
  CHECK(p2wpkh_sighash(*tx, 1, prevout).value() != before);
  CHECK_FALSE(p2wpkh_sighash(*tx, 2, prevout).ok());
  prevout.script = p2tr_script(filled(1));
  CHECK_FALSE(p2wpkh_sighash(*tx, 1, prevout).ok());
  CHECK_FALSE(p2wpkh_sighash(*tx, 1, {-1, p2wpkh_script(ByteArray<20>{})}).ok());
}

TEST_CASE("BIP 143's native P2WPKH example is a spend of ours, script, message and witness") {
  const Bytes key =
      *from_hex("025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357");
  const Bytes der = *from_hex(
      "304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c45183315"
      "61406f90300e8f3358f51928d43c212a8caed02de67eebee");
  constexpr auto kForm = crypto::SignatureForm::Ecdsa;
  CHECK(to_hex(wallet_script(kForm, key)) == "00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1");
  const Hash32 published =
      *array_from_hex<32>("c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670");
  const crypto::Scheme& network = crypto::scheme_of(kForm);
  CHECK(network.verify(key, published, der));
  const auto made = witness(kForm, key, der);
  REQUIRE(made.size() == 2);
  CHECK(signature_in(kForm, key, made) == der);
  // Any other hash type, key, order or number of items is no witness of ours.
  auto other = made;
  other[0].back() = 0x81;
  CHECK_FALSE(signature_in(kForm, key, other));
  other = made;
  other[1][0] ^= 1;
  CHECK_FALSE(signature_in(kForm, key, other));
  other = {made[1], made[0]};
  CHECK_FALSE(signature_in(kForm, key, other));
  other = {made[0], made[1], {}};
  CHECK_FALSE(signature_in(kForm, key, other));
  CHECK_FALSE(signature_in(crypto::SignatureForm::Bip340, key, made));
  CHECK(wallet_script(kForm, ByteSpan(key).first(32)).empty());
  CHECK(wallet_script(crypto::SignatureForm::Bip340, key).empty());
}

TEST_CASE("P2WPKH messages want one prevout for each input, amounts in range and the script") {
  const Bytes script = p2wpkh_script(ByteArray<20>{7});
  Transaction tx;
  tx.inputs = {{{Hash32{1}, 0}, {}, kSequenceFinal, {}}, {{Hash32{1}, 1}, {}, kSequenceFinal, {}}};
  tx.outputs = {{1000, script}};
  const auto made = [&](const std::vector<TxOut>& prevouts) {
    return sighashes(crypto::SignatureForm::Ecdsa, tx, prevouts);
  };
  const auto good = made({{700, script}, {800, script}});
  REQUIRE(good.ok());
  REQUIRE(good->size() == 2);
  CHECK((*good)[0] == p2wpkh_sighash(tx, 0, {700, script}).value());
  // Each covers its own amount and no other: who signs must bind them all (DESIGN 6.2).
  const auto lied = made({{700, script}, {801, script}});
  CHECK((*lied)[0] == (*good)[0]);
  CHECK((*lied)[1] != (*good)[1]);
  CHECK_FALSE(made({{700, script}}).ok());
  CHECK_FALSE(made({{700, script}, {-1, script}}).ok());
  CHECK_FALSE(made({{kMaxMoneySat, script}, {1, script}}).ok());
  CHECK_FALSE(made({{700, script}, {800, p2tr_script(Hash32{1})}}).ok());
  tx.inputs.clear();
  CHECK_FALSE(made({}).ok());
}

}  // namespace
}  // namespace roulette::bitcoin
