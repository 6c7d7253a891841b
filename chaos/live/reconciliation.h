// Compares the wallet by the ledger's books with the wallet by the node's outputs, again and again.
//
// Invariant: a comparison counts only when both speak of the same block; everything else is
// "not-comparable", and a difference is never waved through. For a cluster that stays (`up`): the
// node flushes at each look, so a run, whose node kills must un-mine blocks, never does this.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "chaos/live/cluster.h"
#include "chaos/live/node.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/http_client.h"
#include "common/runtime/metrics.h"

namespace roulette::chaos {

struct WalletFacts {
  std::string tip;  // block hash
  std::int64_t wallet_sat = 0;
};
enum class Comparison : std::uint8_t { Match, Mismatch, NotComparable };
[[nodiscard]] Comparison compare_wallets(const WalletFacts& books, const WalletFacts& node);
// Nothing where the text is not what `GET /wallet` of a ledger replica, scantxoutset says.
[[nodiscard]] std::optional<WalletFacts> books_wallet(const std::string& body);
[[nodiscard]] std::optional<WalletFacts> node_wallet(const std::string& scan);

class Reconciliation {
 public:
  // One replica and the first node; all outlive this, so an answer may come when it is gone.
  Reconciliation(runtime::EventLoop& loop, Node& node, const Endpoint& replica,
                 std::string script_hex, runtime::Metrics& metrics);

 private:
  void look();
  void done(Comparison result, std::int64_t difference_sat);

  runtime::EventLoop& loop_;
  Node& node_;
  runtime::HttpClient replica_;
  std::string script_hex_;
  runtime::Metrics& metrics_;
  runtime::Timer timer_;
  std::shared_ptr<bool> here_ = std::make_shared<bool>(true);  // what the node's answers look for
};

}  // namespace roulette::chaos
