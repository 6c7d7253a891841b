// Cluster shape and globs: see cluster_shape.h.
#include "chaos/plan/cluster_shape.h"

namespace roulette::chaos {

std::uint16_t instances_of(const ClusterPlan& plan, Role role) {
  switch (role) {
    case Role::Signer:
      return plan.signers;
    case Role::Coordinator:
      return plan.coordinators;
    case Role::Ledger:
      return plan.ledgers;
    case Role::Etcd:
      return plan.etcd;
    case Role::Bitcoind:
      return 1;
    case Role::Tool:
      return 0;
  }
  return 0;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (std::size_t skip = 0; skip <= text.size(); ++skip) {
      if (glob_match(pattern.substr(1), text.substr(skip))) return true;
    }
    return false;
  }
  return !text.empty() && pattern[0] == text[0] && glob_match(pattern.substr(1), text.substr(1));
}

}  // namespace roulette::chaos
