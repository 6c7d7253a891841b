// Spawning signers and speaking to them: see signer_cluster.h.
//
// Invariant: every wait has a limit, so a signer that hangs fails the test instead of it.
#include "tests/live/signer_cluster.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "common/crypto/sealed_share.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/group_file.h"
#include "common/wire/codec.h"

namespace roulette::signer::test {
namespace {

constexpr const char* kCluster = "test";
constexpr Duration kPatience = seconds(20);

std::string name_of(std::uint16_t signer) {
  return ProcessName{Role::Signer, signer}.text();
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

[[noreturn]] void execute(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

void redirect(int fd, const std::filesystem::path& file) {
  const int target = ::open(file.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(target, fd);
  ::close(target);
}

}  // namespace

ClusterFiles::ClusterFiles() {
  const auto authority = runtime::ClusterAuthority::create(kCluster);
  REQUIRE(authority.ok());
  REQUIRE(authority->write_certificate(folder_.path()).ok());
  for (const Role role : {Role::Signer, Role::Coordinator, Role::Ledger})
    for (std::uint16_t i = 0; i < 3; ++i)
      REQUIRE(authority->issue_into(folder_.path(), {role, i}).ok());
  REQUIRE(runtime::write_group_file(folder_ / "group.json", *wallet().group).ok());
  SeededEntropy entropy(9);
  for (std::uint16_t i = 0; i < 3; ++i) {
    ByteArray<32> key{};
    entropy.fill(key);
    const auto sealed = crypto::seal_with_key_file(wallet().dealt.shares[i].secret(),
                                                   {SignerId(i), wallet().dealt.group.id(), 1},
                                                   Secret<32>(key), entropy);
    REQUIRE(sealed.ok());
    REQUIRE(runtime::write_file_durably(folder_ / (name_of(i) + ".share"), *sealed).ok());
    REQUIRE(runtime::write_file_durably(folder_ / (name_of(i) + ".share-key"), key).ok());
    const auto later = crypto::seal_with_key_file(wallet().dealt.shares[i].secret(),
                                                  {SignerId(i), wallet().dealt.group.id(), 2},
                                                  Secret<32>(key), entropy);
    REQUIRE(later.ok());
    REQUIRE(runtime::write_file_durably(folder_ / (name_of(i) + ".share-2"), *later).ok());
  }
}

runtime::TlsIdentity ClusterFiles::identity(ProcessName name) const {
  return {kCluster, name, folder_ / "ca.pem", folder_ / (name.text() + ".pem"),
          folder_ / (name.text() + ".key")};
}

std::filesystem::path ClusterFiles::write_config(
    std::uint16_t signer, const std::map<std::string, std::string>& replaced) const {
  const std::string name = name_of(signer);
  const auto quoted = [](const std::string& text) { return "\"" + text + "\""; };
  std::map<std::string, std::string> values = {
      {"cluster_id", quoted(kCluster)},
      {"name", quoted(name)},
      {"listen", quoted("127.0.0.1:0")},
      {"http", quoted("127.0.0.1:0")},
      {"folder", quoted(name)},
      {"ca", quoted("ca.pem")},
      {"cert", quoted(name + ".pem")},
      {"key", quoted(name + ".key")},
      {"group", quoted("group.json")},
      {"share", quoted(name + ".share")},
      {"share_key", quoted(name + ".share-key")},
      {"policy",
       R"({"max_fee_sat":20000,"max_fee_rate_sat_per_vb":100,"max_amount_sat":10000000})"},
  };
  for (const auto& [key, value] : replaced) values[key] = value;
  std::string json = "{";
  for (const auto& [key, value] : values) {
    if (value.empty()) continue;
    if (json.size() > 1) json += ",";
    json += quoted(key) + ":" + value;
  }
  const std::filesystem::path file = folder_ / (name + ".json");
  REQUIRE(runtime::write_file_durably(file, as_bytes(json + "}")).ok());
  return file;
}

SignerProcess::SignerProcess(const std::filesystem::path& config,
                             const std::vector<std::string>& control_lines,
                             const std::vector<std::string>& more_arguments) {
  for (const std::string& line : control_lines) channel_.tell(line);
  const int end = channel_.take_process_end();
  std::vector<std::string> words = {ROULETTE_SIGNER_BINARY, "--config", config.string(),
                                    "--control-fd", "3"};
  words.insert(words.end(), more_arguments.begin(), more_arguments.end());
  child_.emplace([&] {
    redirect(2, config.string() + ".stderr");
    if (end == 3)
      ::fcntl(3, F_SETFD, 0);
    else
      ::dup2(end, 3);
    execute(words);
    return 0;
  });
  ::close(end);
}

bool SignerProcess::wait_ready() {
  const std::string tls = "event listening tls ";
  const std::string http = "event listening http ";
  for (;;) {
    const std::string& line = last_line_ = channel_.hear();
    if (line.starts_with(tls))
      tls_port_ = static_cast<std::uint16_t>(std::stoi(line.substr(tls.size())));
    if (line.starts_with(http))
      http_port_ = static_cast<std::uint16_t>(std::stoi(line.substr(http.size())));
    // It serves when a coordinator has told it what the ledger keeps; it can be talked to now.
    if (line == "not_ready journal-unchecked") return true;
    if (line.empty() || line.starts_with("hit")) return false;
  }
}

std::string SignerProcess::hear() {
  for (;;) {
    std::string line = channel_.hear();
    if (!line.starts_with("ready")) return line;
  }
}

void SignerProcess::kill() {
  signal(SIGKILL);
  const int status = wait();
  REQUIRE(WIFSIGNALED(status));
}

Finished run_to_end(const ClusterFiles& files, const std::vector<std::string>& arguments) {
  const auto out = files / "run.out";
  const auto err = files / "run.err";
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  std::vector<std::string> words = {ROULETTE_SIGNER_BINARY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  runtime::test::Child child([&] {
    redirect(1, out);
    redirect(2, err);
    execute(words);
    return 0;
  });
  const int status = child.wait();
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(out), read_text(err)};
}

TestCoordinator::TestCoordinator(const ClusterFiles& files, ProcessName self) : self_(self) {
  hello_ = wire::Hello{wire::kProtocolMajor, wire::kProtocolMinor, self, BootId{}};
  runtime::TlsTransport::Options options;
  options.identity = files.identity(self);
  options.accepts = [](ProcessName peer) { return peer.role == Role::Signer; };
  options.callbacks.on_connected = [this](ConnectionId id, ProcessName peer) {
    open_[peer.index] = id;
    met_.insert(peer.index);
    if (hello_) transport_->send(id, wire::encode_message(*hello_));
  };
  options.callbacks.on_frame = [this](ConnectionId id, ByteSpan payload) {
    const auto message = wire::decode_message(payload);
    REQUIRE(message.ok());
    for (const auto& [signer, connection] : open_)
      if (connection == id && !std::holds_alternative<wire::Hello>(*message))
        inbox_[signer].push_back(*message);
  };
  options.callbacks.on_lost = [this](ConnectionId id, ProcessName peer, const std::string&) {
    if (open_.contains(peer.index) && open_[peer.index] == id) open_.erase(peer.index);
    transport_->stop_connecting(peer);
  };
  auto transport = runtime::TlsTransport::create(loop_, std::move(options));
  REQUIRE(transport.ok());
  transport_ = std::move(transport).value();
}

bool TestCoordinator::connect(std::uint16_t signer, std::uint16_t port) {
  inbox_[signer].clear();
  open_.erase(signer);
  met_.erase(signer);
  transport_->connect({Role::Signer, signer}, "127.0.0.1", port);
  const bool up = loop_.run_until([&] { return met_.contains(signer); }, kPatience);
  if (!up || !hello_) return up;
  const auto status = receive<wire::SignerStatus>(signer);
  if (!status) return false;
  epochs_[signer] = status->epoch;
  send(signer, wire::JournalCheck{});
  return receive<wire::JournalAnswer>(signer).has_value();
}

void TestCoordinator::send(std::uint16_t signer, const wire::Message& message) {
  if (!lost(signer)) transport_->send(open_.at(signer), wire::encode_message(message));
}

std::optional<wire::Message> TestCoordinator::receive(std::uint16_t signer) {
  auto& inbox = inbox_[signer];
  REQUIRE(loop_.run_until([&] { return !inbox.empty() || lost(signer); }, kPatience));
  if (inbox.empty()) return std::nullopt;
  wire::Message message = std::move(inbox.front());
  inbox.pop_front();
  return message;
}

bool TestCoordinator::wait_lost(std::uint16_t signer) {
  return loop_.run_until([&] { return lost(signer); }, kPatience);
}

std::optional<wire::SignRequest> TestCoordinator::request(
    const Payment& payment, const std::vector<std::uint16_t>& signers) {
  const auto inputs = static_cast<std::uint32_t>(payment.tx.inputs.size());
  wire::SignRequest request{payment.id,
                            payment.payload_digest,
                            bitcoin::serialize_without_witness(payment.tx),
                            payment.prevouts,
                            {},
                            wallet().dealt.group.id(),
                            payment.client};
  SeededEntropy made_up(4);
  for (std::uint16_t i = 0; i < 3; ++i) {
    wire::SessionSigner signer{SignerId(i), BootId{}, {}};
    if (std::find(signers.begin(), signers.end(), i) != signers.end()) {
      send(i, wire::NonceRequest{inputs});
      const auto batch = receive<wire::NonceBatch>(i);
      if (!batch) return std::nullopt;
      signer.epoch = batch->epoch;
      signer.nonces = batch->nonces;
    } else {
      for (std::uint32_t k = 0; k < inputs; ++k)
        signer.nonces.push_back(
            crypto::frost::nonce_gen(made_up, crypto::frost::NonceInput{}).value().public_nonce());
    }
    request.signers.push_back(std::move(signer));
  }
  return request;
}

}  // namespace roulette::signer::test
