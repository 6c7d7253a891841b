// Two questions that files and schedules both ask: how many processes of a role, and does a glob
// match a point.
#pragma once

#include <cstdint>
#include <string_view>

#include "chaos/plan/experiment.h"

namespace roulette::chaos {

// Processes of `role` in the cluster; 0 for the tool itself.
[[nodiscard]] std::uint16_t instances_of(const ClusterPlan& plan, Role role);
// `*` stands for any text, everything else for itself.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace roulette::chaos
