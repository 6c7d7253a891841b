// One real roulette-coordinator without its peers: settings, refusals, probes, the node's identity
// and the orderly stop.
//
// Invariant tested: it says why it does not serve instead of serving wrongly. Every process
// spawned here is reaped.
#include <catch2/catch.hpp>

#include <fstream>
#include <map>
#include <optional>

#include "common/crypto/dealer.h"
#include "common/crypto/frost_scheme.h"
#include "common/crypto/hash.h"
#include "common/runtime/certificates.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/group_file.h"
#include "common/runtime/http_client.h"
#include "common/runtime/http_server.h"
#include "common/runtime/process.h"
#include "tests/unit/runtime_fixture.h"

using namespace roulette;
using runtime::HttpCall;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

constexpr Duration kPatience = seconds(20);

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Certificates, group, token and the settings of coordinator-0, whose peers do not exist.
class Files {
 public:
  Files() {
    const auto authority = runtime::ClusterAuthority::create("test");
    REQUIRE(authority.ok());
    REQUIRE(authority->write_certificate(folder_.path()).ok());
    REQUIRE(authority->issue_into(folder_.path(), {Role::Coordinator, 0}).ok());
    runtime::KernelEntropy entropy;
    const auto dealt = crypto::deal(3, 2, entropy);
    REQUIRE(runtime::write_group_file(folder_ / "group.json",
                                      *crypto::frost_group(dealt->group).value()).ok());
    write_file(folder_ / "token", "secret\n");
  }
  // `replaced`: values are JSON text; an empty one leaves the key out.
  std::filesystem::path config(const std::map<std::string, std::string>& replaced = {}) const {
    std::map<std::string, std::string> keys = {
        {"cluster_id", R"("test")"},
        {"name", R"("coordinator-0")"},
        {"listen", R"("127.0.0.1:0")"},
        {"http", R"("127.0.0.1:0")"},
        {"folder", R"("work")"},
        {"ca", R"("ca.pem")"},
        {"cert", R"("coordinator-0.pem")"},
        {"key", R"("coordinator-0.key")"},
        {"group", R"("group.json")"},
        {"token", R"("token")"},
        {"signers", "[]"},
        {"ledgers", "[]"},
        {"coordinators", "[]"},
        {"node", R"({"rpc":"127.0.0.1:1","cookie":"cookie"})"}};
    for (const auto& [key, value] : replaced) keys[key] = value;
    std::string json;
    for (const auto& [key, value] : keys) {
      if (!value.empty()) json += (json.empty() ? "{\"" : ",\"") + key + "\":" + value;
    }
    write_file(folder_ / "config.json", json + "}");
    return folder_ / "config.json";
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  runtime::test::TemporaryFolder folder_;
};

class Process {
 public:
  explicit Process(const std::filesystem::path& config, const std::filesystem::path& errors) {
    const int fd = channel_.take_process_end();
    child_.emplace([&, fd] {
      const int err = ::open(errors.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
      ::dup2(err, 2);
      ::fcntl(fd, F_SETFD, 0);
      const std::string number = std::to_string(fd);
      ::execl(ROULETTE_COORDINATOR_BINARY, ROULETTE_COORDINATOR_BINARY, "--config", config.c_str(),
              "--control-fd", number.c_str(), nullptr);
      return 127;
    });
    ::close(fd);
  }
  // The port of `event listening http <port>`.
  std::uint16_t http_port() {
    for (std::string line = channel_.hear(); !line.empty(); line = channel_.hear()) {
      const std::string wanted = "event listening http ";
      if (line.starts_with(wanted))
        return static_cast<std::uint16_t>(std::stoi(line.substr(wanted.size())));
    }
    FAIL("it never listened");
    return 0;
  }
  std::string hear() { return channel_.hear(); }
  void signal(int number) { child_->signal(number); }
  int wait() { return child_->wait(); }

 private:
  runtime::test::ControlChannel channel_;
  std::optional<runtime::test::Child> child_;
};

HttpResponse ask(std::uint16_t port, HttpCall call) {
  runtime::EventLoop loop;
  runtime::HttpClient client(loop, {.port = port});
  std::optional<HttpResponse> out;
  client.call(std::move(call), [&](Result<HttpResponse> r) {
    if (r.ok())
      out = *r;
    else
      out = HttpResponse{.status = 0, .body = r.error().message};
  });
  REQUIRE(loop.run_until([&] { return out.has_value(); }, kPatience));
  return *out;
}

HttpCall get(std::string target, runtime::HttpFields headers = {}) {
  return {.target = std::move(target), .headers = std::move(headers)};
}

int exited(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}

// A node that answers every call with what `result` says, to those who know the cookie.
class FakeNode {
 public:
  using Answer = std::function<HttpResponse(const HttpRequest&)>;
  FakeNode(runtime::EventLoop& loop, Answer answer)
      : server_(loop, {.handler = [this, answer = std::move(answer)](
                                      HttpRequest request, runtime::HttpResponder respond) {
                  ++calls;
                  respond(answer(request));
                }}) {
    const auto bound = server_.listen("127.0.0.1", 0);
    REQUIRE(bound.ok());
    port = *bound;
  }
  std::uint16_t port = 0;
  int calls = 0;

 private:
  runtime::HttpServer server_;
};

std::string chain_info(const std::string& chain) {
  return R"({"result":{"chain":")" + chain + R"(","blocks":0,"bestblockhash":")" +
         std::string(64, '1') + R"("},"error":null,"id":1})";
}

}  // namespace

TEST_CASE("a coordinator refuses settings by file and key before it listens") {
  const Files files;
  const auto outcome = [&](const std::map<std::string, std::string>& replaced) {
    Process process(files.config(replaced), files / "stderr");
    while (!process.hear().empty()) {
    }
    return std::pair(exited(process.wait()), read_file(files / "stderr"));
  };
  auto [code, text] = outcome({{"nodes", "{}"}});
  CHECK(code == 64);
  CHECK(text.find("nodes") != std::string::npos);
  std::tie(code, text) = outcome({{"http", ""}});
  CHECK(code == 64);
  CHECK(text.find("http") != std::string::npos);
  std::tie(code, text) = outcome({{"name", R"("coordinator-00")"}});
  CHECK(code == 64);
  std::tie(code, text) = outcome({{"token", R"("nowhere")"}});
  CHECK(code == 2);
  CHECK(text.find("nowhere") != std::string::npos);
  std::tie(code, text) = outcome({{"tokens", R"("token")"}});
  CHECK(code == 64);
  CHECK(text.find("token") != std::string::npos);
  std::tie(code, text) = outcome({{"http_limits", R"({"burst":0})"}});
  CHECK(code == 64);
  CHECK(text.find("burst") != std::string::npos);
  std::tie(code, text) = outcome({{"group", R"("nowhere")"}});
  CHECK(code == 2);
  std::tie(code, text) = outcome({{"name", R"("coordinator-1")"}});
  CHECK(code == 2);  // the certificate is coordinator-0's
}

TEST_CASE("a coordinator alone says why it is not ready and never guesses an answer") {
  const Files files;
  Process process(files.config(), files / "stderr");
  const std::uint16_t port = process.http_port();
  CHECK(ask(port, get("/healthz")).status == 200);
  const auto readiness = ask(port, get("/readyz"));
  CHECK(readiness.status == 503);
  CHECK(readiness.body.find("no-ledger") != std::string::npos);
  CHECK(ask(port, get("/metrics")).status == 200);

  const runtime::HttpFields token = {{"authorization", "Bearer secret"}};
  CHECK(ask(port, get("/v1/balances")).status == 401);
  CHECK(ask(port, get("/v1/balances", {{"authorization", "Bearer secreT"}})).status == 401);
  const auto balances = ask(port, get("/v1/balances", token));
  CHECK(balances.status == 503);
  CHECK(balances.body.find("ledger-unavailable") != std::string::npos);
  CHECK(balances.content_type.starts_with("application/problem+json"));
  CHECK(ask(port, get("/v1/%ff%fe", token)).status == 404);
  HttpCall create{.method = "POST", .target = "/v1/withdrawals", .headers = token, .body = "{}"};
  create.headers.emplace_back("idempotency-key", "k1");
  CHECK(ask(port, create).status == 400);

  process.signal(SIGTERM);
  CHECK(exited(process.wait()) == 0);
  const std::string events = read_file(files / "work/events.ndjson");
  CHECK(events.find("\"shutdown_started\"") != std::string::npos);
  CHECK(events.find("\"drained\":true") != std::string::npos);
  CHECK(events.find("\"event\":\"request_received\"") != std::string::npos);
}

TEST_CASE("tokens rotate without a restart, and a broken file leaves the old ones in force") {
  const Files files;
  const auto give = [&](const std::string& tokens) {
    write_file(files / "next", R"({"format":"roulette-tokens","version":1,"tokens":[)" + tokens +
                                   "]}");
    std::filesystem::rename(files / "next", files / "tokens.json");
  };
  const auto line = [](const std::string& token, const std::string& more) {
    return R"({"name":")" + token + R"(","sha256":")" + to_hex(crypto::sha256(as_bytes(token))) +
           "\"," + more + "}";
  };
  const std::string client = R"("scope":"client","accounts":["alice"])";
  give(line("shop", client) + "," + line("audit", R"("scope":"auditor")") + "," +
       line("slow", R"("scope":"auditor","requests_per_s":1,"burst":1)"));
  Process process(files.config({{"tokens", R"("tokens.json")"},
                                {"http_limits", R"({"body_bytes":1024,"header_bytes":2048})"}}),
                  files / "stderr");
  const std::uint16_t port = process.http_port();
  const auto status = [&](const std::string& token, const std::string& target) {
    return ask(port, get(target, {{"authorization", "Bearer " + token}})).status;
  };
  CHECK(status("secret", "/v1/balances") == 503);  // no ledger: within the scope
  CHECK(status("audit", "/v1/balances") == 503);
  CHECK(status("shop", "/v1/balances") == 403);
  CHECK(status("shop", "/v1/deposits?account=alice") == 503);
  CHECK(status("shop", "/v1/deposits?account=bob") == 403);
  CHECK(status("shop", "/v1/deposits?colour=red") == 400);
  HttpCall create{.method = "POST",
                  .target = "/v1/withdrawals",
                  .headers = {{"authorization", "Bearer audit"}, {"idempotency-key", "k1"}},
                  .body = R"({"account":"alice","address":)"
                          R"("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080","amount_sat":1000})"};
  CHECK(ask(port, create).status == 403);
  create.headers[0].second = "Bearer shop";
  CHECK(ask(port, create).status == 503);
  create.body = std::string(2000, 'x');
  CHECK(ask(port, create).status == 413);
  CHECK(status(std::string(4000, 'x'), "/v1/balances") == 431);
  CHECK(status("slow", "/v1/accounts") == 503);
  const auto limited =
      ask(port, get("/v1/accounts", {{"authorization", "Bearer slow"}}));
  if (limited.status != 503) {  // a second may have passed between the two
    CHECK(limited.status == 429);
    CHECK(runtime::find_field(limited.headers, "retry-after") == "1");
  }
  const auto openapi = ask(port, get("/openapi.json"));
  CHECK(openapi.status == 200);
  CHECK(openapi.body == read_file(ROULETTE_OPENAPI));

  const auto becomes = [&](const std::string& token, int wanted) {
    for (int i = 0; i < 400; ++i) {
      if (status(token, "/v1/accounts") == wanted) return true;
      ::usleep(20'000);
    }
    return false;
  };
  give(line("fresh", client));
  CHECK(becomes("shop", 401));
  CHECK(status("fresh", "/v1/accounts") == 503);
  give("{");
  std::string errors;
  for (int i = 0; i < 400 && errors.find("tokens.json") == std::string::npos; ++i) {
    ::usleep(20'000);
    errors = read_file(files / "stderr");
  }
  CHECK(errors.find("tokens.json") != std::string::npos);
  CHECK(status("fresh", "/v1/accounts") == 503);
  CHECK(status("secret", "/v1/accounts") == 503);
  process.signal(SIGTERM);
  CHECK(exited(process.wait()) == 0);
  const std::string events = read_file(files / "work/events.ndjson");
  CHECK(events.find("\"tokens_changed\"") != std::string::npos);
  CHECK(events.find("\"tokens_refused\"") != std::string::npos);
}

TEST_CASE("a coordinator refuses a node of any chain but regtest") {
  const Files files;
  runtime::EventLoop loop;
  FakeNode node(loop, [](const HttpRequest&) { return HttpResponse{.body = chain_info("main")}; });
  const std::string rpc =
      R"({"rpc":"127.0.0.1:)" + std::to_string(node.port) + R"(","cookie":"cookie"})";
  Process process(files.config({{"node", rpc}}), files / "stderr");
  REQUIRE(loop.run_until([&] { return node.calls > 0; }, kPatience));
  (void)loop.run_until([] { return false; }, milliseconds(50));  // lets the answer leave
  CHECK(exited(process.wait()) == 2);
  CHECK(read_file(files / "stderr").find("'main'") != std::string::npos);
}

TEST_CASE("a coordinator follows the node's cookie and shows it no wrong one twice") {
  const Files files;
  write_file(files / "cookie", "__cookie__:old");
  runtime::EventLoop loop;
  int served = 0;
  int refused = 0;
  std::string good = "Basic X19jb29raWVfXzpvbGQ=";  // __cookie__:old
  FakeNode node(loop, [&](const HttpRequest& request) {
    if (request.header("authorization") != good) {
      ++refused;
      return HttpResponse{.status = 401, .body = ""};
    }
    ++served;
    return HttpResponse{.body = chain_info("regtest")};
  });
  const std::string rpc =
      R"({"rpc":"127.0.0.1:)" + std::to_string(node.port) + R"(","cookie":"cookie"})";
  Process process(files.config({{"node", rpc}}), files / "stderr");
  REQUIRE(loop.run_until([&] { return served > 0; }, kPatience));
  CHECK(refused == 0);
  // Restarted: the new cookie is there before the node serves, so nothing is tried in vain.
  write_file(files / "cookie", "__cookie__:new");
  good = "Basic X19jb29raWVfXzpuZXc=";
  int before = served;
  REQUIRE(loop.run_until([&] { return served > before + 1; }, kPatience));
  CHECK(refused <= 1);  // one question may have been on its way
  // The file lags behind: refusals until it is there.
  good = "Basic X19jb29raWVfXzpvbGQ=";
  before = refused;
  REQUIRE(loop.run_until([&] { return refused > before + 1; }, kPatience));
  write_file(files / "cookie", "__cookie__:old");
  before = served;
  REQUIRE(loop.run_until([&] { return served > before; }, kPatience));
  process.signal(SIGTERM);
  CHECK(exited(process.wait()) == 0);
}
