// What one step of the machine has at hand: the time and the effects it appends to.
//
// Invariant: effects are executed in the order they were emitted, so a fact emitted first is
// written first. Nothing here outlives the step.
#pragma once

#include <utility>

#include "common/base/time.h"
#include "coordinator/core/coordinator.h"

namespace roulette::coordinator {

struct Step {
  Instant now;
  Effects& out;

  void send(ConnectionId to, wire::Message message) { out.push_back(Send{to, std::move(message)}); }
  void reply(RequestId request, ReplyBody body) {
    out.emplace_back(std::in_place_type<Reply>, request, std::move(body));
  }
  void fact(Fact fact) { out.push_back(std::move(fact)); }
};

// The earlier of two deadlines, nothing being never.
[[nodiscard]] inline std::optional<Instant> earlier(std::optional<Instant> a,
                                                    std::optional<Instant> b) {
  if (!a) return b;
  if (!b) return a;
  return *a < *b ? a : b;
}

}  // namespace roulette::coordinator
