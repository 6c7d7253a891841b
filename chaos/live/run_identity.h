// The key shares that the launcher dealt, kept until the run's end for one signature over its
// records.
//
// Invariant: what is signed is never a transaction's hash: the message is hashed under a tag of its
// own. The shares go with this object and are written nowhere. It shows which cluster the records
// are of, not who made them: whoever holds the shares can sign anything.
#pragma once

#include <vector>

#include "common/crypto/scheme.h"

namespace roulette::chaos {

class RunIdentity {
 public:
  // `shares`: at least as many as the group's threshold.
  RunIdentity(crypto::SigningGroupPtr group, std::vector<crypto::KeySharePtr> shares)
      : group_(std::move(group)), shares_(std::move(shares)) {}

  [[nodiscard]] ByteSpan key() const { return group_->wallet_key(); }
  // By the first t signers in this process; BIP 340. `message`: a tagged hash.
  [[nodiscard]] Result<Bytes> sign(const Hash32& message, EntropySource& entropy) const;

 private:
  crypto::SigningGroupPtr group_;
  std::vector<crypto::KeySharePtr> shares_;
};

}  // namespace roulette::chaos
