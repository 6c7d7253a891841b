// Real etcd members for live tests: spawned, paused, killed, reaped.
//
// Invariant: every member spawned here is reaped and its folder removed when the test ends; only
// these processes are ever signalled. Loopback and probed ports only.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <nlohmann/json.hpp>

#include <fstream>
#include <memory>
#include <vector>

#include "common/runtime/event_loop.h"
#include "common/runtime/http_client.h"
#include "tests/unit/runtime_fixture.h"

namespace roulette::ledger::test {

inline constexpr Duration kPatience = seconds(20);

inline std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(fd);
  return ::ntohs(address.sin_port);
}

// Replaces a forked child by a program whose words are given; stderr and stdout go to `output`.
[[noreturn]] inline void become(const std::vector<std::string>& words, const std::string& output) {
  const int out = ::open(output.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(out, 1);
  ::dup2(out, 2);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

class EtcdCluster {
 public:
  explicit EtcdCluster(std::size_t members, std::vector<std::string> more_flags = {})
      : more_flags_(std::move(more_flags)) {
    std::string initial;
    for (std::size_t i = 0; i < members; ++i) {
      members_.push_back({free_port(), free_port(), nullptr});
      initial += (i == 0 ? "m" : ",m") + std::to_string(i) +
                 "=http://127.0.0.1:" + std::to_string(members_[i].peer_port);
    }
    initial_ = initial;
    for (std::size_t i = 0; i < members; ++i) start(i);
    runtime::EventLoop loop;
    wait_healthy(loop);
  }

  void start(std::size_t i) {
    Member& member = members_[i];
    const std::string name = "m" + std::to_string(i);
    const std::string client = "http://127.0.0.1:" + std::to_string(member.client_port);
    const std::string peer = "http://127.0.0.1:" + std::to_string(member.peer_port);
    std::vector<std::string> words = {ROULETTE_ETCD,
                                            "--name",
                                            name,
                                            "--data-dir",
                                            (folder_ / name).string(),
                                            "--listen-client-urls",
                                            client,
                                            "--advertise-client-urls",
                                            client,
                                            "--listen-peer-urls",
                                            peer,
                                            "--initial-advertise-peer-urls",
                                            peer,
                                            "--initial-cluster",
                                            initial_,
                                            "--initial-cluster-state",
                                            "new",
                                            "--heartbeat-interval",
                                            "30",
                                            "--election-timeout",
                                            "300",
                                            "--log-level",
                                            "error",
                                            "--unsafe-no-fsync"};
    words.insert(words.end(), more_flags_.begin(), more_flags_.end());
    const std::string output = (folder_ / (name + ".log")).string();
    member.process = std::make_unique<runtime::test::Child>([&] {
      become(words, output);
      return 0;
    });
  }
  void pause(std::size_t i) { members_[i].process->signal(SIGSTOP); }
  void resume(std::size_t i) { members_[i].process->signal(SIGCONT); }
  void kill(std::size_t i) {
    members_[i].process->signal(SIGKILL);
    REQUIRE(WIFSIGNALED(members_[i].process->wait()));
    members_[i].process.reset();
  }

  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] std::uint16_t port(std::size_t i) const { return members_[i].client_port; }
  // One request to one member; the answer's body as JSON, or null.
  nlohmann::json call(runtime::EventLoop& loop, std::size_t i, const std::string& target,
                      const std::string& body) const {
    runtime::HttpClient::Options options;
    options.port = port(i);
    runtime::HttpClient client(loop, options);
    runtime::HttpCall call;
    call.method = "POST";
    call.target = target;
    call.body = body;
    call.deadline = seconds(2);
    std::optional<nlohmann::json> answer;
    client.call(std::move(call), [&answer](Result<runtime::HttpResponse> response) {
      answer = response && response->status == 200
                   ? nlohmann::json::parse(response->body, nullptr, false)
                   : nlohmann::json();
    });
    REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatience));
    return *answer;
  }
  // The position of the leader.
  std::size_t leader(runtime::EventLoop& loop) const {
    for (int tries = 0; tries < 100; ++tries) {
      for (std::size_t i = 0; i < members_.size(); ++i) {
        if (!members_[i].process) continue;
        const auto status = call(loop, i, "/v3/maintenance/status", "{}");
        if (!status.is_object() || !status.contains("leader")) continue;
        if (status["leader"] == status["header"]["member_id"]) return i;
      }
    }
    FAIL("no leader");
    return 0;
  }

 private:
  struct Member {
    std::uint16_t client_port = 0;
    std::uint16_t peer_port = 0;
    std::unique_ptr<runtime::test::Child> process;
  };
  void wait_healthy(runtime::EventLoop& loop) const {
    for (int tries = 0; tries < 400; ++tries) {
      // A linearizable read answers when there is a leader.
      const auto answer = call(loop, 0, "/v3/kv/range", R"({"key":"YQ=="})");
      if (answer.is_object() && answer.contains("header")) return;
      (void)loop.run_until([] { return false; }, milliseconds(25));
    }
    std::ifstream log(folder_ / "m0.log");
    FAIL("etcd does not answer: " << std::string(std::istreambuf_iterator<char>(log), {}));
  }

  std::vector<std::string> more_flags_;
  runtime::test::TemporaryFolder folder_;
  std::vector<Member> members_;
  std::string initial_;
};

}  // namespace roulette::ledger::test
