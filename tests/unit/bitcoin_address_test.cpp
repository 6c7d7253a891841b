// Addresses and scripts: the examples of BIP 173 and BIP 350, and what a refusal says.
//
// Texts marked as such are the BIPs' published test vectors.
#include <catch2/catch.hpp>

#include "common/bitcoin/address.h"

namespace roulette::bitcoin {
namespace {

std::string refusal(std::string_view address, std::string_view hrp = kRegtestHrp) {
  const auto script = script_from_address(address, hrp);
  if (script.ok()) return "";
  CHECK(script.error().kind == ErrorKind::Refused);
  return script.error().message;
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

const char* const kRegtestTaproot =
    "bcrt1p0uf42xkp3hv9ytycavuwsg3e2dk3nhx0tmdk4576nfw5falz6asq3jvrcz";
const char* const kRegtestKeyHash = "bcrt1qf4yz762gds4wuw73cxf943u30xln26am5zf9tr";

TEST_CASE("BIP 173 and BIP 350: valid checksums are accepted under their own variant and encode "
          "back") {
  const std::vector<std::string> bech32 = {
      "A12UEL5L", "a12uel5l",
      "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
      "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
      "11" + std::string(82, 'q') + "c8247j",
      "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", "?1ezyfcl"};
  const std::vector<std::string> bech32m = {
      "A1LQFN3A", "a1lqfn3a",
      "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
      "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
      "11" + std::string(82, 'l') + "ludsr8",
      "split1checkupstagehandshakeupstreamerranterredcaperredlc445v", "?1v759aa"};
  const auto check = [](const std::vector<std::string>& texts, Bech32Variant variant) {
    for (const std::string& text : texts) {
      INFO(text);
      const auto decoded = decode_bech32(text);
      REQUIRE(decoded.ok());
      CHECK(decoded->variant == variant);
      CHECK(encode_bech32(*decoded) == lower_case(text));
    }
  };
  check(bech32, Bech32Variant::Bech32);
  check(bech32m, Bech32Variant::Bech32m);
}

TEST_CASE("BIP 173 and BIP 350: invalid checksums and texts are refused") {
  const std::vector<std::string> invalid = {
      // BIP 173
      "\x20" "1nwldj5", "\x7f" "1axkwrx", "\x80" "1eym55h",
      "an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx",
      "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "de1lg7wt\xff", "A1G7SGD8",
      "10a06t8", "1qzzfhee",
      // BIP 350
      "\x20" "1xj0phk", "\x7f" "1g6xzxy", "\x80" "1vctc34",
      "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
      "qyrz8wqd2c9m", "1qyrz8wqd2c9m", "y1b0jsk6g", "lt1igcx5c0", "in1muywd", "mm1crxm3i",
      "au1s5cgom", "M1VUXWEZ", "16plkw9", "1p2gdwpf"};
  for (const std::string& text : invalid) {
    INFO(text);
    CHECK_FALSE(decode_bech32(text).ok());
  }
}

TEST_CASE("BIP 350: valid segwit addresses name their scripts and encode back") {
  const std::vector<std::pair<std::string, std::string>> valid = {
      {"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
       "0014751e76e8199196d454941c45d1b3a323f1433bd6"},
      {"tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
       "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"},
      {"bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
       "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6"},
      {"BC1SW50QGDZ25J", "6002751e"},
      {"bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "5210751e76e8199196d454941c45d1b3a323"},
      {"tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
       "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"},
      {"tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
       "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"},
      {"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
       "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"}};
  for (const auto& [address, script_hex] : valid) {
    INFO(address);
    const std::string hrp = lower_case(address.substr(0, 2));
    const auto program = decode_segwit_address(address, hrp);
    REQUIRE(program.ok());
    CHECK(to_hex(witness_script(*program)) == script_hex);
    CHECK(witness_program(*from_hex(script_hex)) == *program);
    CHECK(encode_segwit_address(*program, hrp).value() == lower_case(address));
  }
}

TEST_CASE("BIP 350: invalid segwit addresses are refused with what is wrong") {
  const auto check = [](const char* address, const char* hrp, const char* why) {
    const auto program = decode_segwit_address(address, hrp);
    INFO(address);
    REQUIRE_FALSE(program.ok());
    CHECK(program.error().message.find(why) != std::string::npos);
  };
  check("tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut", "tb", "wrong network");
  check("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "bc",
        "Bech32m is wanted");
  check("tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf", "tb",
        "Bech32m is wanted");
  check("BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL", "bc",
        "Bech32m is wanted");
  check("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", "bc", "Bech32 is wanted");
  check("tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47", "tb", "Bech32 is wanted");
  check("bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "bc",
        "'o' at position 60 is not a Bech32 character");
  check("BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R", "bc",
        "witness version 17 does not exist");
  check("bc1pw5dgrnzv", "bc", "a witness program of 1 bytes");
  check("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav", "bc",
        "a witness program of 41 bytes");
  check("BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "bc", "a version 0 witness program of 16 bytes");
  check("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq", "tb", "case are mixed");
  check("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf", "bc", "padding");
  check("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j", "tb", "padding");
  check("bc1gmk9yu", "bc", "no witness version");
}

TEST_CASE("a node's regtest addresses name their scripts") {
  CHECK(to_hex(script_from_address(kRegtestTaproot).value()) ==
        "51207f13551ac18dd8522c98eb38e82239536d19dccf5edb6ad3da9a5d44f7e2d760");
  CHECK(to_hex(script_from_address(kRegtestKeyHash).value()) ==
        "00144d482f69486c2aee3bd1c1925ac79179bf356bbb");
}

TEST_CASE("scripts and addresses of the three payable types round trip on regtest") {
  ByteArray<32> key;
  ByteArray<20> hash;
  for (int seed = 0; seed < 64; ++seed) {
    for (std::size_t i = 0; i < 32; ++i) {
      key[i] = static_cast<std::uint8_t>(seed * 37 + static_cast<int>(i) * 11);
    }
    for (std::size_t i = 0; i < 20; ++i) hash[i] = key[i + 7];
    for (const Bytes& script : {p2tr_script(key), p2wpkh_script(hash), p2wsh_script(key)}) {
      const auto address = address_from_script(script);
      REQUIRE(address.ok());
      CHECK(address->substr(0, 5) == "bcrt1");
      CHECK(script_from_address(*address).value() == script);
    }
  }
}

TEST_CASE("a mistyped character is refused and located, wherever it stands") {
  for (const std::string good : {kRegtestTaproot, kRegtestKeyHash}) {
    for (std::size_t i = 5; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = bad[i] == 'q' ? 'p' : 'q';
      CHECK(refusal(bad) == "address: the checksum does not match; the wrong character is "
                            "probably at position " + std::to_string(i + 1));
    }
  }
}

TEST_CASE("two mistyped characters are refused without a guess where") {
  std::string bad = kRegtestTaproot;
  bad[10] = bad[10] == 'q' ? 'p' : 'q';
  bad[30] = bad[30] == 'q' ? 'p' : 'q';
  CHECK(refusal(bad) == "address: the checksum does not match");
}

TEST_CASE("an address of another network is refused by that network's name") {
  CHECK(refusal("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0") ==
        "address: wrong network: an address of mainnet (bc) where one of regtest (bcrt) is wanted");
  CHECK(refusal("tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c") ==
        "address: wrong network: an address of testnet (tb) where one of regtest (bcrt) is wanted");
}

TEST_CASE("legacy base58 addresses are refused as such") {
  for (const char* address :
       {"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc"}) {
    CHECK(refusal(address) ==
          "address: a legacy base58 address; only segwit addresses (bcrt1...) are paid");
  }
}

TEST_CASE("witness versions that anyone could spend are not paid") {
  const auto later = encode_segwit_address({2, Bytes(32, 7)});
  REQUIRE(later.ok());
  CHECK(refusal(*later).find("witness version 2 with 32 bytes") != std::string::npos);
  const auto anchor = encode_segwit_address({1, Bytes{0x4e, 0x73}});
  REQUIRE(anchor.ok());
  CHECK(refusal(*anchor).find("witness version 1 with 2 bytes") != std::string::npos);
}

TEST_CASE("scripts are recognised by their exact bytes") {
  const ByteArray<32> key{1};
  CHECK(classify(p2tr_script(key)) == ScriptType::P2tr);
  CHECK(p2tr_output_key(p2tr_script(key)) == key);
  CHECK(classify(p2wsh_script(key)) == ScriptType::P2wsh);
  CHECK(p2tr_output_key(p2wsh_script(key)) == std::nullopt);
  CHECK(classify(p2wpkh_script({})) == ScriptType::P2wpkh);
  const std::string hash(40, '2');
  CHECK(classify(*from_hex("76a914" + hash + "88ac")) == ScriptType::P2pkh);
  CHECK(classify(*from_hex("a914" + hash + "87")) == ScriptType::P2sh);
  CHECK(classify(*from_hex("6a0401020304")) == ScriptType::NullData);
  CHECK(classify(*from_hex("5120" + hash)) == ScriptType::Other);        // too short a push
  CHECK(classify(*from_hex("0010" + hash.substr(8))) == ScriptType::Other);  // version 0, 16 bytes
  CHECK(classify(*from_hex("5220" + hash + hash.substr(16))) == ScriptType::FutureWitness);
  CHECK(classify(*from_hex("76a914" + hash + "88ad")) == ScriptType::Other);
  CHECK(classify(*from_hex("a914" + hash + "88")) == ScriptType::Other);
  CHECK(classify({}) == ScriptType::Other);
  CHECK_FALSE(address_from_script(*from_hex("76a914" + hash + "88ac")).ok());
}

TEST_CASE("dust limits are those bitcoind applies") {
  const std::string hash(40, '2');
  CHECK(dust_limit_sat(p2tr_script({})) == 330);
  CHECK(dust_limit_sat(p2wsh_script({})) == 330);
  CHECK(dust_limit_sat(p2wpkh_script({})) == 294);
  CHECK(dust_limit_sat(*from_hex("76a914" + hash + "88ac")) == 546);
  CHECK(dust_limit_sat(*from_hex("a914" + hash + "87")) == 540);
  CHECK(dust_limit_sat(*from_hex("6a0401020304")) == 0);
}

}  // namespace
}  // namespace roulette::bitcoin
