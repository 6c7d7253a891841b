// What the tests of common/crypto share: a seeded entropy source and a dealt group with its open
// sessions.
//
// Invariant: everything is drawn from the seed, so a failure repeats. Tests only; daemons have no
// seeded entropy.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "common/base/entropy.h"
#include "common/crypto/dealer.h"
#include "common/crypto/frost.h"
#include "common/crypto/hash.h"
#include "common/crypto/taproot.h"

namespace roulette::crypto::test {

class SeededEntropy final : public EntropySource {
 public:
  explicit SeededEntropy(std::uint8_t seed) : state_(sha256(ByteSpan(&seed, 1))) {}
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) {
      if (left_ == 0) {
        state_ = sha256(state_);
        left_ = 32;
      }
      byte = state_[--left_];
    }
  }
  Secret<32> secret() {
    Secret<32> out;
    fill(std::span<std::uint8_t>(out.data(), out.size()));
    return out;
  }

 private:
  Hash32 state_;
  std::size_t left_ = 0;
};

inline std::vector<SignerId> ids_of(std::initializer_list<int> values) {
  std::vector<SignerId> out;
  for (const int value : values) out.emplace_back(static_cast<std::uint16_t>(value));
  return out;
}

// One open session with the secret nonces of all its signers, in the order of quorum.ids().
struct Round {
  frost::Quorum quorum;
  std::vector<frost::SecNonce> nonces;
  frost::Session session;
};

inline Round open_round(const DealtGroup& dealt, const frost::TweakContext& key,
                        const std::vector<SignerId>& ids, ByteSpan message,
                        EntropySource& entropy) {
  frost::Quorum quorum = frost::Quorum::create(dealt.group, key, ids).value();
  std::vector<frost::SecNonce> nonces;
  std::vector<frost::PubNonce> publics;
  for (const SignerId id : quorum.ids()) {
    frost::NonceInput input;
    input.share = &dealt.shares[id.value()];
    input.signer = id;
    nonces.push_back(frost::nonce_gen(entropy, input).value());
    publics.push_back(nonces.back().public_nonce());
  }
  auto opened = frost::Session::open(quorum, publics, message).value();
  return Round{quorum, std::move(nonces), std::get<frost::Session>(std::move(opened))};
}

inline std::vector<frost::PartialSig> sign_all(const DealtGroup& dealt, Round& round) {
  std::vector<frost::PartialSig> shares;
  for (std::size_t i = 0; i < round.nonces.size(); ++i) {
    const frost::SecretShare& share = dealt.shares[round.quorum.ids()[i].value()];
    shares.push_back(frost::sign(std::move(round.nonces[i]), share, round.session).value());
  }
  return shares;
}

}  // namespace roulette::crypto::test
