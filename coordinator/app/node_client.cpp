// JSON-RPC behind NodeCall: see node_client.h.
#include "coordinator/app/node_client.h"

#include <fstream>

#include <nlohmann/json.hpp>

#include "common/base/base64.h"

namespace roulette::coordinator {
namespace {

using nlohmann::json;

constexpr std::size_t kConnections = 8;
constexpr Duration kDeadline = seconds(2);  // a paused node must not hold a poll for ever
constexpr int kNoSuchHeight = -8;           // RPC_INVALID_PARAMETER: "Block height out of range"
constexpr int kUnauthorized = 401;

struct RpcAnswer {
  json result;
  int code = 0;  // of the JSON-RPC error, 0 without
  std::string message;
  bool answered = false;  // a JSON-RPC body came
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

NodeAnswerBody unavailable(const RpcAnswer& answer) {
  return NodeUnavailable{answer.message +
                         (answer.code != 0 ? " (" + std::to_string(answer.code) + ")" : "")};
}

NodeAnswerBody not_understood() {
  return NodeUnavailable{"the node's answer was not understood"};
}

}  // namespace

struct NodeClient::State : std::enable_shared_from_this<State> {
  Options options;
  runtime::HttpClient http;
  std::uint64_t next_id = 0;

  State(runtime::EventLoop& loop, Options o)
      : options(std::move(o)),
        http(loop,
             {.address = options.rpc.host, .port = options.rpc.port, .connections = kConnections}) {
  }

  // Read at every call: the cookie changes at each restart of the node, and bitcoind stands still
  // for 250 ms at every wrong one (eight connections with the old cookie cost it two seconds).
  std::string authorization() const {
    std::ifstream file(options.cookie);
    std::string cookie;
    std::getline(file, cookie);
    return "Basic " + encode_base64(as_bytes(cookie));
  }

  void rpc(const std::string& method, const json& params, std::function<void(RpcAnswer)> done,
           bool again = true) {
    runtime::HttpCall call;
    call.method = "POST";
    call.headers = {{"authorization", authorization()}};
    call.body =
        json{{"jsonrpc", "2.0"}, {"id", ++next_id}, {"method", method}, {"params", params}}.dump();
    call.deadline = kDeadline;
    http.call(std::move(call), [this, method, params, done = std::move(done),
                                again](Result<runtime::HttpResponse> r) {
      if (again && r.ok() && r->status == kUnauthorized) {
        // Restarted since the call was queued. Nothing was done, so asking once more is safe.
        return rpc(method, params, done, false);
      }
      done(parse(r));
    });
  }

  void get_tip(const Done& done) {
    rpc("getblockchaininfo", json::array(), [this, done](const RpcAnswer& a) {
      if (failed(a)) return done(unavailable(a));
      const std::string chain = a.result.value("chain", "");
      if (chain != "regtest") return options.wrong_chain(chain);
      const auto hash = bitcoin::txid_from_hex(a.result.value("bestblockhash", ""));
      if (!hash) return done(not_understood());
      done(bitcoin::TipFacts{*hash, a.result.value("blocks", std::int64_t{0})});
    });
  }

  void get_block_hash(std::uint32_t height, const Done& done) {
    rpc("getblockhash", json::array({height}), [done](const RpcAnswer& a) {
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
