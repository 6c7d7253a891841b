// What happened, for people (the last lines) and for comparison (a hash over all of it).
//
// Invariant: everything noted enters the hash, so two runs with one hash did the same things in the
// same order at the same virtual times. Only the last kTraceLines are kept as text.
#pragma once

#include <array>
#include <functional>
#include <string>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace roulette::sim {

inline constexpr std::size_t kTraceLines = 60;

struct TraceLine {
  Instant at;
  ProcessName who;
  const char* what;
  const char* subject;
  std::uint64_t number;
};

class Trace {
 public:
  // Called with every line as it is noted; may only look.
  using Listener = std::function<void(const TraceLine&)>;
  void listen(Listener listener) { listener_ = std::move(listener); }
  // `what` and `subject` are literals or names that outlive the trace.
  void note(Instant at, ProcessName who, const char* what, const char* subject,
            std::uint64_t number);
  void fold(ByteSpan bytes);
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] std::string tail() const;

 private:
  void fold(std::uint64_t number);
  std::uint64_t hash_ = 0xcbf29ce484222325;  // as FNV-1a, by words
  std::array<TraceLine, kTraceLines> lines_{};  // a ring
  std::uint64_t noted_ = 0;
  Listener listener_;
};

}  // namespace roulette::sim
