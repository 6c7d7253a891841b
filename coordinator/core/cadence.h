// How often a coordinator speaks when it has nothing to say, and how long it takes silence for
// nothing: by default the bounds of limits.h.
//
// Invariant: a silence is at least two intervals, or every peer would be presumed dead between two
// of its beats (asserted of the defaults, which the live host takes). The simulator draws slower
// ones, both by one factor: where idle virtual time costs as much as busy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/base/limits.h"

namespace roulette::coordinator {

struct Cadence {
  Duration heartbeat = limits::kHeartbeat;  // to the other coordinators
  Duration peer_silent = limits::kPeerSilent;
  Duration signer_ping = limits::kSignerPing;
  Duration signer_silent = limits::kSignerSilent;
};
// With many signers each is asked less often, so that pings stay a small part of the work, and may
// be silent longer: answers of a hundred queue for one coordinator.
constexpr Cadence live_cadence(std::size_t signers) {
  Cadence cadence;
  cadence.signer_ping = std::clamp(milliseconds(2) * static_cast<std::int64_t>(signers),
                                   limits::kSignerPing, limits::kSignerPing * 2);
  cadence.signer_silent = limits::kSignerSilent + (cadence.signer_ping - limits::kSignerPing) * 3;
  return cadence;
}
static_assert(live_cadence(50).signer_ping == limits::kSignerPing);
static_assert(live_cadence(50).signer_silent == limits::kSignerSilent);
// A loss of the quorum is known 1 s after it (docs/INVARIANTS.md, safe-refusal).
static_assert(live_cadence(128).signer_silent + live_cadence(128).signer_ping < seconds(1));

static_assert(2 * limits::kHeartbeat.us <= limits::kPeerSilent.us);
static_assert(2 * limits::kSignerPing.us <= limits::kSignerSilent.us);
static_assert(2 * limits::kLedgerHeartbeat.us <= limits::kLedgerPeerSilent.us);

}  // namespace roulette::coordinator
