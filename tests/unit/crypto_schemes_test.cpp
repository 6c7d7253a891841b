// What every scheme that spends real coins keeps of scheme.h's promises: frost, frost-tr, musig2,
// single, hsm.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "chaos/sim/soft_ecdsa.h"
#include "common/crypto/frost_scheme.h"
#include "common/crypto/musig2_scheme.h"
#include "common/crypto/schemes.h"
#include "common/crypto/single_scheme.h"
#include "tests/unit/crypto_fixture.h"

using namespace roulette;
using namespace roulette::crypto;
using namespace roulette::crypto::test;

namespace {

struct Subject {
  SigningGroupPtr group;
  std::vector<KeySharePtr> shares;  // by id
};

Subject dealt(std::uint8_t seed, Result<SigningGroupPtr> (*group)(frost::Group),
              KeySharePtr (*share)(frost::SecretShare)) {
  SeededEntropy entropy(seed);
  DealtGroup dealing = deal(5, 3, entropy).value();
  Subject out{group(dealing.group).value(), {}};
  for (auto& one : dealing.shares) out.shares.push_back(share(std::move(one)));
  return out;
}
Subject frost_of(std::uint8_t seed) { return dealt(seed, frost_group, frost_share); }
Subject frost_tr_of(std::uint8_t seed) { return dealt(seed, frost_tr_group, frost_tr_share); }

Subject musig2_of(std::uint8_t seed) {
  SeededEntropy entropy(seed);
  Subject out;
  std::vector<PubKey33> keys;
  for (std::uint16_t i = 0; i < 3; ++i) {
    out.shares.push_back(musig2_share(SignerId(i), entropy.secret()).value());
    keys.push_back(*to_array<33>(out.shares.back()->public_share()));
  }
  out.group = musig2_group(keys).value();
  return out;
}

Subject single_of(std::uint8_t seed) {
  SeededEntropy entropy(seed);
  Subject out;
  out.shares.push_back(single_share(entropy.secret()).value());
  out.group = single_group(*to_array<33>(out.shares[0]->public_share())).value();
  return out;
}

// Every other seed gives high S, as a token does.
Subject hsm_of(std::uint8_t seed) {
  const auto token = std::make_shared<sim::SoftEcdsa>(sha256(Bytes{seed}));
  Subject out;
  out.shares.push_back(hsm_share({token->key(), [token, seed](const Hash32& digest) {
    const CompactEcdsa low = token->sign(digest);
    return Result<CompactEcdsa>(seed % 2 == 0 ? sim::with_other_s(low) : low);
  }}));
  out.group = hsm_group(token->key()).value();
  return out;
}

using Maker = Subject (*)(std::uint8_t);
constexpr Maker kMakers[] = {frost_of, frost_tr_of, musig2_of, single_of, hsm_of};
bool tweaked(const Subject& subject) {
  return subject.group->scheme().facts().signatures == SignatureForm::Bip340;
}
bool same(ByteSpan a, ByteSpan b) { return std::ranges::equal(a, b); }

struct Opening {
  std::vector<SignerId> ids;
  std::vector<SecretNonce> secrets;
  std::vector<Bytes> nonces;
  SigningSessionPtr session;
};

std::vector<ByteSpan> spans(const std::vector<Bytes>& of) { return {of.begin(), of.end()}; }

std::vector<SignerId> first_ids(const Subject& subject) {
  std::vector<SignerId> ids;
  for (std::uint16_t i = 0; i < subject.group->t(); ++i) ids.emplace_back(i);
  return ids;
}

Opening open(const Subject& subject, const Hash32& message, SeededEntropy& entropy) {
  Opening out;
  out.ids = first_ids(subject);
  for (const SignerId id : out.ids) {
    const KeyShare& share = *subject.shares[id.value()];
    out.secrets.push_back(share.make_nonce(entropy, *subject.group, as_bytes("a pool")).value());
    out.nonces.push_back(out.secrets.back().public_nonce());
    CHECK(out.nonces.back().size() == subject.group->scheme().facts().nonce_size);
  }
  auto opened = subject.group->signer_set(out.ids).value()->open(spans(out.nonces), message);
  out.session = std::get<SigningSessionPtr>(std::move(opened).value());
  return out;
}

std::vector<Bytes> sign_all(const Subject& subject, Opening& opening) {
  std::vector<Bytes> shares;
  for (std::size_t i = 0; i < opening.ids.size(); ++i) {
    shares.push_back(subject.shares[opening.ids[i].value()]
                         ->sign(std::move(opening.secrets[i]), *opening.session)
                         .value());
    CHECK(shares.back().size() == subject.group->scheme().facts().share_size);
  }
  return shares;
}

const Hash32 kMessage = sha256(as_bytes("a sighash"));

}  // namespace

TEST_CASE("every scheme signs under its wallet's tweaked key and no other", "[schemes]") {
  for (const Maker make : kMakers) {
    for (std::uint8_t seed = 1; seed <= 8; ++seed) {  // both parities of the key and of R
      const Subject subject = make(seed);
      const Scheme& scheme = subject.group->scheme();
      INFO(scheme.facts().name << ", seed " << int(seed));
      SeededEntropy entropy(100);
      Opening opening = open(subject, kMessage, entropy);
      const auto shares = sign_all(subject, opening);
      for (std::size_t i = 0; i < shares.size(); ++i)
        CHECK(opening.session->verify_share(opening.ids[i], shares[i]));
      const auto made = opening.session->aggregate(spans(shares)).value();
      const Bytes signature = std::get<Bytes>(made);
      CHECK(signature.size() <= scheme.facts().signature_size);
      CHECK(scheme.verify(subject.group->wallet_key(), kMessage, signature));
      if (!tweaked(subject)) {
        CHECK(same(subject.group->wallet_key(), subject.group->threshold_key()));
        continue;
      }
      CHECK(same(subject.group->wallet_key(),
                 output_key(xonly(subject.group->threshold_key())).value().key));
      CHECK_FALSE(scheme.verify(xonly(subject.group->threshold_key()), kMessage, signature));
      CHECK_FALSE(scheme.verify(subject.group->wallet_key(), sha256(kMessage), signature));
    }
  }
}

TEST_CASE("in every scheme a bad share convicts its signer and nobody else", "[schemes]") {
  for (const Maker make : kMakers) {
    const Subject subject = make(1);
    INFO(subject.group->scheme().facts().name);
    SeededEntropy entropy(3);
    Opening opening = open(subject, kMessage, entropy);
    const auto good = sign_all(subject, opening);
    for (const int how : {0, 1, 2}) {  // another share, one out of range, one of another size
      auto shares = good;
      if (how == 0) shares.back()[31] ^= 1;
      if (how == 1) std::fill(shares.back().begin(), shares.back().end(), 0xff);
      if (how == 2) shares.back().pop_back();
      CHECK_FALSE(opening.session->verify_share(opening.ids.back(), shares.back()));
      const auto made = opening.session->aggregate(spans(shares)).value();
      const auto& blamed = std::get<BadShares>(made).blamed;
      REQUIRE(blamed.size() == 1);
      CHECK(blamed[0].signer == opening.ids.back());
    }
    CHECK_FALSE(opening.session->aggregate({}).ok());
    CHECK_FALSE(opening.session->verify_share(SignerId(99), good[0]));
  }
}

TEST_CASE("in every scheme a share of another message is a bad share", "[schemes]") {
  for (const Maker make : kMakers) {
    const Subject subject = make(2);
    INFO(subject.group->scheme().facts().name);
    SeededEntropy entropy(4);
    Opening one = open(subject, kMessage, entropy);
    const Opening other = open(subject, sha256(kMessage), entropy);
    const auto shares = sign_all(subject, one);
    for (std::size_t i = 0; i < shares.size(); ++i)
      CHECK_FALSE(other.session->verify_share(one.ids[i], shares[i]));
  }
}

TEST_CASE("a nonce of two rounds makes one share, and is gone when the share is refused",
          "[schemes]") {
  for (const Maker make : {frost_of, frost_tr_of, musig2_of}) {
    const Subject subject = make(1);
    INFO(subject.group->scheme().facts().name);
    SeededEntropy entropy(5);
    Opening opening = open(subject, kMessage, entropy);
    const KeyShare& signer = *subject.shares[0];
    REQUIRE(signer.sign(std::move(opening.secrets[0]), *opening.session).ok());
    CHECK(opening.secrets[0].used());
    CHECK_FALSE(signer.sign(std::move(opening.secrets[0]), *opening.session).ok());
    // A nonce that the session does not list for this signer.
    auto unlisted = signer.make_nonce(entropy, *subject.group, {}).value();
    CHECK_FALSE(signer.sign(std::move(unlisted), *opening.session).ok());
    CHECK(unlisted.used());
    // Somebody else's.
    CHECK_FALSE(signer.sign(std::move(opening.secrets[1]), *opening.session).ok());
    CHECK(opening.secrets[1].used());
    // A session of another group.
    const Subject stranger = make(9);
    Opening foreign = open(stranger, kMessage, entropy);
    CHECK_FALSE(signer.sign(std::move(foreign.secrets[0]), *foreign.session).ok());
  }
}

TEST_CASE("what one scheme made is refused by the others", "[schemes]") {
  for (const Maker mine : kMakers) {
    for (const Maker other : kMakers) {
      if (mine == other) continue;
      const Subject subject = mine(1), stranger = other(1);
      SeededEntropy entropy(6);
      Opening own = open(subject, kMessage, entropy), foreign = open(stranger, kMessage, entropy);
      CHECK_FALSE(subject.shares[0]->sign(std::move(own.secrets[0]), *foreign.session).ok());
    }
  }
}

TEST_CASE("nonces that are no points are named, signer sets that cannot sign refused",
          "[schemes]") {
  for (const Maker make : kMakers) {
    const Subject subject = make(1);
    INFO(subject.group->scheme().facts().name);
    SeededEntropy entropy(7);
    Opening opening = open(subject, kMessage, entropy);
    const auto set = subject.group->signer_set(opening.ids).value();
    for (const Bytes& wrong : {Bytes(66, 0x07), Bytes(65, 2)}) {
      auto nonces = opening.nonces;
      nonces.back() = wrong;
      const auto opened = set->open(spans(nonces), kMessage).value();
      CHECK(std::get<InvalidNonce>(opened).index == nonces.size() - 1);
    }
    CHECK_FALSE(set->open({}, kMessage).ok());
    std::vector<SignerId> twice = opening.ids;
    twice.push_back(twice.back());
    CHECK_FALSE(subject.group->signer_set(twice).ok());
    CHECK_FALSE(subject.group->signer_set({}).ok());
    CHECK_FALSE(subject.group->signer_set(ids_of({90, 91, 92})).ok());
    CHECK(subject.group->public_share(SignerId(90)).empty());
  }
}

TEST_CASE("one dealing is two groups under frost and frost-tr, with one wallet key", "[schemes]") {
  const Subject bip = frost_of(1), rfc = frost_tr_of(1);
  CHECK(same(bip.group->wallet_key(), rfc.group->wallet_key()));
  CHECK(bip.group->id() != rfc.group->id());
}

TEST_CASE("musig2 has one signer set, all of its signers in any order", "[schemes]") {
  const Subject subject = musig2_of(1);
  CHECK(subject.group->t() == subject.group->n());
  CHECK(subject.group->check_quorums_meet().ok());
  CHECK(subject.group->signer_set(ids_of({2, 0, 1})).value()->ids() == ids_of({0, 1, 2}));
  CHECK_FALSE(subject.group->signer_set(ids_of({0, 1})).ok());
  CHECK_FALSE(musig2_group({}).ok());
  CHECK_FALSE(musig2_group({PubKey33{5}}).ok());
  // The order of the keys is part of the group.
  std::vector<PubKey33> keys;
  for (const auto& share : subject.shares) keys.push_back(*to_array<33>(share->public_share()));
  std::swap(keys[0], keys[2]);
  CHECK_FALSE(same(musig2_group(keys).value()->wallet_key(), subject.group->wallet_key()));
  CHECK(musig2_group(keys).value()->id() != subject.group->id());
}

TEST_CASE("a key out of range is no share", "[schemes]") {
  ByteArray<32> order;
  order.fill(0xff);
  CHECK_FALSE(musig2_share(SignerId(0), Secret<32>(order)).ok());
  CHECK_FALSE(single_share(Secret<32>(ByteArray<32>{})).ok());
  CHECK_FALSE(single_group(PubKey33{9}).ok());
}

// ---- the schemes by name ----

namespace {

Dealt dealt_by(const SchemeKind& kind, std::uint8_t seed) {
  if (kind.in_token) return {hsm_of(seed).group, {}};
  SeededEntropy entropy(seed);
  const std::uint16_t n = kind.facts().form == SignerForm::OneSigner ? 1 : 3;
  const std::uint16_t t = kind.facts().form == SignerForm::AnyThreshold ? 2 : n;
  return kind.deal(n, t, entropy).value();
}

}  // namespace

TEST_CASE("a scheme is found by its name and by its version, another word is none", "[schemes]") {
  std::set<std::string_view> names, versions;
  for (const SchemeKind& kind : all_schemes()) {
    CHECK(scheme_by_name(kind.facts().name) == &kind);
    CHECK(scheme_by_version(kind.facts().version) == &kind);
    names.insert(kind.facts().name);
    versions.insert(kind.facts().version);
  }
  CHECK(names == std::set<std::string_view>{"frost", "frost-tr", "hsm", "musig2", "single"});
  CHECK(versions.size() == names.size());
  CHECK(scheme_by_name("FROST") == nullptr);
  CHECK(scheme_by_version("frost") == nullptr);
  CHECK(scheme_names() == "frost, frost-tr, musig2, single, hsm");
}

TEST_CASE("what a scheme dealt signs, and its keys make the same group again", "[schemes]") {
  for (const SchemeKind& kind : all_schemes()) {
    INFO(kind.facts().name);
    Dealt dealt = dealt_by(kind, 5);
    const auto again = kind.group(keys_of(*dealt.group));
    REQUIRE(again.ok());
    CHECK((*again)->id() == dealt.group->id());
    CHECK(same((*again)->wallet_key(), dealt.group->wallet_key()));
    for (std::uint16_t i = 0; i < dealt.secrets.size(); ++i) {
      const auto share = kind.share(SignerId(i), std::move(dealt.secrets[i]));
      REQUIRE(share.ok());
      CHECK((*share)->id() == SignerId(i));
      CHECK(std::ranges::equal((*share)->public_share(), (*again)->public_share(SignerId(i))));
    }
  }
}

TEST_CASE("keys that do not belong together make no group in any scheme", "[schemes]") {
  for (const SchemeKind& kind : all_schemes()) {
    INFO(kind.facts().name);
    const GroupKeys right = keys_of(*dealt_by(kind, 5).group);
    const GroupKeys other = keys_of(*dealt_by(kind, 6).group);
    GroupKeys wrong = right;
    wrong.threshold_key = other.threshold_key;
    CHECK_FALSE(kind.group(wrong).ok());
    wrong = right;
    wrong.public_shares[0] = other.public_shares[0];
    CHECK_FALSE(kind.group(wrong).ok());
    wrong = right;
    wrong.public_shares.push_back(other.public_shares[0]);
    CHECK_FALSE(kind.group(wrong).ok());
    wrong.n += 1;
    CHECK_FALSE(kind.group(wrong).ok());
  }
}

TEST_CASE("a shape in which two quorums need not meet is refused in every scheme", "[schemes]") {
  for (const SchemeKind& kind : all_schemes()) {
    INFO(kind.facts().name);
    const bool any = kind.facts().form == SignerForm::AnyThreshold;
    const bool one = kind.facts().form == SignerForm::OneSigner;
    SeededEntropy entropy(1);
    CHECK_FALSE(kind.check_shape(1, 2).ok());
    CHECK_FALSE(kind.deal(2, 1, entropy).ok());  // of a token: never
    CHECK_FALSE(kind.check_shape(0, 0).ok());
    CHECK(kind.check_shape(2, 3).ok() == any);
    CHECK(kind.check_shape(3, 3).ok() == !one);
    CHECK(kind.check_shape(1, 1).ok());
  }
}

TEST_CASE("a key in a token is dealt to nobody and is no share of bytes", "[schemes]") {
  for (const SchemeKind& kind : all_schemes()) {
    INFO(kind.facts().name);
    SeededEntropy entropy(1);
    const auto share = kind.share(SignerId(0), entropy.secret());
    CHECK(share.ok() == !kind.in_token);
    CHECK((kind.deal(1, 1, entropy).ok()) == !kind.in_token);
    if (kind.in_token) CHECK(share.error().kind == ErrorKind::Usage);
  }
}

TEST_CASE("a token's signature is normalised, and a wrong one is no share", "[schemes]") {
  const sim::SoftEcdsa token(sha256(as_bytes("token")));
  const auto group = hsm_group(token.key()).value();
  const auto session_of = [&](const Hash32& message) {
    const ByteSpan none[] = {ByteSpan()};
    auto opened = group->signer_set(ids_of({0})).value()->open(none, message);
    return std::get<SigningSessionPtr>(std::move(opened).value());
  };
  int high = 0;
  for (std::uint8_t i = 0; i < 64; ++i) {
    const Hash32 digest = sha256(Bytes{i});
    const CompactEcdsa low = token.sign(digest);
    const CompactEcdsa given = i % 2 == 0 ? low : sim::with_other_s(low);
    high += given == low ? 0 : 1;
    const auto share = hsm_share({token.key(), [&](const Hash32&) {
      return Result<CompactEcdsa>(given);
    }})->sign(SecretNonce(), *session_of(digest));
    REQUIRE(share.ok());
    CHECK(same(*share, low));
    // The same pair with the other S is ECDSA's, and not the network's.
    CHECK(ecdsa_verify(token.key(), digest, der_of(low).value()));
    CHECK_FALSE(ecdsa_verify(token.key(), digest, der_of(sim::with_other_s(low)).value()));
  }
  CHECK(high == 32);
  const auto wrong = hsm_share({token.key(), [&](const Hash32&) {
    return Result<CompactEcdsa>(token.sign(sha256(as_bytes("another digest"))));
  }})->sign(SecretNonce(), *session_of(kMessage));
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().message.find("does not verify") != std::string::npos);
  CHECK_FALSE(hsm_group(PubKey33{9}).ok());
}

TEST_CASE("only strict DER is a signature: every other spelling of one is refused", "[schemes]") {
  const sim::SoftEcdsa token(sha256(as_bytes("token")));
  for (std::uint8_t i = 0; i < 32; ++i) {
    const Hash32 digest = sha256(Bytes{i});
    const Bytes der = token.der(digest);
    REQUIRE(ecdsa_verify(token.key(), digest, der));
    CHECK(der.size() <= kMostDerBytes);
    CHECK(der_of(compact_of(der).value()).value() == der);
    Bytes spelled = der;  // a zero before r that nothing asks for
    spelled.insert(spelled.begin() + 4, 0);
    spelled[1] += 1;
    spelled[3] += 1;
    CHECK_FALSE(ecdsa_verify(token.key(), digest, spelled));
    spelled = der;  // the length in its long form
    spelled.insert(spelled.begin() + 1, 0x81);
    CHECK_FALSE(ecdsa_verify(token.key(), digest, spelled));
    spelled = der;  // a byte behind
    spelled.push_back(0);
    CHECK_FALSE(ecdsa_verify(token.key(), digest, spelled));
    for (std::size_t at = 0; at < der.size(); ++at) {
      spelled = der;
      spelled[at] ^= 1;
      CHECK_FALSE(ecdsa_verify(token.key(), digest, spelled));
    }
  }
}

TEST_CASE("a sharing is renewed where there is one, own keys are not", "[schemes]") {
  for (const SchemeKind& kind : all_schemes()) {
    INFO(kind.facts().name);
    Dealt dealt = dealt_by(kind, 5);
    SeededEntropy entropy(2);
    auto renewed = kind.refresh(keys_of(*dealt.group), std::move(dealt.secrets), entropy);
    if (kind.in_token || kind.facts().form != SignerForm::AnyThreshold) {
      REQUIRE_FALSE(renewed.ok());
      CHECK(renewed.error().kind == ErrorKind::Usage);
      continue;
    }
    REQUIRE(renewed.ok());
    CHECK(same(renewed->group->wallet_key(), dealt.group->wallet_key()));
    CHECK(renewed->group->id() != dealt.group->id());
    CHECK(&renewed->group->scheme() == &dealt.group->scheme());
  }
}
