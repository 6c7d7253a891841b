// Who leaves a full house so that the next one may come in.
//
// Invariant: of the address that holds most of the places that may be taken back, the one that
// waits longest goes. So whoever takes all places loses its own ones, and from many addresses a
// peer that is done before as many others came is never met. Decides only; the owner closes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/base/time.h"

namespace roulette::runtime {

struct Place {
  std::uint64_t holder = 0;    // the owner's number for it
  std::uint32_t address = 0;   // IPv4
  Instant since;               // of what it waits for now
};

// The holder that gives up its place; nothing where there is no place. The order does not matter.
[[nodiscard]] std::optional<std::uint64_t> most_crowding(std::span<const Place> places);

}  // namespace roulette::runtime
