// The adapter from scheme.h to musig2.h.
//
// Invariant: a downcast is checked: what another scheme made is refused like any wrong input. No
// arithmetic here.
#include "common/crypto/musig2_scheme.h"

#include <string>
#include <utility>

#include "common/base/mutants.h"
#include "common/crypto/bip340_scheme.h"
#include "common/crypto/hash.h"
#include "common/crypto/taproot.h"

namespace roulette::crypto {
namespace {

// One message, its nonces by signer.
class Musig2Session final : public SigningSession {
 public:
  Musig2Session(musig2::Session session, std::vector<musig2::PubNonce> nonces)
      : session_(std::move(session)), nonces_(std::move(nonces)) {}

  bool verify_share(SignerId signer, ByteSpan share) const override {
    const auto bytes = to_array<32>(share);
    const auto& keys = session_.keys().keys();
    return bytes && signer.value() < keys.size() &&
           musig2::verify_share(session_, keys[signer.value()], nonces_[signer.value()], *bytes);
  }

  Result<Aggregated> aggregate(std::span<const ByteSpan> shares) const override {
    if (shares.size() != nonces_.size())
      return Error{ErrorKind::Refused, "each signer needs exactly one share"};
    std::vector<musig2::PartialSig> parts;
    for (const ByteSpan& share : shares) {
      if (const auto part = to_array<32>(share)) parts.push_back(*part);
    }
    if (parts.size() == shares.size()) {
      const auto made = musig2::aggregate(session_, parts);
      const auto* signature = std::get_if<Signature>(&made);
      if (signature != nullptr &&
          schnorr_verify(session_.keys().output_key(), session_.message(), *signature))
        return Aggregated(Bytes(signature->begin(), signature->end()));
    }
    return blame(shares);
  }

  const musig2::Session& session() const { return session_; }
  const std::vector<musig2::PubNonce>& nonces() const { return nonces_; }

 private:
  Result<Aggregated> blame(std::span<const ByteSpan> shares) const {
    BadShares bad;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      const SignerId signer(static_cast<std::uint16_t>(i));
      if (verify_share(signer, shares[i])) continue;
      BadShare one{signer, Bytes(nonces_[i].begin(), nonces_[i].end())};
      append(one.proof, shares[i]);
      bad.blamed.push_back(std::move(one));
    }
    if (bad.blamed.empty())
      return Error{ErrorKind::Internal, "good shares made a signature that does not verify"};
    return Aggregated(std::move(bad));
  }
  musig2::Session session_;
  std::vector<musig2::PubNonce> nonces_;
};

class Musig2Signers final : public SignerSet {
 public:
  explicit Musig2Signers(musig2::KeyAgg keys) : keys_(std::move(keys)) {
    for (std::size_t i = 0; i < keys_.keys().size(); ++i)
      ids_.emplace_back(static_cast<std::uint16_t>(i));
  }

  const std::vector<SignerId>& ids() const override { return ids_; }

  Result<Opened> open(std::span<const ByteSpan> nonces, ByteSpan message) const override {
    if (nonces.size() != ids_.size())
      return Error{ErrorKind::Refused, "each signer needs exactly one nonce"};
    const auto digest = to_array<32>(message);
    if (!digest) return Error{ErrorKind::Refused, "a message has 32 bytes"};
    const auto invalid = [&](std::size_t i) {
      return Opened(InvalidNonce{i, Bytes(nonces[i].begin(), nonces[i].end())});
    };
    std::vector<musig2::PubNonce> points;
    for (std::size_t i = 0; i < nonces.size(); ++i) {
      const auto nonce = to_array<sizeof(musig2::PubNonce)>(nonces[i]);
      if (!nonce) return invalid(i);
      points.push_back(*nonce);
    }
    const auto sum = musig2::nonce_agg(points);
    if (const auto* bad = std::get_if<musig2::InvalidContribution>(&sum))
      return invalid(bad->index);
    auto session = musig2::Session::open(keys_, std::get<musig2::AggNonce>(sum), *digest);
    if (!session) return session.error();
    return Opened(std::make_unique<const Musig2Session>(std::move(*session), std::move(points)));
  }

 private:
  musig2::KeyAgg keys_;
  std::vector<SignerId> ids_;
};

class Musig2Group final : public SigningGroup {
 public:
  Musig2Group(const PubKey33& untweaked, const musig2::KeyAgg& keys)
      : keys_(keys),
        threshold_key_(untweaked),
        wallet_key_(keys.output_key()),
        set_(std::make_shared<const Musig2Signers>(keys)) {
    static const Tag tag("quorum-roulette/group");
    Sha256 hash(tag);
    hash.update(as_bytes(musig2_scheme().facts().version)).update_u32(n());
    for (const PubKey33& key : keys_.keys()) hash.update(key);
    id_ = hash.finish();
  }

  const Scheme& scheme() const override { return musig2_scheme(); }
  std::uint16_t n() const override { return static_cast<std::uint16_t>(keys_.keys().size()); }
  std::uint16_t t() const override { return n(); }
  const Hash32& id() const override { return id_; }
  Status check_quorums_meet() const override { return {}; }  // there is one signer set
  const ByteArray<33>& threshold_key() const override { return threshold_key_; }
  ByteSpan wallet_key() const override { return wallet_key_; }
  ByteSpan public_share(SignerId id) const override {
    if (id.value() >= n()) return {};
    return keys_.keys()[id.value()];
  }
  Result<SignerSetPtr> signer_set(std::span<const SignerId> ids) const override {
    std::vector<bool> named(n(), false);
    for (const SignerId id : ids) {
      if (id.value() >= n() || named[id.value()])
        return Error{ErrorKind::Refused, "signer " + std::to_string(id.value()) +
                                             " is named twice or not in the group"};
      named[id.value()] = true;
    }
    if (ids.size() != n())
      return Error{ErrorKind::Refused, "all " + std::to_string(n()) + " signers have to sign"};
    return set_;
  }

 private:
  musig2::KeyAgg keys_;
  PubKey33 threshold_key_;
  XOnly wallet_key_;
  SignerSetPtr set_;
  Hash32 id_{};
};

struct Musig2Nonce final : SecretNonce::Body {
  explicit Musig2Nonce(musig2::SecNonce made) : secret(std::move(made)) {}
  Bytes public_nonce() const override {
    const musig2::PubNonce& nonce = secret.public_nonce();
    return Bytes(nonce.begin(), nonce.end());
  }
  musig2::SecNonce secret;
};

class Musig2Share final : public KeyShare {
 public:
  Musig2Share(SignerId id, Secret<32> key, const PubKey33& public_key)
      : id_(id), key_(std::move(key)), public_key_(public_key) {}

  SignerId id() const override { return id_; }
  ByteSpan public_share() const override { return public_key_; }

  Result<SecretNonce> make_nonce(EntropySource& entropy, const SigningGroup&,
                                 ByteSpan context) const override {
    Secret<32> random;
    entropy.fill(std::span<std::uint8_t>(random.data(), random.size()));
    Hash32 extra = sha256(context);
#ifdef ROULETTE_MUTANTS
    if (ROULETTE_MUTANT("musig2-nonce-twice")) {
      random = Secret<32>(ByteArray<32>{1});
      Bytes pair(context.begin(), context.end());
      pair.back() &= 0xfe;  // the signer's counter ends the context
      extra = sha256(pair);
    }
#endif
    auto nonce = musig2::nonce_gen(std::move(random), &key_, public_key_, extra);
    if (!nonce) return nonce.error();
    return SecretNonce(std::make_unique<Musig2Nonce>(std::move(*nonce)));
  }

 private:
  Result<Bytes> make_share(SecretNonce::Body* nonce, const SigningSession& session,
                           SelfCheck check) const override {
    auto* taken = dynamic_cast<Musig2Nonce*>(nonce);
    if (taken == nullptr)
      return Error{ErrorKind::Refused, "the secret nonce was used already, or is no musig2 nonce"};
    const auto* opened = dynamic_cast<const Musig2Session*>(&session);
    if (opened == nullptr) return Error{ErrorKind::Refused, "the session is of another scheme"};
    const auto& keys = opened->session().keys().keys();
    if (id_.value() >= keys.size() || keys[id_.value()] != public_key_)
      return Error{ErrorKind::Refused, "the signer is outside the session"};
    if (opened->nonces()[id_.value()] != taken->secret.public_nonce())
      return Error{ErrorKind::Refused, "the session lists another nonce for this signer"};
    const auto share = musig2::sign(std::move(taken->secret), key_, opened->session());
    if (!share) return share.error();
    if (check == SelfCheck::On && !opened->verify_share(id_, *share))
      return Error{ErrorKind::Internal, "the own share does not verify"};
    return Bytes(share->begin(), share->end());
  }
  SignerId id_;
  Secret<32> key_;
  PubKey33 public_key_;
};

}  // namespace

const Scheme& musig2_scheme() {
  static const auto scheme =
      bip340_scheme({"musig2", "BIP 327 1.0", SignerForm::AllSigners,
                     sizeof(musig2::PubNonce), sizeof(musig2::PartialSig), sizeof(Signature)});
  return *scheme;
}

Result<SigningGroupPtr> musig2_group(std::vector<PubKey33> keys) {
  auto made = musig2::KeyAgg::create(keys);
  if (!made) return made.error();
  if (const auto* bad = std::get_if<musig2::InvalidContribution>(&*made))
    return Error{ErrorKind::Corrupt, "the key of signer " + std::to_string(bad->index) +
                                         " is no point"};
  auto& all = std::get<musig2::KeyAgg>(*made);
  const PubKey33 untweaked = all.key();
  const auto tweak = taptweak(xonly(untweaked), std::nullopt);  // BIP 86
  if (!tweak) return tweak.error();
  if (const Status done = all.tweak(*tweak, musig2::TweakMode::XOnly); !done) return done.error();
  return SigningGroupPtr(std::make_shared<const Musig2Group>(untweaked, all));
}

Result<KeySharePtr> musig2_share(SignerId id, Secret<32> key) {
  const auto public_half = public_key(key);
  if (!public_half) return public_half.error();
  return KeySharePtr(std::make_shared<const Musig2Share>(id, std::move(key), *public_half));
}

}  // namespace roulette::crypto
