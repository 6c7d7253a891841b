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

struct ReprovisionedRecord {
  ProvisionedRecord now;
  std::string group;
  std::uint32_t previous_epoch = 0;
  struct Source {
    std::string signer, head;
    std::uint32_t share_epoch = 0;
    std::uint64_t length = 0;
  };
  std::vector<Source> sources;
  std::uint32_t imported = 0;
};
struct ImportedRecord {
  std::string withdrawal_id, payload_digest, txid;
  std::vector<BoundInput> inputs;
};
[[nodiscard]] Hash32 next_head(const Hash32& previous, const ReprovisionedRecord& record);
[[nodiscard]] Hash32 next_head(const Hash32& previous, const ImportedRecord& record);

}  // namespace roulette::check
