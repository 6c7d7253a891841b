// A cluster for several machines, as folders to carry there: `roulette deploy`.
//
// Invariant: hosts/<address>/<process>/ has all that this process reads and nothing that only
// another one needs; paths in its configuration are relative to that folder, but for what it
// writes. The authorities' keys and the client's are in authority/ and client/ and in no host's
// folder. Starts nothing.
#pragma once

#include <string>

#include "chaos/live/cluster_files.h"

namespace roulette::chaos {

// Makes `out`, which must not exist. Errors leave what was written.
[[nodiscard]] Status write_deployment(const ClusterPlan& plan, const Hosts& hosts,
                                      const std::string& out, EntropySource& entropy);

}  // namespace roulette::chaos
