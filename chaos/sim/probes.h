// Named rare situations, counted: a sweep that never reached one has not shown what it claims.
//
// Invariant: a probe has one name, of the list here, so that a sweep can say which it missed; a hit
// is one addition. Whoever hits says only that the situation was there, not that it was mastered:
// that is the judge's part.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace roulette::sim {

enum class Probe : std::uint8_t {
  ShareDurableNotSentKilled,    // the record was durable, the share never left
  TwoAggregateOneTemplate,      // two coordinators aggregated signatures for one template
  RebroadcastAfterUnmining,     // bytes sent again that a block had held
  UnknownThenDuplicate,         // a proposal ended Unknown, stood in the log, was proposed again
  StaleProposerRefused,         // a proposal behind the log's head was not taken
  KillInRestore,                // a process died while it restored
  AllDownAtOnce,                // no process of the cluster was up
  QuorumLost,                   // fewer than t signers were up
  TakeoverOfSigning,            // another coordinator went on with a withdrawal
  SettledTakenBack,             // a node kill un-mined a settled payment
  SecondConnection,             // a peer called again while its old connection seemed open
  CommitSurvivedPowerLoss,      // the commit under way at a power loss was whole
  JournalWentBack,              // a signer started from an older journal, or none
  ForkLeft,                     // a coordinator's node left the fork that it had followed
  BadSignerBlamed,              // a lying signer was blamed by a coordinator
  ConflictAfterRollBack,        // a liar asked a signer whose journal had gone back
  AlteredReplicaFound,          // a replica with altered state found itself in the minority
  LoadedBehindTrim,             // a replica whose next entry was trimmed loaded a snapshot
  StaleAfterTrimRefused,        // a proposal for an index that was trimmed was not taken
  AllWipedFromSnapshot,         // all replicas lost their disks at once, and all loaded it
  ProvisionedAgainSigns,        // a signer signs in a journal that was founded anew
  OldEpochRefused,              // a request of another share epoch was refused
  DamagedSnapshotRefused,       // a replica read a damaged snapshot and started from another
  KeyAwayTold,                  // a signer told a coordinator that its token is away
  KeyAwayInRound,               // a token was away when a signer came to sign, behind its record
  UnrequestedRefused,           // a payment that no client asked for was refused
  kCount
};

inline constexpr std::size_t kProbes = static_cast<std::size_t>(Probe::kCount);

[[nodiscard]] constexpr const char* probe_name(Probe probe) {
  switch (probe) {
    case Probe::ShareDurableNotSentKilled: return "share durable, not sent, killed";
    case Probe::TwoAggregateOneTemplate: return "two coordinators aggregate one template";
    case Probe::RebroadcastAfterUnmining: return "rebroadcast after un-mining";
    case Probe::UnknownThenDuplicate: return "Unknown, then Duplicate";
    case Probe::StaleProposerRefused: return "stale proposer refused";
    case Probe::KillInRestore: return "killed while restoring";
    case Probe::AllDownAtOnce: return "everything down at once";
    case Probe::QuorumLost: return "fewer than t signers up";
    case Probe::TakeoverOfSigning: return "another coordinator takes over";
    case Probe::SettledTakenBack: return "a settled payment un-mined";
    case Probe::SecondConnection: return "a second connection of one peer";
    case Probe::CommitSurvivedPowerLoss: return "a commit survives the power loss in it";
    case Probe::JournalWentBack: return "a signer's journal went back";
    case Probe::ForkLeft: return "a node leaves its fork";
    case Probe::BadSignerBlamed: return "a lying signer is blamed";
    case Probe::ConflictAfterRollBack: return "conflicting request after journal roll-back";
    case Probe::AlteredReplicaFound: return "an altered replica stops";
    case Probe::LoadedBehindTrim: return "a replica behind the trim loaded a snapshot";
    case Probe::StaleAfterTrimRefused: return "stale proposer refused after trim";
    case Probe::AllWipedFromSnapshot: return "all replicas wiped, started from a snapshot";
    case Probe::ProvisionedAgainSigns: return "a signer provisioned again signs";
    case Probe::OldEpochRefused: return "a request of another share epoch refused";
    case Probe::DamagedSnapshotRefused: return "a damaged snapshot refused, another one taken";
    case Probe::UnrequestedRefused: return "an unrequested payment refused";
    case Probe::KeyAwayTold: return "a signer tells that its token is away";
    case Probe::KeyAwayInRound: return "a token is away in the middle of a round";
    case Probe::kCount: break;
  }
  return "";
}

class Probes {
 public:
  void hit(Probe probe) { ++hits_[static_cast<std::size_t>(probe)]; }
  [[nodiscard]] std::uint64_t hits(Probe probe) const {
    return hits_[static_cast<std::size_t>(probe)];
  }
  void add(const Probes& other) {
    for (std::size_t i = 0; i < kProbes; ++i) hits_[i] += other.hits_[i];
  }

 private:
  std::array<std::uint64_t, kProbes> hits_{};
};

}  // namespace roulette::sim
