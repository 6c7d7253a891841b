// What is vouched for: the manifest of a bundle and the in-toto statement over it.
//
// Invariant: both are functions of the files and of the verdict that the checkers derive from them;
// verify makes them again and compares bytes, so no field of them can be edited alone.
// Sources: in-toto Statement v1; in-toto test-result predicate v0.1.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chaos/check/verdict.h"
#include "chaos/evidence/ustar.h"

namespace roulette::evidence {

inline constexpr int kManifestVersion = 2;  // 1 did not say which views it lists

// manifest.json: `{format: "roulette-manifest", version: 2, run, views, files[{name, size,
// sha256}]}`, by name, of every file of the bundle but itself, the envelope and a time stamp.
// `views`: kViews of the build that made them (views.h).
[[nodiscard]] std::string manifest_json(const std::string& run, std::int64_t views,
                                        const std::vector<ArchivedFile>& files);

// Subject: the manifest by its SHA-256. Result PASSED, FAILED or WARNED (inconclusive); tests are
// the invariants: passed, failed, and warned of for those that were not exercised or inconclusive.
[[nodiscard]] std::string statement_json(const std::string& run, const std::string& manifest,
                                         std::string_view experiment,
                                         const check::Verdict& verdict);

}  // namespace roulette::evidence
