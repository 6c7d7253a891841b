// JSON-RPC behind NodeCall: see node_client.h.
#include "coordinator/app/node_client.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "common/base/base64.h"
#include "common/runtime/http_client.h"

namespace roulette::coordinator {
namespace {

using nlohmann::json;

constexpr std::size_t kConnections = 8;
constexpr Duration kDeadline = seconds(2);  // a paused node must not hold a poll for ever
constexpr Duration kProbeDeadline = seconds(1);
constexpr int kNoSuchHeight = -8;  // RPC_INVALID_PARAMETER: "Block height out of range"
constexpr int kWarmingUp = -28;    // RPC_IN_WARMUP: nothing was done yet
constexpr int kUnauthorized = 401;

struct RpcAnswer {
  json result;
  int code = 0;  // of the JSON-RPC error, 0 without
  std::string message;
  bool answered = false;  // a JSON-RPC body came
  std::size_t node = 0;   // whose it is
};

RpcAnswer parse(const Result<runtime::HttpResponse>& response) {
  RpcAnswer answer;
  if (!response) {
    answer.message = response.error().message;
    return answer;
  }
  const json body = json::parse(response->body, nullptr, false);
  if (!body.is_object()) {
    answer.message = "HTTP " + std::to_string(response->status) + " without a JSON-RPC body";
    return answer;
  }
  answer.answered = true;
  if (body.contains("error") && body["error"].is_object()) {
    answer.code = body["error"].value("code", 0);
    answer.message = body["error"].value("message", "");
  } else if (body.contains("result")) {
    answer.result = body["result"];
  }
  return answer;
}

bool failed(const RpcAnswer& answer) {
  return !answer.answered || answer.code != 0;
}

const char* error_of(const std::string& method, const RpcAnswer& answer) {
  if (!answer.answered) return "no-answer";
  if (answer.code == kWarmingUp) return "warming-up";
  const bool the_answer = (method == "getblockhash" && answer.code == kNoSuchHeight) ||
                          method == "sendrawtransaction";
  return answer.code == 0 || the_answer ? nullptr : "refused";
}

NodeAnswerBody unavailable(const RpcAnswer& answer) {
  return NodeUnavailable{answer.message +
                         (answer.code != 0 ? " (" + std::to_string(answer.code) + ")" : "")};
}

NodeAnswerBody not_understood() {
  return NodeUnavailable{"the node's answer was not understood"};
}

// The connections to one node.
class NodeLink {
 public:
  NodeLink(runtime::EventLoop& loop, NodeAddress node)
      : cookie_(std::move(node.cookie)),
        http_(loop, {.address = node.rpc.host,
                     .port = node.rpc.port,
                     .connections = kConnections}) {}

  void rpc(const std::string& method, const json& params, Duration deadline,
           std::function<void(RpcAnswer)> done, bool again = true) {
    runtime::HttpCall call;
    call.method = "POST";
    call.headers = {{"authorization", authorization()}};
    call.body =
        json{{"jsonrpc", "2.0"}, {"id", ++next_id_}, {"method", method}, {"params", params}}.dump();
    call.deadline = deadline;
    http_.call(std::move(call), [this, method, params, deadline, done = std::move(done),
                                 again](Result<runtime::HttpResponse> r) {
      if (again && r.ok() && r->status == kUnauthorized) {
        // Restarted since the call was queued. Nothing was done, so asking once more is safe.
        return rpc(method, params, deadline, done, false);
      }
      done(parse(r));
    });
  }

 private:
  // Read at every call: the cookie changes at each restart of the node, and bitcoind stands still
  // for 250 ms at every wrong one (eight connections with the old cookie cost it two seconds).
  std::string authorization() const {
    std::ifstream file(cookie_);
    std::string cookie;
    std::getline(file, cookie);
    return "Basic " + encode_base64(as_bytes(cookie));
  }

  std::filesystem::path cookie_;
  runtime::HttpClient http_;
  std::uint64_t next_id_ = 0;
};

}  // namespace

struct NodeClient::State : std::enable_shared_from_this<State> {
  runtime::EventLoop& loop;
  Options options;
  NodeChoice choice;
  std::vector<std::unique_ptr<NodeLink>> links;
  std::vector<bool> probing;
  runtime::Timer probe_timer;

  State(runtime::EventLoop& l, Options o)
      : loop(l),
        options(std::move(o)),
        choice(options.nodes.size()),
        probing(options.nodes.size()),
        probe_timer(l, [this] { probe_all(); }) {
    for (const NodeAddress& node : options.nodes)
      links.push_back(std::make_unique<NodeLink>(loop, node));
    if (links.size() > 1) probe_timer.arm(loop.now());
  }

  // ---- which node ----

  void note(const std::optional<NodeChoice::Change>& change) {
    if (change) options.chosen(*change);
  }

  void observe(std::size_t node, const std::string& method, Instant begun, const RpcAnswer& a) {
    options.observed({node, method, loop.now() - begun, error_of(method, a)});
  }

  static bool unreachable(const RpcAnswer& answer) {
    return !answer.answered || answer.code == kWarmingUp;
  }

  void probe_all() {
    probe_timer.arm(loop.now() + kNodeProbe);
    for (std::size_t node = 0; node < links.size(); ++node) {
      if (probing[node]) continue;
      probing[node] = true;
      const Instant begun = loop.now();
      links[node]->rpc("getblockchaininfo", json::array(), kProbeDeadline,
                       [this, node, begun](const RpcAnswer& a) {
                         probing[node] = false;
                         observe(node, "getblockchaininfo", begun, a);
                         if (failed(a)) return note(choice.failed(node, loop.now()));
                         (void)read_tip(node, a);
                       });
    }
  }

  std::optional<bitcoin::TipFacts> read_tip(std::size_t node, const RpcAnswer& a) {
    if (!a.result.is_object()) return std::nullopt;
    const std::string chain = a.result.value("chain", "");
    if (chain != "regtest") {
      options.wrong_chain(chain);
      return std::nullopt;
    }
    const auto hash = bitcoin::txid_from_hex(a.result.value("bestblockhash", ""));
    if (!hash) return std::nullopt;
    const std::int64_t height = a.result.value("blocks", std::int64_t{0});
    note(choice.seen(node, height, loop.now()));
    return bitcoin::TipFacts{*hash, height};
  }

  using Answered = std::function<void(const RpcAnswer&)>;
  void rpc(const std::string& method, const json& params, Answered done) {
    attempt(std::set<std::size_t>{}, method, params, std::move(done));
  }

  void attempt(std::set<std::size_t> tried, const std::string& method, const json& params,
               Answered done) {
    const std::size_t node = choice.asked();
    tried.insert(node);
    const Instant begun = loop.now();
    links[node]->rpc(method, params, kDeadline,
                     [this, node, begun, tried, method, params, done](RpcAnswer a) {
                       a.node = node;
                       observe(node, method, begun, a);
                       if (!unreachable(a)) return done(a);
                       note(choice.failed(node, loop.now()));
                       if (tried.contains(choice.asked())) return done(a);
                       attempt(tried, method, params, done);
                     });
  }

  // ---- the calls ----

  void get_tip(const Done& done) {
    rpc("getblockchaininfo", json::array(), [this, done](const RpcAnswer& a) {
      if (failed(a)) return done(unavailable(a));
      const auto tip = read_tip(a.node, a);
      if (!tip) return done(not_understood());
      done(*tip);
    });
  }

  void get_block_hash(std::uint32_t height, const Done& done) {
    rpc("getblockhash", json::array({height}), [this, height, done](const RpcAnswer& a) {
      if (a.code == kNoSuchHeight && links.size() > 1 && !choice.all_below(height))
        return done(NodeUnavailable{"the node has no block at that height, and may lag"});
      if (a.code == kNoSuchHeight) return done(BlockHashAt{std::nullopt});
      if (failed(a)) return done(unavailable(a));
      const auto hash =
          a.result.is_string() ? bitcoin::txid_from_hex(a.result.get<std::string>()) : std::nullopt;
      if (!hash) return done(not_understood());
      done(BlockHashAt{*hash});
    });
  }

  void get_block(std::uint32_t height, const Done& done) {
    rpc("getblockhash", json::array({height}), [this, height, done](const RpcAnswer& a) {
      if (failed(a)) return done(unavailable(a));
      rpc("getblock", json::array({a.result, 0}), [this, height, done](const RpcAnswer& block) {
        if (failed(block)) return done(unavailable(block));
        if (!block.result.is_string()) return done(not_understood());
        const auto parsed = bitcoin::parse_block_hex(block.result.get<std::string>());
        if (!parsed)
          return done(
              NodeUnavailable{"block " + std::to_string(height) + ": " + parsed.error().message});
        done(bitcoin::block_facts(*parsed, height, options.wallet_script));
      });
    });
  }

  void get_mempool(const Done& done) {
    rpc("getrawmempool", json::array(), [done](const RpcAnswer& a) {
      if (failed(a)) return done(unavailable(a));
      MempoolTxids out;
      for (const json& entry : a.result) {
        const auto id =
            entry.is_string() ? bitcoin::txid_from_hex(entry.get<std::string>()) : std::nullopt;
        if (!id) return done(not_understood());
        out.txids.push_back(*id);
      }
      done(out);
    });
  }

  void send_transaction(const SendTransaction& order, const Done& done) {
    rpc("sendrawtransaction", json::array({to_hex(order.bytes)}), [done](const RpcAnswer& a) {
      if (!a.answered) return done(SendResult{bitcoin::SendOutcome::NodeUnavailable, a.message});
      if (a.code != 0)
        return done(SendResult{bitcoin::classify_send_error(a.code, a.message), a.message});
      done(SendResult{bitcoin::SendOutcome::Accepted, ""});
    });
  }
};

NodeClient::NodeClient(runtime::EventLoop& loop, Options options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}
NodeClient::~NodeClient() = default;

void NodeClient::call(const NodeCallBody& body, Done done) {
  struct Make {
    State& s;
    const Done& done;
    void operator()(const GetTip&) const { s.get_tip(done); }
    void operator()(const GetBlockHash& c) const { s.get_block_hash(c.height, done); }
    void operator()(const GetBlock& c) const { s.get_block(c.height, done); }
    void operator()(const GetMempool&) const { s.get_mempool(done); }
    void operator()(const SendTransaction& c) const { s.send_transaction(c, done); }
  };
  std::visit(Make{*state_, done}, body);
}

}  // namespace roulette::coordinator
