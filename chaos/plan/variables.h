// Variables of an experiment file: named in its `configuration`, used as "${name}", given other
// values by the command line, as in a Chaos Toolkit experiment.
//
// Invariant: the text that comes back uses none: a run folder keeps what ran, not what was asked
// for. A value is a number or a word, so it can change no line and no structure.
#pragma once

#include <string>
#include <vector>

#include "chaos/plan/experiment.h"
#include "common/base/result.h"

namespace roulette::chaos {

// `text` with every "${name}", its double quotes included, replaced by the variable's value, and
// with the values of `variables` in its `configuration`. ErrorKind::Usage ("NAME:LINE: what") where
// a name is not in `configuration`, or one of `variables` is used nowhere.
[[nodiscard]] Result<std::string> write_out_variables(const std::string& text,
                                                      const std::string& name,
                                                      const Variables& variables);

// "NAME=VALUE" each, as the command line gives them; no name twice.
[[nodiscard]] Result<Variables> parse_variables(const std::vector<std::string>& given);

}  // namespace roulette::chaos
