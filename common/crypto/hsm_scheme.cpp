// One key in a token as a group of one: see hsm_scheme.h.
//
// Invariant: no nonce leaves and none is kept: ECDSA's is the token's own business, so nothing here
// can use one twice. Two signatures of one message differ, and both are good.
#include "common/crypto/hsm_scheme.h"

#include <utility>

#include "common/crypto/hash.h"

namespace roulette::crypto {
namespace {

class HsmScheme final : public Scheme {
 public:
  const SchemeFacts& facts() const override {
    static const SchemeFacts facts{"hsm",
                                   "ECDSA P2WPKH",
                                   SignerForm::OneSigner,
                                   0,
                                   sizeof(CompactEcdsa),
                                   kMostDerBytes,
                                   SignatureForm::Ecdsa};
    return facts;
  }
  bool verify(ByteSpan wallet_key, ByteSpan message, ByteSpan signature) const override {
    const auto key = to_array<33>(wallet_key);
    const auto digest = to_array<32>(message);
    return key && digest && ecdsa_verify(*key, *digest, signature);
  }
};

class HsmSession final : public SigningSession {
 public:
  HsmSession(const PubKey33& key, const Hash32& digest) : key_(key), digest_(digest) {}

  bool verify_share(SignerId signer, ByteSpan share) const override {
    return signer.value() == 0 && signature_of(share).has_value();
  }
  Result<Aggregated> aggregate(std::span<const ByteSpan> shares) const override {
    if (shares.size() != 1)
      return Error{ErrorKind::Refused, "each signer needs exactly one share"};
    if (auto signature = signature_of(shares[0])) return Aggregated(*std::move(signature));
    const Bytes share(shares[0].begin(), shares[0].end());
    return Aggregated(BadShares{{BadShare{SignerId(0), share}}});
  }
  const PubKey33& key() const { return key_; }
  const Hash32& digest() const { return digest_; }

 private:
  std::optional<Bytes> signature_of(ByteSpan share) const {
    const auto compact = to_array<64>(share);
    auto der = compact ? der_of(*compact) : std::nullopt;
    if (!der || !hsm_scheme().verify(key_, digest_, *der)) return std::nullopt;
    return der;
  }
  PubKey33 key_;
  Hash32 digest_;
};

class HsmSigner final : public SignerSet {
 public:
  explicit HsmSigner(const PubKey33& key) : key_(key) {}
  const std::vector<SignerId>& ids() const override { return ids_; }
  Result<Opened> open(std::span<const ByteSpan> nonces, ByteSpan message) const override {
    if (nonces.size() != 1)
      return Error{ErrorKind::Refused, "each signer needs exactly one nonce"};
    if (!nonces[0].empty())
      return Opened(InvalidNonce{0, Bytes(nonces[0].begin(), nonces[0].end())});
    const auto digest = to_array<32>(message);
    if (!digest) return Error{ErrorKind::Refused, "ECDSA signs 32 bytes"};
    return Opened(std::make_unique<const HsmSession>(key_, *digest));
  }

 private:
  PubKey33 key_;
  std::vector<SignerId> ids_{SignerId(0)};
};

class HsmGroup final : public SigningGroup {
 public:
  explicit HsmGroup(const PubKey33& key)
      : key_(key), set_(std::make_shared<const HsmSigner>(key)) {
    static const Tag tag("quorum-roulette/group");
    id_ = Sha256(tag).update(as_bytes(hsm_scheme().facts().version)).update(key).finish();
  }
  const Scheme& scheme() const override { return hsm_scheme(); }
  std::uint16_t n() const override { return 1; }
  std::uint16_t t() const override { return 1; }
  const Hash32& id() const override { return id_; }
  Status check_quorums_meet() const override { return {}; }  // there is one signer
  const ByteArray<33>& threshold_key() const override { return key_; }
  ByteSpan wallet_key() const override { return key_; }  // P2WPKH has no tweak
  ByteSpan public_share(SignerId id) const override {
    return id.value() == 0 ? ByteSpan(key_) : ByteSpan();
  }
  Result<SignerSetPtr> signer_set(std::span<const SignerId> ids) const override {
    if (ids.size() == 1 && ids[0].value() == 0) return set_;
    return Error{ErrorKind::Refused, "signer 0 signs, alone"};
  }

 private:
  PubKey33 key_;
  SignerSetPtr set_;
  Hash32 id_{};
};

class HsmShare final : public KeyShare {
 public:
  explicit HsmShare(TokenKey key) : token_(std::move(key)) {}
  SignerId id() const override { return SignerId(0); }
  ByteSpan public_share() const override { return token_.key; }
  std::string unavailable() const override { return token_.unavailable(); }
  // One round: there is nothing to commit to before the message is known.
  Result<SecretNonce> make_nonce(EntropySource&, const SigningGroup&, ByteSpan) const override {
    return SecretNonce();
  }

 private:
  Result<Bytes> make_share(SecretNonce::Body* nonce, const SigningSession& session,
                           SelfCheck) const override {
    const auto* opened = dynamic_cast<const HsmSession*>(&session);
    if (opened == nullptr || nonce != nullptr)
      return Error{ErrorKind::Refused, "the session or the nonce is of another scheme"};
    if (opened->key() != token_.key)
      return Error{ErrorKind::Refused, "the signer is outside the session"};
    const auto made = token_.sign(opened->digest());
    if (!made) return made.error();
    // About half of a token's signatures have high S (PROTOCOL 6): no node relays them (BIP 146).
    const auto low = with_low_s(*made);
    if (!low || !opened->verify_share(id(), *low))
      return Error{ErrorKind::Internal, "what the token signed does not verify"};
    return Bytes(low->begin(), low->end());
  }
  TokenKey token_;
};

}  // namespace

const Scheme& hsm_scheme() {
  static const HsmScheme scheme;
  return scheme;
}

Result<SigningGroupPtr> hsm_group(const PubKey33& key) {
  if (!is_point(key)) return Error{ErrorKind::Corrupt, "the key is no point"};
  return SigningGroupPtr(std::make_shared<const HsmGroup>(key));
}

KeySharePtr hsm_share(TokenKey key) {
  return std::make_shared<const HsmShare>(std::move(key));
}

}  // namespace roulette::crypto
