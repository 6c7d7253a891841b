// What hostile bytes are thrown at: every decoder of the project, one target each.
//
// Invariant: run() returns for any input; it aborts, by an assert or a sanitizer, exactly when the
// decoder broke its promise: a crash, or bytes that decode to a value whose encoding means
// something else. Seeds are valid inputs, so that mutation starts behind the first check.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/base/bytes.h"

namespace roulette::fuzz {

struct Target {
  std::string name;
  std::function<std::vector<Bytes>()> seeds;
  std::function<void(ByteSpan)> run;
};

// Both in the order of their files.
[[nodiscard]] std::vector<Target> wire_targets();  // frames, messages, commands, records, snapshots
[[nodiscard]] std::vector<Target> text_targets();  // files of people and tools, HTTP, JSON of etcd

[[nodiscard]] inline std::vector<Target> all_targets() {
  std::vector<Target> all = wire_targets();
  for (Target& target : text_targets()) all.push_back(std::move(target));
  return all;
}

inline Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}
inline std::string_view text_of(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace roulette::fuzz
