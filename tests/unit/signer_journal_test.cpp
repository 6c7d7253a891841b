// Tests of the journal: records as bytes, the hash chain, and which journals and configurations a
// signer starts from.
#include <catch2/catch.hpp>

#include "tests/unit/signer_host.h"

using namespace roulette;
using namespace roulette::signer;
using namespace roulette::signer::test;
using Catch::Matchers::Contains;

namespace {

std::vector<Record> journal_of_three() {
  SignerHost host;
  const auto connection = host.connect();
  host.ask(connection, payment(1, 2));
  host.ask(connection, payment(2));
  return host.durable_records();
}

std::string restore_error(const std::vector<Record>& records, SignerConfig config) {
  const auto restored = Signer::restore(std::move(config), BootId{}, records);
  return restored ? "" : restored.error().message;
}
std::string restore_error(const std::vector<Record>& records) {
  return restore_error(records, config_of(0));
}

std::string config_error(SignerConfig config) {
  return restore_error({}, std::move(config));
}

}  // namespace

TEST_CASE("a record's bytes decode to the record and to nothing else", "[signer]") {
  for (const Record& record : journal_of_three()) {
    const Bytes bytes = encode_record(record.body);
    const auto decoded = decode_record(bytes);
    REQUIRE(decoded.ok());
    CHECK(*decoded == record.body);
    for (std::size_t length = 0; length < bytes.size(); ++length)
      REQUIRE_FALSE(decode_record(ByteSpan(bytes).first(length)).ok());
    Bytes longer = bytes;
    longer.push_back(0);
    CHECK_FALSE(decode_record(longer).ok());
    Bytes unknown = bytes;
    unknown[0] = 9;
    CHECK_FALSE(decode_record(unknown).ok());
  }
}

TEST_CASE("records have the names that kill points use", "[signer]") {
  CHECK(std::string(record_name(Provisioned{})) == "provisioned");
  CHECK(std::string(record_name(SigningRecord{})) == "signing_record");
}

TEST_CASE("the head after a record covers the whole history", "[signer]") {
  const auto records = journal_of_three();
  REQUIRE(records.size() == 3);
  Hash32 head{};
  for (const Record& record : records) {
    head = chain_head(head, encode_record(record.body));
    CHECK(head == record.head);
  }
}

TEST_CASE("replaying a journal gives the state that lived", "[signer]") {
  SignerHost host;
  const auto connection = host.connect();
  for (std::uint8_t i = 0; i < 10; ++i) host.ask(connection, payment(i, 1 + i % 3));
  const auto lived = host.machine().durable_state_digest();
  host.crash();
  CHECK(host.machine().durable_state_digest() == lived);
  CHECK(host.machine().gauges().bound_outpoints == 10 + 3 + 6);
}

TEST_CASE("a journal with an altered, missing or moved record is refused", "[signer]") {
  const auto good = journal_of_three();
  CHECK(restore_error(good).empty());
  auto records = good;
  std::get<SigningRecord>(records[1].body).txid[0] ^= 1;
  CHECK_THAT(restore_error(records), Contains("record 2: the hash chain is broken"));
  records = good;
  records[2].head[31] ^= 1;
  CHECK_THAT(restore_error(records), Contains("record 3: the hash chain is broken"));
  records = good;
  records.erase(records.begin() + 1);
  CHECK_THAT(restore_error(records), Contains("record 2 is missing"));
  records[1].sequence = 2;
  CHECK_THAT(restore_error(records), Contains("the hash chain is broken"));
  records = good;
  records.erase(records.begin());
  CHECK_THAT(restore_error(records), Contains("record 1 is missing"));
  records = good;
  std::swap(records[1], records[2]);
  CHECK_FALSE(restore_error(records).empty());
}

TEST_CASE("another signer's, cluster's, group's or share epoch's journal is refused by name",
          "[signer]") {
  const auto records = journal_of_three();
  CHECK_THAT(restore_error(records, config_of(1)), Contains("another signer: signer-0"));
  SignerConfig elsewhere = config_of(0);
  elsewhere.cluster_id = "other";
  CHECK_THAT(restore_error(records, std::move(elsewhere)), Contains("another cluster: test"));
  SignerConfig earlier = config_of(0);
  earlier.share_epoch = 0;
  CHECK_THAT(restore_error(records, std::move(earlier)), Contains("another share epoch: 1"));
  CHECK_THAT(restore_error(records, config_of(0, foreign_wallet())), Contains("another group"));
}

TEST_CASE("a journal that binds one outpoint twice is refused, though its chain is whole",
          "[signer]") {
  auto records = journal_of_three();
  SigningRecord second = std::get<SigningRecord>(records[1].body);
  second.txid[0] ^= 1;
  second.withdrawal_id = payment(9).id;
  const RecordBody body = second;
  records.push_back(Record{4, chain_head(records[2].head, encode_record(body)), body});
  CHECK_THAT(restore_error(records), Contains("record 4: it contradicts an earlier record"));
}

TEST_CASE("a journal says once, and first, whose it is", "[signer]") {
  auto records = journal_of_three();
  const RecordBody again = records[0].body;
  records.push_back(Record{4, chain_head(records[2].head, encode_record(again)), again});
  CHECK_THAT(restore_error(records), Contains("record 4: only the first record"));
  const RecordBody signing = records[1].body;
  const std::vector<Record> headless = {Record{1, chain_head({}, encode_record(signing)), signing}};
  CHECK_THAT(restore_error(headless), Contains("record 1: only the first record"));
}

TEST_CASE("share, group, wallet script and policy must belong together", "[signer]") {
  CHECK(config_error(config_of(0)).empty());
  SignerConfig config = config_of(0);
  config.share = copy_share(1);
  CHECK_THAT(config_error(std::move(config)), Contains("the share is not signer-0's"));
  config = config_of(0);
  config.share = copy_share(0, foreign_wallet());
  CHECK_THAT(config_error(std::move(config)), Contains("does not belong to the group"));
  config = config_of(0);
  config.id = SignerId(5);
  CHECK_THAT(config_error(std::move(config)), Contains("signer-5 is not in the group"));
  config = config_of(0);
  config.policy.wallet_script = foreign_wallet().script;
  CHECK_THAT(config_error(std::move(config)), Contains("wallet script"));
  // The untweaked key's script is not the wallet either (BIP 86).
  config = config_of(0);
  config.policy.wallet_script =
      bitcoin::p2tr_script(crypto::xonly(wallet().dealt.group.threshold_key()));
  CHECK_THAT(config_error(std::move(config)), Contains("wallet script"));
  for (int limit = 0; limit < 3; ++limit) {
    config = config_of(0);
    std::int64_t* const values[] = {&config.policy.max_fee_sat, &config.policy.max_amount_sat,
                                    &config.policy.max_fee_rate_sat_per_vb};
    *values[limit] = 0;
    CHECK_THAT(config_error(std::move(config)), Contains("policy"));
  }
}

TEST_CASE("a group in which two quorums may not meet is refused", "[signer]") {
  SeededEntropy entropy(3);
  auto dealt = crypto::deal(4, 2, entropy, crypto::QuorumShape::AnyForVectors);
  REQUIRE(dealt.ok());
  const auto key = crypto::frost::TweakContext::key_path_only(dealt->group.threshold_key());
  REQUIRE(key.ok());
  SignerConfig config = config_of(0);
  config.group = crypto::frost_group(dealt->group).value();
  config.share = crypto::frost_share(std::move(dealt->shares[0]));
  config.policy.wallet_script = bitcoin::p2tr_script(key->output_key());
  CHECK_FALSE(config_error(std::move(config)).empty());
}
