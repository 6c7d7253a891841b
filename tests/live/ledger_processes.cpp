// See ledger_processes.h.
#include "tests/live/ledger_processes.h"

#include <sys/wait.h>

#include "common/runtime/durable_file.h"
#include "common/wire/codec.h"
#include "tests/unit/ledger_story.h"

namespace roulette::ledger::test {
namespace {

std::string name_of(std::uint16_t i) {
  return ProcessName{Role::Ledger, i}.text();
}
std::string quoted(const std::string& text) {
  return "\"" + text + "\"";
}

}  // namespace

LedgerFiles::LedgerFiles(const EtcdCluster& etcd, std::uint16_t replicas, std::string cluster)
    : cluster_(std::move(cluster)) {
  const auto authority = runtime::ClusterAuthority::create(cluster_);
  REQUIRE(authority.ok());
  REQUIRE(authority->write_certificate(folder_.path()).ok());
  for (std::uint16_t i = 0; i < 2; ++i) {
    REQUIRE(authority->issue_into(folder_.path(), {Role::Coordinator, i}).ok());
  }
  REQUIRE(authority->issue_into(folder_.path(), {Role::Signer, 0}).ok());
  for (std::size_t i = 0; i < etcd.size(); ++i) {
    etcd_ += (i == 0 ? "[" : ",") + quoted("127.0.0.1:" + std::to_string(etcd.port(i)));
  }
  etcd_ += "]";
  for (std::uint16_t i = 0; i < replicas; ++i) {
    REQUIRE(authority->issue_into(folder_.path(), {Role::Ledger, i}).ok());
    ports_.push_back(free_port());
  }
  for (std::uint16_t i = 0; i < replicas; ++i) write_config(i);
}

std::filesystem::path LedgerFiles::config(std::uint16_t i) const {
  return folder_ / (name_of(i) + ".json");
}

runtime::TlsIdentity LedgerFiles::identity(ProcessName name) const {
  return {cluster_, name, folder_ / "ca.pem", folder_ / (name.text() + ".pem"),
          folder_ / (name.text() + ".key")};
}

void LedgerFiles::write_config(std::uint16_t i,
                               const std::map<std::string, std::string>& replaced) const {
  const std::string name = name_of(i);
  std::string peers = "[";
  for (std::uint16_t j = 0; j < ports_.size(); ++j) {
    if (j == i) continue;
    peers += (peers.size() > 1 ? "," : "") + std::string("{\"name\":") + quoted(name_of(j)) +
             ",\"address\":" + quoted("127.0.0.1:" + std::to_string(ports_[j])) + "}";
  }
  const std::string genesis =
      R"({"wallet_output_key":")" + to_hex(test_genesis().wallet_output_key) +
      R"(","accounts":["alice","bob"],"fee_rate_sat_per_vb":10,"withdrawal_fee_sat":10000,)"
      R"("min_amount_sat":1000,"max_amount_sat":100000000,"settle_depth":3,"anchor_block":")" +
      bitcoin::txid_to_hex(test_genesis().anchor_block) + "\"}";
  std::map<std::string, std::string> values = {
      {"cluster_id", quoted(cluster_)},
      {"name", quoted(name)},
      {"listen", quoted("127.0.0.1:" + std::to_string(ports_[i]))},
      {"http", quoted("127.0.0.1:0")},
      {"folder", quoted(name)},
      {"ca", quoted("ca.pem")},
      {"cert", quoted(name + ".pem")},
      {"key", quoted(name + ".key")},
      {"replicas", std::to_string(ports_.size())},
      {"peers", peers + "]"},
      {"etcd", etcd_},
      {"genesis", genesis}};
  for (const auto& [key, value] : replaced) values[key] = value;
  std::string json = "{";
  for (const auto& [key, value] : values) {
    json += (json.size() > 1 ? "," : "") + quoted(key) + ":" + value;
  }
  REQUIRE(runtime::write_file_durably(config(i), as_bytes(json + "}")).ok());
}

LedgerProcess::LedgerProcess(const std::filesystem::path& config,
                             const std::vector<std::string>& control_lines) {
  for (const std::string& line : control_lines) channel_.tell(line);
  const int end = channel_.take_process_end();
  child_.emplace([&] {
    if (end == 3)
      ::fcntl(3, F_SETFD, 0);
    else
      ::dup2(end, 3);
    become({ROULETTE_LEDGER_BINARY, "--config", config.string(), "--control-fd", "3"},
           config.string() + ".stderr");
    return 0;
  });
  ::close(end);
}

std::string LedgerProcess::hear(const std::string& beginning) {
  for (;;) {
    std::string line = channel_.hear();
    const std::string http = "event listening http ";
    if (line.starts_with(http)) {
      http_port_ = static_cast<std::uint16_t>(std::stoi(line.substr(http.size())));
    }
    if (line.empty() || line.starts_with(beginning)) return line;
  }
}

std::string LedgerProcess::hear_ready_or_hit() {
  for (;;) {
    const std::string line = channel_.hear();
    if (line.empty() || line.starts_with("ready") || line.starts_with("hit")) return line;
  }
}

void LedgerProcess::kill() {
  signal(SIGKILL);
  REQUIRE(WIFSIGNALED(wait()));
}

Finished run_ledger(const LedgerFiles& files, const std::vector<std::string>& arguments) {
  const auto out = files / "run.out";
  std::filesystem::remove(out);
  std::vector<std::string> words = {ROULETTE_LEDGER_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  runtime::test::Child child([&] {
    become(words, out.string());
    return 0;
  });
  const int status = child.wait();
  std::ifstream file(out);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          std::string(std::istreambuf_iterator<char>(file), {})};
}

TestCoordinator::TestCoordinator(const LedgerFiles& files, ProcessName self)
    : self_(self), files_(files) {
  runtime::TlsTransport::Options options;
  options.identity = files.identity(self);
  options.accepts = [](ProcessName peer) { return peer.role == Role::Ledger; };
  options.callbacks.on_connected = [this](ConnectionId id, ProcessName peer) {
    open_[peer.index] = id;
    const wire::Hello hello{wire::kProtocolMajor, wire::kProtocolMinor, self_, BootId{}};
    (void)transport_->send(id, wire::encode_message(hello));
  };
  options.callbacks.on_frame = [this](ConnectionId id, ByteSpan payload) {
    auto message = wire::decode_message(payload);
    REQUIRE(message.ok());
    for (const auto& [ledger, connection] : open_) {
      if (connection == id) inbox_[ledger].push_back(*message);
    }
  };
  options.callbacks.on_lost = [this](ConnectionId id, ProcessName peer, const std::string&) {
    if (open_.contains(peer.index) && open_[peer.index] == id) open_.erase(peer.index);
  };
  auto transport = runtime::TlsTransport::create(loop_, std::move(options));
  REQUIRE(transport.ok());
  transport_ = std::move(transport).value();
}

bool TestCoordinator::dial(std::uint16_t ledger) {
  transport_->connect({Role::Ledger, ledger}, "127.0.0.1", files_.port(ledger));
  return loop_.run_until([&] { return open_.contains(ledger); }, kPatience);
}

bool TestCoordinator::connect(std::uint16_t ledger) {
  if (!dial(ledger)) return false;
  for (;;) {
    const auto status = receive<wire::LedgerStatus>(ledger);
    if (!status || status->ready) return status.has_value();
  }
}

void TestCoordinator::send(std::uint16_t ledger, const wire::Message& message) {
  const auto found = open_.find(ledger);
  if (found != open_.end()) (void)transport_->send(found->second, wire::encode_message(message));
}

}  // namespace roulette::ledger::test
