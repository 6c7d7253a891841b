// Tests of the protobuf codec: exact bytes of the public signer protocol, round trips, hostile
// frames.
//
// The literals come from `protoc --encode` of roulette.proto, not from the codec. Hostile frames
// are written byte by byte (samples::RawProto).
#include <catch2/catch.hpp>

#include <set>

#include "common/wire/codec.h"
#include "common/runtime/kill_point_table.h"
#include "tests/unit/wire_samples.h"

using namespace roulette;
using namespace roulette::wire;
using samples::RawProto;

namespace {

// Field numbers of Envelope.
constexpr std::uint32_t kHello = 1, kSignerPing = 10, kNonceRequest = 11, kSignRequest = 12,
                        kNonceBatch = 21, kSignResponse = 22, kSignRefusal = 23,
                        kLedgerSubmit = 30, kLedgerQuery = 31, kLedgerFollow = 32,
                        kLedgerApplied = 41, kLedgerAnswer = 42, kLedgerFeed = 43;

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

void check_golden(const Message& message, const std::string& hex) {
  CHECK(to_hex(encode_message(message)) == hex);
  const auto decoded = decode_message(*from_hex(hex));
  REQUIRE(decoded.ok());
  CHECK(decoded.value() == message);
}

bool accepted(const RawProto& envelope) {
  const auto decoded = decode_message(envelope.view());
  if (!decoded.ok()) CHECK(decoded.error().kind == ErrorKind::Corrupt);
  return decoded.ok();
}
bool accepted(std::uint32_t field, const RawProto& message) {
  return accepted(RawProto().message(field, message));
}
bool survives(const Message& message) {
  const auto decoded = decode_message(encode_message(message));
  return decoded.ok() && decoded.value() == message;
}

// Protobuf has many spellings: what decodes must come back equal from its own encoding.
void check_refused_or_stable(ByteSpan bytes) {
  const auto decoded = decode_message(bytes);
  if (!decoded.ok()) {
    if (decoded.error().kind != ErrorKind::Corrupt) FAIL("not Corrupt: " << to_hex(bytes));
    return;
  }
  const auto again = decode_message(encode_message(decoded.value()));
  if (!again.ok() || again.value() != decoded.value()) FAIL("not stable: " << to_hex(bytes));
}

template <class Try>
void for_every_small_message(std::size_t most_bytes, Try attempt) {
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    std::size_t tried = 0;
    for (std::uint64_t seed = 0; tried < 3; ++seed) {
      samples::Draw draw(seed);
      const Bytes bytes = encode_message(samples::message(draw, kind));
      if (bytes.size() > most_bytes) continue;
      attempt(bytes);
      ++tried;
    }
  }
}

RawProto hello(std::uint64_t major, std::uint64_t role, std::uint64_t index, std::size_t boot) {
  return RawProto().varint(1, major).varint(3, role).varint(4, index).bytes(5, Bytes(boot));
}

RawProto refusal(std::uint64_t reason, ByteSpan detail) {
  return RawProto().bytes(1, Bytes(32)).varint(2, reason).bytes(3, detail);
}

}  // namespace

TEST_CASE("hello, ping and nonce messages keep their bytes", "[wire]") {
  check_golden(Hello{1, 0, {Role::Signer, 3}, BootId(filled<16>(0xb0))},
               "0a18" "0801" "1801" "2003" "2a10" + times("b0", 16));
  check_golden(SignerPing{300}, "520308ac02");
  check_golden(NonceRequest{32}, "5a020820");
  check_golden(SignerStatus{300, BootId(filled<16>(0xe0)), 1, 9, filled<32>(0x55), true,
                            JournalStanding::Holds, filled<32>(0x66)},
               "a20161" "08ac02" "1210" + times("e0", 16) + "1801" "2009" "2a20" +
                   times("55", 32) + "3001" "3802" "4220" + times("66", 32));
  SignerStatus keyless{0, BootId(filled<16>(0xe0)), 1, 9, filled<32>(0x55), false,
                       JournalStanding::Holds, filled<32>(0x66)};
  keyless.key_unavailable = true;
  check_golden(keyless, "a2015e" "1210" + times("e0", 16) + "1801" "2009" "2a20" +
                            times("55", 32) + "3802" "4220" + times("66", 32) + "4801");
  check_golden(JournalCheck{1, 9, filled<32>(0x55)}, "6a26" "0801" "1009" "1a20" + times("55", 32));
  check_golden(JournalAnswer{1, 9, JournalStanding::RolledBack}, "c20106" "0801" "1009" "1804");
  check_golden(NonceBatch{BootId(filled<16>(0xe0)), {filled<66>(0xa1), filled<66>(0xa2)}},
               "aa019a01" "0a10" + times("e0", 16) + "1242" + times("a1", 66) + "1242" +
                   times("a2", 66));
}

TEST_CASE("sign requests, answers and refusals keep their bytes", "[wire]") {
  const std::string text = "unsigned";
  SignRequest request;
  request.withdrawal_id = WithdrawalId(filled<16>(0x01));
  request.payload_digest = filled<32>(0xdd);
  request.unsigned_tx = Bytes(text.begin(), text.end());
  request.prevouts = {{50000, {0x51, 0x51, 0x51}}};
  request.group = filled<32>(0x66);
  request.signers = {{SignerId(0), BootId(filled<16>(0xe0)), {filled<66>(0xa1)}},
                     {SignerId(2), BootId(filled<16>(0xe2)), {filled<66>(0xb1)}}};
  check_golden(request, "629d02" "0a10" + times("01", 16) + "1220" + times("dd", 32) +
                            "1a08756e7369676e6564" "2209" "08d086031203515151" "2a56" "1210" +
                            times("e0", 16) + "1a42" + times("a1", 66) + "2a58" "0802" "1210" +
                            times("e2", 16) + "1a42" + times("b1", 66) + "3220" + times("66", 32));
  check_golden(SignResponse{filled<32>(0x77), {filled<32>(0x33)}, {filled<66>(0xa2)}, 10,
                            filled<32>(0x56), 1},
               "b201ae01" "0a20" + times("77", 32) + "1220" + times("33", 32) + "1a42" +
                   times("a2", 66) + "200a" "2a20" + times("56", 32) + "3001");
  check_golden(SignRefusal{filled<32>(0x77), RefusalReason::BadNonce, "nonce 0", SignerId(2)},
               "ba012f" "0a20" + times("77", 32) + "100c" "1a076e6f6e63652030" "2002");
}

TEST_CASE("the session digest keeps its value and covers everything a session is", "[wire]") {
  const std::string text = "unsigned";
  SignRequest request;
  request.unsigned_tx = Bytes(text.begin(), text.end());
  request.signers = {
      {SignerId(0), BootId(filled<16>(0xe0)), {filled<66>(0xa1), filled<66>(0xa2)}},
      {SignerId(2), BootId(filled<16>(0xe2)), {filled<66>(0xb1), filled<66>(0xb2)}}};
  const std::string_view suite = "BIP 445 draft 0.12";
  const auto key = filled<32>(0xaa);
  const std::vector<Hash32> hashes{filled<32>(0x91), filled<32>(0x92)};
  CHECK(to_hex(session_digest(request, suite, key, hashes)) ==
        "68ad4d12e3a486be6547e5f80125e096652ff071dbb8cd7d0da89057bd1bf281");

  std::set<Hash32> all{session_digest(request, suite, key, hashes),
                       session_digest(request, "BIP 327 1.0", key, hashes),
                       session_digest(request, suite, filled<32>(0xab), hashes),
                       session_digest(request, suite, key, {hashes[0]}),
                       session_digest(request, suite, key, {hashes[1], hashes[0]})};
  const auto with = [&](auto change) {
    SignRequest changed = request;
    change(changed);
    all.insert(session_digest(changed, suite, key, hashes));
  };
  with([](SignRequest& r) { r.unsigned_tx[0] ^= 1; });
  with([](SignRequest& r) { r.signers[1].id = SignerId(3); });
  with([](SignRequest& r) { r.signers[1].epoch = BootId(filled<16>(0xe3)); });
  with([](SignRequest& r) { r.signers[0].nonces[1][65] ^= 1; });
  with([](SignRequest& r) { std::swap(r.signers[0].nonces[0], r.signers[0].nonces[1]); });
  with([](SignRequest& r) { r.signers.pop_back(); });
  CHECK(all.size() == 11);
}

TEST_CASE("every message decodes to what was encoded", "[wire]") {
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      samples::Draw draw(seed);
      const Message message = samples::message(draw, kind);
      REQUIRE(message.index() == kind);
      const Bytes bytes = encode_message(message);
      INFO(message_name(message) << " seed " << seed << ", " << bytes.size() << " bytes");
      REQUIRE(bytes.size() <= limits::kMaxFrameBytes);
      const auto decoded = decode_message(bytes);
      if (!decoded.ok()) FAIL(decoded.error().message);
      REQUIRE(decoded.value() == message);
    }
  }
}

TEST_CASE("no proper prefix of a frame is a message", "[wire]") {
  for_every_small_message(4000, [](const Bytes& bytes) {
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      if (decode_message(ByteSpan(bytes).first(n)).ok()) FAIL("accepted " << n << " bytes");
    }
  });
}

TEST_CASE("a changed byte is refused or makes another well-formed message", "[wire]") {
  for_every_small_message(2000, [](Bytes bytes) {
    for (std::uint8_t& byte : bytes) {
      const std::uint8_t before = byte;
      for (const int change : {0x01, 0x02, 0x08, 0x10, 0x80, 0xff}) {
        byte = static_cast<std::uint8_t>(before ^ change);
        check_refused_or_stable(bytes);
      }
      byte = before;
    }
  });
}

TEST_CASE("spliced and random frames are refused or are well-formed messages", "[wire]") {
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    samples::Draw draw(seed);
    const auto any_message = [&draw] {
      return encode_message(samples::message(draw, draw.below(std::variant_size_v<Message>)));
    };
    Bytes bytes = draw.flag() ? any_message() : draw.bytes(400);
    if (draw.flag()) {  // a piece of another message
      const Bytes other = any_message();
      const std::size_t from = draw.below(other.size() + 1);
      const std::size_t n = std::min<std::size_t>(other.size() - from, 1 + draw.below(80));
      const auto piece = other.begin() + static_cast<std::ptrdiff_t>(from);
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(draw.below(bytes.size() + 1)), piece,
                   piece + static_cast<std::ptrdiff_t>(n));
    }
    for (std::size_t edits = draw.below(4); edits > 0 && !bytes.empty(); --edits) {
      bytes[draw.below(bytes.size())] = static_cast<std::uint8_t>(draw.bits());
    }
    check_refused_or_stable(bytes);
  }
}

TEST_CASE("an empty frame, an unknown message and a frame over 1 MiB are refused", "[wire]") {
  CHECK_FALSE(decode_message({}).ok());
  CHECK_FALSE(accepted(RawProto().message(99, RawProto())));
  CHECK_FALSE(accepted(RawProto().message(1000, RawProto())));
  CHECK(accepted(kSignerPing, RawProto().varint(1, 1).bytes(900, Bytes(100))));
  CHECK_FALSE(accepted(kSignerPing, RawProto().varint(1, 1).bytes(900, Bytes(1 << 20))));
}

TEST_CASE("a frame with two messages is refused, also when they are of one kind", "[wire]") {
  RawProto same, different;
  same.message(kSignerPing, RawProto().varint(1, 1));
  different.message(kSignerPing, RawProto().varint(1, 1));
  CHECK(accepted(same));
  same.message(kSignerPing, RawProto().varint(1, 2));
  different.message(kNonceRequest, RawProto().varint(1, 2));
  CHECK_FALSE(accepted(same));
  CHECK_FALSE(accepted(different));
  CHECK_FALSE(accepted(RawProto().message(kSignerPing, RawProto()).message(77, RawProto())));
}

TEST_CASE("fields of a newer minor version are ignored", "[wire]") {
  const RawProto newer =
      RawProto().message(kSignerPing, RawProto().varint(1, 5).varint(90, 1).bytes(91, Bytes{1}))
          .bytes(100, Bytes{1, 2, 3}).varint(2000, 7);
  const auto decoded = decode_message(newer.view());
  REQUIRE(decoded.ok());
  CHECK(decoded.value() == Message(SignerPing{5}));
}

TEST_CASE("a hello of another major version decodes, so that it can be refused by name", "[wire]") {
  const auto decoded = decode_message(RawProto().message(kHello, hello(2, 1, 0, 16)).view());
  REQUIRE(decoded.ok());
  CHECK(std::get<Hello>(decoded.value()).major == 2);
}

TEST_CASE("a hello with wrong sizes, an unknown role or a wide number is refused", "[wire]") {
  CHECK(accepted(kHello, hello(1, 6, 65535, 16)));
  CHECK_FALSE(accepted(kHello, hello(1, 6, 65536, 16)));
  CHECK_FALSE(accepted(kHello, hello(65536, 6, 0, 16)));
  CHECK_FALSE(accepted(kHello, hello(1, 0, 0, 16)));
  CHECK_FALSE(accepted(kHello, hello(1, 7, 0, 16)));
  CHECK_FALSE(accepted(kHello, hello(1, 1, 0, 15)));
  CHECK_FALSE(accepted(kHello, hello(1, 1, 0, 17)));
  CHECK_FALSE(accepted(kHello, RawProto().varint(1, 1).varint(3, 1)));  // no boot at all
}

TEST_CASE("a refusal has a known reason and a printable, bounded text", "[wire]") {
  const Bytes good{'n', 'o', ' ', '~'};
  CHECK(accepted(kSignRefusal, refusal(1, good)));
  CHECK(accepted(kSignRefusal, refusal(14, good)));
  CHECK_FALSE(accepted(kSignRefusal, refusal(0, good)));
  CHECK_FALSE(accepted(kSignRefusal, refusal(17, good)));
  CHECK_FALSE(accepted(kSignRefusal, refusal(~std::uint64_t{0}, good)));
  CHECK_FALSE(accepted(kSignRefusal, refusal(1, Bytes{'a', '\n'})));
  CHECK_FALSE(accepted(kSignRefusal, refusal(1, Bytes{0x1b, '['})));
  CHECK_FALSE(accepted(kSignRefusal, refusal(1, Bytes{0xc3, 0xa9})));
  CHECK(accepted(kSignRefusal, refusal(1, Bytes(limits::kMaxDetailBytes, 'a'))));
  CHECK_FALSE(accepted(kSignRefusal, refusal(1, Bytes(limits::kMaxDetailBytes + 1, 'a'))));
  CHECK_FALSE(accepted(kSignRefusal, refusal(1, good).varint(4, 65536)));
}

TEST_CASE("a text for humans is cut and made printable rather than cost its message", "[wire]") {
  const SignRefusal odd{{}, RefusalReason::BadRequest,
                        "line\nbreak \xff" + std::string(2000, 'x'), std::nullopt};
  const auto decoded = decode_message(encode_message(odd));
  REQUIRE(decoded.ok());
  const std::string& detail = std::get<SignRefusal>(decoded.value()).detail;
  CHECK(detail == "line?break ?" + std::string(limits::kMaxDetailBytes - 12, 'x'));
}

// What has a scheme's size has a bound here; the machines know the size.
TEST_CASE("byte fields of another size than fixed are refused wherever they stand", "[wire]") {
  const auto batch = [](std::size_t epoch, std::size_t nonce) {
    return RawProto().bytes(1, Bytes(epoch)).bytes(2, Bytes(66)).bytes(2, Bytes(nonce));
  };
  CHECK(accepted(kNonceBatch, batch(16, 66)));
  CHECK(accepted(kNonceBatch, batch(16, 65)));
  CHECK_FALSE(accepted(kNonceBatch, batch(16, 67)));
  CHECK_FALSE(accepted(kNonceBatch, batch(0, 66)));
  const auto response = [](std::size_t digest, std::size_t share, std::size_t head) {
    return RawProto().bytes(1, Bytes(digest)).bytes(2, Bytes(share)).bytes(5, Bytes(head));
  };
  CHECK(accepted(kSignResponse, response(32, 32, 32)));
  CHECK_FALSE(accepted(kSignResponse, response(31, 32, 32)));
  CHECK(accepted(kSignResponse, response(32, 64, 32)));
  CHECK_FALSE(accepted(kSignResponse, response(32, 73, 32)));
  CHECK_FALSE(accepted(kSignResponse, response(32, 32, 0)));
}

TEST_CASE("a sign request over a bound is refused, at the bound it is accepted", "[wire]") {
  SignRequest request;
  request.unsigned_tx.resize(limits::kMaxTransactionBytes);
  request.prevouts.resize(limits::kMaxInputsPerTransaction);
  request.prevouts[0].script.resize(limits::kMaxScriptBytes);
  request.signers.resize(limits::kMaxSigners);
  request.signers[0].nonces.resize(limits::kMaxInputsPerTransaction);
  CHECK(survives(request));
  const auto refused = [&request](auto change) {
    SignRequest changed = request;
    change(changed);
    return !decode_message(encode_message(changed)).ok();
  };
  CHECK(refused([](SignRequest& r) { r.unsigned_tx.push_back(0); }));
  CHECK(refused([](SignRequest& r) { r.prevouts.emplace_back(); }));
  CHECK(refused([](SignRequest& r) { r.prevouts[0].script.push_back(0); }));
  CHECK(refused([](SignRequest& r) { r.signers.emplace_back(); }));
  CHECK(refused([](SignRequest& r) { r.signers[0].nonces.emplace_back(); }));
  CHECK_FALSE(accepted(kSignRequest, RawProto().bytes(1, Bytes(16)).bytes(2, Bytes(32)).message(
                                         5, RawProto().varint(1, 65536).bytes(2, Bytes(16)))));
}

TEST_CASE("nonces and shares over their bounds are refused", "[wire]") {
  NonceBatch batch;
  batch.nonces.resize(limits::kNoncePoolPerConnection);
  CHECK(survives(batch));
  batch.nonces.emplace_back();
  CHECK_FALSE(survives(batch));
  SignResponse response;
  response.shares.resize(limits::kMaxInputsPerTransaction);
  response.next_nonces.resize(limits::kNoncePoolPerConnection);
  CHECK(survives(response));
  SignResponse more_shares = response;
  more_shares.shares.emplace_back();
  CHECK_FALSE(survives(more_shares));
  SignResponse more_nonces = response;
  more_nonces.next_nonces.emplace_back();
  CHECK_FALSE(survives(more_nonces));
}

TEST_CASE("a ledger message with a command that is not canonical is refused", "[wire]") {
  samples::Draw draw(1);
  Bytes command = encode_command(samples::command(draw, 3));
  CHECK(accepted(kLedgerSubmit, RawProto().varint(1, 9).bytes(2, command)));
  command.push_back(0);
  CHECK_FALSE(accepted(kLedgerSubmit, RawProto().varint(1, 9).bytes(2, command)));
  CHECK_FALSE(accepted(kLedgerSubmit, RawProto().varint(1, 9)));
}

TEST_CASE("a ledger message without its required part is refused", "[wire]") {
  CHECK(accepted(kLedgerFollow, RawProto()));
  CHECK(accepted(kLedgerQuery, RawProto().message(4, RawProto())));
  CHECK_FALSE(accepted(kLedgerQuery, RawProto().varint(1, 9)));
  CHECK_FALSE(accepted(kLedgerQuery, RawProto().message(2, RawProto().bytes(1, Bytes(15)))));
  CHECK_FALSE(accepted(kLedgerQuery, RawProto().message(3, RawProto().bytes(1, Bytes(256)))));
  CHECK(accepted(kLedgerApplied, RawProto().message(3, RawProto().varint(1, 1))));
  CHECK_FALSE(accepted(kLedgerApplied, RawProto().varint(1, 1)));
  CHECK_FALSE(accepted(kLedgerApplied, RawProto().message(3, RawProto().varint(1, 8))));
  CHECK_FALSE(accepted(kLedgerApplied, RawProto().message(3, RawProto().varint(1, 1).bytes(
                                                                 3, Bytes(15)))));
  CHECK_FALSE(accepted(kLedgerFeed, RawProto().varint(1, 5)));  // no tip
  CHECK_FALSE(accepted(kLedgerAnswer, RawProto().message(4, RawProto())));  // an empty view
  const auto page = [](RawProto query) {
    return accepted(kLedgerQuery, RawProto().message(6, std::move(query)));
  };
  CHECK(page(RawProto().varint(1, 4).varint(7, 100)));
  CHECK_FALSE(page(RawProto().varint(1, 4).varint(7, 101)));  // more than a page
  CHECK_FALSE(page(RawProto().varint(1, 5)));
  CHECK_FALSE(page(RawProto().varint(1, 4).bytes(2, Bytes(65))));
  CHECK_FALSE(page(RawProto().varint(1, 2).varint(3, 8)));
  const auto entry = [](RawProto one) {
    return accepted(kLedgerAnswer, RawProto().message(7, RawProto().message(4, std::move(one))));
  };
  CHECK(entry(RawProto().bytes(3, Bytes(16))));
  CHECK_FALSE(entry(RawProto()));  // neither a deposit nor a withdrawal
  CHECK_FALSE(entry(RawProto().bytes(3, Bytes(16)).message(2, RawProto().bytes(1, Bytes(32)))));
}

TEST_CASE("feeds, balances and views over their bounds are refused", "[wire]") {
  WithdrawalView view;
  view.key = std::string(limits::kMaxIdempotencyKeyBytes, 'k');
  view.account = std::string(limits::kMaxAccountNameBytes, 'a');
  view.parents.resize(limits::kMaxUnsettledAncestors);
  LedgerFeed feed;
  feed.changed.assign(limits::kMaxFeedViewsPerFrame, view);
  CHECK(survives(feed));
  feed.changed.push_back(view);
  CHECK_FALSE(survives(feed));

  const auto with = [&view](auto change) {
    LedgerApplied applied{1, 1, {}, view};
    change(*applied.view);
    return survives(applied);
  };
  CHECK(with([](WithdrawalView&) {}));
  CHECK_FALSE(with([](WithdrawalView& v) { v.key += "k"; }));
  CHECK_FALSE(with([](WithdrawalView& v) { v.account += "a"; }));
  CHECK_FALSE(with([](WithdrawalView& v) { v.parents.emplace_back(); }));
  CHECK_FALSE(with([](WithdrawalView& v) { v.state = static_cast<WithdrawalState>(8); }));
  CHECK_FALSE(with([](WithdrawalView& v) { v.reject = static_cast<RejectReason>(6); }));

  LedgerAnswer answer;
  answer.balances.resize(limits::kMaxAccounts + 4);
  CHECK(survives(answer));
  answer.balances.emplace_back();
  CHECK_FALSE(survives(answer));
}

TEST_CASE("every message has a name of its own, and kill points use these names", "[wire]") {
  std::set<std::string> names;
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    samples::Draw draw(kind);
    names.insert(message_name(samples::message(draw, kind)));
  }
  CHECK(names.size() == std::variant_size_v<Message>);
  for (const auto& row : runtime::kKillPointRows) {
    if (row.effect != runtime::PointEffect::Send) continue;
    INFO(row.subject);
    CHECK(names.count(std::string(row.subject)) == 1);
  }
  std::set<std::string> refusals;
  for (int i = 1; i <= 15; ++i) refusals.insert(refusal_name(static_cast<RefusalReason>(i)));
  CHECK(refusals == std::set<std::string>{"stale-epoch", "unknown-nonce", "outpoint-bound",
                                          "withdrawal-bound", "policy-fee", "policy-change",
                                          "policy-amount", "prevout-mismatch", "bad-request",
                                          "draining", "too-many", "bad-nonce",
                                          "wrong-group", "quarantined",
                                          "key-unavailable"});
}
