// Which rare situations a large sweep must have reached.
//
// Invariant: data only. A sweep of kRequiredFrom schedules or more in which one of these was never
// hit is inconclusive and names it; a probe that is not listed is counted and shown all the same.
#pragma once

#include <array>

#include "chaos/sim/probes.h"
#include "chaos/sim/schedule.h"

namespace roulette::sim {

inline constexpr std::uint64_t kRequiredFrom = 1000;

inline constexpr std::array kRequiredProbes = {
    Probe::ShareDurableNotSentKilled, Probe::TwoAggregateOneTemplate,
    Probe::RebroadcastAfterUnmining,  Probe::UnknownThenDuplicate,
    Probe::StaleProposerRefused,      Probe::KillInRestore,
    Probe::AllDownAtOnce,             Probe::QuorumLost,
    Probe::TakeoverOfSigning,         Probe::SettledTakenBack,
    Probe::LoadedBehindTrim,          Probe::StaleAfterTrimRefused,
    Probe::AllWipedFromSnapshot,      Probe::ConflictAfterRollBack,
    Probe::BadSignerBlamed,           Probe::AlteredReplicaFound,
    Probe::SecondConnection,          Probe::JournalWentBack,
    Probe::ForkLeft,                  Probe::ProvisionedAgainSigns,
    Probe::OldEpochRefused,           Probe::DamagedSnapshotRefused,
    Probe::KeyAwayTold,               Probe::KeyAwayInRound,
    Probe::UnrequestedRefused,
};

// Where all must sign, no journal is ever taken: the quorum would be lost for good. So none is
// founded again, and there is one share epoch.
[[nodiscard]] constexpr bool required_of(Probe probe, SimScheme scheme) {
  const bool all_sign = scheme == SimScheme::Musig2 || scheme == SimScheme::Single ||
                        scheme == SimScheme::Hsm;
  return !all_sign || (probe != Probe::ConflictAfterRollBack && probe != Probe::JournalWentBack &&
                       probe != Probe::ProvisionedAgainSigns && probe != Probe::OldEpochRefused);
}

}  // namespace roulette::sim
