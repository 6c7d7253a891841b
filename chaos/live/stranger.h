// A coordinator that the tool plays: it asks signers what they must refuse, and brings replicas a
// command that changes nothing.
//
// Invariant: it never sends a request that a signer could grant (it names no transaction and no
// signer), so no nonce is used and no record written for it; and it proposes nothing that the books
// could take (the disconnection of a block that no chain has). It reads nothing.
#pragma once

#include <cstddef>
#include <memory>

#include "chaos/live/cluster.h"

namespace roulette::chaos {

class Stranger {
 public:
  // Connects to every signer and replica of the cluster and stays connected.
  [[nodiscard]] static Result<std::unique_ptr<Stranger>> create(runtime::EventLoop& loop,
                                                                const Cluster& cluster);
  ~Stranger();

  // One request to each signer, one command to each replica but the lowest, which others prefer:
  // to those that are connected.
  void ask(Role role);
  [[nodiscard]] std::size_t connected(Role role) const;

 private:
  struct State;
  explicit Stranger(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::chaos
