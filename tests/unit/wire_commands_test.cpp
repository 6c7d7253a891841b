// Tests of the canonical command encoding: its exact bytes, its uniqueness and its bounds.
//
// The literals were computed by an independent script from the layout in commands.cpp. A change in
// any of them makes existing logs unreadable: raise the format number instead of the literal.
#include <catch2/catch.hpp>

#include <set>

#include "common/wire/commands.h"
#include "tests/unit/wire_samples.h"

using namespace roulette;
using namespace roulette::wire;

namespace {

template <std::size_t N>
ByteArray<N> filled(std::uint8_t byte) {
  ByteArray<N> out{};
  out.fill(byte);
  return out;
}

std::string times(const std::string& hex, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += hex;
  return out;
}

const WithdrawalId kWithdrawal(filled<16>(0x01));

Command by_coordinator_1(CommandBody body) {
  return {{{Role::Coordinator, 1}, BootId(filled<16>(0xb0)), 7}, std::move(body)};
}

// format, role, index, boot, counter
std::string head() { return "02" "02" "0001" + times("b0", 16) + "0000000000000007"; }

Bytes script_of_bytes_cc() {
  Bytes script{0x00, 0x14};
  append(script, filled<20>(0xcc));
  return script;
}

void check_golden(const CommandBody& body, const std::string& body_hex) {
  const Command command = by_coordinator_1(body);
  CHECK(to_hex(encode_command(command)) == head() + body_hex);
  const auto decoded = decode_command(*from_hex(head() + body_hex));
  REQUIRE(decoded.ok());
  CHECK(decoded.value() == command);
}

// Small enough to try something at every position.
template <class Try>
void for_every_small_command(std::size_t most_bytes, Try attempt) {
  for (std::size_t kind = 0; kind < std::variant_size_v<CommandBody>; ++kind) {
    std::size_t tried = 0;
    for (std::uint64_t seed = 0; tried < 3; ++seed) {
      samples::Draw draw(seed);
      const Bytes bytes = encode_command(samples::command(draw, kind));
      if (bytes.size() > most_bytes) continue;
      attempt(bytes);
      ++tried;
    }
  }
}

// Whatever decodes must be the only spelling of what it decoded to.
void check_refused_or_canonical(const Bytes& bytes) {
  const auto decoded = decode_command(bytes);
  if (decoded.ok()) {
    if (encode_command(decoded.value()) != bytes) FAIL("a second spelling: " << to_hex(bytes));
  } else {
    if (decoded.error().kind != ErrorKind::Corrupt) FAIL("not Corrupt: " << to_hex(bytes));
  }
}

void check_refused(const CommandBody& body) {
  const auto decoded = decode_command(encode_command(by_coordinator_1(body)));
  REQUIRE_FALSE(decoded.ok());
  CHECK(decoded.error().kind == ErrorKind::Corrupt);
}

void check_accepted(const CommandBody& body) {
  const auto decoded = decode_command(encode_command(by_coordinator_1(body)));
  REQUIRE(decoded.ok());
  CHECK(decoded.value().body == body);
}

}  // namespace

TEST_CASE("the genesis command keeps its bytes", "[wire]") {
  Genesis v;
  v.cluster_id = "c1";
  v.wallet_script = {0x51, 0x20};
  append(v.wallet_script, filled<32>(0xaa));
  v.wallet_output_key = filled<32>(0xaa);
  v.accounts = {"alice", "bob"};
  v.fee_rate_sat_per_vb = 10;
  v.withdrawal_fee_sat = 10000;
  v.min_amount_sat = 1000;
  v.max_amount_sat = 100'000'000;
  v.settle_depth = 3;
  v.anchor_block = filled<32>(0x0f);
  check_golden(v, "01" "000000026331" "000000225120" + times("aa", 32) + "01" "00000020" +
                      times("aa", 32) +
                      "00000002" "00000005616c696365" "00000003626f62" "000000000000000a"
                      "0000000000002710" "00000000000003e8" "0000000005f5e100" "00000003" +
                      times("0f", 32));
}

TEST_CASE("a command of the earlier format is refused by name, alone and in a batch", "[wire]") {
  const Command command = by_coordinator_1(Broadcast{kWithdrawal, filled<32>(0x22)});
  Bytes bytes = encode_command(command);
  bytes[0] = 1;
  const std::string words = ": of command format 1; this program reads format 2";
  CHECK(decode_command(bytes).error().message == "command" + words);
  bytes = encode_batch({command, command});
  bytes[4] = 1;
  CHECK(decode_batch(bytes).error().message == "batch" + words);
}

TEST_CASE("the withdraw command keeps its bytes", "[wire]") {
  check_golden(Withdraw{kWithdrawal, "key-1", "alice", script_of_bytes_cc(), 250000,
                        filled<32>(0xdd), CoordinatorId(1), 1'700'000'000'000'000, {}},
               "02" + times("01", 16) + "000000056b65792d31" "00000005616c696365" "000000160014" +
                   times("cc", 20) + "000000000003d090" + times("dd", 32) +
                   "0001" "00060a24181e4000" "00");
  check_golden(Withdraw{kWithdrawal, "key-1", "alice", script_of_bytes_cc(), 250000,
                        filled<32>(0xdd), CoordinatorId(1), 1'700'000'000'000'000,
                        ClientSignature{"shop", filled<64>(0xee)}},
               "02" + times("01", 16) + "000000056b65792d31" "00000005616c696365" "000000160014" +
                   times("cc", 20) + "000000000003d090" + times("dd", 32) +
                   "0001" "00060a24181e4000" "01" "0000000473686f70" + times("ee", 64));
}

TEST_CASE("the signed command keeps its bytes", "[wire]") {
  check_golden(Signed{kWithdrawal, filled<32>(0x22), {filled<64>(0x33), filled<70>(0x34)},
                      {{SignerId(0), 5, filled<32>(0x44)}, {SignerId(3), 9, filled<32>(0x55), 2}},
                      CoordinatorId(1)},
               "03" + times("01", 16) + times("22", 32) + "00000002" "00000040" + times("33", 64) +
                   "00000046" + times("34", 70) +
                   "00000002" "0000" "00000000" "0000000000000005" + times("44", 32) +
                   "0003" "00000002" "0000000000000009" + times("55", 32) + "0001");
}

TEST_CASE("the broadcast command keeps its bytes", "[wire]") {
  check_golden(Broadcast{kWithdrawal, filled<32>(0x22)}, "04" + times("01", 16) + times("22", 32));
}

TEST_CASE("the block-connected command keeps its bytes", "[wire]") {
  check_golden(BlockConnected{filled<32>(0x66), filled<32>(0x77), 102,
                              {filled<32>(0x22), filled<32>(0x23)},
                              {{{filled<32>(0x22), 1}, 49'990'000, false}}},
               "05" + times("66", 32) + times("77", 32) + "00000066" "00000002" + times("22", 32) +
                   times("23", 32) + "00000001" "00000000"
                   "00000001" "0000000002fac970" "00");
}

TEST_CASE("the remaining commands and a batch keep their bytes", "[wire]") {
  check_golden(BlockDisconnected{filled<32>(0x66)}, "06" + times("66", 32));
  check_golden(Checkpoint{LedgerId(2), 64, filled<32>(0x88)},
               "07" "0002" "0000000000000040" + times("88", 32));
  check_golden(EndOfRun{}, "08");

  const std::vector<Command> batch{by_coordinator_1(Broadcast{kWithdrawal, filled<32>(0x22)}),
                                   by_coordinator_1(EndOfRun{})};
  const std::string hex = "00000002" + head() + "04" + times("01", 16) + times("22", 32) + head() +
                          "08";
  CHECK(to_hex(encode_batch(batch)) == hex);
  CHECK(decode_batch(*from_hex(hex)).value() == batch);
}

TEST_CASE("the payload digest covers account, script and amount, and keeps its value", "[wire]") {
  const Bytes script = script_of_bytes_cc();
  CHECK(to_hex(payload_digest("alice", script, 250000)) ==
        "5e8a6936ad39f5042ac8877e6d8c25a2cdfa965f106a3fccdd1b194dd6ed6071");
  const std::set<Hash32> all{payload_digest("alice", script, 250000),
                             payload_digest("alicf", script, 250000),
                             payload_digest("alice", script, 250001),
                             payload_digest("alice", Bytes{0x00}, 250000)};
  CHECK(all.size() == 4);
}

TEST_CASE("every command decodes to what was encoded", "[wire]") {
  for (std::size_t kind = 0; kind < std::variant_size_v<CommandBody>; ++kind) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      samples::Draw draw(seed);
      const Command command = samples::command(draw, kind);
      REQUIRE(command.body.index() == kind);
      const auto decoded = decode_command(encode_command(command));
      INFO(command_name(command.body) << " seed " << seed);
      REQUIRE(decoded.ok());
      REQUIRE(decoded.value() == command);
    }
  }
}

TEST_CASE("every batch decodes to what was encoded", "[wire]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    samples::Draw draw(seed);
    std::vector<Command> batch(draw.below(8));
    if (seed == 0) batch.resize(limits::kMaxBatchCommands);
    for (Command& command : batch) command = samples::command(draw, 1 + draw.below(7));
    const Bytes bytes = encode_batch(batch);
    REQUIRE(bytes.size() <= limits::kMaxBatchBytes);
    const auto decoded = decode_batch(bytes);
    REQUIRE(decoded.ok());
    REQUIRE(decoded.value() == batch);
  }
}

TEST_CASE("no proper prefix of a command is a command", "[wire]") {
  for_every_small_command(4000, [](const Bytes& bytes) {
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      if (decode_command(ByteSpan(bytes).first(n)).ok()) FAIL("accepted " << n << " bytes");
    }
  });
}

TEST_CASE("a command or batch with a trailing byte is refused", "[wire]") {
  for_every_small_command(4000, [](Bytes bytes) {
    bytes.push_back(0);
    CHECK_FALSE(decode_command(bytes).ok());
  });
  Bytes batch = encode_batch({by_coordinator_1(EndOfRun{})});
  CHECK(decode_batch(batch).ok());
  batch.push_back(0);
  CHECK_FALSE(decode_batch(batch).ok());
}

TEST_CASE("a changed byte is refused or is another command's only spelling", "[wire]") {
  for_every_small_command(2000, [](Bytes bytes) {
    for (std::uint8_t& byte : bytes) {
      const std::uint8_t before = byte;
      for (const int change : {0x01, 0x02, 0x10, 0x80, 0xff}) {
        byte = static_cast<std::uint8_t>(before ^ change);
        check_refused_or_canonical(bytes);
      }
      byte = before;
    }
  });
}

TEST_CASE("random bytes are refused or are some command's only spelling", "[wire]") {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    samples::Draw draw(seed);
    Bytes bytes = draw.flag() ? encode_command(samples::command(draw, 1 + draw.below(7))) : Bytes{};
    for (std::size_t edits = 1 + draw.below(4); edits > 0; --edits) {
      const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(draw.below(bytes.size() + 1));
      const Bytes piece = draw.bytes(60);
      if (draw.flag() || at == bytes.end()) {
        bytes.insert(at, piece.begin(), piece.end());
      } else {
        bytes.erase(at, at + 1 + static_cast<std::ptrdiff_t>(
                                     draw.below(static_cast<std::size_t>(bytes.end() - at))));
      }
    }
    check_refused_or_canonical(bytes);
    const auto batch = decode_batch(bytes);
    if (batch.ok()) CHECK(encode_batch(batch.value()) == bytes);
  }
}

TEST_CASE("an unknown format, role, kind or flag is refused", "[wire]") {
  const Bytes good = encode_command(by_coordinator_1(EndOfRun{}));
  const auto with = [&good](std::size_t at, std::uint8_t value) {
    Bytes bytes = good;
    bytes[at] = value;
    return decode_command(bytes).ok();
  };
  CHECK(with(0, 2));
  CHECK_FALSE(with(0, 0));
  CHECK_FALSE(with(0, 1));
  CHECK_FALSE(with(0, 3));
  CHECK(with(1, 6));
  CHECK_FALSE(with(1, 0));
  CHECK_FALSE(with(1, 7));
  CHECK_FALSE(with(good.size() - 1, 0));
  CHECK_FALSE(with(good.size() - 1, 9));

  BlockConnected block;
  block.txids.resize(1);
  block.wallet_outputs.resize(1);
  Bytes flag = encode_command(by_coordinator_1(block));
  flag.back() = 1;
  CHECK(decode_command(flag).ok());
  flag.back() = 2;
  CHECK_FALSE(decode_command(flag).ok());
}

TEST_CASE("a command over a bound is refused, at the bound it is accepted", "[wire]") {
  Withdraw withdraw{kWithdrawal, std::string(limits::kMaxIdempotencyKeyBytes, 'k'),
                    std::string(limits::kMaxAccountNameBytes, 'a'),
                    Bytes(limits::kMaxScriptBytes), 1, {}, CoordinatorId(0), 0,
                    ClientSignature{std::string(limits::kMaxClientNameBytes, 'c'), {}}};
  check_accepted(withdraw);
  Withdraw over = withdraw;
  over.key += "k";
  check_refused(over);
  over = withdraw;
  over.client->client += "c";
  check_refused(over);
  over = withdraw;
  over.account += "a";
  check_refused(over);
  over = withdraw;
  over.script.push_back(0);
  check_refused(over);

  Signed is_signed;
  is_signed.signatures.resize(limits::kMaxInputsPerTransaction);
  is_signed.journals.resize(limits::kMaxSigners);
  check_accepted(is_signed);
  Signed more_signatures = is_signed;
  more_signatures.signatures.emplace_back();
  check_refused(more_signatures);
  Signed more_journals = is_signed;
  more_journals.journals.emplace_back();
  check_refused(more_journals);

  Genesis genesis;
  genesis.cluster_id = std::string(limits::kMaxClusterIdBytes, 'c');
  genesis.accounts.resize(limits::kMaxAccounts);
  genesis.accounts[0] = std::string(limits::kMaxAccountNameBytes, 'a');
  check_accepted(genesis);
  Genesis more_accounts = genesis;
  more_accounts.accounts.emplace_back();
  check_refused(more_accounts);
  Genesis longer_account = genesis;
  longer_account.accounts[0] += "a";
  check_refused(longer_account);
  Genesis longer_id = genesis;
  longer_id.cluster_id += "c";
  check_refused(longer_id);
}

TEST_CASE("a batch over its number of commands or bytes is refused", "[wire]") {
  std::vector<Command> batch(limits::kMaxBatchCommands, by_coordinator_1(EndOfRun{}));
  CHECK(decode_batch(encode_batch(batch)).ok());
  batch.push_back(batch.front());
  CHECK_FALSE(decode_batch(encode_batch(batch)).ok());

  BlockConnected block;
  block.txids.resize(limits::kMaxBatchBytes / 32 - 8);
  check_accepted(block);
  block.txids.resize(limits::kMaxBatchBytes / 32);
  check_refused(block);
  CHECK_FALSE(decode_batch(encode_batch({by_coordinator_1(block)})).ok());
}

TEST_CASE("every block there can be fits a batch", "[wire]") {
  constexpr std::size_t kBlockWeight = 4'000'000;
  constexpr std::size_t kLeastTransactionWeight = 60 * 4;
  constexpr std::size_t kWalletOutputWeight = 43 * 4;
  BlockConnected most_transactions;
  for (std::size_t i = 0; i < kBlockWeight / kLeastTransactionWeight; ++i) {
    Hash32& txid = most_transactions.txids.emplace_back();
    txid[0] = static_cast<std::uint8_t>(i);
    txid[1] = static_cast<std::uint8_t>(i >> 8);
  }
  check_accepted(most_transactions);
  BlockConnected most_outputs;
  most_outputs.txids = {filled<32>(0x11), filled<32>(0x22)};
  for (std::uint32_t i = 0; i < kBlockWeight / kWalletOutputWeight; ++i) {
    most_outputs.wallet_outputs.push_back({{most_outputs.txids[1], i}, 1'000, false});
  }
  check_accepted(most_outputs);
  CHECK(decode_batch(encode_batch({by_coordinator_1(most_outputs)})).ok());
}

TEST_CASE("a wallet output of a transaction that is not in the block is refused", "[wire]") {
  BlockConnected block;
  block.txids = {filled<32>(0x11), filled<32>(0x22), filled<32>(0x22)};
  block.wallet_outputs = {{{block.txids[1], 7}, 1'000, false}};
  Bytes bytes = encode_command(by_coordinator_1(block));
  const std::size_t place = bytes.size() - (4 + 4 + 8 + 1);  // its u32, big endian
  REQUIRE(bytes[place + 3] == 1);
  CHECK(decode_command(bytes).value().body == CommandBody{block});
  bytes[place + 3] = 3;
  CHECK_FALSE(decode_command(bytes).ok());
  bytes[place + 3] = 2;  // the same txid by its second place: another spelling
  CHECK_FALSE(decode_command(bytes).ok());
}

TEST_CASE("commands, outcomes, states and reject reasons have their names", "[wire]") {
  std::vector<std::string> commands;
  for (std::size_t kind = 0; kind < std::variant_size_v<CommandBody>; ++kind) {
    samples::Draw draw(kind);
    commands.emplace_back(command_name(samples::command_body(draw, kind)));
  }
  CHECK(commands == std::vector<std::string>{"genesis", "withdraw", "signed", "broadcast",
                                             "block_connected", "block_disconnected", "checkpoint",
                                             "end_of_run"});
  std::vector<std::string> outcomes;
  for (int i = 1; i <= 7; ++i) outcomes.emplace_back(outcome_name(static_cast<OutcomeKind>(i)));
  CHECK(outcomes == std::vector<std::string>{"applied", "duplicate", "key-conflict", "rejected",
                                             "ignored", "invalid", "closed"});
  std::vector<std::string> states;
  for (int i = 1; i <= 7; ++i) states.emplace_back(state_name(static_cast<WithdrawalState>(i)));
  CHECK(states == std::vector<std::string>{"requested", "planned", "signed", "broadcast",
                                           "confirmed", "settled", "rejected"});
  std::vector<std::string> rejects;
  for (int i = 0; i <= 5; ++i) rejects.emplace_back(reject_name(static_cast<RejectReason>(i)));
  CHECK(rejects == std::vector<std::string>{"none", "insufficient-funds", "unknown-account",
                                            "amount-too-small", "amount-too-large", "bad-script"});
}
