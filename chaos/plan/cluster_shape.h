// Questions that files, flags and schedules ask alike: which shape a scheme has, how many processes
// of a role, and does a glob match a point.
//
// Invariant: a plan that check_shape() passed names a scheme that is known, in a shape it can have.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "chaos/plan/experiment.h"
#include "common/crypto/scheme.h"

namespace roulette::chaos {

// Sets signers and threshold, where they were said; where not, what the scheme has: 3 of 5, all of
// 3, or one.
void set_shape(ClusterPlan& plan, std::optional<std::uint16_t> signers,
               std::optional<std::uint16_t> threshold);
[[nodiscard]] Status check_shape(const ClusterPlan& plan);
// An etcd that the user runs: its members are no processes of the cluster.
inline constexpr char kRemoteEtcd[] = "remote-etcd";
// Ledgers and etcd members of the plan's log, where nobody said how many.
void set_log(ClusterPlan& plan);
[[nodiscard]] Status check_log(const ClusterPlan& plan);
// The scheme's key lies in a token. False for a scheme that nobody knows.
[[nodiscard]] bool key_in_token(const ClusterPlan& plan);
// Of a plan that check_shape() passed.
[[nodiscard]] const crypto::SchemeFacts& facts_of(const ClusterPlan& plan);

// Processes of `role` in the cluster; 0 for the tool itself.
[[nodiscard]] std::uint16_t instances_of(const ClusterPlan& plan, Role role);
// `*` stands for any text, everything else for itself.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace roulette::chaos
