// Dealing, once a shape.
//
// Invariant: the entropy is fixed, so a shape has the same keys in every process and on every day.
#include "chaos/sim/wallet.h"

#include <map>
#include <mutex>
#include <utility>

#include "chaos/sim/sim_entropy.h"
#include "common/base/assert.h"
#include "common/bitcoin/script.h"
#include "common/crypto/dealer.h"
#include "common/crypto/frost_scheme.h"

namespace roulette::sim {
namespace {

constexpr std::uint64_t kDealerSeed = 1;

Wallet deal(std::uint16_t n, std::uint16_t t) {
  SimEntropy entropy(kDealerSeed);
  auto dealt = crypto::deal(n, t, entropy);
  ROULETTE_ASSERT(dealt.ok());
  auto group = crypto::frost_group(std::move(dealt->group));
  ROULETTE_ASSERT(group.ok());
  Wallet made{std::move(*group), {}, {}};
  for (auto& share : dealt->shares) made.shares.push_back(crypto::frost_share(std::move(share)));
  return made;
}

}  // namespace

const Wallet& wallet_of(std::uint16_t n, std::uint16_t t) {
  static std::mutex mutex;
  static std::map<std::pair<std::uint16_t, std::uint16_t>, Wallet> wallets;
  const std::lock_guard lock(mutex);
  const auto shape = std::pair(n, t);
  auto known = wallets.find(shape);
  if (known == wallets.end()) {
    Wallet made = deal(n, t);
    made.script = bitcoin::p2tr_script(made.group->wallet_key());
    known = wallets.emplace(shape, std::move(made)).first;
  }
  return known->second;
}

}  // namespace roulette::sim
