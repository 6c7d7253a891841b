// Decorators of the interface of scheme.h: see stocked_wallet.h.
//
// Invariant: an answer is remembered under everything that was asked, byte for byte.
#include "chaos/sim/stocked_wallet.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "chaos/sim/sim_entropy.h"
#include "common/base/assert.h"
#include "common/crypto/frost_scheme.h"

namespace roulette::sim {

// Which pair answers which question, in one run. A nonce is a function of the signer, its random
// bytes and its context, so a machine that asks with the same ones again must get the same pair:
// the check that a nonce is never used twice rests on it.
class DrawnNonces {
 public:
  std::size_t pair_for(Bytes asked) {
    return pairs_.try_emplace(std::move(asked), pairs_.size()).first->second;
  }

 private:
  std::map<Bytes, std::size_t> pairs_;
};

namespace {

using crypto::SecretNonce;
using crypto::SelfCheck;

// ---- nonces ----

struct Pair {
  Secret<64> secret;
  crypto::Point r1;
  crypto::Point r2;
};

// The process's i-th pair, made when it is first asked for and the same in every process.
const Pair& stocked_pair(std::size_t i) {
  static std::mutex mutex;
  static std::deque<Pair> pairs;
  static SimEntropy entropy(0x6e6f6e6365);
  const std::lock_guard lock(mutex);
  while (pairs.size() <= i) {
    auto made = crypto::frost::nonce_gen(entropy, {});
    ROULETTE_ASSERT(made.ok());
    // A second copy, for the run that draws it; the stock stays.
    pairs.push_back({made->secret().clone(), made->r1(), made->r2()});
  }
  return pairs[i];
}

struct StockedNonce final : SecretNonce::Body {
  explicit StockedNonce(SecretNonce made) : real(std::move(made)) {}
  Bytes public_nonce() const override { return real.public_nonce(); }
  SecretNonce real;
};

// ---- sessions ----

using SharedSession = std::shared_ptr<const crypto::SigningSession>;

class SharedOpening final : public crypto::SigningSession {
 public:
  explicit SharedOpening(SharedSession session) : real(std::move(session)) {}
  bool verify_share(SignerId signer, ByteSpan share) const override {
    return real->verify_share(signer, share);
  }
  Result<crypto::Aggregated> aggregate(std::span<const ByteSpan> shares) const override {
    return real->aggregate(shares);
  }
  const SharedSession real;
};

class StockedShare final : public crypto::KeyShare {
 public:
  StockedShare(crypto::KeySharePtr real, std::shared_ptr<DrawnNonces> drawn)
      : real_(std::move(real)), drawn_(std::move(drawn)) {}

  SignerId id() const override { return real_->id(); }
  ByteSpan public_share() const override { return real_->public_share(); }
  Result<SecretNonce> make_nonce(EntropySource& entropy, const crypto::SigningGroup& group,
                                 ByteSpan context) const override {
    ByteArray<32> random{};  // a run draws as often as without the stock
    entropy.fill(random);
    Bytes asked(random.begin(), random.end());
    asked.push_back(static_cast<std::uint8_t>(real_->id().value() >> 8));
    asked.push_back(static_cast<std::uint8_t>(real_->id().value()));
    append(asked, context);
    const std::size_t pair = drawn_->pair_for(std::move(asked));
    auto made = pair < kStockedNonces ? from_stock(pair) : as_live(random, group, context);
    if (!made) return made.error();
    return SecretNonce(std::make_unique<StockedNonce>(std::move(*made)));
  }

 private:
  static Result<SecretNonce> from_stock(std::size_t number) {
    const Pair& pair = stocked_pair(number);
    return crypto::frost_nonce(
        crypto::frost::SecNonce::from_known(pair.secret.clone(), pair.r1, pair.r2));
  }
  Result<SecretNonce> as_live(ByteSpan random, const crypto::SigningGroup& group,
                              ByteSpan context) const {
    struct Known final : EntropySource {
      explicit Known(ByteSpan from) : bytes(from) {}
      void fill(std::span<std::uint8_t> out) override {
        ROULETTE_ASSERT(out.size() == bytes.size());
        std::copy(bytes.begin(), bytes.end(), out.begin());
      }
      ByteSpan bytes;
    } again(random);
    return real_->make_nonce(again, group, context);
  }
  Result<Bytes> make_share(SecretNonce::Body* nonce, const crypto::SigningSession& session,
                           SelfCheck check) const override {
    auto* taken = dynamic_cast<StockedNonce*>(nonce);
    const auto* opened = dynamic_cast<const SharedOpening*>(&session);
    SecretNonce none;
    return real_->sign(std::move(taken == nullptr ? none : taken->real),
                       opened == nullptr ? session : *opened->real, check);
  }

  crypto::KeySharePtr real_;
  std::shared_ptr<DrawnNonces> drawn_;
};

// Of one run and one thread.
class StockedSet final : public crypto::SignerSet {
 public:
  explicit StockedSet(crypto::SignerSetPtr real) : real_(std::move(real)) {}

  const std::vector<SignerId>& ids() const override { return real_->ids(); }
  Result<crypto::Opened> open(std::span<const ByteSpan> nonces, ByteSpan message) const override {
    Asked asked;
    for (const ByteSpan nonce : nonces) asked.emplace_back(nonce.begin(), nonce.end());
    asked.emplace_back(message.begin(), message.end());
    auto known = opened_.find(asked);
    if (known == opened_.end()) {
      auto opened = real_->open(nonces, message);
      auto* session = opened ? std::get_if<crypto::SigningSessionPtr>(&*opened) : nullptr;
      if (session == nullptr) return opened;
      if (opened_.size() == kMost) opened_.clear();
      known = opened_.emplace(std::move(asked), std::move(*session)).first;
    }
    return crypto::Opened(std::make_unique<const SharedOpening>(known->second));
  }

 private:
  using Asked = std::vector<Bytes>;  // each nonce, then the message
  static constexpr std::size_t kMost = 256;
  crypto::SignerSetPtr real_;
  mutable std::map<Asked, SharedSession> opened_;
};

class StockedGroup final : public crypto::SigningGroup {
 public:
  explicit StockedGroup(crypto::SigningGroupPtr real) : real_(std::move(real)) {}

  const crypto::Scheme& scheme() const override { return real_->scheme(); }
  std::uint16_t n() const override { return real_->n(); }
  std::uint16_t t() const override { return real_->t(); }
  const Hash32& id() const override { return real_->id(); }
  Status check_quorums_meet() const override { return real_->check_quorums_meet(); }
  const ByteArray<33>& threshold_key() const override { return real_->threshold_key(); }
  ByteSpan wallet_key() const override { return real_->wallet_key(); }
  ByteSpan public_share(SignerId id) const override { return real_->public_share(id); }
  Result<crypto::SignerSetPtr> signer_set(std::span<const SignerId> ids) const override {
    std::vector<SignerId> asked(ids.begin(), ids.end());
    const auto known = sets_.find(asked);
    if (known != sets_.end()) return crypto::SignerSetPtr(known->second);
    auto made = real_->signer_set(ids);
    if (!made) return made;
    auto set = std::make_shared<const StockedSet>(std::move(*made));
    return crypto::SignerSetPtr(sets_.emplace(std::move(asked), std::move(set)).first->second);
  }

 private:
  crypto::SigningGroupPtr real_;
  mutable std::map<std::vector<SignerId>, std::shared_ptr<const StockedSet>> sets_;
};

}  // namespace

std::shared_ptr<DrawnNonces> no_nonces_drawn() { return std::make_shared<DrawnNonces>(); }

Wallet stocked(const Wallet& wallet, const std::shared_ptr<DrawnNonces>& drawn) {
  Wallet out{std::make_shared<const StockedGroup>(wallet.group), {}, wallet.script};
  for (const crypto::KeySharePtr& share : wallet.shares) {
    out.shares.push_back(std::make_shared<const StockedShare>(share, drawn));
  }
  return out;
}

}  // namespace roulette::sim
