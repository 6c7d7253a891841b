// How often a coordinator speaks when it has nothing to say, and how long it takes silence for
// nothing: by default the bounds of limits.h.
//
// Invariant: a silence is at least two intervals, or every peer would be presumed dead between two
// of its beats (asserted of the defaults, which the live host takes). The simulator draws slower
// ones, both by one factor: where idle virtual time costs as much as busy.
#pragma once

#include "common/base/limits.h"

namespace roulette::coordinator {

struct Cadence {
  Duration heartbeat = limits::kHeartbeat;  // to the other coordinators
  Duration peer_silent = limits::kPeerSilent;
  Duration signer_ping = limits::kSignerPing;
  Duration signer_silent = limits::kSignerSilent;
};
static_assert(2 * limits::kHeartbeat.us <= limits::kPeerSilent.us);
static_assert(2 * limits::kSignerPing.us <= limits::kSignerSilent.us);
static_assert(2 * limits::kLedgerHeartbeat.us <= limits::kLedgerPeerSilent.us);

}  // namespace roulette::coordinator
