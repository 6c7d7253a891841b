// The machine's calls to the node, over JSON-RPC; the node's answers as typed facts. With a second
// node, whichever NodeChoice says is asked.
//
// Invariant: each call gets exactly one answer; whatever is not understood is NodeUnavailable, so
// the machine asks again by polling. A call without an answer goes once to each other node, never
// twice to one: all calls can be repeated, for sendrawtransaction carries the same bytes. Refuses
// every chain but regtest (DESIGN 11), on every node. Never flushes.
//
// With two nodes a missing height is news only when both answer and neither has it: one that came
// back from a crash lags. A block that another replaced shows by its hash.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/runtime/event_loop.h"
#include "coordinator/app/settings.h"
#include "coordinator/core/coordinator.h"
#include "coordinator/core/node_choice.h"

namespace roulette::coordinator {

// One JSON-RPC call, probes included. `error`: nothing, or "no-answer", "warming-up", "refused" (by
// an error that is not itself the answer, as "no such height" and sendrawtransaction's are).
struct NodeCallFacts {
  std::size_t node = 0;  // by order of preference
  std::string method;
  Duration took{};
  const char* error = nullptr;
};
inline constexpr const char* kNodeMethods[] = {"getblockchaininfo", "getblockhash", "getblock",
                                               "getrawmempool", "sendrawtransaction"};
inline constexpr const char* kNodeErrors[] = {"no-answer", "warming-up", "refused"};

class NodeClient {
 public:
  struct Options {
    std::vector<NodeAddress> nodes;  // at least one, in order of preference
    Bytes wallet_script;
    // A node serves another chain: this process must not go on.
    std::function<void(const std::string& chain)> wrong_chain;
    std::function<void(const NodeChoice::Change&)> chosen;
    std::function<void(const NodeCallFacts&)> observed;
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
