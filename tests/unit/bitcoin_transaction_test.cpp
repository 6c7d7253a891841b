// Transactions: what the parser accepts, refuses, and what sizes and fees come out.
//
// Two real transactions stand as literals: Bitcoin's first payment (block 170) and a regtest one
// that spends P2WPKH and P2TR; their ids and sizes are those bitcoind reports.
#include <catch2/catch.hpp>

#include "common/bitcoin/fees.h"
#include "common/bitcoin/spend.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/transaction.h"

namespace roulette::bitcoin {
namespace {

const char* const kFirstPayment =
    "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402"
    "204e45e16932b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4"
    "acdd12909d831cc56cbbac4622082221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b"
    "13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1ba"
    "ded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482e"
    "cad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000";

const char* const kSegwitSpend =
    "02000000000102824049e6be6d232a929c518bdcbc4589cbb4ffaf41111b44bbc2fc4aeae8affd0000000000fdff"
    "ffff824049e6be6d232a929c518bdcbc4589cbb4ffaf41111b44bbc2fc4aeae8affd0100000000fdffffff01c0e4"
    "022a010000002251207f13551ac18dd8522c98eb38e82239536d19dccf5edb6ad3da9a5d44f7e2d7600247304402"
    "2047e6f8981c81c45d03d7206f7977a239f3bed34882298bb02d3080a2229528960220461e3fc5a188e5921ff6e6"
    "6611a35cb5729298e303813de924c4bf437dd6cfa90121035acfa31feb7ff2666a63ded60569f019311bae4ad427"
    "84b06566c13543443c380140138dd09a003b5079af873dbb89c7220849f2ac071a732fbcbb3c31204f379b0ffc7c"
    "8215da42ada575de52490f248281c83017a2843d06b04a22a64cce000c7800000000";

Transaction parsed(std::string_view hex) {
  const auto tx = parse_transaction_hex(hex);
  REQUIRE(tx.ok());
  return *tx;
}

std::string refusal(std::string_view hex) {
  const auto tx = parse_transaction_hex(hex);
  if (tx.ok()) return "";
  CHECK(tx.error().kind == ErrorKind::Corrupt);
  return tx.error().message;
}

ByteArray<32> filled(std::uint8_t byte) {
  ByteArray<32> out;
  out.fill(byte);
  return out;
}

// A spend of the wallet's coins, signed with nonsense of the right size.
Transaction key_path_spend(std::size_t inputs, std::vector<TxOut> outputs) {
  Transaction tx;
  for (std::size_t i = 0; i < inputs; ++i) {
    TxIn input;
    input.outpoint = {filled(0xab), static_cast<std::uint32_t>(i)};
    input.witness = {Bytes(64, 0x5a)};
    tx.inputs.push_back(std::move(input));
  }
  tx.outputs = std::move(outputs);
  return tx;
}

TEST_CASE("a known transaction has its known txid, size and contents") {
  const Transaction tx = parsed(kFirstPayment);
  CHECK(txid_to_hex(txid(tx)) ==
        "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16");
  CHECK(wtxid(tx) == txid(tx));
  CHECK_FALSE(tx.has_witness());
  CHECK_FALSE(tx.is_coinbase());
  CHECK(tx.inputs.size() == 1);
  CHECK(total_amount(tx.outputs) == 5'000'000'000);
  CHECK(weight(tx) == 4 * 275);
  CHECK(vsize(tx) == 275);
  CHECK(to_text(tx.inputs[0].outpoint) ==
        "0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9:0");
}

TEST_CASE("a witness changes the wtxid and the weight but not the txid") {
  Transaction tx = parsed(kSegwitSpend);
  CHECK(txid_to_hex(txid(tx)) ==
        "09fcc547677e1ffc5598973fca802b5460da9a0785596171f249c3400b5c93f3");
  CHECK(txid_to_hex(wtxid(tx)) ==
        "3d5904c7540fc3c1209064ffc7372fb48fad168a94d479b8fe4435e3d198d0f5");
  CHECK(weight(tx) == 715);
  CHECK(vsize(tx) == 179);
  CHECK(tx.inputs[1].witness.at(0).size() == 64);
  const Hash32 before = txid(tx);
  const Hash32 witnessed = wtxid(tx);
  tx.inputs[1].witness[0][0] ^= 1;
  CHECK(txid(tx) == before);
  CHECK(wtxid(tx) != witnessed);
}

TEST_CASE("parsing and serializing are inverse, with and without the witness") {
  for (const char* hex : {kFirstPayment, kSegwitSpend}) {
    const Transaction tx = parsed(hex);
    CHECK(to_hex(serialize(tx)) == hex);
    Transaction stripped = tx;
    for (TxIn& input : stripped.inputs) input.witness.clear();
    CHECK(serialize(stripped) == serialize_without_witness(tx));
    CHECK(parsed(to_hex(serialize_without_witness(tx))) == stripped);
  }
}

TEST_CASE("no proper prefix of a transaction parses, nor one with a byte more") {
  for (const char* hex : {kFirstPayment, kSegwitSpend}) {
    const Bytes whole = *from_hex(hex);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      INFO("prefix of " << n << " bytes");
      CHECK_FALSE(parse_transaction(ByteSpan(whole).first(n)).ok());
    }
    Bytes longer = whole;
    longer.push_back(0);
    const auto more = parse_transaction(longer);
    REQUIRE_FALSE(more.ok());
    CHECK(more.error().message == "transaction: bytes follow the transaction");
  }
}

TEST_CASE("whatever parses after any single byte was changed serializes to exactly its bytes") {
  for (const char* hex : {kFirstPayment, kSegwitSpend}) {
    Bytes bytes = *from_hex(hex);
    std::size_t accepted = 0;
    std::size_t refused = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::uint8_t original = bytes[i];
      for (const int value : {0, 1, 2, 0x7f, 0xfc, 0xfd, 0xfe, 0xff}) {
        bytes[i] = static_cast<std::uint8_t>(value);
        const auto tx = parse_transaction(bytes);
        if (tx.ok()) {
          CHECK(serialize(*tx) == bytes);
          ++accepted;
        } else {
          ++refused;
        }
      }
      bytes[i] = original;
    }
    CHECK(accepted > 100);
    CHECK(refused > 50);
  }
}

// version 1, one input of outpoint 11..11:0 with an empty script, the given outputs, locktime 0
std::string with_outputs(const std::string& outputs) {
  const std::string txid(64, '1');
  return "0100000001" + txid + "00000000" + "00" + "ffffffff" + outputs + "00000000";
}

TEST_CASE("a compact size that is not the shortest is refused") {
  CHECK(refusal(with_outputs("01" "0100000000000000" "0151")) == "");
  CHECK(refusal(with_outputs("fd0100" "0100000000000000" "0151")) ==
        "transaction: a compact size is not minimal");
  CHECK(refusal(with_outputs("01" "0100000000000000" "fd010051")) ==
        "transaction: a compact size is not minimal");
  CHECK(refusal(with_outputs("01" "0100000000000000" "fe0100000051")) ==
        "transaction: a compact size is not minimal");
  CHECK(refusal(with_outputs("01" "0100000000000000" "ff010000000000000051")) ==
        "transaction: a compact size is not minimal");
  CHECK(refusal(with_outputs("01" "0100000000000000" "feffff000051")) ==
        "transaction: a compact size is not minimal");
}

TEST_CASE("a count or length beyond the bytes that follow is refused before memory is taken") {
  CHECK(refusal(with_outputs("ffffffffffffffffff" "0100000000000000" "0151")) ==
        "transaction: a count exceeds the bytes that follow");
  CHECK(refusal(with_outputs("01" "0100000000000000" "feffffff7f51")) ==
        "transaction: a count exceeds the bytes that follow");
  CHECK(refusal("01000000" "feffffff00") == "transaction: a count exceeds the bytes that follow");
}

TEST_CASE("many inputs and outputs of the smallest possible size parse") {
  Transaction tx = key_path_spend(100, std::vector<TxOut>(100, TxOut{1, {}}));
  CHECK(parsed(to_hex(serialize_without_witness(tx))).inputs.size() == 100);
  tx.outputs.resize(1);
  CHECK(parsed(to_hex(serialize_without_witness(tx))).outputs.size() == 1);
}

TEST_CASE("amounts outside 0 to 21 million coins are refused, each alone and in sum") {
  CHECK(refusal(with_outputs("01" "0040075af0750700" "00")) == "");  // exactly all coins
  const std::string why = "transaction: an amount or their sum is out of range";
  CHECK(refusal(with_outputs("01" "0140075af0750700" "00")) == why);
  CHECK(refusal(with_outputs("01" "ffffffffffffffff" "00")) == why);
  CHECK(refusal(with_outputs("01" "ffffffffffffff7f" "00")) == why);
  CHECK(refusal(with_outputs("02" "0040075af0750700" "00" "0100000000000000" "00")) == why);
}

TEST_CASE("adding money never leaves the range") {
  CHECK(add_money(1, 2) == 3);
  CHECK(add_money(kMaxMoneySat, 0) == kMaxMoneySat);
  CHECK(add_money(kMaxMoneySat, 1) == std::nullopt);
  CHECK(add_money(-1, 1) == std::nullopt);
  CHECK(add_money(INT64_MAX, INT64_MAX) == std::nullopt);
  CHECK(add_money(INT64_MIN, 1) == std::nullopt);
}

TEST_CASE("a transaction without inputs or outputs, or with a stray marker, is refused") {
  CHECK(refusal(with_outputs("00")) == "transaction: no outputs");
  CHECK(refusal("01000000" "0001" "0000000000") == "transaction: no inputs");
  CHECK(refusal("01000000" "0002") == "transaction: no inputs, or an unknown segwit flag");
  // BIP 144: marker and flag, but every witness is empty
  std::string empty = with_outputs("01" "0100000000000000" "0151");
  empty.insert(empty.size() - 8, "00");
  empty.insert(8, "0001");
  CHECK(refusal(empty) == "transaction: the witness section is empty");
}

TEST_CASE("an outpoint spent twice and an input that spends nothing are refused") {
  Transaction tx = key_path_spend(2, {{1000, Bytes{0x51}}});
  CHECK(parse_transaction(serialize(tx)).ok());
  tx.inputs[1].outpoint = tx.inputs[0].outpoint;
  CHECK(refusal(to_hex(serialize(tx))) == "transaction: an outpoint is spent twice");
  tx.inputs[1].outpoint = {Hash32{}, 0xffffffff};
  CHECK(refusal(to_hex(serialize(tx))) == "transaction: an input spends nothing");
}

TEST_CASE("a transaction of absurd size and text that is not hex are refused") {
  CHECK(refusal(std::string(2 * kMaxTransactionBytes + 2, '0')) ==
        "transaction: more than 4000000 bytes");
  const Transaction huge = key_path_spend(1, {{1, Bytes(kMaxTransactionBytes, 0x51)}});
  const auto parsed_huge = parse_transaction(serialize(huge));
  REQUIRE_FALSE(parsed_huge.ok());
  CHECK(parsed_huge.error().message == "transaction: more than 4000000 bytes");
  CHECK(refusal("0g") == "transaction: not hex");
  CHECK(refusal("") == "transaction: the bytes end too early");
}

TEST_CASE("a txid is shown reversed and read back") {
  Hash32 hash{};
  hash[0] = 0x12;
  hash[31] = 0xab;
  const std::string hex = txid_to_hex(hash);
  CHECK(hex.substr(0, 2) == "ab");
  CHECK(hex.substr(62) == "12");
  CHECK(txid_from_hex(hex) == hash);
  CHECK(txid_from_hex(hex.substr(2)) == std::nullopt);
  CHECK(txid_from_hex(std::string(63, '0') + "x") == std::nullopt);
}

TEST_CASE("outpoints order by txid, then by index") {
  CHECK(OutPoint{filled(1), 5} < OutPoint{filled(2), 0});
  CHECK(OutPoint{filled(1), 0} < OutPoint{filled(1), 1});
  CHECK(OutPoint{filled(1), 1} == OutPoint{filled(1), 1});
}

TEST_CASE("the size estimate equals the signed transaction's size for 1 to 300 inputs") {
  const TxOut taproot{1000, p2tr_script(filled(3))};
  const TxOut key_hash{1000, p2wpkh_script(ByteArray<20>{})};
  const TxOut long_script{1000, Bytes(300, 0x51)};
  const std::vector<std::vector<TxOut>> shapes = {
      {taproot}, {taproot, key_hash}, {key_hash}, {taproot, long_script},
      std::vector<TxOut>(260, taproot)};
  for (const auto& outputs : shapes) {
    for (const std::size_t inputs : {1, 2, 3, 4, 5, 6, 7, 8, 252, 253, 300}) {
      INFO(inputs << " inputs, " << outputs.size() << " outputs");
      const Transaction tx = key_path_spend(inputs, outputs);
      CHECK(signed_weight(crypto::SignatureForm::Bip340, inputs, outputs) == weight(tx));
      CHECK(signed_vsize(crypto::SignatureForm::Bip340, inputs, outputs) == vsize(tx));
      Transaction by_hash = tx;  // the longest low-S signature there is, and a shorter one
      for (TxIn& input : by_hash.inputs) input.witness = {Bytes(72, 1), Bytes(33, 2)};
      CHECK(signed_weight(crypto::SignatureForm::Ecdsa, inputs, outputs) == weight(by_hash));
      by_hash.inputs[0].witness[0].pop_back();
      CHECK(signed_weight(crypto::SignatureForm::Ecdsa, inputs, outputs) == weight(by_hash) + 1);
    }
  }
}

TEST_CASE("a fee is the rate times the size, rounded up, and never overflows") {
  CHECK(fee_sat(sat_per_vbyte(5), 179) == 895);
  CHECK(fee_sat(FeeRate{1001}, 1) == 2);
  CHECK(fee_sat(FeeRate{1000}, 1) == 1);
  CHECK(fee_sat(FeeRate{1}, 1) == 1);
  CHECK(fee_sat(FeeRate{0}, 1000) == 0);
  CHECK(fee_sat(FeeRate{-1}, 1) == std::nullopt);
  CHECK(fee_sat(FeeRate{1}, -1) == std::nullopt);
  CHECK(fee_sat(FeeRate{INT64_MAX}, 2) == std::nullopt);
  CHECK(fee_sat(FeeRate{2'100'000'000'000'000'000}, 1) == kMaxMoneySat);
  CHECK(fee_sat(FeeRate{2'100'000'000'000'000'000}, 2) == std::nullopt);
}

}  // namespace
}  // namespace roulette::bitcoin
