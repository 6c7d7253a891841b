// The hash chain of a signer's journal, recomputed from its export.
//
// Invariant: for the fields of an exported record this is the head that signer/core puts beside it
// (a test compares the two): the canonical encoding is repeated here on purpose, so that a wrong
// one there would show.
#pragma once

#include "chaos/check/history.h"

namespace roulette::check {

struct ProvisionedRecord {
  std::string signer, cluster_id, threshold_key;
  std::uint32_t share_epoch = 0;
};

// SHA-256("roulette/journal" || previous head || canonical record); the head before the first is
// zero. Fields must be well formed: the reader checked them.
[[nodiscard]] Hash32 next_head(const Hash32& previous, const ProvisionedRecord& record);
[[nodiscard]] Hash32 next_head(const Hash32& previous, const SigningRecord& record);

}  // namespace roulette::check
