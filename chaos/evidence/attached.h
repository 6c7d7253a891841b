// What a report cites of other runs: a matrix, a hunt for planted bugs, a comparison.
//
// Invariant: nothing here is judged again. The files stand in the bundle as they were given, under
// its hashes and the operator's signature; what the report says of them is a function of their
// texts. A file whose own sums are not those of its rows is refused with the place.
#pragma once

#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.h"

namespace roulette::evidence {

inline constexpr char kMatrixFile[] = "attached/matrix.json";    // `roulette matrix`
inline constexpr char kMutantsFile[] = "attached/mutants.json";  // `roulette mutants --json`
inline constexpr char kCompareFile[] = "attached/compare.json";  // `roulette compare`

// Texts of these files; empty for none.
struct AttachedTexts {
  std::string_view matrix, mutants, compare;
};

// Corrupt, with file, place and remedy.
[[nodiscard]] Status check_attached(const AttachedTexts& texts);
// `{matrix, mutants, compare}`, null for none: SHA-256 of the file and what the report shows of it.
// Only for texts that hold.
[[nodiscard]] nlohmann::ordered_json attached_json(const AttachedTexts& texts);

}  // namespace roulette::evidence
