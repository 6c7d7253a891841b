// Faults of PKCS#11 tokens as their records tell them: which calls met one, and which end of a
// signer one explains.
//
// Invariant: only the module's own record says that a call met a fault, and only inside the time in
// which the tool says that the fault stood; an end is excused by a token that hung, by none other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chaos/check/history.h"

namespace roulette::check {

// The fault of a token that a record names; nothing for a signal.
[[nodiscard]] std::optional<chaos::Signal> token_fault(const std::string& name);
// The calls of its victim's token that met this fault, in the record's order; none where it is no
// fault of a token, or where the token was not given back.
[[nodiscard]] std::vector<const TokenAnswer*> calls_met(const History& history,
                                                        const FaultRecord& fault);
// A signer whose module has not answered for its patience ends (docs/CONFIG.md): this end is due to
// a fault that let a call of it hang for so long.
[[nodiscard]] bool ended_by_token(const History& history, const Exited& exited);
// By this fault its signer had to end, and no end of it is told.
[[nodiscard]] bool outlived_its_token(const History& history, const FaultRecord& fault);

}  // namespace roulette::check
