// The adapters from scheme.h to frost.h and frost_tr.h, which differ in nonces and sessions only.
//
// Invariant: a downcast is checked: what another scheme made is refused like any wrong input. No
// arithmetic here.
#include "common/crypto/frost_scheme.h"

#include <string>
#include <utility>

#include "common/base/assert.h"
#include "common/crypto/bip340_scheme.h"
#include "common/crypto/dealer.h"
#include "common/crypto/frost_tr.h"
#include "common/crypto/hash.h"
#include "common/crypto/schnorr.h"

namespace roulette::crypto {
namespace {

// BIP 445. `Form` tells the classes below apart.
struct Bip445 {
  using Session = frost::Session;
  static const Scheme& scheme() { return frost_scheme(); }
  static constexpr SchemeFacts kFacts{"frost", frost::kSchemeVersion, SignerForm::AnyThreshold,
                                      sizeof(frost::PubNonce), sizeof(frost::PartialSig),
                                      sizeof(Signature)};
  static auto sign(frost::SecNonce&& nonce, const frost::SecretShare& share,
                   const Session& session, frost::SelfCheck check) {
    return frost::sign(std::move(nonce), share, session, check);
  }
  static bool verify_share(const Session& session, SignerId signer,
                           const frost::PartialSig& share) {
    return frost::verify_share(session, signer, share);
  }
  static auto aggregate(const Session& session, std::span<const frost::PartialSig> shares) {
    return frost::aggregate(session, shares);
  }
  static Result<frost::SecNonce> make_nonce(EntropySource& entropy,
                                            const frost::SecretShare& share,
                                            const SigningGroup& group, ByteSpan context) {
    frost::NonceInput input;
    input.share = &share;
    input.signer = share.id();
    input.public_share = share.public_share();
    input.threshold_key = to_array<32>(group.wallet_key());
    input.extra = context;
    return frost::nonce_gen(entropy, input);
  }
  static Hash32 group_id(const frost::Group& group) { return group.id(); }
};

// RFC 9591 with taproot tweaks; its nonces take no context.
struct Rfc9591 {
  using Session = frost_tr::Session;
  static const Scheme& scheme() { return frost_tr_scheme(); }
  static constexpr SchemeFacts kFacts{"frost-tr", frost_tr::kSchemeVersion,
                                      SignerForm::AnyThreshold, sizeof(frost::PubNonce),
                                      sizeof(frost::PartialSig), sizeof(Signature)};
  static auto sign(frost::SecNonce&& nonce, const frost::SecretShare& share,
                   const Session& session, frost::SelfCheck check) {
    return frost_tr::sign(std::move(nonce), share, session, check);
  }
  static bool verify_share(const Session& session, SignerId signer,
                           const frost::PartialSig& share) {
    return frost_tr::verify_share(session, signer, share);
  }
  static auto aggregate(const Session& session, std::span<const frost::PartialSig> shares) {
    return frost_tr::aggregate(session, shares);
  }
  static Result<frost::SecNonce> make_nonce(EntropySource& entropy,
                                            const frost::SecretShare& share, const SigningGroup&,
                                            ByteSpan) {
    return frost_tr::nonce_gen(entropy, share);
  }
  // Shares of one dealing may be used under one scheme only: its nonces are not the other's.
  static Hash32 group_id(const frost::Group& group) {
    static const Tag tag("quorum-roulette/group");
    return Sha256(tag).update(as_bytes(frost_tr::kSchemeVersion)).update(group.id()).finish();
  }
};

template <class Form>
class FrostSession final : public SigningSession {
 public:
  explicit FrostSession(typename Form::Session session) : session_(std::move(session)) {}

  bool verify_share(SignerId signer, ByteSpan share) const override {
    const auto bytes = to_array<32>(share);
    return bytes && Form::verify_share(session_, signer, *bytes);
  }

  Result<Aggregated> aggregate(std::span<const ByteSpan> shares) const override {
    const std::vector<SignerId>& ids = session_.quorum().ids();
    if (shares.size() != ids.size())
      return Error{ErrorKind::Refused, "each signer needs exactly one share"};
    std::vector<frost::PartialSig> parts;
    BadShares bad;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      const auto part = to_array<32>(shares[i]);
      if (part) parts.push_back(*part);
      if (!part) bad.blamed.push_back(convict(i, shares[i]));
    }
    if (!bad.blamed.empty()) return Aggregated(std::move(bad));
    auto made = Form::aggregate(session_, parts);
    if (!made) return made.error();
    if (const auto* signature = std::get_if<Signature>(&*made))
      return Aggregated(Bytes(signature->begin(), signature->end()));
    for (const frost::BadShare& one : std::get<frost::BadShares>(*made).blamed)
      bad.blamed.push_back(convict(*session_.quorum().index_of(one.signer), one.share));
    return Aggregated(std::move(bad));
  }

  const typename Form::Session& session() const { return session_; }

 private:
  BadShare convict(std::size_t index, ByteSpan share) const {
    const frost::PubNonce& nonce = session_.nonces()[index];
    BadShare out{session_.quorum().ids()[index], Bytes(nonce.begin(), nonce.end())};
    append(out.proof, share);
    return out;
  }
  typename Form::Session session_;
};

template <class Form>
class FrostSignerSet final : public SignerSet {
 public:
  explicit FrostSignerSet(frost::Quorum quorum) : quorum_(std::move(quorum)) {}

  const std::vector<SignerId>& ids() const override { return quorum_.ids(); }

  Result<Opened> open(std::span<const ByteSpan> nonces, ByteSpan message) const override {
    std::vector<frost::PubNonce> points;
    for (std::size_t i = 0; i < nonces.size(); ++i) {
      const auto nonce = to_array<sizeof(frost::PubNonce)>(nonces[i]);
      if (!nonce) return Opened(InvalidNonce{i, Bytes(nonces[i].begin(), nonces[i].end())});
      points.push_back(*nonce);
    }
    auto opened = Form::Session::open(quorum_, points, message);
    if (!opened) return opened.error();
    if (const auto* bad = std::get_if<frost::InvalidPubNonce>(&*opened))
      return Opened(InvalidNonce{bad->index, Bytes(bad->proof.begin(), bad->proof.end())});
    return Opened(
        std::make_unique<const FrostSession<Form>>(
            std::get<typename Form::Session>(std::move(*opened))));
  }

 private:
  frost::Quorum quorum_;
};

template <class Form>
class FrostGroup final : public SigningGroup {
 public:
  FrostGroup(frost::Group group, frost::TweakContext key)
      : group_(std::move(group)), key_(std::move(key)), wallet_key_(key_.output_key()),
        id_(Form::group_id(group_)) {}

  const Scheme& scheme() const override { return Form::scheme(); }
  std::uint16_t n() const override { return group_.n(); }
  std::uint16_t t() const override { return group_.t(); }
  const Hash32& id() const override { return id_; }
  Status check_quorums_meet() const override { return check_quorum_shape(group_.t(), group_.n()); }
  const ByteArray<33>& threshold_key() const override { return group_.threshold_key(); }
  ByteSpan wallet_key() const override { return wallet_key_; }
  ByteSpan public_share(SignerId id) const override {
    if (id.value() >= group_.n()) return {};
    return group_.public_shares()[id.value()];
  }
  Result<SignerSetPtr> signer_set(std::span<const SignerId> ids) const override {
    auto quorum = frost::Quorum::create(group_, key_, ids);
    if (!quorum) return quorum.error();
    return SignerSetPtr(std::make_shared<const FrostSignerSet<Form>>(std::move(*quorum)));
  }

 private:
  frost::Group group_;
  frost::TweakContext key_;
  XOnly wallet_key_;
  Hash32 id_;
};

// frost::SecNonce erases itself.
template <class Form>
struct FrostNonce final : SecretNonce::Body {
  explicit FrostNonce(frost::SecNonce made) : secret(std::move(made)) {}
  Bytes public_nonce() const override {
    const frost::PubNonce nonce = secret.public_nonce();
    return Bytes(nonce.begin(), nonce.end());
  }
  frost::SecNonce secret;
};

template <class Form>
class FrostShare final : public KeyShare {
 public:
  explicit FrostShare(frost::SecretShare share) : share_(std::move(share)) {}

  SignerId id() const override { return share_.id(); }
  ByteSpan public_share() const override { return share_.public_share(); }

  Result<SecretNonce> make_nonce(EntropySource& entropy, const SigningGroup& group,
                                 ByteSpan context) const override {
    auto nonce = Form::make_nonce(entropy, share_, group, context);
    if (!nonce) return nonce.error();
    return SecretNonce(std::make_unique<FrostNonce<Form>>(std::move(*nonce)));
  }

 private:
  Result<Bytes> make_share(SecretNonce::Body* nonce, const SigningSession& session,
                           SelfCheck check) const override {
    auto* taken = dynamic_cast<FrostNonce<Form>*>(nonce);
    if (taken == nullptr)
      return Error{ErrorKind::Refused, "the secret nonce was used already, or is no " +
                                           std::string(Form::kFacts.name) + " nonce"};
    const auto* opened = dynamic_cast<const FrostSession<Form>*>(&session);
    if (opened == nullptr) return Error{ErrorKind::Refused, "the session is of another scheme"};
    const auto share = Form::sign(
        std::move(taken->secret), share_, opened->session(),
        check == SelfCheck::On ? frost::SelfCheck::On : frost::SelfCheck::Off);
    if (!share) return share.error();
    return Bytes(share->begin(), share->end());
  }
  frost::SecretShare share_;
};

}  // namespace

const Scheme& frost_scheme() {
  static const auto scheme = bip340_scheme(Bip445::kFacts);
  return *scheme;
}

const Scheme& frost_tr_scheme() {
  static const auto scheme = bip340_scheme(Rfc9591::kFacts);
  return *scheme;
}

namespace {

template <class Form>
Result<SigningGroupPtr> group_of(frost::Group group) {
  auto key = frost::TweakContext::key_path_only(group.threshold_key());
  if (!key) return key.error();
  return SigningGroupPtr(
      std::make_shared<const FrostGroup<Form>>(std::move(group), std::move(*key)));
}

}  // namespace

Result<SigningGroupPtr> frost_group(frost::Group group) {
  return group_of<Bip445>(std::move(group));
}

Result<SigningGroupPtr> frost_tr_group(frost::Group group) {
  return group_of<Rfc9591>(std::move(group));
}

SecretNonce frost_nonce(frost::SecNonce made) {
  return SecretNonce(std::make_unique<FrostNonce<Bip445>>(std::move(made)));
}

KeySharePtr frost_share(frost::SecretShare share) {
  return std::make_shared<const FrostShare<Bip445>>(std::move(share));
}

KeySharePtr frost_tr_share(frost::SecretShare share) {
  return std::make_shared<const FrostShare<Rfc9591>>(std::move(share));
}

}  // namespace roulette::crypto
