// The records of a finished run, from the parties themselves into state/ (docs/RECORDS.md, section
// 4).
//
// Invariant: nothing is computed here that a party could have recorded itself; a record that cannot
// be exported is an error, never an empty file.
#pragma once

#include <vector>

#include "chaos/live/cluster_files.h"
#include "chaos/live/node.h"

namespace roulette::chaos {

// Runs a program of ours to its end; what it prints on stdout becomes the file `to`. An Error has
// the last line of its stderr.
[[nodiscard]] Status run_to_file(const std::string& what, const std::vector<std::string>& argv,
                                 const std::filesystem::path& to);
// chain.ndjson: the active chain from genesis by getblock. The node must be up.
[[nodiscard]] Status export_chain(Node& node, const ClusterFiles& files);
// signer-*.ndjson, ledger-*.ndjson, transactions.ndjson, events.ndjson. The daemons must have
// stopped.
// One stopped daemon's records, while the run goes on.
[[nodiscard]] Status export_process(const ClusterFiles& files, const ProcessName& name,
                                    const std::filesystem::path& to);
[[nodiscard]] Status export_records(const ClusterFiles& files);

}  // namespace roulette::chaos
