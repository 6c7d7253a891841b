// Dealing, once a shape.
//
// Invariant: the entropy is fixed, so a shape has the same keys in every process and on every day.
#include "chaos/sim/wallet.h"

#include <map>
#include <mutex>
#include <tuple>

#include "chaos/sim/sim_entropy.h"
#include "chaos/sim/stand_in.h"
#include "common/base/assert.h"
#include "common/bitcoin/script.h"
#include "common/crypto/dealer.h"
#include "common/crypto/frost_scheme.h"

namespace roulette::sim {
namespace {

// Each shape has another key: a share of one must fit no other.
std::uint64_t dealer_seed(std::uint16_t n, std::uint16_t t) { return std::uint64_t{n} << 16 | t; }

Wallet deal_frost(std::uint16_t n, std::uint16_t t) {
  SimEntropy entropy(dealer_seed(n, t));
  auto dealt = crypto::deal(n, t, entropy);
  ROULETTE_ASSERT(dealt.ok());
  auto group = crypto::frost_group(std::move(dealt->group));
  ROULETTE_ASSERT(group.ok());
  Wallet made{std::move(*group), {}, {}};
  for (auto& share : dealt->shares) made.shares.push_back(crypto::frost_share(std::move(share)));
  return made;
}

Wallet deal(SimScheme scheme, std::uint16_t n, std::uint16_t t) {
  switch (scheme) {
    case SimScheme::Frost: return deal_frost(n, t);
    case SimScheme::StandIn: {
      SimEntropy entropy(dealer_seed(n, t));
      StandInWallet dealt = deal_stand_in(n, t, entropy);
      return Wallet{std::move(dealt.group), std::move(dealt.shares), {}};
    }
  }
  ROULETTE_ASSERT(!"a scheme without a name");
}

}  // namespace

const Wallet& wallet_of(SimScheme scheme, std::uint16_t n, std::uint16_t t) {
  static std::mutex mutex;
  static std::map<std::tuple<SimScheme, std::uint16_t, std::uint16_t>, Wallet> wallets;
  const std::lock_guard lock(mutex);
  const auto shape = std::tuple(scheme, n, t);
  auto known = wallets.find(shape);
  if (known == wallets.end()) {
    Wallet made = deal(scheme, n, t);
    made.script = bitcoin::p2tr_script(made.group->wallet_key());
    known = wallets.emplace(shape, std::move(made)).first;
  }
  return known->second;
}

}  // namespace roulette::sim
