// Dealing, once a shape and share epoch.
//
// Invariant: the entropy is fixed, so a shape has the same keys in every process and on every day.
#include "chaos/sim/wallet.h"

#include <map>
#include <mutex>
#include <tuple>

#include "chaos/sim/sim_entropy.h"
#include "chaos/sim/soft_ecdsa.h"
#include "chaos/sim/stand_in.h"
#include "common/base/assert.h"
#include "common/bitcoin/spend.h"
#include "common/crypto/hash.h"
#include "common/crypto/hsm_scheme.h"
#include "common/crypto/schemes.h"

namespace roulette::sim {
namespace {

// Each shape has another key: a share of one must fit no other.
std::uint64_t dealer_seed(std::uint16_t n, std::uint16_t t) { return std::uint64_t{n} << 16 | t; }

std::uint64_t epoch_seed(std::uint16_t n, std::uint16_t t, std::uint32_t epoch) {
  return std::uint64_t{epoch} << 32 | dealer_seed(n, t);
}

Wallet deal_by(const crypto::SchemeKind& kind, std::uint16_t n, std::uint16_t t,
               std::uint32_t epoch) {
  SimEntropy entropy(dealer_seed(n, t));
  auto dealt = kind.deal(n, t, entropy);
  for (std::uint32_t next = 2; dealt && next <= epoch; ++next) {
    SimEntropy anew(epoch_seed(n, t, next));
    dealt = kind.refresh(crypto::keys_of(*dealt->group), std::move(dealt->secrets), anew);
  }
  ROULETTE_ASSERT(dealt.ok());
  Wallet made{dealt->group, {}, {}};
  for (std::uint16_t i = 0; i < n; ++i) {
    auto share = kind.share(SignerId(i), std::move(dealt->secrets[i]));
    ROULETTE_ASSERT(share.ok());
    made.shares.push_back(std::move(*share));
  }
  return made;
}

Wallet deal_quickly(std::uint16_t n, std::uint16_t t, std::uint32_t epoch) {
  SimEntropy key(dealer_seed(n, t));
  SimEntropy anew(epoch_seed(n, t, epoch));
  StandInWallet dealt =
      epoch == 1 ? deal_stand_in(n, t, key) : refresh_stand_in(n, t, key, anew);
  return Wallet{std::move(dealt.group), std::move(dealt.shares), {}};
}

// Every other digest gets high S, as a token gives it: the share must be normalised.
Wallet wallet_of_token() {
  const auto token =
      std::make_shared<const SoftEcdsa>(crypto::sha256(as_bytes("the simulated token's key")));
  auto group = crypto::hsm_group(token->key());
  ROULETTE_ASSERT(group.ok());
  auto share = crypto::hsm_share({token->key(), [token](const Hash32& digest) {
    const crypto::CompactEcdsa low = token->sign(digest);
    return Result<crypto::CompactEcdsa>(digest[0] % 2 == 0 ? low : with_other_s(low));
  }});
  return Wallet{std::move(group).value(), {std::move(share)}, {}};
}

Wallet deal(SimScheme scheme, std::uint16_t n, std::uint16_t t, std::uint32_t epoch) {
  if (scheme == SimScheme::StandIn) {
    return deal_quickly(n, t, epoch);
  }
  if (scheme == SimScheme::Hsm) return wallet_of_token();
  const crypto::SchemeKind* kind = crypto::scheme_by_name(scheme_name(scheme));
  ROULETTE_ASSERT(kind != nullptr);
  return deal_by(*kind, n, t, epoch);
}

}  // namespace

const Wallet& wallet_of(SimScheme scheme, std::uint16_t n, std::uint16_t t,
                        std::uint32_t share_epoch) {
  static std::mutex mutex;
  using Dealing = std::tuple<SimScheme, std::uint16_t, std::uint16_t, std::uint32_t>;
  static std::map<Dealing, Wallet> wallets;
  const std::lock_guard lock(mutex);
  const Dealing shape(scheme, n, t, share_epoch);
  auto known = wallets.find(shape);
  if (known == wallets.end()) {
    Wallet made = deal(scheme, n, t, share_epoch);
    made.script = bitcoin::wallet_script(made.group->scheme().facts().signatures,
                                         made.group->wallet_key());
    known = wallets.emplace(shape, std::move(made)).first;
  }
  return known->second;
}

}  // namespace roulette::sim
