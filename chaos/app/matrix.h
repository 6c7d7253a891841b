// `roulette matrix`: the options of the command and its two kinds. See commands.h.
//
// Invariant: both kinds fill the same MatrixReport; files and exit code come from it alone.
#pragma once

#include "chaos/app/commands.h"
#include "chaos/plan/matrix_report.h"

namespace roulette::chaos {

// For the report; made once it is known that there is something to run. Preflight.
[[nodiscard]] Status make_matrix_folder(const std::string& folder);

// Runs the cells on real clusters, one after the other. An error before the first cluster is up
// ends the matrix; later ones are reasons of cells.
[[nodiscard]] Result<MatrixReport> run_live_matrix(const MatrixOptions& options,
                                                   const std::string& out_dir);

// Runs short stories in virtual time, spread over processes.
[[nodiscard]] Result<MatrixReport> run_simulated_matrix(const MatrixOptions& options,
                                                        const std::string& out_dir);

}  // namespace roulette::chaos
