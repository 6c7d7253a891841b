// Finding, taking and evicting pooled nonces: see nonce_pool.h.
//
// Invariant: entries_ never exceeds limits::kNoncePoolPerConnection.
#include "signer/core/nonce_pool.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"
#include "common/base/limits.h"
#include "common/base/mutants.h"

namespace roulette::signer {

std::size_t NoncePool::add(crypto::SecretNonce secret) {
  std::size_t evicted = 0;
  if (entries_.size() == limits::kNoncePoolPerConnection) {
    entries_.pop_front();
    evicted = 1;
  }
  const auto public_nonce = wire::PubNonce::from(secret.public_nonce());
  ROULETTE_ASSERT(public_nonce && !public_nonce->empty());  // a scheme without nonces has no pool
  entries_.push_back(Entry{*public_nonce, std::move(secret)});
  return evicted;
}

bool NoncePool::has(const wire::PubNonce& nonce) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&nonce](const Entry& entry) { return entry.public_nonce == nonce; });
}

bool NoncePool::has_each_once(std::span<const wire::PubNonce> nonces) const {
  for (std::size_t i = 0; i < nonces.size(); ++i) {
    if (!has(nonces[i])) return false;
    const auto earlier = nonces.first(i);
    if (std::find(earlier.begin(), earlier.end(), nonces[i]) != earlier.end()) return false;
  }
  return true;
}

crypto::SecretNonce NoncePool::take(const wire::PubNonce& nonce) {
  auto entry =
      std::find_if(entries_.begin(), entries_.end(),
                   [&nonce](const Entry& candidate) { return candidate.public_nonce == nonce; });
  if (ROULETTE_MUTANT("nonce-by-index")) entry = entries_.begin();
  ROULETTE_ASSERT(entry != entries_.end());
  crypto::SecretNonce secret = std::move(entry->secret);
  entries_.erase(entry);
  return secret;
}

}  // namespace roulette::signer
