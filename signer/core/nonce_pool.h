// The unused secret nonces of one connection, in RAM only.
//
// Invariant: a secret leaves at most once (take), by its public bytes, and is erased when it is
// evicted or the pool goes (DESIGN 6.1). Never journaled, never shared between connections. The
// pool is small and bounded, so a walk finds a nonce.
#pragma once

#include <cstddef>
#include <list>
#include <span>

#include "common/crypto/scheme.h"
#include "common/wire/messages.h"

namespace roulette::signer {

class NoncePool {
 public:
  // Says how many of the oldest gave way (0 or 1): they belong to requests that were refused or
  // given up, and whoever still names one gets UnknownNonce.
  std::size_t add(crypto::SecretNonce secret);
  [[nodiscard]] bool has(const wire::PubNonce& nonce) const;
  // All are in the pool and no two are equal. Attack: one nonce named for two inputs of a request
  // gives two shares under one nonce, and these give the key share away.
  [[nodiscard]] bool has_each_once(std::span<const wire::PubNonce> nonces) const;
  // Must be in the pool (asserted).
  [[nodiscard]] crypto::SecretNonce take(const wire::PubNonce& nonce);
  [[nodiscard]] const wire::PubNonce& newest() const { return entries_.back().public_nonce; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    wire::PubNonce public_nonce{};
    crypto::SecretNonce secret;
  };
  std::list<Entry> entries_;  // oldest first
};

}  // namespace roulette::signer
