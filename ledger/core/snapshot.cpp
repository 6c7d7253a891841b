// See snapshot.h.
#include "ledger/core/snapshot.h"

#include <algorithm>

#include "common/base/canonical.h"
#include "common/base/limits.h"
#include "common/crypto/hash.h"

namespace roulette::ledger {
namespace {

constexpr const char* kFormat = "roulette/ledger-manifest/1";

Result<Bytes> join_chunks(const Manifest& manifest, const std::map<std::uint32_t, Bytes>& chunks) {
  const auto corrupt = [](const std::string& what) { return Error{ErrorKind::Corrupt, what}; };
  if (manifest.bytes > limits::kMaxSnapshotBytes) return corrupt("it is larger than any may be");
  if (chunks.size() > manifest.chunks.size()) return corrupt("more chunks than its manifest names");
  Bytes whole;
  whole.reserve(manifest.bytes);
  for (std::uint32_t i = 0; i < manifest.chunks.size(); ++i) {
    const std::string name = "chunk " + std::to_string(i);
    const auto chunk = chunks.find(i);
    if (chunk == chunks.end()) return corrupt(name + " is missing");
    if (crypto::sha256(chunk->second) != manifest.chunks[i]) return corrupt(name + " is damaged");
    append(whole, chunk->second);
  }
  if (whole.size() != manifest.bytes) return corrupt("its length is not its manifest's");
  return whole;
}

Result<OpenedSnapshot> open(const StoredSnapshot& stored, const wire::Genesis& genesis,
                            const crypto::Scheme* verifier) {
  const auto corrupt = [](const std::string& what) { return Error{ErrorKind::Corrupt, what}; };
  auto manifest = decode_manifest(stored.manifest);
  if (!manifest) return manifest.error();
  if (manifest->cluster_id != genesis.cluster_id) {
    return corrupt("it is of another cluster, " + manifest->cluster_id);
  }
  if (manifest->index != stored.index) {
    return corrupt("its manifest names index " + std::to_string(manifest->index));
  }
  auto bytes = join_chunks(*manifest, stored.chunks);
  if (!bytes) return bytes.error();
  auto state = State::decode(*bytes, verifier);
  if (!state) return state.error();
  if (state->digest() != manifest->digest) return corrupt("its digest is not its state's");
  if (state->genesis() != genesis) return corrupt("its genesis is not the configured one");
  return OpenedSnapshot{std::move(manifest).value(), std::move(bytes).value(),
                        std::move(state).value()};
}

}  // namespace

Bytes encode_manifest(const Manifest& manifest) {
  CanonicalWriter w;
  w.text(kFormat);
  w.text(manifest.cluster_id);
  w.u64(manifest.index);
  w.raw(manifest.digest);
  w.u64(manifest.bytes);
  w.count(manifest.chunks.size());
  for (const Hash32& chunk : manifest.chunks) w.raw(chunk);
  w.raw(crypto::sha256(w.view()));
  return w.take();
}

Result<Manifest> decode_manifest(ByteSpan bytes) {
  const Error damaged{ErrorKind::Corrupt, "its manifest is damaged"};
  constexpr std::size_t kSumBytes = 32;
  if (bytes.size() < kSumBytes) return damaged;
  const ByteSpan body = bytes.first(bytes.size() - kSumBytes);
  const Hash32 sum = crypto::sha256(body);
  if (!std::equal(sum.begin(), sum.end(), bytes.end() - kSumBytes)) return damaged;
  CanonicalReader r(body);
  if (r.text() != kFormat) {
    return Error{ErrorKind::Corrupt, "its manifest has another format or version"};
  }
  Manifest manifest;
  manifest.cluster_id = r.text();
  manifest.index = r.u64();
  manifest.digest = r.array<32>();
  manifest.bytes = r.u64();
  manifest.chunks.resize(r.count(32));
  for (Hash32& chunk : manifest.chunks) chunk = r.array<32>();
  if (!r.finished()) return damaged;
  return manifest;
}

std::vector<Bytes> cut_into_chunks(ByteSpan state, std::size_t chunk_bytes) {
  std::vector<Bytes> chunks;
  for (std::size_t at = 0; at < state.size(); at += chunk_bytes) {
    const ByteSpan part = state.subspan(at, std::min(chunk_bytes, state.size() - at));
    chunks.emplace_back(part.begin(), part.end());
  }
  return chunks;
}

Manifest make_manifest(const std::string& cluster_id, std::uint64_t index, const Hash32& digest,
                       const std::vector<Bytes>& chunks) {
  Manifest manifest{cluster_id, index, digest, 0, {}};
  for (const Bytes& chunk : chunks) {
    manifest.bytes += chunk.size();
    manifest.chunks.push_back(crypto::sha256(chunk));
  }
  return manifest;
}

Result<Manifest> check_chunks(const StoredSnapshot& stored) {
  auto manifest = decode_manifest(stored.manifest);
  if (!manifest) return manifest;
  const auto whole = join_chunks(*manifest, stored.chunks);
  if (!whole) return whole.error();
  if (manifest->index != stored.index)
    return Error{ErrorKind::Corrupt, "its manifest names another index"};
  return manifest;
}

Result<OpenedSnapshot> open_snapshot(const StoredSnapshot& stored, const wire::Genesis& genesis,
                                     const crypto::Scheme* verifier) {
  auto opened = open(stored, genesis, verifier);
  if (opened) return opened;
  return Error{opened.error().kind,
               "snapshot " + std::to_string(stored.index) + ": " + opened.error().message};
}

}  // namespace roulette::ledger
