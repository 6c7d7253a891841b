// The event log as commitments: a hash chain for each process and one Merkle root over all lines.
//
// Invariant: a line that is changed, left out, added or moved among the lines of its process
// changes that process's head; anything that is changed in the file changes the root. They are
// computed from the merged file after the run: they show what was changed since, not what a process
// might have might have left out while it ran.

//   chain:  head_0 = SHA-256("roulette-chain" || name), head_i = SHA-256(head_{i-1} || line_i)
//   root:   RFC 6962, section 2.1: leaf SHA-256(0x00 || line), node SHA-256(0x01 || left || right)
//
// A line is without its line feed. The first one, the file's heading, is a leaf and in no chain.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace roulette::evidence {

struct ProcessChain {
  std::uint64_t events = 0;
  Hash32 head{};
};
struct EventChains {
  std::uint64_t lines = 0;  // leaves of the tree, the heading among them
  Hash32 root{};
  std::map<std::string, ProcessChain> processes;
};

// Of the whole text of an events.ndjson. A line that is no JSON object with a `process`, and a text
// that does not end with a line feed, are Corrupt and named by their line.
[[nodiscard]] Result<EventChains> chain_events(std::string_view text);

// chains.json: `{format: "roulette-chains", version: 1, file, lines, merkle_root,
// processes{name: {events, head}}}`.
[[nodiscard]] std::string chains_json(const EventChains& chains);

// RFC 6962's root of leaves as they come, in logarithmic memory.
class MerkleTree {
 public:
  void add(std::string_view leaf);
  [[nodiscard]] std::uint64_t leaves() const { return leaves_; }
  [[nodiscard]] Hash32 root() const;

 private:
  std::uint64_t leaves_ = 0;
  std::map<unsigned, Hash32, std::greater<>> peaks_;  // by height, at most one of each
};

}  // namespace roulette::evidence
