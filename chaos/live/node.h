// The launcher's side of the Bitcoin node: JSON-RPC for mining, funding, flushing and export.
//
// Invariant: it calls nothing that forces a flush while a load runs (DESIGN 9: it would make a
// later node kill harmless); flush() is for funding and for the end of a run. Cookie
// authentication, read again on 401: it changes at every restart.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "chaos/live/cluster.h"
#include "common/base/bytes.h"
#include "common/base/entropy.h"

namespace roulette::chaos {

class Node {
 public:
  Node(runtime::EventLoop& loop, Endpoint rpc, std::string cookie_path);
  ~Node();

  using Callback = std::function<void(Result<nlohmann::json>)>;
  void call(const std::string& method, const nlohmann::json& params, Callback done);
  // Runs the loop until the answer is there. Not from inside a callback.
  [[nodiscard]] Result<nlohmann::json> wait(const std::string& method, const nlohmann::json& params,
                                            Duration limit);

  // Flushes the chain state to disk.
  [[nodiscard]] Status flush();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// What the launcher mined and paid to the wallet.
struct Funding {
  std::string miner_address;   // steady mining pays to it
  std::int64_t total_sat = 0;  // of all outputs to the wallet
  std::size_t coins = 0;
};

// Mines to a key of its own, fans out `coins` outputs of 500,000 to 1,800,000 sat to the wallet's
// script, mines them `depth` blocks deep and flushes.
[[nodiscard]] Result<Funding> fund_wallet(Node& node, ByteSpan wallet_script, std::size_t coins,
                                          std::uint32_t depth, EntropySource& entropy);

}  // namespace roulette::chaos
