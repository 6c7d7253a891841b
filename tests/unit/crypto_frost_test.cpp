// Behaviour of FROST signing: shapes, tweaks, blame, the life of a nonce. Official vectors stand in
// tests/vectors.
#include <catch2/catch.hpp>

#include <type_traits>

#include "tests/unit/crypto_fixture.h"

using namespace roulette;
using namespace roulette::crypto;
using namespace roulette::crypto::test;

namespace {

const Hash32 kMessage = sha256(as_bytes("one withdrawal"));

frost::TweakContext untweaked(const DealtGroup& dealt) {
  return frost::TweakContext::create(dealt.group.threshold_key()).value();
}

frost::TweakContext taproot(const DealtGroup& dealt) {
  return frost::TweakContext::key_path_only(dealt.group.threshold_key()).value();
}

// The first t ids counted down from n: not the trivial set 0..t-1, and not sorted.
std::vector<SignerId> last_ids(std::uint16_t n, std::uint16_t t) {
  std::vector<SignerId> out;
  for (std::uint16_t i = 0; i < t; ++i) out.emplace_back(static_cast<std::uint16_t>(n - 1 - i));
  return out;
}

Signature signed_by(const DealtGroup& dealt, const frost::TweakContext& key,
                    const std::vector<SignerId>& ids, EntropySource& entropy) {
  Round round = open_round(dealt, key, ids, kMessage, entropy);
  const auto shares = sign_all(dealt, round);
  return std::get<Signature>(frost::aggregate(round.session, shares).value());
}

DealtGroup group_with_parity(std::uint16_t n, std::uint16_t t, bool odd) {
  for (std::uint8_t seed = 0;; ++seed) {
    SeededEntropy entropy(seed);
    DealtGroup dealt = deal(n, t, entropy).value();
    if ((dealt.group.threshold_key()[0] == 3) == odd) return dealt;
  }
}

void signs_in_all_ways(std::uint16_t t, std::uint16_t n) {
  SeededEntropy entropy(static_cast<std::uint8_t>(t));
  const DealtGroup dealt = deal(n, t, entropy).value();
  for (const auto& key : {untweaked(dealt), taproot(dealt)}) {
    const Signature signature = signed_by(dealt, key, last_ids(n, t), entropy);
    CHECK(schnorr_verify(key.output_key(), kMessage, signature));
    CHECK_FALSE(schnorr_verify(key.output_key(), sha256(kMessage), signature));
    const Signature by_all = signed_by(dealt, key, last_ids(n, n), entropy);
    CHECK(schnorr_verify(key.output_key(), kMessage, by_all));
  }
}

}  // namespace

TEST_CASE("a 2-of-3 group signs, tweaked and untweaked", "[crypto]") { signs_in_all_ways(2, 3); }
TEST_CASE("a 3-of-5 group signs, tweaked and untweaked", "[crypto]") { signs_in_all_ways(3, 5); }
TEST_CASE("an 11-of-15 group signs, tweaked and untweaked", "[crypto]") {
  signs_in_all_ways(11, 15);
}
TEST_CASE("a 1-of-1 group signs, tweaked and untweaked", "[crypto]") { signs_in_all_ways(1, 1); }
TEST_CASE("a 65-of-128 group signs, the largest allowed", "[crypto]") {
  SeededEntropy entropy(9);
  const DealtGroup dealt = deal(128, 65, entropy).value();
  const auto key = taproot(dealt);
  CHECK(schnorr_verify(key.output_key(), kMessage,
                       signed_by(dealt, key, last_ids(128, 65), entropy)));
}

TEST_CASE("every quorum of a 3-of-5 group signs for the one key", "[crypto]") {
  SeededEntropy entropy(4);
  const DealtGroup dealt = deal(5, 3, entropy).value();
  const auto key = taproot(dealt);
  int quorums = 0;
  for (int a = 0; a < 5; ++a) {
    for (int b = a + 1; b < 5; ++b) {
      for (int c = b + 1; c < 5; ++c) {
        const Signature signature = signed_by(dealt, key, ids_of({c, a, b}), entropy);
        CHECK(schnorr_verify(key.output_key(), kMessage, signature));
        ++quorums;
      }
    }
  }
  CHECK(quorums == 10);
}

TEST_CASE("keys of odd and of even y both sign under every chain of tweaks", "[crypto]") {
  SeededEntropy entropy(5);
  for (const bool odd : {false, true}) {
    const DealtGroup dealt = group_with_parity(5, 3, odd);
    for (unsigned modes = 0; modes < 8; ++modes) {  // three tweaks, each plain or x-only
      std::vector<frost::Tweak> tweaks;
      for (unsigned i = 0; i < 3; ++i) {
        const auto mode = (modes >> i & 1) != 0 ? frost::TweakMode::XOnly : frost::TweakMode::Plain;
        const auto byte = static_cast<std::uint8_t>(8 * modes + i);
        tweaks.push_back({sha256(ByteSpan(&byte, 1)), mode});
        const auto key = frost::TweakContext::create(dealt.group.threshold_key(), tweaks).value();
        const Signature signature = signed_by(dealt, key, ids_of({4, 1, 2}), entropy);
        CHECK(schnorr_verify(key.output_key(), kMessage, signature));
      }
    }
  }
}

TEST_CASE("the key-path-only tweak is the taproot output key of the threshold key", "[crypto]") {
  for (const bool odd : {false, true}) {
    const DealtGroup dealt = group_with_parity(3, 2, odd);
    const auto output = output_key(xonly(dealt.group.threshold_key())).value();
    CHECK(taproot(dealt).output_key() == output.key);
  }
}

TEST_CASE("each bad share of a round is blamed, and nobody else", "[crypto]") {
  SeededEntropy entropy(6);
  const DealtGroup dealt = deal(5, 3, entropy).value();
  for (unsigned bad_set = 1; bad_set < 8; ++bad_set) {
    Round round = open_round(dealt, taproot(dealt), ids_of({0, 2, 4}), kMessage, entropy);
    auto shares = sign_all(dealt, round);
    std::vector<SignerId> expected;
    for (std::size_t i = 0; i < 3; ++i) {
      if ((bad_set >> i & 1) == 0) continue;
      shares[i][31 - i] ^= 1;  // different errors, that they do not cancel
      expected.push_back(round.quorum.ids()[i]);
    }
    const auto bad = std::get<frost::BadShares>(frost::aggregate(round.session, shares).value());
    std::vector<SignerId> blamed;
    for (const frost::BadShare& share : bad.blamed) {
      blamed.push_back(share.signer);
      const std::size_t index = round.quorum.index_of(share.signer).value();
      CHECK(share.share == shares[index]);                    // the proof: its bytes
      CHECK(share.nonce == round.session.nonces()[index]);
    }
    CHECK(blamed == expected);
  }
}

TEST_CASE("two bad shares whose errors cancel still make a valid signature", "[crypto]") {
  // Aggregation is judged by the signature alone; the shares need not be checked then (DESIGN 6.6).
  SeededEntropy entropy(7);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  Round round = open_round(dealt, untweaked(dealt), ids_of({0, 1}), kMessage, entropy);
  auto shares = sign_all(dealt, round);
  std::swap(shares[0], shares[1]);
  CHECK_FALSE(frost::verify_share(round.session, SignerId(0), shares[0]));
  CHECK(std::holds_alternative<Signature>(frost::aggregate(round.session, shares).value()));
}

TEST_CASE("shares of zero, of the order, and that sum to zero are blamed", "[crypto]") {
  SeededEntropy entropy(8);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  Round round = open_round(dealt, untweaked(dealt), ids_of({0, 1}), kMessage, entropy);
  const auto good = sign_all(dealt, round);
  const auto blamed = [&](const std::vector<frost::PartialSig>& shares) {
    std::vector<SignerId> out;
    const auto outcome = frost::aggregate(round.session, shares).value();
    for (const auto& bad : std::get<frost::BadShares>(outcome).blamed) out.push_back(bad.signer);
    return out;
  };
  const auto order = array_from_hex<32>(
      "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").value();
  const Bytes order_minus_one = from_hex(
      "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140").value();
  CHECK(blamed({good[0], frost::PartialSig{}}) == ids_of({1}));
  CHECK(blamed({order, good[1]}) == ids_of({0}));
  CHECK(blamed({frost::PartialSig{}, frost::PartialSig{}}) == ids_of({0, 1}));
  frost::PartialSig one{};
  one[31] = 1;
  CHECK(blamed({one, to_array<32>(order_minus_one).value()}) == ids_of({0, 1}));
}

TEST_CASE("a number of shares or nonces that differs from the signers is an error", "[crypto]") {
  SeededEntropy entropy(10);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  Round round = open_round(dealt, untweaked(dealt), ids_of({0, 1}), kMessage, entropy);
  auto shares = sign_all(dealt, round);
  shares.pop_back();
  CHECK_FALSE(frost::aggregate(round.session, shares).ok());
  CHECK_FALSE(frost::Session::open(round.quorum, {}, kMessage).ok());
}

TEST_CASE("a nonce that is not two points is named by its place, with its bytes", "[crypto]") {
  SeededEntropy entropy(11);
  const DealtGroup dealt = deal(5, 3, entropy).value();
  const Round round = open_round(dealt, untweaked(dealt), ids_of({0, 2, 4}), kMessage, entropy);
  for (std::size_t i = 0; i < 3; ++i) {
    for (const std::size_t half : {std::size_t{0}, std::size_t{33}}) {
      auto nonces = round.session.nonces();
      nonces[i][half] = 4;
      const auto opened = frost::Session::open(round.quorum, nonces, kMessage).value();
      REQUIRE(std::holds_alternative<frost::InvalidPubNonce>(opened));
      CHECK(std::get<frost::InvalidPubNonce>(opened).index == i);
      CHECK(std::get<frost::InvalidPubNonce>(opened).proof == nonces[i]);
      CHECK(std::get<frost::InvalidPubNonce>(frost::nonce_agg(nonces)).index == i);
    }
  }
}

TEST_CASE("a secret nonce cannot be copied, and is gone after any use", "[crypto]") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<frost::SecNonce>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<frost::SecNonce>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<frost::SecretShare>);

  SeededEntropy entropy(12);
  const DealtGroup dealt = deal(5, 3, entropy).value();
  Round round = open_round(dealt, untweaked(dealt), ids_of({0, 1, 2}), kMessage, entropy);
  const auto is_gone = [](const frost::SecNonce& nonce) {
    const auto bytes = nonce.secret().span();
    return nonce.used() && nonce.public_nonce() == frost::PubNonce{} &&
           std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
  };

  SECTION("after a share") {
    CHECK(frost::sign(std::move(round.nonces[0]), dealt.shares[0], round.session).ok());
    CHECK(is_gone(round.nonces[0]));
    const auto again = frost::sign(std::move(round.nonces[0]), dealt.shares[0], round.session);
    REQUIRE_FALSE(again.ok());
    CHECK(again.error().message == "the secret nonce was used already");
  }
  SECTION("after a refusal: a signer outside the set") {
    CHECK_FALSE(frost::sign(std::move(round.nonces[0]), dealt.shares[4], round.session).ok());
    CHECK(is_gone(round.nonces[0]));
  }
  SECTION("after a refusal: the session lists another nonce for this signer") {
    CHECK_FALSE(frost::sign(std::move(round.nonces[1]), dealt.shares[0], round.session).ok());
    CHECK(is_gone(round.nonces[1]));
  }
  SECTION("after a move") {
    const frost::SecNonce taken = std::move(round.nonces[0]);
    CHECK_FALSE(taken.used());
    CHECK(is_gone(round.nonces[0]));
  }
}

TEST_CASE("a share of another group or another id is refused", "[crypto]") {
  SeededEntropy entropy(13);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  const DealtGroup other = deal(3, 2, entropy).value();
  Round round = open_round(dealt, untweaked(dealt), ids_of({0, 1}), kMessage, entropy);
  CHECK_FALSE(frost::sign(std::move(round.nonces[0]), other.shares[0], round.session).ok());
  auto renamed = frost::SecretShare::create(SignerId(1), dealt.shares[0].secret().clone()).value();
  CHECK_FALSE(frost::sign(std::move(round.nonces[1]), renamed, round.session).ok());
  CHECK_FALSE(frost::Quorum::create(dealt.group, untweaked(other), ids_of({0, 1})).ok());
}

TEST_CASE("a bit that flips in the share's memory is caught before the share leaves", "[crypto]") {
  // The fault a wrong share would carry out of the machine (BIP 327, BIP 445: verify before
  // release).
  SeededEntropy entropy(21);
  DealtGroup dealt = deal(3, 2, entropy).value();
  Round round = open_round(dealt, taproot(dealt), ids_of({0, 1}), kMessage, entropy);
  const_cast<std::uint8_t*>(dealt.shares[0].secret().data())[31] ^= 4;
  const_cast<std::uint8_t*>(dealt.shares[1].secret().data())[31] ^= 4;
  const auto checked = frost::sign(std::move(round.nonces[0]), dealt.shares[0], round.session);
  REQUIRE_FALSE(checked.ok());
  CHECK(checked.error().kind == ErrorKind::Internal);
  const auto unchecked = frost::sign(std::move(round.nonces[1]), dealt.shares[1], round.session,
                                     frost::SelfCheck::Off);
  REQUIRE(unchecked.ok());
  CHECK_FALSE(frost::verify_share(round.session, SignerId(1), *unchecked));
}

TEST_CASE("an aggregate of identities signs with R = G", "[crypto]") {
  SeededEntropy entropy(14);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  const auto quorum = frost::Quorum::create(dealt.group, untweaked(dealt), ids_of({0, 1})).value();
  const auto opened = frost::Session::open_aggregated(quorum, frost::AggNonce{}, kMessage);
  const auto& session = std::get<frost::Session>(opened);
  auto nonce = frost::nonce_gen(entropy, {}).value();
  CHECK(frost::sign(std::move(nonce), dealt.shares[0], session).ok());

  // Opposite nonces of two cheats: the session opens and behaves as any other that fails.
  auto first = frost::nonce_gen(entropy, {}).value().public_nonce();
  auto second = first;
  second[0] ^= 1;
  second[33] ^= 1;
  const auto cancelled = frost::Session::open(quorum, std::vector{first, second}, kMessage).value();
  CHECK(std::get<frost::Session>(cancelled).aggnonce() == frost::AggNonce{});
}

TEST_CASE("an aggregate nonce that is no point is returned as the coordinator's proof",
          "[crypto]") {
  SeededEntropy entropy(15);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  const auto quorum = frost::Quorum::create(dealt.group, untweaked(dealt), ids_of({0, 1})).value();
  frost::AggNonce bad{};
  bad[0] = 4;
  const auto opened = frost::Session::open_aggregated(quorum, bad, kMessage);
  REQUIRE(std::holds_alternative<frost::InvalidAggNonce>(opened));
  CHECK(std::get<frost::InvalidAggNonce>(opened).proof == bad);
}

TEST_CASE("a group whose shares do not all fit its key is refused at load", "[crypto]") {
  SeededEntropy entropy(16);
  const DealtGroup dealt = deal(5, 3, entropy).value();
  const DealtGroup other = deal(5, 3, entropy).value();
  const auto key = dealt.group.threshold_key();
  const auto shares = dealt.group.public_shares();
  CHECK(frost::Group::create(5, 3, key, shares)->id() == dealt.group.id());
  CHECK(dealt.group.id() != other.group.id());
  for (std::size_t i = 0; i < 5; ++i) {
    auto wrong = shares;
    wrong[i] = other.group.public_shares()[i];
    CHECK_FALSE(frost::Group::create(5, 3, key, wrong).ok());
  }
  CHECK_FALSE(frost::Group::create(5, 3, other.group.threshold_key(), shares).ok());
  CHECK_FALSE(frost::Group::create(5, 2, key, shares).ok());  // the polynomial has degree 2
  CHECK_FALSE(frost::Group::create(5, 0, key, shares).ok());
  CHECK_FALSE(frost::Group::create(5, 6, key, shares).ok());
  CHECK_FALSE(frost::Group::create(4, 3, key, shares).ok());
}

TEST_CASE("signer sets with too few, doubled or unknown ids are refused", "[crypto]") {
  SeededEntropy entropy(17);
  const DealtGroup dealt = deal(5, 3, entropy).value();
  const auto key = untweaked(dealt);
  CHECK(frost::Quorum::create(dealt.group, key, ids_of({4, 0, 2}))->ids() == ids_of({0, 2, 4}));
  CHECK_FALSE(frost::Quorum::create(dealt.group, key, ids_of({0, 1})).ok());
  CHECK_FALSE(frost::Quorum::create(dealt.group, key, ids_of({0, 1, 1})).ok());
  CHECK_FALSE(frost::Quorum::create(dealt.group, key, ids_of({0, 1, 5})).ok());
  CHECK_FALSE(frost::Quorum::create(dealt.group, key, ids_of({0, 1, 2, 3, 4, 4})).ok());
  CHECK_FALSE(frost::Quorum::create(frost::Group{}, key, {}).ok());
}

TEST_CASE("a tweak beyond the order or to infinity is refused", "[crypto]") {
  SeededEntropy entropy(18);
  const Secret<32> secret = entropy.secret();
  const PubKey33 key = public_key(secret).value();
  frost::Tweak tweak{{}, frost::TweakMode::Plain};
  tweak.value.fill(0xff);
  CHECK_FALSE(frost::TweakContext::create(key, std::vector{tweak}).ok());
  // key = 1 * G and tweak = -1
  ByteArray<32> one{};
  one[31] = 1;
  const PubKey33 g = public_key(Secret<32>(std::span<const std::uint8_t, 32>(one))).value();
  tweak.value = array_from_hex<32>(
      "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140").value();
  CHECK_FALSE(frost::TweakContext::create(g, std::vector{tweak}).ok());
}

TEST_CASE("nonces depend on every input and on the random bytes", "[crypto]") {
  SeededEntropy entropy(19);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  const Secret<32> random = entropy.secret();
  std::vector<frost::PubNonce> seen;
  const auto draw = [&](const frost::NonceInput& input) {
    seen.push_back(frost::nonce_gen(random.clone(), input).value().public_nonce());
  };
  frost::NonceInput input;
  draw(input);
  input.share = &dealt.shares[0];
  draw(input);
  input.signer = SignerId(0);
  draw(input);
  input.signer = SignerId(1);
  draw(input);
  input.public_share = dealt.shares[0].public_share();
  draw(input);
  input.threshold_key = xonly(dealt.group.threshold_key());
  draw(input);
  input.message = ByteSpan{};  // an empty message is not an absent one
  draw(input);
  input.message = ByteSpan(kMessage);
  draw(input);
  const Bytes extra{1};
  input.extra = extra;
  draw(input);
  seen.push_back(frost::nonce_gen(entropy.secret(), input).value().public_nonce());
  auto sorted = seen;
  std::sort(sorted.begin(), sorted.end());
  CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
  draw(input);  // and on nothing else
  CHECK(seen[seen.size() - 3] == seen.back());
}

TEST_CASE("nonces hash the bytes that BIP 445 lays out", "[crypto]") {
  SeededEntropy entropy(22);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  const Secret<32> random = entropy.secret();
  const Bytes extra{7, 8, 9};
  frost::NonceInput input;
  input.share = &dealt.shares[1];
  input.signer = SignerId(0x102);
  input.public_share = dealt.shares[1].public_share();
  input.threshold_key = xonly(dealt.group.threshold_key());
  input.message = as_bytes("message");
  input.extra = extra;

  const Hash32 mask = tagged_hash("BIP0445/aux", random.span());
  Bytes preimage;
  for (std::size_t i = 0; i < 32; ++i) {
    preimage.push_back(static_cast<std::uint8_t>(mask[i] ^ dealt.shares[1].secret().data()[i]));
  }
  append(preimage, Bytes{4, 0, 0, 1, 2});  // len1 || signer id
  append(preimage, Bytes{33});
  append(preimage, dealt.shares[1].public_share());
  append(preimage, Bytes{32});
  append(preimage, xonly(dealt.group.threshold_key()));
  append(preimage, Bytes{1, 0, 0, 0, 0, 0, 0, 0, 7});  // message flag || len8
  append(preimage, as_bytes("message"));
  append(preimage, Bytes{0, 0, 0, 3, 7, 8, 9});  // len4 || extra
  const auto check = [&](const frost::SecNonce& nonce, const Bytes& prefix) {
    for (const std::uint8_t j : {std::uint8_t{0}, std::uint8_t{1}}) {
      Bytes hashed = prefix;
      hashed.push_back(j);
      const Hash32 k = tagged_hash("BIP0445/nonce", hashed);
      CHECK(std::equal(k.begin(), k.end(), nonce.secret().data() + 32 * j));
    }
  };
  check(frost::nonce_gen(random.clone(), input).value(), preimage);

  Bytes nothing(random.span().begin(), random.span().end());  // no share: the random bytes as such
  append(nothing, Bytes{0, 0, 0, 0, 0, 0, 0, 0});  // three empty fields, no message, no extra
  check(frost::nonce_gen(random.clone(), {}).value(), nothing);
}

TEST_CASE("a threshold of zero is no quorum", "[crypto]") {
  SeededEntropy entropy(23);
  const DealtGroup dealt = deal(3, 2, entropy).value();
  const auto key = untweaked(dealt);
  CHECK_FALSE(frost::Quorum::create_listed(3, 0, key, {}, {}).ok());
  CHECK_FALSE(frost::Quorum::create_listed(0, 0, key, {}, {}).ok());
  CHECK_FALSE(frost::Quorum::create_listed(129, 2, key, ids_of({0, 1}),
                                           std::vector{dealt.group.public_shares()[0],
                                                       dealt.group.public_shares()[1]}).ok());
}

TEST_CASE("cluster shapes whose quorums may miss each other are refused", "[crypto]") {
  CHECK(check_quorum_shape(3, 5).ok());
  CHECK(check_quorum_shape(2, 3).ok());
  CHECK(check_quorum_shape(1, 1).ok());
  CHECK(check_quorum_shape(65, 128).ok());
  CHECK_FALSE(check_quorum_shape(2, 4).ok());
  CHECK_FALSE(check_quorum_shape(2, 5).ok());
  CHECK_FALSE(check_quorum_shape(0, 0).ok());
  CHECK_FALSE(check_quorum_shape(4, 3).ok());
  CHECK_FALSE(check_quorum_shape(100, 129).ok());
  SeededEntropy entropy(20);
  CHECK_FALSE(deal(4, 2, entropy).ok());
  CHECK(deal(4, 2, entropy, QuorumShape::AnyForVectors).ok());
}

// BIP 445's vectors for 2-of-3 (first signing case, first aggregation case, first tweaked case) as
// literals: a checkout without the vector files still tests the official bytes.
TEST_CASE("the first official 2-of-3 vectors sign, tweak and aggregate", "[crypto]") {
  const auto point = [](std::string_view hex) { return array_from_hex<33>(hex).value(); };
  const auto scalar = [](std::string_view hex) { return array_from_hex<32>(hex).value(); };
  const auto key =
      point("02d772a09f5f675783d275ed9f6aaedb2eccbc74171b37ac23ae3bbd9d7ae2cdaa");
  const std::vector<frost::PubShare33> shares = {
      point("039ee3335af48dfe23702ab353f4af20d401f67a130df783cc8457323a860a2fb4"),
      point("0284dc4ab2cb78a621eb87fa1f14bce2b725afeaac981adcbaff5cc2d417d2a63a"),
      point("036441ec2d4c1266201cd89b69549a2f5b2188612a0d434153e625fb38173dd509")};
  const auto group = frost::Group::create(3, 2, key, shares).value();
  const auto message =
      scalar("f95466d086770e689964664219266fe5ed215c92ae20bab5c9d79addddf3c0cf");
  const auto raw_share =
      scalar("53442fa9bd72eea0a42df6f2d2d76a2c0d3a3dfa2be2f820f41ade976b8259fb");
  const auto share = frost::SecretShare::create(
      SignerId(0), Secret<32>(std::span<const std::uint8_t, 32>(raw_share))).value();
  const auto raw_nonce = array_from_hex<64>(
      "67afbe2b50f521569b9c1d943f8fe20620b8c25fa81e9788718af6ee87d5275c9a"
      "485a634fe41558e4e108fbb52c5cf616c0cdf02bc0c10a99359ff6c1bd705c").value();
  const auto aggnonce = array_from_hex<66>(
      "030f261bfe5df0ae3ec06bb7a1d6394a3af206968281f03b70d25fb84d49036ce2"
      "03be48277630579c72160430c819aabb1dfa20ff70749666080bb886b728476261").value();
  const auto session_under = [&](const frost::TweakContext& tweaked) {
    const auto quorum = frost::Quorum::create(group, tweaked, ids_of({0, 1})).value();
    return std::get<frost::Session>(frost::Session::open_aggregated(quorum, aggnonce, message));
  };
  const auto share_under = [&](const frost::TweakContext& tweaked) {
    auto nonce = frost::SecNonce::from_bytes(
        Secret<64>(std::span<const std::uint8_t, 64>(raw_nonce)));
    return to_hex(frost::sign(std::move(nonce), share, session_under(tweaked)).value());
  };
  const auto plain = frost::TweakContext::create(key).value();
  CHECK(share_under(plain) ==
        "93dde8c9cee714eb5bdf2be00fec3327f9cf386d3ac672f0da734ffc08e7a041");

  const auto tweak =
      scalar("e8f791ff9225a2af0102afff4a9a723d9612a682a25ebe79802b263cdfcd83bb");
  const std::vector<frost::Tweak> tweaks = {{tweak, frost::TweakMode::XOnly}};
  CHECK(share_under(frost::TweakContext::create(key, tweaks).value()) ==
        "b83a0d33121b5a858bdca6750ed20c34b490baf26dc874b0889f19862b8dc938");

  const std::vector<frost::PartialSig> partials = {
      scalar("93dde8c9cee714eb5bdf2be00fec3327f9cf386d3ac672f0da734ffc08e7a041"),
      scalar("4368b9cd58815001630403fa8f6319cfd4849e95f13379fa431a288fd230e872")};
  const auto outcome = frost::aggregate(session_under(plain), partials).value();
  CHECK(to_hex(std::get<Signature>(outcome)) ==
        "74b202858d1b9b1113a5615e20cdb41cd6caee2dc125eb32aea1a7c189621c12d7"
      "46a297276864ecbee32fda9f4f4cf7ce53d7032bf9eceb1d8d788bdb1888b3");
}

TEST_CASE("a refreshed group signs for the same key, and never together with the old shares",
          "[crypto]") {
  SeededEntropy entropy(77);
  const DealtGroup old_group = deal(5, 3, entropy).value();
  const DealtGroup fresh = refresh(old_group.group, old_group.shares, entropy).value();
  CHECK(fresh.group.threshold_key() == old_group.group.threshold_key());
  CHECK(fresh.group.id() != old_group.group.id());
  for (std::size_t i = 0; i < 5; ++i)
    CHECK(fresh.group.public_shares()[i] != old_group.group.public_shares()[i]);
  const auto key = taproot(fresh);
  const Signature signature = signed_by(fresh, key, ids_of({0, 2, 4}), entropy);
  CHECK(schnorr_verify(taproot(old_group).output_key(), kMessage, signature));
  // Two old shares and a new one: a set whose public shares do not lead to the key.
  const auto mixed = frost::Quorum::create_listed(
      5, 3, key, ids_of({0, 2, 4}),
      std::vector<frost::PubShare33>{old_group.group.public_shares()[0],
                                     old_group.group.public_shares()[2],
                                     fresh.group.public_shares()[4]});
  CHECK_FALSE(mixed.ok());
}

TEST_CASE("a refresh wants every share of the group and no other", "[crypto]") {
  SeededEntropy entropy(78);
  DealtGroup dealt = deal(3, 2, entropy).value();
  DealtGroup other = deal(3, 2, entropy).value();
  CHECK_FALSE(refresh(dealt.group, other.shares, entropy).ok());
  std::swap(dealt.shares[0], dealt.shares[1]);
  CHECK_FALSE(refresh(dealt.group, dealt.shares, entropy).ok());
  dealt.shares.pop_back();
  CHECK_FALSE(refresh(dealt.group, dealt.shares, entropy).ok());
  const DealtGroup alone = deal(1, 1, entropy).value();
  CHECK_FALSE(refresh(alone.group, alone.shares, entropy).ok());
}
