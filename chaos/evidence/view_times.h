// Times of a run as other tools write them, from its records alone.
//
// Invariant: no clock is read: moments of the records (microseconds of the monotonic clock) are
// shifted by what the tool's own events say of both clocks.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "chaos/evidence/views.h"

namespace roulette::evidence {

// RFC 3339, UTC, with microseconds.
[[nodiscard]] std::string rfc3339(std::int64_t unix_us);

class RunClock {
 public:
  explicit RunClock(const Facts& facts);
  [[nodiscard]] std::string start() const { return rfc3339(start_us_); }
  [[nodiscard]] std::string end() const { return rfc3339(end_us_); }
  [[nodiscard]] double duration_s() const { return double(end_us_ - start_us_) / 1e6; }
  // Of a moment `t_us` of the records.
  [[nodiscard]] std::string at(std::int64_t t_us) const { return rfc3339(t_us + shift_us_); }
  [[nodiscard]] bool interrupted() const { return interrupted_; }

 private:
  std::int64_t start_us_ = 0, end_us_ = 0, shift_us_ = 0;
  bool interrupted_ = false;
};

// The one way in which a view is written as JSON.
[[nodiscard]] std::string view_text(const nlohmann::json& value);

}  // namespace roulette::evidence
