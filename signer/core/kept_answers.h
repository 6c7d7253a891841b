// Answers kept for exact retries, in RAM (DESIGN 6.2).
//
// Invariant: what is kept was bound by an emitted record, so giving it out again signs nothing new.
// Bounded, first in, first out; a restart forgets everything and the session is dead. A retry must
// equal the first request in everything that was checked: session, withdrawal and payload.
#pragma once

#include <compare>
#include <deque>
#include <map>
#include <utility>

#include "common/base/limits.h"
#include "signer/core/signer.h"

namespace roulette::signer {

struct RetryKey {
  Hash32 session_digest{};
  WithdrawalId withdrawal_id;
  Hash32 payload_digest{};
  friend auto operator<=>(const RetryKey&, const RetryKey&) = default;
};

struct KeptAnswer {
  ConnectionId connection;  // its fresh nonces were handed out there and are worthless elsewhere
  wire::SignResponse response;
  ShareRelease release;
};

class KeptAnswers {
 public:
  [[nodiscard]] const KeptAnswer* find(const RetryKey& key) const {
    const auto found = answers_.find(key);
    return found == answers_.end() ? nullptr : &found->second;
  }
  void keep(const RetryKey& key, KeptAnswer answer) {
    if (!answers_.emplace(key, std::move(answer)).second) return;
    order_.push_back(key);
    if (order_.size() <= limits::kRetryResponses) return;
    answers_.erase(order_.front());
    order_.pop_front();
  }
  void clear() {
    answers_.clear();
    order_.clear();
  }
  [[nodiscard]] std::size_t size() const { return answers_.size(); }

 private:
  std::map<RetryKey, KeptAnswer> answers_;
  std::deque<RetryKey> order_;  // oldest first
};

}  // namespace roulette::signer
