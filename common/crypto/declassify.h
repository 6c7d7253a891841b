// The one door through which a value computed from secrets may steer a branch.
//
// Invariant: only success flags pass, which are 1 except with probability 2^-255 for secrets in
// range (or 0 for a secret that is refused and never used), so the branch tells nothing.
// tools/check-constant-time excuses exactly this function and nothing else of ours.
#pragma once

namespace roulette::crypto {

[[nodiscard]] bool declassify(int flag) noexcept;

}  // namespace roulette::crypto
