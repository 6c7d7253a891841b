// A coordinator that the tool plays: it greets signers and asks what they must refuse.
//
// Invariant: it never sends a request that a signer could grant (it names no transaction and no
// signer), so no nonce is used and no record written for it. It proposes nothing and reads nothing.
#pragma once

#include <cstddef>
#include <memory>

#include "chaos/live/cluster.h"

namespace roulette::chaos {

class Stranger {
 public:
  // Connects to every signer of the cluster and stays connected.
  [[nodiscard]] static Result<std::unique_ptr<Stranger>> create(runtime::EventLoop& loop,
                                                                const Cluster& cluster);
  ~Stranger();

  // Sends one request to each signer that is connected.
  void ask_all();
  [[nodiscard]] std::size_t connected() const;
  [[nodiscard]] std::size_t refused() const;  // answers so far

 private:
  struct State;
  explicit Stranger(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace roulette::chaos
