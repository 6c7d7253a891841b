// Blocks and the node's answers: a real regtest block and the error texts bitcoind 29 gives.
//
// The block was read by `getblock <hash> 0` at height 112: a coinbase and a transaction that spends
// P2WPKH and P2TR. The texts were observed by provoking each error.
#include <catch2/catch.hpp>

#include "common/bitcoin/chain_facts.h"
#include "common/bitcoin/script.h"
#include "common/crypto/hash.h"

namespace roulette::bitcoin {
namespace {

const char* const kBlock =
    "00000020651c4aa5788b3dbead5093f8897308ece94e27a1322b503dd89357feab09414a22c7172c5b753bb833ba"
    "dd923b2ea579131d62d8a8a854a3f2b1d5e8736d53275707056bffff7f2004000000020200000000010100000000"
    "00000000000000000000000000000000000000000000000000000000ffffffff03017000ffffffff02a078072a01"
    "0000002251207f13551ac18dd8522c98eb38e82239536d19dccf5edb6ad3da9a5d44f7e2d7600000000000000000"
    "266a24aa21a9edfc50e909ca515a34f0b5a3a5647d3d67dc9025be5a5275c329b90254dbdfaad701200000000000"
    "0000000000000000000000000000000000000000000000000000000000000002000000000102824049e6be6d232a"
    "929c518bdcbc4589cbb4ffaf41111b44bbc2fc4aeae8affd0000000000fdffffff824049e6be6d232a929c518bdc"
    "bc4589cbb4ffaf41111b44bbc2fc4aeae8affd0100000000fdffffff01c0e4022a010000002251207f13551ac18d"
    "d8522c98eb38e82239536d19dccf5edb6ad3da9a5d44f7e2d76002473044022047e6f8981c81c45d03d7206f7977"
    "a239f3bed34882298bb02d3080a2229528960220461e3fc5a188e5921ff6e66611a35cb5729298e303813de924c4"
    "bf437dd6cfa90121035acfa31feb7ff2666a63ded60569f019311bae4ad42784b06566c13543443c380140138dd0"
    "9a003b5079af873dbb89c7220849f2ac071a732fbcbb3c31204f379b0ffc7c8215da42ada575de52490f248281c8"
    "3017a2843d06b04a22a64cce000c7800000000";

constexpr std::size_t kHeaderBytes = 80;

// What the node's wallet was: the taproot script that both transactions of the block pay.
Bytes wallet_script() {
  return *from_hex("51207f13551ac18dd8522c98eb38e82239536d19dccf5edb6ad3da9a5d44f7e2d760");
}

std::string refusal(const Bytes& bytes) {
  const auto block = parse_block(bytes);
  if (block.ok()) return "";
  CHECK(block.error().kind == ErrorKind::Corrupt);
  return block.error().message;
}

TEST_CASE("a real block has the hash, parent, time and txids the node reports") {
  const auto block = parse_block_hex(kBlock);
  REQUIRE(block.ok());
  CHECK(txid_to_hex(block->hash) ==
        "3a45049a5bd55ded49016550a1cefbc072a72c54650784e040b5faaafae3cd8a");
  CHECK(txid_to_hex(block->prev) ==
        "4a4109abfe5793d83d502b32a1274ee9ec087389f89350adbe3d8b78a54a1c65");
  CHECK(txid_to_hex(block->merkle_root) ==
        "27536d73e8d5b1f2a354a8a8d8621d1379a52e3b92ddba33b83b755b2c17c722");
  CHECK(block->time == 1795491671);
  REQUIRE(block->txids.size() == 2);
  CHECK(txid_to_hex(block->txids[0]) ==
        "2aae8c9be10c2633eca29e9e2e7f10094712227321cb1be2e208840cb7850e63");
  CHECK(txid_to_hex(block->txids[1]) ==
        "09fcc547677e1ffc5598973fca802b5460da9a0785596171f249c3400b5c93f3");
  CHECK(weight(block->transactions[0]) == 612);
  CHECK(weight(block->transactions[1]) == 715);
}

TEST_CASE("a block's facts name what pays the wallet and every outpoint spent") {
  const auto block = parse_block_hex(kBlock);
  REQUIRE(block.ok());
  const BlockFacts facts = block_facts(*block, 112, wallet_script());
  CHECK(facts.hash == block->hash);
  CHECK(facts.prev == block->prev);
  CHECK(facts.height == 112);
  CHECK(facts.txids == block->txids);
  REQUIRE(facts.outputs.size() == 2);
  CHECK(facts.outputs[0] == FoundOutput{{block->txids[0], 0}, 5'000'100'000, true});
  CHECK(facts.outputs[1] == FoundOutput{{block->txids[1], 0}, 4'999'800'000, false});
  REQUIRE(facts.spent.size() == 2);
  CHECK(to_text(facts.spent[0]) ==
        "fdafe8ea4afcc2bb441b1141afffb4cb8945bcdc8b519c922a236dbee6494082:0");
  CHECK(to_text(facts.spent[1]) ==
        "fdafe8ea4afcc2bb441b1141afffb4cb8945bcdc8b519c922a236dbee6494082:1");
  CHECK(block_facts(*block, 112, p2wpkh_script({})).outputs.empty());
}

TEST_CASE("no proper prefix of a block parses, nor one with a byte more") {
  Bytes block = *from_hex(kBlock);
  for (std::size_t n = 0; n < block.size(); ++n) {
    INFO("prefix of " << n << " bytes");
    CHECK_FALSE(parse_block(ByteSpan(block).first(n)).ok());
  }
  block.push_back(0);
  CHECK(refusal(block) == "block: bytes follow the last transaction");
}

TEST_CASE("a block with any bit of a transaction changed is refused, witnesses included") {
  Bytes block = *from_hex(kBlock);
  for (std::size_t i = kHeaderBytes; i < block.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      block[i] ^= static_cast<std::uint8_t>(1 << bit);
      INFO("byte " << i << ", bit " << bit);
      CHECK_FALSE(parse_block(block).ok());
      block[i] ^= static_cast<std::uint8_t>(1 << bit);
    }
  }
  CHECK(refusal(block) == "");
}

// A block of these transactions whose header commits to `merkle_root`.
Bytes block_of(const std::vector<Transaction>& transactions, const Hash32& merkle_root) {
  Bytes out(kHeaderBytes, 0);
  std::copy(merkle_root.begin(), merkle_root.end(), out.begin() + 36);
  out.push_back(static_cast<std::uint8_t>(transactions.size()));
  for (const Transaction& tx : transactions) append(out, serialize(tx));
  return out;
}

Transaction coinbase() {
  Transaction tx;
  TxIn input;
  input.outpoint = {Hash32{}, 0xffffffff};
  input.script_sig = {0x01, 0x70};
  tx.inputs = {input};
  tx.outputs = {{1000, Bytes{0x51}}};
  return tx;
}

Transaction payment() {
  Transaction tx = coinbase();
  tx.inputs[0].outpoint = {Hash32{1}, 0};
  return tx;
}

Hash32 parent(const Hash32& left, const Hash32& right) {
  Bytes pair(left.begin(), left.end());
  append(pair, right);
  return crypto::sha256d(pair);
}

TEST_CASE("a block of the coinbase alone has its txid as merkle root") {
  CHECK(refusal(block_of({coinbase()}, txid(coinbase()))) == "");
  CHECK(refusal(block_of({coinbase()}, txid(payment()))) ==
        "block: the merkle root is not that of its transactions");
}

TEST_CASE("a block without a coinbase, with two, or with one that is not first is refused") {
  const std::string why = "block: a coinbase out of its place";
  CHECK(refusal(block_of({payment()}, txid(payment()))) == why);
  CHECK(refusal(block_of({coinbase(), coinbase()}, Hash32{})) == why);
  CHECK(refusal(block_of({payment(), coinbase()}, Hash32{})) == why);
  CHECK(refusal(block_of({}, Hash32{})) == "block: no transactions");
}

TEST_CASE("a repeated last transaction is refused though the merkle root is the same") {
  // CVE-2012-2459: three transactions hash as the same three with the last one repeated. The list
  // without the repetition is the true one; one payment told twice must not count twice.
  Transaction last = payment();
  last.locktime = 7;
  const Hash32 root = parent(parent(txid(coinbase()), txid(payment())),
                             parent(txid(last), txid(last)));
  CHECK(refusal(block_of({coinbase(), payment(), last}, root)) == "");
  CHECK(refusal(block_of({coinbase(), payment(), last, last}, root)) ==
        "block: an ambiguous merkle root");
}

TEST_CASE("a witness without the coinbase's commitment is refused") {
  Transaction tx = coinbase();
  tx.inputs[0].witness = {Bytes(32, 0)};
  CHECK(refusal(block_of({tx}, txid(tx))) == "block: witnesses without a commitment");
}

TEST_CASE("a second item beside the coinbase's witness reserved value is refused") {
  const auto block = parse_block_hex(kBlock);
  REQUIRE(block.ok());
  std::vector<Transaction> transactions = block->transactions;
  CHECK(refusal(block_of(transactions, block->merkle_root)) == "");
  transactions[0].inputs[0].witness.push_back({});
  CHECK(refusal(block_of(transactions, block->merkle_root)) ==
        "block: no witness reserved value");
}

TEST_CASE("a block of transactions of the smallest possible size parses") {
  Transaction first = coinbase();
  Transaction second = payment();
  for (Transaction* tx : {&first, &second}) {
    tx->inputs[0].script_sig.clear();
    tx->outputs[0].script.clear();
  }
  CHECK(refusal(block_of({first, second}, parent(txid(first), txid(second)))) == "");
}

TEST_CASE("a block longer than a block may be is refused") {
  CHECK(refusal(Bytes(kMaxBlockBytes + 1, 0)) == "block: more bytes than a block may have");
  CHECK_FALSE(parse_block_hex(std::string(2 * kMaxBlockBytes + 2, '0')).ok());
  CHECK_FALSE(parse_block_hex("zz").ok());
}

TEST_CASE("the node's error texts, as observed, are told apart") {
  // -25 is the node's default code: two different things carry it.
  CHECK(classify_send_error(-25, "bad-txns-inputs-missingorspent") == SendOutcome::MissingInputs);
  CHECK(classify_send_error(-25, "Fee exceeds maximum configured by user (e.g. -maxtxfee, "
                                 "maxfeerate)") == SendOutcome::Rejected);
  CHECK(classify_send_error(-27, "Transaction outputs already in utxo set") ==
        SendOutcome::AlreadyConfirmed);
  CHECK(classify_send_error(-27, "Transaction already in block chain") ==
        SendOutcome::AlreadyConfirmed);
  CHECK(classify_send_error(-26, "too-long-mempool-chain, too many unconfirmed ancestors "
                                 "[limit: 25]") == SendOutcome::MempoolChainTooLong);
  CHECK(classify_send_error(-26, "bad-txns-premature-spend-of-coinbase, tried to spend coinbase "
                                 "at depth 6") == SendOutcome::PrematureSpend);
  CHECK(classify_send_error(-26, "min relay fee not met, 0 < 111") == SendOutcome::FeeTooLow);
  CHECK(classify_send_error(-26, "insufficient fee, rejecting replacement 86896f11; new feerate "
                                 "0.00450450 BTC/kvB <= old feerate 0.00900900 BTC/kvB") ==
        SendOutcome::MempoolConflict);
  CHECK(classify_send_error(-26, "txn-mempool-conflict") == SendOutcome::MempoolConflict);
  CHECK(classify_send_error(-26, "mempool-script-verify-flag-failed (Invalid Schnorr signature), "
                                 "input 0 of 585cce33") == SendOutcome::Rejected);
  CHECK(classify_send_error(-26, "bad-txns-in-belowout, value in (50.00) < value out (51.00)") ==
        SendOutcome::Rejected);
  CHECK(classify_send_error(-26, "mempool min fee not met, 1 < 2") == SendOutcome::FeeTooLow);
  CHECK(classify_send_error(-26, "mempool full") == SendOutcome::FeeTooLow);
  CHECK(classify_send_error(-26, "dust-nonanchor") == SendOutcome::Rejected);
  CHECK(classify_send_error(-26, "non-final") == SendOutcome::Rejected);
  CHECK(classify_send_error(-22, "TX decode failed. Make sure the tx has at least one input.") ==
        SendOutcome::Rejected);
  CHECK(classify_send_error(-28, "Loading banlist\u2026") == SendOutcome::WarmingUp);
  CHECK(classify_send_error(-26, "txn-already-in-mempool") == SendOutcome::AlreadyInMempool);
}

TEST_CASE("only a node that answered so holds the transaction, and nothing held is sent again") {
  int held = 0;
  int again = 0;
  for (int i = 0; i <= static_cast<int>(SendOutcome::NodeUnavailable); ++i) {
    const auto outcome = static_cast<SendOutcome>(i);
    CHECK_FALSE((is_held_by_node(outcome) && is_worth_sending_again(outcome)));
    held += is_held_by_node(outcome) ? 1 : 0;
    again += is_worth_sending_again(outcome) ? 1 : 0;
    CHECK(std::string(send_outcome_name(outcome)) != "unknown");
  }
  CHECK(held == 3);
  CHECK(again == 5);
}

}  // namespace
}  // namespace roulette::bitcoin
