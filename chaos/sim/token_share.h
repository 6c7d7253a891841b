// A key share that lies in a token which may be away: what a signer's machine sees of one, for
// every scheme, so that there are signers to spare.
//
// Invariant: while the token is away nothing is signed with it; a present one changes nothing but
// who keeps the nonce. That it is away is known once a signature was tried or somebody looked.
#pragma once

#include <memory>
#include <utility>

#include "common/crypto/scheme.h"

namespace roulette::sim {

struct SimToken {
  bool away = false;
  bool missed = false;         // somebody knows
  std::uint64_t failures = 0;  // signatures that were tried while it was away
};

class TokenShare final : public crypto::KeyShare {
 public:
  TokenShare(crypto::KeySharePtr real, std::shared_ptr<SimToken> token)
      : real_(std::move(real)), token_(std::move(token)) {}

  SignerId id() const override { return real_->id(); }
  ByteSpan public_share() const override { return real_->public_share(); }
  std::string unavailable() const override {
    return token_->away && token_->missed ? kWhy : real_->unavailable();
  }
  Result<crypto::SecretNonce> make_nonce(EntropySource& entropy, const crypto::SigningGroup& group,
                                         ByteSpan context) const override {
    auto made = real_->make_nonce(entropy, group, context);
    if (!made) return made.error();
    return crypto::SecretNonce(std::make_unique<Kept>(std::move(*made)));
  }

 private:
  struct Kept final : crypto::SecretNonce::Body {
    explicit Kept(crypto::SecretNonce made) : real(std::move(made)) {}
    Bytes public_nonce() const override { return real.public_nonce(); }
    crypto::SecretNonce real;
  };

  Result<Bytes> make_share(crypto::SecretNonce::Body* nonce, const crypto::SigningSession& session,
                           crypto::SelfCheck check) const override {
    if (token_->away) {
      token_->missed = true;
      ++token_->failures;
      return Error{ErrorKind::Refused, kWhy};
    }
    auto* kept = dynamic_cast<Kept*>(nonce);
    crypto::SecretNonce none;  // of a scheme without any
    return real_->sign(std::move(kept == nullptr ? none : kept->real), session, check);
  }

  static constexpr const char* kWhy = "the token is away";
  crypto::KeySharePtr real_;
  std::shared_ptr<SimToken> token_;
};

}  // namespace roulette::sim
