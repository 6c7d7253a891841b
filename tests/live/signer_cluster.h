// Real signer processes and a coordinator's end of their connections, for the signer's live tests.
//
// Invariant: every process spawned here is reaped and every file removed when the test ends. The
// coordinator here is only a mouth and an ear: it sends what a test says and keeps what comes back.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/runtime/certificates.h"
#include "common/runtime/event_loop.h"
#include "common/runtime/tls_transport.h"
#include "common/wire/messages.h"
#include "tests/unit/runtime_fixture.h"
#include "tests/unit/signer_host.h"

namespace roulette::signer::test {

// Keys, certificates, group file and configurations of one cluster in a temporary folder.
class ClusterFiles {
 public:
  ClusterFiles();
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return folder_ / name;
  }
  [[nodiscard]] runtime::TlsIdentity identity(ProcessName name) const;
  // Writes <name>.json with `replaced` put over the defaults (values are JSON text).
  std::filesystem::path write_config(std::uint16_t signer,
                                     const std::map<std::string, std::string>& replaced = {}) const;

 private:
  runtime::test::TemporaryFolder folder_;
};

// One start of roulette-signer.
class SignerProcess {
 public:
  // `control_lines` are in its control channel before its first instruction.
  SignerProcess(const std::filesystem::path& config,
                const std::vector<std::string>& control_lines = {},
                const std::vector<std::string>& more_arguments = {});
  // Reads the control channel up to `ready`, or to the end.
  bool wait_ready();
  [[nodiscard]] const std::string& last_line() const { return last_line_; }
  [[nodiscard]] std::uint16_t tls_port() const { return tls_port_; }
  [[nodiscard]] std::uint16_t http_port() const { return http_port_; }
  // The next line but `ready`, which follows the first journal check.
  std::string hear();
  // The very next line.
  std::string hear_any() { return channel_.hear(); }
  void tell(const std::string& line) { channel_.tell(line); }
  void signal(int number) { child_->signal(number); }
  int wait() { return child_->wait(); }
  // SIGKILL and reap.
  void kill();

 private:
  runtime::test::ControlChannel channel_;
  std::optional<runtime::test::Child> child_;
  std::string last_line_;
  std::uint16_t tls_port_ = 0;
  std::uint16_t http_port_ = 0;
};

// Runs the binary to its end: exit code, stdout and stderr.
struct Finished {
  int exit_code = -1;
  std::string out;
  std::string err;
};
Finished run_to_end(const ClusterFiles& files, const std::vector<std::string>& arguments);

class TestCoordinator {
 public:
  TestCoordinator(const ClusterFiles& files, ProcessName self = {Role::Coordinator, 0});
  // Greets by itself unless told otherwise; waits for the first status. False: never connected.
  bool connect(std::uint16_t signer, std::uint16_t port);
  void greet_with(std::optional<wire::Hello> hello) { hello_ = std::move(hello); }
  void send(std::uint16_t signer, const wire::Message& message);
  // The next message of this signer but its greeting; nothing when the connection ends first.
  std::optional<wire::Message> receive(std::uint16_t signer);
  template <class M>
  std::optional<M> receive(std::uint16_t signer) {
    const auto message = receive(signer);
    if (!message || !std::holds_alternative<M>(*message)) return std::nullopt;
    return std::get<M>(*message);
  }
  [[nodiscard]] bool lost(std::uint16_t signer) const { return !open_.contains(signer); }
  bool wait_lost(std::uint16_t signer);
  [[nodiscard]] BootId epoch(std::uint16_t signer) const { return epochs_.at(signer); }
  runtime::EventLoop& loop() { return loop_; }

  // A session's request: these signers, each with fresh nonces of its own. Nothing when a
  // connection ended.
  std::optional<wire::SignRequest> request(const Payment& payment,
                                           const std::vector<std::uint16_t>& signers);

 private:
  runtime::EventLoop loop_;
  ProcessName self_;
  std::unique_ptr<runtime::TlsTransport> transport_;
  std::optional<wire::Hello> hello_;
  std::map<std::uint16_t, ConnectionId> open_;
  std::set<std::uint16_t> met_;  // connected since the last connect(), lost meanwhile or not
  std::map<std::uint16_t, BootId> epochs_;
  std::map<std::uint16_t, std::deque<wire::Message>> inbox_;
};

}  // namespace roulette::signer::test
