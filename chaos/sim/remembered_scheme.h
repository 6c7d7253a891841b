// A scheme whose verification is asked once: replicas, replays and the node check one signature.
//
// Invariant: verify() is a function of its arguments, so a remembered answer is the answer. One run
// in one thread; it remembers no more than kMost and then begins again.
#pragma once

#include <map>
#include <tuple>

#include "common/crypto/scheme.h"

namespace roulette::sim {

class RememberedScheme final : public crypto::Scheme {
 public:
  explicit RememberedScheme(const crypto::Scheme& real) : real_(real) {}

  const crypto::SchemeFacts& facts() const override { return real_.facts(); }
  bool verify(ByteSpan wallet_key, ByteSpan message, ByteSpan signature) const override {
    const auto bytes = [](ByteSpan span) { return Bytes(span.begin(), span.end()); };
    auto asked = std::tuple(bytes(signature), bytes(message), bytes(wallet_key));
    const auto known = answers_.find(asked);
    if (known != answers_.end()) return known->second;
    if (answers_.size() == kMost) answers_.clear();
    const bool valid = real_.verify(wallet_key, message, signature);
    answers_.emplace(std::move(asked), valid);
    return valid;
  }

 private:
  static constexpr std::size_t kMost = 1024;
  const crypto::Scheme& real_;
  mutable std::map<std::tuple<Bytes, Bytes, Bytes>, bool> answers_;
};

}  // namespace roulette::sim
