// The wallet by its books and by the chain: see reconciliation.h.
#include "chaos/live/reconciliation.h"

#include <cmath>

#include <nlohmann/json.hpp>

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr Duration kEvery = seconds(3);
constexpr Duration kBooksDeadline = seconds(2);
constexpr double kSatPerCoin = 1e8;  // 21e14 satoshi are exact in a double
constexpr char kLooks[] = "roulette_supervisor_reconciliations_total";
constexpr char kLooksHelp[] =
    "Comparisons of the ledger's wallet with the node's outputs; not-comparable: of two blocks, or "
    "one did not answer";
constexpr char kDifference[] = "roulette_supervisor_reconciliation_difference_satoshis";
constexpr char kDifferenceHelp[] = "Books minus chain at the last comparison";

const char* name_of(Comparison result) {
  switch (result) {
    case Comparison::Match: return "match";
    case Comparison::Mismatch: return "mismatch";
    case Comparison::NotComparable: return "not-comparable";
  }
  return "not-comparable";
}

}  // namespace

Comparison compare_wallets(const WalletFacts& books, const WalletFacts& node) {
  if (books.tip != node.tip) return Comparison::NotComparable;
  return books.wallet_sat == node.wallet_sat ? Comparison::Match : Comparison::Mismatch;
}

std::optional<WalletFacts> books_wallet(const std::string& body) {
  const json wallet = json::parse(body, nullptr, false);
  if (!wallet.is_object() || !wallet.contains("tip") || !wallet["tip"].is_string() ||
      !wallet.contains("wallet_sat") || !wallet["wallet_sat"].is_number_integer())
    return std::nullopt;
  return WalletFacts{wallet["tip"].get<std::string>(), wallet["wallet_sat"].get<std::int64_t>()};
}

std::optional<WalletFacts> node_wallet(const std::string& scan) {
  const json found = json::parse(scan, nullptr, false);
  if (!found.is_object() || !found.value("success", false) || !found.contains("bestblock") ||
      !found["bestblock"].is_string() || !found.contains("total_amount") ||
      !found["total_amount"].is_number())
    return std::nullopt;
  return WalletFacts{found["bestblock"].get<std::string>(),
                     std::llround(found["total_amount"].get<double>() * kSatPerCoin)};
}

Reconciliation::Reconciliation(runtime::EventLoop& loop, Node& node, const Endpoint& replica,
                               std::string script_hex, runtime::Metrics& metrics)
    : loop_(loop),
      node_(node),
      replica_(loop, {.address = replica.host, .port = replica.port}),
      script_hex_(std::move(script_hex)),
      metrics_(metrics),
      timer_(loop, [this] { look(); }) {
  for (const auto result : {Comparison::Match, Comparison::Mismatch, Comparison::NotComparable})
    (void)metrics_.counter(kLooks, kLooksHelp, {{"result", name_of(result)}});
  metrics_.gauge(kDifference, kDifferenceHelp).set(0);
  timer_.arm(loop_.now() + kEvery);
}

void Reconciliation::look() {
  const json order = json::array({"start", json::array({"raw(" + script_hex_ + ")"})});
  node_.call("scantxoutset", order, [this, here = std::weak_ptr<bool>(here_)](
                                        const Result<json>& scan) {
    if (here.expired()) return;
    const auto node = scan ? node_wallet(scan->dump()) : std::nullopt;
    runtime::HttpCall call;
    call.target = "/wallet";
    call.deadline = kBooksDeadline;
    replica_.call(std::move(call), [this, node](const Result<runtime::HttpResponse>& answer) {
      const auto books = answer && answer->status == 200 ? books_wallet(answer->body)
                                                         : std::nullopt;
      if (!node || !books) return done(Comparison::NotComparable, 0);
      done(compare_wallets(*books, *node), books->wallet_sat - node->wallet_sat);
    });
  });
}

void Reconciliation::done(Comparison result, std::int64_t difference_sat) {
  metrics_.counter(kLooks, kLooksHelp, {{"result", name_of(result)}}).increment();
  if (result != Comparison::NotComparable)
    metrics_.gauge(kDifference, kDifferenceHelp).set(static_cast<double>(difference_sat));
  timer_.arm(loop_.now() + kEvery);
}

}  // namespace roulette::chaos
