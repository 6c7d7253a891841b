// Real ledger processes on a real etcd, and a coordinator's end of their connections.
//
// Invariant: every process spawned here is reaped and every file removed when the test ends; every
// wait has a limit.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/runtime/certificates.h"
#include "common/runtime/tls_transport.h"
#include "common/wire/messages.h"
#include "tests/live/etcd_cluster.h"

namespace roulette::ledger::test {

class LedgerFiles {
 public:
  LedgerFiles(const EtcdCluster& etcd, std::uint16_t replicas, std::string cluster = "test");
  [[nodiscard]] std::filesystem::path config(std::uint16_t i) const;
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return folder_ / name;
  }
  [[nodiscard]] runtime::TlsIdentity identity(ProcessName name) const;
  [[nodiscard]] std::uint16_t port(std::uint16_t i) const { return ports_[i]; }
  void write_config(std::uint16_t i, const std::map<std::string, std::string>& replaced = {}) const;

 private:
  runtime::test::TemporaryFolder folder_;
  std::string cluster_;
  std::vector<std::uint16_t> ports_;
  std::string etcd_;
};

class LedgerProcess {
 public:
  explicit LedgerProcess(const std::filesystem::path& config,
                         const std::vector<std::string>& control_lines = {});
  // Reads the control channel up to a line with this beginning; that line, or "" at its end.
  std::string hear(const std::string& beginning);
  // The next `ready` or `hit`, whichever comes first.
  std::string hear_ready_or_hit();
  void tell(const std::string& line) { channel_.tell(line); }
  void signal(int number) { child_->signal(number); }
  int wait() { return child_->wait(); }
  [[nodiscard]] pid_t pid() const { return child_->pid(); }
  void kill();
  [[nodiscard]] std::uint16_t http_port() const { return http_port_; }

 private:
  runtime::test::ControlChannel channel_;
  std::optional<runtime::test::Child> child_;
  std::uint16_t http_port_ = 0;
};

// `roulette-ledger <arguments>` to its end.
struct Finished {
  int exit_code = -1;
  std::string out;
};
Finished run_ledger(const LedgerFiles& files, const std::vector<std::string>& arguments);

class TestCoordinator {
 public:
  TestCoordinator(const LedgerFiles& files, ProcessName self = {Role::Coordinator, 0});
  bool dial(std::uint16_t ledger);
  bool connect(std::uint16_t ledger);  // and it says that it is ready
  void send(std::uint16_t ledger, const wire::Message& message);
  // The next message of this kind; nothing when the connection ends or nothing comes.
  template <class M>
  std::optional<M> receive(std::uint16_t ledger) {
    std::optional<M> found;
    (void)loop_.run_until(
        [&] {
          auto& inbox = inbox_[ledger];
          while (!inbox.empty() && !found) {
            if (const auto* message = std::get_if<M>(&inbox.front())) found = *message;
            inbox.erase(inbox.begin());
          }
          return found.has_value() || !open_.contains(ledger);
        },
        kPatience);
    return found;
  }
  runtime::EventLoop& loop() { return loop_; }

 private:
  runtime::EventLoop loop_;
  ProcessName self_;
  const LedgerFiles& files_;
  std::unique_ptr<runtime::TlsTransport> transport_;
  std::map<std::uint16_t, ConnectionId> open_;
  std::map<std::uint16_t, std::vector<wire::Message>> inbox_;
};

}  // namespace roulette::ledger::test
