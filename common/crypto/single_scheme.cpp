// One key as a group of one: see single_scheme.h.
//
// Invariant: no nonce leaves and none is kept; the secret is the tweaked one, made once.
#include "common/crypto/single_scheme.h"

#include <utility>

#include "common/crypto/bip340_scheme.h"
#include "common/crypto/hash.h"
#include "common/crypto/taproot.h"

namespace roulette::crypto {
namespace {

class SingleSession final : public SigningSession {
 public:
  SingleSession(const XOnly& key, ByteSpan message)
      : key_(key), message_(message.begin(), message.end()) {}

  bool verify_share(SignerId signer, ByteSpan share) const override {
    return signer.value() == 0 && single_scheme().verify(key_, message_, share);
  }
  Result<Aggregated> aggregate(std::span<const ByteSpan> shares) const override {
    if (shares.size() != 1)
      return Error{ErrorKind::Refused, "each signer needs exactly one share"};
    const Bytes share(shares[0].begin(), shares[0].end());
    if (verify_share(SignerId(0), share)) return Aggregated(share);
    return Aggregated(BadShares{{BadShare{SignerId(0), share}}});
  }
  const XOnly& key() const { return key_; }
  const Bytes& message() const { return message_; }

 private:
  XOnly key_;
  Bytes message_;
};

class SingleSigner final : public SignerSet {
 public:
  explicit SingleSigner(const XOnly& key) : key_(key) {}
  const std::vector<SignerId>& ids() const override { return ids_; }
  Result<Opened> open(std::span<const ByteSpan> nonces, ByteSpan message) const override {
    if (nonces.size() != 1)
      return Error{ErrorKind::Refused, "each signer needs exactly one nonce"};
    if (!nonces[0].empty())
      return Opened(InvalidNonce{0, Bytes(nonces[0].begin(), nonces[0].end())});
    return Opened(std::make_unique<const SingleSession>(key_, message));
  }

 private:
  XOnly key_;
  std::vector<SignerId> ids_{SignerId(0)};
};

class SingleGroup final : public SigningGroup {
 public:
  SingleGroup(const PubKey33& key, const XOnly& wallet_key)
      : key_(key),
        wallet_key_(wallet_key),
        set_(std::make_shared<const SingleSigner>(wallet_key)) {
    static const Tag tag("quorum-roulette/group");
    id_ = Sha256(tag).update(as_bytes(single_scheme().facts().version)).update(key).finish();
  }
  const Scheme& scheme() const override { return single_scheme(); }
  std::uint16_t n() const override { return 1; }
  std::uint16_t t() const override { return 1; }
  const Hash32& id() const override { return id_; }
  Status check_quorums_meet() const override { return {}; }  // there is one signer
  const ByteArray<33>& threshold_key() const override { return key_; }
  ByteSpan wallet_key() const override { return wallet_key_; }
  ByteSpan public_share(SignerId id) const override {
    return id.value() == 0 ? ByteSpan(key_) : ByteSpan();
  }
  Result<SignerSetPtr> signer_set(std::span<const SignerId> ids) const override {
    if (ids.size() == 1 && ids[0].value() == 0) return set_;
    return Error{ErrorKind::Refused, "signer 0 signs, alone"};
  }

 private:
  PubKey33 key_;
  XOnly wallet_key_;
  SignerSetPtr set_;
  Hash32 id_{};
};

class SingleShare final : public KeyShare {
 public:
  SingleShare(Secret<32> tweaked, const PubKey33& key, const XOnly& wallet_key)
      : tweaked_(std::move(tweaked)), key_(key), wallet_key_(wallet_key) {}
  SignerId id() const override { return SignerId(0); }
  ByteSpan public_share() const override { return key_; }
  // One round: there is nothing to commit to before the message is known.
  Result<SecretNonce> make_nonce(EntropySource&, const SigningGroup&, ByteSpan) const override {
    return SecretNonce();
  }

 private:
  Result<Bytes> make_share(SecretNonce::Body* nonce, const SigningSession& session,
                           SelfCheck check) const override {
    const auto* opened = dynamic_cast<const SingleSession*>(&session);
    if (opened == nullptr || nonce != nullptr)
      return Error{ErrorKind::Refused, "the session or the nonce is of another scheme"};
    if (opened->key() != wallet_key_)
      return Error{ErrorKind::Refused, "the signer is outside the session"};
    const auto signature = schnorr_sign(tweaked_, opened->message(), {});
    if (!signature) return signature.error();
    const Bytes share(signature->begin(), signature->end());
    if (check == SelfCheck::On && !opened->verify_share(id(), share))
      return Error{ErrorKind::Internal, "the own share does not verify"};
    return share;
  }
  Secret<32> tweaked_;
  PubKey33 key_;
  XOnly wallet_key_;
};

}  // namespace

const Scheme& single_scheme() {
  static const auto scheme =
      bip340_scheme({"single", "BIP 340", SignerForm::OneSigner, 0, sizeof(Signature),
                     sizeof(Signature)});
  return *scheme;
}

Result<SigningGroupPtr> single_group(const PubKey33& key) {
  if (!is_point(key)) return Error{ErrorKind::Corrupt, "the key is no point"};
  const auto output = output_key(xonly(key));
  if (!output) return output.error();
  return SigningGroupPtr(std::make_shared<const SingleGroup>(key, output->key));
}

Result<KeySharePtr> single_share(Secret<32> key) {
  const auto public_half = public_key(key);
  if (!public_half) return public_half.error();
  const auto output = output_key(xonly(*public_half));
  if (!output) return output.error();
  auto tweaked = output_secret(key);
  if (!tweaked) return tweaked.error();
  return KeySharePtr(
      std::make_shared<const SingleShare>(std::move(*tweaked), *public_half, output->key));
}

}  // namespace roulette::crypto
