// A small cluster of real processes for live tests: signers, two coordinators, one replica on one
// etcd member, a regtest node; funded, paid from over HTTP.
//
// Invariant: nothing outlives a Small but what a test keeps. It judges nothing: the tests do.
#pragma once

#include <catch2/catch.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "chaos/live/node.h"
#include "common/bitcoin/address.h"
#include "common/bitcoin/script.h"
#include "common/runtime/process.h"
#include "tests/unit/runtime_fixture.h"

namespace roulette::chaos::test {

using nlohmann::json;

inline constexpr Duration kPatience = seconds(30);

inline Binaries binaries() {
  const std::string own = std::string(ROULETTE_BINARIES) + "/";
  const std::string deps = std::string(ROULETTE_DEPS) + "/";
  const std::string libraries = deps + "bitcoin/usr/lib/x86_64-linux-gnu";
  Binaries out;
  out.signer = own + "roulette-signer";
  out.coordinator = own + "roulette-coordinator";
  out.ledger = own + "roulette-ledger";
  out.etcd = deps + "usr/bin/etcd";
  out.bitcoind = {libraries + "/ld-linux-x86-64.so.2", "--library-path", libraries,
                  deps + "bitcoin/usr/bin/bitcoind"};
  return out;
}

struct Answer {
  int status = 0;  // 0: no answer
  json body;
};

// 2-of-3 signers, two coordinators, one replica, one etcd member, one node; funded and ready.
class Small {
 public:
  explicit Small(std::uint64_t snapshot_interval = limits::kSnapshotInterval) {
    auto opened = runtime::EventLog::open(folder_ / "tool.ndjson", {Role::Tool, 0}, BootId{});
    REQUIRE(opened.ok());
    log_ = std::move(*opened);
    Supervisor::Hooks hooks;
    hooks.on_hit = [this](ProcessName name, const HitFacts& hit) {
      hits.push_back(hit.point);
      if (on_hit) on_hit(name, hit);
    };
    hooks.on_event = [this](ProcessName name, const std::string& event, const std::string& args) {
      cluster->on_event(name, event, args);
    };
    hooks.on_exit = [](ProcessName, const ExitFacts&) {};
    hooks.on_seen = [](ProcessName, std::uint32_t) {};
    hooks.on_ready = [](ProcessName, bool, const std::string&) {};
    hooks.on_stop_continue = [](ProcessName, bool) {};
    supervisor = std::make_unique<Supervisor>(loop, *log_, std::move(hooks));
    ClusterPlan plan;
    plan.signers = 3;
    plan.threshold = 2;
    plan.ledgers = 1;
    plan.etcd = 1;
    plan.snapshot_interval = snapshot_interval;
    auto made = Cluster::prepare(plan, 40, (folder_ / "run").string(), binaries(), loop, *log_,
                                 *supervisor);
    INFO((made.ok() ? "" : made.error().message));
    REQUIRE(made.ok());
    cluster = std::move(*made);
    const Status started = cluster->start(
        kPatience, [](const std::string&) {},
        [](ProcessName) { return std::vector<std::string>{}; });
    INFO((started.ok() ? "" : started.error().message));
    REQUIRE(started.ok());
    for (const Endpoint& e : cluster->coordinators())
      http_.push_back(std::make_unique<runtime::HttpClient>(
          loop, runtime::HttpClient::Options{.address = e.host, .port = e.port}));
    const json up = json::parse(cluster->up_json());
    const std::string rpc = up["bitcoind"]["rpc"].get<std::string>();
    Endpoint at;
    at.port = static_cast<std::uint16_t>(std::stoi(rpc.substr(rpc.rfind(':') + 1)));
    node = std::make_unique<Node>(loop, at, up["bitcoind"]["cookie"].get<std::string>());
  }

  Answer ask(std::size_t coordinator, runtime::HttpCall call) {
    call.headers.emplace_back("authorization", "Bearer " + cluster->token());
    std::optional<Answer> out;
    http_[coordinator]->call(std::move(call), [&](Result<runtime::HttpResponse> r) {
      out = r.ok() ? Answer{r->status, json::parse(r->body, nullptr, false)} : Answer{};
    });
    REQUIRE(loop.run_until([&] { return out.has_value(); }, kPatience));
    return *out;
  }

  Answer pay(std::size_t coordinator, const std::string& key, int wait_s = 10) {
    json body{{"account", cluster->accounts().front()},
              {"address", address_of(key)},
              {"amount_sat", 20'000}};
    const auto script = bitcoin::script_from_address(address_of(key));
    const auto signature =
        cluster->client()->header({key, cluster->accounts().front(), *script, 20'000});
    REQUIRE(signature.ok());
    return ask(coordinator,
               {.method = "POST",
                .target = "/v1/withdrawals",
                .headers = {{"idempotency-key", key},
                            {"prefer", "wait=" + std::to_string(wait_s)},
                            {kClientHeader, *signature}},
                .body = body.dump()});
  }

  // 503s mean "unknown, same key again".
  Answer pay_until_answered(std::size_t coordinator, const std::string& key) {
    Answer answer;
    for (int attempt = 0; attempt < 60; ++attempt) {
      answer = pay(coordinator, key);
      if (answer.status == 202) return answer;
      (void)loop.run_until([] { return false; }, milliseconds(100));
    }
    return answer;
  }

  static std::string address_of(const std::string& key) {
    ByteArray<20> hash{};
    for (std::size_t i = 0; i < key.size(); ++i)
      hash[i % 20] = static_cast<std::uint8_t>(key[i] + i);
    return *bitcoin::address_from_script(bitcoin::p2wpkh_script(hash));
  }

  json rpc(const std::string& method, const json& params) {
    const auto result = node->wait(method, params, kPatience);
    INFO(method << ": " << (result.ok() ? "" : result.error().message));
    REQUIRE(result.ok());
    return *result;
  }

  // Outputs to the key's address in the active chain and the mempool.
  std::size_t payments(const std::string& key) {
    std::size_t count = 0;
    const auto count_in = [&](const json& tx) {
      for (const json& out : tx["vout"])
        count += out["scriptPubKey"].value("address", "") == address_of(key) ? 1 : 0;
    };
    const int height = rpc("getblockcount", json::array()).get<int>();
    for (int h = 100; h <= height; ++h) {
      const json block = rpc("getblock", {rpc("getblockhash", json::array({h})), 2});
      for (const json& tx : block["tx"]) count_in(tx);
    }
    for (const json& txid : rpc("getrawmempool", json::array()))
      count_in(rpc("getrawtransaction", {txid, true}));
    return count;
  }

  void mine(int blocks) { rpc("generatetoaddress", {blocks, address_of("miner")}); }

  bool until(const std::function<bool()>& done) { return loop.run_until(done, kPatience); }

  runtime::EventLoop loop;
  std::unique_ptr<Supervisor> supervisor;
  std::unique_ptr<Cluster> cluster;
  std::unique_ptr<Node> node;
  std::vector<std::string> hits;
  std::function<void(ProcessName, const HitFacts&)> on_hit;

 private:
  runtime::test::TemporaryFolder folder_;
  std::unique_ptr<runtime::EventLog> log_;
  std::vector<std::unique_ptr<runtime::HttpClient>> http_;
};

}  // namespace roulette::chaos::test
