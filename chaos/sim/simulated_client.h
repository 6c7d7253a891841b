// The one client of a simulated cluster, whose word costs two hashes.
//
// Invariant: a signature fits one text; nobody in the simulator makes one but the story's
// clients. Ed25519 is for unit and live tests: it would cost a schedule more than its payments.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "common/base/assert.h"
#include "common/crypto/hash.h"
#include "common/wire/client_list.h"

namespace roulette::sim {

inline constexpr const char* kClientName = "story";
inline constexpr crypto::Ed25519PublicKey kClientKey{7};

[[nodiscard]] inline ByteArray<64> simulated_signature(ByteSpan text) {
  ByteArray<64> out{};
  const Hash32 first = crypto::sha256(text);
  const Hash32 second = crypto::sha256(first);
  std::copy(first.begin(), first.end(), out.begin());
  std::copy(second.begin(), second.end(), out.begin() + 32);
  return out;
}
[[nodiscard]] inline bool verify_simulated(const crypto::Ed25519PublicKey& key, ByteSpan text,
                                           ByteSpan signature) {
  return key == kClientKey && std::ranges::equal(simulated_signature(text), signature);
}
[[nodiscard]] inline wire::ClientSignature sign_simulated(const std::string& cluster_id,
                                                          const wire::PaymentRequest& request) {
  return {kClientName, simulated_signature(wire::signed_text(cluster_id, kClientName, request))};
}
[[nodiscard]] inline std::shared_ptr<const wire::ClientList> simulated_clients(
    const std::string& cluster_id, const std::vector<std::string>& accounts,
    std::int64_t max_amount_sat) {
  std::map<std::string, wire::AccountRule> rules;
  for (const std::string& account : accounts) rules[account].max_amount_sat = max_amount_sat;
  auto list = wire::ClientList::make(
      cluster_id, {{kClientName, kClientKey, {accounts.begin(), accounts.end()}}}, std::move(rules),
      verify_simulated);
  ROULETTE_ASSERT(list.ok());
  return std::make_shared<const wire::ClientList>(std::move(list).value());
}

}  // namespace roulette::sim
