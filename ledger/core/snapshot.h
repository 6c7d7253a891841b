// A snapshot as the log's store holds it: chunks of a state's canonical bytes, and a manifest that
// names them.
//
// Invariant: open_snapshot() returns only a state whose every chunk, whole encoding and digest are
// what the manifest says, for this cluster and this genesis; anything else is an Error that names
// the snapshot and what is wrong with it. Deliberately ignorant of majorities (checkpoints.h) and
// of where the bytes lie (ledger/log).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "ledger/core/state.h"

namespace roulette::ledger {

struct Manifest {
  std::string cluster_id;
  std::uint64_t index = 0;     // the state is the one after this entry
  Hash32 digest{};             // State::digest()
  std::uint64_t bytes = 0;     // of all chunks together
  std::vector<Hash32> chunks;  // SHA-256 of each, in order
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// Canonical; it ends with the SHA-256 of what comes before, so that a damaged one is told as such.
[[nodiscard]] Bytes encode_manifest(const Manifest& manifest);
[[nodiscard]] Result<Manifest> decode_manifest(ByteSpan bytes);

// In order, each of `chunk_bytes` but the last.
[[nodiscard]] std::vector<Bytes> cut_into_chunks(ByteSpan state, std::size_t chunk_bytes);
[[nodiscard]] Manifest make_manifest(const std::string& cluster_id, std::uint64_t index,
                                     const Hash32& digest, const std::vector<Bytes>& chunks);

// What lies under one index of the store; nothing of it is believed.
struct StoredSnapshot {
  std::uint64_t index = 0;  // of its key; 0: the store holds no complete snapshot
  Bytes manifest;
  std::map<std::uint32_t, Bytes> chunks;  // by number
  friend bool operator==(const StoredSnapshot&, const StoredSnapshot&) = default;
};

// That its chunks are what its manifest names, and no more: what they say is not looked at.
[[nodiscard]] Result<Manifest> check_chunks(const StoredSnapshot& stored);

struct OpenedSnapshot {
  Manifest manifest;
  Bytes bytes;  // the state's encoding
  State state;
};
[[nodiscard]] Result<OpenedSnapshot> open_snapshot(const StoredSnapshot& stored,
                                                   const wire::Genesis& genesis,
                                                   const crypto::Scheme* verifier);

}  // namespace roulette::ledger
