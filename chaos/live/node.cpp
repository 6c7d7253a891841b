// JSON-RPC to the node: see node.h.
#include "chaos/live/node.h"

#include <fstream>
#include <optional>

#include <nlohmann/json.hpp>

#include "common/base/base64.h"
#include "common/runtime/http_client.h"

namespace roulette::chaos {
namespace {

using nlohmann::json;

constexpr std::size_t kConnections = 2;

Result<json> rpc_result(const Result<runtime::HttpResponse>& response, const std::string& method) {
  if (!response) return response.error().with_context(method);
  const json body = json::parse(response->body, nullptr, false);
  if (!body.is_object()) {
    return Error{ErrorKind::Network,
                 method + ": HTTP " + std::to_string(response->status) + " without JSON"};
  }
  if (body.contains("error") && body["error"].is_object()) {
    return Error{ErrorKind::Refused, method + ": " + body["error"].value("message", "error") +
                                         " (" + std::to_string(body["error"].value("code", 0)) +
                                         ")"};
  }
  return body.value("result", json());
}

}  // namespace

struct Node::State {
  runtime::EventLoop& loop;
  std::string cookie_path;
  runtime::HttpClient http;
  std::uint64_t next_id = 0;

  State(runtime::EventLoop& l, const Endpoint& rpc, std::string cookie)
      : loop(l), cookie_path(std::move(cookie)), http(l, options(rpc)) {}

  static runtime::HttpClient::Options options(const Endpoint& rpc) {
    runtime::HttpClient::Options out;
    out.address = rpc.host;
    out.port = rpc.port;
    out.connections = kConnections;
    return out;
  }

  // Read at every call: it is a small file, and it changes when the node restarts.
  std::string authorization() const {
    std::ifstream file(cookie_path);
    std::string cookie;
    std::getline(file, cookie);
    return "Basic " + encode_base64(as_bytes(cookie));
  }
};

Node::Node(runtime::EventLoop& loop, Endpoint rpc, std::string cookie_path)
    : state_(std::make_shared<State>(loop, rpc, std::move(cookie_path))) {}
Node::~Node() = default;

void Node::call(const std::string& method, const json& params, Callback done) {
  runtime::HttpCall call;
  call.method = "POST";
  call.target = "/";
  call.headers = {{"authorization", state_->authorization()}};
  call.body =
      json{{"jsonrpc", "2.0"}, {"id", ++state_->next_id}, {"method", method}, {"params", params}}
          .dump();
  state_->http.call(std::move(call),
                    [method, done = std::move(done)](Result<runtime::HttpResponse> response) {
                      done(rpc_result(response, method));
                    });
}

Result<json> Node::wait(const std::string& method, const json& params, Duration limit) {
  auto answer = std::make_shared<std::optional<Result<json>>>();
  call(method, params, [answer](Result<json> result) { *answer = std::move(result); });
  if (!state_->loop.run_until([&] { return answer->has_value(); }, limit)) {
    return Error{ErrorKind::Network, method + ": the node did not answer in time"};
  }
  return std::move(**answer);
}

Status Node::flush() {
  const Result<json> flushed = wait("gettxoutsetinfo", json::array({"none"}), seconds(30));
  if (!flushed) return flushed.error().with_context("flushing the node");
  return {};
}

}  // namespace roulette::chaos
