// The machine's calls to the node, over JSON-RPC; the node's answers as typed facts.
//
// Invariant: each call gets exactly one answer; whatever is not understood is NodeUnavailable, so
// the machine asks again by polling. Refuses every chain but regtest (DESIGN 11). Never retries and
// never flushes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "common/runtime/http_client.h"
#include "coordinator/app/settings.h"
#include "coordinator/core/coordinator.h"

namespace roulette::coordinator {

class NodeClient {
 public:
  struct Options {
    Address rpc;
    std::filesystem::path cookie;
    Bytes wallet_script;
    // The node serves another chain: this process must not go on.
    std::function<void(const std::string& chain)> wrong_chain;
  };
  NodeClient(runtime::EventLoop& loop, Options options);
  ~NodeClient();

  using Done = std::function<void(NodeAnswerBody)>;
  void call(const NodeCallBody& body, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace roulette::coordinator
