// The hand-made run of check_run.h as the folder that the tool leaves behind.
//
// Invariant: what `roulette bundle` asks for stands in it, and its verdict.json is what the records
// give. The folder goes with the object. The cluster's own signature is there once asked for.
#pragma once

#include <string>

#include "chaos/evidence/dsse.h"
#include "tests/unit/check_run.h"

namespace roulette::check::test {

// Always the same one for a name.
[[nodiscard]] evidence::OperatorKey key_of(const std::string& name);

void put(const std::string& folder, const std::string& name, const std::string& text);
[[nodiscard]] std::string text_of(const std::string& path);

struct Finished {
  explicit Finished(Run made = Run());
  ~Finished();
  Finished(const Finished&) = delete;
  Finished& operator=(const Finished&) = delete;
  // Journal and verdict of what stands there now, as whoever rewrites records has to.
  void close() const;
  void sign_as_cluster() const;
  Run run;
  std::string folder;
};

}  // namespace roulette::check::test
