// An etcd that the user runs, shared with whoever else uses it: `--etcd URL,...`.
//
// Invariant: nothing is read, written or removed there but keys below `<cluster>/`; global
// compaction, defragmentation, alarms and membership are never called, and no member is signalled.
// Credentials are paths of files, which are read here and by the daemons that need them.
#pragma once

#include <string>

#include "chaos/live/cluster.h"

namespace roulette::chaos {

// Whether --etcd names members, not a program.
[[nodiscard]] bool names_members(const BinaryOptions& options);
// Usage errors.
[[nodiscard]] Result<EtcdAccess> read_etcd_access(const BinaryOptions& options);
// Asks every member: each must answer, know a leader and belong to one cluster with the others.
// Preflight errors name the member and the remedy.
[[nodiscard]] Status check_members(const EtcdAccess& etcd);
// Removes the keys below `<cluster>/`; asks one member after the other.
[[nodiscard]] Status remove_keys(const EtcdAccess& etcd, const std::string& cluster);

}  // namespace roulette::chaos
